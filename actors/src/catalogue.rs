//! The catalogue of well-known event types: what the members of their data are, so that clients by different
//! hands understand each other.
//!
//! Checked where an event comes in; every other type is free-form. Members that are not listed are free, too: this
//! file never says what data may not have.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::refusal::{Code, Refusal};

/// What the value of a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// An array.
    List,
    /// An object.
    Object,
}

/// A member of a well-known type's data.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// What it is, when it is there and not null.
    pub shape: Shape,
    /// Whether it must be there.
    pub needed: bool,
}

/// A well-known type. Its data is an object, or null.
#[derive(Debug, Clone, Copy)]
pub struct WellKnown {
    /// The event type.
    pub kind: &'static str,
    /// Of its data.
    pub members: &'static [Member],
}

macro_rules! catalogue {
    ($($kind:literal { $($name:literal $shape:ident $($needed:ident)?),* })+) => {
        /// Every well-known type, by what uses it: chats, canvases, agent sessions, activity.
        pub const CATALOGUE: &[WellKnown] = &[$(WellKnown {
            kind: $kind,
            members: &[$(Member { name: $name, shape: Shape::$shape, needed: catalogue!(@needed $($needed)?) }),*],
        }),+];
    };
    (@needed) => { false };
    (@needed needed) => { true };
}

catalogue! {
    "chat_message" { "text" Text, "role" Text, "reply_to" Text, "parts" List }
    "token_chunk" { "text" Text needed, "run_id" Text, "index" Number }
    "run_start" { "run_id" Text, "model" Text, "provider" Text }
    "run_end" { "run_id" Text, "event_id" Text, "reason" Text, "usage" Object }
    "stop" { "event_id" Text, "run_id" Text, "reason" Text }
    "tool_call" { "id" Text, "name" Text needed, "arguments" Object, "run_id" Text, "provider" Text }
    "tool_result" { "id" Text needed, "error" Text }
    "error" { "message" Text, "code" Text, "run_id" Text }
    "canvas_commit" { "rev" Number, "ops" List }
    "status" { "status" Text needed, "reason" Text }
    "message" { "role" Text, "text" Text, "run_id" Text }
    "system" { "text" Text }
    "approval" { "id" Text, "action" Text, "decision" Text }
    "ended" { "reason" Text }
    "stall" { "seconds" Number }
    "dead" { "reason" Text }
    "hook" { "name" Text, "phase" Text }
    "subagent_start" { "id" Text, "name" Text }
    "subagent_stop" { "id" Text, "reason" Text }
    "verification" { "name" Text, "passed" Flag, "details" Text }
    "permission_denied" { "action" Text, "reason" Text }
    "circuit_breaker" { "name" Text, "state" Text }
    "heartbeat" { "seconds" Number }
    "activity" {
        "worker" Text, "phase" Text, "action" Text, "duration_ms" Number, "counts" Object, "error" Text
    }
}

