//! Cursors: where in which incarnation of which topic's log a reader stands.
//!
//! Clients treat a cursor as opaque text. Inside it are 32 bits that name the topic, the 64
//! random bits of the log's incarnation, and a seq; so a cursor from another topic or from a
//! log that was wiped, restored or created anew is recognised. A cursor of the feed may say
//! besides what its holder knows of retention. This file never decides what
//! a reader is told about a cursor that can't be honoured: `topic::state` does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::event::Seq;
use crate::topic_key::TopicKey;

/// Bytes of the mark before it is written as text.
const MARK_BYTES: usize = 12;
/// Characters of the mark in a cursor's text: base64url of 12 bytes, without padding.
pub const MARK_CHARS: usize = 16;
/// Longest text of an event's cursor: the mark, a dot and a 64-bit number.
pub const CURSOR_BYTES_MAX: usize = MARK_CHARS + 1 + 20;
/// Longest text of a cursor to read on from: there may be a floor between the two, and a dot.
pub const PLACE_BYTES_MAX: usize = CURSOR_BYTES_MAX + 1 + 20;

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
        Cursor { mark: self, seq, floor: 0 }
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
    /// Of the feed: how far retention had come when this was given out, where that is further than `seq`; else 0.
    pub floor: Seq,
}

/// The text is not a cursor that any Tambour made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: use the id of an event as it was received")]
pub struct MalformedCursor;

impl Cursor {
    /// The same place for who knows that retention has come so far.
    #[must_use]
    pub fn knowing(self, floor: Seq) -> Self {
        Self { floor: if floor > self.seq { floor } else { 0 }, ..self }
    }

    /// Parses the text of an event's cursor. Exactly the texts that [`std::fmt::Display`] writes of one without a floor are
    /// accepted.
    ///
    /// # Errors
    /// [`MalformedCursor`].
    pub fn parse(text: &str) -> Result<Self, MalformedCursor> {
        Self::parse_place(text).ok().filter(|cursor| cursor.floor == 0).ok_or(MalformedCursor)
    }

    /// Parses the text of a cursor to read on from, with a floor or without. Exactly the texts that [`std::fmt::Display`] writes
    /// are accepted.
    ///
    /// # Errors
    /// [`MalformedCursor`].
    pub fn parse_place(text: &str) -> Result<Self, MalformedCursor> {
        let bytes = text.as_bytes();
        if bytes.len() > PLACE_BYTES_MAX || bytes.len() < MARK_CHARS + 2 || bytes[MARK_CHARS] != b'.' {
            return Err(MalformedCursor);
        }
        let mut mark = [0; MARK_BYTES];
        if URL_SAFE_NO_PAD.decode_slice(&bytes[..MARK_CHARS], &mut mark) != Ok(MARK_BYTES) {
            return Err(MalformedCursor);
        }
        let mut numbers = bytes[MARK_CHARS + 1..].splitn(2, |byte| *byte == b'.').map(number);
        let first = numbers.next().flatten().ok_or(MalformedCursor)?;
        let cursor = |seq, floor| Self { mark: Mark(mark), seq, floor };
        match numbers.next() {
            None => Ok(cursor(first, 0)),
            Some(seq) => seq.filter(|seq| *seq < first).map(|seq| cursor(seq, first)).ok_or(MalformedCursor),
        }
    }
}

/// A number as it is printed: digits, no zeros before it, 64 bits.
fn number(digits: &[u8]) -> Option<Seq> {
    let plain = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    std::str::from_utf8(digits).ok().filter(|_| plain).and_then(|digits| digits.parse().ok())
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.mark.text();
        write!(f, "{}.", String::from_utf8_lossy(&text))?;
        if self.floor > 0 {
            write!(f, "{}.", self.floor)?;
        }
        // The seq is the last in any case: clients that look into a cursor, as ours does, find it there.
        write!(f, "{}", self.seq)
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
        fn text_and_value_are_the_same(incarnation: u64, seq: u64, floor: u64) {
            let cursor = mark("thread/x", incarnation).at(seq);
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor));
            let place = cursor.knowing(floor);
            let text = place.to_string();
            prop_assert_eq!(Cursor::parse_place(&text), Ok(place));
            prop_assert_eq!(Cursor::parse(&text).is_ok(), floor <= seq, "no event has an id with a floor");
            prop_assert!(text.len() <= PLACE_BYTES_MAX);
        }

        #[test]
        fn whatever_parses_prints_back(text in "([A-Za-z0-9_-]{15}[AQgw])?[.][0-9.]{0,40}|[A-Za-z0-9_.-]{0,60}") {
            for cursor in [Cursor::parse(&text), Cursor::parse_place(&text)].into_iter().flatten() {
                prop_assert_eq!(cursor.to_string(), text.clone());
            }
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (Cursor::parse(&text), Cursor::parse_place(&text));
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
            "AAAAAAAAAAAAAAAA.2.",
            "AAAAAAAAAAAAAAAA..1",
            "AAAAAAAAAAAAAAAA.2.2",
            "AAAAAAAAAAAAAAAA.0.0",
            "AAAAAAAAAAAAAAAA.02.1",
            "AAAAAAAAAAAAAAAA.2.01",
            "AAAAAAAAAAAAAAAA.3.2.1",
            "AAAAAAAAAAAAAAAA.18446744073709551616.1",
        ] {
            assert_eq!(Cursor::parse(bad), Err(MalformedCursor), "{bad:?}");
            assert_eq!(Cursor::parse_place(bad), Err(MalformedCursor), "{bad:?}");
        }
        assert_eq!(Cursor::parse("AAAAAAAAAAAAAAAA.2.1"), Err(MalformedCursor));
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
