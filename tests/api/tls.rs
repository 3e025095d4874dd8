//! A hub that speaks TLS, with the clients of the other tests: everything that is promised without it holds with it,
//! and its certificate can be replaced while it runs.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::http::{Ask, Connection, create, publish};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::raw_ws::RawWs;
use crate::support::sse::Stream;
use crate::support::tls::{self, Pair, put};
use crate::support::ws::{Came, Ws};
use crate::support::{WITHIN, eventually};

fn hub(pair: &Pair) -> Running {
    Running::with(|set| pair.set(set))
}

/// Publishes so many small events.
fn fill(addr: SocketAddr, thread: &str, count: u64) {
    let path = format!("/v1/threads/{thread}/events");
    for array in (1..=count).collect::<Vec<_>>().chunks(1_000) {
        let events: Vec<Value> = array.iter().map(|n| json!({ "type": "note", "data": { "n": n } })).collect();
        Ask::by("alice", "POST", &path).json(Value::from(events)).send(addr).ok(201);
    }
}

#[test]
fn everything_works_over_both_versions() {
    let pair = Pair::make();
    let hub = hub(&pair);
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        tls::speaks(hub.addr(), Arc::new(tls::client(&[pair.der()], &[version])));
        let thread = format!("{name:?}");
        create(hub.addr(), "alice", &thread);
        // Two requests over one connection.
        let mut connection = Connection::open(hub.addr());
        let events = format!("/v1/threads/{thread}/events");
        for seq in 1..=2 {
            let ask = Ask::by("alice", "POST", &events).json(json!({ "type": "note", "data": "x".repeat(40_000) }));
            connection.send(&ask.bytes());
            assert_eq!(connection.answer().ok(201)["seq"], seq);
        }
        assert_eq!(connection.channel().tls().protocol_version(), Some(name));
        let page = Ask::by("bob", "GET", &events).query("after=earliest").send(hub.addr()).ok(200);
        assert_eq!(page["events"].as_array().unwrap().len(), 2);

        let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", &events).query("last=1"));
        assert_eq!(stream.event()["seq"], 2);
        let mut ws = Ws::session(hub.addr(), "bob");
        ws.subscribe(&format!("thread/{thread}"), &json!({}));
        ws.send(&json!({ "t": "publish", "topic": format!("thread/{thread}"), "type": "note", "data": 3, "ref": "p" }));
        let mut came = [ws.came(), ws.came()].map(|came| match came {
            Came::Frame(frame) => frame["t"].as_str().unwrap().to_owned(),
            other => panic!("{other:?}"),
        });
        came.sort();
        assert_eq!(came, ["event", "published"]);
        assert_eq!(stream.event()["data"], 3);
        let cursor = stream.last_event_id().to_owned();
        drop(stream);
        publish(hub.addr(), "alice", &thread, &json!(4));
        let mut resumed = Stream::open(hub.addr(), &Ask::stream("bob", &events).with("last-event-id", &cursor));
        assert_eq!(resumed.event()["data"], 4);
        assert_eq!(ws.event()["data"], 4);
    }
}

#[test]
fn a_long_replay_comes_whole_and_in_order() {
    const EVENTS: u64 = 10_000;
    let pair = Pair::make();
    let hub = hub(&pair);
    create(hub.addr(), "alice", "x");
    fill(hub.addr(), "x", EVENTS);
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", "/v1/threads/x/events").query("after=earliest"));
    let mut ws = Ws::session(hub.addr(), "bob");
    ws.subscribe("thread/x", &json!({ "after": "earliest" }));
    let mut sole = Ws::open(hub.addr(), &Ask::by("bob", "GET", "/v1/threads/x/ws").query("after=earliest"));
    sole.expect("welcome");
    sole.expect("subscribed");
    for seq in 1..=EVENTS {
        for event in [stream.event(), ws.event(), sole.event()] {
            assert_eq!((&event["seq"], &event["data"]["n"]), (&json!(seq), &json!(seq)));
        }
    }
    publish(hub.addr(), "alice", "x", &json!("live"));
    for event in [stream.event(), ws.event(), sole.event()] {
        assert_eq!((&event["seq"], &event["data"]), (&json!(EVENTS + 1), &json!("live")));
    }
}

#[test]
fn ends_are_told_by_tls_too() {
    let pair = Pair::make();
    let hub = hub(&pair);
    create(hub.addr(), "alice", "x");
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", "/v1/threads/x/events"));
    let mut ws = RawWs::open(hub.addr(), &Ask::by("bob", "GET", "/v1/threads/x/ws"), b"");
    assert_eq!((&ws.json()["t"], &ws.json()["t"]), (&json!("welcome"), &json!("subscribed")));
    Ask::by("alice", "POST", "/v1/threads/x/close").send(hub.addr()).ok(200);
    assert_eq!(stream.next().unwrap().name, "closed");
    assert_eq!((&ws.json()["t"], &ws.json()["t"]), (&json!("event"), &json!("subscription_ended")));
    assert_eq!(ws.next().0, 8, "a close frame");
    let refused = Ask::by("bob", "GET", "/v1/threads/nope/events").with("accept", "text/event-stream");
    let mut answered = Connection::open(hub.addr());
    answered.send(&refused.bytes());
    assert_eq!(answered.answer().refusal().0, 404);
    for connection in [stream.connection(), &mut ws.0, &mut answered] {
        // Not cut off: TLS says that nothing follows.
        let read = std::io::Read::read(connection.channel(), &mut [0; 16]);
        assert_eq!(read.ok(), Some(0));
    }
}

