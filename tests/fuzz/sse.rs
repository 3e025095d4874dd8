//! SSE: what the hub writes is what our own reader reads, whatever is in it, and a stream means the same however it is cut.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use tambour::cli::sse_parser::{SseEvent, SseParser};
use tambour_actors::cursor::{Incarnation, Mark};
use tambour_actors::event::{Event, NewEvent, Origin};
use tambour_actors::frame::control::{self, Control};
use tambour_actors::frame::{FrameEncoder, Wire, sse_name};
use tambour_actors::log::Bounds;
use tambour_actors::refusal::DETAIL_BYTES_MAX;
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey};

use crate::harness::{self, Target, cut, head, within};

/// What one reading of a stream gives.
type Reading = (Vec<SseEvent>, String, Option<u64>);

fn read(pieces: &[&[u8]]) -> Reading {
    let mut parser = SseParser::new("before");
    let events = pieces.iter().flat_map(|piece| parser.feed(piece).expect("inputs are short")).collect();
    (events, parser.last_event_id().to_owned(), parser.retry_ms())
}

fn any_stream(input: &[u8]) -> String {
    let (rhythm, stream) = head(input);
    let whole = read(&[stream]);
    assert_eq!(read(&cut(rhythm, stream)), whole, "cut elsewhere, it is something else");
    assert_eq!(read(&stream.chunks(1).collect::<Vec<_>>()), whole, "byte by byte, it is something else");
    let (events, last_event_id, retry_ms) = &whole;
    for event in events {
        assert!(!event.name.is_empty() && !event.id.contains(['\0', '\r', '\n']) && !event.name.contains(['\r', '\n']));
    }
    // A reader that does not keep what it is given holds a line and a block. What is no UTF-8 is three times as long then.
    let pieces = cut(rhythm, stream);
    within(16 * stream.len() + 4 * 1024, || {
        let mut parser = SseParser::new("");
        for piece in &pieces {
            drop(parser.feed(piece));
        }
    });
    let shape: Vec<_> = events.iter().take(3).map(|event| (event.name.len().min(9), event.data.len().min(9))).collect();
    format!("{shape:?} {} {}", last_event_id.len().min(9), retry_ms.is_some())
}

fn key() -> TopicKey {
    let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
    TopicKey::parse(&scope, "thread/x").unwrap()
}

/// A type and any JSON, as somebody publishes it: one block, of which the data is the event, and nothing beside it.
fn check_event(kind: &str, data: &str, wire: Wire) -> &'static str {
    let Ok(raw) = serde_json::from_str::<&RawValue>(data) else { return "no JSON" };
    let Ok(NewEvent { kind, data, target }) = NewEvent::parse(kind, raw) else { return "refused" };
    let origin = Origin {
        routing: Bytes::from_static(b"\"actor_id\":\"a\",\"actor_type\":\"human\""),
        meta: Bytes::from_static(b"\"request_id\":\"r\",\"trace_id\":\"t\""),
    };
    let event = Event { seq: 7, time_ms: 1_795_329_605_123, kind, origin, data, target, taken: None };
    let encoder = FrameEncoder::new(&key(), Mark::new(&key(), Incarnation(7)));
    let frame = encoder.encode(&event);
    let (events, last_event_id, _) = read(&[frame.wire(wire)]);
    let [read] = &events[..] else { panic!("one block is one event: {events:?}") };
    let name = if wire == Wire::Sse { sse_name(event.kind.as_str()) } else { "message" };
    assert_eq!((&*read.name, &last_event_id), (name, &encoder.cursor(7).to_string()));
    let json: BTreeMap<&str, &RawValue> = serde_json::from_str(&read.data).expect("the data is JSON");
    assert_eq!((json["type"].get(), json["seq"].get()), (&*format!("\"{}\"", event.kind.as_str()), "7"));
    // The same text, but for line breaks between tokens: a number that no parser here can hold is not touched.
    let given = raw.get().replace(['\r', '\n'], " ");
    assert_eq!(json["data"].get(), given);
    "written"
}

/// The hub's own blocks repeat what a client said: a cursor, a detail, an id of a request.
fn check_control(said: &str, wire: Wire) {
    let said = &said[..said.floor_char_boundary(DETAIL_BYTES_MAX)];
    let topics = [said.to_owned()];
    let frames = [
        Control::Refused { code: said, status: 401 },
        Control::SubscriptionEnded { topic: said, reason: said },
        Control::Error { code: "c", status: 400, detail: said, more: None },
        Control::Connected {
            connection_id: uuid::Uuid::nil(),
            request_id: said,
            topics: &topics,
            cursor: said,
            head: said,
            heartbeat_seconds: 10,
            expires_at: said,
        },
    ];
    for frame in frames {
        let (events, last_event_id, _) = read(&[&frame.sse(wire, Some("m.1"))]);
        assert_eq!((events.len(), &*last_event_id), (1, "m.1"), "{events:?}");
        let mut read: Value = serde_json::from_str(&events[0].data).expect("the data is JSON");
        if wire == Wire::Sse {
            read["t"] = events[0].name.clone().into();
        }
        assert_eq!(read, serde_json::to_value(&frame).unwrap());
    }
    let bounds = Bounds { oldest: 1, head: 2, closed: false };
    let mark = Mark::new(&key(), Incarnation(7));
    let (events, ..) = read(&[&control::gap(wire, &key(), mark, "trimmed", said, bounds, "m.1")]);
    let read: Value = serde_json::from_str(&events[0].data).expect("the data is JSON");
    assert_eq!((events.len(), &read["requested"]), (1, &said.into()));
}

fn any_event(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (kind, data) = text.split_once('\n').unwrap_or((&text, ""));
    let outcomes = [Wire::Sse, Wire::SseUnnamed].map(|wire| {
        check_control(data, wire);
        check_event(kind, data, wire)
    });
    format!("{} {}", outcomes[0], data.get(..1).unwrap_or_default())
}

#[test]
fn streams() {
    let words: &[&[u8]] = &[
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"id: m.1\n",
        b"event: note\n",
        b"data: {}\n",
        b"retry: 2000\n",
        b": keep-alive\n\n",
        b"id",
        b"data",
        b"\xef\xbb\xbf",
        b"\0",
        b"\xff",
    ];
    harness::run(&Target { name: "streams", words, bytes_max: 16 * 1024, check: any_stream });
}

#[test]
fn events() {
    let words: &[&[u8]] = &[
        b"note\n",
        b"error\n",
        b"open\n",
        b"chat_message\n",
        b"{\"text\":\"x\"}",
        b"[",
        b"]",
        b"\"",
        b"\\n",
        b"\\u000a",
        b"\\u2028",
        b"\r\n",
        b"\ndata: x\n\n",
        b"\nid: 9\n",
        b"\nevent: closed\n",
        b"\xe2\x80\xa8",
        b"\xc2\x85",
        b"1e999",
        b"-0",
    ];
    harness::run(&Target { name: "events", words, bytes_max: 70 * 1024, check: any_event });
}
