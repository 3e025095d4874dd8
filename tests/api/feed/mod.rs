//! The feed over every way to read it: what is in it, in which order, and who sees what of it.
//!
//! A reader here is SSE, a WebSocket or pages; all three must say the same.

mod changes;
mod endings;
mod load;
mod pages;
mod trims;

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::authority::{admin, by, key, put, revoke};
use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::ws::{Came, Ws};

pub(super) const PATH: &str = "/v1/feed";

/// A request for the feed by somebody with a role.
pub(super) fn feed(sub: &str, role: &str) -> Ask {
    by(sub, role, "GET", PATH)
}

/// A stream of it.
#[track_caller]
pub(super) fn stream(addr: SocketAddr, ask: &Ask) -> Stream {
    Stream::open(addr, &ask.clone().with("accept", "text/event-stream"))
}

/// The next event of a stream: its id is its place in the feed.
#[track_caller]
pub(super) fn next(stream: &mut Stream) -> Value {
    let block = stream.next().expect("the stream goes on");
    let event: Value = serde_json::from_str(&block.data).unwrap();
    assert_eq!((&event["feed_id"], event["type"].as_str()), (&json!(block.id), Some(&*block.name)), "{event}");
    event
}

/// The next event of a session; where somebody stands who sees nothing is passed over.
#[track_caller]
pub(super) fn next_frame(ws: &mut Ws) -> Value {
    loop {
        match ws.came() {
            Came::Frame(frame) if frame["t"] == "progress" => assert_eq!(frame["topic"], "feed"),
            Came::Frame(frame) => {
                assert_eq!((&frame["t"], &frame["topic"]), (&json!("event"), &json!("feed")), "{frame}");
                return frame["event"].clone();
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Where an event stands.
pub(super) fn position(event: &Value) -> u64 {
    event["feed_id"].as_str().unwrap().rsplit('.').next().unwrap().parse().unwrap()
}

/// Type and topic; of what is said about a topic, that topic.
pub(super) fn said(event: &Value) -> String {
    let routing = &event["routing"];
    let topic = ["thread_id", "canvas_id"].iter().find_map(|name| routing[name].as_str());
    let about = event["data"]["topic"].as_str().filter(|_| routing["system_id"] == "tenant");
    format!("{} {}", event["type"].as_str().unwrap(), about.or(topic).unwrap_or_default()).trim_end().to_owned()
}

/// Everything that pages have from the beginning, a few at a time.
#[track_caller]
pub(super) fn by_pages(addr: SocketAddr, ask: &Ask, limit: usize) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), "earliest".to_owned());
    loop {
        let page = ask.clone().query(&format!("after={after}&limit={limit}")).send(addr).ok(200);
        let of_page = page["events"].as_array().unwrap();
        assert!(of_page.len() <= limit);
        events.extend(of_page.iter().cloned());
        page["cursor"].as_str().unwrap().clone_into(&mut after);
        if page["has_more"] == false {
            return events;
        }
    }
}

/// The same, read from the end.
#[track_caller]
fn backwards(addr: SocketAddr, ask: &Ask, limit: usize) -> Vec<Value> {
    let page = ask.clone().query(&format!("limit={limit}")).send(addr).ok(200);
    let (mut events, mut before) = (page["events"].as_array().unwrap().clone(), page["newest"].clone());
    if let Some(first) = events.first() {
        before = first["feed_id"].clone();
    }
    loop {
        let query = format!("limit={limit}&before={}", before.as_str().unwrap());
        let page = ask.clone().query(&query).send(addr).ok(200);
        let older = page["events"].as_array().unwrap();
        events.splice(..0, older.iter().cloned());
        before = page["cursor"].clone();
        if page["has_more"] == false {
            return events;
        }
    }
}

/// Everything that somebody sees from the beginning, told alike over every wire. `end` is the last event's id in its topic.
#[track_caller]
fn everywhere(addr: SocketAddr, ask: &Ask, end: &str, filter: &Value) -> Vec<Value> {
    let query: Vec<String> = filter
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, list)| {
            let list: Vec<&str> = list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
            format!("{name}={}", list.join(","))
        })
        .collect();
    let ask = query.iter().fold(ask.clone(), |ask, pair| ask.query(pair));
    let until = |mut next: Box<dyn FnMut() -> Value + '_>| {
        let mut events = Vec::new();
        while events.last().is_none_or(|event: &Value| event["id"] != end) {
            events.push(next());
        }
        events
    };
    let mut sse = stream(addr, &ask.clone().query("after=earliest"));
    let streamed = until(Box::new(|| next(&mut sse)));
    let mut session = Ask { path: "/v1/ws".to_owned(), ..ask.clone() };
    session.method = "GET".to_owned();
    let mut ws = Ws::open(addr, &session);
    ws.expect("welcome");
    let mut start = filter.clone();
    start["after"] = "earliest".into();
    ws.subscribe("feed", &start);
    assert_eq!(until(Box::new(|| next_frame(&mut ws))), streamed);
    for limit in [2, 500] {
        assert_eq!(by_pages(addr, &ask, limit), streamed, "pages of {limit}");
        assert_eq!(backwards(addr, &ask, limit), streamed, "pages of {limit}, backwards");
    }
    assert!(streamed.windows(2).all(|pair| position(&pair[0]) < position(&pair[1])));
    streamed
}

