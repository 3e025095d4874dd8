//! The statement that inserts an event, made cheap. It never checks a seq: the writer did.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, ToSql};
use tambour_actors::event::{Event, EventType, Origin, Seq};
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
    target: Option<Seq>,
    about: Option<LogId>,
}

/// The place of an event in the store.
pub(super) struct Place {
    /// In commit order.
    pub(super) position: i64,
    pub(super) log: LogId,
    /// What this event and all before it in its log have in bytes, as [`Event::size_bytes`] counts.
    pub(super) log_bytes: u64,
    /// Of an `append`: what all appends to its target have in bytes, this one included.
    pub(super) appended_bytes: Option<usize>,
    /// Of an event of `system/tenant`: the log of the topic that it is about.
    pub(super) about: Option<LogId>,
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
        let sql = "INSERT OR FAIL INTO events
                       (position, log, seq, time_ms, type, routing, meta, data, log_bytes, target, appended_bytes, about)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        Ok(Self { statement: conn.prepare(sql)?, bound: None })
    }

    pub(super) fn row(&mut self, place: &Place, event: &Event) -> rusqlite::Result<()> {
        // Taken: a binding that fails half-way leaves nothing to be trusted.
        let before = self.bound.take();
        let before = before.as_ref();
        let statement = &mut self.statement;
        statement.raw_bind_parameter(1, place.position)?;
        if before.is_none_or(|bound| bound.log != place.log) {
            statement.raw_bind_parameter(2, place.log.0)?;
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
        statement.raw_bind_parameter(9, place.log_bytes.cast_signed())?;
        // Nearly no event has a target: then what is bound stays NULL.
        if event.target.is_some() || before.is_none_or(|bound| bound.target.is_some()) {
            statement.raw_bind_parameter(10, event.target.map(rows::sql_seq))?;
            statement.raw_bind_parameter(11, place.appended_bytes.map(|bytes| bytes as i64))?;
        }
        if place.about != before.and_then(|bound| bound.about) || before.is_none() {
            statement.raw_bind_parameter(12, place.about.map(|log| log.0))?;
        }
        self.bound = Some(Bound {
            log: place.log,
            time_ms: event.time_ms,
            kind: event.kind.clone(),
            origin: event.origin.clone(),
            target: event.target,
            about: place.about,
        });
        statement.raw_execute().map(|_| ())
    }
}
