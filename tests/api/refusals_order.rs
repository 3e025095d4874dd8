//! The order of checks: of two mistakes at once the earlier one is told, on every route; and what is about the hub
//! (it drains, it is full, it was too often) has its place among them.
//!
//! Each mistake here is made so that it stays one whatever mistakes are made beside it.

use std::net::SocketAddr;

use serde_json::json;
use tambour::config::Settings;
use tambour::routes::Access;
use tambour_actors::principal::Permission;
use tempfile::TempDir;

use crate::refusals::{Shape, Stream, create_both, send, shapes};
use crate::support::authority::{put, revoke};
use crate::support::eventually;
use crate::support::http::{Answer, Ask, create};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::raw_ws::RawWs;
use crate::support::token::{altered, claims, now, sign, token};

struct Mistake {
    name: &'static str,
    make: fn(Ask) -> Ask,
    refusal: fn(&Shape) -> (u16, &'static str),
    made_by: fn(&Shape) -> bool,
}

impl Mistake {
    const fn of(name: &'static str, make: fn(Ask) -> Ask, refusal: fn(&Shape) -> (u16, &'static str)) -> Self {
        Self { name, make, refusal, made_by: |_| true }
    }

    const fn made_by(self, made_by: fn(&Shape) -> bool) -> Self {
        Self { made_by, ..self }
    }
}

fn shown(ask: Ask, token: &str) -> Ask {
    ask.with("authorization", &format!("Bearer {token}"))
}

/// In the order in which they are looked at.
const MISTAKES: [Mistake; 16] = [
    Mistake::of(
        "a target that is too long",
        |ask| ask.query(&format!("x={}", "x".repeat(16 * 1024))),
        |_| (414, "request.target_too_long"),
    ),
    Mistake::of(
        "headers that are too large",
        |ask| ask.with("x-large", &"x".repeat(33 * 1024)),
        |_| (431, "request.headers_too_large"),
    ),
    Mistake::of("request malformed", |ask| ask.query("token=%zz"), |_| (400, "request.malformed")),
    Mistake::of(
        "a body on a stream request",
        |mut ask| {
            ask.body = Some("x".to_owned());
            ask
        },
        |_| (400, "request.stream_body"),
    )
    .made_by(|shape| shape.stream == Stream::Socket),
    Mistake::of("origin", |ask| ask.with("origin", "https://evil.example"), |_| (403, "origin.forbidden")),
    Mistake::of(
        "token",
        |ask| shown(ask, &sign(&altered(claims("alice", "member"), json!({ "exp": now() - 600 })))),
        |_| (401, "auth.token_expired"),
    ),
    Mistake::of(
        "a key on a stream",
        |ask| shown(ask, &format!("tsk_{}", "A".repeat(43))),
        |_| (401, "auth.wrong_tier"),
    )
    .made_by(|shape| shape.stream != Stream::No),
    Mistake::of(
        "a stream token elsewhere",
        |ask| shown(ask, &format!("tst_{}", "A".repeat(43))),
        |_| (401, "auth.wrong_tier"),
    )
    .made_by(|shape| shape.stream == Stream::No),
    Mistake::of(
        "context missing",
        |ask| ask.without("x-tenant-id"),
        |shape| if shape.stream != Stream::No { (403, "context.missing") } else { (400, "context.missing") },
    ),
    Mistake::of("context malformed", |ask| ask.with("x-env", "qa"), |_| (400, "context.malformed")),
    Mistake::of("foreign tenant", |ask| ask.with("x-tenant-id", "t_other"), |_| (403, "auth.tenant_mismatch")),
    Mistake::of(
        "revoked",
        |ask| shown(ask, &sign(&altered(claims("mallory", "member"), json!({ "jti": "revoked" })))),
        |_| (401, "auth.token_revoked"),
    ),
    Mistake::of("suspended", |ask| shown(ask, &token("mallory", "member")), |_| (403, "auth.suspended")),
    Mistake::of("context said differently", |ask| ask.query("env=prod"), |_| (400, "context.mismatch")),
    Mistake::of("permission", |ask| shown(ask, &token("alice", "member")), |_| (403, "permission.denied"))
        // The feed is everybody's, by default.
        .made_by(|shape| matches!(shape.access, Access::Permission(key) if key != Permission::FeedRead)),
    Mistake::of(
        "topic unknown",
        |mut ask| {
            ask.path = ask.path.replace("/open", "/never-made");
            ask
        },
        |_| (404, "topic.unknown"),
    )
    .made_by(|shape| shape.access == Access::Topic),
];

