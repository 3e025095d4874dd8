//! Where logs end: remembered for those that were written to lately, so that an append needs no look-up.

use rusqlite::{Connection, OptionalExtension as _, Row, Statement};
use tambour_actors::event::Seq;
use tambour_actors::log::LogId;

use super::recent::Recent;

/// Logs whose head is remembered.
const HEADS_MAX: usize = 65_536;

/// The newest event of a log; nothing of it when there was never one, no row when the topic is unknown.
const HEAD: &str = "
    SELECT newest.seq, newest.log_bytes FROM topics
    LEFT JOIN events AS newest
        ON newest.position = (SELECT position FROM events WHERE log = topics.id ORDER BY seq DESC LIMIT 1)
    WHERE topics.id = ?1";

/// The newest event of a log that is no topic's.
const SYSTEM_HEAD: &str = "SELECT seq, log_bytes FROM events WHERE log = ?1 ORDER BY seq DESC LIMIT 1";

/// Where a log ends.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Head {
    pub(super) seq: Seq,
    /// What all its events have in bytes, those that are gone included.
    pub(super) bytes: u64,
}

/// The heads that the writer knows.
pub(super) struct Heads<'c> {
    statement: Statement<'c>,
    recent: Recent<LogId, Head>,
}

impl<'c> Heads<'c> {
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self { statement: conn.prepare(HEAD)?, recent: Recent::new(HEADS_MAX) })
    }

    /// The head of a log; `None` when there is no such log.
    pub(super) fn find(&mut self, log: LogId) -> rusqlite::Result<Option<Head>> {
        if let Some(head) = self.recent.get(&log) {
            return Ok(Some(*head));
        }
        let found = self.statement.query_row([log.0], |row| {
            let number = |column| row.get::<_, Option<i64>>(column).map(|n| n.unwrap_or(0).cast_unsigned());
            Ok(Head { seq: number(0)?, bytes: number(1)? })
        });
        let found = found.optional()?;
        if let Some(head) = found {
            self.recent.set(log, head);
        }
        Ok(found)
    }

    /// The head of the log of a `system/tenant`: there always is one, if only to begin with.
    pub(super) fn find_system(&mut self, conn: &Connection, log: LogId) -> rusqlite::Result<Head> {
        if let Some(head) = self.recent.get(&log) {
            return Ok(*head);
        }
        let number = |row: &Row<'_>, column| row.get::<_, Option<i64>>(column).map(|n| n.unwrap_or(0).cast_unsigned());
        let read = |row: &Row<'_>| Ok(Head { seq: number(row, 0)?, bytes: number(row, 1)? });
        Ok(conn.prepare_cached(SYSTEM_HEAD)?.query_row([log.0], read).optional()?.unwrap_or_default())
    }

    pub(super) fn set(&mut self, log: LogId, head: Head) {
        self.recent.set(log, head);
    }

    pub(super) fn forget(&mut self, log: LogId) {
        self.recent.forget(&log);
    }

    /// A transaction failed: what is remembered may never have been.
    pub(super) fn clear(&mut self) {
        self.recent.clear();
    }
}
