//! Refusals in frames, in the audit: each has an entry, whoever refused it, and the entry says from where and by which upgrade
//! it was asked.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::audit::{audit, told};
use crate::support::authority::{by, put, switch};
use crate::support::eventually;
use crate::support::http::{Ask, create};
use crate::support::hub::Running;
use crate::support::token::token;
use crate::support::ws::Ws;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A request with ids of its own.
fn with_ids(ask: Ask, request_id: &str) -> Ask {
    ask.with("x-request-id", request_id).with("traceparent", &format!("00-{TRACE}-b7ad6b7169203331-01"))
}

/// A session whose upgrade has ids of its own.
#[track_caller]
fn session(addr: SocketAddr, sub: &str) -> Ws {
    let mut ws = Ws::open(addr, &with_ids(by(sub, "member", "GET", "/v1/ws"), &format!("upgrade-of-{sub}")));
    ws.expect("welcome");
    ws
}

/// The entries of what was refused to somebody, as soon as there are so many; no more come. Each says by which upgrade.
#[track_caller]
fn refused(addr: SocketAddr, sub: &str, count: usize) -> Vec<Value> {
    let entries = eventually("the entries", || {
        let entries = audit(addr, &format!("outcome=refused&actor={sub}"));
        (entries.len() >= count).then_some(entries)
    });
    assert_eq!(entries.len(), count, "{entries:?}");
    for entry in &entries {
        let said = json!([entry["request_id"], entry["trace_id"], entry["ip"], entry["actor"]["sub"]]);
        assert_eq!(said, json!([format!("upgrade-of-{sub}"), TRACE, "127.0.0.1", sub]), "{entry}");
    }
    entries
}

/// Codes of entries, the oldest first.
fn codes(entries: &[Value]) -> Vec<&str> {
    entries.iter().rev().map(|entry| entry["code"].as_str().unwrap()).collect()
}

#[test]
fn what_the_topic_itself_refuses_has_an_entry_as_over_http() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let event = by("alice", "member", "POST", "/v1/threads/x/events").json(json!({ "type": "note", "data": 1 }));
    let id = event.send(addr).ok(201)["id"].clone();
    let append = by("bob", "member", "POST", "/v1/threads/x/events");
    let append = with_ids(append, "upgrade-of-bob").json(json!({ "append": { "event_id": id, "data": "x" } }));
    assert_eq!(append.send(addr).refusal(), (403, "append.forbidden".to_owned()));
    let over_http = refused(addr, "bob", 1);
    let mut ws = session(addr, "bob");
    ws.send(&json!({ "t": "append", "topic": "thread/x", "event_id": id, "data": "x" }));
    assert_eq!(ws.error(), "append.forbidden");
    let both = refused(addr, "bob", 2);
    for of in ["action", "resource", "actor", "code", "outcome", "ip", "trace_id", "request_id"] {
        assert_eq!(both[0][of], over_http[0][of], "{of}");
    }
    // What is no 403 has none, and what follows is counted from here.
    ws.send(&json!({ "t": "append", "topic": "thread/x", "event_id": "x", "data": "x" }));
    assert_eq!(ws.error(), "cursor.malformed");
    ws.send(&json!({ "t": "subscribe", "topic": "thread/nowhere" }));
    assert_eq!(ws.error(), "topic.unknown");
    ws.send(&json!({ "t": "append", "topic": "thread/x", "event_id": id, "data": "x" }));
    assert_eq!(ws.error(), "append.forbidden");
    assert_eq!(told(&refused(addr, "bob", 3)), ["threads.publish thread/x refused"; 3]);
}

#[test]
fn what_admission_refuses_says_by_which_upgrade() {
    let hub = Running::with(|settings| settings.rates.publish_per_minute = 1);
    let addr = hub.addr();
    create(addr, "alice", "x");
    let private = json!({ "id": "private", "visibility": "private" });
    Ask::by("carol", "POST", "/v1/threads").json(private).send(addr).ok(201);
    switch(addr, &json!({ "disable_providers": ["acme"] }));
    let mut ws = session(addr, "alice");
    ws.send(&json!({ "t": "subscribe", "topic": "thread/private" }));
    assert_eq!(ws.error(), "permission.denied");
    let call = json!({ "name": "x", "provider": "acme" });
    ws.send(&json!({ "t": "publish", "topic": "thread/x", "type": "run_start", "data": call }));
    assert_eq!(ws.error(), "kill_switch.blocked");
    ws.send(&json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": 1 }));
    assert_eq!(ws.error(), "rate.limited");
    switch(addr, &json!({ "disabled_actions": ["canvases.*"] }));
    ws.send(&json!({ "t": "publish", "topic": "canvas/x", "type": "note", "data": 1 }));
    assert_eq!(ws.error(), "kill_switch.blocked");
    let entries = refused(addr, "alice", 4);
    let expected = [
        "threads.read thread/private",
        "threads.publish thread/x",
        "threads.publish thread/x",
        "canvases.publish canvas/x",
    ];
    assert_eq!(told(&entries), expected.map(|told| format!("{told} refused")));
    assert_eq!(codes(&entries), ["permission.denied", "kill_switch.blocked", "rate.limited", "kill_switch.blocked"]);
}

#[test]
fn a_renewal_that_is_refused_says_by_which_upgrade() {
    let hub = Running::start();
    let addr = hub.addr();
    let mut ws = session(addr, "alice");
    // Whose the token is, is known: it is they who are told of.
    let other = token("bob", "member");
    ws.send(&json!({ "t": "auth", "token": other }));
    assert_eq!(ws.error(), "auth.identity_changed");
    let entries = eventually("an entry", || {
        Some(audit(addr, "outcome=refused&action=session.renew")).filter(|entries| !entries.is_empty())
    });
    assert_eq!(told(&entries), ["session.renew session refused"]);
    let said = json!([entries[0]["request_id"], entries[0]["trace_id"], entries[0]["ip"]]);
    assert_eq!(said, json!(["upgrade-of-alice", TRACE, "127.0.0.1"]));
}

#[test]
fn a_session_that_began_with_hello_is_like_any_other() {
    let hub = Running::start();
    let addr = hub.addr();
    let private = json!({ "id": "private", "visibility": "private" });
    Ask::by("carol", "POST", "/v1/threads").json(private).send(addr).ok(201);
    let hello = |ws: &mut Ws| {
        ws.send(&json!({ "t": "hello", "token": token("bob", "member"), "tenant_id": "t_demo", "env": "dev" }));
    };
    let open = || Ws::open(addr, &with_ids(Ask::new("GET", "/v1/ws"), "upgrade-of-bob"));
    let mut ws = open();
    hello(&mut ws);
    ws.expect("welcome");
    ws.send(&json!({ "t": "publish", "topic": "thread/private", "type": "note", "data": 1 }));
    assert_eq!(ws.error(), "permission.denied");
    refused(addr, "bob", 1);
    put(addr, "bob", &json!({ "state": "suspended" }));
    let mut ws = open();
    hello(&mut ws);
    assert_eq!(ws.error(), "auth.suspended");
    let entries = refused(addr, "bob", 2);
    assert_eq!(told(&entries), ["threads.publish thread/private refused", "session.open session refused"]);
}
