//! Requests and answers through a proxy: they arrive as they were sent, and no token stays in a log.

use serde_json::{Value, json};

use super::proxy::{Kind, Proxy};
use super::{behind_both, hub};
use crate::support::http::{Answer, Ask, Connection, publish};
use crate::support::process::finished;
use crate::support::token::{ENV, TENANT, token};

behind_both!(
    answers_are_the_hubs_own,
    large_bodies_pass,
    readiness_is_seen,
    pages_of_the_proxys_own_origin_may,
    tokens_stay_out_of_the_logs,
);

/// What of an answer must be the same. `Connection` and the like are between neighbours.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let kept = [
        "allow",
        "cache-control",
        "content-length",
        "content-type",
        "retry-after",
        "www-authenticate",
        "x-request-id",
        "x-trace-id",
    ];
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| kept.contains(&name.as_str()));
    headers.sort();
    (answer.status, headers, answer.text())
}

fn answers_are_the_hubs_own(kind: Kind) {
    let (_dir, hub) = hub(&[]);
    let proxy = Proxy::start(kind, hub.addr);
    for n in 0..300 {
        publish(hub.addr, "alice", "x", &json!([n, "ä€🥁", "x".repeat(1_000)]));
    }
    let closed = Ask::by("alice", "POST", "/v1/threads/x/close").send(hub.addr).ok(200);
    let events = "/v1/threads/x/events";
    let asks = [
        (200, Ask::by("bob", "GET", "/v1/threads")),
        (200, Ask::by("bob", "GET", "/v1/threads/x")),
        (200, Ask::by("bob", "GET", &format!("{events}?after=earliest&limit=500"))),
        (204, Ask::stream("bob", events).with("last-event-id", closed["id"].as_str().unwrap())),
        (400, Ask::by("bob", "GET", &format!("{events}?affter=earliest"))),
        (400, Ask::stream("bob", events).with("last-event-id", "nonsense")),
        (401, Ask::stream("bob", events).without("authorization")),
        (401, Ask::by("bob", "GET", events).with("authorization", "Bearer x")),
        (403, Ask::stream("bob", events).without("x-env")),
        (403, Ask::by("bob", "DELETE", "/v1/threads/x")),
        (404, Ask::by("bob", "GET", "/v1/threads/unknown")),
        (404, Ask::new("GET", "/v1/nothing?token=x")),
        (405, Ask::new("PUT", events)),
        (409, Ask::by("bob", "POST", events).json(json!({ "type": "note", "data": 1 }))),
        (410, Ask::by("bob", "GET", &format!("{events}?after=AAAAAAAAAAAAAAAA.1"))),
        (415, Ask::by("bob", "POST", events).json("{}").with("content-type", "text/plain")),
    ];
    for (status, ask) in asks {
        let ask = ask.with("x-request-id", "of-the-test");
        let (direct, through) = (ask.send(hub.addr), proxy.ask(&ask));
        assert_eq!(direct.status, status, "{} {}", ask.path, direct.text());
        assert_eq!(seen(&through), seen(&direct), "{}", ask.path);
        match status {
            410 => drop(through.gone()),
            400.. => drop(through.refusal()),
            _ => {}
        }
    }
}

