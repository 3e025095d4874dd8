//! Entries: what a client asks a topic to write, parsed once for every transport.
//!
//! HTTP bodies, lines of NDJSON and WebSocket frames say the same in different frames; the one reading of
//! their members is here, and so is the digest by which an idempotency key knows its body again. This file
//! never looks at a log: whether a target exists, or a key was used, is the topic's and the log's to say.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::cursor::{Cursor, Mark};
use crate::event::{EventType, NewEvent, Seq};
use crate::log::{IDEMPOTENCY_KEY_BYTES_MAX, Once};
use crate::refusal::{Code, Refusal};
use crate::topic::state::{Expect, What, Write};

/// The JSON of an entry in a body or on a line: `{type, data}` or `{append: {event_id, data}}`, perhaps with
/// conditions. What is unknown, doubled or null where a text is asked for is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEntry<'a> {
    #[serde(rename = "type", borrow, default, deserialize_with = "present")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    append: Option<Object<RawAppend<'a>>>,
    #[serde(borrow, default, deserialize_with = "present")]
    idempotency_key: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    expect: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAppend<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    event_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// A JSON object. What is derived for a struct takes an array of its members' values, too, which nobody means.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// A member that is there has a value of its type: `null` is no way to leave it out, but may be a value.
///
/// # Errors
/// What the value's own parser says.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// What a client asks to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub what: EntryWhat,
    /// When.
    pub conditions: Conditions,
}

/// An event, or more text for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryWhat {
    /// A new event.
    Event(NewEvent),
    /// More text for an event.
    Append {
        /// Which; `None`: the last that the same request has published.
        event_id: Option<Cursor>,
        /// A JSON string.
        text: Bytes,
    },
}

/// Under which conditions something is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Only once under this key of the writer.
    pub idempotency_key: Option<Arc<str>>,
    /// Only if the topic is there.
    pub expect: Option<Expect>,
}

impl Conditions {
    /// Parses both members.
    ///
    /// # Errors
    /// `body.invalid` when the key is not 1 to [`IDEMPOTENCY_KEY_BYTES_MAX`] visible ASCII characters; `cursor.malformed`.
    pub fn parse(idempotency_key: Option<&str>, expect: Option<&str>) -> Result<Self, Refusal> {
        let is_key = |key: &str| {
            (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
        };
        if !idempotency_key.is_none_or(is_key) {
            let detail = format!("an idempotency_key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters");
            return Err(Refusal::new(Code::BodyInvalid, detail));
        }
        let expect = match expect {
            None => None,
            Some("empty") => Some(Expect::Empty),
            Some(cursor) => Some(Expect::At(self::cursor(cursor, "expect is \"empty\" or the id of an event")?)),
        };
        Ok(Self { idempotency_key: idempotency_key.map(Into::into), expect })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.idempotency_key.is_none() && self.expect.is_none()
    }
}

impl RawEntry<'_> {
    /// Parses the members.
    ///
    /// # Errors
    /// `body.invalid`, `type.invalid`, `type.reserved`, `event.too_large`, `append.not_text`, `cursor.malformed`.
    pub fn parse(&self) -> Result<Entry, Refusal> {
        let what = match (&self.kind, self.data, &self.append) {
            (Some(kind), Some(data), None) => EntryWhat::event(kind, data)?,
            (None, None, Some(Object(append))) => EntryWhat::append(append.event_id.as_deref(), append.data)?,
            _ => {
                return Err(Refusal::new(Code::BodyInvalid, "an entry has type and data, or append"));
            }
        };
        let conditions = Conditions::parse(self.idempotency_key.as_deref(), self.expect.as_deref())?;
        Ok(Entry { what, conditions })
    }
}

impl EntryWhat {
    /// Parses an event.
    ///
    /// # Errors
    /// `type.invalid`, `type.reserved`, `event.too_large`.
    pub fn event(kind: &str, data: &RawValue) -> Result<Self, Refusal> {
        NewEvent::parse(kind, data).map(Self::Event)
    }

    /// Parses an append.
    ///
    /// # Errors
    /// `append.not_text`, `event.too_large`, `cursor.malformed`.
    pub fn append(event_id: Option<&str>, text: &RawValue) -> Result<Self, Refusal> {
        let event_id = event_id.map(|id| cursor(id, "event_id is the id of an event")).transpose()?;
        let NewEvent { data: text, .. } = NewEvent::append(0, text)?;
        Ok(Self::Append { event_id, text })
    }

    /// The event to write in the topic of a mark. `last`: the event that an append without `event_id` is for.
    ///
    /// # Errors
    /// As [`Entry::write`].
    pub fn resolve(self, mark: Mark, last: Option<Seq>) -> Result<NewEvent, Refusal> {
        match (self, last) {
            (Self::Event(event), _) => Ok(event),
            (Self::Append { event_id: Some(id), .. }, _) if id.mark != mark => {
                Err(Refusal::new(Code::EventUnknown, "event_id names no event of this topic"))
            }
            (Self::Append { event_id: Some(Cursor { seq, .. }), text }, _)
            | (Self::Append { event_id: None, text }, Some(seq)) => {
                Ok(NewEvent { kind: EventType::append(), data: text, target: Some(seq) })
            }
            (Self::Append { event_id: None, .. }, None) => {
                Err(Refusal::new(Code::BodyInvalid, "an append needs the event_id of the event that gets the text"))
            }
        }
    }
}

