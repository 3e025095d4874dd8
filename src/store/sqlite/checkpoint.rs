//! The checkpointer: moves what was committed from the write-ahead log into the database file,
//! on a thread of its own, so that no commit waits for it but the last bit.
//!
//! A passive checkpoint runs beside the writer and copies nearly everything. Under a steady
//! load it never catches up, and the log would grow for ever: so the rest, which is short, is
//! copied while the writer is held at the [`Gate`], and then the log starts anew. It runs for a small
//! log only behind a redaction, because what was taken away is in the log's old pages, so the log is cut to nothing; and
//! when the disk is full, because a log that starts anew is room.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rusqlite::Connection;

use super::failure::is_full;
use super::stats::Counters;

/// Pages in the log that call for a checkpoint: 32 MiB of 4 KiB.
const PAGES_DUE: u64 = 8 * 1024;
/// Pages that may be left to copy while the writer is held: 2 MiB, some milliseconds.
const PAGES_HELD: u64 = 512;
/// Passive rounds before the rest is copied however long it is.
const PASSIVE_ROUNDS: usize = 4;
/// A log of more pages than this gives its disk space back; else the file is written over,
/// which is cheaper to sync than one that grows.
const PAGES_TRUNCATE: u64 = 32 * 1024;
/// How long the writer is held for readers that still use the old log; they read one page each.
const READERS_TIMEOUT: Duration = Duration::from_millis(20);

/// Redactions of this time share a checkpoint.
const SCRUB_EVERY: Duration = Duration::from_secs(10);
/// How long until the log is cut again when readers were in the way, or it failed.
const SCRUB_AGAIN: Duration = Duration::from_secs(5);

/// Where the writer and the checkpointer meet.
pub(super) struct Gate {
    turn: Mutex<()>,
    state: Mutex<State>,
    due: Condvar,
}

struct State {
    pages: u64,
    due_at: u64,
    stopped: bool,
    /// When the log is to be cut because something was redacted.
    scrub_at: Option<Instant>,
    scrub_not_before: Option<Instant>,
}

/// Why there is a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Grown,
    Scrub,
}

impl Gate {
    pub(super) fn new() -> Self {
        let state = State { pages: 0, due_at: PAGES_DUE, stopped: false, scrub_at: None, scrub_not_before: None };
        Self { turn: Mutex::new(()), state: Mutex::new(state), due: Condvar::new() }
    }

    /// Held by the writer for a transaction, by the checkpointer for the end of a checkpoint.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    /// Told behind each commit how many pages the log has.
    pub(super) fn grew_to(&self, pages: u64) {
        let mut state = self.state.lock();
        state.pages = pages;
        if pages >= state.due_at {
            self.due.notify_one();
        }
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.due.notify_one();
    }

    /// Told when there was no room for a write: a log that starts anew is room, however short it is.
    pub(super) fn full(&self) {
        let mut state = self.state.lock();
        if state.pages > 0 {
            state.due_at = 0;
            self.due.notify_one();
        }
    }

    /// Told behind the commit of a redaction.
    pub(super) fn redacted(&self) {
        let mut state = self.state.lock();
        if state.scrub_at.is_none() {
            let now = Instant::now();
            state.scrub_at = Some(state.scrub_not_before.map_or(now, |not_before| not_before.max(now)));
            self.due.notify_one();
        }
    }

    /// Waits until a checkpoint is due; `None` when there will be none.
    fn wait(&self) -> Option<Due> {
        let mut state = self.state.lock();
        loop {
            match state.scrub_at {
                _ if state.stopped => return None,
                Some(at) if at <= Instant::now() => return Some(Due::Scrub),
                _ if state.pages >= state.due_at => return Some(Due::Grown),
                Some(at) => drop(self.due.wait_until(&mut state, at)),
                None => self.due.wait(&mut state),
            }
        }
    }

    /// The log starts anew, or goes on behind `pages` because readers were in the way.
    fn done(&self, due: Due, restarted: bool, pages: u64) {
        let mut state = self.state.lock();
        if restarted {
            state.pages = 0;
        }
        state.due_at = if restarted { PAGES_DUE } else { pages + PAGES_DUE };
        if due == Due::Scrub {
            let now = Instant::now();
            state.scrub_at = (!restarted).then_some(now + SCRUB_AGAIN);
            state.scrub_not_before = Some(now + SCRUB_EVERY);
        }
    }
}

/// What `PRAGMA wal_checkpoint` answers.
struct Answered {
    busy: bool,
    pages: u64,
    copied: u64,
}

/// Checkpoints whenever one is due, until the gate is stopped.
pub(super) fn run(conn: &Connection, gate: &Gate, counters: &Counters) {
    while let Some(due) = gate.wait() {
        match round(conn, gate, due) {
            Ok(()) => counters.checkpointed(),
            Err(error) => {
                // On a full disk there is one try a second, and the writer has said why.
                if !is_full(&error) {
                    tracing::error!(%error, "a checkpoint failed; the write-ahead log grows on");
                }
                let pages = gate.state.lock().pages;
                gate.done(due, false, pages);
            }
        }
    }
}

fn round(conn: &Connection, gate: &Gate, due: Due) -> rusqlite::Result<()> {
    for _ in 0..PASSIVE_ROUNDS {
        let answered = checkpoint(conn, "PASSIVE")?;
        let left = gate.state.lock().pages.saturating_sub(answered.copied);
        if left <= PAGES_HELD {
            break;
        }
    }
    let turn = gate.turn();
    let pages = gate.state.lock().pages;
    let mode = if pages > PAGES_TRUNCATE || due == Due::Scrub { "TRUNCATE" } else { "RESTART" };
    let answered = checkpoint(conn, mode)?;
    gate.done(due, !answered.busy, answered.pages.max(pages));
    drop(turn);
    Ok(())
}

fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<Answered> {
    let patience = if mode == "PASSIVE" { Duration::ZERO } else { READERS_TIMEOUT };
    conn.busy_timeout(patience)?;
    conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let pages = |column| row.get::<_, i64>(column).map(|pages| u64::try_from(pages).unwrap_or(0));
        Ok(Answered { busy: row.get(0)?, pages: pages(1)?, copied: pages(2)? })
    })
}
