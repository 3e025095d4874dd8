//! Requests that are made to hurt: they drip, they are endless, they are nested without end. Each is refused clearly,
//! the hub keeps little for it, and everybody else is served meanwhile.
//!
//! Limits of the head byte by byte are tested in `crate::forms`, endless lines in `crate::ndjson`, frames in
//! `crate::frames`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::refusals::{create_both, shapes};
use crate::support::eventually;
use crate::support::http::{Ask, Connection, chunk, create, publish};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::raw_ws::{RawWs, TEXT, frame};
use crate::support::token::token;
use crate::support::ws::Ws;

const PATH: &str = "/v1/threads/x/events";
/// Sockets that drip, of each kind.
const DRIPPING: usize = 250;
/// How much more memory the hub may have for all of them together.
const RESIDENT_KIB_MAX: u64 = 32 * 1024;
/// How long somebody else may wait for an answer meanwhile, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same for bodies: each worker has one of 8 MiB in hand, and what it was in before it grew.
const BODIES_KIB_MAX: u64 = 80 * 1024;
const GIB: u64 = 1 << 30;

fn start(variables: &[(&str, &str)]) -> (TempDir, Process) {
    let dir = TempDir::new().unwrap();
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), variables);
    create(hub.addr, "alice", "x");
    // What everything needs once is there before it is measured.
    (0..20).for_each(|n| drop(publish(hub.addr, "alice", "x", &json!(n))));
    (dir, hub)
}

/// The slowest of many round trips of somebody else, until it is over.
fn others(addr: SocketAddr, over: &AtomicBool) -> (u32, Duration) {
    let (mut rounds, mut slowest) = (0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        publish(addr, "bob", "x", &json!("meanwhile"));
        Ask::by("bob", "GET", PATH).query("limit=1").send(addr).ok(200);
        (rounds, slowest) = (rounds + 1, slowest.max(began.elapsed()));
    }
    (rounds, slowest)
}

/// Sends a byte at a time, on every connection, until each was answered or cut; the hub's most memory meanwhile.
#[track_caller]
fn drip(hub: &Process, waiting: &mut Vec<Connection>, byte: &[u8], status: u16) -> u64 {
    let (mut most, mut told) = (hub.resident_kib(), 0);
    eventually("each is answered or cut", || {
        most = most.max(hub.resident_kib());
        waiting.retain_mut(|connection| {
            if !connection.readable() {
                connection.try_send(byte);
                return true;
            }
            // A byte that crossed the answer resets the connection, and the answer may be lost.
            if let Ok(head) = connection.try_head() {
                assert_eq!(head.status, status);
                told += 1;
            }
            false
        });
        waiting.is_empty().then_some(())
    });
    assert!(told > DRIPPING / 2, "{told} of {DRIPPING} are told why");
    most
}

#[test]
fn heads_and_bodies_that_drip() {
    let times = [("TAMBOUR__HTTP__REQUEST_TIMEOUT_MS", "2000"), ("TAMBOUR__HTTP__BODY_TIMEOUT_MS", "3000")];
    let (_dir, hub) = start(&times);
    let (addr, before, over) = (hub.addr, hub.resident_kib(), AtomicBool::new(false));
    let open = |beginning: &[u8]| -> Vec<Connection> {
        let one = || {
            let mut connection = Connection::open(addr);
            connection.send(beginning);
            connection
        };
        (0..DRIPPING).map(|_| one()).collect()
    };
    std::thread::scope(|scope| {
        let meanwhile = scope.spawn(|| others(addr, &over));
        let began = Instant::now();
        // Without an end of the head, and without an identity.
        let mut heads = open(b"GET /v1/threads HTTP/1.1\r\nhost: hub.test\r\nx-slow: ");
        let mut most = drip(&hub, &mut heads, b"x", 408);
        assert!(began.elapsed() > Duration::from_secs(1), "they had their time");
        // A body of which most never comes.
        let ask =
            Ask::by("slow", "POST", PATH).with("content-type", "application/json").with("content-length", "4000000");
        let mut bodies = open(&[ask.bytes(), b"{\"type\":\"note\",\"data\":\"".to_vec()].concat());
        most = most.max(drip(&hub, &mut bodies, b"y", 408));
        over.store(true, Ordering::Relaxed);
        let (rounds, slowest) = meanwhile.join().unwrap();
        println!("{rounds} rounds of others, the slowest {slowest:?}; {} KiB more", most.saturating_sub(before));
        assert!(rounds > 20 && slowest < PATIENCE, "{rounds} rounds, the slowest {slowest:?}");
        assert!(most < before + RESIDENT_KIB_MAX, "{before} KiB, then {most} KiB");
    });
    let page = Ask::by("bob", "GET", PATH).query("limit=500").send(addr).ok(200).to_string();
    assert!(!page.contains("yyy"), "nothing of half a body is written");
}

