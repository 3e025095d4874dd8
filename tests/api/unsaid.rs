//! A token in every place that a caller can reach: no log line, refusal or metric has it, and no answer but the one
//! that made it.
//!
//! What somebody writes on purpose (a title, data, a `ref`) is theirs, and comes back to them as it was; of such places
//! it is only looked at that they reach no log and no metric.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::authority::{claims_of, key};
use crate::support::http::{Answer, Ask, Connection, create, publish};
use crate::support::process::{Process, own_host};
use crate::support::raw_ws::{RawWs, TEXT, frame};
use crate::support::token::{altered, sign};
use crate::support::ws::Ws;

const EVENTS: &str = "/v1/threads/x/events";

/// Headers that the hub reads, those that browsers and proxies send, and one that nobody knows.
const HEADERS: [&str; 34] = [
    "authorization",
    "x-request-id",
    "traceparent",
    "tracestate",
    "x-tenant-id",
    "x-env",
    "x-act-as",
    "x-project-id",
    "x-app-id",
    "x-surface-id",
    "x-device-id",
    "x-run-id",
    "x-step-id",
    "origin",
    "referer",
    "user-agent",
    "host",
    "cookie",
    "accept",
    "accept-language",
    "content-type",
    "content-encoding",
    "last-event-id",
    "if-none-match",
    "x-forwarded-for",
    "x-forwarded-host",
    "forwarded",
    "sec-websocket-protocol",
    "sec-websocket-key",
    "sec-websocket-version",
    "upgrade",
    "expect",
    "range",
    "x-anything",
];

/// Parameters of every query, and one that nobody knows.
const PARAMETERS: [&str; 13] = [
    "token",
    "tenant_id",
    "env",
    "after",
    "before",
    "last",
    "limit",
    "wait",
    "fold",
    "named",
    "topics",
    "principal",
    "anything",
];

/// Good requests of each kind.
fn asks() -> Vec<Ask> {
    let note = json!({ "type": "note", "data": 1 });
    vec![
        Ask::by("alice", "GET", "/v1/threads"),
        Ask::by("alice", "GET", "/v1/sessions"),
        Ask::by("alice", "GET", EVENTS),
        Ask::by("alice", "POST", EVENTS).json(note),
        Ask::by("alice", "GET", EVENTS).with("accept", "text/event-stream"),
        Ask::by("alice", "GET", "/v1/stream?topics=thread/x").with("accept", "text/event-stream"),
        Ask::by("alice", "GET", "/v1/threads/x/ws").upgrade(),
        Ask::by("alice", "GET", "/v1/ws").upgrade(),
        Ask::new("GET", "/healthz"),
        Ask::new("GET", "/"),
        Ask::new("OPTIONS", "/v1/threads").with("access-control-request-method", "POST"),
    ]
}

fn in_headers(token: &str) -> Vec<Ask> {
    let mut placed = Vec::new();
    for ask in asks() {
        for header in HEADERS {
            let values = [token.to_owned(), format!("Bearer {token}x"), format!("tambour.v1, bearer.{token}")];
            placed.extend(values.iter().map(|value| ask.clone().with(header, value)));
            // Beside what is there.
            placed.push(ask.clone().and(header, token));
        }
        placed.push(ask.clone().with(&token.replace('.', "-"), "1"));
        placed.push(ask.with("traceparent", &format!("00-{token}-b7ad6b7169203331-01")));
    }
    placed
}

fn in_urls(token: &str) -> Vec<Ask> {
    let mut placed = Vec::new();
    for ask in asks() {
        for parameter in PARAMETERS {
            let pairs =
                [format!("{parameter}={token}"), format!("{token}={parameter}"), format!("{parameter}=thread/{token}")];
            placed.extend(pairs.iter().map(|pair| ask.clone().query(pair)));
        }
        placed.push(ask.query(token));
    }
    for (method, path) in [
        ("GET", "/{}"),
        ("GET", "/v1/{}"),
        ("GET", "/console/{}"),
        ("GET", "/v1/threads/{}"),
        ("PATCH", "/v1/threads/{}"),
        ("DELETE", "/v1/canvases/{}"),
        ("GET", "/v1/threads/{}/events"),
        ("POST", "/v1/threads/{}/close"),
        ("DELETE", "/v1/threads/x/events/{}"),
        ("PUT", "/v1/threads/x/members/{}"),
        ("DELETE", "/v1/threads/x/members/{}"),
        ("POST", "/v1/keys/{}/rotate"),
        ("DELETE", "/v1/keys/{}"),
        ("GET", "/v1/principals/{}"),
        ("PUT", "/v1/principals/{}"),
        ("{}", "/v1/threads"),
    ] {
        let (method, path) = (method.replace("{}", token), path.replace("{}", token));
        let ask = crate::support::authority::admin(&method, &path);
        placed.push(if method == "PUT" { ask.json(json!({ "state": "active" })) } else { ask });
    }
    placed
}

