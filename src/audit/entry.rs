//! An entry of the audit: what it says, its one text, and the hash of that text.
//!
//! The text is made once, in the transaction that it is written in, and never again: readers get it byte for byte. It never
//! has a token, a secret or the data of an event in it.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tambour_actors::deed::Deed;
use tambour_actors::event::Seq;
use tambour_actors::frame::time_text;
use tambour_actors::log::LogId;
use tambour_actors::system::SystemType;

/// SHA-256 of an entry's text.
pub type Hash = [u8; 32];
/// What the first entry of a chain has for the one before it.
pub const NONE_BEFORE: Hash = [0; 32];

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Done,
    /// It was refused, with this code.
    Refused(&'static str),
}

/// An event of `system/tenant` that tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemEvent {
    /// Its type.
    pub kind: SystemType,
    /// Its data: a JSON object.
    pub data: Bytes,
    /// The log of the topic that it is about.
    pub about: Option<LogId>,
}

/// What happened. By whom, by which request and when, the [`Deed`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// To what: `thread/x`, `key/key:…`, `principal/alice`, `sessions/alice`.
    pub resource: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What changed, as it was.
    pub before: Option<Value>,
    /// What changed, as it is.
    pub after: Option<Value>,
    /// How many things were changed or ended.
    pub affected_count: u64,
    /// What was counted at that moment.
    pub count_snapshot: Option<Value>,
    /// Refusals of the same principal before this one that have no entry.
    pub suppressed: u64,
    /// What the feed tells of it. Of what was refused: nothing.
    pub events: Vec<SystemEvent>,
}

impl Happened {
    /// One thing was done.
    #[must_use]
    pub fn done(resource: String) -> Self {
        Self {
            resource,
            outcome: Outcome::Done,
            before: None,
            after: None,
            affected_count: 1,
            count_snapshot: None,
            suppressed: 0,
            events: Vec::new(),
        }
    }

    /// Something was refused, and nothing was done.
    #[must_use]
    pub fn refused(resource: String, code: &'static str, suppressed: u64) -> Self {
        Self { outcome: Outcome::Refused(code), affected_count: 0, suppressed, ..Self::done(resource) }
    }

    /// The feed tells of it.
    #[must_use]
    pub fn told(mut self, kind: SystemType, data: &Value, about: Option<LogId>) -> Self {
        self.events.push(SystemEvent { kind, data: data.to_string().into(), about });
        self
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor<'t> {
    /// The `sub` of a principal.
    #[serde(borrow)]
    pub sub: Cow<'t, str>,
    /// `human`, `agent` or `system`.
    #[serde(borrow)]
    pub r#type: Cow<'t, str>,
    /// The role that they had.
    #[serde(borrow)]
    pub role: Cow<'t, str>,
    /// On whose behalf.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub acts_for: Option<Cow<'t, str>>,
}

/// An entry. Its members stand in the text in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry<'t> {
    /// 1, 2, 3… in its tenant and env.
    pub seq: Seq,
    /// When, RFC 3339.
    #[serde(borrow)]
    pub time: Cow<'t, str>,
    /// Where.
    #[serde(borrow)]
    pub tenant_id: Cow<'t, str>,
    /// Where.
    #[serde(borrow)]
    pub env: Cow<'t, str>,
    /// Who.
    #[serde(borrow)]
    pub actor: Actor<'t>,
    /// What they did.
    #[serde(borrow)]
    pub action: Cow<'t, str>,
    /// To what.
    #[serde(borrow)]
    pub resource: Cow<'t, str>,
    /// `done` or `refused`.
    #[serde(borrow)]
    pub outcome: Cow<'t, str>,
    /// Of what was refused: the code.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'t, str>>,
    /// Of the request; absent where there was none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Cow<'t, str>>,
    /// Of its trace.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Cow<'t, str>>,
    /// The client's address.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<Cow<'t, str>>,
    /// What changed, as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What changed, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// How many things were changed or ended.
    pub affected_count: u64,
    /// What was counted at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_snapshot: Option<Value>,
    /// Refusals before this one that have no entry.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suppressed: u64,
    /// The hash of the entry before, in hexadecimal; of the first one zeros.
    #[serde(borrow)]
    pub prev: Cow<'t, str>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the serializer passes references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn some(text: &str) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then(|| text.into())
}

impl<'t> Entry<'t> {
    /// The entry of what happened, behind the entry that has `prev` for its hash.
    #[must_use]
    pub fn new(seq: Seq, prev: &Hash, deed: &'t Deed, happened: &'t Happened) -> Self {
        let (outcome, code) = match happened.outcome {
            Outcome::Done => ("done", None),
            Outcome::Refused(code) => ("refused", Some(code.into())),
        };
        let actor = Actor {
            sub: (&*deed.sub).into(),
            r#type: deed.actor_type.as_str().into(),
            role: deed.role.as_str().into(),
            acts_for: deed.acts_for.as_deref().map(Cow::from),
        };
        Self {
            seq,
            time: time_text(deed.at_ms).into(),
            tenant_id: deed.scope.tenant.as_str().into(),
            env: deed.scope.env.as_str().into(),
            actor,
            action: deed.action.into(),
            resource: (&*happened.resource).into(),
            outcome: outcome.into(),
            code,
            request_id: some(&deed.request_id),
            trace_id: some(&deed.trace_id),
            ip: deed.ip.as_deref().map(Cow::from),
            before: happened.before.clone(),
            after: happened.after.clone(),
            affected_count: happened.affected_count,
            count_snapshot: happened.count_snapshot.clone(),
            suppressed: happened.suppressed,
            prev: hex(prev).into(),
        }
    }

    /// The text of the entry.
    ///
    /// # Errors
    /// None that is known: texts, numbers and values are JSON.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// It is none that this Tambour has written.
    pub fn parse(text: &'t str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// The hash of an entry's text.
#[must_use]
pub fn hash(text: &str) -> Hash {
    Sha256::digest(text).into()
}

/// A hash as it is written.
#[must_use]
pub fn hex(hash: &[u8]) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        text
    })
}

/// An entry as it is shown: its text, and its hash behind the rest.
#[must_use]
pub fn shown(text: &str, hash: &[u8]) -> String {
    let members = text.strip_suffix('}').unwrap_or(text);
    format!("{members},\"hash\":\"{}\"}}", hex(hash))
}
