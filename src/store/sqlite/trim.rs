//! Forgetting the oldest events of logs, in slices of a few milliseconds.
//!
//! The oldest go first, so that what is kept has no hole at any moment. The writer calls for a slice when nobody has written
//! for a moment, and under load for as many as leave it most of its time. The newest event of a log always stays.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tambour_actors::event::Seq;
use tambour_actors::log::{Bounds, Unavailable};

use super::command::Trim;
use super::rows::sql_seq;
use super::{feeds, rows};

/// A slice ends behind the statement that passes this.
const SLICE: Duration = Duration::from_millis(2);
/// Rows that one statement removes: each may be on a page of its own.
const ROWS_PER_STATEMENT: usize = 64;
/// Under load a slice is followed by so many times its own duration of other work, the wait for the disk included.
const OTHER_WORK: u32 = 4;

const REMOVE: &str = "
    DELETE FROM events WHERE position IN
        (SELECT position FROM events WHERE log = ?1 AND seq < ?2 ORDER BY seq LIMIT ?3)
    RETURNING position";

/// What is still to be trimmed.
#[derive(Default)]
pub(super) struct Trimmer {
    waiting: VecDeque<Trim>,
    /// When a slice is due under load.
    not_before: Option<Instant>,
}

/// What a slice did, told when it is on disk.
#[derive(Default)]
pub(super) struct Slice {
    /// The ends of the logs that are done with, in the order of the line.
    done: Vec<Bounds>,
    /// Whether events were removed.
    pub(super) removed: bool,
}

impl Trimmer {
    pub(super) fn push(&mut self, trim: Trim) {
        self.waiting.push_back(trim);
    }

    /// When the next slice is due, if nobody writes until `quiet_at`; `None`: there is nothing to do.
    pub(super) fn due_at(&self, quiet_at: Instant) -> Option<Instant> {
        let due_at = self.not_before.map_or(quiet_at, |not_before| not_before.min(quiet_at));
        (!self.waiting.is_empty()).then_some(due_at)
    }

    /// Removes some events, inside of the caller's transaction.
    pub(super) fn slice(&self, conn: &Connection) -> rusqlite::Result<Slice> {
        let start = Instant::now();
        let mut slice = Slice::default();
        let mut remove = conn.prepare_cached(REMOVE)?;
        for trim in &self.waiting {
            let mut bounds = rows::bounds(conn, trim.log)?;
            // A log that was deleted has no head, and loses nothing here.
            let oldest = trim.oldest.min(bounds.head);
            while bounds.oldest < oldest {
                let limit = ROWS_PER_STATEMENT as i64;
                let gone = remove.query_map((trim.log.0, sql_seq(oldest), limit), |row| row.get::<_, i64>(0))?;
                let gone = gone.collect::<rusqlite::Result<Vec<_>>>()?;
                if let Some(floor) = gone.iter().max() {
                    feeds::raise_floor(conn, trim.log, *floor)?;
                }
                let removed = gone.len();
                slice.removed = true;
                if removed < ROWS_PER_STATEMENT {
                    bounds = rows::bounds(conn, trim.log)?;
                    break;
                }
                if start.elapsed() >= SLICE {
                    return Ok(slice);
                }
                bounds.oldest += removed as Seq;
            }
            slice.done.push(bounds);
            if start.elapsed() >= SLICE {
                break;
            }
        }
        Ok(slice)
    }

    /// The slice that began at `start` is on disk, or nothing of it is.
    pub(super) fn finished(&mut self, start: Instant, done: Result<Slice, Unavailable>) {
        let now = Instant::now();
        self.not_before = Some(now + OTHER_WORK * (now - start));
        // Who left needs no answer.
        match done {
            Ok(slice) => {
                let answered = self.waiting.drain(..slice.done.len());
                answered.zip(slice.done).for_each(|(trim, bounds)| drop(trim.answer.send(Ok(bounds))));
            }
            Err(why) => self.waiting.drain(..).for_each(|trim| drop(trim.answer.send(Err(why.clone())))),
        }
    }
}
