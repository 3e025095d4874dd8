//! WebSocket sessions: hello, requests and their refs, order, renewal and expiry.
//!
//! Where a reader starts is tested in `conformance`, frames in `frames`.

use serde_json::{Value, json};

use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::raw_ws::{RawWs, TEXT, frame};
use crate::support::sse::Stream;
use crate::support::token::{ENV, TENANT, altered, claims, now, sign, token};
use crate::support::ws::{Came, Ws};

fn hello(token: &str) -> Value {
    json!({ "t": "hello", "token": token, "tenant_id": TENANT, "env": ENV, "ref": "h" })
}

fn anonymous(hub: &Running) -> Ws {
    Ws::open(hub.addr(), &Ask::new("GET", "/v1/ws"))
}

#[test]
fn hello_says_who_it_is() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let ask = Ask::new("GET", "/v1/ws").with("x-request-id", "the-upgrade");
    let mut ws = Ws::open(hub.addr(), &ask);
    // What needs no identity is answered before.
    ws.send(&json!({ "t": "ping" }));
    ws.expect("pong");
    ws.send(&hello(&token("alice", "member")));
    let welcome = ws.expect("welcome");
    assert_eq!(welcome["ref"], "h");
    assert_eq!([&welcome["sub"], &welcome["tenant_id"], &welcome["env"]], ["alice", TENANT, ENV]);
    assert_eq!((&welcome["request_id"], &welcome["heartbeat_seconds"]), (&json!("the-upgrade"), &json!(25)));
    ws.subscribe("thread/x", &json!({}));
}

#[test]
fn hello_that_is_refused() {
    let hub = Running::start();
    let refused = |frame: &Value| {
        let mut ws = anonymous(&hub);
        ws.send(frame);
        let error = ws.expect("error");
        (error["code"].as_str().unwrap().to_owned(), ws.closed())
    };
    let good = hello(&token("alice", "member"));
    let but = |changes: Value| altered(good.clone(), changes);
    let expired = sign(&altered(claims("alice", "member"), json!({ "exp": now() - 60 })));
    for (frame, code, close) in [
        (json!({ "t": "subscribe", "topic": "thread/x" }), "hello.missing", 4401),
        (json!({ "t": "publish", "topic": "thread/x", "type": "a", "data": 1 }), "hello.missing", 4401),
        (json!({ "t": "auth", "token": "x" }), "hello.missing", 4401),
        (but(json!({ "token": "x" })), "auth.token_invalid", 4401),
        (but(json!({ "token": expired })), "auth.token_expired", 4401),
        (but(json!({ "tenant_id": "demo" })), "context.malformed", 4400),
        (but(json!({ "tenant_id": "t_other" })), "auth.tenant_mismatch", 4403),
        (but(json!({ "token": null })), "frame.malformed", 4400),
    ] {
        assert_eq!(refused(&frame), (code.to_owned(), close), "{frame}");
    }
    // What the upgrade said must agree.
    let mut ws = Ws::open(hub.addr(), &Ask::new("GET", "/v1/ws").with("x-env", "prod"));
    ws.send(&good);
    assert_eq!((ws.error().as_str(), ws.closed()), ("context.mismatch", 4400));
}

#[test]
fn hello_too_late() {
    let hub = Running::with(|set| set.session.hello_timeout_ms = 200);
    let mut ws = anonymous(&hub);
    assert_eq!((ws.error().as_str(), ws.closed()), ("hello.late", 4408));
    // A hello in time is not forgotten by the alarm.
    let mut ws = anonymous(&hub);
    ws.send(&hello(&token("alice", "member")));
    ws.expect("welcome");
    let mut late = anonymous(&hub);
    assert_eq!((late.error().as_str(), late.closed()), ("hello.late", 4408), "as long as the other one had");
    ws.send(&json!({ "t": "ping" }));
    ws.expect("pong");
}

