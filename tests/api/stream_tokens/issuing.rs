//! Making stream tokens: what may be asked for, by whom, and how many.

use serde_json::json;

use super::{EVENTS, ask, issue, url};
use crate::support::authority::{key, keyed};
use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::token::{TENANT, altered, claims, sign};

#[test]
fn what_is_given() {
    let hub = Running::start();
    let answer = ask(hub.addr(), "alice", &json!({}));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let made = answer.ok(201);
    assert_eq!((made["expires_in"].as_i64(), made["token"].as_str().map(str::len)), (Some(60), Some(47)));
    let asked = ask(hub.addr(), "alice", &json!({ "ttl_seconds": 300, "rights": ["read", "write"] })).ok(201);
    assert_eq!(asked["expires_in"], 300);
    assert_ne!(made["token"], asked["token"]);
    let without_body = Ask::by("alice", "POST", "/v1/stream-tokens").send(hub.addr()).ok(201);
    assert_eq!(without_body["expires_in"], 60);
    for body in [json!({ "ttl_seconds": 301 }), json!({ "rights": ["write"] }), json!({ "right": ["read"] }), json!([])]
    {
        assert_eq!(ask(hub.addr(), "alice", &body).refusal(), (400, "body.invalid".to_owned()), "{body}");
    }
    let other = json!({ "for": { "sub": "bob", "role": "viewer" } });
    assert_eq!(ask(hub.addr(), "alice", &other).refusal(), (403, "permission.denied".to_owned()));
}

#[test]
fn only_for_topics_that_its_maker_may_read() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let private = json!({ "id": "private", "visibility": "private" });
    Ask::by("alice", "POST", "/v1/threads").json(&private).send(hub.addr()).ok(201);
    let refused = |topics: &[&str]| ask(hub.addr(), "bob", &json!({ "topics": topics })).refusal();
    assert_eq!(refused(&["thread/x", "thread/nope"]), (404, "topic.unknown".to_owned()));
    assert_eq!(refused(&["thread/x", "thread/private"]), (403, "permission.denied".to_owned()));
    assert_eq!(refused(&["x"]), (400, "name.invalid".to_owned()));
    issue(hub.addr(), "alice", &json!({ "topics": ["thread/x", "thread/private"] }));
}

#[test]
fn it_is_for_the_topics_that_it_names() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    create(hub.addr(), "alice", "y");
    let token = issue(hub.addr(), "alice", &json!({ "topics": ["thread/x"] }));
    let refused = |path: &str| url(path, &token).send(hub.addr()).refusal();
    assert_eq!(refused("/v1/threads/y/events"), (403, "permission.denied".to_owned()));
    assert_eq!(refused("/v1/threads/nope/events"), (404, "topic.unknown".to_owned()));
    assert_eq!(refused("/v1/stream?topics=thread/x,thread/y"), (403, "permission.denied".to_owned()));
    publish(hub.addr(), "alice", "x", &json!(1));
    let mut stream = Stream::open(hub.addr(), &url("/v1/stream?topics=thread/x&after=earliest", &token));
    let (name, event) = stream.named();
    assert_eq!((name.as_str(), &event["data"]), ("note", &json!(1)));
}

#[test]
fn so_many_may_wait_to_be_opened() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let parent = |jti: &str| {
        let token = sign(&altered(claims("alice", "member"), json!({ "jti": jti })));
        Ask::by("alice", "POST", "/v1/stream-tokens").with("authorization", &format!("Bearer {token}"))
    };
    let made: Vec<_> = (0..10).map(|_| parent("a").send(hub.addr()).ok(201)).collect();
    let full = parent("a").send(hub.addr());
    assert_eq!(full.refusal(), (429, "token.outstanding".to_owned()));
    assert!(full.header("retry-after").is_some());
    parent("b").send(hub.addr()).ok(201);
    // A refused stream opens nothing.
    let token = made[3]["token"].as_str().unwrap();
    assert_eq!(url("/v1/threads/nope/events", token).send(hub.addr()).status, 404);
    assert_eq!(parent("a").send(hub.addr()).status, 429);
    drop(Stream::open(hub.addr(), &url(EVENTS, token)));
    parent("a").send(hub.addr()).ok(201);
    assert_eq!(parent("a").send(hub.addr()).status, 429);
}

