//! A hub that is told to stop: it says so, sends everybody away with a word, finishes writes, and exits 0.
//!
//! What is acknowledged stays, and a stopped hub's readers go on at the next.

use std::net::SocketAddr;

use serde_json::json;
use tempfile::TempDir;

use crate::slow;
use crate::support::eventually;
use crate::support::http::{Ask, Connection, create, publish};
use crate::support::process::{Process, own_host};
use crate::support::raw_ws::RawWs;
use crate::support::sse::Stream;
use crate::support::ws::Ws;

fn hub() -> (TempDir, Process) {
    let dir = TempDir::new().unwrap();
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    create(hub.addr, "alice", "x");
    (dir, hub)
}

#[test]
fn everybody_is_told() {
    for signal in ["TERM", "INT"] {
        let (dir, mut hub) = hub();
        publish(hub.addr, "alice", "x", &json!(1));
        let mut ws = Ws::open(hub.addr, &Ask::by("bob", "GET", "/v1/threads/x/ws?after=earliest"));
        ws.expect("welcome");
        ws.expect("subscribed");
        assert_eq!(ws.event()["seq"], 1);
        let mut quiet = Ws::open(hub.addr, &Ask::new("GET", "/v1/ws"));
        let mut stream = Stream::open(hub.addr, &Ask::stream("bob", "/v1/threads/x/events?after=earliest"));
        assert_eq!(stream.event()["seq"], 1);
        hub.child.signal(signal);
        let retry = ws.expect("reconnect")["retry_after_ms"].as_u64().unwrap();
        assert!((500..=5_500).contains(&retry), "{retry}");
        assert_eq!(ws.closed(), 1012);
        quiet.expect("reconnect");
        assert_eq!(quiet.closed(), 1012);
        assert_eq!(stream.named().0, "reconnect");
        assert_eq!(stream.next(), None);
        let retry = stream.retry_ms().unwrap();
        assert!((500..=5_500).contains(&retry) && retry != 2_000, "{retry}");
        drop((ws, quiet));
        assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
        // Whoever was sent away goes on at the next hub.
        let next = Process::start(dir.path(), &hub.addr.to_string(), &[]);
        publish(next.addr, "alice", "x", &json!(2));
        let resume = Ask::stream("bob", "/v1/threads/x/events").with("last-event-id", stream.last_event_id());
        assert_eq!(Stream::open(next.addr, &resume).event()["seq"], 2);
    }
}

#[test]
fn a_draining_hub_admits_nobody() {
    let dir = TempDir::new().unwrap();
    // Nobody but the one that is held has room, which is looked at behind this.
    let variables = [("TAMBOUR__LIMITS__CONNECTIONS_PER_IP_MAX", "1")];
    let mut hub = Process::start(dir.path(), &format!("{}:0", own_host()), &variables);
    // A client that does not take its goodbye keeps the hub draining for a while.
    let mut held = RawWs::session(hub.addr, "alice");
    hub.child.signal("TERM");
    assert_eq!(held.json()["t"], "reconnect");
    let ready = Ask::new("GET", "/readyz").send(hub.addr);
    assert_eq!((ready.status, ready.json()), (503, json!({ "status": "draining" })));
    assert_eq!(Ask::new("GET", "/healthz").send(hub.addr).status, 200, "it is alive");
    for ask in [
        Ask::by("alice", "GET", "/v1/threads"),
        Ask::by("alice", "POST", "/v1/threads/x/events").json(json!({ "type": "note", "data": 1 })),
        Ask::stream("alice", "/v1/threads/x/events"),
        Ask::by("alice", "GET", "/v1/ws").upgrade(),
        Ask::by("alice", "POST", "/v1/threads")
            .json("{}")
            .with("last-event-id", "x")
            .with("accept", "text/event-stream"),
        // The first of all checks.
        Ask::new("GET", "/v1/threads").with("origin", "https://evil.example"),
    ] {
        let refused = ask.send(hub.addr);
        assert_eq!(refused.refusal(), (503, "draining".to_owned()), "{}", ask.path);
        assert_eq!((refused.header("retry-after"), refused.header("connection")), (Some("1"), Some("close")));
    }
    // An EventSource gives up for good on any status but 200, so one that comes back is told to come again.
    let back = Ask::stream("alice", "/v1/threads/x/events").with("last-event-id", "AAAAAAAAAAAAAAAA.1").send(hub.addr);
    assert_eq!((back.status, back.header("content-type")), (200, Some("text/event-stream")), "{}", back.text());
    assert_eq!((back.header("cache-control"), back.header("connection")), (Some("no-store"), Some("close")));
    let mut parser = tambour::cli::sse_parser::SseParser::new("");
    let events = parser.feed(&back.body).unwrap();
    assert_eq!((events.len(), events[0].name.as_str(), parser.retry_ms()), (1, "refused", Some(2_000)));
    let refused: serde_json::Value = serde_json::from_str(&events[0].data).unwrap();
    assert_eq!(refused, json!({ "code": "draining", "status": 503 }));
    assert_eq!(parser.last_event_id(), "", "its place is not moved");
    let unnamed = Ask::stream("alice", "/v1/threads/x/events?named=false").with("last-event-id", "AAAAAAAAAAAAAAAA.1");
    let told = "retry: 2000\n\ndata: {\"code\":\"draining\",\"status\":503,\"t\":\"refused\"}\n\n";
    assert_eq!(unnamed.send(hub.addr).text(), told);
    assert_eq!(held.closed(), 1012);
    assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
}

