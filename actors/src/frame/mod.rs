//! An event as the bytes that go on the wire, encoded once for all who read it.
//!
//! A [`Frame`] holds the WebSocket frame (RFC 6455, section 5.2: unmasked text) and the SSE block
//! (WHATWG HTML, section 9.2) of one event in one allocation; a [`Batch`] holds consecutive
//! frames, joined per wire when somebody needs more than one. The hub's own frames are in
//! [`control`]. Nothing here knows who reads, or where they stand.

mod batch;
pub mod control;

use bytes::Bytes;
use time::OffsetDateTime;

pub use batch::Batch;

use crate::cursor::{Cursor, Mark};
use crate::event::{Event, Seq};
use crate::topic_key::TopicKey;

/// Which bytes a session's socket wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// WebSocket text frames.
    Ws,
    /// SSE blocks.
    Sse,
}

/// One event, encoded for both wires. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The event's place in its topic.
    pub seq: Seq,
    /// Whether nothing can follow: the event is the topic's `closed`.
    pub closes: bool,
    bytes: Bytes,
    ws_bytes: u32,
}

impl Frame {
    /// The bytes for a wire.
    #[must_use]
    pub fn wire(&self, wire: Wire) -> &[u8] {
        let (ws, sse) = self.bytes.split_at(self.ws_bytes as usize);
        match wire {
            Wire::Ws => ws,
            Wire::Sse => sse,
        }
    }

    /// What the frame occupies in memory.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Encodes the events of one incarnation of one topic.
#[derive(Debug)]
pub struct FrameEncoder {
    mark: Mark,
    /// `{"v":1,"id":"<mark>.`
    json_head: Box<[u8]>,
    /// `"routing":{"tenant_id":"…","env":"…","thread_id":"…",`
    json_routing: Box<[u8]>,
    /// `{"t":"event","topic":"thread/x","event":`
    ws_head: Box<[u8]>,
}

impl FrameEncoder {
    /// An encoder for a topic. Names need no escaping: their forms admit no quote.
    #[must_use]
    pub fn new(key: &TopicKey, mark: Mark) -> Self {
        let mark_text = mark.text();
        let mut json_head = b"{\"v\":1,\"id\":\"".to_vec();
        json_head.extend_from_slice(&mark_text);
        json_head.push(b'.');
        let json_routing = format!(
            "\"routing\":{{\"tenant_id\":\"{}\",\"env\":\"{}\",\"{}\":\"{}\",",
            key.tenant(),
            key.env(),
            key.kind().routing_field(),
            key.id()
        );
        let ws_head = format!("{{\"t\":\"event\",\"topic\":\"{}\",\"event\":", key.topic());
        Self {
            mark,
            json_head: json_head.into(),
            json_routing: json_routing.into_bytes().into(),
            ws_head: ws_head.into_bytes().into(),
        }
    }

    /// The mark of the cursors that the encoder writes.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The event's JSON, as pages show it and as both wires carry it.
    pub fn write_json(&self, event: &Event, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        let seq = number.format(event.seq).as_bytes();
        out.extend_from_slice(&self.json_head);
        out.extend_from_slice(seq);
        out.extend_from_slice(b"\",\"seq\":");
        out.extend_from_slice(seq);
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(event.kind.as_str().as_bytes());
        out.extend_from_slice(b"\",\"time\":\"");
        write_time(event.time_ms, out);
        out.extend_from_slice(b"\",");
        out.extend_from_slice(&self.json_routing);
        out.extend_from_slice(&event.origin.routing);
        out.extend_from_slice(b"},\"data\":");
        out.extend_from_slice(&event.data);
        out.extend_from_slice(b",\"meta\":{");
        out.extend_from_slice(&event.origin.meta);
        out.extend_from_slice(b"}}");
    }

    /// Both wires' bytes of an event.
    #[must_use]
    pub fn encode(&self, event: &Event) -> Frame {
        // The JSON is written once, behind a gap wide enough for the longest WebSocket header, and
        // copied once for the other wire.
        let kind = event.kind.as_str();
        let guess = 2 * (event.size_bytes() + self.json_routing.len()) + self.ws_head.len() + 256;
        let mut bytes = Vec::with_capacity(guess);
        let mut json = Vec::with_capacity(guess / 2);
        self.write_json(event, &mut json);
        control::write_ws_header(self.ws_head.len() + json.len() + 1, &mut bytes);
        bytes.extend_from_slice(&self.ws_head);
        bytes.extend_from_slice(&json);
        bytes.push(b'}');
        let ws_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(b"event: ");
        bytes.extend_from_slice(sse_name(kind).as_bytes());
        bytes.extend_from_slice(b"\nid: ");
        let id_at = b"{\"v\":1,\"id\":\"".len();
        let id_bytes = json[id_at..].iter().position(|b| *b == b'"').unwrap_or(0);
        bytes.extend_from_slice(&json[id_at..id_at + id_bytes]);
        bytes.extend_from_slice(b"\ndata: ");
        bytes.extend_from_slice(&json);
        bytes.extend_from_slice(b"\n\n");
        Frame { seq: event.seq, closes: kind == "closed", bytes: bytes.into(), ws_bytes }
    }

    /// The cursor at a seq of this log.
    #[must_use]
    pub fn cursor(&self, seq: Seq) -> Cursor {
        self.mark.at(seq)
    }
}

/// The name of a type on SSE. An `EventSource` fires `error` and `open` itself, so these two
/// appear with an underscore.
#[must_use]
pub fn sse_name(kind: &str) -> &str {
    match kind {
        "error" => "_error",
        "open" => "_open",
        other => other,
    }
}

/// Writes a time as RFC 3339 in UTC with milliseconds: `2026-11-22T06:40:05.123Z`.
pub fn write_time(time_ms: i64, out: &mut Vec<u8>) {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time_ms) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let year = u32::try_from(time.year()).unwrap_or(0);
    let mut digits = |value: u32, width: u32, behind: u8| {
        for place in (0..width).rev() {
            out.push(b'0' + u8::try_from(value / 10_u32.pow(place) % 10).unwrap_or(0));
        }
        out.push(behind);
    };
    digits(year, 4, b'-');
    digits(u32::from(u8::from(time.month())), 2, b'-');
    digits(u32::from(time.day()), 2, b'T');
    digits(u32::from(time.hour()), 2, b':');
    digits(u32::from(time.minute()), 2, b':');
    digits(u32::from(time.second()), 2, b'.');
    digits(u32::from(time.millisecond()), 3, b'Z');
}

/// A time as text, for answers that are made rarely.
#[must_use]
pub fn time_text(time_ms: i64) -> String {
    let mut out = Vec::with_capacity(24);
    write_time(time_ms, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
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
    fn only_closed_closes() {
        assert!(encoder().encode(&event("closed", "{}")).closes);
        assert!(!encoder().encode(&event("note", "{}")).closes);
    }
}