#[test]
fn bodies_of_a_gibibyte() {
    let (_dir, hub) = start(&[]);
    let (addr, before) = (hub.addr, hub.resident_kib());
    create_both(addr, "alice", &json!({ "id": "open" }));
    let large = |ask: &Ask| Ask { body: None, ..ask.clone() }.with("content-length", &GIB.to_string());
    // Announced: refused by that alone, before a byte of it; without an identity by that.
    let takes_body = |ask: &Ask| ask.body.is_some();
    for shape in shapes("open").iter().filter(|shape| takes_body(&shape.ask)) {
        let refused = large(&shape.ask).send(addr).refusal();
        assert_eq!(refused, (413, "body.too_large".to_owned()), "{}", shape.name);
        let anonymous = large(&shape.ask).without("authorization").send(addr).refusal();
        assert_eq!(anonymous, (401, "auth.token_missing".to_owned()), "{}", shape.name);
    }
    // In chunks: refused when it is too much, long before its end; without an identity at once.
    let piece = chunk(&vec![b' '; 256 * 1024]);
    let mut most = hub.resident_kib();
    for (ask, refusal) in [
        (Ask::by("alice", "POST", PATH), (413, "body.too_large")),
        (Ask::by("alice", "POST", "/v1/threads"), (413, "body.too_large")),
        (Ask::new("POST", PATH), (401, "auth.token_missing")),
        (Ask::by("alice", "POST", PATH).with("content-encoding", "gzip"), (415, "body.type")),
    ] {
        for _ in 0..20 {
            let mut connection = Connection::open(addr);
            let head = ask.clone().with("content-type", "application/json").with("transfer-encoding", "chunked");
            connection.send(&head.bytes());
            let mut sent = 0;
            while !connection.readable() && connection.try_send(&piece) {
                sent += piece.len();
                most = most.max(hub.resident_kib());
            }
            assert_eq!(connection.answer().refusal(), (refusal.0, refusal.1.to_owned()), "{}", ask.path);
            assert!((sent as u64) < GIB / 16, "refused behind {sent} bytes");
        }
    }
    assert!(most < before + BODIES_KIB_MAX, "{before} KiB, then {most} KiB");
    publish(addr, "bob", "x", &json!("still here"));
}

#[test]
fn heads_without_end() {
    let (_dir, hub) = start(&[]);
    let (addr, before) = (hub.addr, hub.resident_kib());
    // Ten thousand headers.
    let many = (0..10_000).fold(Ask::by("alice", "GET", "/v1/limits"), |ask, n| ask.and(&format!("x-{n}"), "y"));
    let endless = |beginning: &str| [beginning.as_bytes(), &vec![b'x'; 4 << 20]].concat();
    let line = endless("GET / HTTP/1.1\r\nhost: hub.test\r\nx-long: ");
    for (what, bytes) in [("headers", many.bytes()), ("a header", line), ("a target", endless("GET /"))] {
        for _ in 0..10 {
            let mut connection = Connection::open(addr);
            connection.try_send(&bytes);
            let status = connection.head().status;
            assert!(matches!(status, 400 | 414 | 431), "{what}: {status}");
            assert!(connection.try_some().is_ok(), "and it ends");
        }
    }
    let grown = hub.resident_kib().saturating_sub(before);
    assert!(grown < RESIDENT_KIB_MAX, "{grown} KiB");
    Ask::by("alice", "GET", "/v1/limits").send(addr).ok(200);
}

