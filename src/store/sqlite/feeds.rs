//! The rows of feeds: one for each tenant and env, made in the transaction that needs it. Its id below zero is the log of that
//! `system/tenant`.
//!
//! This file never starts a transaction.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row};
use tambour_actors::cursor::Incarnation;
use tambour_actors::log::feed::{FeedEnds, Position};
use tambour_actors::log::{LogId, NewTopic, TopicRecord, Visibility};
use tambour_actors::topic_key::{Scope, TopicKey};

use super::rows::{self, Gone, scope_at, unreadable};

/// The engine's random numbers are 64 bits of a stream cipher whose key is the operating system's.
const MAKE: &str = "
    INSERT INTO feeds (tenant, env, incarnation, floor) VALUES (?1, ?2, random(), 0) ON CONFLICT (tenant, env) DO NOTHING";
const FIND: &str = "SELECT id, incarnation, floor, tenant, env FROM feeds WHERE tenant = ?1 AND env = ?2";
const OF_ID: &str = "SELECT id, incarnation, floor, tenant, env FROM feeds WHERE id = ?1";
const RAISE: &str = "UPDATE feeds SET floor = max(floor, ?2) WHERE id = ?1";
/// The newest may be gone: what was given out stays given out.
const HEAD: &str = "
    SELECT max((SELECT value FROM numbers WHERE name = 'position_floor') - 1,
               (SELECT coalesce(max(position), 0) FROM events))";

/// A feed.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    id: i64,
    incarnation: Incarnation,
    floor: Position,
    scope: Scope,
}

impl Feed {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            incarnation: Incarnation(row.get::<_, i64>(1)?.cast_unsigned()),
            floor: position_at(row, 2)?,
            scope: scope_at(row, 3)?,
        })
    }

    /// The log of its `system/tenant`.
    pub(super) fn log(&self) -> LogId {
        LogId(-self.id)
    }

    /// Its `system/tenant`: a topic that nobody reads by the rights of topics.
    pub(super) fn system(&self) -> Arc<TopicRecord> {
        let topic = NewTopic {
            key: TopicKey::system(&self.scope),
            creator: "".into(),
            title: None,
            visibility: Visibility::Private,
            members: Vec::new(),
            created_at_ms: 0,
            incarnation: self.incarnation,
        };
        Arc::new(TopicRecord { log: self.log(), topic })
    }

    /// Its ends in the snapshot that it was read from.
    pub(super) fn ends(&self, conn: &Connection) -> rusqlite::Result<FeedEnds> {
        Ok(FeedEnds { floor: self.floor, head: head(conn)?, incarnation: self.incarnation })
    }
}

/// What SQLite has for a position.
pub(super) fn position_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Position> {
    Position::try_from(row.get_ref(column)?.as_i64()?).map_err(|_| unreadable(column, "a position below zero"))
}

/// The newest position.
pub(super) fn head(conn: &Connection) -> rusqlite::Result<Position> {
    conn.prepare_cached(HEAD)?.query_row([], |row| position_at(row, 0))
}

/// The feed of a tenant and env, if there is one yet.
pub(super) fn find(conn: &Connection, scope: &Scope) -> rusqlite::Result<Option<Feed>> {
    conn.prepare_cached(FIND)?.query_row((scope.tenant.as_str(), scope.env.as_str()), Feed::of).optional()
}

/// The feed of a tenant and env, made when there is none.
pub(super) fn ensure(conn: &Connection, scope: &Scope) -> rusqlite::Result<Feed> {
    if let Some(known) = find(conn, scope)? {
        return Ok(known);
    }
    conn.prepare_cached(MAKE)?.execute((scope.tenant.as_str(), scope.env.as_str()))?;
    find(conn, scope)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The topic that a log belongs to, that of a `system/tenant` too.
pub(super) fn topic_of(conn: &Connection, log: LogId, gone: Gone) -> rusqlite::Result<Option<Arc<TopicRecord>>> {
    if log.0 > 0 {
        return Ok(rows::of_log(conn, log, gone)?.map(Arc::new));
    }
    let feed = conn.prepare_cached(OF_ID)?.query_row([-log.0], Feed::of).optional()?;
    Ok(feed.map(|feed| feed.system()))
}

/// Retention took events of a topic, the newest of them at this position.
pub(super) fn raise_floor(conn: &Connection, log: LogId, position: i64) -> rusqlite::Result<()> {
    // Of a topic that is gone nobody has missed anything: its events are gone with it.
    let Some(record) = rows::of_log(conn, log, Gone::Unknown)? else { return Ok(()) };
    let feed = ensure(conn, &record.topic.key.scope())?;
    conn.prepare_cached(RAISE)?.execute((feed.id, position))?;
    Ok(())
}
