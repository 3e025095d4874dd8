//! Streams through a proxy: nothing is kept back, nothing is cut too early, and nobody stays who has gone.

use serde_json::json;

use super::proxy::{Kind, Proxy, told};
use super::{behind_both, hub};
use crate::support::eventually;
use crate::support::http::{Ask, publish};
use crate::support::process::Guarded;
use crate::support::sse::Stream;
use crate::support::token::{ENV, TENANT, token};
use crate::support::ws::{Came, Ws};

behind_both!(
    events_come_at_once,
    comments_keep_a_quiet_stream,
    pings_keep_a_quiet_websocket,
    a_websocket_is_passed_on,
    whoever_leaves_is_gone,
    more_streams_than_six,
);

/// No comment comes in the time of a test, so that only an event itself can push it through.
const NO_COMMENTS: [(&str, &str); 1] = [("TAMBOUR__SESSION__SSE_COMMENT_SECONDS", "3600")];

fn events_come_at_once(kind: Kind) {
    let (_dir, hub) = hub(&NO_COMMENTS);
    let proxy = Proxy::start(kind, hub.addr);
    let ask = Ask::stream("bob", "/v1/threads/x/events");
    let (mut through, mut direct) = (Stream::open(proxy.plain, &ask), Stream::open(hub.addr, &ask));
    for n in 1..=3 {
        let (id, _) = publish(proxy.plain, "alice", "x", &json!(n));
        let event = through.event();
        assert_eq!((&event["id"], &event["data"]), (&json!(id), &json!(n)));
        assert_eq!(direct.event(), event, "and unchanged");
    }
}

fn comments_keep_a_quiet_stream(kind: Kind) {
    let (_dir, hub) = hub(&[("TAMBOUR__SESSION__SSE_COMMENT_SECONDS", "1")]);
    let proxy = Proxy::with(kind, hub.addr, &kind.impatient(3));
    let mut stream = Stream::open(proxy.plain, &Ask::stream("bob", "/v1/threads/x/events"));
    // One a second, so these are longer than the proxy bears silence.
    stream.comments(5);
    publish(hub.addr, "alice", "x", &json!("still here"));
    assert_eq!(stream.event()["data"], "still here");
}

fn pings_keep_a_quiet_websocket(kind: Kind) {
    let (_dir, hub) = hub(&[("TAMBOUR__SESSION__WS_PING_SECONDS", "1")]);
    let proxy = Proxy::with(kind, hub.addr, &kind.impatient(3));
    let mut ws = Ws::open(proxy.plain, &Ask::by("bob", "GET", "/v1/threads/x/ws"));
    ws.expect("welcome");
    ws.expect("subscribed");
    // One a second, as above.
    ws.pings(5);
    publish(hub.addr, "alice", "x", &json!("still here"));
    assert_eq!(ws.event()["data"], "still here");
}