#[test]
fn refused_requests_keep_the_session() {
    let hub = Running::with(|set| set.session.topics_max = 2);
    for id in ["a", "b", "c"] {
        create(hub.addr(), "alice", id);
    }
    Ask::by("carol", "POST", "/v1/threads")
        .json(json!({ "id": "p", "visibility": "private" }))
        .send(hub.addr())
        .ok(201);
    let mut ws = Ws::session(hub.addr(), "alice");
    let mut refused = |frame: Value, code: &str| {
        let reference = json!(frame.to_string().chars().take(50).collect::<String>());
        let mut sent = frame;
        sent["ref"] = reference.clone();
        ws.send(&sent);
        let error = ws.expect("error");
        assert_eq!((&error["code"], &error["ref"]), (&json!(code), &reference), "{error}");
    };
    refused(json!({ "t": "subscribe", "topic": "thread/nope" }), "topic.unknown");
    refused(json!({ "t": "subscribe", "topic": "canvas/a" }), "topic.unknown");
    refused(json!({ "t": "subscribe", "topic": "thread/p" }), "permission.denied");
    refused(json!({ "t": "subscribe", "topic": "room/a" }), "name.invalid");
    refused(json!({ "t": "subscribe", "topic": "thread/a/b" }), "name.invalid");
    refused(json!({ "t": "subscribe", "topic": "thread/a", "after": "x" }), "cursor.malformed");
    refused(json!({ "t": "subscribe", "topic": "thread/a", "last": 501 }), "query.invalid");
    refused(json!({ "t": "unsubscribe", "topic": "thread/a" }), "session.not_subscribed");
    refused(json!({ "t": "publish", "topic": "thread/nope", "type": "a", "data": 1 }), "topic.unknown");
    refused(json!({ "t": "publish", "topic": "thread/a", "type": "A", "data": 1 }), "type.invalid");
    refused(json!({ "t": "publish", "topic": "thread/a", "type": "gap", "data": 1 }), "type.reserved");
    refused(json!({ "t": "publish", "topic": "thread/a", "type": "a", "data": "x".repeat(65_536) }), "event.too_large");
    ws.subscribe("thread/a", &json!({}));
    ws.subscribe("thread/b", &json!({}));
    ws.send(&json!({ "t": "subscribe", "topic": "thread/a", "ref": 1 }));
    assert_eq!(ws.error(), "session.subscribed");
    ws.send(&json!({ "t": "subscribe", "topic": "thread/c" }));
    assert_eq!(ws.error(), "session.topics");
    publish(hub.addr(), "alice", "b", &json!(1));
    assert_eq!(ws.event()["seq"], 1, "the session goes on");
}

#[test]
fn unsubscribed_is_unsubscribed() {
    let hub = Running::start();
    create(hub.addr(), "alice", "a");
    create(hub.addr(), "alice", "b");
    let mut ws = Ws::session(hub.addr(), "alice");
    ws.subscribe("thread/a", &json!({}));
    ws.subscribe("thread/b", &json!({}));
    publish(hub.addr(), "alice", "a", &json!(1));
    let first = ws.event()["id"].as_str().unwrap().to_owned();
    ws.send(&json!({ "t": "unsubscribe", "topic": "thread/a", "ref": 1 }));
    assert_eq!(ws.expect("unsubscribed"), json!({ "t": "unsubscribed", "topic": "thread/a", "ref": 1 }));
    publish(hub.addr(), "alice", "a", &json!(2));
    publish(hub.addr(), "alice", "b", &json!(1));
    assert_eq!(ws.event()["routing"]["thread_id"], "b", "nothing of a came between");
    // And again, from where it was.
    let subscribed = ws.subscribe("thread/a", &json!({ "after": first }));
    assert_eq!(subscribed["resumed"], true);
    assert_eq!(ws.event()["seq"], 2);
}

