//! Bodies and bytes behind stream requests, and how a socket is handed over from HTTP to its session.
//!
//! A request that is hidden behind a stream's head must never run.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::http::{Ask, Connection, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;

/// How many events a thread has.
fn events(addr: SocketAddr, thread: &str) -> usize {
    let page = Ask::by("alice", "GET", &format!("/v1/threads/{thread}/events?after=earliest")).send(addr).ok(200);
    page["events"].as_array().unwrap().len()
}

fn hidden(thread: &str) -> Vec<u8> {
    let ask = Ask::by("alice", "POST", &format!("/v1/threads/{thread}/events"));
    ask.json(json!({ "type": "note", "data": "hidden" })).bytes()
}

/// The bytes are answered by one 400, and the connection is closed behind it.
#[track_caller]
fn refused(hub: &Running, what: &str, bytes: &[u8]) {
    let mut connection = Connection::open(hub.addr());
    connection.send(bytes);
    let answer = connection.answer();
    assert_eq!(answer.refusal(), (400, "request.stream_body".to_owned()), "{what}");
    assert_eq!(answer.header("connection"), Some("close"), "{what}");
    // What is no request at all the server may say so of; an answer of the hub's own is none.
    let behind = String::from_utf8(connection.rest()).unwrap();
    assert!(
        behind.is_empty() || behind.starts_with("HTTP/1.1 400 ") && behind.ends_with("\r\n\r\n"),
        "{what}: {behind}"
    );
    assert_eq!(events(hub.addr(), "x"), 0, "{what}: what was hidden did not run");
}

#[test]
fn stream_requests_have_no_body() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let sse = Ask::stream("alice", "/v1/threads/x/events");
    let upgrade = Ask::by("alice", "GET", "/v1/threads/x/ws").upgrade();
    let session = Ask::by("alice", "GET", "/v1/ws").upgrade();
    for (what, ask) in [("sse", sse), ("thread", upgrade), ("session", session)] {
        let mut with_body = ask.clone();
        with_body.body = Some(r#"{"t":"ping"}"#.to_owned());
        refused(&hub, &format!("{what} with a body"), &with_body.bytes());
        let head = ask.clone().with("content-length", "100").bytes();
        refused(&hub, &format!("{what} that announces a body"), &head);
        let chunked = [ask.clone().with("transfer-encoding", "chunked").bytes(), b"5\r\nhello\r\n0\r\n\r\n".to_vec()];
        refused(&hub, &format!("{what} in chunks"), &chunked.concat());
        let disguised = [ask.with("content-length", "12").bytes(), hidden("x")].concat();
        refused(&hub, &format!("{what} with a request as its body"), &disguised);
    }
}

#[test]
fn nothing_hides_behind_the_head_of_a_stream() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let sse = Ask::stream("alice", "/v1/threads/x/events").bytes();
    refused(&hub, "a POST", &[sse.clone(), hidden("x")].concat());
    refused(&hub, "a single byte", &[sse.clone(), b"x".to_vec()].concat());
    refused(&hub, "line feeds", &[sse.clone(), b"\r\n\r\n".to_vec()].concat());
    refused(&hub, "another stream", &[sse.clone(), sse].concat());
}

#[test]
fn nothing_hides_behind_a_refused_stream() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    for refused in [
        Ask::stream("alice", "/v1/threads/nope/events"),
        Ask::stream("alice", "/v1/threads/x/events").with("authorization", "Bearer x"),
        Ask::stream("alice", "/v1/threads/x/events?after=x"),
        Ask::stream("alice", "/v1/threads/x/events?nonsense=x"),
        Ask::by("alice", "GET", "/v1/threads/nope/ws").upgrade(),
        Ask::by("alice", "GET", "/v1/threads/x/ws").upgrade().without("sec-websocket-key"),
    ] {
        let mut connection = Connection::open(hub.addr());
        connection.send(&[refused.bytes(), hidden("x")].concat());
        let answer = connection.answer();
        answer.refusal();
        assert_eq!(answer.header("connection"), Some("close"), "{}", refused.path);
        assert_eq!(connection.rest(), b"", "{}", refused.path);
        assert_eq!(events(hub.addr(), "x"), 0, "{}", refused.path);
    }
}

#[test]
fn ordinary_requests_may_be_pipelined() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let mut connection = Connection::open(hub.addr());
    let read = Ask::by("alice", "GET", "/v1/threads/x/events?after=earliest").bytes();
    connection.send(&[hidden("x"), hidden("x"), read].concat());
    assert_eq!(connection.answer().ok(201)["seq"], 1);
    assert_eq!(connection.answer().ok(201)["seq"], 2);
    assert_eq!(connection.answer().ok(200)["events"].as_array().unwrap().len(), 2);
    // And a stream on the connection that they used.
    connection.send(&Ask::stream("alice", "/v1/threads/x/events?last=1").bytes());
    let mut stream = Stream::over(connection);
    assert_eq!(stream.event()["seq"], 2);
    publish(hub.addr(), "alice", "x", &json!(3));
    assert_eq!(stream.event()["seq"], 3);
}

#[test]
fn the_hand_over_has_this_order() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    publish(hub.addr(), "alice", "x", &json!(1));
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let ask = Ask::stream("alice", "/v1/threads/x/events?after=earliest").with("x-request-id", "r-1");
        let bytes = String::from_utf8(ask.bytes()).unwrap().replace("HTTP/1.1", version).into_bytes();
        let mut connection = Connection::open(hub.addr());
        connection.send(&bytes);
        let head = connection.head();
        let header = |name: &str| head.header(name);
        assert_eq!((head.status, header("content-type")), (200, Some("text/event-stream")), "{version}");
        assert_eq!((header("cache-control"), header("x-accel-buffering")), (Some("no-store"), Some("no")));
        assert_eq!(
            (header("transfer-encoding"), header("content-length"), header("content-encoding")),
            (None, None, None)
        );
        assert_eq!(header("x-request-id"), Some("r-1"));
        if version == "HTTP/1.1" {
            assert_eq!(header("connection"), Some("close"));
        }
        let mut text = String::new();
        while text.matches("\n\n").count() < 3 {
            text.push_str(&String::from_utf8(connection.some()).unwrap());
        }
        let blocks: Vec<&str> = text.split("\n\n").collect();
        let fields =
            |block: &str| block.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(fields(blocks[0]), ["event", "id", "data"], "{text}");
        assert!(blocks[0].starts_with("event: connected\n"), "{text}");
        assert_eq!(blocks[1], "retry: 2000");
        assert!(blocks[2].starts_with("event: note\nid: ") || blocks[2].starts_with("id: "), "{text}");
        let connected = blocks[0].lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let connected: Value = serde_json::from_str(connected).unwrap();
        assert_eq!((&connected["request_id"], &connected["topics"]), (&json!("r-1"), &json!(["thread/x"])));
        assert_eq!(connected["heartbeat_seconds"], 10);
    }
    let mut stream = Stream::open(hub.addr(), &Ask::stream("alice", "/v1/threads/x/events"));
    Ask::by("alice", "POST", "/v1/threads/x/close").send(hub.addr()).ok(200);
    assert_eq!(stream.event()["type"], "closed");
    assert_eq!(stream.next(), None, "the end of the stream is the end of the connection");
}

#[test]
fn a_stream_that_is_talked_to_ends() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    for bytes in [hidden("x"), b"x".to_vec()] {
        let mut stream = Stream::open(hub.addr(), &Ask::stream("alice", "/v1/threads/x/events"));
        stream.connection().send(&bytes);
        while stream.next().is_some() {}
        assert_eq!(events(hub.addr(), "x"), 0);
    }
}
