//! The rules of a topic: who comes next in its log, who is shown what, and what a reader is told.
//!
//! Plain values in, effects out: no actor, clock, random number or I/O, so that every rule can be
//! tested by itself. The state never shows an event that is not durable, has at most one append
//! in flight, and at most one unanswered delivery per outlet.

use std::collections::VecDeque;
use std::sync::Arc;

use super::placing::{InFlight, Placed, Put, Verdict, Waiting};
pub use super::start::{GapReason, Start, Started, locate};
use super::tail::Tail;
pub use super::write::{Chain, Expect, What, Write};
use super::write::{behind_a_refused_one, closed, failed, rejected};
use crate::event::{Event, Origin, Seq};
use crate::frame::{Batch, Frame, FrameEncoder};
pub use crate::log::Published;
use crate::log::{AppendError, Bounds, Folded, Once, OnceWrite, Rejected, TopicRecord, Why};
use crate::refusal::{Code, Refusal};

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
    /// Append these events; then call [`TopicState::appended`].
    Append(Arc<[Event]>, Vec<OnceWrite>),
    /// Send this to an outlet; it answers with [`TopicState::delivered`].
    Deliver(OutletId, Arc<Batch>),
    /// Answer a writer.
    Answer(R, Result<Published, Refusal>),
    /// Look whether the writer's key is remembered: then the answer is what it was used for, else the refusal.
    Recall(R, Once, Refusal),
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

/// The events of the append in flight, and whose they are.
type InFlight<R> = (Arc<[Event]>, Vec<(Waiting<R>, Published)>);

struct Seat {
    outlet: OutletId,
    readers: usize,
    /// Everything up to here was delivered, or is for replays.
    sent: Seq,
    unanswered: bool,
}

