//! The table of refusals, walked over every route of the hub's own table: a route that forgets a check fails here.
//!
//! What a route does when nothing is refused is tested elsewhere; here it is only known how to ask for it.

use std::net::SocketAddr;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tambour::routes::{Access, ROUTES};
use tambour::transport::console;

use crate::support::http::{Answer, Ask};
use crate::support::hub::Running;
use crate::support::token::{TENANT, altered, claims, now, sign, sign_with, token};
use crate::support::ws::Ws;

/// A request that would be answered, one for each way to use a route.
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) action: &'static str,
    pub(crate) access: Access,
    pub(crate) stream: Stream,
    pub(crate) ask: Ask,
}

impl Shape {
    /// Whether a rate bounds how often it may be.
    pub(crate) fn is_rated(&self) -> bool {
        let route = ROUTES.iter().find(|route| route.action == self.action).expect("a shape has a route");
        self.stream == Stream::No && route.rate().is_some()
    }
}

/// Whether something is a stream request, and what becomes of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    No,
    /// A page that waits.
    Page,
    /// Over SSE or WebSocket.
    Socket,
}

/// The id of an event that is nowhere.
const SOME_EVENT: &str = "AAAAAAAAAAAAAAAA.1";
/// The id of a service key that is nowhere.
const SOME_KEY: &str = "key:019ab0c4-7a3e-7cc0-8f0e-3d1c2b4a5968";

/// The connection of a session that is nowhere.
const SOME_SESSION: &str = "019ab0c4-7a3e-7cc0-8f0e-3d1c2b4a5968";

/// A route's path with names in the places of names.
pub(crate) fn path(route: &str, id: &str) -> String {
    let path = route.replace("{id}", id).replace("{sub}", "dave").replace("{event_id}", SOME_EVENT);
    path.replace("{key}", SOME_KEY).replace("{connection_id}", SOME_SESSION)
}

/// A thread and a canvas of one name.
pub(crate) fn create_both(addr: SocketAddr, sub: &str, body: &Value) {
    for kind in ["threads", "canvases"] {
        Ask::by(sub, "POST", &format!("/v1/{kind}")).json(body).send(addr).ok(201);
    }
}

/// Every way to use every route that is not public, for a topic.
pub(crate) fn shapes(id: &str) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for route in ROUTES.iter().filter(|route| route.access != Access::Public) {
        let method = (route.method)();
        let ask = Ask::by("alice", method.as_str(), &path(route.path, id));
        let ask = match route.access {
            Access::Permission(_) => ask.with("authorization", &format!("Bearer {}", token("alice", "admin"))),
            _ => ask,
        };
        let mut shape = |name: &str, stream, ask| {
            let name = format!("{method} {} {name}", route.path);
            shapes.push(Shape { name, action: route.action, access: route.access, stream, ask });
        };
        match route.action.strip_prefix("threads.").or(route.action.strip_prefix("canvases.")).unwrap_or(route.action) {
            "create" => shape("", Stream::No, ask.json(json!({ "title": "made" }))),
            "change" => shape("", Stream::No, ask.json(json!({ "title": "changed" }))),
            "publish" => shape("", Stream::No, ask.json(json!({ "type": "note", "data": 1 }))),
            "keys.create" => {
                let key = json!({ "name": "bot", "actor_type": "agent", "role": "member" });
                shape("", Stream::No, ask.json(key));
            }
            "principals.put" => shape("", Stream::No, ask.json(json!({ "state": "active" }))),
            "revocations.create" => shape("", Stream::No, ask.json(json!({ "jti": "of-nobody" }))),
            "keys.list" | "keys.rotate" | "keys.revoke" | "principals.get" => shape("", Stream::No, ask),
            "stats.show" | "kill_switches.show" | "sessions.list" | "audit.list" | "audit.verify" | "audit.export" => {
                shape("", Stream::No, ask);
            }
            "kill_switches.put" => shape("", Stream::No, ask.json(json!({}))),
            "sessions.end_one" => shape("", Stream::No, ask),
            "sessions.end" => shape("", Stream::No, ask.query("principal=alice")),
            "stream_tokens.create" => shape("", Stream::No, ask.json(json!({ "rights": ["read"] }))),
            "limits.show" | "list" | "get" | "snapshot" | "close" | "delete" => shape("", Stream::No, ask),
            "members.put" | "members.remove" | "redact" => shape("", Stream::No, ask),
            "read" | "feed.read" => {
                shape("page", Stream::No, ask.clone());
                shape("long poll", Stream::Page, ask.clone().query("after=earliest&wait=30"));
                shape("sse", Stream::Socket, ask.with("accept", "text/event-stream"));
            }
            "stream.open" => {
                let ask = ask.query(&format!("topics=thread/{id},canvas/{id}"));
                shape("sse", Stream::Socket, ask.with("accept", "text/event-stream"));
            }
            "stream" | "session.open" => shape("ws", Stream::Socket, ask.upgrade()),
            action => panic!("say here how to ask for {action}, so that its refusals are tested"),
        }
    }
    shapes
}

