//! Taking the data of an event away, from the file too.
//!
//! The writer's connection overwrites with zeros whatever it frees; the write-ahead log has the old pages until the
//! checkpoint that the writer then asks for. The event keeps its place. Who may redact is not known here.

use rusqlite::Connection;
use tambour_actors::event::Seq;
use tambour_actors::log::LogId;

use super::rows::sql_seq;

const EVENT: &str = "UPDATE events SET data = '' WHERE log = ?1 AND seq = ?2";
const APPENDS: &str = "
    UPDATE events SET data = '' WHERE log = ?1 AND target = ?2 AND appended_bytes IS NOT NULL AND data <> ''";

/// Empties an event and all appends to it, inside of the caller's transaction.
pub(super) fn redact(conn: &Connection, log: LogId, target: Seq) -> rusqlite::Result<()> {
    for sql in [EVENT, APPENDS] {
        conn.prepare_cached(sql)?.execute((log.0, sql_seq(target)))?;
    }
    Ok(())
}
