//! The rules of a topic: who comes next in its log, who is shown what, and what a reader is told.
//!
//! Plain values in, effects out: no actor, clock, random number or I/O, so that every rule can be
//! tested by itself. The state never shows an event that is not durable, has at most one append
//! in flight, and at most one unanswered delivery per outlet.

use std::collections::VecDeque;
use std::sync::Arc;

use super::fanout::Fanout;
use super::messages::Fold;
pub use super::placing::Recall;
use super::placing::{InFlight, Put, Waiting};
pub use super::start::{GapReason, Start, Started, locate};
pub use super::write::{Chain, Expect, What, Write};
use crate::deed::Deed;
use crate::event::{Event, Seq};
use crate::frame::{Batch, Frame, FrameEncoder};
pub use crate::log::Published;
use crate::log::{Bounds, Class, Folded, OnceWrite, TopicRecord};
use crate::refusal::Refusal;

/// The limits of a topic.
#[derive(Debug, Clone, Copy)]
pub struct TopicLimits {
    /// Most events kept encoded in memory.
    pub tail_events: usize,
    /// Most bytes kept encoded in memory.
    pub tail_bytes: usize,
    /// Most bytes that wait behind the append in flight; above, `topic.busy`.
    pub backlog_bytes: usize,
    /// Most bytes of one delivery to one outlet.
    pub delivery_bytes: usize,
}

/// Names an outlet: the worker it lives on, and which life of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutletId {
    /// The worker's index.
    pub worker: usize,
    /// Counts the outlet's restarts.
    pub life: u32,
}

/// What the actor must do. `R` is how a writer is answered.
#[derive(Debug)]
pub enum Effect<R> {
    /// Append these events, all for this, the last of them perhaps the topic's last and then by this deed; then call [`TopicState::appended`].
    Append(Arc<[Event]>, Vec<OnceWrite>, Option<Arc<Deed>>, Class),
    /// Send this to an outlet; it answers with [`TopicState::delivered`].
    Deliver(OutletId, Arc<Batch>),
    /// Answer a writer.
    Answer(R, Result<Published, Refusal>),
    /// Look whether this key is remembered; then call [`TopicState::recalled`].
    Recall(Box<Recall<R>>),
}

/// What a topic can give a reader who is behind.
#[derive(Debug)]
pub enum Replay {
    /// These frames, from the tail.
    Tail(Arc<Batch>),
    /// Nothing is missing.
    UpToDate,
    /// It must be read from the log.
    Log,
}

/// The state of a topic.
pub struct TopicState<R> {
    pub(super) record: Arc<TopicRecord>,
    encoder: FrameEncoder,
    pub(super) limits: TopicLimits,
    pub(super) bounds: Bounds,
    pub(super) closing: bool,
    fanout: Fanout,
    pub(super) waiting: VecDeque<Waiting<R>>,
    pub(super) waiting_bytes: usize,
    pub(super) in_flight: Option<InFlight<R>>,
    /// How many keys are being looked up.
    pub(super) recalls: usize,
    /// Chains of which one write is being looked up: what follows it waits.
    pub(super) doubts: Vec<Chain>,
    replays: usize,
}

impl<R> TopicState<R> {
    /// A topic that begins where its log ends.
    #[must_use]
    pub fn new(record: Arc<TopicRecord>, bounds: Bounds, limits: TopicLimits) -> Self {
        let encoder = FrameEncoder::new(&record.topic.key, record.mark());
        Self {
            record,
            encoder,
            limits,
            bounds,
            closing: bounds.closed,
            fanout: Fanout::new(limits, bounds.head),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            in_flight: None,
            recalls: 0,
            doubts: Vec::new(),
            replays: 0,
        }
    }

    /// The topic's record was changed.
    pub fn changed(&mut self, record: Arc<TopicRecord>) {
        debug_assert_eq!((record.log, record.mark()), (self.record.log, self.record.mark()));
        self.record = record;
    }

    /// The topic's record.
    #[must_use]
    pub fn record(&self) -> &Arc<TopicRecord> {
        &self.record
    }

    /// The ends of the log, as far as they may be shown.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The encoder of this topic's events.
    #[must_use]
    pub fn encoder(&self) -> &FrameEncoder {
        &self.encoder
    }

