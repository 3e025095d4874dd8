//! The keys of writes that happen once: looked up, remembered, and forgotten when their time is over.
//!
//! They stand in the order of their commits, so that the oldest are at the front. Expired keys go a few at a time with
//! the keyed writes that follow: nothing is ever forgotten while nothing is remembered, and no timer runs for it. This file
//! never compares digests: whoever asked does.

use rusqlite::{Connection, OptionalExtension as _, Statement};
use tambour_actors::log::{IDEMPOTENCY_KEPT_MS, LogId, Once, OnceWrite, Published, Remembered};

use super::rows::sql_seq;

/// What is known of a key, unless its log was deleted.
const FIND: &str = "
    SELECT digest, first, last, time_ms FROM once
    WHERE log = ?1 AND sub = ?2 AND key = ?3 AND NOT EXISTS (SELECT 1 FROM deleted_logs WHERE log = ?1)";
/// A key that is used again when its time is over gets a new place at the end.
const REMEMBER: &str = "
    INSERT OR REPLACE INTO once (log, sub, key, digest, first, last, time_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
/// A key from further in the future than it is kept was written by a clock that was wrong.
const PURGE: &str = "
    DELETE FROM once
    WHERE id IN (SELECT id FROM once ORDER BY id LIMIT ?1) AND (time_ms <= ?2 OR time_ms > ?3)";
/// Keys at the front that are looked at for each one that is remembered.
const PURGED_PER_KEY: i64 = 4;

/// What `key` of `sub` was used for, within the time that keys are kept before `now_ms`.
pub(super) fn recall(
    conn: &Connection,
    log: LogId,
    sub: &str,
    key: &str,
    now_ms: i64,
) -> rusqlite::Result<Option<Remembered>> {
    let mut find = conn.prepare_cached(FIND)?;
    let found = find.query_row((log.0, sub, key), |row| {
        let seq = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let remembered = Remembered { digest: row.get(0)?, places: Published { first: seq(1)?, last: seq(2)? } };
        Ok((remembered, row.get::<_, i64>(3)?))
    });
    let found = found.optional()?;
    Ok(found.filter(|(_, time_ms)| now_ms.saturating_sub(*time_ms) < IDEMPOTENCY_KEPT_MS).map(|(known, _)| known))
}

/// The writer's side.
pub(super) struct Keys<'c> {
    conn: &'c Connection,
    remember: Statement<'c>,
    purge: Statement<'c>,
    /// Keys that the transaction has added, and the time of the newest.
    added: i64,
    newest_ms: i64,
}

impl<'c> Keys<'c> {
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        let (remember, purge) = (conn.prepare(REMEMBER)?, conn.prepare(PURGE)?);
        Ok(Self { conn, remember, purge, added: 0, newest_ms: i64::MIN })
    }

    pub(super) fn recall(&self, log: LogId, once: &Once, now_ms: i64) -> rusqlite::Result<Option<Remembered>> {
        recall(self.conn, log, &once.sub, &once.key, now_ms)
    }

    pub(super) fn remember(&mut self, log: LogId, write: &OnceWrite, time_ms: i64) -> rusqlite::Result<()> {
        let OnceWrite { once, places } = write;
        let (first, last) = (sql_seq(places.first), sql_seq(places.last));
        self.remember.execute((log.0, &*once.sub, &*once.key, once.digest, first, last, time_ms))?;
        self.added += 1;
        self.newest_ms = self.newest_ms.max(time_ms);
        Ok(())
    }

    /// To be called at the end of a transaction: forgets some keys whose time is over, if it added any.
    pub(super) fn purge(&mut self) -> rusqlite::Result<()> {
        if self.added > 0 {
            let over = self.newest_ms.saturating_sub(IDEMPOTENCY_KEPT_MS);
            let wrong = self.newest_ms.saturating_add(IDEMPOTENCY_KEPT_MS);
            self.purge.execute((self.added * PURGED_PER_KEY, over, wrong))?;
        }
        self.clear();
        Ok(())
    }

    /// The transaction is over, perhaps by a failure.
    pub(super) fn clear(&mut self) {
        (self.added, self.newest_ms) = (0, i64::MIN);
    }
}
