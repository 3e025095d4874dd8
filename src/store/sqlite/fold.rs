//! Pages in which what was appended to an event is folded into it.
//!
//! An event is told at the place of its last append, so a row is told only if it is the last of its event: the index of
//! targets knows that without a look at the others. Only what is told is read whole. An append whose event is not kept
//! any more is told as it is.

use std::collections::hash_map::Entry;
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension as _, Row};
use rustc_hash::FxHashMap;
use tambour_actors::event::Seq;
use tambour_actors::log::{Folded, FoldedPage, FoldedText, LogId, PageLimit};

use super::pages::{PAGE, PageReader, Place, text_at};
use super::rows;
use super::rows::{seq_at, sql_seq, unreadable};

const ONE: &str = "
    SELECT seq, time_ms, type, routing, meta, data, target FROM events WHERE log = ?1 AND seq = ?2";
const HAS_APPENDS: &str = "SELECT EXISTS (SELECT 1 FROM events WHERE log = ?1 AND target IS NOT NULL)";
const LAST_APPEND: &str = "
    SELECT seq FROM events WHERE log = ?1 AND target = ?2 AND appended_bytes IS NOT NULL ORDER BY seq DESC LIMIT 1";
const APPENDS: &str = "
    SELECT data FROM events WHERE log = ?1 AND target = ?2 AND appended_bytes IS NOT NULL ORDER BY seq";

/// What is told, its texts still in the scratch buffer.
struct Piece {
    at: Seq,
    place: Place,
    /// The text of the appends, and how many they are.
    text: Option<(Range<usize>, u64)>,
}

impl Piece {
    fn size_bytes(&self) -> usize {
        self.place.size_bytes() + self.text.as_ref().map_or(0, |(text, _)| text.len())
    }
}

impl PageReader {
    /// What is told behind `after`, and how far that reaches.
    pub(super) fn folded(
        &mut self,
        conn: &Connection,
        log: LogId,
        after: Seq,
        limit: PageLimit,
    ) -> rusqlite::Result<FoldedPage> {
        let bounds = rows::bounds(conn, log)?;
        if after >= bounds.head {
            return Ok(FoldedPage { items: Vec::new(), upto: after, bounds });
        }
        self.begin();
        let has_appends: bool = conn.prepare_cached(HAS_APPENDS)?.query_row([log.0], |row| row.get(0))?;
        let mut statement = conn.prepare_cached(PAGE)?;
        let mut rows = statement.query((log.0, sql_seq(after)))?;
        let (mut pieces, mut bytes, mut upto, mut looked_at) = (Vec::new(), 0, after, 0);
        // By event: where it is told. Many rows of a page are appends to the same one.
        let mut places = FxHashMap::default();
        while looked_at < limit.events && (bytes < limit.bytes || pieces.is_empty()) {
            let Some(row) = rows.next()? else { break };
            (upto, looked_at) = (seq_at(row, 0)?, looked_at + 1);
            let of = event_of(row)?;
            let at = match places.entry(of) {
                _ if !has_appends || of < bounds.oldest => upto,
                Entry::Occupied(at) => *at.get(),
                Entry::Vacant(vacant) => *vacant.insert(last_append(conn, log, of)?.unwrap_or(of)),
            };
            if at == upto {
                let whole = at == of || of < bounds.oldest;
                let piece = if whole { self.plain(row)? } else { self.with_text(conn, log, of, at)? };
                bytes += piece.size_bytes();
                pieces.push(piece);
            }
        }
        drop(rows);
        let page = self.finish();
        let folded = pieces.into_iter().map(|Piece { at, place, text }| Folded {
            at,
            event: place.event(&page),
            text: text.map(|(text, appends)| FoldedText { text: page.slice(text), appends }),
        });
        Ok(FoldedPage { items: folded.collect(), upto, bounds })
    }

    /// A row as it is.
    fn plain(&mut self, row: &Row<'_>) -> rusqlite::Result<Piece> {
        Ok(Piece { at: seq_at(row, 0)?, place: self.take(row)?, text: None })
    }

    /// The event `of` with its appends, the last of which is `at`. Of a redacted one there is no text.
    fn with_text(&mut self, conn: &Connection, log: LogId, of: Seq, at: Seq) -> rusqlite::Result<Piece> {
        let place = conn.prepare_cached(ONE)?.query_row((log.0, sql_seq(of)), |row| self.take(row))?;
        let text = if place.data.is_empty() { None } else { Some(self.joined(conn, log, of)?) };
        Ok(Piece { at, place, text })
    }

    /// All text that is kept of the appends to `of`, as one JSON string.
    fn joined(&mut self, conn: &Connection, log: LogId, of: Seq) -> rusqlite::Result<(Range<usize>, u64)> {
        let mut appends = conn.prepare_cached(APPENDS)?;
        let mut rows = appends.query((log.0, sql_seq(of)))?;
        let start = self.copied(b"\"").start;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let text = match text_at(row, 0)? {
                [] => continue,
                [b'"', text @ .., b'"'] => text,
                _ => return Err(unreadable(0, "not a JSON string")),
            };
            self.copied(text);
            count += 1;
        }
        Ok((start..self.copied(b"\"").end, count))
    }
}

/// The event that a row is about: its target if it is an append, else itself.
fn event_of(row: &Row<'_>) -> rusqlite::Result<Seq> {
    match text_at(row, 2)? {
        b"append" => seq_at(row, 6),
        _ => seq_at(row, 0),
    }
}

fn last_append(conn: &Connection, log: LogId, of: Seq) -> rusqlite::Result<Option<Seq>> {
    let mut last = conn.prepare_cached(LAST_APPEND)?;
    last.query_row((log.0, sql_seq(of)), |row| seq_at(row, 0)).optional()
}
