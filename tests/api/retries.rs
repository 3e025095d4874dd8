//! A publish whose request or answer is cut, at every byte, and that is sent again under its key: it happened once.

use serde_json::{Value, json};

use crate::support::http::{Ask, Connection, create};
use crate::support::hub::Running;

const PATH: &str = "/v1/threads/x/events";

/// Every event of the thread, by pages.
fn all(hub: &Running) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), "earliest".to_owned());
    loop {
        let page = Ask::by("bob", "GET", PATH).query(&format!("limit=500&after={after}")).send(hub.addr()).ok(200);
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            return events;
        }
        page["cursor"].as_str().unwrap().clone_into(&mut after);
    }
}

/// Sends each request twice, the first time cut behind so many bytes; what was there in the end must be one of each.
fn check(ask: impl Fn(&str) -> Ask, events_each: usize, cut: impl Fn(&Running, &[u8], usize) -> bool) {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let mut keys = Vec::new();
    for at in 0.. {
        // Of one length, so that every request has as many bytes.
        let key = format!("key-{at:06}");
        let request = ask(&key);
        let goes_on = cut(&hub, &request.bytes(), at);
        let first = request.send(hub.addr()).ok(201);
        // Once more, whole: the first result again.
        assert_eq!(request.send(hub.addr()).ok(201), first, "cut at {at}");
        keys.push(key);
        if !goes_on {
            break;
        }
    }
    assert!(keys.len() > 100, "{}", keys.len());
    let written: Vec<_> = all(&hub).iter().map(|event| event["data"]["key"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<_> = keys.iter().flat_map(|key| vec![key.clone(); events_each]).collect();
    assert!(written == expected, "{} events, {} expected", written.len(), expected.len());
}

fn event(key: &str) -> Value {
    json!({ "type": "note", "data": { "key": key } })
}

fn one(key: &str) -> Ask {
    let mut body = event(key);
    body["idempotency_key"] = json!(key);
    Ask::by("alice", "POST", PATH).json(body)
}

fn array(key: &str) -> Ask {
    let body = json!({ "events": [event(key), event(key), event(key)], "idempotency_key": key });
    Ask::by("alice", "POST", PATH).json(body)
}

fn line(key: &str) -> Ask {
    let mut body = event(key);
    body["idempotency_key"] = json!(key);
    Ask::by("alice", "POST", PATH).json(body).with("content-type", "application/x-ndjson")
}

/// Sends a part of the request, then leaves: by a reset, or by its end.
fn request(hub: &Running, bytes: &[u8], at: usize) -> bool {
    let mut connection = Connection::open(hub.addr());
    connection.send(&bytes[..at]);
    if at.is_multiple_of(2) {
        connection.reset();
    }
    at < bytes.len()
}

/// Sends the whole request, and leaves with a part of the answer.
fn answer(hub: &Running, bytes: &[u8], at: usize) -> bool {
    let mut connection = Connection::open(hub.addr());
    connection.send(bytes);
    let mut read = 0;
    let mut ended = false;
    while read < at && !ended {
        // An answer is as long as it is: 201 and its headers, and a body of one line.
        let came = connection.exactly(1);
        read += 1;
        ended = came == b"}" && !connection.readable();
    }
    connection.reset();
    !ended
}

#[test]
fn an_event_whose_request_is_cut() {
    check(one, 1, request);
}

#[test]
fn an_event_whose_answer_is_cut() {
    check(one, 1, answer);
}

#[test]
fn an_array_whose_request_is_cut() {
    check(array, 3, request);
}

#[test]
fn an_array_whose_answer_is_cut() {
    check(array, 3, answer);
}

#[test]
fn a_line_whose_request_is_cut() {
    check(line, 1, request);
}

#[test]
fn a_line_whose_answer_is_cut() {
    check(line, 1, answer);
}
