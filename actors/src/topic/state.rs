//! The rules of a topic: who comes next in its log, who is shown what, and what a reader is told.
//!
//! Plain values in, effects out: no actor, clock, random number or I/O, so that every rule can be
//! tested by itself. The state never shows an event that is not durable, has at most one append
//! in flight, and at most one unanswered delivery per outlet.

use std::collections::VecDeque;
use std::sync::Arc;

use super::messages::Fold;
pub use super::placing::Recall;
use super::placing::{InFlight, Put, Waiting};
pub use super::start::{GapReason, Start, Started, locate};
use super::tail::Tail;
pub use super::write::{Chain, Expect, What, Write};
use crate::deed::Deed;
use crate::event::{Event, Seq};
use crate::frame::{Batch, Frame, FrameEncoder};
pub use crate::log::Published;
use crate::log::{Bounds, Folded, OnceWrite, TopicRecord};
use crate::refusal::Refusal;

/// What an outlet has still to be sent stays encoded in memory up to this many times the backlog
/// limit: an outlet always comes back for more, so only a burst can reach it; then readers go to
/// the log.
const UNSENT_FACTOR: usize = 4;

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
    /// Append these events, the last of them perhaps the topic's last and then by this deed; then call [`TopicState::appended`].
    Append(Arc<[Event]>, Vec<OnceWrite>, Option<Arc<Deed>>),
    /// Send this to an outlet; it answers with [`TopicState::delivered`].
    Deliver(OutletId, Arc<Batch>),
    /// Answer a writer.
    Answer(R, Result<Published, Refusal>),
    /// Look whether this key is remembered; then call [`TopicState::recalled`].
    Recall(Recall<R>),
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

struct Seat {
    outlet: OutletId,
    readers: usize,
    /// Everything up to here was delivered, or is for replays.
    sent: Seq,
    unanswered: bool,
}

/// The state of a topic.
pub struct TopicState<R> {
    pub(super) record: Arc<TopicRecord>,
    encoder: FrameEncoder,
    pub(super) limits: TopicLimits,
    pub(super) bounds: Bounds,
    pub(super) closing: bool,
    tail: Tail,
    pub(super) waiting: VecDeque<Waiting<R>>,
    pub(super) waiting_bytes: usize,
    pub(super) in_flight: Option<InFlight<R>>,
    /// How many keys are being looked up.
    pub(super) recalls: usize,
    /// Chains of which one write is being looked up: what follows it waits.
    pub(super) doubts: Vec<Chain>,
    seats: Vec<Seat>,
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
            tail: Tail::new(limits.tail_events, limits.tail_bytes),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            in_flight: None,
            recalls: 0,
            doubts: Vec::new(),
            seats: Vec::new(),
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
        self.seats.iter().map(|seat| seat.outlet)
    }

    /// Whether nothing is under way, so that the topic could sleep.
    #[must_use]
    pub fn idle(&self) -> bool {
        self.in_flight.is_none()
            && self.waiting.is_empty()
            && self.replays + self.recalls == 0
            && self.seats.iter().all(|seat| !seat.unanswered)
    }

    pub(super) fn commit(&mut self, events: &[Event], writes: Vec<Put<R>>, effects: &mut Vec<Effect<R>>) {
        for event in events {
            assert_eq!(event.seq, self.bounds.head + 1, "seqs have no holes");
            self.bounds.head = event.seq;
            if event.kind.as_str() == "redacted" {
                // What was encoded has the data still; whoever needs it reads it anew from the log.
                self.tail.clear();
            }
            let frame = self.encoder.encode(event);
            self.bounds.closed = frame.closes;
            self.tail.push(frame);
        }
        for (mut waiting, places) in writes {
            waiting.write.fulfil();
            effects.push(Effect::Answer(waiting.reply, Ok(places)));
        }
        let mut shared = None;
        for index in 0..self.seats.len() {
            self.deliver(index, &mut shared, effects);
        }
        self.trim_tail();
    }

    fn trim_tail(&mut self) {
        let needed = self.seats.iter().map(|seat| seat.sent).min().unwrap_or(self.bounds.head);
        self.tail.trim(needed, UNSENT_FACTOR * self.limits.backlog_bytes);
    }

    /// Sends a seat what it has not been sent, if it may be sent anything. Seats that stand at the
    /// same place share one batch.
    fn deliver(&mut self, index: usize, shared: &mut Option<Arc<Batch>>, effects: &mut Vec<Effect<R>>) {
        let seat = &mut self.seats[index];
        if seat.unanswered || seat.sent >= self.bounds.head {
            return;
        }
        let batch = match shared {
            Some(batch) if batch.first() == seat.sent + 1 => Some(batch.clone()),
            _ => Batch::new(self.tail.behind(seat.sent, self.limits.delivery_bytes)).map(Arc::new),
        };
        let Some(batch) = batch else { return };
        seat.sent = batch.last();
        seat.unanswered = true;
        effects.push(Effect::Deliver(seat.outlet, batch.clone()));
        *shared = Some(batch);
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
        self.seats.retain(|seat| seat.outlet.worker != outlet.worker || seat.outlet == outlet);
        let index = self.seats.iter().position(|seat| seat.outlet == outlet).unwrap_or_else(|| {
            self.seats.push(Seat { outlet, readers: 0, sent: position, unanswered: false });
            self.seats.len() - 1
        });
        self.seats[index].readers += readers;
        self.deliver(index, &mut None, effects);
    }

    /// An outlet has fewer readers.
    pub fn detach(&mut self, outlet: OutletId, readers: usize) {
        for seat in self.seats.iter_mut().filter(|seat| seat.outlet == outlet) {
            seat.readers = seat.readers.saturating_sub(readers);
        }
        self.seats.retain(|seat| seat.readers > 0);
    }

    /// An outlet has written, or set aside for replay, what it was sent.
    pub fn delivered(&mut self, outlet: OutletId, effects: &mut Vec<Effect<R>>) {
        if let Some(index) = self.seats.iter().position(|seat| seat.outlet == outlet) {
            self.seats[index].unanswered = false;
            self.deliver(index, &mut None, effects);
            self.trim_tail();
        }
    }

    /// Forgets outlets that died: what they were sent is answered by nobody.
    pub fn keep_outlets(&mut self, lives: impl Fn(OutletId) -> bool) {
        self.seats.retain(|seat| !seat.unanswered || lives(seat.outlet));
    }

    /// A read showed what the oldest event is that the log still keeps, or retention took what was before it.
    pub fn trimmed(&mut self, oldest: Seq) {
        self.bounds.oldest = self.bounds.oldest.max(oldest.min(self.bounds.head + 1));
        // The newest stays: outlets that wait for a delivery learn of the head by it.
        self.tail.forget_before(self.bounds.oldest.min(self.bounds.head));
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
        match Batch::new(self.tail.behind(cursor, bytes)) {
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
