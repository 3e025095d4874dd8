//! Cursors: where in which incarnation of which topic's log a reader stands.
//!
//! Clients treat a cursor as opaque text. Inside it are 32 bits that name the topic, the 64
//! random bits of the log's incarnation, and a seq; so a cursor from another topic or from a
//! log that was wiped, restored or created anew is recognised. This file never decides what
//! a reader is told about a cursor that can't be honoured: `topic::state` does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::event::Seq;
use crate::topic_key::TopicKey;

/// Bytes of the mark before it is written as text.
const MARK_BYTES: usize = 12;
/// Characters of the mark in a cursor's text: base64url of 12 bytes, without padding.
pub const MARK_CHARS: usize = 16;
/// Longest text of a cursor: the mark, a dot and a 64-bit number.
pub const CURSOR_BYTES_MAX: usize = MARK_CHARS + 1 + 20;

/// 64 random bits that name one life of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation(pub u64);

/// The part of a cursor that is the same for all events of one incarnation of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark([u8; MARK_BYTES]);

impl Mark {
    /// The mark of an incarnation of a topic.
    #[must_use]
    pub fn new(key: &TopicKey, incarnation: Incarnation) -> Self {
        let mut mark = [0; MARK_BYTES];
        mark[..4].copy_from_slice(&key.stable_hash().to_be_bytes()[4..]);
        mark[4..].copy_from_slice(&incarnation.0.to_be_bytes());
        Self(mark)
    }

    /// Whether both marks name the same topic, of whatever incarnation.
    #[must_use]
    pub fn same_topic(&self, other: &Self) -> bool {
        self.0[..4] == other.0[..4]
    }

    /// A mark of the same topic in another life of it.
    #[must_use]
    pub fn of_another_life(mut self) -> Self {
        self.0[MARK_BYTES - 1] ^= 1;
        self
    }

    /// A cursor at `seq`.
    #[must_use]
    pub fn at(self, seq: Seq) -> Cursor {
        Cursor { mark: self, seq }
    }

    /// The mark as it stands at the front of a cursor's text, without the dot.
    #[must_use]
    pub fn text(&self) -> [u8; MARK_CHARS] {
        let mut text = [0; MARK_CHARS];
        let written = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text);
        debug_assert_eq!(written, Ok(MARK_CHARS));
        text
    }
}

/// A place in a log: just behind the event `seq`; seq 0 is before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which incarnation of which topic.
    pub mark: Mark,
    /// The last event that the reader has.
    pub seq: Seq,
}

/// The text is not a cursor that any Tambour made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: use the id of an event as it was received")]
pub struct MalformedCursor;

impl Cursor {
    /// Parses a cursor's text. Exactly the texts that [`std::fmt::Display`] writes are accepted.
    ///
    /// # Errors
    /// [`MalformedCursor`].
    pub fn parse(text: &str) -> Result<Self, MalformedCursor> {
        let bytes = text.as_bytes();
        if bytes.len() > CURSOR_BYTES_MAX || bytes.len() < MARK_CHARS + 2 || bytes[MARK_CHARS] != b'.' {
            return Err(MalformedCursor);
        }
        let mut mark = [0; MARK_BYTES];
        let read = URL_SAFE_NO_PAD.decode_slice(&bytes[..MARK_CHARS], &mut mark);
        let digits = &bytes[MARK_CHARS + 1..];
        let plain = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits[0] != b'0');
        if read != Ok(MARK_BYTES) || !plain {
            return Err(MalformedCursor);
        }
        let seq = std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).ok_or(MalformedCursor)?;
        Ok(Self { mark: Mark(mark), seq })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.mark.text();
        write!(f, "{}.{}", String::from_utf8_lossy(&text), self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic_key::{Env, Scope, Tenant};
    use proptest::prelude::*;

    fn mark(topic: &str, incarnation: u64) -> Mark {
        let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
        Mark::new(&TopicKey::parse(&scope, topic).unwrap(), Incarnation(incarnation))
    }

    proptest! {
        #[test]
        fn text_and_value_are_the_same(incarnation: u64, seq: u64) {
            let cursor = mark("thread/x", incarnation).at(seq);
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor));
        }

        #[test]
        fn whatever_parses_prints_back(text in "[A-Za-z0-9_.-]{0,40}") {
            if let Ok(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = Cursor::parse(&text);
        }
    }

    #[test]
    fn malformed() {
        for bad in [
            "",
            "1",
            "abc",
            "AAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAA.",
            "AAAAAAAAAAAAAAAA.01",
            "AAAAAAAAAAAAAAAA.-1",
            "AAAAAAAAAAAAAAAA.1\n",
            "AAAAAAAAAAAAAAAA.18446744073709551616",
            "A+AAAAAAAAAAAAAA.1",
        ] {
            assert_eq!(Cursor::parse(bad), Err(MalformedCursor), "{bad:?}");
        }
    }

    #[test]
    fn marks_tell_topics_and_incarnations_apart() {
        assert!(mark("thread/x", 1).same_topic(&mark("thread/x", 2)));
        assert!(!mark("thread/x", 1).same_topic(&mark("thread/y", 1)));
        assert_ne!(mark("thread/x", 1), mark("thread/x", 2));
        let other = mark("thread/x", 1).of_another_life();
        assert!(other != mark("thread/x", 1) && other.same_topic(&mark("thread/x", 1)));
    }
}
