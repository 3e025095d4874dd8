//! Pages of other origins: what a browser is told, and that nobody else is told anything.

use serde_json::json;

use crate::support::http::{Answer, Ask, Connection, create};
use crate::support::hub::Running;

const PAGE: &str = "https://chat.example";

fn hub() -> Running {
    let hub = Running::with(|settings| {
        let mut layers = tambour::config::layers::Layers::default();
        layers.flag("--test", "http.allowed_origins", PAGE);
        settings.http.allowed_origins = tambour::config::Settings::resolve(&layers).unwrap().http.allowed_origins;
        settings.rates.action_per_minute = 4;
    });
    create(hub.addr(), "alice", "x");
    hub
}

fn preflight(path: &str, origin: &str) -> Ask {
    Ask::new("OPTIONS", path)
        .with("origin", origin)
        .with("access-control-request-method", "POST")
        .with("access-control-request-headers", "authorization,content-type,x-env,x-tenant-id")
}

/// What says anything about other origins.
fn said(answer: &Answer) -> Vec<&str> {
    let headers = ["access-control-allow-origin", "access-control-expose-headers", "access-control-allow-methods"];
    headers.into_iter().filter_map(|name| answer.header(name)).collect()
}

#[test]
fn a_browser_asks_beforehand() {
    let hub = hub();
    for (path, methods) in [
        ("/v1/threads", "POST, GET"),
        ("/v1/threads/x/events", "POST, GET"),
        ("/v1/threads/nothing/members/bob", "PUT, DELETE"),
        ("/v1/limits", "GET"),
    ] {
        let answer = preflight(path, PAGE).send(hub.addr());
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
        let taken = answer.header("access-control-allow-headers").unwrap().to_lowercase();
        for header in ["authorization", "content-type", "x-tenant-id", "x-env", "last-event-id", "x-run-id", "x-act-as"]
        {
            assert!(taken.split(", ").any(|name| name == header), "{header} in {taken}");
        }
        assert!(answer.header("access-control-allow-credentials").is_none());
        assert!(answer.header("vary").unwrap().contains("Origin") && answer.header("x-request-id").is_some());
    }
    for origin in ["https://evil.example", "null", "https://chat.example.evil", "http://chat.example"] {
        let refused = preflight("/v1/threads", origin).send(hub.addr());
        assert_eq!((refused.refusal(), said(&refused)), ((403, "origin.forbidden".to_owned()), vec![]), "{origin}");
    }
    assert_eq!(preflight("/nowhere", PAGE).send(hub.addr()).refusal().1, "route.unknown");
    // What is no such question is a method that the path does not have.
    let plain = preflight("/v1/threads", PAGE).without("access-control-request-method");
    assert_eq!(plain.send(hub.addr()).refusal().1, "route.method");
}

#[test]
fn a_cache_keeps_the_answers_of_origins_apart() {
    let hub = hub();
    let varies = |answer: &Answer| {
        let vary = answer.header("vary").unwrap_or_else(|| panic!("no vary: {answer:?}"));
        assert!(vary.split(", ").any(|name| name == "Origin"), "{vary}");
        answer.status
    };
    for origin in [None, Some(PAGE), Some("https://evil.example"), Some("null")] {
        let with = |ask: Ask| origin.map_or(ask.clone(), |origin| ask.with("origin", origin)).send(hub.addr());
        let is_foreign = origin.is_some_and(|origin| origin != PAGE);
        for (ask, status) in [
            (Ask::by("alice", "GET", "/v1/limits"), 200),
            (Ask::by("alice", "GET", "/v1/threads/nothing"), 404),
            (Ask::new("GET", "/v1/threads"), 401),
            (Ask::by("alice", "POST", "/v1/threads/x/events").json("{"), 400),
        ] {
            assert_eq!(varies(&with(ask)), if is_foreign { 403 } else { status }, "{origin:?}");
        }
        for (path, status) in [("/healthz", 200), ("/openapi.json", 200), ("/nowhere", 404)] {
            assert_eq!(varies(&with(Ask::new("GET", path))), status, "{path} {origin:?}");
        }
    }
    assert_eq!(varies(&preflight("/v1/threads", "https://evil.example").send(hub.addr())), 403);
    let mut connection = Connection::open(hub.addr());
    connection.send(&Ask::stream("alice", "/v1/threads/x/events").bytes());
    assert_eq!(varies(&connection.head()), 200);
}

#[test]
fn the_page_may_read_every_answer() {
    let hub = hub();
    let ask = |sub: &str, origin: &str| Ask::by(sub, "GET", "/v1/threads/x").with("origin", origin).send(hub.addr());
    let good = ask("alice", PAGE);
    assert_eq!(good.status, 200);
    assert_eq!((good.header("access-control-allow-origin"), good.header("vary")), (Some(PAGE), Some("Origin")));
    let exposed = good.header("access-control-expose-headers").unwrap();
    for header in ["X-Request-Id", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"] {
        assert!(exposed.contains(header), "{header} in {exposed}");
    }
    ask("alice", PAGE);
    // Refusals too, or a page could not tell why.
    let often = ask("alice", PAGE);
    assert_eq!((often.status, often.header("access-control-allow-origin")), (429, Some(PAGE)));
    let anonymous = Ask::new("GET", "/v1/limits").with("origin", PAGE).send(hub.addr());
    assert_eq!((anonymous.status, anonymous.header("access-control-allow-origin")), (401, Some(PAGE)));
    let bad = Ask::by("alice", "POST", "/v1/threads").with("origin", PAGE).json("{").send(hub.addr());
    assert_eq!((bad.status, bad.header("access-control-allow-origin")), (400, Some(PAGE)));
    let unknown = Ask::new("GET", "/nowhere").with("origin", PAGE).send(hub.addr());
    assert_eq!((unknown.status, unknown.header("access-control-allow-origin")), (404, Some(PAGE)));
    // A stream.
    let mut connection = Connection::open(hub.addr());
    connection.send(&Ask::stream("alice", "/v1/threads/x/events").with("origin", PAGE).bytes());
    let head = connection.head();
    assert_eq!((head.status, head.header("access-control-allow-origin")), (200, Some(PAGE)));
    // Nobody else is told anything, and who has no origin is no page.
    for refused in [ask("bob", "https://evil.example"), ask("bob", "null")] {
        assert_eq!((refused.refusal().1, said(&refused)), ("origin.forbidden".to_owned(), vec![]));
    }
    let twice = Ask::by("bob", "GET", "/v1/limits").and("origin", PAGE).and("origin", PAGE).send(hub.addr());
    assert_eq!((twice.refusal().1, said(&twice)), ("origin.forbidden".to_owned(), vec![]));
    assert!(said(&Ask::by("bob", "GET", "/v1/limits").send(hub.addr())).is_empty());
    // What is taken off the list is told nothing any more.
    hub.reload(|settings| settings.http.allowed_origins.clear());
    assert_eq!(preflight("/v1/threads", PAGE).send(hub.addr()).status, 403);
    let post = Ask::by("alice", "POST", "/v1/threads").with("origin", PAGE).json(json!({"id": "y"})).send(hub.addr());
    assert_eq!((post.refusal().1, said(&post)), ("origin.forbidden".to_owned(), vec![]));
}
