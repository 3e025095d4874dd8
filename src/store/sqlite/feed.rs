//! Pages of a feed: what one tenant and env has committed, in commit order.
//!
//! Positions are those of the whole store. Of a row of somebody else only its log is looked at: what it says stays in the file.
//! This file never starts a transaction.

use std::sync::Arc;

use rusqlite::{Connection, Statement};
use rustc_hash::FxHashMap;
use tambour_actors::log::feed::{FEED_ROWS_MAX, FeedItem, FeedLimit, FeedPage, Position};
use tambour_actors::log::{LogId, TopicRecord};
use tambour_actors::topic_key::Scope;

use super::feeds::{self, Feed, position_at};
use super::pages::{PageReader, Place};
use super::rows::{Gone, sql_seq};

const BEHIND: &str = "SELECT position, log FROM events WHERE position > ?1 ORDER BY position LIMIT ?2";
const BEFORE: &str = "SELECT position, log FROM events WHERE position < ?1 ORDER BY position DESC LIMIT ?2";
/// The columns that [`PageReader::take`] wants, and what the event is about.
const ROW: &str = "SELECT seq, time_ms, type, routing, meta, data, target, about FROM events WHERE position = ?1";

/// Where a page is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    /// Behind this, ascending.
    Behind(Position),
    /// Before this, the newest that fit.
    Before(Position),
}

/// Topics that one page has looked up; `None`: of another tenant or env, or gone.
struct Topics<'c> {
    conn: &'c Connection,
    scope: &'c Scope,
    feed: &'c Feed,
    known: FxHashMap<(LogId, bool), Option<Arc<TopicRecord>>>,
}

impl Topics<'_> {
    fn of(&mut self, log: LogId, gone: Gone) -> rusqlite::Result<Option<Arc<TopicRecord>>> {
        let place = (log, gone == Gone::Known);
        if let Some(known) = self.known.get(&place) {
            return Ok(known.clone());
        }
        let found = if log == self.feed.log() {
            Some(self.feed.system())
        } else if log.0 < 0 {
            None
        } else {
            feeds::topic_of(self.conn, log, gone)?.filter(|record| record.topic.key.scope() == *self.scope)
        };
        self.known.insert(place, found.clone());
        Ok(found)
    }
}

/// An event whose texts are still in the scratch buffer.
type Placed = (Position, Place, Arc<TopicRecord>, Option<Arc<TopicRecord>>);

/// Reads a page; `None`: there is no such feed yet.
pub(super) fn page(
    conn: &Connection,
    pages: &mut PageReader,
    scope: &Scope,
    from: From,
    limit: FeedLimit,
) -> rusqlite::Result<Option<FeedPage>> {
    let Some(feed) = feeds::find(conn, scope)? else { return Ok(None) };
    let ends = feed.ends(conn)?;
    let (sql, start) = match from {
        From::Behind(after) => (BEHIND, after),
        From::Before(before) => (BEFORE, before),
    };
    let mut topics = Topics { conn, scope, feed: &feed, known: FxHashMap::default() };
    let (mut scan, mut event) = (conn.prepare_cached(sql)?, conn.prepare_cached(ROW)?);
    let mut rows = scan.query((sql_seq(start), FEED_ROWS_MAX as i64))?;
    let (mut placed, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
    // How far the page reaches, unless there is nothing more.
    let mut reached = None;
    pages.begin();
    while placed.len() < limit.events && (bytes < limit.bytes || placed.is_empty()) {
        let Some(row) = rows.next()? else {
            if looked_at < FEED_ROWS_MAX {
                reached = None;
            }
            break;
        };
        looked_at += 1;
        let position = position_at(row, 0)?;
        reached = Some(position);
        if let Some(topic) = topics.of(LogId(row.get(1)?), Gone::Unknown)? {
            let (place, about) = take(&mut event, pages, &mut topics, position)?;
            bytes += place.size_bytes();
            placed.push((position, place, topic, about));
        }
    }
    let nothing_read = looked_at == 0 && limit.events == 0;
    let (after, upto) = match from {
        From::Behind(after) if nothing_read => (after, after),
        From::Behind(after) => (after, reached.unwrap_or(ends.head.max(after))),
        From::Before(before) => {
            let upto = before.saturating_sub(1).min(ends.head);
            placed.reverse();
            let after = if nothing_read { upto } else { reached.map_or(0, |oldest| oldest - 1) };
            (after, upto)
        }
    };
    Ok(Some(FeedPage { items: finished(placed, pages), after, upto, ends }))
}

fn take(
    event: &mut Statement<'_>,
    pages: &mut PageReader,
    topics: &mut Topics<'_>,
    position: Position,
) -> rusqlite::Result<(Place, Option<Arc<TopicRecord>>)> {
    let (place, about) = event
        .query_row([sql_seq(position)], |row| Ok((pages.take(row)?, row.get_ref(7)?.as_i64_or_null()?.map(LogId))))?;
    let about = about.map(|log| topics.of(log, Gone::Known)).transpose()?;
    Ok((place, about.flatten()))
}

fn finished(placed: Vec<Placed>, pages: &mut PageReader) -> Vec<FeedItem> {
    let page = pages.finish();
    let item = |(position, place, topic, about): Placed| FeedItem { position, event: place.event(&page), topic, about };
    placed.into_iter().map(item).collect()
}
