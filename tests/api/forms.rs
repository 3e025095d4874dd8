//! Forms that are refused before they cost anything: heads and bodies that are too large or too deep, methods that a path
//! does not take, and names that somebody else points here.

use serde_json::json;
use tambour::routes::{ROUTES, RouteSpec};
use tempfile::TempDir;

use crate::refusals::{path as path_of, send};
use crate::support::http::{Ask, Connection, create};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::ws::Ws;

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[test]
fn data_that_is_nested_too_deep() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let post = |body: String| Ask::by("alice", "POST", "/v1/threads/x/events").json(body).send(hub.addr());
    let event = |depth: usize| format!(r#"{{"type":"note","data":{}}}"#, nested(depth));
    let bodies: [fn(String) -> String; 3] =
        [|event| event, |event| format!("[{event}]"), |event| format!("{{\"events\":[{event}]}}")];
    for body in bodies {
        post(body(event(64))).ok(201);
        for depth in [65, 200, 30_000] {
            assert_eq!(post(body(event(depth))).refusal(), (400, "body.invalid".to_owned()), "{depth}");
        }
    }
    // As lines, over a WebSocket, and in bodies of other routes.
    let lines =
        Ask::by("alice", "POST", "/v1/threads/x/events").json(event(65)).with("content-type", "application/x-ndjson");
    assert_eq!(lines.send(hub.addr()).refusal_with(&["line", "accepted"]).1, "body.invalid");
    let mut ws = Ws::session(hub.addr(), "alice");
    let mut frame = json!({"t": "publish", "topic": "thread/x", "type": "note"});
    frame["data"] = serde_json::from_str(&nested(65)).unwrap();
    ws.send(&frame);
    assert_eq!(ws.error(), "body.invalid");
    ws.send(&json!({"t": "ping"}));
    ws.expect("pong");
    let create = Ask::by("alice", "POST", "/v1/threads").json(format!(r#"{{"title":{}}}"#, nested(100_000)));
    assert_eq!(create.send(hub.addr()).refusal(), (400, "body.invalid".to_owned()));
    let page = Ask::by("alice", "GET", "/v1/threads/x").send(hub.addr()).ok(200);
    assert!(page["newest"].as_str().unwrap().ends_with(".3"), "nothing of what was refused is there: {page}");
}

#[test]
fn heads_that_are_too_large() {
    let hub = Running::start();
    let limits = Ask::by("alice", "GET", "/v1/limits");
    let with_query = |bytes: usize| {
        let path = format!("/v1/limits?x={}", "x".repeat(bytes - "/v1/limits?x=".len()));
        Ask { path, ..limits.clone() }.send(hub.addr())
    };
    with_query(16 * 1024).ok(200);
    assert_eq!(with_query(16 * 1024 + 1).refusal(), (414, "request.target_too_long".to_owned()));
    let mut many = limits.clone();
    for n in 0..58 {
        many = many.with(&format!("x-{n}"), "1");
    }
    many.send(hub.addr()).ok(200);
    for n in 58..80 {
        many = many.with(&format!("x-{n}"), "1");
    }
    assert_eq!(many.send(hub.addr()).refusal(), (431, "request.headers_too_large".to_owned()));
    limits.clone().with("x-large", &"x".repeat(30 * 1024)).send(hub.addr()).ok(200);
    let large = limits.clone().with("x-large", &"x".repeat(32 * 1024)).send(hub.addr());
    assert_eq!(large.refusal(), (431, "request.headers_too_large".to_owned()));
    // Beyond that the server itself says no, without a word on why.
    for (headers, bytes) in [(100, 1), (1, 140_000)] {
        let ask = (0..headers).fold(limits.clone(), |ask, n| ask.with(&format!("x-{n}"), &"x".repeat(bytes)));
        let mut connection = Connection::open(hub.addr());
        connection.try_send(&ask.bytes());
        assert_eq!(connection.head().status, 431);
    }
    Ask::by("alice", "GET", "/v1/limits").send(hub.addr()).ok(200);
}

#[test]
fn wrong_methods() {
    let hub = Running::start();
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    for path in paths {
        let methods: Vec<_> = ROUTES.iter().filter(|route| route.path == path).flat_map(RouteSpec::methods).collect();
        let allow = methods.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        for wrong in ["PATCH", "PUT", "POST", "DELETE", "OPTIONS", "BREW"] {
            if methods.iter().any(|method| method.as_str() == wrong) {
                continue;
            }
            let answer = send(hub.addr(), &Ask::by("alice", wrong, &path_of(path, "open")));
            assert_eq!(answer.refusal(), (405, "route.method".to_owned()), "{wrong} {path}");
            assert_eq!(answer.header("allow"), Some(allow.as_str()), "{wrong} {path}");
        }
    }
}

#[test]
fn a_development_hub_shows_its_page_under_names_of_this_machine() {
    let dir = TempDir::new().unwrap();
    let without_key = dir.path().join("tambour.toml");
    std::fs::write(&without_key, "").unwrap();
    let hub = Process::configured(&dir.path().join("data"), &format!("{}:0", own_host()), &without_key);
    let page = |addr, path: &str, host: &str| Ask::new("GET", path).with("host", host).send(addr);
    for path in ["/", "/console/app.js"] {
        for here in ["localhost:8080", "127.0.0.1", "[::1]:1"] {
            assert_eq!(page(hub.addr, path, here).status, 200, "{here}");
        }
        for there in ["evil.example", "127.0.0.1.evil.example:8080", ""] {
            assert_eq!(page(hub.addr, path, there).refusal(), (403, "origin.forbidden".to_owned()), "{there}");
        }
    }
    // With a key of its own it has whatever name it is given.
    let keyed = Running::start();
    assert_eq!(page(keyed.addr(), "/", "hub.example").status, 200);
}
