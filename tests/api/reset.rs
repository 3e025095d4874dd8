//! Clients that are gone, late or take back what they asked: what they had begun is given back, and answered
//! where somebody is left to hear it.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::http::{Ask, Connection, create};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::raw_ws::{RawWs, TEXT, frame};

/// A request whose sender resets the connection behind it.
fn ask_and_reset(hub: &Process, ask: &Ask) {
    let socket = TcpStream::connect(hub.addr).unwrap();
    let mut connection = Connection::over(socket.try_clone().unwrap());
    connection.send(&ask.bytes());
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_client_that_resets_before_its_head_leaves_no_session() {
    let dir = TempDir::new().unwrap();
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    create(hub.addr, "alice", "x");
    let asks = [
        Ask::stream("bob", "/v1/threads/x/events"),
        Ask::by("bob", "GET", "/v1/threads/x/ws").upgrade(),
        Ask::by("bob", "GET", "/v1/ws").upgrade(),
        Ask::new("GET", "/v1/ws").upgrade(),
    ];
    for (index, ask) in asks.iter().enumerate() {
        for _ in 0..25 {
            ask_and_reset(&hub, ask);
        }
        // Whatever was accepted before this is answered behind it.
        create(hub.addr, "alice", &format!("after-{index}"));
    }
    eventually("every session is given back", || (hub.sessions() == 0).then_some(()));
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let hub = Running::with(|settings| settings.http.body_timeout_ms = 200);
    create(hub.addr(), "alice", "x");
    let whole = Ask::by("alice", "POST", "/v1/threads/x/events").json(json!({ "type": "note", "data": 1 })).bytes();
    let mut connection = Connection::open(hub.addr());
    connection.send(&whole[..whole.len() - 1]);
    assert_eq!(connection.answer().refusal(), (408, "body.late".to_owned()));
}

#[test]
fn a_subscribe_that_is_taken_back_has_its_answer() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let mut ws = RawWs::session(hub.addr(), "alice");
    let requests = [
        json!({ "t": "subscribe", "topic": "thread/x", "ref": "S" }),
        json!({ "t": "unsubscribe", "topic": "thread/x", "ref": "U" }),
    ];
    let together: Vec<u8> = requests.iter().flat_map(|request| frame(TEXT, request.to_string().as_bytes())).collect();
    ws.0.send(&together);
    let (first, second) = (ws.json(), ws.json());
    assert_eq!(
        (&first["t"], &first["ref"], &first["code"]),
        (&json!("error"), &json!("S"), &json!("session.not_subscribed"))
    );
    assert_eq!((&second["t"], &second["ref"]), (&json!("unsubscribed"), &json!("U")));
}

#[test]
fn an_upgrade_has_one_version_and_a_key() {
    let hub = Running::start();
    for (name, value) in [
        ("sec-websocket-version", "8"),
        ("sec-websocket-key", ""),
        ("sec-websocket-key", "abc"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ"),
    ] {
        let answer = Ask::by("alice", "GET", "/v1/ws").upgrade().with(name, value).send(hub.addr());
        assert_eq!(answer.refusal(), (400, "request.malformed".to_owned()), "{name}: {value}");
    }
}
