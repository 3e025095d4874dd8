//! The hub's own frames: everything that is no event of a log.
//!
//! Each function returns whole bytes for one wire, ready for a socket. What a frame means is in
//! the protocol page; this file never decides when one is sent.

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Wire;
use crate::cursor::{Cursor, Mark};
use crate::log::Bounds;
use crate::refusal::Refusal;
use crate::topic_key::{FEED, TopicKey};

/// A WebSocket ping without payload (RFC 6455, section 5.5.2).
pub const WS_PING: &[u8] = &[0x89, 0];
/// The comment that keeps proxies and clients from taking a quiet SSE stream for a dead one.
pub const SSE_KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// A request's `ref`, as the client wrote it.
pub type Ref = Option<Box<RawValue>>;

/// A frame of the hub.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Control<'a> {
    /// The session is admitted, or renewed.
    Welcome {
        /// Of this connection; the answer to `auth` does not repeat it.
        #[serde(skip_serializing_if = "Option::is_none")]
        connection_id: Option<Uuid>,
        /// Of the request that opened it; the answer to `auth` does not repeat it.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
        /// Who the hub takes the client for.
        sub: &'a str,
        /// Where.
        tenant_id: &'a str,
        /// Where.
        env: &'a str,
        /// How often the hub pings.
        heartbeat_seconds: u64,
        /// When the identity runs out, RFC 3339.
        expires_at: &'a str,
    },
    /// The reader is a subscriber from here on.
    Subscribed {
        /// Of which topic.
        topic: &'a str,
        /// Where they start.
        cursor: &'a str,
        /// The newest event.
        head: &'a str,
        /// Whether they start from a cursor of theirs.
        resumed: bool,
    },
    /// The reader is no subscriber any more.
    Unsubscribed {
        /// Of which topic.
        topic: &'a str,
    },
    /// An event is on disk.
    Published {
        /// Its cursor.
        id: &'a str,
        /// Its seq.
        seq: u64,
    },
    /// What was asked for can't be had.
    Gap {
        /// In which topic.
        topic: &'a str,
        /// `trimmed`, `reset` or `unknown`.
        reason: &'a str,
        /// The cursor that was asked for.
        requested: &'a str,
        /// The cursor of the oldest event that is kept.
        oldest: &'a str,
        /// The cursor of the newest.
        newest: &'a str,
    },
    /// A request was refused.
    Error {
        /// Which refusal.
        code: &'a str,
        /// The HTTP status of the same refusal.
        status: u16,
        /// A sentence for the caller.
        detail: &'a str,
        /// What else it says.
        #[serde(flatten)]
        more: Option<&'a serde_json::Map<String, serde_json::Value>>,
    },
    /// No more events of a topic.
    SubscriptionEnded {
        /// Which.
        topic: &'a str,
        /// `closed` or `deleted`.
        reason: &'a str,
    },
    /// The identity runs out soon.
    TokenExpiring {
        /// When, RFC 3339.
        expires_at: &'a str,
    },
    /// The hub is going.
    Reconnect {
        /// When to come back.
        retry_after_ms: u64,
    },
    /// Another stream of the same token goes on in place of this one.
    Replaced,
    /// A stream is refused for now, to an `EventSource` that comes back; or is over, because the identity was taken away.
    Refused {
        /// Which refusal.
        code: &'a str,
        /// The HTTP status of the same refusal.
        status: u16,
    },
    /// The reader stands here, though nothing that they see led there. On SSE it is a block of an id alone.
    Progress {
        /// In what: the feed.
        topic: &'a str,
        /// Where.
        cursor: &'a str,
    },
    /// The answer to `ping`.
    Pong,
    /// The first block of an SSE stream.
    Connected {
        /// Of this connection.
        connection_id: Uuid,
        /// Of the request that opened it.
        request_id: &'a str,
        /// What is read.
        topics: &'a [String],
        /// Where the reader starts.
        cursor: &'a str,
        /// The newest event.
        head: &'a str,
        /// How often the hub writes a comment.
        heartbeat_seconds: u64,
        /// When the identity runs out, RFC 3339.
        expires_at: &'a str,
    },
}

impl Control<'_> {
    /// The frame for a WebSocket, with the `ref` of the request that it answers.
    #[must_use]
    pub fn ws(&self, reference: &Ref) -> Vec<u8> {
        // Serde can't put raw text beside a tagged enum's members, so it is put in by hand.
        let mut json = serde_json::to_vec(self).expect("plain texts and numbers can't fail");
        if let Some(reference) = reference {
            json.pop();
            json.extend_from_slice(b",\"ref\":");
            json.extend_from_slice(reference.get().as_bytes());
            json.push(b'}');
        }
        ws_text(&json)
    }

    /// The block for SSE. With an `id`, an `EventSource` resumes from it. Without names, what it is stays in its data.
    #[must_use]
    pub fn sse(&self, wire: Wire, id: Option<&str>) -> Vec<u8> {
        let mut json = serde_json::to_value(self).expect("plain texts and numbers can't fail");
        let id_line = || id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        if wire == Wire::SseUnnamed {
            return format!("{}data: {json}\n\n", id_line()).into_bytes();
        }
        let name = json.as_object_mut().and_then(|members| members.remove("t"));
        let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or("message");
        format!("event: {name}\n{}data: {json}\n\n", id_line()).into_bytes()
    }

    /// The bytes for a wire where no `ref` and no `id` apply.
    #[must_use]
    pub fn wire(&self, wire: Wire) -> Vec<u8> {
        match wire {
            Wire::Ws => self.ws(&None),
            Wire::Sse | Wire::SseUnnamed => self.sse(wire, None),
        }
    }
}

