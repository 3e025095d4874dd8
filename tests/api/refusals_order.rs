//! The order of checks: of two mistakes at once the earlier one is told, on every route.
//!
//! Each mistake here is made so that it stays one whatever mistakes are made beside it.

use serde_json::json;

use crate::refusals::{Shape, Stream, create_both, send, shapes};
use crate::support::authority::{put, revoke};
use crate::support::http::{Ask, create};
use crate::support::hub::Running;
use crate::support::token::{altered, claims, now, sign, token};

struct Mistake {
    name: &'static str,
    make: fn(Ask) -> Ask,
    refusal: fn(&Shape) -> (u16, &'static str),
    streams_only: bool,
}

/// In the order in which they are looked at.
const MISTAKES: [Mistake; 10] = [
    Mistake {
        name: "request malformed",
        make: |ask| ask.query("token=%zz"),
        refusal: |_| (400, "request.malformed"),
        streams_only: false,
    },
    Mistake {
        name: "a body on a stream request",
        make: |mut ask| {
            ask.body = Some("x".to_owned());
            ask
        },
        refusal: |_| (400, "request.stream_body"),
        streams_only: true,
    },
    Mistake {
        name: "origin",
        make: |ask| ask.with("origin", "https://evil.example"),
        refusal: |_| (403, "origin.forbidden"),
        streams_only: false,
    },
    Mistake {
        name: "token",
        make: |ask| {
            let expired = sign(&altered(claims("alice", "member"), json!({ "exp": now() - 600 })));
            ask.with("authorization", &format!("Bearer {expired}"))
        },
        refusal: |_| (401, "auth.token_expired"),
        streams_only: false,
    },
    Mistake {
        name: "context missing",
        make: |ask| ask.without("x-tenant-id"),
        refusal: |shape| if shape.stream != Stream::No { (403, "context.missing") } else { (400, "context.missing") },
        streams_only: false,
    },
    Mistake {
        name: "context malformed",
        make: |ask| ask.with("x-env", "qa"),
        refusal: |_| (400, "context.malformed"),
        streams_only: false,
    },
    Mistake {
        name: "foreign tenant",
        make: |ask| ask.with("x-tenant-id", "t_other"),
        refusal: |_| (403, "auth.tenant_mismatch"),
        streams_only: false,
    },
    Mistake {
        name: "revoked",
        make: |ask| {
            let revoked = sign(&altered(claims("mallory", "member"), json!({ "jti": "revoked" })));
            ask.with("authorization", &format!("Bearer {revoked}"))
        },
        refusal: |_| (401, "auth.token_revoked"),
        streams_only: false,
    },
    Mistake {
        name: "suspended",
        make: |ask| ask.with("authorization", &format!("Bearer {}", token("mallory", "member"))),
        refusal: |_| (403, "auth.suspended"),
        streams_only: false,
    },
    Mistake {
        name: "topic unknown",
        make: |mut ask| {
            ask.path = ask.path.replace("/open", "/never-made");
            ask
        },
        refusal: |_| (404, "topic.unknown"),
        streams_only: false,
    },
];

#[test]
fn of_two_mistakes_the_earlier_is_told() {
    let hub = Running::start();
    create_both(hub.addr(), "alice", &json!({ "id": "open" }));
    put(hub.addr(), "mallory", &json!({ "state": "suspended" }));
    revoke(hub.addr(), &json!({ "jti": "revoked" }));
    let mut pairs = 0;
    for shape in shapes("open") {
        let mistakes: Vec<_> =
            MISTAKES.iter().filter(|mistake| shape.stream == Stream::Socket || !mistake.streams_only).collect();
        for (index, earlier) in mistakes.iter().enumerate() {
            for later in &mistakes[index + 1..] {
                if earlier.name == "topic unknown" {
                    continue;
                }
                pairs += 1;
                // The earlier one is made last, so that it is not undone.
                let ask = (earlier.make)((later.make)(shape.ask.clone()));
                let (status, code) = (earlier.refusal)(&shape);
                let refused = send(hub.addr(), &ask).refusal();
                assert_eq!(refused, (status, code.to_owned()), "{} and {}: {}", earlier.name, later.name, shape.name);
            }
        }
    }
    assert!(pairs > 150, "{pairs} pairs");
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
