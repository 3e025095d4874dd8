//! What a client may send over a WebSocket, parsed.
//!
//! Parsing is strict: an unknown frame, field or value is refused, so a misspelt option is never
//! silently ignored.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cursor::Cursor;
use crate::entry::{Conditions, Entry, EntryWhat, Object, present};
use crate::frame::control::Ref;
use crate::refusal::{Code, Refusal};
use crate::topic::state::Start;
use crate::topic_key::FEED;

/// Most events before the head that a reader may start at.
pub const LAST_MAX: u64 = 500;
/// Longest `ref`, in bytes of JSON.
const REF_BYTES_MAX: usize = 256;

/// A request of a client.
#[derive(Debug)]
pub enum Request {
    /// Who the client is.
    Hello {
        /// A main token, or a stream token.
        token: String,
        /// Where; a stream token says so itself.
        tenant_id: Option<String>,
        /// Where.
        env: Option<String>,
    },
    /// Start reading.
    Subscribe {
        /// `thread/x`.
        topic: String,
        /// From where.
        start: Start,
        /// The cursor as it was given, to be told back in a `gap`.
        requested: Option<String>,
        /// Whether replays come with appends folded.
        fold: bool,
        /// Of the feed: which types, and which topics.
        filter: Option<FilterAsked>,
    },
    /// Stop reading.
    Unsubscribe {
        /// `thread/x`.
        topic: String,
    },
    /// Write an event, or more text for one.
    Publish {
        /// `thread/x`.
        topic: String,
        /// What.
        entry: Entry,
    },
    /// Renew the identity.
    Auth {
        /// A main token of the same principal.
        token: String,
    },
    /// Is anybody there?
    Ping,
}

/// What of the feed somebody asks for, as it came: what names can be meant depends on who asks.
#[derive(Debug)]
pub struct FilterAsked {
    /// Types, exact or the beginning of some.
    pub types: Vec<String>,
    /// Names of topics.
    pub topics: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow)]
    t: Cow<'a, str>,
    #[serde(rename = "ref", borrow)]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    topic: Option<Cow<'a, str>>,
    #[serde(borrow)]
    after: Option<Cow<'a, str>>,
    last: Option<u64>,
    fold: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    types: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    topics: Option<Vec<String>>,
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    // `null` is data; a condition that is null is no condition, and would be lost in silence.
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    idempotency_key: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    expect: Option<Cow<'a, str>>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tenant_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    env: Option<Cow<'a, str>>,
}

/// Parses a text message. The `ref` is given even when the rest is refused.
///
/// # Errors
/// `frame.malformed` when it is no frame at all; the refusal of a field otherwise.
pub fn parse(text: &str) -> (Ref, Result<Request, Refusal>) {
    let raw: Raw<'_> = match serde_json::from_str(text) {
        Ok(Object(raw)) => raw,
        Err(error) => return (None, Err(Refusal::new(Code::FrameMalformed, format!("not a frame: {error}")))),
    };
    let reference = match raw.reference {
        Some(reference) if !is_ref(reference.get()) => {
            let detail = "a ref is a string or a number of at most 256 bytes";
            return (None, Err(Refusal::new(Code::FrameMalformed, detail)));
        }
        reference => reference.map(ToOwned::to_owned),
    };
    let request = build(raw);
    (reference, request)
}

fn is_ref(json: &str) -> bool {
    json.len() <= REF_BYTES_MAX && json.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())
}

