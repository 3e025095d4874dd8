//! What is asked of the audit, and what is answered. The query is parsed here, strictly, once for lists and files.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tambour_actors::refusal::{Code, Refusal};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use crate::control::topics::routes::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::openapi::shapes;
use crate::store::sqlite::{Action, AuditQuery};

/// Longest text that entries are looked for by, in bytes.
pub const TEXT_BYTES_MAX: usize = 512;

/// Which entries are asked for: those that all of it holds for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// The `sub` of who did it.
    #[param(value_type = shapes::Sub, required = false)]
    pub(super) actor: Option<String>,
    /// What was done: an action, or how it begins with `*` behind: `threads.*`.
    #[param(value_type = shapes::ActionFilter, required = false)]
    pub(super) action: Option<String>,
    /// To what: `thread/plan`, `key/key:…`, `principal/bob`, `sessions/bob`.
    #[param(value_type = shapes::AuditResource, required = false)]
    pub(super) resource: Option<String>,
    /// How it ended.
    #[param(value_type = shapes::AuditOutcome, required = false)]
    pub(super) outcome: Option<String>,
    /// Not earlier than this.
    #[param(value_type = shapes::Time, required = false)]
    pub(super) since: Option<String>,
    /// Earlier than this.
    #[param(value_type = shapes::Time, required = false)]
    pub(super) until: Option<String>,
    /// How many at most; of a file all, and it is not said.
    #[param(value_type = shapes::ListLimit, required = false)]
    pub(super) limit: Option<usize>,
    /// Only entries before the one of this seq.
    #[param(value_type = shapes::Seq, required = false)]
    pub(super) before: Option<i64>,
    /// Of a file alone: what it is.
    #[param(value_type = shapes::AuditFormat, required = false)]
    pub(super) format: Option<String>,
}

/// What a file of entries is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A JSON array.
    Json,
    /// A line for each.
    Ndjson,
    /// A table.
    Csv,
}

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::QueryInvalid, detail)
}

fn text(name: &'static str, text: Option<String>) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.is_empty() || text.len() > TEXT_BYTES_MAX => {
            Err(invalid(format!("{name} has 1 to {TEXT_BYTES_MAX} bytes")))
        }
        text => Ok(text),
    }
}

fn time_ms(name: &'static str, text: Option<String>) -> Result<Option<i64>, Refusal> {
    let parse = |text: String| {
        let time = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
        i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
    };
    let not_a_time = || invalid(format!("{name} is a time such as 2026-11-22T08:25:14Z"));
    text.map(|text| parse(text).ok_or_else(not_a_time)).transpose()
}

fn action(text: &str) -> Result<Action, Refusal> {
    let (name, is_prefix) = text.strip_suffix('*').map_or((text, false), |begin| (begin, true));
    let form = name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.'));
    if !form || name.len() > TEXT_BYTES_MAX || (name.is_empty() && !is_prefix) {
        return Err(invalid("action is a name such as threads.create, or how it begins, such as threads.*"));
    }
    Ok(if is_prefix { Action::Prefix(name.to_owned()) } else { Action::Exact(name.to_owned()) })
}

impl ListQuery {
    /// The question to the store; its limit is still to be set.
    fn filters(self) -> Result<AuditQuery, Refusal> {
        let outcome = match self.outcome.as_deref() {
            None => None,
            Some("done") => Some("done"),
            Some("refused") => Some("refused"),
            Some(_) => return Err(invalid("outcome is done or refused")),
        };
        Ok(AuditQuery {
            actor: text("actor", self.actor)?,
            action: self.action.as_deref().map(action).transpose()?,
            resource: text("resource", self.resource)?,
            outcome,
            since_ms: time_ms("since", self.since)?,
            until_ms: time_ms("until", self.until)?,
            before: self.before,
            after: None,
            limit: 0,
        })
    }

    /// A list: one more than asked for, which tells whether there are more.
    ///
    /// # Errors
    /// `query.invalid`.
    pub(super) fn list(self) -> Result<AuditQuery, Refusal> {
        if self.format.is_some() {
            return Err(invalid("a list has no format; GET /v1/audit/export has"));
        }
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(invalid(format!("limit is 1 to {LIMIT_MAX}")));
        }
        Ok(AuditQuery { limit: limit + 1, ..self.filters()? })
    }

    /// A file.
    ///
    /// # Errors
    /// `query.invalid`.
    pub(super) fn file(self) -> Result<(Format, AuditQuery), Refusal> {
        let format = match self.format.as_deref() {
            None | Some("ndjson") => Format::Ndjson,
            Some("json") => Format::Json,
            Some("csv") => Format::Csv,
            Some(_) => return Err(invalid("format is json, csv or ndjson")),
        };
        if self.limit.is_some() {
            return Err(invalid("a file has all entries; it takes no limit"));
        }
        Ok((format, self.filters()?))
    }
}

