//! Line ends, NUL and quotes in whatever reaches an SSE stream: a parser sees exactly the events that were published.
//!
//! The bytes of the stream are looked at, too: no line of it is anybody's text.

use serde_json::{Value, json};

use crate::support::http::{Ask, Connection, create};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::token::{claims, sign};

const FORGED: &str = "x\nevent: forged\nid: forged\ndata: {}\n\nevent: forged\r\rdata: \0\r\n\r\n";

#[test]
fn texts_in_data_stay_texts() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let mut stream = Stream::open(hub.addr(), &Ask::stream("alice", "/v1/threads/x/events"));
    let post = |body: &str| {
        Ask::by("alice", "POST", "/v1/threads/x/events").json(body).send(hub.addr()).ok(201);
    };
    let strange = json!({ "text": FORGED, "\u{2028}\u{85}é\u{1f980}": "\u{7f}\u{1b}[31m\u{feff}" });
    post(&json!({ "type": "note", "data": strange }).to_string());
    let event = stream.event();
    assert_eq!((&event["data"], &event["seq"]), (&strange, &json!(1)));
    // Raw line ends between the tokens of the JSON, alone and in arrays, of all three kinds.
    post("{\"type\":\"note\",\r\n\"data\":{\r\"a\"\n:\r\n[1,\n\n2]\r}\n}\n\n");
    post("[\n{\"type\":\"note\",\"data\":\r\n\r\n\"b\"\r\r},\r{\"data\":[\n],\"type\":\"note\"}]\n");
    assert_eq!(stream.event()["data"], json!({ "a": [1, 2] }));
    assert_eq!(stream.event()["data"], "b");
    assert_eq!(stream.event()["data"], json!([]));
    post("{\"type\":\"error\",\"data\":null}");
    let event = stream.next().unwrap();
    assert_eq!(event.name, "_error");
    assert_eq!(serde_json::from_str::<Value>(&event.data).unwrap()["type"], "error");
    let raw = "{\"type\":\"note\",\"data\":\"a\nb\"}";
    let refused = Ask::by("alice", "POST", "/v1/threads/x/events").json(raw).send(hub.addr());
    assert_eq!(refused.refusal(), (400, "body.invalid".to_owned()), "a raw line end in a string is no JSON");
}

#[test]
fn types_ids_and_titles_have_no_line_ends() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    for kind in ["a\nb", "a\rb", "a\u{0}", "a b", "", "Note", "closed", "connected"] {
        let body = json!({ "type": kind, "data": 1 });
        let (status, code) = Ask::by("alice", "POST", "/v1/threads/x/events").json(body).send(hub.addr()).refusal();
        assert!(status == 400 && code.starts_with("type."), "{kind:?}: {status} {code}");
    }
    for body in [json!({ "title": FORGED }), json!({ "members": [{ "sub": "a\nb" }] })] {
        let answer = Ask::by("alice", "POST", "/v1/threads").json(body).send(hub.addr());
        assert_eq!(answer.refusal(), (400, "body.invalid".to_owned()));
    }
    for id in ["a\nb", "a b", "é", "a/b", ""] {
        let answer = Ask::by("alice", "POST", "/v1/threads").json(json!({ "id": id })).send(hub.addr());
        assert_eq!(answer.refusal(), (400, "name.invalid".to_owned()), "{id:?}");
    }
    let path = Ask::by("alice", "GET", "/v1/threads/a%0Ab/events").with("accept", "text/event-stream");
    assert_eq!(path.send(hub.addr()).refusal(), (400, "name.invalid".to_owned()));
    for cursor in ["x%0Aevent:%20forged", "%00"] {
        let ask = Ask::stream("alice", &format!("/v1/threads/x/events?after={cursor}"));
        assert_eq!(ask.send(hub.addr()).refusal(), (400, "cursor.malformed".to_owned()));
    }
}

#[test]
fn names_from_tokens_and_headers_are_quoted() {
    let hub = Running::start();
    let sub = "o'\"neill\\ \u{2028} é\u{1f980} </script> event: x";
    let by = |ask: Ask| ask.with("authorization", &format!("Bearer {}", sign(&claims(sub, "member"))));
    by(Ask::by("x", "POST", "/v1/threads")).json(json!({ "id": "x", "title": sub })).send(hub.addr()).ok(201);
    let shown = by(Ask::by("x", "GET", "/v1/threads/x")).send(hub.addr()).ok(200);
    assert_eq!((&shown["title"], &shown["creator"]), (&json!(sub), &json!(sub)));
    let request_id = r#"","data":{}}\n\ndata:'<>{}"#;
    let ask = by(Ask::by("x", "POST", "/v1/threads/x/events")).with("x-request-id", request_id);
    ask.with("x-run-id", r#""},"a":"\u000a"#).json(json!({ "type": "note", "data": 1 })).send(hub.addr()).ok(201);
    let ask = by(Ask::stream("x", "/v1/threads/x/events?after=earliest")).with("x-request-id", request_id);
    let mut stream = Stream::open(hub.addr(), &ask);
    assert_eq!(stream.connected["request_id"], request_id);
    let event = stream.event();
    assert_eq!(event["routing"]["actor_id"], sub);
    assert_eq!(event["routing"]["run_id"], r#""},"a":"\u000a"#);
    assert_eq!(event["meta"]["request_id"], request_id);
    // Nothing but the hub's own fields begins a line.
    Ask::by("admin", "POST", "/v1/threads/x/close")
        .with("authorization", &format!("Bearer {}", sign(&claims("admin", "admin"))))
        .send(hub.addr())
        .ok(200);
    let mut connection = Connection::open(hub.addr());
    connection.send(&ask.bytes());
    connection.head();
    let text = String::from_utf8(connection.rest()).unwrap();
    assert!(!text.contains('\r') && !text.contains('\0'), "{text:?}");
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        assert!(
            ["event: ", "id: ", "data: {", "retry: ", ": "].iter().any(|field| line.starts_with(field)),
            "{line:?}"
        );
    }
    assert_eq!(text.matches("\nevent: ").count() + 1, 3, "connected, note, closed: {text}");
}
