//! Events as they are read: pages of consecutive rows.
//!
//! The texts of one page share one allocation: an event that is kept keeps its page. This file
//! never starts a transaction; whoever calls decides which snapshot is read.

use std::ops::Range;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use rustc_hash::FxHashMap;
use tambour_actors::event::{Event, EventType, Origin, Seq};
use tambour_actors::log::{LogId, PageLimit};

use super::rows::{seq_at, sql_seq, unreadable};

/// The rows behind a seq, with the columns that [`PageReader::take`] wants.
pub(super) const PAGE: &str = "
    SELECT seq, time_ms, type, routing, meta, data, target FROM events
    WHERE log = ?1 AND seq > ?2 ORDER BY seq";

/// Types that a reader remembers, so that an event's costs no allocation.
const KINDS_MAX: usize = 1_024;
/// What a reader keeps of its scratch buffer between pages.
const SCRATCH_BYTES_MAX: usize = 1024 * 1024;

/// The text of a column, as it is in the file.
pub(super) fn text_at<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r [u8]> {
    match row.get_ref(column)? {
        ValueRef::Text(text) => Ok(text),
        _ => Err(unreadable(column, "not a text")),
    }
}

/// Builds pages, with buffers that serve one page after the other.
#[derive(Default)]
pub(super) struct PageReader {
    text: Vec<u8>,
    kinds: FxHashMap<Box<[u8]>, EventType>,
    /// Where the last row's routing and meta are.
    origin: (Range<usize>, Range<usize>),
}

/// An event whose texts are still in the scratch buffer.
pub(super) struct Place {
    pub(super) data: Range<usize>,
    seq: Seq,
    time_ms: i64,
    kind: EventType,
    routing: Range<usize>,
    meta: Range<usize>,
    target: Option<Seq>,
}

impl PageReader {
    /// The events of `log` behind `after`, up to `limit`.
    pub(super) fn events(
        &mut self,
        conn: &Connection,
        log: LogId,
        after: Seq,
        limit: PageLimit,
    ) -> rusqlite::Result<Vec<Event>> {
        self.begin();
        let mut statement = conn.prepare_cached(PAGE)?;
        let mut rows = statement.query((log.0, sql_seq(after)))?;
        let mut places = Vec::new();
        let mut bytes = 0;
        while places.len() < limit.events && (bytes < limit.bytes || places.is_empty()) {
            let Some(row) = rows.next()? else { break };
            let place = self.take(row)?;
            bytes += place.size_bytes();
            places.push(place);
        }
        let page = self.finish();
        Ok(places.into_iter().map(|place| place.event(&page)).collect())
    }

    /// A page begins.
    pub(super) fn begin(&mut self) {
        self.text.clear();
        self.origin = (0..0, 0..0);
    }

    /// The texts of the page.
    pub(super) fn finish(&mut self) -> Bytes {
        let page = Bytes::copy_from_slice(&self.text);
        self.text.shrink_to(SCRATCH_BYTES_MAX);
        page
    }

    /// Copies a row into the scratch buffer.
    pub(super) fn take(&mut self, row: &Row<'_>) -> rusqlite::Result<Place> {
        let kind = self.kind(text_at(row, 2)?)?;
        // One request's events have the same origin: it is copied once.
        let (old_routing, old_meta) = self.origin.clone();
        let routing = self.same_or_copied(old_routing, text_at(row, 3)?);
        let meta = self.same_or_copied(old_meta, text_at(row, 4)?);
        self.origin = (routing.clone(), meta.clone());
        Ok(Place {
            seq: seq_at(row, 0)?,
            time_ms: row.get_ref(1)?.as_i64()?,
            kind,
            routing,
            meta,
            data: self.copied(text_at(row, 5)?),
            target: row.get_ref(6)?.as_i64_or_null()?.map(i64::cast_unsigned),
        })
    }

    fn same_or_copied(&mut self, old: Range<usize>, text: &[u8]) -> Range<usize> {
        if self.text[old.clone()] == *text { old } else { self.copied(text) }
    }

    /// Puts a text behind what is in the scratch buffer.
    pub(super) fn copied(&mut self, text: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        start..self.text.len()
    }

    fn kind(&mut self, text: &[u8]) -> rusqlite::Result<EventType> {
        if let Some(kind) = self.kinds.get(text) {
            return Ok(kind.clone());
        }
        let parsed = std::str::from_utf8(text).ok().and_then(|text| EventType::stored(text).ok());
        let kind = parsed.ok_or_else(|| unreadable(2, "not an event type"))?;
        if self.kinds.len() == KINDS_MAX {
            self.kinds.clear();
        }
        self.kinds.insert(text.into(), kind.clone());
        Ok(kind)
    }
}

impl Place {
    /// As [`Event::size_bytes`] counts.
    pub(super) fn size_bytes(&self) -> usize {
        self.kind.as_str().len() + self.routing.len() + self.meta.len() + self.data.len()
    }

    /// The event, over the texts of its page.
    pub(super) fn event(self, page: &Bytes) -> Event {
        let origin = Origin { routing: page.slice(self.routing), meta: page.slice(self.meta) };
        Event {
            seq: self.seq,
            time_ms: self.time_ms,
            kind: self.kind,
            origin,
            data: page.slice(self.data),
            target: self.target,
            taken: None,
        }
    }
}
