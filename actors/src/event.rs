//! Events: what a topic's log is made of, and the limits on them.
//!
//! The JSON parts of an event (its data, who sent it, which request caused it) are kept as
//! the text that goes on the wire: they are checked where they come in and never parsed again.
//! This file never encodes a frame: `frame` does.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::catalogue;
use crate::depth::{DATA_DEPTH_MAX, is_deeper};
use crate::refusal::{Code, Refusal};
use crate::system::SystemType;

/// The place of an event in its topic's log: 1, 2, 3… without holes. 0 is before the first.
pub type Seq = u64;

/// Largest `data` of one event, in bytes of JSON text.
pub const DATA_BYTES_MAX: usize = 64 * 1024;
/// Longest event type in bytes.
pub const TYPE_BYTES_MAX: usize = 64;
/// Most events in one array.
pub const BATCH_EVENTS_MAX: usize = 1_000;
/// Largest body of an array, in bytes.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most bytes of JSON text that all appends to one event have together.
pub const APPENDED_BYTES_MAX: usize = 256 * 1024;

/// Types that only the hub writes. A client that publishes one could forge the hub's own
/// frames, because SSE carries the type as the event's name.
pub const RESERVED_TYPES: &[&str] = &[
    "connected",
    "gap",
    "closed",
    "replaced",
    "refused",
    "reconnect",
    "token_expiring",
    "presence",
    "signal",
    "welcome",
    "subscribed",
    "unsubscribed",
    "published",
    "event",
    "pong",
    "ping",
    "hello",
    "subscription_ended",
    "append",
    "redacted",
    "progress",
];

/// Why a text can't be the type of a published event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// Not `[a-z][a-z0-9_.]{0,63}`.
    #[error("a type is a-z, then at most 63 of a-z, 0-9, _ and .")]
    Malformed,
    /// One of [`RESERVED_TYPES`], or of [`SystemType`].
    #[error("this type is written by the hub alone")]
    Reserved,
}

/// The type of an event: `[a-z][a-z0-9_.]{0,63}`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventType(Arc<str>);

impl EventType {
    /// Parses a type that a client wants to publish.
    ///
    /// # Errors
    /// [`TypeError::Malformed`] or [`TypeError::Reserved`].
    pub fn parse(text: &str) -> Result<Self, TypeError> {
        let parsed = Self::stored(text)?;
        if RESERVED_TYPES.contains(&text) || SystemType::parse(text).is_some() {
            return Err(TypeError::Reserved);
        }
        Ok(parsed)
    }

    /// Parses a type read from a log, where the hub's own types occur too.
    ///
    /// # Errors
    /// [`TypeError::Malformed`].
    pub fn stored(text: &str) -> Result<Self, TypeError> {
        let form = text.len() <= TYPE_BYTES_MAX
            && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.');
        if form { Ok(Self(text.into())) } else { Err(TypeError::Malformed) }
    }

    /// `closed`: the last event of a closed topic.
    #[must_use]
    pub fn closed() -> Self {
        Self("closed".into())
    }

    /// `append`: more text for an earlier event.
    #[must_use]
    pub fn append() -> Self {
        Self("append".into())
    }

    /// `redacted`: an earlier event has lost its data.
    #[must_use]
    pub fn redacted() -> Self {
        Self("redacted".into())
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who and what caused an event, as JSON members without the braces around them; one value
/// serves all events of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Members of `routing` behind the topic's own: `"actor_id":"alice","actor_type":"human"`.
    /// Never empty.
    pub routing: Bytes,
    /// Members of `meta`: `"request_id":"…","trace_id":"…"`. Never empty.
    pub meta: Bytes,
}

impl Origin {
    /// Who sent: the value of `actor_id`, the first member of `routing`, as JSON text with its quotes. Empty
    /// when there is none.
    #[must_use]
    pub fn actor(&self) -> &[u8] {
        let Some(value) = self.routing.strip_prefix(b"\"actor_id\":\"") else { return &[] };
        let mut escaped = false;
        let end = value.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        });
        end.map_or(&[], |end| &self.routing[b"\"actor_id\":".len()..b"\"actor_id\":\"".len() + end + 1])
    }
}

/// An event that has no place in a log yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its type.
    pub kind: EventType,
    /// Its data: one valid JSON value without a raw CR or LF outside of strings' escapes, at
    /// most [`DATA_BYTES_MAX`]. Of an append: a JSON string.
    pub data: Bytes,
    /// Of an append: the event that gets the text.
    pub target: Option<Seq>,
}

