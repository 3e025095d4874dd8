//! The table of the audit: how an entry is written, inside the writer's transaction, and how entries are found.
//!
//! What an entry says comes from the room `audit`. This file never starts a transaction.

use std::fmt::Write as _;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};
use tambour_actors::deed::Deed;
use tambour_actors::topic_key::Scope;

use crate::audit::chain::{AuditHead, AuditRow};
use crate::audit::entry::{self, Entry, Happened, Hash, NONE_BEFORE};

const HEAD: &str = "SELECT seq, hash FROM audit_heads WHERE tenant = ?1 AND env = ?2";
const WRITE: &str = "
    INSERT INTO audit (tenant, env, seq, at_ms, actor, action, resource, outcome, entry, hash)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const PUT_HEAD: &str = "INSERT OR REPLACE INTO audit_heads (tenant, env, seq, hash) VALUES (?1, ?2, ?3, ?4)";
const COLUMNS: &str = "seq, at_ms, actor, action, resource, outcome, entry, hash";
/// A scope whose head is gone has entries still.
const SCOPES: &str = "SELECT tenant, env FROM audit_heads UNION SELECT tenant, env FROM audit";
const LAST: &str = "SELECT max(seq) FROM audit WHERE tenant = ?1 AND env = ?2";

/// Which entries are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Of this `sub`.
    pub actor: Option<String>,
    /// Of this action, or of those that begin so.
    pub action: Option<Action>,
    /// About this.
    pub resource: Option<String>,
    /// That ended so: `done` or `refused`.
    pub outcome: Option<&'static str>,
    /// Not earlier, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Earlier, likewise.
    pub until_ms: Option<i64>,
    /// Only those before this seq.
    pub before: Option<i64>,
    /// Only those behind this seq, and ascending; else the newest come first.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

/// An action that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// This one.
    Exact(String),
    /// All that begin so.
    Prefix(String),
}

/// Some entries, and the end of their chain in the same snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// In the order that was asked for.
    pub rows: Vec<AuditRow>,
    /// What the store says of the chain's end.
    pub head: AuditHead,
    /// The seq of the newest entry that there is.
    pub last: i64,
}

/// Writes the entry of what happened, and where the chain ends now.
pub(super) fn write(conn: &Connection, deed: &Deed, happened: &Happened) -> rusqlite::Result<()> {
    let (tenant, env) = (deed.scope.tenant.as_str(), deed.scope.env.as_str());
    let head: Option<(i64, Hash)> =
        conn.prepare_cached(HEAD)?.query_row((tenant, env), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (seq, prev) = head.unwrap_or((0, NONE_BEFORE));
    let seq = seq + 1;
    let entry = Entry::new(seq.cast_unsigned(), &prev, deed, happened);
    let text = entry.text().map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let hash = entry::hash(&text);
    conn.prepare_cached(WRITE)?.execute(rusqlite::params![
        tenant,
        env,
        seq,
        deed.at_ms,
        &*deed.sub,
        deed.action,
        happened.resource,
        entry.outcome,
        text,
        hash,
    ])?;
    conn.prepare_cached(PUT_HEAD)?.execute((tenant, env, seq, hash))?;
    Ok(())
}

/// The names of every tenant and env that has an audit.
pub(super) fn scopes(conn: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    conn.prepare_cached(SCOPES)?.query_map([], |row| Ok((text(row, 0)?, text(row, 1)?)))?.collect()
}

/// The entries that are asked for.
pub(super) fn page(conn: &Connection, scope: &Scope, query: &AuditQuery) -> rusqlite::Result<AuditPage> {
    let (tenant, env) = (scope.tenant.as_str(), scope.env.as_str());
    let head = conn
        .prepare_cached(HEAD)?
        .query_row((tenant, env), |row| Ok(AuditHead { seq: row.get(0)?, hash: row.get(1)? }))
        .optional()?;
    let last: Option<i64> = conn.prepare_cached(LAST)?.query_row((tenant, env), |row| row.get(0))?;
    let (sql, values) = statement(scope, query);
    let mut found = conn.prepare_cached(&sql)?;
    let rows = found.query_map(params_from_iter(values), row)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(AuditPage { rows, head: head.unwrap_or_else(AuditHead::empty), last: last.unwrap_or(0) })
}

/// The statement of a query, and what is bound in it. Of what a caller says nothing is in the text.
fn statement(scope: &Scope, query: &AuditQuery) -> (String, Vec<Value>) {
    let mut sql = format!("SELECT {COLUMNS} FROM audit WHERE tenant = ?1 AND env = ?2");
    let mut values = vec![Value::from(scope.tenant.as_str().to_owned()), scope.env.as_str().to_owned().into()];
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        // Writing into a text can't fail.
        let _ = write!(sql, " AND {condition} ?{}", values.len());
    };
    let text = |text: &String| Value::from(text.clone());
    query.actor.as_ref().into_iter().for_each(|actor| and("actor =", text(actor)));
    match &query.action {
        Some(Action::Exact(action)) => and("action =", text(action)),
        Some(Action::Prefix(begin)) => {
            and("action >=", text(begin));
            // Behind all that begin so: no action has a character this high.
            and("action <", format!("{begin}\u{10ffff}").into());
        }
        None => {}
    }
    query.resource.as_ref().into_iter().for_each(|resource| and("resource =", text(resource)));
    query.outcome.into_iter().for_each(|outcome| and("outcome =", outcome.to_owned().into()));
    let numbers =
        [("at_ms >=", query.since_ms), ("at_ms <", query.until_ms), ("seq <", query.before), ("seq >", query.after)];
    for (condition, number) in numbers {
        number.into_iter().for_each(|number| and(condition, number.into()));
    }
    let order = if query.after.is_some() { "ASC" } else { "DESC" };
    let _ = write!(sql, " ORDER BY seq {order} LIMIT {}", query.limit);
    (sql, values)
}

/// A text as it is in the file; what is no text any more is for the verifier to find.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(column)?.as_bytes()?).into_owned())
}

fn row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        seq: row.get(0)?,
        at_ms: row.get(1)?,
        actor: text(row, 2)?,
        action: text(row, 3)?,
        resource: text(row, 4)?,
        outcome: text(row, 5)?,
        entry: text(row, 6)?,
        hash: row.get(7)?,
    })
}