/// The last of them that is looked at before there is a look at how much there is of everything.
const BEFORE_RATES: &str = "permission";

fn mistakes_of(shape: &Shape) -> Vec<&'static Mistake> {
    MISTAKES.iter().filter(|mistake| (mistake.made_by)(shape)).collect()
}

/// Status and code, whatever more is told of it.
#[track_caller]
fn told(answer: &Answer) -> (u16, String) {
    let problem = answer.json();
    let more = ["permission", "retry_after_ms"].into_iter().filter(|name| problem.get(name).is_some());
    answer.refusal_with(&more.collect::<Vec<_>>())
}

/// Somebody who is suspended, and somebody's token that is revoked.
fn prepared(addr: SocketAddr) {
    create_both(addr, "alice", &json!({ "id": "open" }));
    put(addr, "mallory", &json!({ "state": "suspended" }));
    revoke(addr, &json!({ "jti": "revoked" }));
}

#[test]
fn of_two_mistakes_the_earlier_is_told() {
    let hub = Running::start();
    prepared(hub.addr());
    let mut pairs = 0;
    for shape in shapes("open") {
        let mistakes = mistakes_of(&shape);
        for (index, earlier) in mistakes.iter().enumerate() {
            for later in &mistakes[index + 1..] {
                pairs += 1;
                // The earlier one is made last, so that it is not undone.
                let ask = (earlier.make)((later.make)(shape.ask.clone()));
                let (status, code) = (earlier.refusal)(&shape);
                let refused = told(&send(hub.addr(), &ask));
                assert_eq!(refused, (status, code.to_owned()), "{} and {}: {}", earlier.name, later.name, shape.name);
            }
        }
    }
    assert!(pairs > 2_000, "{pairs} pairs");
}

/// What is told of each mistake when there is something about the hub, too, that is looked at behind `behind`.
#[track_caller]
fn beside(addr: SocketAddr, shape: &Shape, (status, code): (u16, &str), behind: Option<&str>) {
    let all = MISTAKES.iter().position(|mistake| Some(mistake.name) == behind).map_or(0, |last| last + 1);
    for (index, mistake) in MISTAKES.iter().enumerate().filter(|(_, mistake)| (mistake.made_by)(shape)) {
        let own = (mistake.refusal)(shape);
        let (status, code) = if index < all { own } else { (status, code) };
        let refused = told(&(mistake.make)(shape.ask.clone()).send(addr));
        assert_eq!(refused, (status, code.to_owned()), "{}: {}", mistake.name, shape.name);
    }
}

#[test]
fn a_draining_hub_says_so_before_anything() {
    let dir = TempDir::new().unwrap();
    let mut hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    prepared(hub.addr);
    // A client that does not take its goodbye keeps the hub draining for a while.
    let mut held = RawWs::session(hub.addr, "alice");
    hub.child.signal("TERM");
    assert_eq!(held.json()["t"], "reconnect");
    for shape in shapes("open") {
        beside(hub.addr, &shape, (503, "draining"), None);
    }
    drop(held);
    assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
}

#[test]
fn the_connections_of_an_address_come_before_anything_else() {
    let hub = Running::with(|settings| settings.limits.connections_per_ip_max = 1);
    prepared(hub.addr());
    let _held = RawWs::session(hub.addr(), "alice");
    for shape in shapes("open").iter().filter(|shape| shape.stream != Stream::No) {
        beside(hub.addr(), shape, (429, "limit.connections_ip"), None);
    }
}

#[test]
fn other_limits_on_connections_come_behind_who_it_is_and_before_the_topic() {
    type Set = fn(&mut Settings);
    let limits: [(Set, (u16, &str)); 3] = [
        (|set| set.limits.connections_per_principal_max = 1, (429, "limit.connections_principal")),
        (|set| set.limits.connections_per_tenant_max = 1, (429, "limit.connections_tenant")),
        (|set| set.limits.connections_max = 1, (503, "limit.connections")),
    ];
    for (set, refusal) in limits {
        let hub = Running::with(set);
        prepared(hub.addr());
        let _held = RawWs::session(hub.addr(), "alice");
        for shape in shapes("open").iter().filter(|shape| shape.stream != Stream::No) {
            beside(hub.addr(), shape, refusal, Some(BEFORE_RATES));
        }
    }
}

