//! `POST …/{id}/events`: one entry, or an array that is appended as one. Lines are in `ndjson`.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tambour_actors::cursor::Mark;
use tambour_actors::entry::{Conditions, Entry, Object, RawEntry, present, write_array};
use tambour_actors::event::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::topic::messages::{Publish, Reply};
use tambour_actors::topic::state::{Published, Write};
use tokio::sync::oneshot;

use super::places::{Place, Places};
use super::{body, ndjson};
use crate::admission::{Caller, Grant, Named};
use crate::problem::Problem;

/// The handler. Answers when everything is on disk.
///
/// # Errors
/// What admission refuses; what is wrong with the body; what the topic refuses.
pub async fn publish(named: Named, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    if ndjson::is_ndjson(&request) {
        return ndjson::publish(named, request, payload).await;
    }
    let caller = &named.caller;
    let most = BATCH_BYTES_MAX.min(caller.settings().http.body_bytes_max);
    let read = body::read(caller, &request, payload, most).await;
    // It is counted until it is written: by then its text is that of the events.
    let asked = read.and_then(|body| {
        let asked = Asked::parse(&body)?;
        asked.allowed(caller)?;
        Ok((asked, body.parsed()))
    });
    let (asked, _in_hand) = asked.map_err(|refusal| caller.problem(refusal))?;
    let grant = named.grant(Right::Write).await?;
    let mark = grant.record.mark();
    let array = asked.count();
    let asked = asked.write(mark, &caller.principal.sub).map_err(|refusal| caller.problem(refusal))?;
    let Published { first, last } = write(&grant, asked).await?;
    let (first, last) = (Place::of(mark, first), Place::of(mark, last));
    let mut answer = HttpResponse::Created();
    Ok(match array {
        Some(count) => answer.json(Places { count: count as u64, first, last }),
        None => answer.json(last),
    })
}

/// Sends a write to the topic and waits until it is on disk.
///
/// # Errors
/// What the topic refuses.
pub async fn write(grant: &Grant, write: Write) -> Result<Published, Problem> {
    let topic = grant.topic().await?;
    let caller = &grant.caller;
    let (answer, answered) = oneshot::channel();
    // A client that left does not take its publish back.
    let reply = Reply::new(move |result| drop(answer.send(result)));
    let publish = Publish { write, origin: caller.context.origin(&caller.principal), reply };
    caller.ground().directory.publish_now(&topic, publish);
    answered.await.unwrap_or_else(|_| Err(Code::PublishUnknown.into())).map_err(|refusal| caller.problem(refusal))
}

/// What a body asks for.
#[derive(Debug)]
enum Asked {
    One(Box<Entry>),
    Array(Vec<Entry>, Conditions),
}

/// An array with conditions for all of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArrayBody<'a> {
    #[serde(borrow)]
    events: Events<'a>,
    #[serde(default, deserialize_with = "present")]
    idempotency_key: Option<String>,
    #[serde(default, deserialize_with = "present")]
    expect: Option<String>,
}

/// Tells an array with conditions from an entry.
#[derive(Deserialize)]
struct Names {
    events: Option<IgnoredAny>,
}

