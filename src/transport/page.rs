//! A page of a topic or of the feed: which events it has, and its JSON.
//!
//! Pages ascend, also those that are read backwards. A page never waits; `poll` does. Here is what all pages have in common, and
//! how a log is read; how the feed is read is in `feed`.

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::HttpResponse;
use tambour_actors::cursor::Cursor;
use tambour_actors::event::{Event, Seq};
use tambour_actors::feed::view::Filter;
use tambour_actors::frame::FrameEncoder;
use tambour_actors::log::{Bounds, EventLog as _, Folded, PageLimit};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic::state::{GapReason, Start, Started, locate};

use super::feed::FeedSource;
use crate::admission::{Grant, gate};
use crate::problem::Problem;

/// Most bytes of events in a page; one event is always given.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most rows of the log that are looked at for a folded page: most of them may be appends, which are told
/// only where the last of them stands.
const FOLD_ROWS_MAX: usize = 4_000;

/// Which part of a log a page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// From here on.
    From(Start),
    /// The last before the head.
    Newest,
    /// The last before this event.
    Before(Cursor),
}

/// What a page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Of which part of the log.
    pub span: Span,
    /// At most so many events.
    pub limit: usize,
    /// Whether appends are folded into what they were appended to.
    pub fold: bool,
    /// Of the feed: what of it.
    pub filter: Option<Arc<Filter>>,
}

/// A page.
pub struct Page {
    /// The JSON of its events, with commas between them.
    events: Vec<u8>,
    /// Where the next page begins: behind this, or before it when the page was read backwards.
    pub cursor: Cursor,
    has_more: bool,
    oldest: Cursor,
    newest: Cursor,
    /// Whether nothing will ever come behind it.
    pub is_last: bool,
    /// Whether it says nothing that the caller did not know.
    pub is_bare: bool,
}

/// What was read, in ascending order.
pub(super) struct Stretch<T> {
    /// The events.
    pub(super) items: VecDeque<T>,
    /// Before the first row that was looked at, or the first item that is kept.
    pub(super) from: Seq,
    /// The last row that was looked at.
    pub(super) upto: Seq,
    /// The ends at the same moment.
    pub(super) bounds: Bounds,
}

/// What pages are read from.
pub(super) trait Source {
    /// An event.
    type Item;

    /// Who reads what.
    fn grant(&self) -> &Grant;

    /// The ends now.
    async fn bounds(&self) -> Result<Bounds, Problem>;

    /// Where a start lies.
    async fn start(&self, start: Start, ends: Bounds) -> Result<Started, Problem>;

    /// The first `limit` events behind `from`.
    async fn forward(&self, from: Seq, limit: usize) -> Result<Stretch<Self::Item>, Problem>;

    /// The last `limit` events before `until`.
    async fn backward(&self, until: Seq, limit: usize, ends: Bounds) -> Result<Stretch<Self::Item>, Problem>;

    /// What to go on behind a place with, for who was told these ends.
    fn place(&self, seq: Seq, ends: Bounds) -> Cursor;

    /// The first place where an event may be.
    fn first(&self, ends: Bounds) -> Seq;

    /// An event's JSON.
    fn write(&mut self, item: &Self::Item, out: &mut Vec<u8>);
}

/// Reads a page.
///
/// # Errors
/// `cursor.gone`, `store.unavailable`; of the feed `auth.*` when the caller has no standing any more.
pub async fn read(grant: &Grant, asked: &Asked) -> Result<Page, Problem> {
    match &asked.filter {
        Some(filter) => read_from(FeedSource::new(grant, filter.clone())?, asked).await,
        None => read_from(LogSource::new(grant, asked.fold), asked).await,
    }
}