fn build(mut raw: Raw<'_>) -> Result<Request, Refusal> {
    let t = std::mem::take(&mut raw.t);
    let request = match &*t {
        "hello" => Request::Hello {
            token: need(raw.token.take(), "token")?,
            tenant_id: raw.tenant_id.take().map(Cow::into_owned),
            env: raw.env.take().map(Cow::into_owned),
        },
        "subscribe" => {
            let (after, last) = (raw.after.take(), raw.last.take());
            let start = start(after.as_deref(), last, Start::Head)?;
            let requested = matches!(start, Start::After(_)).then(|| after.map(Cow::into_owned)).flatten();
            let fold = raw.fold.take().unwrap_or(false);
            let topic = need(raw.topic.take(), "topic")?;
            let filter = filter(&topic, fold, raw.types.take(), raw.topics.take())?;
            Request::Subscribe { topic, start, requested, fold, filter }
        }
        "unsubscribe" => Request::Unsubscribe { topic: need(raw.topic.take(), "topic")? },
        "publish" => {
            let topic = need(raw.topic.take(), "topic")?;
            let kind = need(raw.kind.take(), "type")?;
            let what = EntryWhat::event(&kind, raw.data.take().ok_or_else(|| missing("data"))?)?;
            Request::Publish { topic, entry: Entry { what, conditions: conditions(&mut raw)? } }
        }
        "append" => {
            let topic = need(raw.topic.take(), "topic")?;
            let event_id = need(raw.event_id.take(), "event_id")?;
            let what = EntryWhat::append(Some(&event_id), raw.data.take().ok_or_else(|| missing("data"))?)?;
            Request::Publish { topic, entry: Entry { what, conditions: conditions(&mut raw)? } }
        }
        "auth" => Request::Auth { token: need(raw.token.take(), "token")? },
        "ping" => Request::Ping,
        _ => {
            return Err(Refusal::new(
                Code::FrameMalformed,
                "t is none of hello, subscribe, unsubscribe, publish, append, auth, ping",
            ));
        }
    };
    let left = [
        ("topic", raw.topic.is_some()),
        ("after", raw.after.is_some()),
        ("last", raw.last.is_some()),
        ("fold", raw.fold.is_some()),
        ("types", raw.types.is_some()),
        ("topics", raw.topics.is_some()),
        ("type", raw.kind.is_some()),
        ("data", raw.data.is_some()),
        ("event_id", raw.event_id.is_some()),
        ("idempotency_key", raw.idempotency_key.is_some()),
        ("expect", raw.expect.is_some()),
        ("token", raw.token.is_some()),
        ("tenant_id", raw.tenant_id.is_some()),
        ("env", raw.env.is_some()),
    ];
    match left.iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(Refusal::new(Code::FrameMalformed, format!("{t} has no field {field}"))),
        None => Ok(request),
    }
}

/// What is asked of the feed, and of the feed alone.
fn filter(
    topic: &str,
    fold: bool,
    types: Option<Vec<String>>,
    topics: Option<Vec<String>>,
) -> Result<Option<FilterAsked>, Refusal> {
    if topic != FEED {
        return match types.or(topics) {
            Some(_) => Err(Refusal::new(Code::QueryInvalid, "types and topics are for the feed alone")),
            None => Ok(None),
        };
    }
    if fold {
        return Err(Refusal::new(Code::QueryInvalid, "the feed is not read folded"));
    }
    Ok(Some(FilterAsked { types: types.unwrap_or_default(), topics: topics.unwrap_or_default() }))
}

