//! TLS as it comes over the wire: handshakes that stall, fail, come in pieces or with a request in their last flight,
//! plain HTTP, new keys, and ends without a goodbye.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::{ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, StreamOwned};
use serde_json::json;
use tempfile::TempDir;

use crate::support::http::{Ask, Connection, create, publish};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::raw_ws::{RawWs, TEXT, frame};
use crate::support::sse::Stream;
use crate::support::tls::{self, Channel, Pair};
use crate::support::{WITHIN, eventually};

fn hub(pair: &Pair) -> Running {
    Running::with(|set| pair.set(set))
}

fn socket(addr: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&addr, WITHIN).unwrap();
    socket.set_read_timeout(Some(WITHIN)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// A client that has said hello and has its answer: what it owes to the hub is not sent.
fn half_shaken(client: ClientConfig, socket: &mut TcpStream) -> ClientConnection {
    let mut connection = tls::connection(Arc::new(client));
    while connection.is_handshaking() {
        while connection.wants_write() {
            connection.write_tls(socket).unwrap();
        }
        assert!(connection.read_tls(socket).unwrap() > 0, "the hub hung up");
        connection.process_new_packets().unwrap();
    }
    connection
}

/// What a client has to send, as bytes of the wire.
fn ciphertext(connection: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn over(connection: ClientConnection, socket: TcpStream) -> Connection {
    Connection::on(Channel::Tls(Box::new(StreamOwned::new(connection, socket))))
}

/// Frames that publish, each with its number.
fn publishes(thread: &str, count: u64) -> Vec<u8> {
    let publish =
        |n| json!({ "t": "publish", "topic": format!("thread/{thread}"), "type": "note", "data": n, "ref": n });
    (0..count).flat_map(|n| frame(TEXT, publish(n).to_string().as_bytes())).collect()
}

#[test]
fn what_comes_with_the_handshake_and_behind_the_upgrade_is_not_lost() {
    // Far more than any buffer of the server in front of the session.
    const PUBLISHES: u64 = 1_000;
    let pair = Pair::make();
    let hub = hub(&pair);
    create(hub.addr(), "alice", "x");
    let mut small = pair.client();
    small.max_fragment_size = Some(64);
    for (round, client) in [pair.client(), small].into_iter().enumerate() {
        let mut socket = socket(hub.addr());
        let mut connection = half_shaken(client, &mut socket);
        connection.set_buffer_limit(None);
        let upgrade = Ask::by("alice", "GET", "/v1/ws").upgrade().bytes();
        connection.writer().write_all(&[upgrade, publishes("x", PUBLISHES)].concat()).unwrap();
        // The end of the handshake, the request and all frames in one go.
        let all = ciphertext(&mut connection);
        let mut writing = socket.try_clone().unwrap();
        let writer = std::thread::spawn(move || writing.write_all(&all).unwrap());
        let mut ws = RawWs::over(over(connection, socket));
        assert_eq!(ws.json()["t"], "welcome");
        for n in 0..PUBLISHES {
            let answer = ws.json();
            let seq = u64::try_from(round).unwrap() * PUBLISHES + n + 1;
            assert_eq!((&answer["ref"], &answer["seq"]), (&json!(n), &json!(seq)), "{answer}");
        }
        writer.join().unwrap();
    }
    let mut socket = socket(hub.addr());
    let mut connection = half_shaken(pair.client(), &mut socket);
    connection.writer().write_all(&Ask::stream("bob", "/v1/threads/x/events").query("last=1").bytes()).unwrap();
    socket.write_all(&ciphertext(&mut connection)).unwrap();
    assert_eq!(Stream::over(over(connection, socket)).event()["seq"], 2 * PUBLISHES);
}

#[test]
fn everything_may_come_byte_by_byte() {
    let pair = Pair::make();
    let hub = hub(&pair);
    create(hub.addr(), "alice", "x");
    let mut socket = socket(hub.addr());
    let drip = |socket: &mut TcpStream, bytes: &[u8]| bytes.iter().for_each(|byte| socket.write_all(&[*byte]).unwrap());
    let mut client = pair.client();
    client.max_fragment_size = Some(100);
    let mut connection = tls::connection(Arc::new(client));
    while connection.is_handshaking() {
        drip(&mut socket, &ciphertext(&mut connection));
        connection.read_tls(&mut socket).unwrap();
        connection.process_new_packets().unwrap();
    }
    let upgrade = Ask::by("alice", "GET", "/v1/ws").upgrade().bytes();
    connection.writer().write_all(&[upgrade, publishes("x", 20)].concat()).unwrap();
    drip(&mut socket, &ciphertext(&mut connection));
    let mut ws = RawWs::over(over(connection, socket));
    assert_eq!(ws.json()["t"], "welcome");
    for n in 0..20 {
        assert_eq!(ws.json()["ref"], n);
    }
}

#[test]
fn a_handshake_that_stalls_costs_nothing_but_itself() {
    let pair = Pair::make();
    let hub = Running::with(|set| {
        pair.set(set);
        set.http.request_timeout_ms = 700;
        set.http.workers = 1;
    });
    let hello = ciphertext(&mut tls::connection(Arc::new(pair.client())));
    let began = Instant::now();
    let mut stalled: Vec<_> = [&b""[..], &hello[..1], &hello[..hello.len() / 2], &hello]
        .into_iter()
        .map(|bytes| {
            let mut socket = socket(hub.addr());
            socket.write_all(bytes).unwrap();
            socket
        })
        .collect();
    // The same worker serves others meanwhile.
    create(hub.addr(), "alice", "x");
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", "/v1/threads/x/events"));
    publish(hub.addr(), "alice", "x", &json!(1));
    assert_eq!(stream.event()["seq"], 1);
    for socket in &mut stalled {
        let mut said = Vec::new();
        // The end, or a reset: what it had to say lies there unread.
        let _ = socket.read_to_end(&mut said);
    }
    assert!(began.elapsed().as_millis() >= 700, "each has all its time");
    publish(hub.addr(), "alice", "x", &json!(2));
    assert_eq!(stream.event()["seq"], 2);
}

#[test]
fn what_is_no_handshake_is_refused() {
    let pair = Pair::make();
    let hub = hub(&pair);
    for bytes in [&[0_u8; 100][..], b"\x80\x2e\x01\x03\x01", b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\x00\x04\x02\0\0\0"]
    {
        let mut socket = socket(hub.addr());
        socket.write_all(bytes).unwrap();
        let mut said = Vec::new();
        let _ = socket.read_to_end(&mut said);
        assert!(said.is_empty() || said[0] == 21, "nothing, or an alert: {said:?}");
    }
    let alpn = |protocols: &[&str]| {
        let mut client = pair.client();
        client.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut connection = tls::connection(Arc::new(client));
        let shaken = connection.complete_io(&mut socket(hub.addr()));
        shaken.map_err(|error| error.to_string()).map(|_| connection.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(alpn(&["h2", "http/1.1"]), Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(alpn(&[]), Ok(None));
    let refused = alpn(&["h2"]).unwrap_err();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    let mut stranger = tls::connection(Arc::new(Pair::make().client()));
    assert!(stranger.complete_io(&mut socket(hub.addr())).is_err());
    assert_eq!(Ask::new("GET", "/healthz").send(hub.addr()).status, 200, "it goes on");
}

#[test]
fn plain_http_is_told_to_use_tls() {
    let pair = Pair::make();
    let hub = hub(&pair);
    let post =
        Ask::by("alice", "POST", "/v1/threads/x/events").json(json!({ "type": "a", "data": "x".repeat(30_000) }));
    for ask in [Ask::new("GET", "/healthz"), Ask::by("alice", "GET", "/v1/ws").upgrade(), post] {
        let mut connection = Connection::on(Channel::Plain(socket(hub.addr())));
        connection.send(&ask.bytes());
        let answer = connection.answer();
        assert_eq!(answer.refusal(), (400, "request.malformed".to_owned()));
        assert!(answer.text().contains("https://"), "{}", answer.text());
        assert_eq!(connection.rest(), b"");
    }
}

#[test]
fn keys_may_be_renewed() {
    let pair = Pair::make();
    let hub = hub(&pair);
    create(hub.addr(), "alice", "x");
    let mut ws = RawWs::session(hub.addr(), "alice");
    ws.0.send(&frame(TEXT, br#"{"t":"subscribe","topic":"thread/x"}"#));
    assert_eq!(ws.json()["t"], "subscribed");
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", "/v1/threads/x/events"));
    for round in 1..=5 {
        // A stream's client sends nothing else, and yet the hub must read it.
        for connection in [&mut ws.0, stream.connection()] {
            connection.channel().tls().refresh_traffic_keys().unwrap();
            connection.channel().flush().unwrap();
        }
        publish(hub.addr(), "alice", "x", &json!(round));
        assert_eq!((&ws.json()["event"]["seq"], &stream.event()["seq"]), (&json!(round), &json!(round)));
        ws.0.send(&frame(TEXT, br#"{"t":"ping"}"#));
        assert_eq!(ws.json()["t"], "pong");
    }
}

/// The record of a client's own, encrypted as its next one.
fn record(connection: ClientConnection, typ: ContentType, payload: &[u8]) -> Vec<u8> {
    let suite = connection.negotiated_cipher_suite().unwrap().tls13().unwrap();
    let (seq, secrets) = connection.dangerous_extract_secrets().unwrap().tx;
    let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
    else {
        panic!("unknown secrets")
    };
    let payload = OutboundChunks::Single(payload);
    let plain = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload };
    suite.aead_alg.encrypter(key, iv).encrypt(plain, seq).unwrap().encode()
}

/// A message of TLS itself, of which only the beginning has come, is nothing to read: who looks for what is ready
/// must not find it again and again.
#[test]
fn half_a_message_of_tls_is_waited_for() {
    let pair = Pair::make();
    let dir = TempDir::new().unwrap();
    let hub = Process::with_tls(dir.path(), &format!("{}:0", own_host()), &pair, &[("TAMBOUR__HTTP__WORKERS", "1")]);
    create(hub.addr, "alice", "x");
    let mut client = pair.client();
    client.enable_secret_extraction = true;
    let mut socket = socket(hub.addr);
    let mut connection = half_shaken(client, &mut socket);
    connection.writer().write_all(&Ask::by("alice", "GET", "/v1/threads/x/ws").upgrade().bytes()).unwrap();
    socket.write_all(&ciphertext(&mut connection)).unwrap();
    eventually("the session begins", || (hub.sessions() == 1).then_some(()));
    // A key update has five bytes.
    socket.write_all(&record(connection, ContentType::Handshake, &[24, 0])).unwrap();
    create(hub.addr, "alice", "y");
    publish(hub.addr, "alice", "x", &json!(1));
    assert_eq!(hub.sessions(), 1, "it is waited for");
    drop(socket);
    eventually("the session ends", || (hub.sessions() == 0).then_some(()));
}

#[test]
fn every_end_ends_the_session() {
    let pair = Pair::make();
    let dir = TempDir::new().unwrap();
    let hub = Process::with_tls(dir.path(), &format!("{}:0", own_host()), &pair, &[]);
    create(hub.addr, "alice", "x");
    let ends: [fn(Connection); 5] = [
        // Cut off, half closed, said goodbye and no more, and nonsense.
        drop,
        |mut connection| {
            connection.channel().tcp().shutdown(std::net::Shutdown::Write).unwrap();
            connection.rest();
        },
        |mut connection| {
            connection.channel().tls().send_close_notify();
            connection.channel().flush().unwrap();
            connection.rest();
        },
        |mut connection| connection.finish(),
        |mut connection| {
            let mut socket = connection.channel().tcp();
            socket.write_all(b"\x17\x03\x03\x00\x20this is not what was agreed upon!!").unwrap();
            let mut said = Vec::new();
            let _ = socket.read_to_end(&mut said);
            assert!(said.windows(3).any(|bytes| bytes == b"\x17\x03\x03"), "an alert, encrypted: {said:?}");
        },
    ];
    for end in ends {
        let mut stream = Connection::open(hub.addr);
        stream.send(&Ask::stream("bob", "/v1/threads/x/events").bytes());
        stream.head();
        let ws = RawWs::session(hub.addr, "bob");
        eventually("both sessions", || (hub.sessions() == 2).then_some(()));
        end(stream);
        end(ws.0);
        eventually("no session is left", || (hub.sessions() == 0).then_some(()));
    }
}