async fn read_from<S: Source>(mut source: S, asked: &Asked) -> Result<Page, Problem> {
    // The ends first, because they say where the page starts; a commit between the two reads can only add events behind, and
    // what retention takes between them is looked for in the page's own ends.
    let ends = source.bounds().await?;
    let mark = source.grant().record.mark();
    let limit = asked.limit;
    let (page, cursor, has_more) = match asked.span {
        Span::From(start) => {
            let page = behind(&source, start, limit, ends).await?;
            let (cursor, head) = (page.upto, page.bounds.head);
            let place = source.place(cursor, page.bounds);
            (page, place, cursor < head)
        }
        Span::Newest => {
            let page = source.backward(ends.head + 1, limit, ends).await?;
            let (cursor, head) = (page.upto, page.bounds.head);
            let place = source.place(cursor, page.bounds);
            (page, place, cursor < head)
        }
        Span::Before(cursor) => {
            // What is before a cursor may be trimmed: then there is nothing, and the page says what is the oldest.
            let started = source.start(Start::After(cursor), ends).await?;
            if let Some(reason) = started.gap.filter(|reason| *reason != GapReason::Trimmed) {
                return Err(gone(&source, (reason, started.cursor), ends));
            }
            let page = source.backward(cursor.seq, limit, ends).await?;
            let first = source.first(page.bounds);
            // An empty stretch goes no further than it was asked from.
            let cursor = (page.from + 1).min(cursor.seq);
            (page, mark.at(cursor), cursor > first)
        }
    };
    let mut events = Vec::new();
    for item in &page.items {
        if !events.is_empty() {
            events.push(b',');
        }
        source.write(item, &mut events);
    }
    let Bounds { oldest, head, closed } = page.bounds;
    // What is read backwards is never waited for.
    let is_bare = events.is_empty() && !has_more;
    let (oldest, newest) = (mark.at(oldest), mark.at(head));
    Ok(Page { events, cursor, has_more, oldest, newest, is_last: closed, is_bare })
}

/// Reads the events from a start on.
async fn behind<S: Source>(source: &S, start: Start, limit: usize, ends: Bounds) -> Result<Stretch<S::Item>, Problem> {
    let started = source.start(start, ends).await?;
    if let Some(reason) = started.gap {
        return Err(gone(source, (reason, started.cursor), ends));
    }
    let page = source.forward(started.cursor, limit).await?;
    // Who begins at what is kept, or so many before the head, has missed nothing by what was taken meanwhile.
    if matches!(start, Start::After(_)) {
        let now = source.start(start, page.bounds).await?;
        if now.gap == Some(GapReason::Trimmed) {
            return Err(gone(source, (GapReason::Trimmed, now.cursor), page.bounds));
        }
    }
    Ok(page)
}

/// The refusal of a cursor that can't be honoured: why, and the place behind which everything follows that is kept, as it does
/// in a stream.
fn gone(source: &impl Source, (reason, place): (GapReason, Seq), ends: Bounds) -> Problem {
    let (grant, reason) = (source.grant(), reason.as_str());
    let mark = grant.record.mark();
    let detail = format!(
        "this cursor can't be honoured ({reason}); the ends are {} and {}: go on after the cursor that is told here",
        ends.oldest, ends.head
    );
    let refusal = Refusal::new(Code::CursorGone, detail).with("reason", reason);
    let (oldest, newest) = (mark.at(ends.oldest).to_string(), mark.at(ends.head).to_string());
    let refusal = refusal.with("cursor", source.place(place, ends).to_string());
    grant.caller.problem(refusal.with("oldest", oldest).with("newest", newest))
}

/// Reads the log of a topic, folded or as it is.
struct LogSource<'g> {
    grant: &'g Grant,
    fold: bool,
    encoder: FrameEncoder,
}

impl<'g> LogSource<'g> {
    fn new(grant: &'g Grant, fold: bool) -> Self {
        Self { grant, fold, encoder: FrameEncoder::new(&grant.record.topic.key, grant.record.mark()) }
    }

    async fn stretch(&self, after: Seq, limit: PageLimit) -> Result<Stretch<Folded>, Problem> {
        let (store, log) = (&self.grant.caller.ground().store, self.grant.record.log);
        let read = if self.fold {
            store.read_folded(log, after, limit).await.map(|page| Stretch {
                items: page.items.into(),
                from: after,
                upto: page.upto,
                bounds: page.bounds,
            })
        } else {
            let plain = |event: Event| Folded { at: event.seq, event, text: None };
            store.read(log, after, limit).await.map(|page| {
                let upto = page.events.last().map_or(after, |event| event.seq);
                Stretch { items: page.events.into_iter().map(plain).collect(), from: after, upto, bounds: page.bounds }
            })
        };
        read.map_err(|error| self.grant.caller.problem(gate::unavailable(&error)))
    }

