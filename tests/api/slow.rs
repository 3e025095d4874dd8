//! Readers that stop reading: not cut while there is time, cut after it, and nobody else waits for them.
//!
//! Time is only waited for where a deadline of the hub is what is tested.

use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::http::{Ask, Connection, create};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::raw_ws::{PONG, RawWs, TEXT, frame};
use crate::support::sse::Stream;
use crate::support::tls::Pair;
use crate::support::ws::Ws;
use crate::support::{WITHIN, eventually};

/// Events that are in all far more than the kernel keeps for a reader that does not read.
pub(crate) const EVENTS: u64 = 300;
const EVENT_BYTES: usize = 60_000;
/// More than any frame around an event.
const SMALL_BUFFER: usize = 8 * 1024;

/// Publishes so many large events.
pub(crate) fn flood(addr: SocketAddr, thread: &str, count: u64) {
    let event = json!({ "type": "note", "data": "x".repeat(EVENT_BYTES) });
    for array in (0..count).collect::<Vec<_>>().chunks(50) {
        let body = Value::from(vec![event.clone(); array.len()]);
        Ask::by("alice", "POST", &format!("/v1/threads/{thread}/events")).json(body).send(addr).ok(201);
    }
}

/// A connection whose kernel keeps little for it.
pub(crate) fn narrow(addr: SocketAddr) -> Connection {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
    socket.connect_timeout(&addr.into(), WITHIN).unwrap();
    Connection::over(TcpStream::from(socket))
}

fn narrow_stream(addr: SocketAddr, thread: &str) -> Stream {
    let mut connection = narrow(addr);
    connection.send(&Ask::stream("slow", &format!("/v1/threads/{thread}/events")).bytes());
    Stream::over(connection)
}

#[test]
fn a_reader_that_pauses_misses_nothing() {
    pausing(&Running::start());
}

#[test]
fn a_reader_that_pauses_misses_nothing_over_tls() {
    let pair = Pair::make();
    pausing(&Running::with(|set| pair.set(set)));
}

fn pausing(hub: &Running) {
    create(hub.addr(), "alice", "x");
    let mut slow = narrow_stream(hub.addr(), "x");
    let mut fast = Ws::open(hub.addr(), &Ask::by("fast", "GET", "/v1/threads/x/ws"));
    fast.expect("welcome");
    fast.expect("subscribed");
    let publisher = {
        let addr = hub.addr();
        std::thread::spawn(move || flood(addr, "x", EVENTS))
    };
    // The fast one gets everything while the slow one has read nothing.
    for seq in 1..=EVENTS {
        assert_eq!(fast.event()["seq"], seq);
    }
    publisher.join().unwrap();
    for seq in 1..=EVENTS {
        assert_eq!(slow.event()["seq"], seq);
    }
    flood(hub.addr(), "x", 1);
    assert_eq!((slow.event()["seq"].clone(), fast.event()["seq"].clone()), (json!(EVENTS + 1), json!(EVENTS + 1)));
}

/// Reads on until the hub has cut the stream: the last event that came whole.
fn until_cut(stream: &mut Stream) -> u64 {
    let mut last = 0;
    while let Some(event) = stream.next() {
        let event: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(event["seq"], last + 1);
        last += 1;
    }
    last
}

#[test]
fn a_reader_that_stays_away_is_cut_and_resumes() {
    let dir = TempDir::new().unwrap();
    let stall = [("TAMBOUR__SESSION__STALL_SECONDS", "1")];
    staying_away(&Process::start(dir.path(), &format!("{}:0", own_host()), &stall));
}

#[test]
fn a_reader_that_stays_away_is_cut_and_resumes_over_tls() {
    let (dir, pair) = (TempDir::new().unwrap(), Pair::make());
    staying_away(&Process::with_tls(
        dir.path(),
        &format!("{}:0", own_host()),
        &pair,
        &[("TAMBOUR__SESSION__STALL_SECONDS", "1")],
    ));
}