/// Entries, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditList {
    entries: Vec<AuditEntry>,
    /// Whether there are more: `before` the seq of the last.
    has_more: bool,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditActor {
    #[schema(value_type = shapes::Sub)]
    sub: String,
    #[schema(value_type = shapes::ActorType)]
    r#type: String,
    #[schema(value_type = shapes::Role)]
    role: String,
    /// On whose behalf.
    #[schema(value_type = shapes::Sub, required = false)]
    acts_for: Option<String>,
}

/// An entry: its text as it was written, and its hash behind the rest.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// 1, 2, 3… in the tenant and env.
    #[schema(value_type = shapes::Seq)]
    seq: u64,
    #[schema(value_type = shapes::Time)]
    time: String,
    #[schema(value_type = shapes::Tenant)]
    tenant_id: String,
    #[schema(value_type = shapes::Env)]
    env: String,
    actor: AuditActor,
    /// The action of the route, which is the `operationId` of its operation.
    action: String,
    /// To what.
    resource: String,
    #[schema(value_type = shapes::AuditOutcome)]
    outcome: String,
    /// Of what was refused: the code of the refusal.
    #[schema(required = false)]
    code: Option<String>,
    /// Absent of frames of a WebSocket.
    #[schema(required = false)]
    request_id: Option<String>,
    #[schema(required = false)]
    trace_id: Option<String>,
    /// The client's address; of IPv6 its /64.
    #[schema(required = false)]
    ip: Option<String>,
    /// What changed, as it was.
    #[schema(value_type = Object, required = false)]
    before: Option<Value>,
    /// What changed, as it is.
    #[schema(value_type = Object, required = false)]
    after: Option<Value>,
    /// How many things were changed or ended.
    affected_count: u64,
    /// What was counted at that moment.
    #[schema(value_type = Object, required = false)]
    count_snapshot: Option<Value>,
    /// Refusals of the same principal before this one that have no entry.
    #[schema(required = false)]
    suppressed: Option<u64>,
    /// The hash of the entry before; of the first one zeros.
    #[schema(value_type = shapes::AuditHash)]
    prev: String,
    /// SHA-256 of the entry's text without this member.
    #[schema(value_type = shapes::AuditHash)]
    hash: String,
}

/// Whether a chain is whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditVerdict {
    /// Whether every entry is as it was written, and none is missing.
    pub(super) ok: bool,
    /// How many were found good.
    pub(super) entries: u64,
    /// The newest of them: who remembers it can tell later whether it is there still.
    pub(super) head: AuditHeadShown,
    /// The first that is not as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_bad: Option<u64>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// An entry, to remember it by.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditHead)]
pub struct AuditHeadShown {
    #[schema(value_type = shapes::Seq)]
    pub(super) seq: u64,
    #[schema(value_type = shapes::AuditHash)]
    pub(super) hash: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<AuditQuery, Code> {
        let query = actix_web::web::Query::<ListQuery>::from_query(query).map_err(|_| Code::QueryInvalid)?;
        query.into_inner().list().map_err(|refusal| refusal.code)
    }

    #[test]
    fn what_is_asked_for() {
        let query = parsed("action=threads.*&since=2026-11-22T08:25:14.5Z&outcome=refused&before=7&limit=5").unwrap();
        assert_eq!(query.action, Some(Action::Prefix("threads.".to_owned())));
        assert_eq!((query.since_ms, query.outcome), (Some(1_795_335_914_500), Some("refused")));
        assert_eq!((query.before, query.limit), (Some(7), 6));
        assert_eq!(parsed("action=*").unwrap().action, Some(Action::Prefix(String::new())));
        for bad in [
            "limit=0",
            "limit=501",
            "since=yesterday",
            "until=",
            "outcome=maybe",
            "action=",
            "action=a*b",
            "action=%25",
            "actor=",
            "format=csv",
            "other=1",
            "before=x",
        ] {
            assert_eq!(parsed(bad).unwrap_err(), Code::QueryInvalid, "{bad}");
        }
    }
}