impl Entry {
    /// The write of this entry alone. `sub`: whose idempotency key it is. `last`: the seq of the last event (no append) that
    /// the same request has published, where an append may leave its `event_id` out.
    ///
    /// # Errors
    /// `event.unknown` when `event_id` is of another topic or incarnation; `body.invalid` when there is none.
    pub fn write(self, mark: Mark, sub: &Arc<str>, last: Option<Seq>) -> Result<Write, Refusal> {
        let event = self.what.resolve(mark, last)?;
        Ok(write(vec![event], self.conditions, sub))
    }
}

/// The write of an array: its entries are appended as one, under conditions of all together.
///
/// # Errors
/// `body.invalid` when an entry has conditions of its own or an append no `event_id`; `event.unknown`. Each names the entry.
pub fn write_array(entries: Vec<Entry>, conditions: Conditions, mark: Mark, sub: &Arc<str>) -> Result<Write, Refusal> {
    let resolve = |entry: Entry| {
        if !entry.conditions.is_none() {
            let detail = "an entry of an array has no idempotency_key or expect of its own: send \
                          {\"events\": […], \"idempotency_key\", \"expect\"}";
            return Err(Refusal::new(Code::BodyInvalid, detail));
        }
        entry.what.resolve(mark, None)
    };
    let named = |(index, entry): (usize, Entry)| {
        resolve(entry).map_err(|refusal| Refusal::new(refusal.code, format!("event {index}: {}", refusal.detail)))
    };
    let events = entries.into_iter().enumerate().map(named).collect::<Result<_, _>>()?;
    Ok(write(events, conditions, sub))
}

fn write(events: Vec<NewEvent>, conditions: Conditions, sub: &Arc<str>) -> Write {
    let Conditions { idempotency_key, expect } = conditions;
    let once = idempotency_key.map(|key| Once { sub: sub.clone(), key, digest: digest(&events) });
    Write { what: What::Events(events), once, expect, chain: None, taken: None }
}

/// SHA-256 of what is written: of each event its type, target and data, each with its length before it, so that no two
/// lists of events have the same text. What `expect` says is no part of it: who retries may know of a newer head.
fn digest(events: &[NewEvent]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for event in events {
        part(event.kind.as_str().as_bytes());
        part(event.target.map(Seq::to_be_bytes).as_ref().map_or(&[], <[u8; 8]>::as_slice));
        part(&event.data);
    }
    hash.finalize().into()
}

