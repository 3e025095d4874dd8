//! What a stream token opens: SSE, WebSockets in every way that they say who they are, and long polls.

use serde_json::{Value, json};

use tambour::routes::{Access, ROUTES};

use super::{EVENTS, Tab, issue, url};
use crate::support::authority::by;
use crate::support::http::{Ask, Connection, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::token::token;
use crate::support::ws::Ws;

fn hub() -> Running {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    hub
}

#[test]
fn an_event_source_in_every_way() {
    let hub = hub();
    publish(hub.addr(), "alice", "x", &json!(1));
    let token = issue(hub.addr(), "alice", &json!({}));
    let plain = Ask::new("GET", EVENTS).with("accept", "text/event-stream").query("after=earliest");
    for ask in [
        plain.clone().query(&format!("token={token}")),
        plain.clone().with("authorization", &format!("Bearer {token}")),
        // The header wins.
        plain.with("authorization", &format!("Bearer {token}")).query("token=nonsense"),
    ] {
        let mut stream = Stream::open(hub.addr(), &ask);
        assert_eq!(stream.event()["data"], 1);
    }
    let gone = format!("tst_{}", "A".repeat(43));
    for wrong in [gone.as_str(), "tst_x", "tst_"] {
        assert_eq!(url(EVENTS, wrong).send(hub.addr()).refusal(), (401, "auth.token_invalid".to_owned()), "{wrong}");
    }
}

#[test]
fn a_websocket_in_every_way() {
    let hub = hub();
    let token = issue(hub.addr(), "alice", &json!({ "rights": ["read", "write"] }));
    let upgrade = |path: &str| Ask::new("GET", path);
    let by_query = upgrade("/v1/ws").query(&format!("token={token}"));
    let by_header = upgrade("/v1/ws").with("authorization", &format!("Bearer {token}"));
    let by_subprotocol = upgrade("/v1/ws").with("sec-websocket-protocol", &format!("tambour.v1, bearer.{token}"));
    let mut last: Option<Ws> = None;
    for ask in [Some(by_query), Some(by_header), Some(by_subprotocol), None] {
        let mut ws = Ws::open(hub.addr(), &ask.clone().unwrap_or_else(|| upgrade("/v1/ws")));
        if ask.is_none() {
            // The token knows where it acts.
            ws.send(&json!({ "t": "hello", "token": token }));
        }
        assert_eq!(ws.expect("welcome")["sub"], "alice");
        // Each takes over from the one before.
        if let Some(mut before) = last.take() {
            before.expect("replaced");
            assert_eq!(before.closed(), 4409);
        }
        ws.send(&json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": 1 }));
        ws.expect("published");
        last = Some(ws);
    }
    let mut of_topic = Ws::open(hub.addr(), &upgrade("/v1/threads/x/ws").query(&format!("token={token}")));
    of_topic.expect("welcome");
    of_topic.expect("subscribed");
    last.unwrap().expect("replaced");
}

#[test]
fn a_hello_with_what_is_no_token() {
    let hub = hub();
    let mut ws = Ws::open(hub.addr(), &Ask::new("GET", "/v1/ws"));
    ws.send(&json!({ "t": "hello", "token": format!("tst_{}", "A".repeat(43)), "tenant_id": "t_demo", "env": "dev" }));
    assert_eq!((ws.error().as_str(), ws.closed()), ("auth.token_invalid", 4401));
}

#[test]
fn without_the_right_to_write_nothing_is_written() {
    let hub = hub();
    let token = issue(hub.addr(), "alice", &json!({}));
    let mut ws = Ws::open(hub.addr(), &Ask::new("GET", "/v1/ws").query(&format!("token={token}")));
    ws.expect("welcome");
    ws.subscribe("thread/x", &json!({}));
    ws.send(&json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": 1 }));
    assert_eq!(ws.error(), "permission.denied");
    // It goes on, and may become somebody who writes.
    ws.send(&json!({ "t": "auth", "token": issue(hub.addr(), "alice", &json!({ "rights": ["read", "write"] })) }));
    ws.expect("welcome");
    ws.send(&json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": 2 }));
    ws.expect("published");
}

#[test]
fn a_session_is_renewed_by_the_same_sub_alone() {
    let hub = hub();
    create(hub.addr(), "alice", "y");
    let all = issue(hub.addr(), "alice", &json!({}));
    let mut ws = Ws::open(hub.addr(), &Ask::new("GET", "/v1/ws").query(&format!("token={all}")));
    ws.expect("welcome");
    ws.subscribe("thread/x", &json!({}));
    ws.subscribe("thread/y", &json!({}));
    ws.send(&json!({ "t": "auth", "token": issue(hub.addr(), "bob", &json!({})) }));
    assert_eq!((ws.error().as_str(), ws.closed()), ("auth.identity_changed", 4403));

    // What the new token is not for ends, and the old token is given back: another stream opens with it alone.
    let mut ws = Ws::open(hub.addr(), &Ask::new("GET", "/v1/ws").query(&format!("token={all}")));
    ws.expect("welcome");
    ws.subscribe("thread/x", &json!({}));
    ws.subscribe("thread/y", &json!({}));
    let narrow = issue(hub.addr(), "alice", &json!({ "topics": ["thread/x"] }));
    ws.send(&json!({ "t": "auth", "token": narrow }));
    ws.expect("welcome");
    let ended = ws.expect("subscription_ended");
    assert_eq!((&ended["topic"], &ended["reason"]), (&json!("thread/y"), &json!("forbidden")));
    let _tab = Tab::open(hub.addr(), EVENTS, &all);
    publish(hub.addr(), "alice", "x", &json!("still here"));
    assert_eq!(ws.event()["data"], "still here");
    // And who opens with the new one takes it over.
    let _other = Tab::open(hub.addr(), EVENTS, &narrow);
    ws.expect("replaced");
    assert_eq!(ws.closed(), 4409);
}

#[test]
fn a_main_token_renews_what_a_stream_token_opened() {
    let hub = hub();
    let narrow = issue(hub.addr(), "alice", &json!({ "topics": ["thread/x"] }));
    let mut ws = Ws::open(hub.addr(), &Ask::new("GET", "/v1/ws").query(&format!("token={narrow}")));
    ws.expect("welcome");
    ws.send(&json!({ "t": "auth", "token": token("alice", "member") }));
    ws.expect("welcome");
    let _tab = Tab::open(hub.addr(), EVENTS, &narrow);
    ws.subscribe("thread/x", &json!({}));
}

fn poll(token: &str, query: &str) -> Ask {
    Ask::new("GET", EVENTS).query(query).query(&format!("token={token}"))
}

fn seqs(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

#[test]
fn long_polls_open_and_give_back() {
    let hub = hub();
    let token = issue(hub.addr(), "alice", &json!({}));
    let mut cursor = "earliest".to_owned();
    for n in 1..=3 {
        publish(hub.addr(), "alice", "x", &json!(n));
        let page = poll(&token, &format!("after={cursor}&wait=60")).send(hub.addr()).ok(200);
        assert_eq!(seqs(&page), [n]);
        cursor = page["cursor"].as_str().unwrap().to_owned();
    }
    let mut waits = Connection::open(hub.addr());
    waits.send(&poll(&token, &format!("after={cursor}&wait=60")).bytes());
    // Whoever is newer takes over.
    while !waits.readable() {
        let mut newer = Connection::open(hub.addr());
        newer.send(&url(EVENTS, &token).bytes());
        assert_eq!(newer.head().status, 200);
    }
    assert_eq!(waits.answer().refusal(), (409, "session.replaced".to_owned()));
    // A page that does not wait is no stream.
    assert_eq!(poll(&token, "wait=0").send(hub.addr()).refusal(), (401, "auth.token_missing".to_owned()));
}

/// Headers make no stream of what is none.
#[test]
fn it_opens_no_other_route_whatever_the_headers_say() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let owner = by("olga", "owner", "POST", "/v1/stream-tokens").json(json!({})).send(addr).ok(201);
    let token = owner["token"].as_str().unwrap();
    for route in ROUTES.iter().filter(|route| (route.method)() == "GET" && route.access != Access::Public) {
        let path = route.path.replace("{id}", "x").replace("{sub}", "bob").replace("{key}", "key:1");
        let bearer = ("authorization", format!("Bearer {token}"));
        for ask in [
            url(&path, token),
            Ask::new("GET", &path).with(bearer.0, &bearer.1).with("accept", "text/event-stream"),
            Ask::new("GET", &path).with(bearer.0, &bearer.1).upgrade(),
            Ask::new("GET", &path).query(&format!("wait=1&token={token}")),
            Ask::new("GET", &path).with(bearer.0, &bearer.1),
        ] {
            let mut connection = Connection::open(addr);
            connection.send(&ask.bytes());
            let status = connection.head().status;
            let is_stream = ["read", "stream", "open"].contains(&route.action.rsplit('.').next().unwrap());
            assert!(is_stream || status == 401, "{}: {status} for {ask:?}", route.action);
        }
    }
}
