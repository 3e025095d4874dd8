//! Everything that can be switched off, on every route and every transport: by its name, by its family, and as all.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tambour::routes::{Access, ROUTES};

use super::{hub, stream_token};
use crate::refusals::{Shape, Stream, shapes};
use crate::support::authority::{blocked, by, claims_of, foreign, key, refused, switch};
use crate::support::http::Ask;
use crate::support::token::token;
use crate::support::ws::Ws;

fn can_be_off(action: &str) -> bool {
    ROUTES.iter().find(|route| route.action == action).unwrap().can_be_off()
}

fn off(addr: SocketAddr, name: &str) {
    switch(addr, &json!({ "disabled_actions": [name] }));
}

/// The same request by everything that may be shown for it: a main token, a key, a stream token in a query.
fn shown(shape: &Shape, key: &str, stream_token: &str) -> Vec<Ask> {
    let bare = shape.ask.clone().without("authorization").without("x-tenant-id").without("x-env");
    let other = match shape.stream {
        Stream::No => bare.with("authorization", &format!("Bearer {key}")),
        Stream::Page | Stream::Socket => bare.query(&format!("token={stream_token}")),
    };
    vec![shape.ask.clone(), other]
}

#[test]
fn what_is_switched_off_on_every_route() {
    let hub = hub();
    let addr = hub.addr();
    let (_, key) = key(addr, json!({ "role": "admin", "actor_type": "system" }));
    let streaming = stream_token(addr, &claims_of("alice", "admin"), &json!({}));
    let (mut walked, mut cells) = (BTreeSet::new(), 0);
    // It comes before the topic is looked for.
    for id in ["open", "never-made"] {
        for shape in shapes(id).iter().filter(|shape| can_be_off(shape.action)) {
            let family = shape.action.split('.').next().unwrap();
            for name in [shape.action, &format!("{family}.*"), "*"] {
                off(addr, name);
                for ask in shown(shape, &key, &streaming) {
                    assert_eq!(blocked(&ask.send(addr), "action"), shape.action, "{name}: {}", shape.name);
                    cells += 1;
                }
            }
            walked.insert(shape.action);
        }
    }
    let expected: BTreeSet<_> = ROUTES.iter().filter(|route| route.can_be_off()).map(|route| route.action).collect();
    assert_eq!(walked, expected);
    assert!(cells > 400, "{cells} cells");
    // Everything is off: this goes on, and neither another tenant nor another env notices.
    for path in ["/healthz", "/readyz", "/openapi.json", "/"] {
        assert_eq!(Ask::new("GET", path).send(addr).status, 200, "{path}");
    }
    for (tenant, env) in [("t_other", "dev"), ("t_demo", "prod")] {
        for shape in shapes("open").iter().filter(|shape| shape.stream == Stream::No) {
            let answer = foreign(shape.ask.clone(), tenant, env).send(addr);
            assert_ne!(answer.status, 403, "{tenant} {env} {}: {}", shape.name, answer.text());
        }
        Ws::open(addr, &foreign(Ask::new("GET", "/v1/ws"), tenant, env)).expect("welcome");
    }
    let said = Ask::by("bob", "GET", "/v1/kill-switch").send(addr).ok(200);
    assert_eq!((&said["disabled_actions"], &said["changed_by"]), (&json!(["*"]), &json!("olga")));
    assert_eq!(switch(addr, &json!({}))["disabled_actions"], json!([]));
    for kind in ["threads", "canvases"] {
        Ask::by("alice", "GET", &format!("/v1/{kind}/open")).send(addr).ok(200);
        assert_eq!(
            Ask::by("alice", "GET", &format!("/v1/{kind}")).send(addr).ok(200)[kind].as_array().unwrap().len(),
            1
        );
    }
}

