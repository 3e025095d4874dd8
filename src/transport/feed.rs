//! How pages of the feed are read: what its reader may see of it, and of that what they asked for.
//!
//! A page looks at a bounded number of places, so it may have fewer events than it could, even none, and say that there is more. What
//! somebody may see is decided by `tambour_actors::feed::view`, never here.

use std::collections::VecDeque;
use std::sync::Arc;

use tambour_actors::cursor::Cursor;
use tambour_actors::event::Seq;
use tambour_actors::feed::encoder::FeedEncoder;
use tambour_actors::feed::start::{Located, locate};
use tambour_actors::feed::view::{Filter, View};
use tambour_actors::log::feed::{FEED_ROWS_MAX, FeedEnds, FeedItem, FeedLimit, FeedLog as _, FeedPage};
use tambour_actors::log::{Bounds, Unavailable};
use tambour_actors::topic::state::{Start, Started};
use tambour_actors::topic_key::Scope;

use super::page::{PAGE_BYTES_MAX, Source, Stretch};
use crate::admission::{Grant, gate};
use crate::problem::Problem;

/// Reads the feed as one principal sees it at this moment.
pub(super) struct FeedSource<'g> {
    grant: &'g Grant,
    scope: Scope,
    view: View,
    encoder: FeedEncoder,
}

impl<'g> FeedSource<'g> {
    /// The feed as the caller of a grant sees it by what is said of them now.
    ///
    /// # Errors
    /// `auth.*` when they have no standing any more.
    pub(super) fn new(grant: &'g Grant, filter: Arc<Filter>) -> Result<Self, Problem> {
        let principal = grant.caller.current().map_err(|refusal| grant.caller.problem(refusal))?;
        let encoder = FeedEncoder::new(grant.record.mark());
        Ok(Self { grant, scope: grant.caller.scope().clone(), view: View::of(&principal, filter), encoder })
    }

    fn read(&self, page: Result<FeedPage, Unavailable>) -> Result<FeedPage, Problem> {
        page.map_err(|error| self.grant.caller.problem(gate::unavailable(&error)))
    }

    /// How much is read for so many events. Who does not see everything gets what is among all that one page looks at.
    fn limit(&self, events: usize) -> FeedLimit {
        let events = if self.view.is_whole() { events } else { FEED_ROWS_MAX };
        FeedLimit { events, bytes: PAGE_BYTES_MAX }
    }

    /// What of a page its reader gets.
    fn seen(&self, page: FeedPage) -> Stretch<FeedItem> {
        let items: VecDeque<_> = page.items.into_iter().filter(|item| self.view.has_item(item)).collect();
        Stretch { items, from: page.after, upto: page.upto, bounds: bounds(page.ends) }
    }
}

/// The ends as pages tell them: `oldest` is the place from which on retention has taken nothing.
fn bounds(ends: FeedEnds) -> Bounds {
    Bounds { oldest: ends.floor, head: ends.head, closed: false }
}

impl Source for FeedSource<'_> {
    type Item = FeedItem;

    fn grant(&self) -> &Grant {
        self.grant
    }

    async fn bounds(&self) -> Result<Bounds, Problem> {
        let none = FeedLimit { events: 0, bytes: 0 };
        let page = self.grant.caller.ground().store.feed(&self.scope, 0, none).await;
        Ok(bounds(self.read(page)?.ends))
    }

    async fn start(&self, start: Start, ends: Bounds) -> Result<Started, Problem> {
        let record = &self.grant.record;
        let ends = FeedEnds { floor: ends.oldest, head: ends.head, incarnation: record.topic.incarnation };
        let events = match locate(start, record.mark(), ends) {
            Located::At(started) => return Ok(started),
            Located::Last(count) => usize::try_from(count).unwrap_or(usize::MAX),
        };
        let store = &self.grant.caller.ground().store;
        let page = store.feed_before(&self.scope, ends.head + 1, FeedLimit { events, bytes: usize::MAX }).await;
        Ok(Started { cursor: self.read(page)?.before_last(events), gap: None })
    }

    async fn forward(&self, from: Seq, limit: usize) -> Result<Stretch<FeedItem>, Problem> {
        let page = self.grant.caller.ground().store.feed(&self.scope, from, self.limit(limit)).await;
        let mut seen = self.seen(self.read(page)?);
        if seen.items.len() > limit {
            seen.items.truncate(limit);
            seen.upto = seen.items.back().map_or(from, |item| item.position);
        }
        Ok(seen)
    }

    async fn backward(&self, until: Seq, limit: usize, _: Bounds) -> Result<Stretch<FeedItem>, Problem> {
        let page = self.grant.caller.ground().store.feed_before(&self.scope, until, self.limit(limit)).await;
        let mut seen = self.seen(self.read(page)?);
        if seen.items.len() > limit {
            seen.items.drain(..seen.items.len() - limit);
            seen.from = seen.items.front().map_or(seen.from, |oldest| oldest.position - 1);
        }
        Ok(seen)
    }

    fn place(&self, seq: Seq, ends: Bounds) -> Cursor {
        self.grant.record.mark().at(seq).knowing(ends.oldest)
    }

    fn first(&self, _: Bounds) -> Seq {
        // What is kept begins nowhere in particular.
        1
    }

    fn write(&mut self, item: &FeedItem, out: &mut Vec<u8>) {
        self.encoder.write_json(item, out);
    }
}