/// The certificate that a new connection is shown.
fn shown(addr: SocketAddr, trusting: &[&Pair]) -> Result<Vec<u8>, String> {
    let trusted: Vec<_> = trusting.iter().map(|pair| pair.der()).collect();
    let mut client = tls::connection(Arc::new(tls::client(&trusted, rustls::ALL_VERSIONS)));
    let mut socket = TcpStream::connect_timeout(&addr, WITHIN).unwrap();
    socket.set_read_timeout(Some(WITHIN)).unwrap();
    client.complete_io(&mut socket).map_err(|error| error.to_string())?;
    Ok(client.peer_certificates().unwrap()[0].to_vec())
}

/// Two pairs: of one the hub reads the files, the other is to replace it.
fn copied(from: &Pair, to: &Pair) {
    put(&to.cert(), &std::fs::read_to_string(from.cert()).unwrap());
    put(&to.key(), &std::fs::read_to_string(from.key()).unwrap());
}

#[test]
fn a_certificate_is_replaced_while_streams_live() {
    let (pair, next) = (Pair::make(), Pair::make());
    let hub = Running::with(|set| {
        pair.set(set);
        set.tls.reload_seconds = 1;
    });
    create(hub.addr(), "alice", "x");
    let old = pair.der().to_vec();
    assert_eq!(shown(hub.addr(), &[&pair]), Ok(old.clone()));
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", "/v1/threads/x/events"));
    let mut ws = Ws::session(hub.addr(), "bob");
    ws.subscribe("thread/x", &json!({}));
    let mut kept = Connection::open(hub.addr());
    kept.send(&Ask::new("GET", "/healthz").bytes());
    assert_eq!(kept.answer().status, 200);

    let was = Pair::make();
    copied(&pair, &was);
    copied(&next, &pair);
    let new = next.der().to_vec();
    eventually("new connections see the new certificate", || {
        let seen = shown(hub.addr(), &[&was, &next]).unwrap();
        assert!(seen == old || seen == new);
        (seen == new).then_some(())
    });
    // Those that exist go on untouched.
    tls::speaks(hub.addr(), Arc::new(next.client()));
    publish(hub.addr(), "alice", "x", &json!("still there"));
    assert_eq!((&stream.event()["data"], &ws.event()["data"]), (&json!("still there"), &json!("still there")));
    kept.send(&Ask::new("GET", "/healthz").bytes());
    assert_eq!(kept.answer().status, 200);
}

#[test]
fn a_broken_pair_keeps_the_old_one() {
    let (pair, other) = (Pair::make(), Pair::make());
    let dir = TempDir::new().unwrap();
    let hub =
        Process::with_tls(dir.path(), &format!("{}:0", own_host()), &pair, &[("TAMBOUR__TLS__RELOAD_SECONDS", "1")]);
    assert!(hub.url.starts_with("https://"), "{}", hub.url);
    let old = Pair::make();
    copied(&pair, &old);
    let said = |words: &str| hub.said().matches(words).count();
    let breaks = [
        (pair.key(), std::fs::read_to_string(other.key()).unwrap(), "is not that of the first certificate"),
        (pair.cert(), "nothing".to_owned(), "has no certificate in it"),
        (pair.key(), String::new(), "has no certificate in it"),
    ];
    for (count, (path, text, words)) in breaks.iter().enumerate() {
        put(path, text);
        eventually("an error in the log", || (said("put a good pair into the files") == count + 1).then_some(()));
        assert!(said(words) > 0, "{}", hub.said());
        assert_eq!(shown(hub.addr, &[&old]).unwrap(), old.der().to_vec());
    }
    std::fs::remove_file(pair.key()).unwrap();
    eventually("an error in the log", || (said("put a good pair into the files") == 4).then_some(()));
    // A good one is taken without anybody's doing.
    copied(&other, &pair);
    eventually("the good one is taken", || shown(hub.addr, &[&other]).ok());
    assert!(said("new connections have the certificate that is in the file now") == 1, "{}", hub.said());
}

#[test]
fn who_resumes_has_seen_the_certificate_in_force() {
    let pair = Pair::make();
    let hub = hub(&pair);
    let client = Arc::new(pair.client());
    tls::speaks(hub.addr(), client);
    let kind = || {
        let mut connection = Connection::open(hub.addr());
        connection.send(&Ask::new("GET", "/healthz").bytes());
        assert_eq!(connection.answer().status, 200);
        connection.channel().tls().handshake_kind().unwrap()
    };
    assert_eq!([kind(), kind()], [HandshakeKind::Full, HandshakeKind::Resumed]);
    let certificates = hub.certificates().unwrap();
    certificates.reload().unwrap();
    assert_eq!([kind(), kind()], [HandshakeKind::Full, HandshakeKind::Resumed], "tickets are the old pair's");
    std::fs::write(pair.key(), "nothing").unwrap();
    let error = certificates.reload().unwrap_err().to_string();
    assert!(error.contains(pair.key().to_str().unwrap()) && error.contains("tls.key_file"), "{error}");
    assert_eq!(kind(), HandshakeKind::Resumed, "the old pair goes on");
}

#[test]
fn a_drained_hub_says_goodbye() {
    let pair = Pair::make();
    let dir = TempDir::new().unwrap();
    let mut hub = Process::with_tls(dir.path(), &format!("{}:0", own_host()), &pair, &[]);
    create(hub.addr, "alice", "x");
    let mut ws = RawWs::session(hub.addr, "bob");
    let mut stream = Stream::open(hub.addr, &Ask::stream("bob", "/v1/threads/x/events"));
    hub.child.signal("TERM");
    assert_eq!(ws.json()["t"], "reconnect");
    assert_eq!(ws.closed(), 1012);
    assert_eq!(stream.named().0, "reconnect");
    assert_eq!(stream.next(), None);
    drop(stream);
    assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
}