#[test]
fn one_person_uses_up_nothing_of_the_others_that_a_key_signs_in() {
    let hub = Running::with(|settings| {
        settings.tokens.outstanding_per_key_max = 14;
        settings.limits.connections_per_principal_max = 2;
    });
    create(hub.addr(), "alice", "x");
    let (_, by) = key(hub.addr(), json!({ "permissions": ["principals:sign_in"] }));
    let make = |sub: &str| {
        let body = json!({ "for": { "sub": sub, "role": "viewer" } });
        keyed(&by, "POST", "/v1/stream-tokens").json(body).send(hub.addr())
    };
    let full = || (429, "token.outstanding".to_owned());
    // Zoe reloads and reloads, and opens nothing.
    (0..10).for_each(|_| drop(make("zoe").ok(201)));
    (0..10).for_each(|_| assert_eq!(make("zoe").refusal(), full()));
    let of_yan: Vec<_> = (0..4).map(|_| make("yan").ok(201)).collect();
    // What all of them have is bounded, and what is opened makes room; the key's own are its own.
    assert_eq!(make("yan").refusal(), full());
    keyed(&by, "POST", "/v1/stream-tokens").send(hub.addr()).ok(201);
    let open = |made: &serde_json::Value| url(EVENTS, made["token"].as_str().unwrap());
    let _streams = [Stream::open(hub.addr(), &open(&of_yan[0])), Stream::open(hub.addr(), &open(&of_yan[1]))];
    make("xen").ok(201);
    // Connections are a person's, too: yan has as many as may be, and others go on.
    assert_eq!(open(&of_yan[2]).send(hub.addr()).refusal().1, "limit.connections_principal");
    let of_xen = make("xen").ok(201);
    drop(Stream::open(hub.addr(), &open(&of_xen)));
    let limits = Ask::by("alice", "GET", "/v1/limits").send(hub.addr()).ok(200);
    assert_eq!(
        (&limits["stream_tokens"]["outstanding_max"], &limits["stream_tokens"]["outstanding_per_key_max"]),
        (&json!(10), &json!(14))
    );
}

#[test]
fn a_token_without_an_id_is_counted_by_itself() {
    let hub = Running::start();
    let by = |token: &str| {
        let ask = Ask::by("alice", "POST", "/v1/stream-tokens").with("authorization", &format!("Bearer {token}"));
        ask.send(hub.addr()).status
    };
    let (one, other) = (sign(&claims("alice", "member")), sign(&claims("alice", "admin")));
    assert!((0..10).all(|_| by(&one) == 201));
    assert_eq!((by(&one), by(&other)), (429, 201));
}

#[test]
fn it_makes_no_token_and_reads_no_page() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let token = issue(hub.addr(), "alice", &json!({ "rights": ["read", "write"] }));
    let bearer = format!("Bearer {token}");
    for (method, path) in [
        ("POST", "/v1/stream-tokens"),
        ("GET", EVENTS),
        ("POST", EVENTS),
        ("GET", "/v1/threads"),
        ("POST", "/v1/threads"),
        ("DELETE", "/v1/threads/x"),
        ("GET", "/v1/limits"),
    ] {
        let ask = Ask::new(method, path).with("authorization", &bearer);
        assert_eq!(ask.send(hub.addr()).refusal(), (401, "auth.wrong_tier".to_owned()), "{method} {path}");
        // In the URL it is not even looked at.
        let ask = Ask::new(method, path).query(&format!("token={token}"));
        assert_eq!(ask.send(hub.addr()).refusal(), (401, "auth.token_missing".to_owned()), "{method} {path}");
    }
}

#[test]
fn its_tenant_and_env_are_its_own() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let token = issue(hub.addr(), "alice", &json!({}));
    let refused = |name: &str, value: &str| url(EVENTS, &token).with(name, value).send(hub.addr()).refusal();
    assert_eq!(refused("x-tenant-id", "t_other"), (400, "context.mismatch".to_owned()));
    assert_eq!(refused("x-env", "prod"), (400, "context.mismatch".to_owned()));
    Stream::open(hub.addr(), &url(EVENTS, &token).with("x-tenant-id", TENANT));
}
