//! What a client may send over a WebSocket, parsed.
//!
//! Parsing is strict: an unknown frame, field or value is refused, so a misspelt option is never
//! silently ignored.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cursor::Cursor;
use crate::event::NewEvent;
use crate::frame::control::Ref;
use crate::refusal::{Code, Refusal};
use crate::topic::state::Start;

/// Most events before the head that a reader may start at.
pub const LAST_MAX: u64 = 500;
/// Longest `ref`, in bytes of JSON.
const REF_BYTES_MAX: usize = 256;

/// A request of a client.
#[derive(Debug)]
pub enum Request {
    /// Who the client is.
    Hello {
        /// A main token.
        token: String,
        /// Where.
        tenant_id: String,
        /// Where.
        env: String,
    },
    /// Start reading.
    Subscribe {
        /// `thread/x`.
        topic: String,
        /// From where.
        start: Start,
        /// The cursor as it was given, to be told back in a `gap`.
        requested: Option<String>,
    },
    /// Stop reading.
    Unsubscribe {
        /// `thread/x`.
        topic: String,
    },
    /// Append an event.
    Publish {
        /// `thread/x`.
        topic: String,
        /// What.
        event: NewEvent,
    },
    /// Renew the identity.
    Auth {
        /// A main token of the same principal.
        token: String,
    },
    /// Is anybody there?
    Ping,
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
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
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
        Ok(raw) => raw,
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
            tenant_id: need(raw.tenant_id.take(), "tenant_id")?,
            env: need(raw.env.take(), "env")?,
        },
        "subscribe" => {
            let (after, last) = (raw.after.take(), raw.last.take());
            let start = start(after.as_deref(), last, Start::Head)?;
            let requested = matches!(start, Start::After(_)).then(|| after.map(Cow::into_owned)).flatten();
            Request::Subscribe { topic: need(raw.topic.take(), "topic")?, start, requested }
        }
        "unsubscribe" => Request::Unsubscribe { topic: need(raw.topic.take(), "topic")? },
        "publish" => Request::Publish {
            topic: need(raw.topic.take(), "topic")?,
            event: NewEvent::parse(
                &need(raw.kind.take(), "type")?,
                raw.data.take().ok_or_else(|| Refusal::new(Code::FrameMalformed, "data is missing"))?,
            )?,
        },
        "auth" => Request::Auth { token: need(raw.token.take(), "token")? },
        "ping" => Request::Ping,
        _ => {
            return Err(Refusal::new(
                Code::FrameMalformed,
                "t is none of hello, subscribe, unsubscribe, publish, auth, ping",
            ));
        }
    };
    let left = [
        ("topic", raw.topic.is_some()),
        ("after", raw.after.is_some()),
        ("last", raw.last.is_some()),
        ("type", raw.kind.is_some()),
        ("data", raw.data.is_some()),
        ("token", raw.token.is_some()),
        ("tenant_id", raw.tenant_id.is_some()),
        ("env", raw.env.is_some()),
    ];
    match left.iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(Refusal::new(Code::FrameMalformed, format!("{t} has no field {field}"))),
        None => Ok(request),
    }
}

fn need(field: Option<Cow<'_, str>>, name: &str) -> Result<String, Refusal> {
    field.map(Cow::into_owned).ok_or_else(|| Refusal::new(Code::FrameMalformed, format!("{name} is missing")))
}

/// Where a reader wants to start, from `after` and `last`: the one reading of both, for every transport.
///
/// # Errors
/// `cursor.malformed`; `query.invalid` when both are given or `last` is above [`LAST_MAX`].
pub fn start(after: Option<&str>, last: Option<u64>, neither: Start) -> Result<Start, Refusal> {
    match (after, last) {
        (None, None) => Ok(neither),
        (Some("earliest"), None) => Ok(Start::Earliest),
        (Some(cursor), None) => Cursor::parse(cursor)
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
        check(r#"{"t":"auth","token":"x"}"#, Ok("Auth"));
        check(r#"{"t":"hello","token":"x","tenant_id":"t_a","env":"dev"}"#, Ok("Hello"));
        for bad in [
            "",
            "null",
            "[]",
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
            r#"{"t":"hello","token":"x"}"#,
            r#"{"t":"ping","t":"ping"}"#,
        ] {
            check(bad, Err(Code::FrameMalformed));
        }
        check(r#"{"t":"subscribe","topic":"thread/x","last":501}"#, Err(Code::QueryInvalid));
        check(r#"{"t":"subscribe","topic":"thread/x","last":1,"after":"earliest"}"#, Err(Code::QueryInvalid));
        check(r#"{"t":"subscribe","topic":"thread/x","after":"nonsense"}"#, Err(Code::CursorMalformed));
        check(r#"{"t":"publish","topic":"thread/x","type":"closed","data":1}"#, Err(Code::TypeReserved));
        check(r#"{"t":"publish","topic":"thread/x","type":"A","data":1}"#, Err(Code::TypeInvalid));
        let large = format!(r#"{{"t":"publish","topic":"thread/x","type":"a","data":"{}"}}"#, "x".repeat(65_536));
        check(&large, Err(Code::EventTooLarge));
    }

    #[test]
    fn the_ref_comes_back_from_a_refused_request() {
        assert_eq!(parse(r#"{"t":"nope","ref":7}"#).0.unwrap().get(), "7");
    }
}