#[test]
fn publishes_of_a_session_keep_their_order() {
    const PUBLISHES: u64 = 400;
    let hub = Running::start();
    create(hub.addr(), "alice", "order");
    create(hub.addr(), "alice", "other");
    let mut ws = RawWs::session(hub.addr(), "alice");
    let publish = |n: u64, topic: &str| {
        let json = json!({ "t": "publish", "topic": format!("thread/{topic}"), "type": "note", "data": n, "ref": n });
        frame(TEXT, json.to_string().as_bytes())
    };
    // Far more than may be unanswered, in one go; a topic between them that must be found first.
    let all: Vec<u8> = (0..PUBLISHES).flat_map(|n| publish(n, if n % 50 == 7 { "other" } else { "order" })).collect();
    ws.0.send(&all);
    let (mut answered, mut seqs) = (vec![0; usize::try_from(PUBLISHES).unwrap()], Vec::new());
    for _ in 0..PUBLISHES {
        let frame = ws.json();
        assert_eq!(frame["t"], "published", "{frame}");
        let n = frame["ref"].as_u64().unwrap();
        answered[usize::try_from(n).unwrap()] += 1;
        if n % 50 != 7 {
            seqs.push((n, frame["seq"].as_u64().unwrap()));
        }
    }
    assert!(answered.iter().all(|count| *count == 1), "each is answered once");
    assert!(seqs.is_sorted(), "answers of a topic come in the order of the requests");
    let page = Ask::by("alice", "GET", "/v1/threads/order/events?limit=500&after=earliest").send(hub.addr()).ok(200);
    let written: Vec<u64> = page["events"].as_array().unwrap().iter().map(|e| e["data"].as_u64().unwrap()).collect();
    assert_eq!(written, (0..PUBLISHES).filter(|n| n % 50 != 7).collect::<Vec<_>>());
}

#[test]
fn expiry_is_told_and_kept() {
    let hub = Running::with(|set| set.session.expiry_warning_seconds = 3_600);
    create(hub.addr(), "alice", "x");
    let expiring = |seconds: i64| sign(&altered(claims("alice", "member"), json!({ "exp": now() + seconds })));
    let ask = |path: &str| Ask::by("alice", "GET", path).with("authorization", &format!("Bearer {}", expiring(2)));
    // A session ends at `exp`: the leeway is for tokens that are presented, not for sessions that go on.
    let mut ws = Ws::open(hub.addr(), &ask("/v1/threads/x/ws"));
    ws.expect("welcome");
    ws.expect("subscribed");
    ws.expect("token_expiring");
    assert_eq!((ws.error().as_str(), ws.closed()), ("auth.token_expired", 4401));
    let mut stream = Stream::open(hub.addr(), &ask("/v1/threads/x/events").with("accept", "text/event-stream"));
    assert_eq!(stream.named().0, "token_expiring");
    assert_eq!(stream.next(), None);
}

#[test]
fn auth_renews_a_session() {
    let hub = Running::with(|set| set.session.expiry_warning_seconds = 1);
    create(hub.addr(), "alice", "x");
    let expiring = |sub: &str, seconds: i64| sign(&altered(claims(sub, "member"), json!({ "exp": now() + seconds })));
    let ask = Ask::by("alice", "GET", "/v1/ws").with("authorization", &format!("Bearer {}", expiring("alice", 2)));
    let mut ws = Ws::open(hub.addr(), &ask);
    ws.expect("welcome");
    let warned = ws.expect("token_expiring");
    let renewed = expiring("alice", 600);
    ws.send(&json!({ "t": "auth", "token": renewed, "ref": 9 }));
    let welcome = ws.expect("welcome");
    assert_eq!((&welcome["ref"], &welcome["sub"]), (&json!(9), &json!("alice")));
    assert!(welcome["expires_at"].as_str() > warned["expires_at"].as_str());
    // A session that was not renewed ends meanwhile; this one does not.
    let mut other = Ws::open(hub.addr(), &ask.with("authorization", &format!("Bearer {}", expiring("alice", 2))));
    while !matches!(other.came(), Came::Closed(4401)) {}
    ws.send(&json!({ "t": "ping" }));
    ws.expect("pong");
    // Nobody else takes a session over.
    ws.send(&json!({ "t": "auth", "token": expiring("mallory", 600) }));
    assert_eq!((ws.error().as_str(), ws.closed()), ("auth.identity_changed", 4403));
    let mut ws = Ws::session(hub.addr(), "alice");
    ws.send(&json!({ "t": "auth", "token": "nonsense" }));
    assert_eq!((ws.error().as_str(), ws.closed()), ("auth.token_invalid", 4401));
}
