//! A proxy or a hub that goes and comes back: readers are told, come again, and miss nothing.

use std::io::{BufRead as _, BufReader};

use serde_json::json;
use tempfile::TempDir;

use super::proxy::{Kind, Proxy, told};
use super::{behind_both, hub};
use crate::support::eventually;
use crate::support::http::{Ask, publish};
use crate::support::process::{Guarded, Process, tambour};
use crate::support::sse::Stream;
use crate::support::token::token;
use crate::support::ws::Ws;

behind_both!(
    a_proxy_that_is_restarted,
    a_proxy_that_leaves,
    a_drain_is_a_clean_end,
    a_hub_that_is_away,
    a_hub_that_is_killed,
    a_tail_goes_on,
);

const EVENTS: &str = "/v1/threads/x/events";

/// Caddy waits for a hub that is away before it says so: not as long as it is shipped. Both log what they answer.
fn impatient(kind: Kind, hub: &Process) -> Proxy {
    match kind {
        Kind::Nginx => Proxy::start(kind, hub.addr),
        Kind::Caddy => {
            let log = ("localhost} {\n", "localhost} {\n\tlog\n");
            Proxy::with(kind, hub.addr, &[("lb_try_duration 10s", "lb_try_duration 100ms"), log])
        }
    }
}

fn again(dir: &TempDir, hub: &Process) -> Process {
    Process::start(dir.path(), &hub.addr.to_string(), &[])
}

#[track_caller]
fn resumed(proxy: &Proxy, from: &str, seqs: std::ops::RangeInclusive<u64>) -> Stream {
    let mut stream = Stream::open(proxy.plain, &Ask::stream("bob", EVENTS).with("last-event-id", from));
    let came: Vec<_> = seqs.clone().map(|_| stream.event()["seq"].as_u64().unwrap()).collect();
    assert_eq!(came, seqs.collect::<Vec<_>>());
    stream
}

fn a_proxy_that_is_restarted(kind: Kind) {
    let (_dir, hub) = hub(&[]);
    let mut proxy = Proxy::start(kind, hub.addr);
    let mut stream = Stream::open(proxy.plain, &Ask::stream("bob", EVENTS));
    let mut ws = Ws::open(proxy.plain, &Ask::by("bob", "GET", "/v1/threads/x/ws"));
    ws.expect("welcome");
    ws.expect("subscribed");
    publish(hub.addr, "alice", "x", &json!(1));
    let first = ws.event();
    assert_eq!(stream.event(), first);
    proxy.stop();
    assert_eq!(stream.next(), None);
    assert!(!matches!(ws.came(), crate::support::ws::Came::Frame(_)));
    for n in 2..=50 {
        publish(hub.addr, "alice", "x", &json!(n));
    }
    eventually("the hub knows that they have gone", || (hub.sessions() == 0).then_some(()));
    proxy.run();
    publish(proxy.plain, "alice", "x", &json!(51));
    resumed(&proxy, stream.last_event_id(), 2..=51);
    let from = first["id"].as_str().unwrap();
    let mut ws = Ws::open(proxy.plain, &Ask::by("bob", "GET", &format!("/v1/threads/x/ws?after={from}")));
    ws.expect("welcome");
    assert_eq!(ws.expect("subscribed")["resumed"], true);
    for n in 2..=51 {
        assert_eq!(ws.event()["seq"], n);
    }
}

/// What is told a proxy when it is updated: new connections go to the next one, old ones may end by themselves, and
/// a stream that does not is ended.
fn a_proxy_that_leaves(kind: Kind) {
    let (_dir, hub) = hub(&[]);
    let seconds = kind.grace().replace("30", "1");
    let mut proxy = Proxy::with(kind, hub.addr, &[(kind.grace(), seconds)]);
    let mut stream = Stream::open(proxy.plain, &Ask::stream("bob", EVENTS));
    publish(hub.addr, "alice", "x", &json!(1));
    assert_eq!(stream.event()["seq"], 1);
    proxy.leave();
    assert_eq!(stream.next(), None);
    proxy.left();
    publish(hub.addr, "alice", "x", &json!(2));
    proxy.run();
    resumed(&proxy, stream.last_event_id(), 2..=2);
}

fn a_drain_is_a_clean_end(kind: Kind) {
    let (dir, mut hub) = hub(&[]);
    let proxy = Proxy::start(kind, hub.addr);
    let mut stream = Stream::open(proxy.plain, &Ask::stream("bob", EVENTS));
    let mut ws = Ws::session(proxy.plain, "bob");
    publish(hub.addr, "alice", "x", &json!(1));
    assert_eq!(stream.event()["seq"], 1);
    hub.child.signal("TERM");
    assert_eq!(stream.named().0, "reconnect");
    assert_eq!(stream.next(), None);
    assert!(!stream.broken(), "whole to its end");
    let retry = stream.retry_ms().unwrap();
    assert!((500..=5_500).contains(&retry) && retry != 2_000, "{retry}");
    ws.expect("reconnect");
    assert_eq!(ws.closed(), 1012);
    drop(ws);
    assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
    let next = again(&dir, &hub);
    publish(next.addr, "alice", "x", &json!(2));
    resumed(&proxy, stream.last_event_id(), 2..=2);
}

