//! What an event carries, whoever reads it: the publisher's ids and routing, never the reader's.
//!
//! Also that every reader gets the same event, and only in its own tenant and env.

use serde_json::{Value, json};

use crate::support::http::{Ask, create};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::token::TENANT;
use crate::support::ws::Ws;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[test]
fn an_event_is_its_publishers() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let reading = |ask: Ask| ask.with("x-request-id", "the-readers").with("x-run-id", "the-readers");
    let mut stream = Stream::open(hub.addr(), &reading(Ask::stream("bob", "/v1/threads/x/events")));
    assert_eq!(stream.connected["request_id"], "the-readers");
    let mut ws = Ws::open(hub.addr(), &reading(Ask::by("carol", "GET", "/v1/threads/x/ws")));
    assert_eq!(ws.expect("welcome")["request_id"], "the-readers");
    ws.expect("subscribed");
    let mut ask = Ask::by("alice", "POST", "/v1/threads/x/events").with("x-request-id", "the-publishers");
    ask = ask.with("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01"));
    for key in ["project", "app", "surface", "device", "run", "step"] {
        ask = ask.with(&format!("x-{key}-id"), &format!("{key}-1"));
    }
    let published = ask.json(json!({ "type": "chat_message", "data": { "text": "hi" } })).send(hub.addr()).ok(201);
    let expected = json!({
        "v": 1, "id": published["id"], "seq": 1, "type": "chat_message",
        "routing": {
            "tenant_id": TENANT, "env": "dev", "thread_id": "x", "actor_id": "alice", "actor_type": "human",
            "project_id": "project-1", "app_id": "app-1", "surface_id": "surface-1", "device_id": "device-1",
            "run_id": "run-1", "step_id": "step-1",
        },
        "data": { "text": "hi" },
        "meta": { "request_id": "the-publishers", "trace_id": TRACE },
    });
    let same = |mut event: Value, how: &str| {
        let time = event.as_object_mut().unwrap().remove("time").unwrap();
        let time = time.as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && time.starts_with("20"), "{time}");
        assert_eq!(event, expected, "{how}");
    };
    same(stream.event(), "SSE, live");
    same(ws.event(), "WebSocket, live");
    same(Stream::open(hub.addr(), &reading(Ask::stream("bob", "/v1/threads/x/events?last=1"))).event(), "SSE, later");
    let page = reading(Ask::by("bob", "GET", "/v1/threads/x/events")).send(hub.addr()).ok(200);
    same(page["events"][0].clone(), "page");
    let hub = hub.restart(|_| {});
    same(
        Stream::open(hub.addr(), &reading(Ask::stream("bob", "/v1/threads/x/events?last=1"))).event(),
        "from the disk",
    );
}

#[test]
fn what_a_session_publishes_has_the_ids_of_its_upgrade() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let ask = Ask::by("alice", "GET", "/v1/ws").with("x-request-id", "upgrade").with("x-app-id", "app");
    let mut ws = Ws::open(hub.addr(), &ask);
    ws.expect("welcome");
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", "/v1/threads/x/events"));
    // What a payload says of its sender is data and nothing else.
    let data = json!({ "routing": { "actor_id": "mallory" }, "meta": {} });
    ws.send(&json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": data }));
    ws.expect("published");
    let event = stream.event();
    assert_eq!((&event["routing"]["actor_id"], &event["routing"]["app_id"]), (&json!("alice"), &json!("app")));
    assert_eq!(event["meta"], json!({ "request_id": "upgrade", "trace_id": "upgrade" }));
    assert_eq!(event["data"], data);
    for forged in [json!({ "routing": {} }), json!({ "meta": {} }), json!({ "actor_id": "x" }), json!({ "seq": 1 })] {
        let mut body = json!({ "type": "note", "data": 1 });
        body.as_object_mut().unwrap().extend(forged.as_object().unwrap().clone());
        let answer = Ask::by("alice", "POST", "/v1/threads/x/events").json(body).send(hub.addr());
        assert_eq!(answer.refusal(), (400, "body.invalid".to_owned()));
    }
}

#[test]
fn topics_of_one_name_are_apart() {
    let hub = Running::start();
    let places = [("t_demo", "dev"), ("t_demo", "staging"), ("t_two", "dev")];
    let ask = |(tenant, env): (&str, &str), method: &str, path: &str| {
        let claims = json!({
            "sub": "alice", "exp": crate::support::token::now() + 600, "tenant_ids": ["t_demo", "t_two"],
            "role_map": { "t_demo": "member", "t_two": "member" },
        });
        let token = crate::support::token::sign(&claims);
        let ask = Ask::new(method, path).with("authorization", &format!("Bearer {token}"));
        ask.with("x-tenant-id", tenant).with("x-env", env)
    };
    let mut streams = Vec::new();
    for place in places {
        ask(place, "POST", "/v1/threads").json(json!({ "id": "same" })).send(hub.addr()).ok(201);
        let read = ask(place, "GET", "/v1/threads/same/events").with("accept", "text/event-stream");
        streams.push(Stream::open(hub.addr(), &read));
    }
    for place in places {
        let body = json!({ "type": "note", "data": format!("{}/{}", place.0, place.1) });
        ask(place, "POST", "/v1/threads/same/events").json(body).send(hub.addr()).ok(201);
    }
    let mut cursors = Vec::new();
    for (stream, place) in streams.iter_mut().zip(places) {
        let event = stream.event();
        assert_eq!((&event["seq"], &event["data"]), (&json!(1), &json!(format!("{}/{}", place.0, place.1))));
        assert_eq!(stream.last_event_id(), event["id"].as_str().unwrap());
        cursors.push(event["id"].as_str().unwrap().to_owned());
    }
    // One's cursor is nobody's cursor elsewhere.
    let read = ask(places[0], "GET", &format!("/v1/threads/same/events?after={}", cursors[2]));
    assert_eq!(read.send(hub.addr()).gone(), "unknown");
}