/// The `error` frame of a refusal.
#[must_use]
pub fn error(refusal: &Refusal, reference: &Ref) -> Vec<u8> {
    let (code, status) = (refusal.code.as_str(), refusal.code.status());
    Control::Error { code, status, detail: &refusal.detail, more: refusal.more.as_deref() }.ws(reference)
}

/// The `gap` frame of a topic. On SSE its `id` stands where the reader goes on: just before the oldest event that is kept;
/// in the feed, which loses what is in between, where they were.
#[must_use]
pub fn gap(wire: Wire, key: &TopicKey, mark: Mark, reason: &str, requested: &str, bounds: Bounds, id: &str) -> Vec<u8> {
    let topic = key.topic();
    let (oldest, newest) = (mark.at(bounds.oldest).to_string(), mark.at(bounds.head).to_string());
    let frame = Control::Gap { topic: &topic, reason, requested, oldest: &oldest, newest: &newest };
    match wire {
        Wire::Ws => frame.ws(&None),
        Wire::Sse | Wire::SseUnnamed => frame.sse(wire, Some(id)),
    }
}

/// Where a reader of the feed stands behind what they may not see. An `EventSource` takes the id, and fires nothing.
#[must_use]
pub fn progress(wire: Wire, cursor: Cursor) -> Vec<u8> {
    let cursor = cursor.to_string();
    match wire {
        Wire::Ws => Control::Progress { topic: FEED, cursor: &cursor }.ws(&None),
        Wire::Sse | Wire::SseUnnamed => format!("id: {cursor}\n\n").into_bytes(),
    }
}

/// The SSE field that tells an `EventSource` how long to wait before it connects again.
#[must_use]
pub fn sse_retry(retry_ms: u64) -> Vec<u8> {
    format!("retry: {retry_ms}\n\n").into_bytes()
}

/// A text frame around JSON.
#[must_use]
pub fn ws_text(json: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(json.len() + 10);
    write_ws_header(json.len(), &mut frame);
    frame.extend_from_slice(json);
    frame
}

/// A close frame (RFC 6455, section 5.5.1).
#[must_use]
pub fn ws_close(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason.as_bytes()[..reason.len().min(100)];
    let mut frame = vec![0x88, u8::try_from(reason.len() + 2).unwrap_or(2)];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason);
    frame
}

/// A pong that returns a ping's payload, at most 125 bytes (RFC 6455, section 5.5.3).
#[must_use]
pub fn ws_pong(payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(125)];
    let mut frame = vec![0x8a, u8::try_from(payload.len()).unwrap_or(0)];
    frame.extend_from_slice(payload);
    frame
}

/// The header of an unmasked, final text frame (RFC 6455, section 5.2).
pub fn write_ws_header(payload_bytes: usize, out: &mut Vec<u8>) {
    out.push(0x81);
    if payload_bytes < 126 {
        out.push(u8::try_from(payload_bytes).unwrap_or(0));
    } else if let Ok(short) = u16::try_from(payload_bytes) {
        out.push(126);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_comes_back_as_it_was_written() {
        let reference = Some(RawValue::from_string("\"a\\u0041\"".into()).unwrap());
        assert_eq!(Control::Pong.ws(&reference), ws_text(br#"{"t":"pong","ref":"a\u0041"}"#));
        assert_eq!(Control::Pong.ws(&None), ws_text(br#"{"t":"pong"}"#));
    }

    #[test]
    fn an_sse_block_has_name_id_and_data() {
        let block = Control::SubscriptionEnded { topic: "thread/x", reason: "deleted" };
        let named = block.sse(Wire::Sse, Some("c"));
        assert_eq!(
            named,
            b"event: subscription_ended\nid: c\ndata: {\"reason\":\"deleted\",\"topic\":\"thread/x\"}\n\n"
        );
        let unnamed = block.sse(Wire::SseUnnamed, None);
        assert_eq!(unnamed, b"data: {\"reason\":\"deleted\",\"t\":\"subscription_ended\",\"topic\":\"thread/x\"}\n\n");
    }

    #[test]
    fn headers_of_every_length() {
        for (len, expected) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 255, 255]),
        ] {
            let mut out = Vec::new();
            write_ws_header(len, &mut out);
            assert_eq!(out, expected);
        }
        let mut out = Vec::new();
        write_ws_header(65_536, &mut out);
        assert_eq!(out, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
