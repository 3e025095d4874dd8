//! A page of a topic: which events it has, and its JSON.
//!
//! Pages ascend, also those that are read backwards. A page never waits; `poll` does.

use std::collections::VecDeque;

use actix_web::HttpResponse;
use tambour_actors::cursor::{Cursor, Mark};
use tambour_actors::event::{Event, Seq};
use tambour_actors::frame::FrameEncoder;
use tambour_actors::log::{Bounds, EventLog as _, Folded, PageLimit};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic::state::{Start, locate};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Of which part of the log.
    pub span: Span,
    /// At most so many events.
    pub limit: usize,
    /// Whether appends are folded into what they were appended to.
    pub fold: bool,
}

/// A page.
pub struct Page {
    items: VecDeque<Folded>,
    encoder: FrameEncoder,
    /// Where the next page begins: behind this, or before it when the page was read backwards.
    pub cursor: Cursor,
    has_more: bool,
    /// The ends of the log at the same moment.
    pub bounds: Bounds,
    /// Whether it says nothing that the caller did not know.
    pub is_bare: bool,
}

/// What was read of a log, in ascending order.
struct Stretch {
    items: VecDeque<Folded>,
    /// Before the first row that was looked at, or the first item that is kept.
    from: Seq,
    /// The last row that was looked at.
    upto: Seq,
    bounds: Bounds,
}

/// Reads a page.
///
/// # Errors
/// `cursor.gone`, `store.unavailable`.
pub async fn read(grant: &Grant, asked: &Asked) -> Result<Page, Problem> {
    // The ends of the log first, because they say where the page starts; a commit between the two reads
    // can only add events behind.
    let reader = Reader { grant, fold: asked.fold };
    let ends = reader.stretch(Seq::MAX, PageLimit { events: 1, bytes: 1 }).await?.bounds;
    let mark = grant.record.mark();
    let limit = asked.limit;
    let (page, cursor, has_more, is_bare) = match asked.span {
        Span::From(start) => {
            let from = honour(grant, start, mark, ends)?;
            let page = reader.forward(from, limit).await?;
            let (cursor, head) = (page.upto, page.bounds.head);
            (page, cursor, cursor < head, cursor == from)
        }
        Span::Newest => {
            let page = reader.backward(ends.head + 1, limit, ends).await?;
            let (cursor, head) = (page.upto, page.bounds.head);
            let is_bare = page.items.is_empty();
            (page, cursor, cursor < head, is_bare)
        }
        Span::Before(cursor) => {
            // What is before a cursor may be trimmed: then there is nothing, and the page says what is the oldest.
            let kept = Bounds { oldest: 1, ..ends };
            honour(grant, Start::After(cursor), mark, kept)?;
            let page = reader.backward(cursor.seq, limit, ends).await?;
            let (from, oldest) = (page.from, page.bounds.oldest);
            // An empty stretch goes no further than it was asked from.
            let cursor = (from + 1).min(cursor.seq);
            (page, cursor, cursor > oldest, false)
        }
    };
    let encoder = FrameEncoder::new(&grant.record.topic.key, mark);
    Ok(Page { items: page.items, encoder, cursor: mark.at(cursor), has_more, bounds: page.bounds, is_bare })
}

/// Where a start lies, or why it can't be honoured.
fn honour(grant: &Grant, start: Start, mark: Mark, ends: Bounds) -> Result<Seq, Problem> {
    let started = locate(start, mark, ends);
    let Some(reason) = started.gap else { return Ok(started.cursor) };
    let detail = format!(
        "this cursor can't be honoured ({}); what is kept is {} to {}: start again with after=earliest",
        reason.as_str(),
        ends.oldest,
        ends.head
    );
    Err(grant.caller.problem(Refusal::new(Code::CursorGone, detail)))
}

/// Reads the log of a topic, folded or as it is.
struct Reader<'g> {
    grant: &'g Grant,
    fold: bool,
}

impl Reader<'_> {
    async fn stretch(&self, after: Seq, limit: PageLimit) -> Result<Stretch, Problem> {
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

    /// The first `limit` events behind `from`.
    async fn forward(&self, from: Seq, limit: usize) -> Result<Stretch, Problem> {
        let mut page = self.stretch(from, PageLimit { events: self.rows(limit), bytes: PAGE_BYTES_MAX }).await?;
        if page.items.len() > limit {
            page.items.truncate(limit);
            page.upto = page.items.back().map_or(from, |item| item.at);
        }
        Ok(page)
    }

    /// The last `limit` events before `until`. Where they are too large together the older ones give way, so the log
    /// is read from the oldest that may be meant to `until`, and what is too much is let go meanwhile.
    async fn backward(&self, until: Seq, limit: usize, ends: Bounds) -> Result<Stretch, Problem> {
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
}

fn size_bytes(item: &Folded) -> usize {
    item.event.size_bytes() + item.text.as_ref().map_or(0, |folded| folded.text.len())
}

impl Page {
    /// The answer that shows it.
    #[must_use]
    pub fn answer(&self) -> HttpResponse {
        let mark = self.encoder.mark();
        let mut json = b"{\"events\":[".to_vec();
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            self.encoder.write_folded_json(item, &mut json);
        }
        json.extend_from_slice(
            format!(
                "],\"cursor\":\"{}\",\"has_more\":{},\"oldest\":\"{}\",\"newest\":\"{}\"}}",
                self.cursor,
                self.has_more,
                mark.at(self.bounds.oldest),
                mark.at(self.bounds.head)
            )
            .as_bytes(),
        );
        HttpResponse::Ok().content_type("application/json").insert_header(("cache-control", "no-store")).body(json)
    }
}
