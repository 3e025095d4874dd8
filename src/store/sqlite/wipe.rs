//! Removing the events and keys of deleted logs, in slices of a few milliseconds.
//!
//! A delete only takes the topic away and notes its log; what is noted is never read again. The
//! writer calls for a slice when nobody has written for a moment, and now and then under load. A restart
//! goes on where the last process stopped. It never touches a log that is not noted.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _};

/// A slice ends behind the statement that passes this.
const SLICE: Duration = Duration::from_millis(2);
/// Rows that one statement removes: each may be on a page of its own.
const ROWS_PER_STATEMENT: usize = 64;
/// Under load a slice waits for this long since the last one.
const UNDER_LOAD_EVERY: Duration = Duration::from_millis(250);

/// When the next slice is due.
pub(super) struct Wiper {
    /// Whether a log may still be noted.
    pending: bool,
    not_before: Instant,
    last: Instant,
}

/// How far a slice came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    AllGone,
}

impl Wiper {
    pub(super) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let pending = conn.query_row("SELECT EXISTS (SELECT 1 FROM deleted_logs)", [], |row| row.get(0))?;
        let now = Instant::now();
        Ok(Self { pending, not_before: now, last: now })
    }

    /// A log was noted.
    pub(super) fn more(&mut self) {
        self.pending = true;
    }

    /// When the next slice is due, if nobody writes until `quiet_at`; `None`: there is nothing to do.
    pub(super) fn due_at(&self, quiet_at: Instant) -> Option<Instant> {
        let due_at = quiet_at.min(self.last + UNDER_LOAD_EVERY).max(self.not_before);
        self.pending.then_some(due_at)
    }

    pub(super) fn done(&mut self, progress: Progress, now: Instant) {
        self.pending = progress == Progress::More;
        self.last = now;
    }

    pub(super) fn failed(&mut self, not_before: Instant) {
        self.not_before = not_before;
    }

    /// Removes some events, inside of the caller's transaction. `position_floor` is the position
    /// of the next event: it is kept, so that positions never come again after the newest go.
    pub(super) fn slice(&self, conn: &Connection, position_floor: i64) -> rusqlite::Result<Progress> {
        let start = Instant::now();
        let mut noted = conn.prepare_cached("SELECT log FROM deleted_logs LIMIT 1")?;
        let mut wipe = conn.prepare_cached(
            "DELETE FROM events WHERE position IN (SELECT position FROM events WHERE log = ?1 ORDER BY seq LIMIT ?2)",
        )?;
        let mut forget =
            conn.prepare_cached("DELETE FROM once WHERE id IN (SELECT id FROM once WHERE log = ?1 LIMIT ?2)")?;
        conn.prepare_cached("UPDATE numbers SET value = ?1 WHERE name = 'position_floor'")?
            .execute([position_floor])?;
        while start.elapsed() < SLICE {
            let Some(log) = noted.query_row([], |row| row.get::<_, i64>(0)).optional()? else {
                return Ok(Progress::AllGone);
            };
            let removed = wipe.execute((log, ROWS_PER_STATEMENT as i64))?;
            if removed == ROWS_PER_STATEMENT {
                continue;
            }
            let removed = forget.execute((log, ROWS_PER_STATEMENT as i64))?;
            if removed < ROWS_PER_STATEMENT {
                conn.prepare_cached("DELETE FROM deleted_logs WHERE log = ?1")?.execute([log])?;
            }
        }
        Ok(Progress::More)
    }
}