fn cursor(text: &str, what: &str) -> Result<Cursor, Refusal> {
    Cursor::parse(text).map_err(|error| Refusal::new(Code::CursorMalformed, format!("{what}: {error}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cursor::Incarnation;
    use crate::topic_key::{Env, Scope, Tenant, TopicKey};

    fn mark(topic: &str, incarnation: u64) -> Mark {
        let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
        Mark::new(&TopicKey::parse(&scope, topic).unwrap(), Incarnation(incarnation))
    }

    fn parse(json: &str) -> Result<Entry, Code> {
        let Object::<RawEntry<'_>>(raw) = serde_json::from_str(json).map_err(|_| Code::BodyInvalid)?;
        raw.parse().map_err(|refusal| refusal.code)
    }

    fn written(json: &str, last: Option<Seq>) -> Result<Write, Code> {
        parse(json)?.write(mark("thread/x", 1), &"alice".into(), last).map_err(|refusal| refusal.code)
    }

    #[track_caller]
    fn refused(json: &str, code: Code) {
        assert_eq!(written(json, None).map(|_| ()), Err(code), "{json}");
    }

    #[test]
    fn entries() {
        let id = mark("thread/x", 1).at(3);
        assert!(
            matches!(parse(r#"{"type":"note","data":null}"#).unwrap().what, EntryWhat::Event(event) if event.data == "null")
        );
        let append =
            format!(r#"{{"append":{{"event_id":"{id}","data":"a\n"}},"idempotency_key":"k","expect":"empty"}}"#);
        let entry = parse(&append).unwrap();
        assert_eq!(entry.what, EntryWhat::Append { event_id: Some(id), text: Bytes::from_static(br#""a\n""#) });
        assert_eq!(entry.conditions, Conditions { idempotency_key: Some("k".into()), expect: Some(Expect::Empty) });
        let expects = parse(&format!(r#"{{"type":"note","data":1,"expect":"{id}"}}"#)).unwrap();
        assert_eq!(expects.conditions.expect, Some(Expect::At(id)));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let long = "k".repeat(65);
        for bad in [
            "",
            "1",
            "[]",
            r#"["a",1]"#,
            r#"{"append":["AAAAAAAAAAAAAAAA.3","a"]}"#,
            "{}",
            r#"{"type":"a"}"#,
            r#"{"data":1}"#,
            r#"{"type":null,"data":1}"#,
            r#"{"append":null}"#,
            r#"{"append":{}}"#,
            r#"{"append":{"data":"a","x":1}}"#,
            r#"{"append":{"data":"a","event_id":null}}"#,
            r#"{"append":{"data":"a"}}"#,
            r#"{"type":"a","data":1,"append":{"data":"a"}}"#,
            r#"{"type":"a","append":{"data":"a"}}"#,
            r#"{"type":"a","data":1,"seq":1}"#,
            r#"{"type":"a","data":1,"data":2}"#,
            r#"{"type":"a","data":1,"idempotency_key":null}"#,
            r#"{"type":"a","data":1,"idempotency_key":""}"#,
            r#"{"type":"a","data":1,"idempotency_key":"a b"}"#,
            r#"{"type":"a","data":1,"idempotency_key":"é"}"#,
            &format!(r#"{{"type":"a","data":1,"idempotency_key":"{long}"}}"#),
            r#"{"type":"a","data":1,"expect":null}"#,
            r#"{"type":"a","data":1,"expect":1}"#,
        ] {
            refused(bad, Code::BodyInvalid);
        }
        assert!(parse(&format!(r#"{{"type":"a","data":1,"idempotency_key":"{}"}}"#, &long[1..])).is_ok());
        refused(r#"{"type":"a","data":1,"expect":"nowhere"}"#, Code::CursorMalformed);
        refused(r#"{"append":{"event_id":"x","data":"a"}}"#, Code::CursorMalformed);
        refused(r#"{"append":{"event_id":"x","data":1}}"#, Code::CursorMalformed);
        refused(r#"{"append":{"data":1}}"#, Code::AppendNotText);
        refused(r#"{"type":"append","data":"a"}"#, Code::TypeReserved);
        let large = "x".repeat(65_535);
        refused(&format!(r#"{{"append":{{"data":"{large}"}}}}"#), Code::EventTooLarge);
    }

    #[test]
    fn an_append_is_for_an_event_of_this_topic_or_the_last_of_its_request() {
        let target = |json: &str, last| -> Result<Option<Seq>, Code> {
            match &written(json, last)?.what {
                What::Events(events) => Ok(events[0].target),
                other => panic!("{other:?}"),
            }
        };
        let to = |mark: Mark| format!(r#"{{"append":{{"event_id":"{}","data":"a"}}}}"#, mark.at(3));
        assert_eq!(target(&to(mark("thread/x", 1)), Some(9)), Ok(Some(3)));
        assert_eq!(target(r#"{"append":{"data":"a"}}"#, Some(9)), Ok(Some(9)));
        refused(&to(mark("thread/x", 2)), Code::EventUnknown);
        refused(&to(mark("thread/y", 1)), Code::EventUnknown);
        assert_eq!(target(r#"{"type":"a","data":1}"#, Some(9)), Ok(None));
    }

    #[test]
    fn an_array_has_conditions_of_all_together() {
        let entries = |json: &[&str]| json.iter().map(|json| parse(json).unwrap()).collect::<Vec<_>>();
        let conditions = || Conditions::parse(Some("k"), Some("empty")).unwrap();
        let both = |json: &[&str]| write_array(entries(json), conditions(), mark("thread/x", 1), &"alice".into());
        let event = r#"{"type":"a","data":1}"#;
        let write = both(&[event, event]).unwrap();
        assert!(matches!(&write.what, What::Events(events) if events.len() == 2));
        assert_eq!((&*write.once.as_ref().unwrap().key, write.expect), ("k", Some(Expect::Empty)));
        for (bad, code) in [
            (r#"{"type":"a","data":1,"idempotency_key":"k"}"#, Code::BodyInvalid),
            (r#"{"type":"a","data":1,"expect":"empty"}"#, Code::BodyInvalid),
            (r#"{"append":{"data":"a"}}"#, Code::BodyInvalid),
            (&format!(r#"{{"append":{{"event_id":"{}","data":"a"}}}}"#, mark("thread/y", 1).at(1)), Code::EventUnknown),
        ] {
            let refusal = both(&[event, bad]).unwrap_err();
            assert_eq!(refusal.code, code, "{bad}");
            assert!(refusal.detail.starts_with("event 1: "), "{refusal}");
        }
    }

    fn event() -> impl Strategy<Value = NewEvent> {
        let data = prop_oneof![Just("1"), Just("11"), Just("\"a\""), Just("\"\"")];
        (prop_oneof![Just("a"), Just("aa"), Just("append")], data, prop::option::of(0_u64..3)).prop_map(
            |(kind, data, target)| NewEvent {
                kind: EventType::stored(kind).unwrap(),
                data: Bytes::from_static(data.as_bytes()),
                target,
            },
        )
    }

    proptest! {
        #[test]
        fn one_digest_is_one_body(
            one in prop::collection::vec(event(), 1..4), other in prop::collection::vec(event(), 1..4)
        ) {
            prop_assert_eq!(digest(&one) == digest(&other), one == other);
        }
    }
}
