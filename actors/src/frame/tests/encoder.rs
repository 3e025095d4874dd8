//! What an event is on both wires, and what it says that is about another.

use super::*;
use crate::cursor::Incarnation;
use crate::event::{EventType, Origin};
use crate::topic_key::{Env, Scope, Tenant};

fn encoder() -> FrameEncoder {
    let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
    let key = TopicKey::parse(&scope, "thread/x").unwrap();
    FrameEncoder::new(&key, Mark::new(&key, Incarnation(7)))
}

fn event(kind: &str, data: &str) -> Event {
    Event {
        seq: 12,
        time_ms: 1_795_329_605_123,
        kind: EventType::stored(kind).unwrap(),
        origin: Origin {
            routing: Bytes::from_static(b"\"actor_id\":\"alice\",\"actor_type\":\"human\""),
            meta: Bytes::from_static(b"\"request_id\":\"r\",\"trace_id\":\"t\""),
        },
        data: Bytes::copy_from_slice(data.as_bytes()),
        target: None,
        taken: None,
    }
}

#[test]
fn the_json_is_the_documented_shape() {
    let mut json = Vec::new();
    encoder().write_json(&event("note", "{\"text\":\"hi\"}"), &mut json);
    let id = encoder().cursor(12).to_string();
    let expected = serde_json::json!({
        "v": 1, "id": id, "seq": 12, "type": "note", "time": "2026-11-22T06:40:05.123Z",
        "routing": {"tenant_id": "t_demo", "env": "dev", "thread_id": "x", "actor_id": "alice", "actor_type": "human"},
        "data": {"text": "hi"}, "meta": {"request_id": "r", "trace_id": "t"},
    });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap(), expected);
}

#[test]
fn both_wires_carry_the_same_json() {
    let mut json = Vec::new();
    let event = event("error", "1");
    encoder().write_json(&event, &mut json);
    let frame = encoder().encode(&event);
    let json = String::from_utf8(json).unwrap();
    let sse = format!("event: _error\nid: {}\ndata: {json}\n\n", encoder().cursor(12));
    assert_eq!(frame.wire(Wire::Sse), sse.as_bytes());
    let text = format!("{{\"t\":\"event\",\"topic\":\"thread/x\",\"event\":{json}}}");
    let mut ws = Vec::new();
    control::write_ws_header(text.len(), &mut ws);
    ws.extend_from_slice(text.as_bytes());
    assert_eq!(frame.wire(Wire::Ws), ws);
}

#[test]
fn an_id_line_can_be_another() {
    let frame = encoder().encode(&event("error", "1"));
    for wire in [Wire::Sse, Wire::SseUnnamed] {
        let (before, behind) = frame.around_id(wire);
        let block = [before, format!("id: {}", encoder().cursor(12)).as_bytes(), behind].concat();
        assert_eq!(block, frame.wire(wire));
    }
}

fn json_of(write: impl FnOnce(&mut Vec<u8>)) -> serde_json::Value {
    let mut json = Vec::new();
    write(&mut json);
    serde_json::from_slice(&json).unwrap()
}

#[test]
fn an_append_and_a_redaction_name_their_event() {
    let id = encoder().cursor(3).to_string();
    let append = Event { target: Some(3), ..event("append", "\"tok\"") };
    let json = json_of(|out| encoder().write_json(&append, out));
    assert_eq!(json["data"], serde_json::json!({ "event_id": id, "data": "tok" }));
    let redacted = Event { target: Some(3), ..event("redacted", "{}") };
    let json = json_of(|out| encoder().write_json(&redacted, out));
    assert_eq!((&json["data"], json.get("redacted")), (&serde_json::json!({ "event_id": id }), None));
    let json = json_of(|out| encoder().write_json(&event("note", ""), out));
    assert_eq!((&json["data"], &json["redacted"]), (&serde_json::Value::Null, &true.into()));
    let json = json_of(|out| encoder().write_json(&Event { data: Bytes::new(), ..append }, out));
    assert_eq!((&json["data"], &json["redacted"]), (&serde_json::json!({ "event_id": id }), &true.into()));
}

#[test]
fn a_folded_event_stands_at_its_last_append() {
    let text = FoldedText { text: Bytes::from_static(b"\"a\\nb\""), appends: 2 };
    let folded = Folded { at: 20, event: event("note", "{}"), text: Some(text) };
    let until = encoder().cursor(20).to_string();
    let json = json_of(|out| encoder().write_folded_json(&folded, out));
    assert_eq!(json["seq"], 12);
    assert_eq!(json["fold"], serde_json::json!({ "text": "a\nb", "appends": 2, "until": until }));
    let frame = encoder().encode_folded(&folded);
    assert_eq!(frame.seq, 20);
    let sse = String::from_utf8(frame.wire(Wire::Sse).to_vec()).unwrap();
    assert!(sse.starts_with(&format!("event: note\nid: {until}\ndata: {{")), "{sse}");
    assert_eq!(format!("event: note\n{}", std::str::from_utf8(frame.wire(Wire::SseUnnamed)).unwrap()), sse);
}

#[test]
fn what_was_redacted_says_where_it_stands() {
    let until = encoder().cursor(20).to_string();
    let redacted = Folded { at: 20, event: event("note", ""), text: None };
    let json = json_of(|out| encoder().write_folded_json(&redacted, out));
    assert_eq!((&json["data"], &json["fold"]), (&serde_json::Value::Null, &serde_json::json!({ "until": until })));
    let alone = Folded { at: 12, event: event("note", "1"), text: None };
    let json = json_of(|out| encoder().write_folded_json(&alone, out));
    assert_eq!(json.get("fold"), None);
}

#[test]
fn only_closed_closes() {
    assert!(encoder().encode(&event("closed", "{}")).closes);
    assert!(!encoder().encode(&event("note", "{}")).closes);
}