fn staying_away(hub: &Process) {
    create(hub.addr, "alice", "x");
    let mut slow = narrow_stream(hub.addr, "x");
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", hub.child.0.id())).unwrap().count();
    let (with_reader, began) = (descriptors(), std::time::Instant::now());
    let addr = hub.addr;
    let publisher = std::thread::spawn(move || flood(addr, "x", EVENTS));
    // The publisher's connections come on top, so less than that means that the reader's is gone.
    eventually("the reader is cut at its deadline", || (descriptors() < with_reader).then_some(()));
    assert!(began.elapsed().as_secs() >= 1, "it is not cut for being behind, only for staying away");
    publisher.join().unwrap();
    let last = until_cut(&mut slow);
    assert!(last < EVENTS, "it was cut, and not served");
    let mut resumed = Stream::open(
        hub.addr,
        &Ask::stream("slow", "/v1/threads/x/events").with("last-event-id", slow.last_event_id()),
    );
    for seq in last + 1..=EVENTS {
        assert_eq!(resumed.event()["seq"], seq);
    }
}

/// For more readers of one principal than there may be by default.
const ROOM: [(&str, &str); 1] = [("TAMBOUR__LIMITS__CONNECTIONS_PER_PRINCIPAL_MAX", "100")];

#[test]
fn many_slow_readers_cost_nothing() {
    let dir = TempDir::new().unwrap();
    many_slow_readers(&Process::start(dir.path(), &format!("{}:0", own_host()), &ROOM));
}

/// One record each, and no more.
#[test]
fn many_slow_readers_cost_little_over_tls() {
    let (dir, pair) = (TempDir::new().unwrap(), Pair::make());
    many_slow_readers(&Process::with_tls(dir.path(), &format!("{}:0", own_host()), &pair, &ROOM));
}

fn many_slow_readers(hub: &Process) {
    const READERS: usize = 100;
    const RESIDENT_KIB_MAX: u64 = 32 * 1024;
    create(hub.addr, "alice", "x");
    // The tail and the writer's page cache have their size before it is measured.
    flood(hub.addr, "x", EVENTS);
    let slow: Vec<_> = (0..READERS).map(|_| narrow_stream(hub.addr, "x")).collect();
    let mut fast = Stream::open(hub.addr, &Ask::stream("fast", "/v1/threads/x/events"));
    let before = hub.resident_kib();
    let addr = hub.addr;
    let publisher = std::thread::spawn(move || flood(addr, "x", EVENTS));
    for seq in EVENTS + 1..=2 * EVENTS {
        // Every event comes to the fast one while nobody else reads any.
        assert_eq!(fast.event()["seq"], seq);
    }
    publisher.join().unwrap();
    let grown = hub.resident_kib().saturating_sub(before);
    assert!(grown < RESIDENT_KIB_MAX, "{READERS} slow readers cost {grown} KiB");
    for mut stream in slow.into_iter().take(3) {
        for seq in EVENTS + 1..=2 * EVENTS {
            assert_eq!(stream.event()["seq"], seq);
        }
    }
}

#[test]
fn a_peer_without_a_sign_of_life_is_cut() {
    let hub = Running::with(|set| {
        set.session.ws_ping_seconds = 1;
        set.session.sse_comment_seconds = 1;
    });
    create(hub.addr(), "alice", "x");
    let mut alive = RawWs::session(hub.addr(), "alice");
    let mut dead = RawWs::session(hub.addr(), "alice");
    let mut stream = Connection::open(hub.addr());
    stream.send(&Ask::stream("alice", "/v1/threads/x/events").bytes());
    // The one answers its pings, the other only gets them.
    for _ in 0..5 {
        assert_eq!(alive.next(), (9, Vec::new()));
        alive.0.send(&frame(PONG, b""));
    }
    let got = dead.0.rest();
    // Pings as short as this are as coarse as the hub's clock: the second may come too late to be sent.
    assert!(got == [0x89, 0] || got == [0x89, 0, 0x89, 0], "pings, and then the end: {got:?}");
    alive.0.send(&frame(TEXT, br#"{"t":"ping"}"#));
    while alive.next().0 == 9 {}
    // A stream can't answer: it is told that the hub is there.
    let mut text = String::new();
    while text.matches(": keep-alive\n\n").count() < 3 {
        text.push_str(&String::from_utf8(stream.some()).unwrap());
    }
}