impl NewEvent {
    /// Parses a type and the raw text of one JSON value.
    ///
    /// # Errors
    /// `type.invalid`, `type.reserved`, `event.too_large`, `body.invalid` (nested too deep) or, for a well-known type, `data.invalid`.
    pub fn parse(kind: &str, raw: &RawValue) -> Result<Self, Refusal> {
        let kind = EventType::parse(kind).map_err(|error| {
            let code = match error {
                TypeError::Malformed => Code::TypeInvalid,
                TypeError::Reserved => Code::TypeReserved,
            };
            Refusal::new(code, error.to_string())
        })?;
        let data = raw.get();
        if data.len() > DATA_BYTES_MAX {
            return Err(Refusal::new(Code::EventTooLarge, format!("data has at most {DATA_BYTES_MAX} bytes of JSON")));
        }
        if is_deeper(data.as_bytes(), DATA_DEPTH_MAX) {
            return Err(Refusal::new(
                Code::BodyInvalid,
                format!("data is nested at most {DATA_DEPTH_MAX} levels deep"),
            ));
        }
        catalogue::check(kind.as_str(), raw)?;
        // JSON allows line breaks between tokens, never inside strings (RFC 8259, section 7); an SSE
        // data line does not.
        let data = if data.bytes().any(|byte| matches!(byte, b'\n' | b'\r')) {
            data.replace(['\n', '\r'], " ").into()
        } else {
            Bytes::copy_from_slice(data.as_bytes())
        };
        Ok(Self { kind, data, target: None })
    }

    /// More text for an earlier event: `text` is the raw text of a JSON string.
    ///
    /// # Errors
    /// `append.not_text`, `event.too_large`.
    pub fn append(target: Seq, text: &RawValue) -> Result<Self, Refusal> {
        let text = text.get();
        if !text.starts_with('"') {
            return Err(Refusal::new(Code::AppendNotText, "what is appended is a string"));
        }
        if text.len() > DATA_BYTES_MAX {
            return Err(Refusal::new(Code::EventTooLarge, format!("data has at most {DATA_BYTES_MAX} bytes of JSON")));
        }
        Ok(Self { kind: EventType::append(), data: Bytes::copy_from_slice(text.as_bytes()), target: Some(target) })
    }
}

/// An event in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place.
    pub seq: Seq,
    /// When the topic accepted it, in milliseconds since 1970.
    pub time_ms: i64,
    /// Its type.
    pub kind: EventType,
    /// Who and what caused it.
    pub origin: Origin,
    /// Its data, as JSON text; empty once it was redacted. Of an `append`: a JSON string. Of a `redacted`: `{}`.
    pub data: Bytes,
    /// Of an `append` or a `redacted`: the event it is about.
    pub target: Option<Seq>,
    /// When its topic took the publish, by the clock of this process: of what is being written. It is not kept.
    pub taken: Option<Instant>,
}

impl Event {
    /// Whether its data was taken away.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        self.data.is_empty()
    }

    /// What the event counts for in limits: its stored texts in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.kind.as_str().len() + self.origin.routing.len() + self.origin.meta.len() + self.data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_between_tokens_become_blanks() {
        let raw: &RawValue = serde_json::from_str("{\n\"a\":\r\n\"\\n\"}").unwrap();
        assert_eq!(NewEvent::parse("a", raw).unwrap().data, "{ \"a\":  \"\\n\"}");
    }

    #[test]
    fn the_actor_is_the_first_member_of_routing() {
        let actor = |routing: &'static str| {
            let origin = Origin { routing: Bytes::from_static(routing.as_bytes()), meta: Bytes::new() };
            String::from_utf8(origin.actor().to_vec()).unwrap()
        };
        assert_eq!(actor(r#""actor_id":"alice","actor_type":"human""#), r#""alice""#);
        assert_eq!(actor(r#""actor_id":"a\"b\\","actor_type":"human""#), r#""a\"b\\""#);
        assert_eq!(actor(r#""actor_id":"a""#), r#""a""#);
        assert_eq!(actor(r#""actor_type":"human","actor_id":"a""#), "");
        assert_eq!(actor(r#""actor_id":"a"#), "");
    }

    #[test]
    fn an_append_is_a_string() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        assert_eq!(NewEvent::append(3, &raw("\"a\\n\"")).unwrap().data, "\"a\\n\"");
        for bad in ["1", "{}", "null", "[\"a\"]"] {
            assert_eq!(NewEvent::append(3, &raw(bad)).unwrap_err().code, Code::AppendNotText, "{bad}");
        }
    }

    #[test]
    fn types() {
        for good in ["a", "chat_message", "run.step2", &"a".repeat(64), "error", "open"] {
            assert!(EventType::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "1a", "_a", "a b", "a\nb", "é", &"a".repeat(65)] {
            assert_eq!(EventType::parse(bad), Err(TypeError::Malformed), "{bad}");
        }
        for reserved in RESERVED_TYPES {
            assert_eq!(EventType::parse(reserved), Err(TypeError::Reserved));
            assert!(EventType::stored(reserved).is_ok());
        }
    }
}
