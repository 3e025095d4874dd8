//! Bodies in hand: what all of them may have at once, whose they are, and uploads as the connections that they are.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::{Ask, Connection, chunk, create};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::sse::Stream;

const PATH: &str = "/v1/threads/x/events";
const MIB: usize = 1024 * 1024;

fn hub(of_principal: usize, all: usize) -> Running {
    let hub = Running::with(|settings| {
        settings.limits.held_body_bytes_per_principal_max = of_principal;
        settings.limits.held_body_bytes_max = all;
    });
    create(hub.addr(), "alice", "x");
    hub
}

/// What `sub` is told to have in hand, in bytes.
fn in_hand(hub: &Running, sub: &str) -> usize {
    let limits = Ask::by(sub, "GET", "/v1/limits").send(hub.addr()).ok(200);
    usize::try_from(limits["bodies"]["principal"]["used"].as_u64().unwrap()).unwrap()
}

/// The head of an array of 8 MiB, and so much of it.
fn array(hub: &Running, sub: &str, bytes: usize) -> Connection {
    let mut connection = Connection::open(hub.addr());
    let ask = Ask::by(sub, "POST", PATH).with("content-type", "application/json");
    connection.send(&ask.with("content-length", &(8 * MIB).to_string()).bytes());
    connection.try_send(&vec![b'['; bytes]);
    connection
}

/// An upload that has begun.
fn upload(hub: &Running, sub: &str) -> Connection {
    let mut connection = Connection::open(hub.addr());
    connection.send(&Ask::by(sub, "POST", PATH).lines().bytes());
    connection
}

fn line(data: &Value) -> Vec<u8> {
    (json!({ "type": "note", "data": data }).to_string() + "\n").into_bytes()
}