/// The same as types and topics.
#[track_caller]
fn list(addr: SocketAddr, ask: &Ask, end: &str, filter: &Value) -> Vec<String> {
    everywhere(addr, ask, end, filter).iter().map(said).collect()
}

/// Threads of every visibility, and an event in each, the last in one that everybody reads.
fn filled() -> (Running, String) {
    let hub = Running::start();
    let addr = hub.addr();
    for (id, visibility) in [("secret", "private"), ("team", "team")] {
        let thread = json!({ "id": id, "visibility": visibility });
        Ask::by("carol", "POST", "/v1/threads").json(thread).send(addr).ok(201);
    }
    Ask::by("carol", "PUT", "/v1/threads/secret/members/mia").json(json!({ "can": "read" })).send(addr).ok(200);
    Ask::by("carol", "POST", "/v1/canvases").json(json!({ "id": "board" })).send(addr).ok(201);
    publish(addr, "carol", "secret", &json!(1));
    publish(addr, "carol", "team", &json!(2));
    let stroke = json!([{ "type": "stroke", "data": 3 }, { "type": "stroke.end", "data": 4 }]);
    Ask::by("carol", "POST", "/v1/canvases/board/events").json(stroke).send(addr).ok(201);
    let (end, _) = publish(addr, "carol", "team", &json!("the end"));
    (hub, end)
}

/// What [`filled`] did, without what only members of `secret` see.
const OPEN: [&str; 6] = [
    "thread.created thread/team",
    "canvas.created canvas/board",
    "note team",
    "stroke board",
    "stroke.end board",
    "note team",
];

#[test]
fn everybody_sees_what_they_may_in_the_order_of_commits() {
    let (hub, end) = filled();
    let (addr, none) = (hub.addr(), json!({}));
    let all = [
        "thread.created thread/secret",
        "thread.created thread/team",
        "thread.member_put thread/secret",
        "canvas.created canvas/board",
        "note secret",
        "note team",
        "stroke board",
        "stroke.end board",
        "note team",
    ];
    for (sub, role) in [("ada", "admin"), ("olga", "owner"), ("carol", "member"), ("mia", "member"), ("mia", "viewer")]
    {
        assert_eq!(list(addr, &feed(sub, role), &end, &none), all, "{sub}, {role}");
    }
    for (sub, role) in [("bob", "member"), ("vera", "viewer")] {
        assert_eq!(list(addr, &feed(sub, role), &end, &none), OPEN, "{sub}, {role}");
    }
    // Nobody of another tenant, or in another env, sees anything of it.
    for (tenant, env) in [("t_other", "dev"), ("t_demo", "prod")] {
        let elsewhere = crate::support::authority::foreign(feed("ada", "owner"), tenant, env);
        assert!(by_pages(addr, &elsewhere, 10).is_empty());
        let mut read = stream(addr, &elsewhere.query("after=earliest"));
        publish(addr, "carol", "team", &json!("not for them"));
        let own = crate::support::authority::foreign(Ask::by("", "POST", "/v1/threads"), tenant, env);
        own.json(json!({ "id": "own" })).send(addr).ok(201);
        assert_eq!(said(&next(&mut read)), "thread.created thread/own");
    }
}