fn a_websocket_is_passed_on(kind: Kind) {
    let (_dir, hub) = hub(&[]);
    let proxy = Proxy::start(kind, hub.addr);
    let host = proxy.plain.to_string();
    // As a browser does: the token among the subprotocols, and the page's origin, which is the proxy's.
    let ask = Ask::new("GET", "/v1/ws")
        .with("sec-websocket-protocol", &format!("tambour.v1, bearer.{}", token("alice", "member")))
        .with("x-tenant-id", TENANT)
        .with("x-env", ENV)
        .with("origin", &format!("http://{host}"));
    let mut ws = Ws::open(proxy.plain, &ask);
    assert_eq!(ws.expect("welcome")["sub"], "alice");
    ws.subscribe("thread/x", &json!({}));
    ws.send(&json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": "there", "ref": 1 }));
    let both = [ws.came(), ws.came()].map(|came| match came {
        Came::Frame(frame) => frame["t"].as_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    });
    assert!(both.contains(&"published".to_owned()) && both.contains(&"event".to_owned()), "{both:?}");
    let foreign = Ask::by("alice", "GET", "/v1/ws").with("origin", "https://evil.example").upgrade();
    assert_eq!(proxy.ask(&foreign).refusal(), (403, "origin.forbidden".to_owned()));
    // Who they are may come in the first frame too, and a close code comes through.
    let mut hello = Ws::open(proxy.plain, &Ask::new("GET", "/v1/ws").with("origin", &format!("http://{host}")));
    hello.send(&json!({ "t": "hello", "token": "none", "tenant_id": TENANT, "env": ENV }));
    assert_eq!((hello.error().as_str(), hello.closed()), ("auth.token_invalid", 4401));
}

fn whoever_leaves_is_gone(kind: Kind) {
    let (_dir, hub) = hub(&NO_COMMENTS);
    let proxy = Proxy::start(kind, hub.addr);
    let streams: Vec<_> =
        (0..3).map(|_| Stream::open(proxy.plain, &Ask::stream("bob", "/v1/threads/x/events"))).collect();
    let sessions: Vec<_> = (0..3).map(|_| Ws::session(proxy.plain, "bob")).collect();
    eventually("six sessions", || (hub.sessions() == 6).then_some(()));
    drop((streams, sessions));
    eventually("the hub is told at once that they have gone", || (hub.sessions() == 0).then_some(()));
}

fn more_streams_than_six(kind: Kind) {
    const STREAMS: usize = 20;
    let (_dir, hub) = hub(&NO_COMMENTS);
    let proxy = Proxy::start(kind, hub.addr);
    // From the first event on: a session is counted before it is subscribed, so the event may be earlier than a stream.
    let ask = Ask::stream("bob", "/v1/threads/x/events?after=earliest");
    let mut curl = proxy.curl(&ask);
    curl.args(["--parallel", "--parallel-max", &STREAMS.to_string()]);
    curl.args(["--write-out", "\nover %{http_version} new %{num_connects}\n"]);
    curl.args(vec![proxy.url(&ask.path); STREAMS]);
    let mut curl = Guarded(curl.spawn().unwrap());
    eventually("all streams are open", || (hub.sessions() == STREAMS as u64).then_some(()));
    publish(hub.addr, "alice", "x", &json!("to everybody"));
    Ask::by("alice", "POST", "/v1/threads/x/close").send(hub.addr).ok(200);
    let mut out = curl.0.stdout.take().unwrap();
    let came = std::io::read_to_string(&mut out).unwrap();
    assert!(curl.ended().success(), "{came}");
    assert_eq!(came.matches("to everybody").count(), STREAMS, "{came}");
    let (over, new): (Vec<_>, Vec<_>) = came
        .lines()
        .filter_map(|line| line.strip_prefix("over ")?.split_once(" new "))
        .map(|(over, new)| (over, new.parse::<u32>().unwrap()))
        .unzip();
    assert_eq!(over, vec!["2"; STREAMS]);
    assert_eq!(new.iter().sum::<u32>(), 1, "one connection for all of them: {new:?}");
}

#[test]
fn nginx_gives_a_silent_hub_up() {
    let (_dir, hub) = hub(&NO_COMMENTS);
    let proxy = Proxy::with(Kind::Nginx, hub.addr, &Kind::Nginx.impatient(1));
    let mut stream = Stream::open(proxy.plain, &Ask::stream("bob", "/v1/threads/x/events"));
    assert_eq!(stream.next(), None);
    assert!(stream.broken(), "a client must not take it for the end");
    publish(hub.addr, "alice", "x", &json!(1));
    let resume = Ask::stream("bob", "/v1/threads/x/events").with("last-event-id", stream.last_event_id());
    assert_eq!(Stream::open(proxy.plain, &resume).event()["seq"], 1);
}

/// As a proxy is that nobody told anything: HTTP/1.0 to the hub, and buffers. The hub's own headers do the rest.
#[test]
fn events_come_at_once_through_any_nginx() {
    let (_dir, hub) = hub(&NO_COMMENTS);
    let plain = [
        ("proxy_http_version 1.1;", "proxy_http_version 1.0;"),
        ("proxy_buffering off;", "proxy_buffering on;"),
        ("proxy_request_buffering off;", ""),
    ];
    let proxy = Proxy::with(Kind::Nginx, hub.addr, &plain);
    let mut stream = Stream::open(proxy.plain, &Ask::stream("bob", "/v1/threads/x/events"));
    for n in 1..=3 {
        publish(proxy.plain, "alice", "x", &json!(n));
        assert_eq!(stream.event()["data"], n);
    }
    // In HTTP/1.0 a POST must have a length.
    Ask::by("alice", "POST", "/v1/threads/x/close").with("content-length", "0").send(proxy.plain).ok(200);
    assert_eq!(stream.event()["type"], "closed");
    assert_eq!(stream.next(), None);
    assert!(!stream.broken());
}

#[test]
fn nginx_sends_everybody_to_https() {
    let (_dir, hub) = hub(&[]);
    let proxy = Proxy::start(Kind::Nginx, hub.addr);
    let answer = told(proxy.redirect, &Ask::new("GET", "/v1/threads?limit=1").with("host", "hub.example.com"));
    assert_eq!((answer.status, answer.header("location")), (308, Some("https://hub.example.com/v1/threads?limit=1")));
}