#[test]
fn it_comes_behind_the_permission_and_before_the_rate() {
    let hub = crate::support::hub::Running::with(|settings| settings.rates.action_per_minute = 1);
    let addr = hub.addr();
    off(addr, "*");
    for shape in shapes("open") {
        if let (Access::Permission(_), true) = (shape.access, can_be_off(shape.action)) {
            // What members have by default is no permission that they lack.
            let member = shape.ask.clone().with("authorization", &format!("Bearer {}", token("alice", "member")));
            if shape.action != "feed.read" {
                assert_eq!(refused(&member.send(addr)), (403, "permission.denied".to_owned()), "{}", shape.name);
            }
        }
        for _ in 0..3 {
            if can_be_off(shape.action) {
                let answer = shape.ask.send(addr);
                blocked(&answer, "action");
                assert_eq!(answer.header("ratelimit-limit"), None, "what is off is not counted: {}", shape.name);
            }
        }
    }
    let put = |role: &str| by("bob", role, "PUT", "/v1/kill-switch").json(json!({})).send(addr);
    assert_eq!(refused(&put("member")), (403, "permission.denied".to_owned()));
    assert_eq!(refused(&put("admin")), (403, "permission.denied".to_owned()), "an owner put it");
}

#[test]
fn reading_and_writing_by_frames_and_streams() {
    let hub = hub();
    let addr = hub.addr();
    let mut ws = Ws::session(addr, "alice");
    let frame = |t: &str, kind: &str| json!({ "t": t, "topic": format!("{kind}/open"), "type": "note", "data": 1 });
    let subscribe = |kind: &str| json!({ "t": "subscribe", "topic": format!("{kind}/open") });
    let mut is_blocked = |frame: &Value, action: &str| {
        ws.send(frame);
        let error = ws.expect("error");
        assert_eq!((&error["code"], &error["action"]), (&json!("kill_switch.blocked"), &json!(action)), "{error}");
    };
    for (kind, family) in [("thread", "threads"), ("canvas", "canvases")] {
        let (read, publish) = (format!("{family}.read"), format!("{family}.publish"));
        for name in [&publish, &format!("{family}.*"), "*"].map(str::to_owned) {
            // All of them but the session itself, which would end.
            if name != "*" {
                off(addr, &name);
                is_blocked(&frame("publish", kind), &publish);
            }
        }
        off(addr, &read);
        is_blocked(&subscribe(kind), &read);
        // Reading is one action, whatever it goes by.
        for path in [format!("/v1/{family}/open/ws"), format!("/v1/{family}/open/events")] {
            let ask = Ask::by("alice", "GET", &path);
            let ask = if path.ends_with("ws") { ask.upgrade() } else { ask };
            assert_eq!(blocked(&ask.send(addr), "action"), read, "{path}");
        }
        let streamed = |topics: &str| Ask::stream("alice", "/v1/stream").query(&format!("topics={topics}")).send(addr);
        assert_eq!(blocked(&streamed("canvas/open,thread/open"), "action"), read);
        assert_eq!(blocked(&streamed(&format!("{kind}/never-made")), "action"), read);
        Ask::by("alice", "GET", &format!("/v1/{family}/open")).send(addr).ok(200);
    }
    off(addr, "session.open");
    assert_eq!((ws.error(), ws.closed()), ("kill_switch.blocked".to_owned(), 4403));
    // Who says hello is told the same.
    let mut late = Ws::open(addr, &Ask::new("GET", "/v1/ws"));
    late.send(
        &json!({ "t": "hello", "token": token("alice", "member"), "tenant_id": "t_demo", "env": "dev", "ref": 1 }),
    );
    let error = late.expect("error");
    assert_eq!((&error["action"], &error["ref"]), (&json!("session.open"), &json!(1)));
    assert_eq!((&error["code"], late.closed()), (&json!("kill_switch.blocked"), 4403));
    let in_subprotocol = Ask::new("GET", "/v1/ws").upgrade().with("x-tenant-id", "t_demo").with("x-env", "dev");
    let said = format!("tambour.v1, bearer.{}", token("alice", "member"));
    assert_eq!(blocked(&in_subprotocol.with("sec-websocket-protocol", &said).send(addr), "action"), "session.open");
}