/// The state of a topic.
pub struct TopicState<R> {
    record: Arc<TopicRecord>,
    encoder: FrameEncoder,
    limits: TopicLimits,
    bounds: Bounds,
    closing: bool,
    tail: Tail,
    waiting: VecDeque<Waiting<R>>,
    waiting_bytes: usize,
    in_flight: Option<InFlight<R>>,
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
            && self.replays == 0
            && self.seats.iter().all(|seat| !seat.unanswered)
    }

    /// A writer wants to append. Answered once the events are durable, or refused.
    pub fn write(&mut self, write: Write, origin: Origin, now_ms: i64, reply: R, effects: &mut Vec<Effect<R>>) {
        // A write with a key may have happened before the topic was closed: it waits until that can be known.
        if self.closing && write.once.is_none() {
            write.break_chain();
            effects.push(Effect::Answer(reply, Err(closed())));
            return;
        }
        let bytes = write.size_bytes();
        if !self.waiting.is_empty() && self.waiting_bytes + bytes > self.limits.backlog_bytes {
            write.break_chain();
            let refusal = Refusal::new(Code::TopicBusy, "the topic has as much waiting as it takes; try again");
            effects.push(Effect::Answer(reply, Err(refusal)));
            return;
        }
        self.closing |= matches!(write.what, What::Close);
        self.waiting.push_back(Waiting { write, origin, bytes, reply });
        self.waiting_bytes += bytes;
        self.append_waiting(now_ms, effects);
    }

    /// The append in flight was answered.
    pub fn appended(&mut self, result: Result<(), AppendError>, now_ms: i64, effects: &mut Vec<Effect<R>>) {
        let Some((events, writes)) = self.in_flight.take() else {
            debug_assert!(false, "an answer without an append");
            return;
        };
        match result {
            Ok(()) => self.commit(&events, writes, effects),
            Err(AppendError::Rejected(rejections)) => self.sort_out(writes, &rejections, effects),
            Err(error) => {
                let refusal = failed(&error);
                for (waiting, _) in writes {
                    waiting.write.break_chain();
                    effects.push(Effect::Answer(waiting.reply, Err(refusal.clone())));
                }
            }
        }
        self.closing = self.bounds.closed || self.waiting.iter().any(|w| matches!(w.write.what, What::Close));
        self.append_waiting(now_ms, effects);
    }

    /// Answers the writes of an append whose conditions do not hold; the others go in front of the line again.
    fn sort_out(&mut self, writes: Vec<Put<R>>, rejections: &[Rejected], effects: &mut Vec<Effect<R>>) {
        debug_assert!(!rejections.is_empty(), "something was rejected");
        let mut kept = VecDeque::with_capacity(writes.len() + self.waiting.len());
        for (waiting, places) in writes {
            let why = rejections.iter().find(|r| (places.first..=places.last).contains(&r.seq)).map(|r| r.why);
            let answer = match why {
                None => {
                    self.waiting_bytes += waiting.bytes;
                    kept.push_back(waiting);
                    continue;
                }
                Some(Why::Repeated(remembered)) => waiting.write.repeated(remembered),
                Some(why) => Err(rejected(why)),
            };
            if answer.is_err() {
                waiting.write.break_chain();
            }
            effects.push(Effect::Answer(waiting.reply, answer));
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
    }

    fn commit(&mut self, events: &[Event], writes: Vec<Put<R>>, effects: &mut Vec<Effect<R>>) {
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
        effects.extend(writes.into_iter().map(|(waiting, places)| Effect::Answer(waiting.reply, Ok(places))));
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

    fn append_waiting(&mut self, now_ms: i64, effects: &mut Vec<Effect<R>>) {
        if self.in_flight.is_some() {
            return;
        }
        let mut placed = Placed::default();
        while let Some(first) = self.waiting.front() {
            let verdict = self.verdict(&first.write, &placed);
            if matches!(verdict, Verdict::Later) {
                break;
            }
            let Some(waiting) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= waiting.bytes;
            match verdict {
                Verdict::Place | Verdict::Later => placed.place(waiting, self.bounds.head, now_ms),
                Verdict::Refuse(refusal) => {
                    waiting.write.break_chain();
                    effects.push(Effect::Answer(waiting.reply, Err(refusal)));
                }
                Verdict::Recall(once, refusal) => effects.push(Effect::Recall(waiting.reply, once, refusal)),
            }
        }
        if placed.events.is_empty() {
            return;
        }
        let once = placed.once();
        let events: Arc<[Event]> = placed.events.into();
        self.in_flight = Some((events.clone(), placed.writes));
        effects.push(Effect::Append(events, once));
    }

    /// What becomes of a write, when what is placed goes before it. Conditions are looked at against what is durable:
    /// nobody is told of a head that could still be lost.
    fn verdict(&self, write: &Write, placed: &Placed<R>) -> Verdict {
        if write.chain.as_ref().is_some_and(Chain::is_broken) {
            return Verdict::Refuse(behind_a_refused_one());
        }
        let refusal = match write.expect {
            _ if self.bounds.closed || placed.closes => Some(closed()),
            None => None,
            Some(_) if !placed.events.is_empty() => return Verdict::Later,
            Some(expect) => expect.check(self.record.mark(), self.bounds).err(),
        };
        match (refusal, &write.once) {
            (None, Some(_)) if placed.writes.iter().any(|(other, _)| other.write.same_key(write)) => Verdict::Later,
            (None, _) => Verdict::Place,
            (Some(refusal), None) => Verdict::Refuse(refusal),
            (Some(_), Some(_)) if !placed.events.is_empty() => Verdict::Later,
            (Some(refusal), Some(once)) => Verdict::Recall(once.clone(), refusal),
        }
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

    /// A reader who has everything up to `cursor` wants at most `bytes` of what follows, perhaps folded.
    #[must_use]
    pub fn replay(&self, cursor: Seq, bytes: usize, fold: bool) -> Replay {
        if cursor >= self.bounds.head {
            return Replay::UpToDate;
        }
        if fold {
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
#[path = "state_tests.rs"]
mod tests;
