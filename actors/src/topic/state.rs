//! The rules of a topic: who comes next in its log, who is shown what, and what a reader is told.
//!
//! Plain values in, effects out: no actor, clock, random number or I/O, so that every rule can be
//! tested by itself. The state never shows an event that is not durable, has at most one append
//! in flight, and at most one unanswered delivery per outlet.

use std::collections::VecDeque;
use std::sync::Arc;

pub use super::start::{GapReason, Start, Started, locate};
use super::tail::Tail;
use crate::event::{Event, EventType, NewEvent, Origin, Seq};
use crate::frame::{Batch, Frame, FrameEncoder};
use crate::log::{AppendError, Bounds, TopicRecord};
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

/// The first and last seq that a publish was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Of its first event.
    pub first: Seq,
    /// Of its last event.
    pub last: Seq,
}

/// What a writer asks for.
#[derive(Debug)]
pub enum Write {
    /// These events, appended as one. Never empty.
    Events(Vec<NewEvent>),
    /// The topic's last event.
    Close,
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
    Append(Arc<[Event]>),
    /// Send this to an outlet; it answers with [`TopicState::delivered`].
    Deliver(OutletId, Arc<Batch>),
    /// Answer a writer.
    Answer(R, Result<Published, Refusal>),
}

/// What a topic can give a reader who is behind.
#[derive(Debug)]
pub enum Replay {
    /// These frames, from the tail.
    Tail(Batch),
    /// Nothing is missing.
    UpToDate,
    /// It must be read from the log.
    Log,
}

struct Waiting<R> {
    write: Write,
    origin: Origin,
    bytes: usize,
    reply: R,
}

/// The events of the append in flight, and who waits for which of them.
type InFlight<R> = (Arc<[Event]>, Vec<(R, Published)>);

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

    /// A writer wants to append. Answered once the events are durable, or refused at once.
    pub fn write(&mut self, write: Write, origin: Origin, now_ms: i64, reply: R, effects: &mut Vec<Effect<R>>) {
        if self.closing {
            let refusal = Refusal::new(Code::TopicClosed, "nothing can be written behind the closed event");
            effects.push(Effect::Answer(reply, Err(refusal)));
            return;
        }
        let bytes = match &write {
            Write::Events(events) => events.iter().map(|e| e.data.len() + e.kind.as_str().len()).sum(),
            Write::Close => 0,
        };
        if !self.waiting.is_empty() && self.waiting_bytes + bytes > self.limits.backlog_bytes {
            let refusal = Refusal::new(Code::TopicBusy, "the topic has as much waiting as it takes; try again");
            effects.push(Effect::Answer(reply, Err(refusal)));
            return;
        }
        self.closing = matches!(write, Write::Close);
        self.waiting.push_back(Waiting { write, origin, bytes, reply });
        self.waiting_bytes += bytes;
        self.append_waiting(now_ms, effects);
    }

    /// The append in flight was answered.
    pub fn appended(&mut self, result: Result<(), AppendError>, now_ms: i64, effects: &mut Vec<Effect<R>>) {
        let Some((events, replies)) = self.in_flight.take() else {
            debug_assert!(false, "an answer without an append");
            return;
        };
        match result {
            Ok(()) => self.commit(&events, replies, effects),
            Err(error) => {
                self.closing = self.bounds.closed || self.waiting.iter().any(|w| matches!(w.write, Write::Close));
                let refusal = append_refusal(&error);
                effects.extend(replies.into_iter().map(|(reply, _)| Effect::Answer(reply, Err(refusal.clone()))));
            }
        }
        self.append_waiting(now_ms, effects);
    }

    fn commit(&mut self, events: &[Event], replies: Vec<(R, Published)>, effects: &mut Vec<Effect<R>>) {
        for event in events {
            assert_eq!(event.seq, self.bounds.head + 1, "seqs have no holes");
            self.bounds.head = event.seq;
            let frame = self.encoder.encode(event);
            self.bounds.closed = frame.closes;
            self.tail.push(frame);
        }
        effects.extend(replies.into_iter().map(|(reply, published)| Effect::Answer(reply, Ok(published))));
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
        if self.in_flight.is_some() || self.waiting.is_empty() {
            return;
        }
        let mut events = Vec::new();
        let mut replies = Vec::new();
        for waiting in self.waiting.drain(..) {
            let first = self.bounds.head + events.len() as Seq + 1;
            let mut place = |kind: EventType, data| {
                let seq = self.bounds.head + events.len() as Seq + 1;
                events.push(Event { seq, time_ms: now_ms, kind, origin: waiting.origin.clone(), data });
                seq
            };
            let last = match waiting.write {
                Write::Events(new) => new.into_iter().map(|event| place(event.kind, event.data)).last(),
                Write::Close => Some(place(EventType::closed(), bytes::Bytes::from_static(b"{}"))),
            };
            debug_assert!(last.is_some(), "a write is never empty");
            replies.push((waiting.reply, Published { first, last: last.unwrap_or(first) }));
            self.waiting_bytes -= waiting.bytes;
        }
        let events: Arc<[Event]> = events.into();
        self.in_flight = Some((events.clone(), replies));
        effects.push(Effect::Append(events));
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

    /// A read showed what the oldest event is that the log still keeps.
    pub fn trimmed(&mut self, oldest: Seq) {
        self.bounds.oldest = self.bounds.oldest.max(oldest.min(self.bounds.head + 1));
    }

    /// A reader who has everything up to `cursor` wants at most `bytes` of what follows.
    #[must_use]
    pub fn replay(&self, cursor: Seq, bytes: usize) -> Replay {
        if cursor >= self.bounds.head {
            return Replay::UpToDate;
        }
        match Batch::new(self.tail.behind(cursor, bytes)) {
            Some(batch) if batch.first() == cursor + 1 => Replay::Tail(batch),
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
}

fn append_refusal(error: &AppendError) -> Refusal {
    match error {
        AppendError::Gone => Refusal::topic_unknown(),
        AppendError::Conflict => {
            Refusal::new(Code::PublishUnknown, "the topic was started again meanwhile; read it before you repeat")
        }
        AppendError::Full(_) => Refusal::new(Code::StoreFull, "the disk is full; nothing was written"),
        AppendError::Unavailable(_) => {
            Refusal::new(Code::StoreUnavailable, "the log can't be written now; read the topic before you repeat")
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