#[test]
fn bodies_of_one_and_of_all() {
    const MOST: usize = 8 * MIB - 1;
    let hub = hub(16 * MIB, 20 * MIB);
    // What is announced is not counted, what has come is.
    let announced = [(); 20].map(|()| array(&hub, "alice", 0));
    assert_eq!(in_hand(&hub, "alice"), 0);
    let held = [array(&hub, "alice", MOST), array(&hub, "alice", MOST)];
    eventually("both have come", || (in_hand(&hub, "alice") >= 2 * MOST).then_some(()));
    assert!(in_hand(&hub, "alice") <= 16 * MIB);
    let mut more = array(&hub, "alice", MIB);
    let answer = more.answer();
    assert_eq!(answer.refusal(), (429, "limit.body_bytes_principal".to_owned()));
    assert!(answer.header("retry-after").is_some());
    // Others go on, up to what there is for all.
    let mut other = array(&hub, "bob", MOST);
    let answer = other.answer();
    assert_eq!(answer.refusal(), (503, "limit.body_bytes".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    let note = Ask::by("carol", "POST", PATH).json(json!({ "type": "note", "data": 1 }));
    note.send(hub.addr()).ok(201);
    assert_eq!([in_hand(&hub, "bob"), in_hand(&hub, "carol")], [0, 0]);
    // Who leaves gives back what they had, once.
    drop((held, more, other, announced));
    eventually("nothing is held", || (in_hand(&hub, "alice") == 0).then_some(()));
    let events: Vec<_> = (0..100).map(|_| json!({ "type": "note", "data": "x".repeat(60_000) })).collect();
    Ask::by("alice", "POST", PATH).json(json!(events)).send(hub.addr()).ok(201);
    eventually("nothing is held", || (in_hand(&hub, "alice") == 0).then_some(()));
}

#[test]
fn what_bodies_cost_in_memory_is_bounded() {
    let dir = tempfile::TempDir::new().unwrap();
    let settings = [("TAMBOUR__LIMITS__HELD_BODY_BYTES_MAX", "33554432")];
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &settings);
    create(hub.addr, "alice", "x");
    let before = hub.resident_kib();
    // One after the other, each of somebody else, and none of them ends.
    let held: Vec<_> = (0..20)
        .map(|n| {
            let mut connection = Connection::open(hub.addr);
            let ask = Ask::by(&format!("one-{n}"), "POST", PATH).with("content-type", "application/json");
            connection.send(&ask.with("content-length", &(8 * MIB).to_string()).bytes());
            connection.try_send(&vec![b'['; 8 * MIB - 1]);
            connection
        })
        .collect();
    let refused = || held.iter().filter(|connection| connection.readable()).count();
    eventually("those for whom there is no room are told", || (refused() >= 16).then_some(()));
    // What the allocator keeps of those that were refused, and the old places of those that grew, come on top.
    let resident = hub.resident_kib();
    assert!(resident < before + (32 + 48) * 1024, "{before} KiB, then {resident} KiB");
    // Somebody who needs little more than nothing is served as soon as there is that.
    drop(held);
    let note = Ask::by("carol", "POST", PATH).json(json!({ "type": "note", "data": 1 }));
    eventually("there is room", || (note.send(hub.addr).status == 201).then_some(()));
}

#[test]
fn lines_count_while_they_are_held() {
    let hub = hub(100_000, 130_000);
    let half = chunk(format!("{{\"type\":\"note\",\"data\":\"{}", "x".repeat(60_000)).as_bytes());
    let mut first = upload(&hub, "alice");
    first.send(&half);
    eventually("half a line is held", || (in_hand(&hub, "alice") > 60_000).then_some(()));
    // What came before is written, and the sender learns how far that is.
    let mut second = upload(&hub, "alice");
    second.send(&[chunk(&line(&json!(1))), half.clone()].concat());
    let answer = second.answer();
    assert_eq!(answer.refusal_with(&["line", "accepted"]), (429, "limit.body_bytes_principal".to_owned()));
    assert_eq!((&answer.json()["line"], &answer.json()["accepted"]), (&json!(2), &json!(1)));
    let mut of_bob = upload(&hub, "bob");
    of_bob.send(&half);
    eventually("bob has room", || (in_hand(&hub, "bob") > 60_000).then_some(()));
    let mut of_carol = upload(&hub, "carol");
    of_carol.send(&half);
    assert_eq!(of_carol.answer().refusal_with(&["line", "accepted"]), (503, "limit.body_bytes".to_owned()));
    // What is written is held no more, while the upload goes on.
    first.chunk(b"\"}\n");
    eventually("the line is written", || (in_hand(&hub, "alice") == 0).then_some(()));
    first.chunk(&line(&json!("next")));
    first.chunk(b"");
    assert_eq!(first.answer().ok(201)["count"], 2);
    drop(of_bob);
    eventually("nothing is held", || (in_hand(&hub, "bob") == 0).then_some(()));
}

/// What `sub` is told to use: connections of the address, the principal, the tenant.
fn connections(hub: &Running, sub: &str) -> [u64; 3] {
    let limits = Ask::by(sub, "GET", "/v1/limits").send(hub.addr()).ok(200);
    ["ip", "principal", "tenant"].map(|of| limits["connections"][of]["used"].as_u64().unwrap())
}

#[test]
fn an_upload_is_a_connection() {
    let hub = Running::with(|settings| {
        settings.limits.connections_per_ip_max = 5;
        settings.limits.connections_per_tenant_max = 4;
        settings.limits.connections_per_principal_max = 2;
    });
    create(hub.addr(), "alice", "x");
    let mut first = upload(&hub, "alice");
    let stream = Stream::open(hub.addr(), &Ask::stream("alice", PATH));
    eventually("both are counted", || (connections(&hub, "alice") == [2, 2, 2]).then_some(()));
    // Uploads and streams are of one count, in both directions.
    let refused = upload(&hub, "alice").answer();
    assert_eq!(refused.refusal(), (429, "limit.connections_principal".to_owned()));
    assert_eq!(refused.header("connection"), Some("close"));
    let refused = Ask::stream("alice", PATH).send(hub.addr());
    assert_eq!(refused.refusal().1, "limit.connections_principal");
    let others = [upload(&hub, "bob"), upload(&hub, "bob")];
    eventually("of the tenant", || (connections(&hub, "bob") == [4, 2, 4]).then_some(()));
    assert_eq!(upload(&hub, "carol").answer().refusal().1, "limit.connections_tenant");
    let elsewhere = |sub: &str| {
        let mut connection = Connection::open(hub.addr());
        connection.send(&Ask::by(sub, "POST", PATH).with("x-env", "prod").lines().bytes());
        connection
    };
    // In another env the tenant is another, and the address is the same. The topic is unknown there, and room comes first.
    assert_eq!(elsewhere("carol").answer().refusal().1, "topic.unknown");
    hub.reload(|settings| settings.limits.connections_per_ip_max = 4);
    assert_eq!(elsewhere("carol").answer().refusal(), (429, "limit.connections_ip".to_owned()));
    // It is over with its answer, or when its client has left; and what is no upload is no connection.
    first.chunk(&line(&json!(1)));
    first.chunk(b"");
    first.answer().ok(201);
    drop((others, stream));
    eventually("nothing is counted", || (connections(&hub, "alice") == [0, 0, 0]).then_some(()));
    Ask::by("alice", "POST", PATH).json(json!({ "type": "note", "data": 1 })).send(hub.addr()).ok(201);
}
