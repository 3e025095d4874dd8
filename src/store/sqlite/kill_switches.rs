//! Kill switches as rows: one of each tenant and env. What is switched off, and by whose role, is one JSON text.
//!
//! Nothing here decides whether something may be switched off, or is.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use tambour_actors::principal::Role;
use tambour_actors::topic_key::Scope;

use super::administer::{scope, shared};
use super::rows::unreadable;
use crate::admission::standing::change::Change;
use crate::admission::standing::kill_switch::KillSwitch;

const PUT: &str = "
    INSERT OR REPLACE INTO kill_switches (tenant, env, body, changed_by, changed_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
/// All of them.
pub(super) const ALL: &str = "SELECT tenant, env, body, changed_by, changed_at_ms FROM kill_switches";

/// Names of roles by what they switched off.
type Roles<'a> = BTreeMap<&'a str, &'a str>;

/// The text. It is read by the hub alone, and a member that it does not know is something that it would not switch off.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    actions: Roles<'a>,
    autonomy: Option<&'a str>,
    #[serde(borrow)]
    providers: Roles<'a>,
    /// Anybody's words, perhaps with escapes.
    reason: Option<String>,
}

/// Keeps what is switched off, in place of what was.
pub(super) fn put(conn: &Connection, scope: &Scope, put: &KillSwitch) -> rusqlite::Result<()> {
    let names = |entries: &BTreeMap<Arc<str>, Role>| -> BTreeMap<String, &'static str> {
        entries.iter().map(|(entry, role)| (entry.to_string(), role.as_str())).collect()
    };
    let body = serde_json::json!({
        "actions": names(&put.actions),
        "autonomy": put.autonomy.map(Role::as_str),
        "providers": names(&put.providers),
        "reason": put.reason.as_deref(),
    });
    let (tenant, env) = (scope.tenant.as_str(), scope.env.as_str());
    conn.prepare_cached(PUT)?.execute((tenant, env, body.to_string(), &*put.changed_by, put.changed_at_ms))?;
    Ok(())
}

/// Reads a row.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Change> {
    let body: Body<'_> =
        serde_json::from_str(row.get_ref(2)?.as_str()?).map_err(|_| unreadable(2, "not what is switched off"))?;
    let role = |text: &str| Role::parse(text).ok_or_else(|| unreadable(2, "not a role"));
    let entries = |entries: Roles<'_>| -> rusqlite::Result<BTreeMap<Arc<str>, Role>> {
        entries.into_iter().map(|(entry, held)| Ok((entry.into(), role(held)?))).collect()
    };
    let put = KillSwitch {
        actions: entries(body.actions)?,
        autonomy: body.autonomy.map(role).transpose()?,
        providers: entries(body.providers)?,
        reason: body.reason.map(Into::into),
        changed_by: shared(row, 3)?,
        changed_at_ms: row.get(4)?,
    };
    Ok(Change::PutKillSwitch(scope(row)?, put))
}