fn a_hub_that_is_away(kind: Kind) {
    let (dir, mut hub) = hub(&[]);
    let proxy = impatient(kind, &hub);
    let (id, _) = publish(proxy.plain, "alice", "x", &json!(1));
    hub.child.signal("TERM");
    assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
    // An EventSource would give up for good on anything but 200.
    let comes_back = Ask::stream("bob", EVENTS).with("last-event-id", &id);
    let answer = told(proxy.plain, &comes_back);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")), "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut parser = tambour::cli::sse_parser::SseParser::new(&id);
    let events = parser.feed(&answer.body).unwrap();
    assert_eq!(parser.last_event_id(), id, "its place is not moved");
    match kind {
        Kind::Nginx => {
            assert_eq!((events.len(), events[0].name.as_str()), (1, "refused"));
            let refused: serde_json::Value = serde_json::from_str(&events[0].data).unwrap();
            assert_eq!(refused, json!({ "code": "hub.away", "status": 502 }));
            assert!((1_000..=4_000).contains(&parser.retry_ms().unwrap()), "{:?}", parser.retry_ms());
        }
        Kind::Caddy => assert!(events.is_empty() && answer.text().starts_with(": "), "a comment: {}", answer.text()),
    }
    // Everybody else can look at the status.
    for ask in [
        Ask::stream("bob", EVENTS),
        Ask::by("bob", "GET", EVENTS).with("last-event-id", &id),
        Ask::by("alice", "POST", EVENTS).json("{}").with("accept", "text/event-stream").with("last-event-id", &id),
        Ask::by("bob", "GET", "/v1/ws").upgrade(),
        Ask::new("GET", "/readyz"),
    ] {
        assert_eq!(told(proxy.plain, &ask).status, 502, "{} {}", ask.method, ask.path);
    }
    let next = again(&dir, &hub);
    publish(next.addr, "alice", "x", &json!(2));
    let mut stream = resumed(&proxy, &id, 2..=2);
    publish(next.addr, "alice", "x", &json!(3));
    assert_eq!(stream.event()["seq"], 3);
}

fn a_hub_that_is_killed(kind: Kind) {
    let (dir, mut hub) = hub(&[]);
    let proxy = Proxy::start(kind, hub.addr);
    let mut stream = Stream::open(proxy.plain, &Ask::stream("bob", EVENTS));
    publish(proxy.plain, "alice", "x", &json!(1));
    assert_eq!(stream.event()["seq"], 1);
    hub.kill();
    assert_eq!(stream.next(), None);
    let next = again(&dir, &hub);
    // Connections that the proxy kept for the next request are dead now: that is not the client's concern.
    publish(proxy.plain, "alice", "x", &json!(2));
    publish(next.addr, "alice", "x", &json!(3));
    resumed(&proxy, stream.last_event_id(), 2..=3);
}

fn a_tail_goes_on(kind: Kind) {
    let (dir, hub) = hub(&[]);
    let proxy = impatient(kind, &hub);
    tail_goes_on(&dir, hub, &proxy, "200");
}

/// A proxy that knows nothing of streams says so by status, and no hub's words are behind it.
#[test]
fn a_tail_goes_on_behind_any_proxy() {
    let (dir, hub) = hub(&[]);
    let proxy = Proxy::with(Kind::Nginx, hub.addr, &[("error_page 502 504 = @away;", "")]);
    tail_goes_on(&dir, hub, &proxy, "502");
}

fn tail_goes_on(dir: &TempDir, mut hub: Process, proxy: &Proxy, while_away: &str) {
    let file = dir.path().join("token");
    std::fs::write(&file, token("cli", "member")).unwrap();
    let url = format!("http://{}", proxy.plain);
    let mut tail = tambour(&["tail", "thread/x", "--after", "earliest", "--count", "2", "--url", &url, "--token-file"]);
    let mut tail = Guarded(tail.arg(&file).spawn().unwrap());
    let mut out = BufReader::new(tail.0.stdout.take().unwrap()).lines();
    publish(hub.addr, "alice", "x", &json!("before"));
    assert!(out.next().unwrap().unwrap().contains("before"));
    hub.kill();
    // Its first stream, and what it was told when it asked again.
    eventually("it asked again", || {
        let logs = proxy.logs();
        let asked: Vec<_> = logs.lines().filter(|line| line.contains(EVENTS)).collect();
        (asked.len() >= 2).then(|| assert!(asked[1].contains(while_away), "{logs}"))
    });
    let next = again(dir, &hub);
    publish(next.addr, "alice", "x", &json!("behind"));
    assert!(out.next().unwrap().unwrap().contains("behind"));
    assert_eq!(tail.ended().code(), Some(0));
}

#[test]
fn caddy_waits_for_a_hub_that_is_restarted() {
    let (dir, mut hub) = hub(&[]);
    let proxy = Proxy::start(Kind::Caddy, hub.addr);
    hub.kill();
    // Only what has no body: this Caddy can't send one twice.
    let (ask, plain) = (Ask::stream("bob", "/v1/threads/x/events?after=earliest"), proxy.plain);
    let asked = std::thread::spawn(move || Stream::open(plain, &ask));
    let next = again(&dir, &hub);
    publish(next.addr, "alice", "x", &json!("as if nothing had happened"));
    assert_eq!(asked.join().unwrap().event()["seq"], 1);
}
