//! The rules of a feed: what its outlets are sent, what a reader who is behind gets, where one starts.
//!
//! Plain values in, effects out: no actor, clock or I/O. The state never shows an event before its store has told of it, and
//! never decides who sees one: frames carry what that takes.

use std::sync::Arc;

use super::encoder::FeedEncoder;
use super::start::{Located, locate};
use crate::frame::Batch;
use crate::log::feed::{FeedEnds, FeedItem, FeedPage, Position, Tapped};
use crate::log::{Bounds, TopicRecord};
use crate::system::SystemType;
use crate::topic::fanout::Fanout;
use crate::topic::state::{OutletId, Replay, Start, Started, TopicLimits};

/// The state of a feed.
pub struct FeedState {
    record: Arc<TopicRecord>,
    /// The ends as far as they may be shown.
    ends: FeedEnds,
    encoder: FeedEncoder,
    fanout: Fanout,
    /// How many questions to the store are under way.
    asking: usize,
}

impl FeedState {
    /// A feed that begins where its store begins to tell.
    #[must_use]
    pub fn new(record: Arc<TopicRecord>, ends: FeedEnds, limits: TopicLimits) -> Self {
        let encoder = FeedEncoder::new(record.mark());
        Self { record, ends, encoder, fanout: Fanout::new(limits, ends.head), asking: 0 }
    }

    /// What stands for the feed where others have the record of a topic.
    #[must_use]
    pub fn record(&self) -> &Arc<TopicRecord> {
        &self.record
    }

    /// The ends for who starts: `oldest` is the place from which on retention has taken nothing.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        Bounds { oldest: self.ends.floor, head: self.ends.head, closed: false }
    }

    /// The same for who starts so: who knows that retention has come further is not told of it again.
    #[must_use]
    pub fn bounds_for(&self, start: Start, started: Started) -> Bounds {
        let bounds = self.bounds();
        match start {
            Start::After(cursor) if started.gap.is_none() => {
                Bounds { oldest: bounds.oldest.max(cursor.floor), ..bounds }
            }
            _ => bounds,
        }
    }

    /// Whether there is nobody to tell and nothing under way, so that the feed could sleep. While it has readers it does not:
    /// nobody would wake it for them.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.asking == 0 && self.fanout.outlets().next().is_none()
    }

    /// The store has told of commits.
    pub fn told(&mut self, tapped: Tapped, send: impl FnMut(OutletId, Arc<Batch>)) {
        let Tapped { after, upto, items } = tapped;
        let head = self.ends.head;
        if upto <= head {
            return;
        }
        match items.filter(|_| after <= head) {
            Some(items) => {
                for item in items.iter().filter(|item| item.position > head) {
                    if hides(item) {
                        // What is encoded was judged by what was so before; whoever needs it asks the store.
                        self.fanout.clear();
                    }
                    self.fanout.push(self.encoder.encode(item).taken_at(item.event.taken));
                }
                self.fanout.reach(upto);
            }
            None => self.fanout.lose(upto),
        }
        self.ends.head = upto;
        self.fanout.deliver_all(send);
    }

    /// Whether a reader comes from ahead of what was told: from a page, which may have seen more.
    #[must_use]
    pub fn is_ahead(&self, start: Start) -> bool {
        let Start::After(cursor) = start else { return false };
        cursor.mark == self.record.mark() && cursor.seq.max(cursor.floor) > self.ends.head
    }

    /// Where a reader would start.
    #[must_use]
    pub fn locate(&self, start: Start) -> Located {
        locate(start, self.record.mark(), self.ends)
    }

    /// The same for who is ahead of what was told, when the store has said how far it is.
    #[must_use]
    pub fn locate_ahead(&self, start: Start, head: Position) -> Located {
        locate(start, self.record.mark(), FeedEnds { head: head.max(self.ends.head), ..self.ends })
    }

    /// An outlet has readers from now on, or more of them.
    pub fn attach(
        &mut self,
        outlet: OutletId,
        readers: usize,
        position: Position,
        send: impl FnMut(OutletId, Arc<Batch>),
    ) {
        self.fanout.attach(outlet, readers, position, send);
    }

    /// An outlet has fewer readers.
    pub fn detach(&mut self, outlet: OutletId, readers: usize) {
        self.fanout.detach(outlet, readers);
    }

    /// An outlet has written, or set aside for replay, what it was sent.
    pub fn delivered(&mut self, outlet: OutletId, send: impl FnMut(OutletId, Arc<Batch>)) {
        self.fanout.delivered(outlet, send);
    }

    /// Forgets outlets that died: else the feed would stay awake for readers that nobody has.
    pub fn keep_outlets(&mut self, lives: impl Fn(OutletId) -> bool) {
        let gone: Vec<_> = self.fanout.outlets().filter(|outlet| !lives(*outlet)).collect();
        gone.into_iter().for_each(|outlet| self.fanout.detach(outlet, usize::MAX));
    }

    /// A reader who has everything up to `cursor` wants at most `bytes` of what follows.
    #[must_use]
    pub fn replay(&self, cursor: Position, bytes: usize) -> Replay {
        if cursor >= self.ends.head {
            return Replay::UpToDate;
        }
        match self.fanout.behind(cursor, bytes) {
            Some(batch) if batch.first() == cursor + 1 => Replay::Tail(Arc::new(batch)),
            _ => Replay::Log,
        }
    }

    /// A question to the store begins or ends.
    pub fn asking(&mut self, begins: bool) {
        self.asking = if begins { self.asking + 1 } else { self.asking.saturating_sub(1) };
    }

    /// What was read for a reader who stands where the page begins, as far as it may be shown: nobody is ahead of what was
    /// told. `None`: nothing of it may.
    #[must_use]
    pub fn page(&mut self, page: &FeedPage) -> Option<Batch> {
        self.ends.floor = self.ends.floor.max(page.ends.floor);
        let last = page.upto.min(self.ends.head);
        let shown = page.items.iter().filter(|item| item.position <= last);
        let frames: Vec<_> = shown.map(|item| self.encoder.encode(item)).collect();
        (last > page.after).then(|| Batch::stretch(page.after, last, frames))
    }
}

/// Whether what came before an event may not be shown any more as it was.
fn hides(item: &FeedItem) -> bool {
    let kind = item.event.kind.as_str();
    kind == "redacted" || SystemType::parse(kind).is_some_and(SystemType::moves_rights)
}

#[cfg(test)]
#[path = "tests/state.rs"]
mod tests;
