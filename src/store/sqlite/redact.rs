//! Taking the data of an event away, from the file too.
//!
//! What is freed inside of the file is overwritten with zeros in the same transaction; the write-ahead log has the old
//! pages until the checkpoint that the writer then asks for. The event keeps its place. Who may redact is not known here.

use rusqlite::Connection;
use tambour_actors::event::Seq;
use tambour_actors::log::LogId;

use super::rows::sql_seq;

const EVENT: &str = "UPDATE events SET data = '' WHERE log = ?1 AND seq = ?2";
const APPENDS: &str = "UPDATE events SET data = '' WHERE log = ?1 AND target = ?2 AND appended_bytes IS NOT NULL";

/// How much of what is freed in the file is overwritten with zeros.
#[derive(Debug, Clone, Copy)]
pub(super) enum Overwrite {
    /// What shares a page with what stays: it costs no write. Always so, because a row that was moved to another page
    /// must not be left behind where it was.
    InPages,
    /// Whole pages too: each is written once more.
    Everything,
}

/// Says what is overwritten from now on.
pub(super) fn overwrite(conn: &Connection, what: Overwrite) -> rusqlite::Result<()> {
    let value = match what {
        Overwrite::InPages => "ON",
        Overwrite::Everything => "ON",
    };
    conn.pragma_update_and_check(None, "secure_delete", value, |_| Ok(()))
}

/// Empties an event and all appends to it, inside of the caller's transaction.
pub(super) fn redact(conn: &Connection, log: LogId, target: Seq) -> rusqlite::Result<()> {
    overwrite(conn, Overwrite::Everything)?;
    let done = [EVENT, APPENDS].into_iter().try_for_each(|sql| {
        conn.prepare_cached(sql)?.execute((log.0, sql_seq(target)))?;
        Ok(())
    });
    overwrite(conn, Overwrite::InPages)?;
    done
}