fn need(field: Option<Cow<'_, str>>, name: &str) -> Result<String, Refusal> {
    field.map(Cow::into_owned).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Refusal {
    Refusal::new(Code::FrameMalformed, format!("{name} is missing"))
}

fn conditions(raw: &mut Raw<'_>) -> Result<Conditions, Refusal> {
    Conditions::parse(raw.idempotency_key.take().as_deref(), raw.expect.take().as_deref())
}

/// Where a reader wants to start, from `after` and `last`: the one reading of both, for every transport.
///
/// # Errors
/// `cursor.malformed`; `query.invalid` when both are given or `last` is above [`LAST_MAX`].
pub fn start(after: Option<&str>, last: Option<u64>, neither: Start) -> Result<Start, Refusal> {
    match (after, last) {
        (None, None) => Ok(neither),
        (Some("earliest"), None) => Ok(Start::Earliest),
        (Some(cursor), None) => Cursor::parse_place(cursor)
            .map(Start::After)
            .map_err(|error| Refusal::new(Code::CursorMalformed, error.to_string())),
        (None, Some(last)) if last <= LAST_MAX => Ok(Start::Last(last)),
        (None, Some(_)) => Err(Refusal::new(Code::QueryInvalid, format!("last is 0 to {LAST_MAX}"))),
        (Some(_), Some(_)) => Err(Refusal::new(Code::QueryInvalid, "after and last can't both be given")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, Code>) {
        let got = parse(text).1;
        match (&got, expected) {
            (Ok(request), Ok(debug)) => assert!(format!("{request:?}").starts_with(debug), "{text}: {request:?}"),
            (Err(refusal), Err(code)) => assert_eq!(refusal.code, code, "{text}: {refusal}"),
            _ => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn frames() {
        check(r#"{"t":"ping"}"#, Ok("Ping"));
        check(r#"{"t":"ping","ref":1}"#, Ok("Ping"));
        check(r#"{"t":"ping","ref":"x"}"#, Ok("Ping"));
        check(r#"{"t":"subscribe","topic":"thread/x"}"#, Ok("Subscribe { topic: \"thread/x\", start: Head"));
        check(
            r#"{"t":"subscribe","topic":"thread/x","after":"earliest"}"#,
            Ok("Subscribe { topic: \"thread/x\", start: Earliest"),
        );
        check(
            r#"{"t":"subscribe","topic":"thread/x","last":500}"#,
            Ok("Subscribe { topic: \"thread/x\", start: Last(500)"),
        );
        check(r#"{"t":"publish","topic":"thread/x","type":"note","data":{"a":1}}"#, Ok("Publish"));
        check(r#"{"t":"publish","topic":"thread/x","type":"note","data":null}"#, Ok("Publish"));
        check(
            r#"{"t":"publish","topic":"thread/x","type":"note","data":1,"idempotency_key":"k","expect":"empty"}"#,
            Ok("Publish"),
        );
        let append =
            |more: &str| format!(r#"{{"t":"append","topic":"thread/x","event_id":"AAAAAAAAAAAAAAAA.3"{more}}}"#);
        check(&append(r#","data":"a""#), Ok("Publish"));
        check(&append(r#","data":"a","idempotency_key":"k","expect":"AAAAAAAAAAAAAAAA.4""#), Ok("Publish"));
        check(r#"{"t":"subscribe","topic":"thread/x","fold":true}"#, Ok("Subscribe"));
        check(r#"{"t":"subscribe","topic":"feed","types":["run.*"],"topics":["thread/x"],"last":5}"#, Ok("Subscribe"));
        check(r#"{"t":"subscribe","topic":"feed"}"#, Ok("Subscribe"));
        check(r#"{"t":"auth","token":"x"}"#, Ok("Auth"));
        check(r#"{"t":"hello","token":"x","tenant_id":"t_a","env":"dev"}"#, Ok("Hello"));
        check(r#"{"t":"hello","token":"x"}"#, Ok("Hello"));
        for bad in [
            "",
            "null",
            "[]",
            r#"["ping"]"#,
            "1",
            "{}",
            r#"{"t":1}"#,
            r#"{"t":"nope"}"#,
            r#"{"t":"ping","x":1}"#,
            r#"{"t":"ping","topic":"thread/x"}"#,
            r#"{"t":"subscribe"}"#,
            r#"{"t":"publish","topic":"thread/x","type":"note"}"#,
            r#"{"t":"ping","ref":{}}"#,
            r#"{"t":"ping","ref":[1]}"#,
            r#"{"t":"auth"}"#,
            r#"{"t":"ping","t":"ping"}"#,
            r#"{"t":"publish","topic":"thread/x","type":"a","data":1,"event_id":"AAAAAAAAAAAAAAAA.3"}"#,
            r#"{"t":"publish","topic":"thread/x","type":"a","data":1,"idempotency_key":null}"#,
            r#"{"t":"publish","topic":"thread/x","type":"a","data":1,"expect":null}"#,
            r#"{"t":"publish","topic":"thread/x","type":"a","data":1,"fold":true}"#,
            r#"{"t":"append","topic":"thread/x","data":"a"}"#,
            r#"{"t":"subscribe","topic":"thread/x","fold":"yes"}"#,
            r#"{"t":"subscribe","topic":"thread/x","expect":"empty"}"#,
            r#"{"t":"subscribe","topic":"feed","types":"run.*"}"#,
            r#"{"t":"subscribe","topic":"feed","types":null}"#,
            r#"{"t":"unsubscribe","topic":"feed","types":[]}"#,
            &append(""),
            &append(r#","data":"a","type":"note""#),
        ] {
            check(bad, Err(Code::FrameMalformed));
        }
        check(r#"{"t":"subscribe","topic":"thread/x","types":["note"]}"#, Err(Code::QueryInvalid));
        check(r#"{"t":"subscribe","topic":"thread/x","topics":[]}"#, Err(Code::QueryInvalid));
        check(r#"{"t":"subscribe","topic":"feed","fold":true}"#, Err(Code::QueryInvalid));
        check(r#"{"t":"subscribe","topic":"thread/x","last":501}"#, Err(Code::QueryInvalid));
        check(r#"{"t":"subscribe","topic":"thread/x","last":1,"after":"earliest"}"#, Err(Code::QueryInvalid));
        check(r#"{"t":"subscribe","topic":"thread/x","after":"nonsense"}"#, Err(Code::CursorMalformed));
        check(r#"{"t":"publish","topic":"thread/x","type":"closed","data":1}"#, Err(Code::TypeReserved));
        check(r#"{"t":"publish","topic":"thread/x","type":"A","data":1}"#, Err(Code::TypeInvalid));
        check(&append(r#","data":1"#), Err(Code::AppendNotText));
        check(&append(r#","data":"a","expect":"there""#), Err(Code::CursorMalformed));
        check(&append(r#","data":"a","idempotency_key":"""#), Err(Code::BodyInvalid));
        check(r#"{"t":"append","topic":"thread/x","event_id":"x","data":"a"}"#, Err(Code::CursorMalformed));
        let large = format!(r#"{{"t":"publish","topic":"thread/x","type":"a","data":"{}"}}"#, "x".repeat(65_536));
        check(&large, Err(Code::EventTooLarge));
    }

    #[test]
    fn the_ref_comes_back_from_a_refused_request() {
        assert_eq!(parse(r#"{"t":"nope","ref":7}"#).0.unwrap().get(), "7");
    }
}