fn large_bodies_pass(kind: Kind) {
    let (dir, hub) = hub(&[]);
    let proxy = Proxy::start(kind, hub.addr);
    let events = |bytes: usize| Value::from(vec![json!({ "type": "note", "data": "x".repeat(bytes) }); 1_000]);
    let ask = Ask::by("alice", "POST", "/v1/threads/x/events").json(events(8_000));
    assert_eq!(proxy.ask(&ask).ok(201)["count"], 1_000);
    let page = proxy.ask(&Ask::by("alice", "GET", "/v1/threads/x/events?after=earliest&limit=500")).ok(200);
    assert_eq!(page["events"].as_array().unwrap().len(), 500);
    let file = dir.path().join("body");
    std::fs::write(&file, events(9_000).to_string()).unwrap();
    let mut curl = proxy.curl(&ask);
    curl.arg("--data-binary").arg(format!("@{}", file.display()));
    curl.args(["--write-out", "\n%{http_code} %{http_version}", &proxy.url(&ask.path)]);
    let output = finished(curl);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("\n413 2"), "{said} {:?}", output.stderr);
    // Caddy may reset the stream of a client that still sends, before the client has read what the hub said.
    assert!(said.contains(r#""code":"body.too_large""#) || kind == Kind::Caddy, "{said}");
}

fn readiness_is_seen(kind: Kind) {
    let (_dir, mut hub) = hub(&[]);
    let proxy = Proxy::start(kind, hub.addr);
    assert_eq!(proxy.ask(&Ask::new("GET", "/healthz")).ok(200), json!({ "status": "ok" }));
    assert_eq!(proxy.ask(&Ask::new("GET", "/readyz")).ok(200), json!({ "status": "ready" }));
    // A client that does not take its goodbye keeps the hub draining for a while.
    let mut held = crate::support::raw_ws::RawWs::session(hub.addr, "alice");
    hub.child.signal("TERM");
    assert_eq!(held.json()["t"], "reconnect");
    assert_eq!(proxy.ask(&Ask::new("GET", "/readyz")).ok(503), json!({ "status": "draining" }));
    let refused = proxy.ask(&Ask::by("alice", "GET", "/v1/threads"));
    assert_eq!((refused.refusal(), refused.header("retry-after")), ((503, "draining".to_owned()), Some("1")));
    assert_eq!(held.closed(), 1012);
    assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
}

fn pages_of_the_proxys_own_origin_may(kind: Kind) {
    let (_dir, hub) = hub(&[]);
    let proxy = Proxy::start(kind, hub.addr);
    let from = |origin: String| proxy.ask(&Ask::by("alice", "GET", "/v1/threads").with("origin", &origin)).status;
    let host = format!("localhost:{}", proxy.plain.port());
    let ask = Ask::by("alice", "GET", "/v1/threads").with("host", &host);
    assert_eq!(proxy.ask(&ask.clone().with("origin", &format!("http://{host}"))).status, 200);
    // The page came by HTTPS, which the hub can't know.
    assert_eq!(proxy.ask(&ask.with("origin", &format!("https://{host}"))).status, 200);
    assert_eq!(from("https://evil.example".to_owned()), 403);
    assert_eq!(from(format!("http://{}", hub.addr)), 403, "the hub's own address is not what the browser sees");
}

fn tokens_stay_out_of_the_logs(kind: Kind) {
    let (_dir, mut hub) = hub(&[("TAMBOUR__AUTH__ALLOW_JWT_IN_QUERY", "true")]);
    // Access logs are on in nginx as it is shipped; in Caddy they are what an operator adds.
    let log = [("localhost} {\n", "localhost} {\n\tlog\n"), ("lb_try_duration 10s", "lb_try_duration 1s")];
    let proxy = Proxy::with(kind, hub.addr, if kind == Kind::Caddy { &log } else { &[] });
    let secret = token("carol", "member");
    let query = format!("token={secret}&tenant_id={TENANT}&env={ENV}");
    let stream = |path: &str| Ask::new("GET", path).with("accept", "text/event-stream");
    let asks = [
        stream(&format!("/v1/threads/x/events?{query}")),
        stream(&format!("/v1/threads/unknown/events?{query}")),
        Ask::by("carol", "GET", "/v1/threads").with("authorization", &format!("Bearer {secret}")),
        Ask::new("GET", "/v1/ws").with("sec-websocket-protocol", &format!("tambour.v1, bearer.{secret}")).upgrade(),
    ];
    let send_all = || {
        for ask in &asks {
            let mut connection = Connection::open(proxy.plain);
            connection.send(&ask.clone().with("user-agent", "the-test").bytes());
            connection.head();
        }
    };
    send_all();
    hub.kill();
    send_all();
    let logs = crate::support::eventually("all requests are logged", || {
        let logs = proxy.logs();
        (logs.matches("/v1/threads/unknown/events").count() >= 2).then_some(logs)
    });
    assert!(!logs.contains(&secret), "{logs}");
}

#[test]
fn nginx_passes_a_body_on_as_it_comes() {
    let (_dir, hub) = hub(&[]);
    let proxy = Proxy::start(Kind::Nginx, hub.addr);
    let ask = Ask::by("alice", "POST", "/v1/threads/x/events").with("authorization", "Bearer x");
    let ask = ask.with("content-type", "application/json").with("content-length", "1000000");
    let mut connection = Connection::open(proxy.plain);
    connection.send(&[&ask.bytes()[..], b"["].concat());
    // The rest is never sent: the hub can only answer because it has what there is.
    assert_eq!(connection.answer().refusal(), (401, "auth.token_invalid".to_owned()));
}