/// Bodies in which each member is the token, or is named by it; and texts that are no JSON.
fn in_bodies(token: &str) -> Vec<Ask> {
    let bodies = [
        (
            "/v1/threads",
            json!({ "id": "y", "visibility": "team", "creator": "a", "members": [{ "sub": "b", "can": "read" }] }),
        ),
        (EVENTS, json!({ "type": "note", "data": 1, "idempotency_key": "k", "expect": "empty" })),
        (EVENTS, json!({ "append": { "event_id": "x", "data": 1 } })),
        (
            "/v1/keys",
            json!({ "name": "", "actor_type": "agent", "role": "member", "permissions": [], "expires_at": "x" }),
        ),
        ("/v1/revocations", json!({ "jti": "" })),
        (
            "/v1/stream-tokens",
            json!({ "topics": [], "rights": [], "ttl_seconds": 1, "single_use": true, "for": { "sub": "a", "role": "member" } }),
        ),
    ];
    let mut placed = Vec::new();
    for (path, body) in &bodies {
        let admin = crate::support::authority::admin("POST", path);
        let mut texts =
            vec![token.to_owned(), format!("\"{token}\""), format!("[\"{token}\"]"), format!("{{\"{token}\":1}}")];
        for name in body.as_object().unwrap().keys() {
            // Data is what somebody writes on purpose, and a name that may be anything is, too.
            if matches!(name.as_str(), "data" | "name" | "jti") {
                continue;
            }
            for wrong in [json!(token), json!([token]), json!({ token: 1 }), json!({ "sub": token, "role": token })] {
                texts.push(altered(body.clone(), json!({ name: wrong })).to_string());
            }
        }
        texts.push(altered(body.clone(), json!({ token: token })).to_string());
        texts.push(format!("{body}{token}"));
        for text in texts {
            placed.push(admin.clone().json(&text));
            placed.push(admin.clone().json(&text).with("content-type", "application/x-ndjson"));
        }
    }
    placed
}

/// Frames, of a session that is somebody's and of one that is nobody's.
fn in_frames(token: &str) -> Vec<String> {
    let subscribe = json!({ "t": "subscribe", "topic": "thread/x", "after": "earliest" });
    let publish = json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": 1, "idempotency_key": "k", "expect": "e" });
    let hello = json!({ "t": "hello", "token": "x", "tenant_id": "t_demo", "env": "dev" });
    let append = json!({ "t": "append", "topic": "thread/x", "event_id": "e", "data": "more" });
    let auth = json!({ "t": "auth", "token": "x" });
    let mut texts =
        vec![token.to_owned(), format!("\"{token}\""), format!("[\"{token}\"]"), json!({ "t": token }).to_string()];
    for sent in [subscribe, publish, hello, append, auth] {
        for name in sent.as_object().unwrap().keys().filter(|name| *name != "data") {
            for wrong in [json!(token), json!([token]), json!({ token: 1 }), json!(format!("thread/{token}"))] {
                texts.push(altered(sent.clone(), json!({ name: wrong })).to_string());
            }
        }
        texts.push(altered(sent.clone(), json!({ token: 1 })).to_string());
        texts.push(format!("{sent}{token}"));
    }
    texts
}

/// The answer, and a stream's or session's first words.
fn said(addr: SocketAddr, ask: &Ask) -> String {
    let mut connection = Connection::open(addr);
    connection.send(&ask.bytes());
    let mut answer: Answer = connection.head();
    let streams = answer.header("content-type") == Some("text/event-stream");
    if answer.status == 101 || streams {
        answer.body = connection.try_some().unwrap();
        connection.reset();
    } else if let Some(length) = answer.header("content-length") {
        answer.body = connection.exactly(length.parse().unwrap());
    }
    format!("{} {:?} {}", answer.status, answer.headers, answer.text())
}