#[test]
fn json_a_thousand_levels_deep() {
    let hub = Running::start();
    let addr = hub.addr();
    create_both(addr, "alice", &json!({ "id": "open" }));
    let invalid = (400, "body.invalid".to_owned());
    for depth in [1_000, 10_000] {
        let (arrays, objects) =
            ("[".repeat(depth) + &"]".repeat(depth), r#"{"a":"#.repeat(depth) + "1" + &"}".repeat(depth));
        for deep in [&arrays, &objects] {
            // Where a body is taken it is looked at before it is parsed, as a whole and in any field.
            for shape in shapes("open").iter().filter(|shape| shape.ask.body.is_some()) {
                for body in [deep.clone(), format!(r#"{{"type":"note","data":{deep}}}"#), format!(r#"{{"x":{deep}}}"#)]
                {
                    assert_eq!(shape.ask.clone().json(body).send(addr).refusal(), invalid, "{depth}: {}", shape.name);
                }
            }
            let lines = |line: &str| {
                let ask = Ask::by("alice", "POST", "/v1/threads/open/events").json(format!("{line}\n"));
                ask.with("content-type", "application/x-ndjson").send(addr)
            };
            for line in [deep.clone(), format!(r#"{{"type":"note","data":{deep}}}"#)] {
                let refused = lines(&line).refusal_with(&["line", "accepted"]);
                let too_large = line.len() > 68 * 1024;
                assert_eq!(refused.1, if too_large { "event.too_large" } else { "body.invalid" }, "{depth}");
            }
            if depth > 1_000 {
                continue;
            }
            // A frame, with an identity and without one.
            for (text, code) in [
                (deep.clone(), "frame.malformed"),
                (format!(r#"{{"t":{deep}}}"#), "frame.malformed"),
                (format!(r#"{{"t":"ping","ref":{deep}}}"#), "frame.malformed"),
                (format!(r#"{{"t":"hello","token":{deep}}}"#), "frame.malformed"),
            ] {
                let known = RawWs::session(addr, "alice");
                let unknown = RawWs::open(addr, &Ask::new("GET", "/v1/ws"), b"");
                for mut ws in [known, unknown] {
                    ws.0.send(&frame(TEXT, text.as_bytes()));
                    assert_eq!(ws.json()["code"], code, "{}", &text[..40]);
                    assert_eq!(ws.closed(), 4400);
                }
            }
            let mut ws = Ws::session(addr, "alice");
            assert!(
                ws.try_send_text(format!(r#"{{"t":"publish","topic":"thread/open","type":"note","data":{deep}}}"#))
            );
            assert_eq!(ws.error(), "body.invalid");
            ws.send(&json!({ "t": "ping" }));
            ws.expect("pong");
        }
    }
    // A token whose claims are nested is one, or none, and nothing else.
    let forged = token("alice", "member").replacen('.', &format!(".{}", "W1tb".repeat(1_000)), 1);
    let ask = Ask::by("alice", "GET", "/v1/limits").with("authorization", &format!("Bearer {forged}"));
    assert_eq!(ask.send(addr).refusal(), (401, "auth.token_invalid".to_owned()));
    let page = Ask::by("alice", "GET", "/v1/threads/open/events").send(addr).ok(200);
    assert_eq!(page["events"], json!([]), "nothing of it was written");
}
