//! Orders to end stream tokens, kept with the change that they come of until the store of stream tokens has answered: that
//! may be another one than this file, and away.
//!
//! Nothing here ends a token, and nothing is dropped because it failed.

use rusqlite::{Connection, Row};
use tambour_actors::log::{PortFuture, Unavailable};
use tambour_actors::principal::Role;

use super::SqliteStore;
use super::administer::{parsed, scope, shared};
use super::command::Command;
use super::readers::Question;
use crate::identity::stream_tokens::Revoke;

/// Most that are read at once.
const PAGE_ROWS_MAX: i64 = 64;

/// An order that was not carried out yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Later orders have higher ones.
    pub id: i64,
    /// Which tokens.
    pub which: Revoke,
}

impl SqliteStore {
    /// Some of the orders to end stream tokens that came with changes and were not carried out yet, in their order, behind
    /// one.
    ///
    /// # Errors
    /// [`Unavailable`] when the store can't be read.
    pub fn endings(&self, after: i64) -> PortFuture<Result<Vec<Ending>, Unavailable>> {
        Box::pin(self.0.question(|answer| Question::Endings { after, answer }).answer())
    }

    /// An order to end stream tokens was carried out.
    ///
    /// # Errors
    /// [`Unavailable`]; it is there still.
    pub fn ended(&self, ending: i64) -> PortFuture<Result<(), Unavailable>> {
        Box::pin(self.0.command(|answer| Command::Ended { ending, answer }).answer())
    }
}

/// Keeps an order. A clock that went back makes it reach nothing less than before.
pub(super) fn add(conn: &Connection, which: &Revoke) -> rusqlite::Result<()> {
    let (kind, scope, name) = match which {
        Revoke::Jti(scope, jti, _) => ("jti", scope, jti),
        Revoke::Key(scope, key) => ("key", scope, key),
        Revoke::Sub(scope, sub, ..) => ("sub", scope, sub),
        // No change says so.
        Revoke::Token(_) => return Ok(()),
    };
    let (authority, made_until_ms) = which.reach();
    let mut add = conn.prepare_cached(
        "INSERT OR REPLACE INTO endings (tenant, env, kind, name, authority, made_until_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, max(?6, coalesce((SELECT made_until_ms FROM endings
            WHERE tenant = ?1 AND env = ?2 AND kind = ?3 AND name = ?4 AND authority = ?5), ?6)))",
    )?;
    add.execute((scope.tenant.as_str(), scope.env.as_str(), kind, &**name, authority.as_str(), made_until_ms))?;
    Ok(())
}

/// Some of those that are left, behind one.
pub(super) fn left(conn: &Connection, after: i64) -> rusqlite::Result<Vec<Ending>> {
    let mut left = conn.prepare_cached(
        "SELECT tenant, env, kind, name, authority, made_until_ms, id FROM endings WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let rows = left.query_map((after, PAGE_ROWS_MAX), |row| Ok(Ending { id: row.get(6)?, which: which(row)? }))?;
    rows.collect()
}

/// One was carried out.
pub(super) fn remove(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM endings WHERE id = ?1")?.execute([id])?;
    Ok(())
}

fn which(row: &Row<'_>) -> rusqlite::Result<Revoke> {
    let (scope, name) = (scope(row)?, shared(row, 3)?);
    let (authority, made_until_ms) = (parsed(row, 4, Role::parse)?, row.get(5)?);
    parsed(row, 2, |kind| match kind {
        "jti" => Some(Revoke::Jti(scope, name, authority)),
        "key" => Some(Revoke::Key(scope, name)),
        "sub" => Some(Revoke::Sub(scope, name, authority, made_until_ms)),
        _ => None,
    })
}