/// What the hub says to a frame, to the end of the session or the answer to a ping behind it.
fn said_to(mut ws: RawWs, text: &str) -> String {
    let mut said = String::new();
    ws.0.send(&[frame(TEXT, text.as_bytes()), frame(TEXT, br#"{"t":"ping"}"#)].concat());
    loop {
        let (opcode, payload) = ws.next();
        said.push_str(&String::from_utf8_lossy(&payload));
        if opcode == 8 || payload == br#"{"t":"pong"}"# {
            return said;
        }
    }
}

/// The parts of a token that must be nowhere.
fn secrets(token: &str) -> Vec<&str> {
    match token.split('.').collect::<Vec<_>>()[..] {
        [_, claims, signature] => vec![claims, signature],
        _ => vec![&token[4..]],
    }
}

#[test]
fn no_token_is_said_wherever_it_is_put() {
    let dir = TempDir::new().unwrap();
    // More than anybody asks for: `debug` is part of it.
    let variables = [("TAMBOUR__LOG__LEVEL", "trace"), ("TAMBOUR__TOKENS__OUTSTANDING_MAX", "10000")];
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &variables);
    let addr = hub.addr;
    create(addr, "alice", "x");
    publish(addr, "alice", "x", &json!(1));
    let jwt = sign(&altered(claims_of("carol", "member"), json!({ "recognised": "by-this" })));
    let made = Ask::by("carol", "POST", "/v1/stream-tokens").send(addr).ok(201);
    let stream = made["token"].as_str().unwrap().to_owned();
    let (_, service) = key(addr, json!({ "permissions": ["principals:act"] }));
    let (mut leaks, mut places) = (Vec::new(), 0);
    for token in [&jwt, &stream, &service] {
        let parts = secrets(token);
        let mut look = |place: String, said: &str| {
            places += 1;
            if parts.iter().any(|part| said.contains(part)) {
                leaks.push(place.replace(token.as_str(), "{token}"));
            }
        };
        for ask in [in_headers(token), in_urls(token), in_bodies(token)].concat() {
            // A WebSocket says back which of the subprotocols it speaks, and an id that is good is kept.
            look(format!("{} {} {:?} {:?}", ask.method, ask.path, ask.headers, ask.body), &said(addr, &ask));
        }
        for text in in_frames(token) {
            look(format!("frame {text}"), &said_to(RawWs::session(addr, "alice"), &text));
            look(format!("first frame {text}"), &said_to(RawWs::open(addr, &Ask::new("GET", "/v1/ws"), b""), &text));
        }
        // What is written on purpose.
        let event = json!({ "type": "note", "data": { token.as_str(): token } });
        Ask::by("alice", "POST", EVENTS).json(event).send(addr).ok(201);
        let titled = json!({ "title": &token[..token.len().min(200)] });
        Ask::by("alice", "POST", "/v1/threads").json(titled).send(addr).ok(201);
        let mut ws = Ws::session(addr, "alice");
        ws.send(&json!({ "t": "ping", "ref": &token[..token.len().min(200)] }));
        ws.expect("pong");
    }
    assert!(places > 5_000, "{places} places");
    // What readers see beside data: the ids and routing of who published.
    let mut after = "earliest".to_owned();
    loop {
        let page = Ask::by("alice", "GET", EVENTS).query(&format!("limit=500&after={after}")).send(addr).ok(200);
        for event in page["events"].as_array().unwrap() {
            let beside = altered(event.clone(), json!({ "data": null })).to_string();
            if [&jwt, &stream, &service].iter().any(|token| secrets(token).iter().any(|part| beside.contains(part))) {
                leaks.push(format!("event {beside}"));
            }
        }
        if page["has_more"] == false {
            break;
        }
        page["cursor"].as_str().unwrap().clone_into(&mut after);
    }
    let metrics = Ask::new("GET", "/metrics").send(hub.admin).text();
    let log = hub.said();
    assert!(log.contains("TRACE") && metrics.contains("tambour_sessions"), "both are looked at");
    for token in [&jwt, &stream, &service] {
        for part in secrets(token) {
            leaks.extend(log.lines().filter(|line| line.contains(part)).map(|line| format!("log: {line}")));
            leaks.extend(metrics.lines().filter(|line| line.contains(part)).map(|line| format!("metrics: {line}")));
        }
    }
    let shown: Vec<_> = leaks.iter().take(20).map(String::as_str).collect();
    assert!(leaks.is_empty(), "{} places say a token:\n{}", leaks.len(), shown.join("\n"));
    let _: Value = Ask::by("alice", "GET", "/v1/limits").send(addr).ok(200);
}