#[test]
fn what_holds_on_does_not_hold_it_up() {
    let dir = TempDir::new().unwrap();
    let variables = [("TAMBOUR__HTTP__SHUTDOWN_SECONDS", "6")];
    let mut hub = Process::start(dir.path(), &format!("{}:0", own_host()), &variables);
    create(hub.addr, "alice", "x");
    // An idle connection, half a request, a session and a stream of clients that never say goodbye.
    let idle = Connection::open(hub.addr);
    let mut half = Connection::open(hub.addr);
    half.send(b"GET /v1/threads HT");
    let session = RawWs::session(hub.addr, "alice");
    let stream = Stream::open(hub.addr, &Ask::stream("alice", "/v1/threads/x/events"));
    let began = std::time::Instant::now();
    hub.child.signal("TERM");
    let status = eventually("it exits all the same", || hub.child.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", hub.said());
    // Far above the 6 s that it may take, far below the 15 s of the default.
    assert!(began.elapsed().as_secs() < 12, "{:?}", began.elapsed());
    drop((idle, half, session, stream));
}

/// Readers of a thread that take nothing.
fn stalled(addr: SocketAddr, n: usize) -> Connection {
    let asks = [
        Ask::stream("alice", "/v1/threads/x/events?after=earliest"),
        Ask::by("alice", "GET", "/v1/threads/x/ws?after=earliest").upgrade(),
    ];
    let mut reader = slow::narrow(addr);
    reader.send(&asks[n % asks.len()].bytes());
    reader.head();
    reader
}

/// A body that goes on: one line, and a piece of the next.
fn upload(addr: SocketAddr, n: usize) -> Connection {
    let ask = Ask::by("alice", "POST", "/v1/threads/x/events");
    let ask = ask.with("content-type", "application/x-ndjson").with("transfer-encoding", "chunked");
    let line = format!("{{\"type\":\"line\",\"data\":{n}}}\n{{\"type\":");
    let mut upload = Connection::open(addr);
    upload.send(&ask.bytes());
    upload.send(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes());
    upload
}

/// A body of which the rest never comes.
fn half(addr: SocketAddr) -> Connection {
    let ask = Ask::by("alice", "POST", "/v1/threads/x/events").with("content-type", "application/json");
    let mut half = Connection::open(addr);
    half.send(&ask.with("content-length", "100").bytes());
    half.send(b"{");
    half
}

#[test]
fn whatever_is_open_it_is_gone_in_time() {
    const EACH: usize = 20;
    let (dir, mut hub) = hub();
    let addr = hub.addr;
    let mut readers: Vec<_> = (0..EACH).map(|n| stalled(addr, n)).collect();
    slow::flood(addr, "x", slow::EVENTS);
    let mut uploads: Vec<_> = (0..EACH).map(|n| upload(addr, n)).collect();
    let shown = || Ask::by("alice", "GET", "/v1/threads/x").send(addr).ok(200)["cursor"].as_str().unwrap().to_owned();
    let all = format!(".{}", slow::EVENTS + EACH as u64);
    eventually("the first lines are there", || shown().ends_with(&all).then_some(()));
    let halves: Vec<_> = (0..EACH).map(|_| half(addr)).collect();
    let ask = Ask::by("bob", "GET", "/v1/threads/x/events").query(&format!("wait=60&after={}", shown()));
    let mut polls: Vec<_> = (0..EACH).map(|_| Connection::open(addr)).collect();
    polls.iter_mut().for_each(|poll| poll.send(&ask.bytes()));
    let began = std::time::Instant::now();
    hub.child.signal("TERM");
    assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
    for poll in &mut polls {
        let answer = poll.answer();
        // The last may have come just behind the signal.
        assert!(answer.status == 503 || answer.ok(200)["events"] == json!([]), "{}", answer.text());
    }
    for upload in &mut uploads {
        let refused = upload.answer().json();
        assert_eq!(
            [&refused["code"], &refused["accepted"], &refused["line"]],
            [&json!("draining"), &json!(1), &json!(2)]
        );
    }
    readers.iter_mut().for_each(|reader| drop(reader.rest()));
    drop(halves);
    let next = Process::start(dir.path(), &addr.to_string(), &[]);
    let ask = Ask::by("alice", "GET", "/v1/threads/x/events").query(&format!("last={EACH}"));
    let there = ask.send(next.addr).ok(200);
    let mut lines: Vec<_> = there["events"].as_array().unwrap().iter().map(|event| event["data"].as_u64()).collect();
    lines.sort_unstable();
    assert_eq!(lines, (0..EACH as u64).map(Some).collect::<Vec<_>>(), "what was taken in stays");
}

#[test]
fn a_write_that_was_answered_is_there() {
    let (dir, mut hub) = hub();
    let addr = hub.addr;
    let writer = std::thread::spawn(move || {
        let mut answered = 0;
        let body = json!({ "type": "note", "data": "x" });
        let ask = Ask::by("alice", "POST", "/v1/threads/x/events").json(body).bytes();
        while let Ok(socket) = std::net::TcpStream::connect(addr) {
            let mut connection = Connection::over(socket);
            if !connection.try_send(&ask) || !connection.some().starts_with(b"HTTP/1.1 201") {
                break;
            }
            answered += 1;
        }
        answered
    });
    eventually("some are written", || {
        let page = Ask::by("alice", "GET", "/v1/threads/x").send(addr).ok(200);
        (!page["cursor"].as_str().unwrap().ends_with(".0")).then_some(())
    });
    hub.child.signal("TERM");
    assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
    let answered: u64 = writer.join().unwrap();
    let next = Process::start(dir.path(), &addr.to_string(), &[]);
    let shown = Ask::by("alice", "GET", "/v1/threads/x").send(next.addr).ok(200);
    let head: u64 = shown["cursor"].as_str().unwrap().split('.').nth(1).unwrap().parse().unwrap();
    assert!(answered > 0 && (answered..=answered + 1).contains(&head), "{answered} answered, {head} there");
}

/// Opens streams and sessions, many at a time, until the hub refuses: those that it began to answer.
fn open_until_refused(addr: SocketAddr, sub: &str, cursor: &str) -> Vec<Connection> {
    const AT_ONCE: usize = 16;
    let mut opened = Vec::new();
    loop {
        // Each time somebody else, so that it is not their own limit that refuses.
        let sub = format!("{sub}-{}", opened.len());
        let asks = [
            // Where this one stands has to be looked up in the log, which gives the hub time to go.
            Ask::stream(&sub, &format!("/v1/threads/x/events?after={cursor}")).bytes(),
            Ask::by(&sub, "GET", "/v1/threads/x/ws").upgrade().bytes(),
            Ask::by(&sub, "GET", "/v1/ws").upgrade().bytes(),
        ];
        let asked = asks.iter().cycle().take(AT_ONCE).map_while(|ask| {
            let mut connection = Connection::try_open(addr).ok()?;
            connection.try_send(ask).then_some(connection)
        });
        let asked: Vec<Connection> = asked.collect();
        let mut refused = asked.len() < AT_ONCE;
        for mut connection in asked {
            match connection.try_head() {
                Ok(head) if matches!(head.status, 101 | 200) => opened.push(connection),
                Ok(head) => {
                    assert_eq!(head.status, 503, "{head:?}");
                    refused = true;
                }
                Err(_) => refused = true,
            }
        }
        if refused {
            return opened;
        }
    }
}

#[test]
fn who_comes_at_the_last_moment_is_told_too() {
    // Without what is tested here about every other round fails.
    const ROUNDS: usize = 6;
    for _ in 0..ROUNDS {
        let (_dir, mut hub) = hub();
        let addr = hub.addr;
        let (cursor, _) = publish(addr, "alice", "x", &json!(1));
        let opening: Vec<_> = (0..4)
            .map(|n| {
                let cursor = cursor.clone();
                std::thread::spawn(move || open_until_refused(addr, &format!("bob-{n}"), &cursor))
            })
            .collect();
        eventually("some are there", || {
            let held = std::fs::read_dir(format!("/proc/{}/fd", hub.child.0.id())).unwrap().count();
            (held > 150).then_some(())
        });
        hub.child.signal("TERM");
        let opened: Vec<_> = opening.into_iter().flat_map(|opening| opening.join().unwrap()).collect();
        let count = opened.len();
        let told = opened.into_iter().map(|mut connection| String::from_utf8_lossy(&connection.rest()).into_owned());
        let untold: Vec<_> = told.filter(|came| !came.contains("reconnect")).collect();
        assert!(untold.is_empty(), "{} of {count} were not told: {untold:?}", untold.len());
        assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
    }
}
