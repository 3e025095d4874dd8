//! Which events are kept no longer: found by a few look-ups a log, however long it is.
//!
//! By count it is arithmetic, because seqs have no holes; by bytes a search in the sums that each row has; by age a walk from the
//! oldest, which ends at the first that is young enough, so that a clock that went wrong for a moment takes nothing
//! away before its time. This file removes nothing: `trim` does. The newest event of a log is never overdue.

use std::ops::Range;

use rusqlite::Connection;
use tambour_actors::event::Seq;
use tambour_actors::log::{Bounds, LogId};
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey, TopicKind};

use super::rows::{self, sql_seq, unreadable};

/// Topics that one question looks at, so that others that wait for a reader are not held up.
const TOPICS_PER_LOOK: i64 = 64;
/// Events of a log that one question finds by their age.
const AGED_PER_LOOK: i64 = 1_024;

const TOPICS: &str = "SELECT id, tenant, env, kind, topic FROM topics WHERE id > ?1 ORDER BY id LIMIT ?2";
const SUM: &str = "
    SELECT coalesce(log_bytes, 0),
        octet_length(type) + octet_length(routing) + octet_length(meta) + octet_length(data)
    FROM events WHERE log = ?1 AND seq = ?2";
const AGED: &str = "SELECT seq, time_ms FROM events WHERE log = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3";

/// How much of a log is kept; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Most events.
    pub count_max: u64,
    /// For how long, in milliseconds.
    pub age_ms: u64,
    /// Most bytes of events, as [`tambour_actors::event::Event::size_bytes`] counted when they were written.
    pub bytes_max: u64,
}

impl Keep {
    /// Everything.
    pub const ALL: Self = Self { count_max: 0, age_ms: 0, bytes_max: 0 };
}

/// How much is kept of each kind of topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keeps {
    /// Of threads.
    pub thread: Keep,
    /// Of canvases.
    pub canvas: Keep,
}

impl Keeps {
    fn of(self, kind: TopicKind) -> Keep {
        match kind {
            TopicKind::Thread => self.thread,
            TopicKind::Canvas => self.canvas,
            TopicKind::System | TopicKind::Feed => Keep::ALL,
        }
    }
}

/// What of some topics is kept no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// Topics, their logs, and which events are to go: the first behind them is the oldest to stay.
    pub logs: Vec<(TopicKey, LogId, Range<Seq>)>,
    /// Whether there may be more in the same logs, once that is gone.
    pub more: bool,
    /// The last log that was looked at; `None` when there is none behind it.
    pub next: Option<LogId>,
}

/// Looks at some logs behind `after`.
pub(super) fn overdue(conn: &Connection, after: LogId, keeps: Keeps, now_ms: i64) -> rusqlite::Result<Overdue> {
    let mut found = Overdue { logs: Vec::new(), more: false, next: None };
    let mut topics = conn.prepare_cached(TOPICS)?;
    let mut rows = topics.query((after.0, TOPICS_PER_LOOK))?;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        looked_at += 1;
        let log = LogId(row.get(0)?);
        found.next = Some(log);
        let name = row.get_ref(3)?.as_str()?;
        let kind = [TopicKind::Thread, TopicKind::Canvas].into_iter().find(|kind| kind.as_str() == name);
        let kind = kind.ok_or_else(|| unreadable(3, "not a kind of topic"))?;
        let keep = keeps.of(kind);
        if keep == Keep::ALL {
            continue;
        }
        let bounds = rows::bounds(conn, log)?;
        let (aged, more) = by_age(conn, log, bounds, keep.age_ms, now_ms)?;
        let oldest = by_count(bounds, keep.count_max).max(by_bytes(conn, log, bounds, keep.bytes_max)?).max(aged);
        if oldest > bounds.oldest {
            found.logs.push((key_of(row, kind)?, log, bounds.oldest..oldest));
            found.more |= more;
        }
    }
    if looked_at < TOPICS_PER_LOOK {
        found.next = None;
    }
    Ok(found)
}

fn key_of(row: &rusqlite::Row<'_>, kind: TopicKind) -> rusqlite::Result<TopicKey> {
    let text = |column| row.get_ref(column).and_then(|value| Ok(value.as_str()?.to_owned()));
    let tenant = Tenant::parse(&text(1)?).map_err(|_| unreadable(1, "not a tenant"))?;
    let env = Env::parse(&text(2)?).map_err(|_| unreadable(2, "not an env"))?;
    TopicKey::new(&Scope { tenant, env }, kind, &text(4)?).map_err(|_| unreadable(4, "not a topic's id"))
}

fn by_count(bounds: Bounds, count_max: u64) -> Seq {
    if count_max == 0 { 0 } else { (bounds.head + 1).saturating_sub(count_max) }
}

/// What is left is as much as `bytes_max`, or the newest event alone.
fn by_bytes(conn: &Connection, log: LogId, bounds: Bounds, bytes_max: u64) -> rusqlite::Result<Seq> {
    if bytes_max == 0 || bounds.head == 0 {
        return Ok(0);
    }
    let mut sum = conn.prepare_cached(SUM)?;
    let mut sum_at = |seq: Seq| {
        sum.query_row((log.0, sql_seq(seq)), |row| {
            let bytes = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok((bytes(0)?, bytes(1)?))
        })
    };
    let (all, _) = sum_at(bounds.head)?;
    let (first, size) = sum_at(bounds.oldest)?;
    if all.saturating_sub(first) + size <= bytes_max {
        return Ok(0);
    }
    // What is behind `from` is too much, what is behind `to` is not.
    let (mut from, mut to) = (bounds.oldest - 1, bounds.head);
    while to - from > 1 {
        let middle = from + (to - from) / 2;
        if all.saturating_sub(sum_at(middle)?.0) > bytes_max {
            from = middle;
        } else {
            to = middle;
        }
    }
    Ok((to + 1).min(bounds.head))
}

/// The first event that is young enough, or the last that was looked at and whether that was for want of time.
fn by_age(conn: &Connection, log: LogId, bounds: Bounds, age_ms: u64, now_ms: i64) -> rusqlite::Result<(Seq, bool)> {
    if age_ms == 0 || bounds.head == 0 {
        return Ok((0, false));
    }
    let begin = now_ms.saturating_sub(i64::try_from(age_ms).unwrap_or(i64::MAX));
    let mut aged = conn.prepare_cached(AGED)?;
    let mut rows = aged.query((log.0, sql_seq(bounds.oldest), AGED_PER_LOOK))?;
    let mut oldest = bounds.oldest;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= begin || rows::seq_at(row, 0)? == bounds.head {
            return Ok((oldest, false));
        }
        oldest += 1;
    }
    Ok((oldest, oldest < bounds.head))
}