    /// How many rows are looked at for so many events.
    fn rows(&self, limit: usize) -> usize {
        if self.fold { FOLD_ROWS_MAX } else { limit }
    }
}

impl Source for LogSource<'_> {
    type Item = Folded;

    fn grant(&self) -> &Grant {
        self.grant
    }

    async fn bounds(&self) -> Result<Bounds, Problem> {
        Ok(self.stretch(Seq::MAX, PageLimit { events: 1, bytes: 1 }).await?.bounds)
    }

    async fn start(&self, start: Start, ends: Bounds) -> Result<Started, Problem> {
        Ok(locate(start, self.grant.record.mark(), ends))
    }

    async fn forward(&self, from: Seq, limit: usize) -> Result<Stretch<Folded>, Problem> {
        let mut page = self.stretch(from, PageLimit { events: self.rows(limit), bytes: PAGE_BYTES_MAX }).await?;
        if page.items.len() > limit {
            page.items.truncate(limit);
            page.upto = page.items.back().map_or(from, |item| item.at);
        }
        Ok(page)
    }

    async fn backward(&self, until: Seq, limit: usize, ends: Bounds) -> Result<Stretch<Folded>, Problem> {
        // Where they are too large together the older ones give way, so the log is read from the oldest that may be meant to
        // `until`, and what is too much is let go meanwhile.
        let rows = Seq::try_from(self.rows(limit)).unwrap_or(Seq::MAX);
        // In an empty stretch the page stands where it was asked to end.
        let from = until.saturating_sub(rows + 1).max(ends.oldest - 1).min(until.saturating_sub(1));
        let mut kept = Stretch { items: VecDeque::new(), from, upto: from, bounds: ends };
        let mut bytes = 0;
        while kept.upto + 1 < until {
            let left = usize::try_from(until - 1 - kept.upto).unwrap_or(usize::MAX);
            let more = self.stretch(kept.upto, PageLimit { events: left, bytes: PAGE_BYTES_MAX }).await?;
            kept.bounds = more.bounds;
            if more.upto == kept.upto {
                // Deleted, or trimmed, meanwhile.
                break;
            }
            kept.upto = more.upto;
            for item in more.items {
                bytes += size_bytes(&item);
                kept.items.push_back(item);
                while kept.items.len() > limit || (bytes > PAGE_BYTES_MAX && kept.items.len() > 1) {
                    bytes -= kept.items.pop_front().as_ref().map_or(0, size_bytes);
                    kept.from = kept.items.front().map_or(kept.from, |oldest| oldest.at - 1);
                }
            }
        }
        Ok(kept)
    }

    fn place(&self, seq: Seq, _: Bounds) -> Cursor {
        self.grant.record.mark().at(seq)
    }

    fn first(&self, ends: Bounds) -> Seq {
        ends.oldest
    }

    fn write(&mut self, item: &Folded, out: &mut Vec<u8>) {
        self.encoder.write_folded_json(item, out);
    }
}

fn size_bytes(item: &Folded) -> usize {
    item.event.size_bytes() + item.text.as_ref().map_or(0, |folded| folded.text.len())
}

impl Page {
    /// The answer that shows it.
    #[must_use]
    pub fn answer(self) -> HttpResponse {
        let Self { events, cursor, has_more, oldest, newest, .. } = self;
        let mut json = b"{\"events\":[".to_vec();
        json.extend_from_slice(&events);
        let ends = format!("\"oldest\":\"{oldest}\",\"newest\":\"{newest}\"}}");
        json.extend_from_slice(format!("],\"cursor\":\"{cursor}\",\"has_more\":{has_more},{ends}").as_bytes());
        HttpResponse::Ok().content_type("application/json").insert_header(("cache-control", "no-store")).body(json)
    }
}
