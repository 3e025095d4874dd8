//! WebSocket frames, good and bad, byte by byte: what is taken, and with which close code the rest is refused.
//!
//! What the frames ask for is tested in `session`.

use serde_json::{Value, json};

use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::raw_ws::{BINARY, CLOSE, LAST, MORE, PING, RawWs, TEXT, TEXT_BEGINS, announce, frame};

/// The bytes of a session end it with an error of this code and this close code.
#[track_caller]
fn refused(hub: &Running, what: &str, bytes: &[u8], code: &str, close: u16) {
    let mut ws = RawWs::session(hub.addr(), "alice");
    ws.0.send(bytes);
    let error = ws.json();
    assert_eq!((&error["t"], &error["code"]), (&json!("error"), &json!(code)), "{what}: {error}");
    assert_eq!(ws.closed(), close, "{what}");
}

#[test]
fn frames_that_end_a_session() {
    let hub = Running::start();
    let malformed = |what: &str, bytes: &[u8]| refused(&hub, what, bytes, "frame.malformed", 4400);
    malformed("unmasked", b"\x81\x0c{\"t\":\"ping\"}");
    malformed("reserved bits", &frame(0xc1, br#"{"t":"ping"}"#));
    malformed("unknown opcode", &frame(0x83, b""));
    malformed("bad UTF-8", &frame(TEXT, b"{\"t\":\"ping\",\"ref\":\"\xff\"}"));
    malformed("surrogate in UTF-8", &frame(TEXT, b"\"\xed\xa0\x80\""));
    malformed("a ping of 126 bytes", &frame(PING, &[b'x'; 126]));
    malformed("a fragmented ping", &frame(0x09, b"x"));
    malformed("the rest of nothing", &frame(LAST, b"x"));
    malformed("a text in a text", &[frame(TEXT_BEGINS, b"{"), frame(TEXT, b"{}")].concat());
    malformed("half a close code", &frame(CLOSE, &[3]));
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        malformed("a close code that is never sent", &frame(CLOSE, &code.to_be_bytes()));
    }
    malformed("not JSON", &frame(TEXT, b"hello"));
    malformed("JSON that is no frame", &frame(TEXT, b"[1]"));
    malformed("an unknown frame", &frame(TEXT, br#"{"t":"shout"}"#));
    malformed("an unknown field", &frame(TEXT, br#"{"t":"ping","loud":true}"#));
    malformed("a ref that is an object", &frame(TEXT, br#"{"t":"ping","ref":{}}"#));
    malformed("hello twice", &frame(TEXT, br#"{"t":"hello","token":"x","tenant_id":"t_demo","env":"dev"}"#));
    refused(&hub, "binary", &frame(BINARY, b"x"), "frame.binary", 1003);
    refused(&hub, "empty binary", &frame(BINARY, b""), "frame.binary", 1003);
    let too_large = |what: &str, bytes: &[u8]| refused(&hub, what, bytes, "frame.too_large", 4413);
    // Only its header is sent: what it announces is enough.
    too_large("announced", &announce(TEXT, 256 * 1024 + 1));
    too_large("announced, 8 EiB", &announce(TEXT, 1 << 62));
    too_large("announced as binary", &announce(BINARY, 1 << 40));
    let most = vec![b' '; 200 * 1024];
    too_large("in fragments", &[frame(TEXT_BEGINS, &most), announce(MORE, 60 * 1024)].concat());
    assert_eq!(Ask::new("GET", "/readyz").send(hub.addr()).status, 200);
}

#[test]
fn frames_that_are_taken() {
    let hub = Running::start();
    let mut ws = RawWs::session(hub.addr(), "alice");
    let pong = |ws: &mut RawWs, reference: Value| assert_eq!(ws.json(), json!({ "t": "pong", "ref": reference }));
    // A text in three fragments, cut inside of a character, with a ping between.
    let text = r#"{"t":"ping","ref":"é"}"#.as_bytes();
    let cut = text.iter().position(|byte| *byte == 0xc3).unwrap() + 1;
    let pieces = [frame(TEXT_BEGINS, &text[..cut]), frame(PING, b"are you there"), frame(MORE, b"")];
    ws.0.send(&[pieces.concat(), frame(LAST, &text[cut..])].concat());
    assert_eq!(ws.next(), (10, b"are you there".to_vec()), "a pong with the same payload, and at once");
    pong(&mut ws, json!("é"));
    // A frame in single bytes.
    for byte in frame(TEXT, br#"{"t":"ping","ref":1}"#) {
        ws.0.send(&[byte]);
    }
    pong(&mut ws, json!(1));
    // Many frames in one segment.
    let many: Vec<u8> = (0..200).flat_map(|n| frame(TEXT, format!(r#"{{"t":"ping","ref":{n}}}"#).as_bytes())).collect();
    ws.0.send(&many);
    (0..200).for_each(|n| pong(&mut ws, json!(n)));
    // As large as it may be, exactly; with refs that come back as they were written.
    let blank = br#"{"t":"ping","ref":-1.50}"#;
    let largest = [&blank[..], &vec![b' '; 256 * 1024 - blank.len()]].concat();
    ws.0.send(&frame(TEXT, &largest));
    let (_, answer) = ws.next();
    assert_eq!(String::from_utf8(answer).unwrap(), r#"{"t":"pong","ref":-1.50}"#);
    ws.0.send(&frame(PING, &[b'x'; 125]));
    assert_eq!(ws.next(), (10, vec![b'x'; 125]));
    // An unasked pong is nothing.
    ws.0.send(&[frame(0x8a, b"beat"), frame(TEXT, br#"{"t":"ping"}"#)].concat());
    assert_eq!(ws.json(), json!({ "t": "pong" }));
    ws.0.send(&frame(CLOSE, &1000_u16.to_be_bytes()));
    assert_eq!(ws.closed(), 1000);
}

#[test]
fn frames_that_came_with_the_upgrade() {
    let hub = Running::start();
    // From the head on: who publishes behind their subscribe sees what they published.
    let early = |topic: &str| -> Vec<u8> {
        [
            json!({ "t": "subscribe", "topic": topic, "ref": 1 }),
            json!({ "t": "publish", "topic": topic, "type": "note", "data": "first", "ref": 2 }),
            json!({ "t": "ping", "ref": 3 }),
        ]
        .iter()
        .flat_map(|json| frame(TEXT, json.to_string().as_bytes()))
        .collect()
    };
    // Whole, cut in the middle of a frame, and more than one read takes.
    for (place, id) in ["a", "b", "c"].into_iter().enumerate() {
        create(hub.addr(), "alice", id);
        let early = early(&format!("thread/{id}"));
        let cut = [early.len(), 9, early.len() - 5][place];
        let mut ws = RawWs::open(hub.addr(), &Ask::by("alice", "GET", "/v1/ws"), &early[..cut]);
        ws.0.send(&early[cut..]);
        let mut came: Vec<Value> = Vec::new();
        while came.len() < 5 {
            came.push(ws.json());
        }
        let mut kinds: Vec<_> = came.iter().map(|frame| frame["t"].as_str().unwrap()).collect();
        assert_eq!(kinds.remove(0), "welcome");
        kinds.sort_unstable();
        assert_eq!(kinds, ["event", "pong", "published", "subscribed"], "cut at {cut}");
    }
    let hello = json!({ "t": "hello", "token": crate::support::token::token("alice", "member"), "tenant_id": "t_demo", "env": "dev" });
    let mut ws = RawWs::open(hub.addr(), &Ask::new("GET", "/v1/ws"), &frame(TEXT, hello.to_string().as_bytes()));
    assert_eq!(ws.json()["t"], "welcome");
}

#[test]
fn half_closed_sockets_are_let_go() {
    let hub = Running::start();
    create(hub.addr(), "alice", "half");
    let mut ws = RawWs::session(hub.addr(), "alice");
    ws.0.send(&frame(TEXT, br#"{"t":"subscribe","topic":"thread/half"}"#));
    assert_eq!(ws.json()["t"], "subscribed");
    ws.0.finish();
    assert_eq!(ws.0.rest(), b"", "the hub closes its half, too");
    let mut stream = crate::support::sse::Stream::open(hub.addr(), &Ask::stream("alice", "/v1/threads/half/events"));
    stream.connection().finish();
    assert_eq!(stream.next(), None);
    publish(hub.addr(), "alice", "half", &json!(1));
    let mut mid_frame = RawWs::session(hub.addr(), "alice");
    mid_frame.0.send(&frame(TEXT, br#"{"t":"ping"}"#)[..7]);
    mid_frame.0.finish();
    assert_eq!(mid_frame.0.rest(), b"");
}

#[test]
fn handshakes_that_are_none() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let good = Ask::by("alice", "GET", "/v1/ws").upgrade();
    for (what, ask) in [
        ("no upgrade", Ask::by("alice", "GET", "/v1/ws")),
        ("no upgrade on a thread", Ask::by("alice", "GET", "/v1/threads/x/ws")),
        ("no key", good.clone().without("sec-websocket-key")),
        ("no version", good.clone().without("sec-websocket-version")),
        ("an old version", good.clone().with("sec-websocket-version", "12")),
        ("no connection", good.without("connection")),
    ] {
        assert_eq!(ask.send(hub.addr()).refusal(), (400, "request.malformed".to_owned()), "{what}");
    }
    let offers = |protocols: &str| {
        let ask = Ask::new("GET", "/v1/ws").with("x-tenant-id", "t_demo").with("x-env", "dev");
        let mut connection = crate::support::http::Connection::open(hub.addr());
        connection.send(&ask.with("sec-websocket-protocol", protocols).upgrade().bytes());
        let head = connection.head();
        (head.status, head.header("sec-websocket-protocol").map(str::to_owned))
    };
    let token = crate::support::token::token("alice", "member");
    let chosen = Some("tambour.v1".to_owned());
    assert_eq!(offers(&format!("tambour.v1, bearer.{token}")), (101, chosen), "the token is never repeated");
    assert_eq!(offers("tambour.v1, bearer.nonsense").0, 401);
}