/// Checks the data of an event, if its type is well-known.
///
/// # Errors
/// `data.invalid`, with the member.
pub fn check(kind: &str, data: &RawValue) -> Result<(), Refusal> {
    let Some(known) = CATALOGUE.iter().find(|known| known.kind == kind) else { return Ok(()) };
    let invalid = |detail: String| Refusal::new(Code::DataInvalid, detail);
    let members: Option<HashMap<Cow<'_, str>, &RawValue>> =
        serde_json::from_str(data.get()).map_err(|_| invalid(format!("the data of {kind} is an object, or null")))?;
    let members = members.unwrap_or_default();
    for Member { name, shape, needed } in known.members {
        match members.get(*name).map(|value| value.get()).filter(|value| *value != "null") {
            None if *needed => return Err(invalid(format!("the data of {kind} needs {name}"))),
            Some(value) if !shape.fits(value) => {
                return Err(invalid(format!("{name} in the data of {kind} is {}", shape.words())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The member by which a well-known type that starts work says with whom.
const PROVIDER: &str = "provider";

/// Whether a type is one that starts work, and so may name its provider.
#[must_use]
pub fn names_provider(kind: &str) -> bool {
    let known = CATALOGUE.iter().find(|known| known.kind == kind);
    known.is_some_and(|known| known.members.iter().any(|member| member.name == PROVIDER))
}

/// The providers that data names. A member may be there twice in JSON, and readers take the one or the other: so all of
/// them are told. Data that is no object, or null, names none.
#[must_use]
pub fn providers(data: &[u8]) -> Vec<String> {
    serde_json::from_slice(data).map_or_else(|_| Vec::new(), |Providers(named)| named)
}

struct Providers(Vec<String>);

impl<'de> Deserialize<'de> for Providers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Providers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Providers, A::Error> {
                let mut named = Vec::new();
                while let Some(name) = members.next_key::<Cow<'de, str>>()? {
                    let value = members.next_value::<&RawValue>()?;
                    if name == PROVIDER {
                        // What is no text names nobody.
                        named.extend(serde_json::from_str::<String>(value.get()).ok());
                    }
                }
                Ok(Providers(named))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Shape {
    /// JSON is told by its first byte (RFC 8259, section 3).
    fn fits(self, json: &str) -> bool {
        let first = json.as_bytes().first().copied().unwrap_or_default();
        match self {
            Self::Text => first == b'"',
            Self::Number => first == b'-' || first.is_ascii_digit(),
            Self::Flag => matches!(first, b't' | b'f'),
            Self::List => first == b'[',
            Self::Object => first == b'{',
        }
    }

    /// The shape in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::List => "an array",
            Self::Object => "an object",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventType, RESERVED_TYPES};

    #[track_caller]
    fn accepts(kind: &str, data: &str, expected: bool) {
        let data = RawValue::from_string(data.to_owned()).unwrap();
        let got = check(kind, &data);
        assert_eq!(got.is_ok(), expected, "{kind} {data}: {got:?}");
    }

    #[test]
    fn data_of_well_known_types() {
        accepts("chat_message", r#"{"text":"hi","mine":[1]}"#, true);
        accepts("chat_message", r#"{"text":null}"#, true);
        accepts("chat_message", "{}", true);
        accepts("chat_message", r#"{"text":5}"#, false);
        accepts("chat_message", r#""hi""#, false);
        accepts("token_chunk", r#"{"te\u0078t":"a"}"#, true);
        accepts("token_chunk", "{}", false);
        accepts("verification", r#"{"passed":true}"#, true);
        accepts("verification", r#"{"passed":"yes"}"#, false);
        accepts("status", r#"{"status":"working"}"#, true);
        accepts("error", "null", true);
        accepts("token_chunk", "null", false);
        accepts("error", "5", false);
        accepts("note", "5", true);
    }

    #[test]
    fn what_starts_work_names_its_provider() {
        assert_eq!(
            CATALOGUE.iter().map(|known| known.kind).filter(|kind| names_provider(kind)).collect::<Vec<_>>(),
            ["run_start", "tool_call"]
        );
        assert!(!names_provider("note"));
        for (data, expected) in [
            (r#"{"provider":"acme"}"#, &["acme"][..]),
            (r#"{"name":"x","arguments":{"provider":"inner"},"pro\u0076ider":"ac\u006de"}"#, &["acme"]),
            (r#"{"provider":"acme","provider":"other"}"#, &["acme", "other"]),
            (r#"{"provider":null,"a":[1]}"#, &[]),
            ("{}", &[]),
            ("null", &[]),
        ] {
            assert_eq!(providers(data.as_bytes()), expected, "{data}");
        }
    }

    #[test]
    fn the_catalogue_can_be_published() {
        for (index, known) in CATALOGUE.iter().enumerate() {
            assert!(EventType::parse(known.kind).is_ok() && !RESERVED_TYPES.contains(&known.kind), "{}", known.kind);
            assert!(CATALOGUE[..index].iter().all(|before| before.kind != known.kind), "{} twice", known.kind);
        }
    }
}