    /// The outlets with readers.
    pub fn outlets(&self) -> impl Iterator<Item = OutletId> + '_ {
        self.fanout.outlets()
    }

    /// Whether nothing is under way, so that the topic could sleep.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.in_flight.is_none() && self.waiting.is_empty() && self.replays + self.recalls == 0 && self.fanout.idle()
    }

    pub(super) fn commit(&mut self, events: &[Event], writes: Vec<Put<R>>, effects: &mut Vec<Effect<R>>) {
        for event in events {
            assert_eq!(event.seq, self.bounds.head + 1, "seqs have no holes");
            self.bounds.head = event.seq;
            if event.kind.as_str() == "redacted" {
                // What was encoded has the data still; whoever needs it reads it anew from the log.
                self.fanout.clear();
            }
            let frame = self.encoder.encode(event).taken_at(event.taken);
            self.bounds.closed = frame.closes;
            self.fanout.push(frame);
        }
        for (mut waiting, places) in writes {
            waiting.write.fulfil();
            effects.push(Effect::Answer(waiting.reply, Ok(places)));
        }
        self.fanout.deliver_all(|outlet, batch| effects.push(Effect::Deliver(outlet, batch)));
    }

    /// Whether this is behind the head as it may be shown, and in the append in flight: it may be on disk.
    #[must_use]
    pub fn appends_up_to(&self, seq: Seq) -> bool {
        let last = self.in_flight.as_ref().and_then(|(events, _)| events.last());
        seq > self.bounds.head && last.is_some_and(|last| seq <= last.seq)
    }

    /// Whether a reader comes with the cursor of an event that is being appended, from whoever read the log itself.
    #[must_use]
    pub fn is_early(&self, start: Start) -> bool {
        matches!(start, Start::After(cursor) if cursor.mark == self.record.mark() && self.appends_up_to(cursor.seq))
    }

    /// Where a reader would start now.
    #[must_use]
    pub fn locate(&self, start: Start) -> Started {
        locate(start, self.record.mark(), self.bounds)
    }

    /// An outlet has readers from now on, or more of them. What commits behind `position` is
    /// delivered to it.
    pub fn attach(&mut self, outlet: OutletId, readers: usize, position: Seq, effects: &mut Vec<Effect<R>>) {
        let send = |outlet, batch| effects.push(Effect::Deliver(outlet, batch));
        self.fanout.attach(outlet, readers, position, send);
    }

    /// An outlet has fewer readers.
    pub fn detach(&mut self, outlet: OutletId, readers: usize) {
        self.fanout.detach(outlet, readers);
    }

    /// An outlet has written, or set aside for replay, what it was sent.
    pub fn delivered(&mut self, outlet: OutletId, effects: &mut Vec<Effect<R>>) {
        self.fanout.delivered(outlet, |outlet, batch| effects.push(Effect::Deliver(outlet, batch)));
    }

    /// Forgets outlets that died: what they were sent is answered by nobody.
    pub fn keep_outlets(&mut self, lives: impl Fn(OutletId) -> bool) {
        self.fanout.keep_outlets(lives);
    }

    /// A read showed what the oldest event is that the log still keeps, or retention took what was before it.
    pub fn trimmed(&mut self, oldest: Seq) {
        self.bounds.oldest = self.bounds.oldest.max(oldest.min(self.bounds.head + 1));
        // The newest stays: outlets that wait for a delivery learn of the head by it.
        self.fanout.forget_before(self.bounds.oldest.min(self.bounds.head));
    }

    /// A reader who has everything up to `cursor` wants at most `bytes` of what follows, perhaps folded. What the tail has is
    /// never folded: who reads folded may have it as what is live.
    #[must_use]
    pub fn replay(&self, cursor: Seq, bytes: usize, fold: Fold) -> Replay {
        if cursor >= self.bounds.head {
            return Replay::UpToDate;
        }
        if fold == Fold::Owed {
            return Replay::Log;
        }
        match self.fanout.behind(cursor, bytes) {
            Some(batch) if batch.first() == cursor + 1 => Replay::Tail(Arc::new(batch)),
            _ => Replay::Log,
        }
    }

    /// A read from the log for a replay begins or ends.
    pub fn reading(&mut self, begins: bool) {
        self.replays = if begins { self.replays + 1 } else { self.replays.saturating_sub(1) };
    }

    /// Frames of events that were read from the log.
    #[must_use]
    pub fn encode(&self, events: &[Event]) -> Vec<Frame> {
        events.iter().map(|event| self.encoder.encode(event)).collect()
    }

    /// Frames of what was read with appends folded.
    #[must_use]
    pub fn encode_folded(&self, items: &[Folded]) -> Vec<Frame> {
        items.iter().map(|folded| self.encoder.encode_folded(folded)).collect()
    }
}

#[cfg(test)]
#[path = "tests/state.rs"]
mod tests;
#[cfg(test)]
#[path = "tests/writes.rs"]
mod write_tests;
