//! Exports of the audit whose client leaves in the middle: nothing of them stays in the hub, and the next is whole.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::slow::narrow;
use crate::support::authority::admin;
use crate::support::eventually;
use crate::support::http::{Ask, Connection, create, publish};
use crate::support::process::{Process, own_host};

/// Entries: the hub has read the first hundred when it begins to send.
const ENTRIES: usize = 110;
/// Members of each thread, who are in the entry of its creation: all entries together are more than the kernels hold between
/// a hub that writes and a client that does not read.
const MEMBERS: usize = 450;
/// What an export has at least.
const BYTES_MIN: usize = 10 << 20;
/// Clients that leave.
const CUTS: usize = 12;
/// How much the hub may grow over all of them: had each left what was read for it, it would be twice as much.
const GROWTH_KIB_MAX: u64 = CUTS as u64 * 5 * 1024;

fn filled(addr: SocketAddr) {
    let members: Vec<Value> = (0..MEMBERS).map(|n| json!({ "sub": format!("{n:0>200}"), "can": "read" })).collect();
    for n in 1..ENTRIES {
        let thread = json!({ "id": format!("x{n}"), "members": members });
        Ask::by("alice", "POST", "/v1/threads").json(thread).send(addr).ok(201);
    }
}

fn export(format: &str) -> Ask {
    admin("GET", &format!("/v1/audit/export?format={format}&action=threads.create"))
}

/// A client that asks for an export, takes at least so many bytes of it, and then nothing.
fn begun(addr: SocketAddr, format: &str, bytes: usize) -> Connection {
    let mut connection = narrow(addr);
    connection.send(&export(format).bytes());
    let mut taken = 0;
    while taken < bytes.max(1) {
        let some = connection.some().len();
        assert!(some > 0, "an export ends behind {taken} bytes");
        taken += some;
    }
    connection
}

/// The value of a metric.
fn metric(hub: &Process, name: &str) -> u64 {
    let text = Ask::new("GET", "/metrics").send(hub.admin).text();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).expect("there is such a metric");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn who_leaves_an_export_in_the_middle_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    let addr = hub.addr;
    create(addr, "alice", "live");
    filled(addr);
    let whole = export("ndjson").send(addr);
    assert_eq!((whole.status, whole.text().lines().count()), (200, ENTRIES));
    assert!(whole.body.len() > BYTES_MIN, "{} bytes", whole.body.len());
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", hub.child.0.id())).unwrap().count();
    let before = eventually("the first export's connection goes", || {
        let now = descriptors();
        (now == descriptors()).then_some(now)
    });
    let mut resident_kib = hub.resident_kib();
    for cut in 0..CUTS {
        let format = ["ndjson", "json", "csv"][cut % 3];
        // Some behind the head, some in the first page of entries, some in the last.
        let bytes = [0, whole.body.len() / 3, whole.body.len() * 19 / 20][cut / 3 % 3];
        let client = begun(addr, format, bytes);
        // The hub goes on while it is stuck.
        publish(addr, "alice", "live", &json!(cut));
        assert!(descriptors() > before, "the export's connection is there");
        if cut % 2 == 0 {
            client.reset();
        } else {
            drop(client);
        }
        eventually("the connection is closed", || (descriptors() <= before).then_some(()));
        if cut == 2 {
            // What the allocator keeps of one it uses for the next.
            resident_kib = hub.resident_kib();
        }
    }
    let grown_kib = hub.resident_kib().saturating_sub(resident_kib);
    println!("exports of {} bytes, {before} descriptors, {grown_kib} KiB more", whole.body.len());
    assert!(grown_kib < GROWTH_KIB_MAX, "{grown_kib} KiB more");
    assert_eq!((hub.sessions(), metric(&hub, "tambour_store_read_queue")), (0, 0));
    let used = admin("GET", "/v1/limits").send(addr).ok(200)["connections"].take();
    for of in ["ip", "principal", "tenant"] {
        assert_eq!(used[of]["used"], 0, "{used}");
    }
    // The next is whole, and says the same.
    assert_eq!(export("ndjson").send(addr).body, whole.body);
    let array: Value = export("json").send(addr).ok(200);
    assert_eq!(array.as_array().unwrap().len(), ENTRIES);
    assert_eq!(admin("GET", "/v1/audit/verify").send(addr).ok(200)["ok"], true);
}
