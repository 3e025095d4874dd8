//! What takes its time through a proxy: lines that are published one by one, long polls; and who is counted for it.

use serde_json::{Value, json};

use super::proxy::{Kind, Proxy};
use super::{behind_both, hub};
use crate::limits::from;
use crate::support::eventually;
use crate::support::http::{Answer, Ask, Connection, publish};
use crate::support::sse::Stream;

behind_both!(
    lines_are_published_as_they_come,
    a_producer_may_think,
    a_line_that_is_refused,
    a_long_poll_is_answered,
    a_long_poll_may_be_long,
    everybody_counts_for_themselves,
);

const EVENTS: &str = "/v1/threads/x/events";

fn line(data: &Value) -> Vec<u8> {
    format!("{}\n", json!({ "type": "note", "data": data })).into_bytes()
}

fn producer(proxy: &Proxy) -> Connection {
    let mut producer = Connection::open(proxy.plain);
    producer.send(&Ask::by("alice", "POST", EVENTS).lines().bytes());
    producer
}

fn lines_are_published_as_they_come(kind: Kind) {
    let (_dir, hub) = hub(&[]);
    let proxy = Proxy::start(kind, hub.addr);
    let mut reader = Stream::open(proxy.plain, &Ask::stream("bob", EVENTS));
    let mut producer = producer(&proxy);
    for n in 1..=5 {
        producer.chunk(&line(&json!(n)));
        assert_eq!(reader.event()["data"], n, "before there is another line");
    }
    producer.chunk(b"");
    assert_eq!(producer.answer().ok(201)["count"], 5);
}

/// The hub says nothing while it is told lines, and the producer nothing while its model thinks.
fn a_producer_may_think(kind: Kind) {
    let (_dir, hub) = hub(&[("TAMBOUR__SESSION__SSE_COMMENT_SECONDS", "1")]);
    let proxy = Proxy::with(kind, hub.addr, &kind.impatient(1));
    let mut reader = Stream::open(hub.addr, &Ask::stream("bob", EVENTS));
    let mut producer = producer(&proxy);
    producer.chunk(&line(&json!("before")));
    assert_eq!(reader.event()["data"], "before");
    // One a second.
    reader.comments(4);
    drop(reader);
    producer.chunk(&line(&json!("behind")));
    producer.chunk(b"");
    assert_eq!(producer.answer().ok(201)["count"], 2);
}

fn a_line_that_is_refused(kind: Kind) {
    let (_dir, hub) = hub(&[]);
    let proxy = Proxy::start(kind, hub.addr);
    let mut producer = producer(&proxy);
    producer.chunk(&line(&json!(1)));
    producer.chunk(b"oops\n");
    // Caddy answers over HTTP/1.1 when it has the whole body.
    producer.chunk(b"");
    let answer = producer.answer();
    assert_eq!(answer.refusal_with(&["line", "accepted"]), (400, "body.invalid".to_owned()));
    assert_eq!((&answer.json()["line"], &answer.json()["accepted"]), (&json!(2), &json!(1)));
}

fn a_long_poll_is_answered(kind: Kind) {
    let (_dir, hub) = hub(&[]);
    let proxy = Proxy::start(kind, hub.addr);
    let page = proxy.ask(&Ask::by("bob", "GET", EVENTS).query("last=0")).ok(200);
    let after = page["cursor"].as_str().unwrap();
    let mut poll = Connection::open(proxy.plain);
    poll.send(&Ask::by("bob", "GET", EVENTS).query(&format!("after={after}&wait=60")).bytes());
    eventually("it waits at the hub", || (hub.sessions() == 1).then_some(()));
    publish(hub.addr, "alice", "x", &json!("news"));
    assert_eq!(poll.answer().ok(200)["events"][0]["data"], "news");
}

/// With the times of the shipped file: a minute of silence is too long for a test, so its numbers are compared.
fn a_long_poll_may_be_long(kind: Kind) {
    let (_dir, hub) = hub(&[]);
    let proxy = Proxy::with(kind, hub.addr, &kind.impatient(5));
    let page = proxy.ask(&Ask::by("bob", "GET", EVENTS).query("last=0&wait=3")).ok(200);
    assert_eq!(page["events"], json!([]));
}

fn everybody_counts_for_themselves(kind: Kind) {
    let (_dir, hub) =
        hub(&[("TAMBOUR__LIMITS__CONNECTIONS_PER_IP_MAX", "2"), ("TAMBOUR__HTTP__TRUSTED_PROXIES", "127.0.0.1")]);
    let proxy = Proxy::start(kind, hub.addr);
    // What the client itself says of its address is worth nothing.
    let ask = Ask::stream("bob", EVENTS).with("x-forwarded-for", "203.0.113.9");
    let open = |ip: [u8; 4]| {
        let mut connection = from(proxy.plain, ip);
        connection.send(&ask.bytes());
        connection
    };
    let (one, other) = ([127, 77, 0, 1], [127, 77, 0, 2]);
    let held = [one, one, other, other].map(|ip| Stream::over(open(ip)));
    for ip in [one, other] {
        let refused: Answer = open(ip).answer();
        assert_eq!(refused.refusal(), (429, "limit.connections_ip".to_owned()));
    }
    drop(held);
    eventually("they have gone", || (hub.sessions() == 0).then_some(()));
    drop(Stream::over(open(one)));
}
