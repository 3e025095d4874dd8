//! An event as the bytes that go on the wire, encoded once for all who read it.
//!
//! A [`Frame`] holds the WebSocket frame (RFC 6455, section 5.2: unmasked text) and the SSE block
//! (WHATWG HTML, section 9.2) of one event in one allocation; a [`Batch`] holds consecutive
//! frames, joined per wire when somebody needs more than one. The hub's own frames are in
//! [`control`]. Nothing here knows who reads, or where they stand.

mod batch;
pub mod control;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use time::OffsetDateTime;

pub use batch::Batch;

use crate::cursor::{Cursor, Mark};
use crate::event::{Event, EventType, Seq};
use crate::log::{Folded, FoldedText, TopicRecord};
use crate::topic_key::TopicKey;

/// Which bytes a session's socket wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// WebSocket text frames.
    Ws,
    /// SSE blocks.
    Sse,
    /// SSE blocks without the event's name, so that an `EventSource` gives all of them to `onmessage`.
    SseUnnamed,
}

impl Wire {
    /// Whether it is SSE, named or not.
    #[must_use]
    pub fn is_sse(self) -> bool {
        self != Self::Ws
    }
}

/// What an event of the feed is about: what decides who sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its type.
    pub kind: EventType,
    /// Its topic.
    pub topic: Arc<TopicRecord>,
    /// Of an event of `system/tenant`: the topic that it is about.
    pub about: Option<Arc<TopicRecord>>,
}

/// One event, encoded for both wires. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The event's place in its topic.
    pub seq: Seq,
    /// Whether nothing can follow: the event is the topic's `closed`.
    pub closes: bool,
    /// In the feed: what it is about.
    pub subject: Option<Arc<Subject>>,
    /// When its topic took the publish, of what is new; else it is not known.
    pub taken: Option<Instant>,
    bytes: Bytes,
    ws_bytes: u32,
    /// Of the SSE block's first line, the event's name.
    name_bytes: u8,
}

impl Frame {
    /// The bytes for a wire.
    #[must_use]
    pub fn wire(&self, wire: Wire) -> &[u8] {
        let (ws, sse) = self.bytes.split_at(self.ws_bytes as usize);
        match wire {
            Wire::Ws => ws,
            Wire::Sse => sse,
            Wire::SseUnnamed => &sse[usize::from(self.name_bytes)..],
        }
    }

    /// Of an SSE block: what stands before its id line, and from the end of that line what stands behind.
    #[must_use]
    pub fn around_id(&self, wire: Wire) -> (&[u8], &[u8]) {
        let (name, rest) = self.bytes[self.ws_bytes as usize..].split_at(usize::from(self.name_bytes));
        let id_bytes = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
        (if wire == Wire::Sse { name } else { &[] }, &rest[id_bytes..])
    }

    /// Both wires' bytes around the JSON of an event that stands at a cursor.
    #[must_use]
    pub(crate) fn around(ws_head: &[u8], kind: &str, at: Cursor, json: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(2 * json.len() + ws_head.len() + 160);
        control::write_ws_header(ws_head.len() + json.len() + 1, &mut bytes);
        bytes.extend_from_slice(ws_head);
        bytes.extend_from_slice(json);
        bytes.push(b'}');
        let ws_bytes = bytes.len();
        bytes.extend_from_slice(b"event: ");
        bytes.extend_from_slice(sse_name(kind).as_bytes());
        bytes.push(b'\n');
        let name_bytes = u8::try_from(bytes.len() - ws_bytes).expect("a type has at most 64 bytes");
        bytes.extend_from_slice(b"id: ");
        bytes.extend_from_slice(&at.mark.text());
        bytes.push(b'.');
        bytes.extend_from_slice(itoa::Buffer::new().format(at.seq).as_bytes());
        bytes.extend_from_slice(b"\ndata: ");
        bytes.extend_from_slice(json);
        bytes.extend_from_slice(b"\n\n");
        let ws_bytes = u32::try_from(ws_bytes).unwrap_or(u32::MAX);
        Self { seq: at.seq, closes: false, subject: None, taken: None, bytes: bytes.into(), ws_bytes, name_bytes }
    }

    /// The same, of an event that was just written.
    #[must_use]
    pub(crate) fn taken_at(self, taken: Option<Instant>) -> Self {
        Self { taken, ..self }
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
        self.write_members(event, None, out);
    }

    /// The JSON of an event with its appends folded.
    pub fn write_folded_json(&self, folded: &Folded, out: &mut Vec<u8>) {
        let Folded { at, event, text } = folded;
        // Whoever reads on from what they were told must know where it stands, and what takes the place of what they have.
        let stands_for_more = text.is_some() || *at != event.seq;
        self.write_members(event, stands_for_more.then_some((text.as_ref(), *at)), out);
    }

    fn write_members(&self, event: &Event, fold: Option<(Option<&FoldedText>, Seq)>, out: &mut Vec<u8>) {
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
        self.write_data(event, out);
        if let Some((text, until)) = fold {
            out.extend_from_slice(b",\"fold\":{");
            if let Some(fold) = text {
                out.extend_from_slice(b"\"text\":");
                out.extend_from_slice(&fold.text);
                out.extend_from_slice(b",\"appends\":");
                out.extend_from_slice(number.format(fold.appends).as_bytes());
                out.push(b',');
            }
            out.extend_from_slice(b"\"until\":\"");
            out.extend_from_slice(self.mark.at(until).to_string().as_bytes());
            out.extend_from_slice(b"\"}");
        }
        out.extend_from_slice(b",\"meta\":{");
        out.extend_from_slice(&event.origin.meta);
        out.extend_from_slice(b"}}");
    }

    /// What is about another event names it; what was redacted says so.
    fn write_data(&self, event: &Event, out: &mut Vec<u8>) {
        match event.target {
            Some(target) => {
                out.extend_from_slice(b"{\"event_id\":\"");
                out.extend_from_slice(self.mark.at(target).to_string().as_bytes());
                out.push(b'"');
                if event.kind.as_str() == "append" && !event.is_redacted() {
                    out.extend_from_slice(b",\"data\":");
                    out.extend_from_slice(&event.data);
                }
                out.push(b'}');
            }
            None if event.is_redacted() => out.extend_from_slice(b"null"),
            None => out.extend_from_slice(&event.data),
        }
        if event.is_redacted() {
            out.extend_from_slice(b",\"redacted\":true");
        }
    }

    /// Both wires' bytes of an event.
    #[must_use]
    pub fn encode(&self, event: &Event) -> Frame {
        let mut json = Vec::with_capacity(event.size_bytes() + self.json_routing.len() + 128);
        self.write_json(event, &mut json);
        self.frame(event, event.seq, &json)
    }

    /// Both wires' bytes of an event with its appends folded. On SSE its `id` is the place of the last append, so
    /// that a reader who comes back goes on behind it.
    #[must_use]
    pub fn encode_folded(&self, folded: &Folded) -> Frame {
        let mut json = Vec::with_capacity(folded.event.size_bytes() + self.json_routing.len() + 256);
        self.write_folded_json(folded, &mut json);
        self.frame(&folded.event, folded.at, &json)
    }

    fn frame(&self, event: &Event, at: Seq, json: &[u8]) -> Frame {
        let kind = event.kind.as_str();
        Frame { closes: kind == "closed", ..Frame::around(&self.ws_head, kind, self.mark.at(at), json) }
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
#[path = "tests/encoder.rs"]
mod tests;
