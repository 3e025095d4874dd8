//! Who is sent what: the outlets with readers, the newest frames, and deliveries.
//!
//! One piece for topics and for the feed. Plain values in, effects out. An outlet has at most one unanswered delivery, and
//! outlets that stand at the same place share one batch. Nothing here decides what may be shown.

use std::sync::Arc;

use super::state::{OutletId, TopicLimits};
use super::tail::Tail;
use crate::event::Seq;
use crate::frame::{Batch, Frame};

/// What an outlet has still to be sent stays encoded in memory up to this many times the backlog
/// limit: an outlet always comes back for more, so only a burst can reach it; then readers go to
/// the log.
pub(super) const UNSENT_FACTOR: usize = 4;

struct Seat {
    outlet: OutletId,
    readers: usize,
    /// Everything up to here was delivered, or is for replays.
    sent: Seq,
    unanswered: bool,
}

/// The outlets of a topic and its newest frames.
pub(crate) struct Fanout {
    limits: TopicLimits,
    tail: Tail,
    seats: Vec<Seat>,
    /// What lies up to here and is not in the tail was never there: outlets are told how far the head is, and their readers
    /// ask for it.
    lost: Seq,
}

impl Fanout {
    /// Of a topic whose newest event stands at `head`.
    #[must_use]
    pub(crate) fn new(limits: TopicLimits, head: Seq) -> Self {
        Self { limits, tail: Tail::new(limits.tail_events, limits.tail_bytes, head), seats: Vec::new(), lost: 0 }
    }

    /// The outlets with readers.
    pub(crate) fn outlets(&self) -> impl Iterator<Item = OutletId> + '_ {
        self.seats.iter().map(|seat| seat.outlet)
    }

    /// Whether no outlet has a delivery that it did not answer.
    #[must_use]
    pub(crate) fn idle(&self) -> bool {
        self.seats.iter().all(|seat| !seat.unanswered)
    }

    /// Adds the next frame.
    pub(crate) fn push(&mut self, frame: Frame) {
        self.tail.push(frame);
    }

    /// There is nothing more up to here.
    pub(crate) fn reach(&mut self, head: Seq) {
        self.tail.reach(head);
    }

    /// Lets go of every frame: what was encoded is not what may be shown any more.
    pub(crate) fn clear(&mut self) {
        self.tail.clear();
    }

    /// There is more up to here, which can be had from the log alone.
    pub(crate) fn lose(&mut self, head: Seq) {
        self.tail.clear();
        self.tail.skip_to(head);
        self.lost = self.tail.head();
    }

    /// Lets go of frames before the oldest that is kept.
    pub(crate) fn forget_before(&mut self, oldest: Seq) {
        self.tail.forget_before(oldest);
    }

    /// What the tail has behind `cursor`, up to about `bytes` of one wire. It may begin later.
    #[must_use]
    pub(crate) fn behind(&self, cursor: Seq, bytes: usize) -> Option<Batch> {
        self.tail.behind(cursor, bytes)
    }

    /// Sends every outlet that may be sent something what it was not sent yet, then lets go of what nobody needs.
    pub(crate) fn deliver_all(&mut self, mut send: impl FnMut(OutletId, Arc<Batch>)) {
        let mut shared = None;
        for index in 0..self.seats.len() {
            self.deliver(index, &mut shared, &mut send);
        }
        self.trim();
    }

    /// Lets go of what nobody needs.
    pub(super) fn trim(&mut self) {
        let needed = self.seats.iter().map(|seat| seat.sent).min().unwrap_or_else(|| self.tail.head());
        self.tail.trim(needed, UNSENT_FACTOR * self.limits.backlog_bytes);
    }

    /// Sends a seat what it has not been sent, if it may be sent anything. Seats that stand at the
    /// same place share one batch.
    fn deliver(&mut self, index: usize, shared: &mut Option<Arc<Batch>>, send: &mut impl FnMut(OutletId, Arc<Batch>)) {
        let (seat, head) = (&mut self.seats[index], self.tail.head());
        if seat.unanswered || seat.sent >= head {
            return;
        }
        let batch = match shared {
            Some(batch) if batch.first() == self.tail.start(seat.sent) + 1 => Some(batch.clone()),
            _ => self.tail.behind(seat.sent, self.limits.delivery_bytes).map(Arc::new),
        };
        let batch = batch.or_else(|| (seat.sent < self.lost).then(|| Arc::new(Batch::of_head(head))));
        let Some(batch) = batch else { return };
        seat.sent = batch.last();
        seat.unanswered = true;
        send(seat.outlet, batch.clone());
        *shared = Some(batch);
    }

    /// An outlet has readers from now on, or more of them. What comes behind `position` is delivered to it.
    pub(crate) fn attach(
        &mut self,
        outlet: OutletId,
        readers: usize,
        position: Seq,
        mut send: impl FnMut(OutletId, Arc<Batch>),
    ) {
        self.seats.retain(|seat| seat.outlet.worker != outlet.worker || seat.outlet == outlet);
        let index = self.seats.iter().position(|seat| seat.outlet == outlet).unwrap_or_else(|| {
            self.seats.push(Seat { outlet, readers: 0, sent: position, unanswered: false });
            self.seats.len() - 1
        });
        self.seats[index].readers += readers;
        self.deliver(index, &mut None, &mut send);
    }

    /// An outlet has fewer readers.
    pub(crate) fn detach(&mut self, outlet: OutletId, readers: usize) {
        for seat in self.seats.iter_mut().filter(|seat| seat.outlet == outlet) {
            seat.readers = seat.readers.saturating_sub(readers);
        }
        self.seats.retain(|seat| seat.readers > 0);
    }

    /// An outlet has written, or set aside for replay, what it was sent.
    pub(crate) fn delivered(&mut self, outlet: OutletId, mut send: impl FnMut(OutletId, Arc<Batch>)) {
        if let Some(index) = self.seats.iter().position(|seat| seat.outlet == outlet) {
            self.seats[index].unanswered = false;
            self.deliver(index, &mut None, &mut send);
            self.trim();
        }
    }

    /// Forgets outlets that died: what they were sent is answered by nobody.
    pub(crate) fn keep_outlets(&mut self, lives: impl Fn(OutletId) -> bool) {
        self.seats.retain(|seat| !seat.unanswered || lives(seat.outlet));
    }

    #[cfg(test)]
    pub(crate) fn tail_size(&self) -> (usize, usize) {
        self.tail.size()
    }
}