#[test]
fn a_rate_comes_behind_who_it_is_and_before_the_body_and_the_topic() {
    let hub = Running::with(|settings| {
        settings.rates.publish_per_minute = 1;
        settings.rates.action_per_minute = 1;
    });
    prepared(hub.addr());
    for mut shape in shapes("open").into_iter().filter(Shape::is_rated) {
        // The last one that passes, whatever becomes of it.
        eventually("it is too often", || (shape.ask.send(hub.addr()).status == 429).then_some(()));
        beside(hub.addr(), &shape, (429, "rate.limited"), Some(BEFORE_RATES));
        if shape.ask.body.is_some() {
            shape.ask = shape.ask.json("{");
            beside(hub.addr(), &shape, (429, "rate.limited"), Some(BEFORE_RATES));
        }
    }
}

#[test]
fn body_before_topic_before_right_before_closed() {
    let hub = Running::start();
    create(hub.addr(), "alice", "open");
    create(hub.addr(), "alice", "ended");
    Ask::by("alice", "POST", "/v1/threads/ended/close").send(hub.addr()).ok(200);
    let refused = |thread: &str, role: &str, body: &str| {
        let ask = Ask::by("alice", "POST", &format!("/v1/threads/{thread}/events")).json(body);
        let (status, code) =
            ask.with("authorization", &format!("Bearer {}", token("alice", role))).send(hub.addr()).refusal();
        format!("{status} {code}")
    };
    let (good, bad) = (r#"{"type":"note","data":1}"#, "{");
    assert_eq!(refused("nope", "viewer", bad), "400 body.invalid");
    assert_eq!(refused("nope", "viewer", good), "404 topic.unknown");
    assert_eq!(refused("ended", "viewer", good), "403 permission.denied");
    assert_eq!(refused("ended", "member", good), "409 topic.closed");
    assert_eq!(refused("ended", "member", bad), "400 body.invalid");
    let untyped = Ask::by("alice", "POST", "/v1/threads/nope/events").json(good).with("content-type", "text/plain");
    assert_eq!(untyped.send(hub.addr()).refusal(), (415, "body.type".to_owned()));
    // What a topic is asked for is looked at before the topic is looked for.
    for query in ["after=nonsense", "limit=0", "limit=501", "last=501", "nonsense=1", "after=earliest&last=1"] {
        let ask = Ask::by("alice", "GET", "/v1/threads/nope/events").query(query);
        assert_eq!(ask.send(hub.addr()).refusal().0, 400, "{query}");
    }
    let long = format!("/v1/threads/{}", "x".repeat(129));
    assert_eq!(Ask::by("alice", "GET", &long).send(hub.addr()).refusal(), (400, "name.invalid".to_owned()));
}

#[test]
fn a_body_that_is_too_large() {
    let hub = Running::start();
    create(hub.addr(), "alice", "open");
    // Announced, and never sent: it is refused by its length alone.
    let mut ask = Ask::by("alice", "POST", "/v1/threads/open/events").with("content-length", "8388609");
    ask = ask.with("content-type", "application/json");
    assert_eq!(ask.send(hub.addr()).refusal(), (413, "body.too_large".to_owned()));
    let large = json!({ "type": "note", "data": "x".repeat(65_536) });
    let ask = Ask::by("alice", "POST", "/v1/threads/open/events").json(large);
    assert_eq!(ask.send(hub.addr()).refusal(), (413, "event.too_large".to_owned()));
}

#[test]
fn a_refusal_arrives_although_the_body_was_not_read() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    // Far more than the kernel keeps: who closes a socket with some of it unread resets the connection, and the answer
    // is lost on its way.
    let body = "x".repeat(20 << 20);
    let ask = Ask::by("alice", "POST", "/v1/threads/x/events").json(&body);
    for (ask, refusal) in [
        (ask.clone(), (413, "body.too_large")),
        (ask.clone().with("authorization", "Bearer x"), (401, "auth.token_invalid")),
        (ask.clone().with("content-type", "text/plain"), (415, "body.type")),
        (ask.with("content-encoding", "gzip"), (415, "body.type")),
    ] {
        let answer = ask.send(hub.addr());
        assert_eq!((answer.refusal(), answer.header("connection")), ((refusal.0, refusal.1.to_owned()), Some("close")));
    }
}