impl Asked {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            let Events(events) = body::parse_value(body)?;
            return Ok(Self::Array(entries(&events)?, Conditions::default()));
        }
        // The text may also be in an entry's data.
        let may_be_array = memchr::memmem::find(body, b"\"events\"").is_some();
        if may_be_array && body::parse::<Names>(body)?.events.is_some() {
            let array: ArrayBody<'_> = body::parse(body)?;
            let conditions = Conditions::parse(array.idempotency_key.as_deref(), array.expect.as_deref())?;
            return Ok(Self::Array(entries(&array.events.0)?, conditions));
        }
        Ok(Self::One(Box::new(body::parse::<RawEntry<'_>>(body)?.parse()?)))
    }

    /// Whether nothing of it starts what is switched off.
    fn allowed(&self, caller: &Caller) -> Result<(), Refusal> {
        match self {
            Self::One(entry) => caller.allows_entry(entry),
            Self::Array(entries, _) => entries.iter().enumerate().try_for_each(|(index, entry)| {
                let named = |refusal: Refusal| Refusal {
                    detail: format!("event {index}: {}", refusal.detail).into(),
                    ..refusal
                };
                caller.allows_entry(entry).map_err(named)
            }),
        }
    }

    /// Of an array, how many entries it has.
    fn count(&self) -> Option<usize> {
        match self {
            Self::One(_) => None,
            Self::Array(entries, _) => Some(entries.len()),
        }
    }

    fn write(self, mark: Mark, sub: &Arc<str>) -> Result<Write, Refusal> {
        match self {
            Self::One(entry) => entry.write(mark, sub, None),
            Self::Array(entries, conditions) => write_array(entries, conditions, mark, sub),
        }
    }
}

fn entries(events: &[Object<RawEntry<'_>>]) -> Result<Vec<Entry>, Refusal> {
    let parse = |(index, Object(event)): (usize, &Object<RawEntry<'_>>)| {
        event.parse().map_err(|refusal| Refusal::new(refusal.code, format!("event {index}: {}", refusal.detail)))
    };
    events.iter().enumerate().map(parse).collect()
}

/// 1 to [`BATCH_EVENTS_MAX`] entries; the one above is refused before it is kept.
struct Events<'a>(Vec<Object<RawEntry<'a>>>);

impl<'de: 'a, 'a> Deserialize<'de> for Events<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded<'a>(PhantomData<RawEntry<'a>>);
        impl<'de: 'a, 'a> Visitor<'de> for Bounded<'a> {
            type Value = Events<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of 1 to {BATCH_EVENTS_MAX} events")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut events = Vec::new();
                while let Some(event) = items.next_element()? {
                    if events.len() == BATCH_EVENTS_MAX {
                        return Err(serde::de::Error::invalid_length(BATCH_EVENTS_MAX + 1, &self));
                    }
                    events.push(event);
                }
                if events.is_empty() {
                    return Err(serde::de::Error::invalid_length(0, &self));
                }
                Ok(Events(events))
            }
        }
        deserializer.deserialize_seq(Bounded(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of events, 0 for a single one.
    #[track_caller]
    fn check(body: &str, expected: Result<usize, Code>) {
        let got = Asked::parse(body.as_bytes());
        let got = got.map(|asked| asked.count().unwrap_or(0)).map_err(|refusal| refusal.code);
        assert_eq!(got, expected, "{}", &body[..body.len().min(100)]);
    }

    #[test]
    fn bodies() {
        let event = r#"{"type":"note","data":{"a":1}}"#;
        let array = |count: usize| format!("[{}]", vec![event; count].join(","));
        check(event, Ok(0));
        check(&array(1), Ok(1));
        check(&array(1_000), Ok(1_000));
        check(&array(1_001), Err(Code::BodyInvalid));
        check(&format!(r#"{{"events":{}}}"#, array(1_000)), Ok(1_000));
        check(&format!(r#"{{"events":{}}}"#, array(1_001)), Err(Code::BodyInvalid));
        check(&format!(r#"{{"idempotency_key":"k","expect":"empty","events":{}}}"#, array(2)), Ok(2));
        check(r#"{"type":"a","data":{"events":[]},"idempotency_key":"k","expect":"empty"}"#, Ok(0));
        check(r#"{"type":"events","data":"\"events\""}"#, Ok(0));
        check(r#"{"append":{"event_id":"AAAAAAAAAAAAAAAA.3","data":"a"}}"#, Ok(0));
        check(r#"[{"append":{"event_id":"AAAAAAAAAAAAAAAA.3","data":"a"}}]"#, Ok(1));
        for bad in [
            "",
            "null",
            "1",
            "\"x\"",
            "[]",
            "[[]]",
            r#"[["note",1]]"#,
            r#"{"events":[["note",1]]}"#,
            "[1]",
            "{}",
            "{",
            r#"{"type":"a"}"#,
            r#"{"data":1}"#,
            r#"{"type":1,"data":1}"#,
            r#"{"type":"a","data":1,"seq":1}"#,
            r#"{"type":"a","data":1,"idempotency_key":"a b"}"#,
            r#"{"type":"a","data":1}x"#,
            r#"{"type":"a","data":}"#,
            r#"{"type":"a","type":"b","data":1}"#,
            r#"{"events":[]}"#,
            r#"{"events":null}"#,
            r#"{"events":[{"type":"a","data":1}],"type":"a"}"#,
            r#"{"events":[{"type":"a","data":1}],"idempotency_key":null}"#,
            r#"{"events":[{"type":"a","data":1}],"idempotency_key":""}"#,
            r#"{"events":[{"type":"a","data":1}],"events":[{"type":"a","data":1}]}"#,
        ] {
            check(bad, Err(Code::BodyInvalid));
        }
        check(r#"{"type":"A","data":1}"#, Err(Code::TypeInvalid));
        check(r#"[{"type":"gap","data":1}]"#, Err(Code::TypeReserved));
        check(r#"{"events":[{"type":"a","data":1}],"expect":"x"}"#, Err(Code::CursorMalformed));
        check(&format!(r#"{{"type":"a","data":"{}"}}"#, "x".repeat(65_534)), Ok(0));
        check(&format!(r#"{{"type":"a","data":"{}"}}"#, "x".repeat(65_535)), Err(Code::EventTooLarge));
    }
}