#[test]
fn a_filter_leaves_out_the_rest() {
    let (hub, end) = filled();
    let addr = hub.addr();
    let check = |filter: Value, expected: &[&str]| {
        assert_eq!(list(addr, &feed("bob", "member"), &end, &filter), expected, "{filter}");
    };
    check(json!({ "types": ["note"] }), &["note team", "note team"]);
    check(json!({ "types": ["thread.*", "note"] }), &["thread.created thread/team", "note team", "note team"]);
    check(json!({ "topics": ["thread/team"] }), &["thread.created thread/team", "note team", "note team"]);
    check(json!({ "topics": ["thread/secret", "thread/team"], "types": ["note"] }), &["note team", "note team"]);
    check(json!({ "types": ["*"] }), &OPEN);
    let strokes: Vec<_> = by_pages(addr, &feed("ada", "admin").query("types=stroke&topics=canvas/board"), 5);
    assert_eq!(strokes.iter().map(said).collect::<Vec<_>>(), ["stroke board"]);
    let bob = feed("bob", "member");
    for query in ["types=", "types=No", "topics=feed", "topics=x", "fold=true", "fold=false", "nonsense=1", "limit=0"] {
        for ask in [bob.clone(), bob.clone().with("accept", "text/event-stream")] {
            assert_eq!(ask.query(query).send(addr).refusal(), (400, "query.invalid".to_owned()), "{query}");
        }
    }
    let topics = Ask::by("bob", "GET", "/v1/threads/team/events").query("types=note").send(addr);
    assert_eq!(topics.refusal(), (400, "query.invalid".to_owned()), "of the feed alone");
    let many = vec!["note"; 33].join(",");
    assert_eq!(bob.query(&format!("types={many}")).send(addr).refusal(), (400, "query.invalid".to_owned()));
}

#[test]
fn what_happens_beside_topics_is_in_it() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let thread = |method: &str, path: &str, body: Value, status: u16| {
        Ask::by("alice", method, &format!("/v1/threads/x{path}")).json(body).send(addr).ok(status);
    };
    thread("PATCH", "", json!({ "title": "other" }), 200);
    thread("PUT", "/members/mia", json!({ "can": "read" }), 200);
    thread("DELETE", "/members/mia", json!({}), 204);
    thread("POST", "/close", json!({}), 200);
    thread("DELETE", "", json!({}), 204);
    let (id, _) = key(addr, json!({}));
    admin("POST", &format!("/v1/keys/{id}/rotate")).send(addr).ok(200);
    admin("DELETE", &format!("/v1/keys/{id}")).send(addr).ok(204);
    put(addr, "dave", &json!({ "state": "suspended" }));
    revoke(addr, &json!({ "jti": "of-nobody" }));
    let mut ws = Ws::session(addr, "erin");
    admin("DELETE", "/v1/sessions?principal=erin").send(addr).ok(200);
    assert_eq!(ws.error(), "session.ended");
    create(addr, "alice", "y");
    let (end, _) = publish(addr, "alice", "y", &json!("the end"));
    let about = ["created", "changed", "member_put", "member_removed", "closed", "deleted"];
    let about: Vec<String> = about.iter().map(|deed| format!("thread.{deed} thread/x")).collect();
    let beside = ["key.created", "key.rotated", "key.revoked", "principal.changed", "tokens.revoked", "sessions.ended"];
    let behind = ["thread.created thread/y", "note y"];
    let expected: Vec<String> =
        about.iter().cloned().chain(beside.iter().chain(&behind).map(|&text| text.to_owned())).collect();
    assert_eq!(list(addr, &feed("ada", "admin"), &end, &json!({})), expected);
    let of_member: Vec<String> = about.iter().cloned().chain(behind.map(str::to_owned)).collect();
    assert_eq!(list(addr, &feed("bob", "member"), &end, &json!({})), of_member);
    let keys = feed("ada", "admin").query("types=key.*&topics=system/tenant");
    assert_eq!(by_pages(addr, &keys, 1).iter().map(said).collect::<Vec<_>>(), beside[..3]);
}
