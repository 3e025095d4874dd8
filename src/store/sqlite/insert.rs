//! The statement that inserts an event, made cheap. It never checks a seq: the writer did.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql};
use tambour_actors::event::{Event, EventType, Origin};
use tambour_actors::log::LogId;

use super::rows;

/// The statement that inserts an event. A bound parameter stays bound, and binding a text copies
/// it: what is the same in the next row (the log, the type, who caused it) is not bound again.
pub(super) struct Insert<'c> {
    statement: Statement<'c>,
    bound: Option<Bound>,
}

/// What is bound besides the columns that differ in every row.
struct Bound {
    log: LogId,
    time_ms: i64,
    kind: EventType,
    origin: Origin,
}

/// A text that is known to be UTF-8 without looking: JSON that was checked where it came in.
struct Text<'t>(&'t [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

impl<'c> Insert<'c> {
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        // OR FAIL: a constraint that fails here ends the whole transaction anyway, so SQLite
        // need not keep what would take back the statement alone.
        let sql = "INSERT OR FAIL INTO events (position, log, seq, time_ms, type, routing, meta, data)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        Ok(Self { statement: conn.prepare(sql)?, bound: None })
    }

    pub(super) fn row(&mut self, position: i64, log: LogId, event: &Event) -> rusqlite::Result<()> {
        // Taken: a binding that fails half-way leaves nothing to be trusted.
        let before = self.bound.take();
        let before = before.as_ref();
        let statement = &mut self.statement;
        statement.raw_bind_parameter(1, position)?;
        if before.is_none_or(|bound| bound.log != log) {
            statement.raw_bind_parameter(2, log.0)?;
        }
        statement.raw_bind_parameter(3, rows::sql_seq(event.seq))?;
        if before.is_none_or(|bound| bound.time_ms != event.time_ms) {
            statement.raw_bind_parameter(4, event.time_ms)?;
        }
        if before.is_none_or(|bound| bound.kind != event.kind) {
            statement.raw_bind_parameter(5, Text(event.kind.as_str().as_bytes()))?;
        }
        if before.is_none_or(|bound| bound.origin.routing != event.origin.routing) {
            statement.raw_bind_parameter(6, Text(&event.origin.routing))?;
        }
        if before.is_none_or(|bound| bound.origin.meta != event.origin.meta) {
            statement.raw_bind_parameter(7, Text(&event.origin.meta))?;
        }
        statement.raw_bind_parameter(8, Text(&event.data))?;
        self.bound =
            Some(Bound { log, time_ms: event.time_ms, kind: event.kind.clone(), origin: event.origin.clone() });
        statement.raw_execute().map(|_| ())
    }
}