/// Sends a request with ids of its own, and checks that they come back.
#[track_caller]
pub(crate) fn send(addr: SocketAddr, ask: &Ask) -> Answer {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let ids =
        ask.clone().with("x-request-id", "mine-1").with("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = ids.send(addr);
    assert_eq!((answer.header("x-request-id"), answer.header("x-trace-id")), (Some("mine-1"), Some(trace)));
    answer
}

/// Each shape, altered, is refused with a status and code. `None`: does not apply to it.
#[track_caller]
fn walk(hub: &Running, what: &str, alter: impl Fn(&Shape) -> Option<(Ask, (u16, &'static str))>) {
    for kind in ["threads", "canvases"] {
        // There already when a test walks more than once.
        Ask::by("alice", "POST", &format!("/v1/{kind}")).json(json!({ "id": "open" })).send(hub.addr());
    }
    let mut walked = 0;
    for shape in shapes("open") {
        let Some((ask, (status, code))) = alter(&shape) else { continue };
        walked += 1;
        let answer = send(hub.addr(), &ask);
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{what}: {}", shape.name);
    }
    assert!(walked > 0, "{what} applies to some route");
    assert!(Ask::by("alice", "GET", "/v1/threads/open").send(hub.addr()).status == 200, "{what} changed nothing");
}

#[test]
fn every_shape_is_answered_when_nothing_is_wrong() {
    let hub = Running::start();
    for (index, shape) in shapes("x").into_iter().enumerate() {
        let id = format!("x{index}");
        create_both(hub.addr(), "alice", &json!({ "id": id }));
        let mut path = shape.ask.path.replace("/x", &format!("/{id}"));
        if path.contains(SOME_KEY) {
            let key = json!({ "name": "bot", "actor_type": "agent", "role": "member" });
            let admin = format!("Bearer {}", token("alice", "admin"));
            let made = Ask::by("alice", "POST", "/v1/keys").with("authorization", &admin).json(key).send(hub.addr());
            path = path.replace(SOME_KEY, made.ok(201)["id"].as_str().unwrap());
        }
        let mut session = Ws::open(hub.addr(), &Ask::by("alice", "GET", "/v1/ws"));
        if path.starts_with("/v1/sessions/") {
            path = path.replace(SOME_SESSION, session.expect("welcome")["connection_id"].as_str().unwrap());
        }
        for kind in ["threads", "canvases"] {
            let events = format!("/v1/{kind}/{id}/events");
            let event = Ask::by("alice", "POST", &events).json(json!({ "type": "note", "data": 1 })).send(hub.addr());
            if path.starts_with(&events) {
                path = path.replace(SOME_EVENT, event.ok(201)["id"].as_str().unwrap());
            }
        }
        let ask = Ask { path, ..shape.ask };
        let mut connection = crate::support::http::Connection::open(hub.addr());
        connection.send(&ask.bytes());
        let answer = connection.head();
        assert!(matches!(answer.status, 101 | 200 | 201 | 204), "{}: {answer:?}", shape.name);
    }
}

#[test]
fn public_routes_are_these() {
    let public = ROUTES.iter().filter(|route| route.access == Access::Public);
    let public: Vec<_> = public.map(|route| format!("{} {}", (route.method)(), route.path)).collect();
    let known = [
        "GET /",
        "GET /client.js",
        "POST /console/sign-in",
        "GET /console/{file}",
        "GET /healthz",
        "GET /readyz",
        "GET /openapi.json",
    ];
    assert_eq!(public, known);
    // A session may say who it is in its first frame; nothing else may.
    let hello: Vec<_> = ROUTES.iter().filter(|route| route.access == Access::Hello).map(|route| route.path).collect();
    assert_eq!(hello, ["/v1/ws"]);
    let hub = Running::start();
    for path in console::FILES.iter().map(|file| file.path).chain(["/healthz", "/readyz", "/openapi.json"]) {
        assert_eq!(Ask::new("GET", path).send(hub.addr()).status, 200, "{path}");
    }
    for path in
        ["/v1", "/v1/", "/metrics", "/v1/threads/", "/v1/threads/x/nope", "/console/..%2fapp.js", "//v1/threads"]
    {
        let answer = send(hub.addr(), &Ask::by("alice", "GET", path));
        assert_eq!(answer.refusal(), (404, "route.unknown".to_owned()), "{path}");
    }
}

#[test]
fn no_token() {
    let hub = Running::start();
    walk(&hub, "no token", |shape| {
        let ask = shape.ask.clone().without("authorization");
        // An upgrade of `/v1/ws` may bring its token in `hello`.
        (shape.access != Access::Hello).then_some((ask, (401, "auth.token_missing")))
    });
    let plain = Ask::by("alice", "GET", "/v1/ws").without("authorization");
    assert_eq!(plain.send(hub.addr()).refusal(), (401, "auth.token_missing".to_owned()));
    let answer = Ask::new("GET", "/v1/threads").send(hub.addr());
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

/// Every token that is none, and the code of its refusal.
fn bad_tokens() -> Vec<(&'static str, String, &'static str)> {
    let good = claims("alice", "member");
    let changed = |changes: Value| sign(&altered(good.clone(), changes));
    let valid = sign(&good);
    let parts: Vec<&str> = valid.split('.').collect();
    let none = {
        use base64::Engine as _;
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.", encode(r#"{"alg":"none","typ":"JWT"}"#), encode(&good.to_string()))
    };
    let invalid = "auth.token_invalid";
    vec![
        ("malformed", "not-a-token".to_owned(), invalid),
        ("two parts", parts[..2].join("."), invalid),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), invalid),
        (
            "signed with another secret",
            sign_with(&good, Algorithm::HS256, "another-secret-of-at-least-32-bytes"),
            invalid,
        ),
        ("another algorithm", sign_with(&good, Algorithm::HS384, crate::support::token::SECRET), invalid),
        ("alg none", none, invalid),
        ("without exp", changed(json!({ "exp": null })), invalid),
        ("exp as text", changed(json!({ "exp": (now() + 3_600).to_string() })), invalid),
        ("nbf later", changed(json!({ "nbf": now() + 3_600 })), invalid),
        ("without sub", changed(json!({ "sub": null })), invalid),
        ("sub with a line feed", changed(json!({ "sub": "a\nb" })), invalid),
        ("for another audience", changed(json!({ "aud": "somebody" })), invalid),
        ("larger than 8 KiB", changed(json!({ "more": "x".repeat(8_192) })), invalid),
        ("expired", changed(json!({ "exp": now() - 60 })), "auth.token_expired"),
    ]
}

#[test]
fn bad_tokens_on_every_route() {
    let hub = Running::start();
    create_both(hub.addr(), "alice", &json!({ "id": "open" }));
    for (what, token, code) in bad_tokens() {
        for shape in shapes("open") {
            let answer = send(hub.addr(), &shape.ask.clone().with("authorization", &format!("Bearer {token}")));
            assert_eq!(answer.refusal(), (401, code.to_owned()), "{what}: {}", shape.name);
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
            assert!(!answer.text().contains(&token), "no answer repeats a token");
        }
    }
    for header in ["Basic YTpi", "Bearer", "Bearer ", "token"] {
        let ask = Ask::by("alice", "GET", "/v1/threads").with("authorization", header);
        assert_eq!(ask.send(hub.addr()).refusal(), (401, "auth.token_invalid".to_owned()), "{header}");
    }
}

#[test]
fn the_leeway_is_thirty_seconds() {
    let hub = Running::start();
    let status = |changes: Value| {
        let token = sign(&altered(claims("alice", "member"), changes));
        Ask::by("alice", "GET", "/v1/threads").with("authorization", &format!("Bearer {token}")).send(hub.addr()).status
    };
    // Far enough from the edge for a slow machine.
    assert_eq!(status(json!({ "exp": now() - 10 })), 200);
    assert_eq!(status(json!({ "exp": now() - 31 })), 401);
    assert_eq!(status(json!({ "nbf": now() + 20 })), 200);
    assert_eq!(status(json!({ "nbf": now() + 60 })), 401);
}

#[test]
fn context() {
    let hub = Running::start();
    let missing =
        |shape: &Shape| if shape.stream != Stream::No { (403, "context.missing") } else { (400, "context.missing") };
    for header in ["x-tenant-id", "x-env"] {
        walk(&hub, header, |shape| {
            // A session of `/v1/ws` with a token must say where, too.
            Some((shape.ask.clone().without(header), missing(shape)))
        });
    }
    for (header, value) in [
        ("x-tenant-id", "demo"),
        ("x-tenant-id", "t_unknown"),
        ("x-tenant-id", "t_Demo"),
        ("x-tenant-id", ""),
        ("x-env", "qa"),
        ("x-env", "DEV"),
    ] {
        walk(&hub, value, |shape| Some((shape.ask.clone().with(header, value), (400, "context.malformed"))));
    }
    walk(&hub, "foreign tenant", |shape| {
        Some((shape.ask.clone().with("x-tenant-id", "t_other"), (403, "auth.tenant_mismatch")))
    });
    let staging = sign(&altered(claims("alice", "member"), json!({ "envs": ["staging", "prod"] })));
    walk(&hub, "env not of the token", |shape| {
        Some((shape.ask.clone().with("authorization", &format!("Bearer {staging}")), (403, "auth.tenant_mismatch")))
    });
    let roleless = sign(&altered(claims("alice", "member"), json!({ "role_map": {} })));
    walk(&hub, "no role in the tenant", |shape| {
        Some((shape.ask.clone().with("authorization", &format!("Bearer {roleless}")), (403, "auth.tenant_mismatch")))
    });
    for pair in ["tenant_id=t_other", "env=prod", "env=%64%65v&tenant_id=t_"] {
        walk(&hub, pair, |shape| Some((shape.ask.clone().query(pair), (400, "context.mismatch"))));
    }
}

#[test]
fn requests_that_are_none() {
    let hub = Running::start();
    walk(&hub, "a context said twice", |shape| {
        Some((shape.ask.clone().and("x-tenant-id", TENANT), (400, "request.malformed")))
    });
    walk(&hub, "a routing key with a blank", |shape| {
        Some((shape.ask.clone().with("x-run-id", "a b"), (400, "request.malformed")))
    });
    walk(&hub, "half a percent code", |shape| Some((shape.ask.clone().query("env=%2"), (400, "request.malformed"))));
}

#[test]
fn foreign_origins() {
    let hub = Running::start();
    for origin in ["https://evil.example", "null", "http://hub.test:81", "http://hub.test.evil"] {
        walk(&hub, origin, |shape| Some((shape.ask.clone().with("origin", origin), (403, "origin.forbidden"))));
    }
    let own = Ask::by("alice", "GET", "/v1/threads").with("origin", "http://hub.test");
    assert_eq!(own.send(hub.addr()).status, 200);
}

/// What a refusal has beside its date. The order of headers is the server's, random for each answer.
pub(crate) fn comparable(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<_> = answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    headers.sort();
    (answer.status, headers, answer.text())
}

#[test]
fn unknown_and_foreign_topics_look_the_same() {
    let hub = Running::start();
    let elsewhere = |tenant: &str, env: &str, id: &str| {
        let claims =
            altered(claims("bob", "owner"), json!({ "tenant_ids": [tenant], "role_map": { tenant: "owner" } }));
        for kind in ["threads", "canvases"] {
            let ask = Ask::by("bob", "POST", &format!("/v1/{kind}"));
            let ask = ask.with("authorization", &format!("Bearer {}", sign(&claims)));
            ask.with("x-tenant-id", tenant).with("x-env", env).json(json!({ "id": id })).send(hub.addr()).ok(201);
        }
    };
    elsewhere("t_other", "dev", "of-another-tenant");
    elsewhere(TENANT, "staging", "of-another-env00");
    for shape in shapes("never-been-there").iter().filter(|shape| shape.access == Access::Topic) {
        let unknown = send(hub.addr(), &shape.ask);
        assert_eq!(unknown.refusal(), (404, "topic.unknown".to_owned()), "{}", shape.name);
        for id in ["of-another-tenant", "of-another-env00"] {
            let path = shape.ask.path.replace("never-been-there", id);
            let foreign = send(hub.addr(), &Ask { path, ..shape.ask.clone() });
            assert_eq!(comparable(&foreign), comparable(&unknown), "{} {id}", shape.name);
        }
    }
    let mut ws = Ws::session(hub.addr(), "alice");
    let errors = ["never-been-there", "of-another-tenant", "of-another-env00"].map(|id| {
        ws.send(&json!({ "t": "subscribe", "topic": format!("thread/{id}") }));
        ws.expect("error")
    });
    assert!(errors.iter().all(|error| *error == errors[0] && error["code"] == "topic.unknown"), "{errors:?}");
}

#[test]
fn private_topics_and_viewers() {
    let hub = Running::start();
    let create = |id: &str, more: Value| create_both(hub.addr(), "carol", &altered(json!({ "id": id }), more));
    create("private", json!({ "visibility": "private" }));
    create("let-in", json!({ "visibility": "private", "members": [{ "sub": "alice", "can": "read" }] }));
    create("team", json!({ "visibility": "team" }));
    let viewer = format!("Bearer {}", token("alice", "viewer"));
    for shape in shapes("private").iter().filter(|shape| shape.access == Access::Topic) {
        let refused = send(hub.addr(), &shape.ask);
        assert_eq!(refused.refusal(), (403, "permission.denied".to_owned()), "{}", shape.name);
        if shape.ask.method != "GET" {
            for thread in ["let-in", "team"] {
                let path = shape.ask.path.replace("private", thread);
                let ask = Ask { path, ..shape.ask.clone() }.with("authorization", &viewer);
                assert_eq!(send(hub.addr(), &ask).refusal(), (403, "permission.denied".to_owned()), "{}", shape.name);
            }
        }
    }
    let made = Ask::by("alice", "POST", "/v1/threads").with("authorization", &viewer).json("{}").send(hub.addr());
    assert_eq!(made.refusal(), (403, "permission.denied".to_owned()));
    // What they may: read what is shared, and find only that in the list.
    let read = |thread: &str| {
        let ask = Ask::by("alice", "GET", &format!("/v1/threads/{thread}")).with("authorization", &viewer);
        ask.send(hub.addr()).status
    };
    assert_eq!([read("let-in"), read("team"), read("private")], [200, 200, 403]);
    let list = Ask::by("alice", "GET", "/v1/threads").send(hub.addr()).ok(200);
    let ids: Vec<_> = list["threads"].as_array().unwrap().iter().map(|thread| thread["id"].clone()).collect();
    assert_eq!(ids, ["let-in", "team"]);
    let admin =
        Ask::by("x", "GET", "/v1/threads/private").with("authorization", &format!("Bearer {}", token("x", "admin")));
    assert_eq!(admin.send(hub.addr()).status, 200);
}

#[test]
fn request_ids_are_kept_or_made() {
    let hub = Running::start();
    let echoed = |id: &str| {
        let answer = Ask::new("GET", "/v1/threads").with("x-request-id", id).send(hub.addr());
        answer.refusal();
        let header = |name: &str| answer.header(name).unwrap().to_owned();
        assert_eq!(header("x-trace-id"), header("x-request-id"), "without a trace the request is its own");
        header("x-request-id")
    };
    for kept in ["a", "id-1/2:3", &"x".repeat(128)] {
        assert_eq!(echoed(kept), kept);
    }
    for replaced in ["", "a b", "é", &"x".repeat(129)] {
        let made = echoed(replaced);
        assert_eq!((made.len(), made.as_bytes()[14]), (36, b'7'), "a UUIDv7: {made}");
    }
    for answer in [
        Ask::by("alice", "GET", "/v1/threads"),
        Ask::new("GET", "/healthz"),
        Ask::new("GET", "/"),
        Ask::new("GET", "/nowhere"),
        Ask::new("PUT", "/healthz"),
    ] {
        send(hub.addr(), &answer);
    }
    let invalid = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
    let traced = Ask::new("GET", "/healthz").with("traceparent", invalid).with("x-request-id", "r").send(hub.addr());
    assert_eq!(traced.header("x-trace-id"), Some("r"));
}
