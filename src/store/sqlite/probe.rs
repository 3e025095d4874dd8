//! The probe: while the store can't write, a small write of its own once a second tells when it can again, so
//! that readiness comes back though nobody publishes.
//!
//! It leaves nothing behind, and does nothing while all is well.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tambour_actors::log::Unavailable;

/// Between two probes.
const EVERY: Duration = Duration::from_secs(1);
/// How much room a probe needs: that of the largest event, in bytes.
const ROOM_BYTES: usize = 64 * 1024;

/// When the next probe is due; never while the store is well.
#[derive(Default)]
pub(super) struct Probe(Option<Instant>);

impl Probe {
    /// A transaction failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.0.get_or_insert(now + EVERY);
    }

    /// How long the writer may wait for something better to do; `None`: for ever.
    pub(super) fn patience(&self, now: Instant) -> Option<Duration> {
        self.0.map(|due| due.saturating_duration_since(now))
    }

    /// Whether a probe is due. If so, it is up to that one whether there will be another.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.0.take_if(|due| *due <= now).is_some()
    }
}

/// The write, inside of the caller's transaction: takes as many pages as it may need, and gives them back to the
/// file. What is synced then is real.
pub(super) fn write(conn: &Connection) -> rusqlite::Result<()> {
    let name = "p".repeat(ROOM_BYTES);
    conn.prepare_cached("INSERT INTO numbers VALUES (?1, 0)")?.execute([&name])?;
    conn.prepare_cached("DELETE FROM numbers WHERE name = ?1")?.execute([&name])?;
    Ok(())
}

/// Whether an error says that there is no room, on the disk or in what the file may have of it.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// What the callers of a transaction that failed are told.
pub(super) fn unavailable(error: &rusqlite::Error) -> Unavailable {
    Unavailable { full: is_full(error), why: error.to_string() }
}
