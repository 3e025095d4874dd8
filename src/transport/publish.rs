//! `POST /v1/{threads,canvases}/{id}/events`: one event, or an array that is appended as one.

use std::borrow::Cow;
use std::fmt;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{json, value::RawValue};
use tambour_actors::event::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, NewEvent};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::topic::messages::{Publish, Reply};
use tambour_actors::topic::state::{Published, Write};
use tokio::sync::oneshot;

use super::body;
use crate::admission::{Grant, Named};
use crate::problem::Problem;

/// The handler. Answers when the events are on disk.
///
/// # Errors
/// What admission refuses; what is wrong with the body; `topic.closed`, `topic.busy`,
/// `publish.unknown`, `store.unavailable`.
pub async fn publish(named: Named, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let caller = &named.caller;
    let most = BATCH_BYTES_MAX.min(caller.settings().http.body_bytes_max);
    let read = body::read(&request, payload, most, caller.body_patience()).await;
    let (events, array) = read.and_then(|body| parse(&body)).map_err(|refusal| caller.problem(refusal))?;
    let grant = named.grant(Right::Write).await?;
    let count = events.len();
    let Published { first, last } = write(&grant, Write::events(events)).await?;
    let place = |seq| json!({ "id": grant.record.mark().at(seq).to_string(), "seq": seq });
    let answer =
        if array { json!({ "count": count, "first": place(first), "last": place(last) }) } else { place(last) };
    Ok(HttpResponse::Created().json(answer))
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventBody<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl EventBody<'_> {
    fn parse(&self) -> Result<NewEvent, Refusal> {
        NewEvent::parse(&self.kind, self.data)
    }
}

/// The events of a body, and whether they came as an array.
fn parse(body: &[u8]) -> Result<(Vec<NewEvent>, bool), Refusal> {
    let array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if !array {
        return Ok((vec![body::parse::<EventBody<'_>>(body)?.parse()?], false));
    }
    let Events(events) = body::parse(body)?;
    let events = events.iter().enumerate().map(|(index, event)| {
        event.parse().map_err(|refusal| Refusal::new(refusal.code, format!("event {index}: {}", refusal.detail)))
    });
    Ok((events.collect::<Result<_, _>>()?, true))
}

/// 1 to [`BATCH_EVENTS_MAX`] events; the one above is refused before it is kept.
struct Events<'a>(Vec<EventBody<'a>>);

impl<'de> Deserialize<'de> for Events<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Events<'de>;

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
        deserializer.deserialize_seq(Bounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<usize, Code>) {
        let got = parse(body.as_bytes()).map(|(events, _)| events.len()).map_err(|refusal| refusal.code);
        assert_eq!(got, expected, "{}", &body[..body.len().min(100)]);
    }

    #[test]
    fn bodies() {
        let event = r#"{"type":"note","data":{"a":1}}"#;
        let array = |count: usize| format!("[{}]", vec![event; count].join(","));
        check(event, Ok(1));
        check(&array(1), Ok(1));
        check(&array(1_000), Ok(1_000));
        check(&array(1_001), Err(Code::BodyInvalid));
        for bad in [
            "",
            "null",
            "1",
            "\"x\"",
            "[]",
            "[[]]",
            "[1]",
            "{}",
            "{",
            r#"{"type":"a"}"#,
            r#"{"data":1}"#,
            r#"{"type":1,"data":1}"#,
            r#"{"type":"a","data":1,"seq":1}"#,
            r#"{"type":"a","data":1,"idempotency_key":"k"}"#,
            r#"{"type":"a","data":1}x"#,
            r#"{"type":"a","data":}"#,
            r#"{"type":"a","type":"b","data":1}"#,
        ] {
            check(bad, Err(Code::BodyInvalid));
        }
        check(r#"{"type":"A","data":1}"#, Err(Code::TypeInvalid));
        check(r#"[{"type":"gap","data":1}]"#, Err(Code::TypeReserved));
        check(&format!(r#"{{"type":"a","data":"{}"}}"#, "x".repeat(65_534)), Ok(1));
        check(&format!(r#"{{"type":"a","data":"{}"}}"#, "x".repeat(65_535)), Err(Code::EventTooLarge));
    }
}
