//! The topics that an outlet has readers of, and who they are.
//!
//! Readers and subscriptions point at each other by index, so that a reader can leave a crowd of
//! thousands without a search, also in the middle of a fan-out. Only this file changes either.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use super::line::{Line, Sub};
use crate::cursor::Mark;
use crate::directory::Address;
use crate::event::Seq;
use crate::feed::view::View;
use crate::frame::Batch;
use crate::lag::Lag;
use crate::log::Bounds;
use crate::meter::{Meter, Readers};
use crate::topic::messages::{Fold, Life, LineId};
use crate::topic::state::Start;
use crate::topic_key::{TopicKey, TopicKind};

/// A reader of a topic: which line, and which of its subscriptions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    pub(super) line: u32,
    pub(super) sub: u32,
}

/// A delivery that is being written: what, and which reader is next.
pub(super) struct Delivery {
    pub(super) batch: Arc<Batch>,
    pub(super) next: usize,
    /// How long its writes took so far.
    pub(super) took: std::time::Duration,
    /// Events that were written to readers and are not in the meter yet.
    pub(super) written: Cell<u64>,
    pub(super) meter: Arc<Meter>,
}

impl Delivery {
    /// Counts what was written up to now.
    pub(super) fn count(&self, now: Instant) {
        let written = self.written.take();
        if written > 0 {
            self.meter.delivered(written, self.batch.taken(), now);
        }
    }
}

impl Drop for Delivery {
    /// What a reader was given between two turns, or with another topic's batch, is counted as well.
    fn drop(&mut self) {
        if self.written.get() > 0 {
            self.count(Instant::now());
        }
    }
}

/// A session that waits for its topic to say where it starts.
pub(super) struct Pending {
    pub(super) line: LineId,
    pub(super) ticket: u32,
    /// Unsubscribed meanwhile. Kept until the topic has answered, because it counts this reader.
    pub(super) left: bool,
    pub(super) start: Start,
    pub(super) fold: bool,
    /// Of the feed: what they get.
    pub(super) view: Option<Box<View>>,
    pub(super) since_ms: u64,
}

/// What a subscription begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewSub {
    pub(super) ticket: u32,
    pub(super) cursor: Seq,
    pub(super) fold: Fold,
}

/// A topic with readers.
pub(super) struct Seat {
    pub(super) key: TopicKey,
    pub(super) mark: Mark,
    pub(super) addr: Option<Address>,
    pub(super) life: Life,
    pub(super) attaching: bool,
    /// The topic slept, died or woke while it was being found.
    pub(super) attach_again: bool,
    /// When a life of it died last.
    pub(super) died_ms: Option<u64>,
    /// The newest event that this outlet knows of.
    pub(super) head: Seq,
    /// Whether nothing follows `head`.
    pub(super) closed: bool,
    pub(super) readers: Vec<Reader>,
    /// Counts them.
    pub(super) counted: Readers,
    pub(super) pending: Vec<Pending>,
    pub(super) delivery: Option<Delivery>,
}

impl Seat {
    /// The topic has told the ends of its log.
    pub(super) fn learn(&mut self, bounds: Bounds) {
        self.head = self.head.max(bounds.head);
        self.closed |= bounds.closed;
    }

    /// How far readers with these cursors are behind.
    pub(super) fn lag(&self, cursors: impl Iterator<Item = Seq>) -> Lag {
        let mut lag = Lag::default();
        for cursor in cursors.filter(|cursor| *cursor < self.head) {
            // Places of the feed are no events: how far is not known.
            let events_max = if self.key.kind() == TopicKind::Feed { 0 } else { self.head - cursor };
            lag.join(Lag { readers: 1, events_max });
        }
        lag
    }
}

/// All topics with readers on this worker.
#[derive(Default)]
pub(super) struct Seats {
    slots: Slab<Seat>,
    by_key: HashMap<TopicKey, usize>,
}

impl Seats {
    pub(super) fn slot(&self, key: &TopicKey) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    pub(super) fn get(&self, slot: usize) -> Option<&Seat> {
        self.slots.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Seat> {
        self.slots.get_mut(slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Seat)> {
        self.slots.iter()
    }

    pub(super) fn insert(&mut self, seat: Seat) -> usize {
        let key = seat.key.clone();
        let slot = self.slots.insert(seat);
        self.by_key.insert(key, slot);
        slot
    }

    /// Removes a topic that has nobody left. `true` when it did.
    pub(super) fn prune(&mut self, slot: usize) -> bool {
        let empty = self.slots.get(slot).is_some_and(|seat| seat.readers.is_empty() && seat.pending.is_empty());
        if empty {
            let seat = self.slots.remove(slot);
            self.by_key.remove(&seat.key);
        }
        empty
    }

    /// Makes a line a reader of a topic, not yet live.
    pub(super) fn join(&mut self, slot: usize, line_slot: u32, line: &mut Line, new: NewSub) {
        let seat = &mut self.slots[slot];
        seat.counted.join();
        let readers = &mut seat.readers;
        let sub = u32::try_from(line.subs.len()).expect("a session has few topics");
        let reader = u32::try_from(readers.len()).expect("fewer readers than 4 billion");
        readers.push(Reader { line: line_slot, sub });
        let topic = u32::try_from(slot).expect("fewer topics than 4 billion");
        if line.subs.is_empty() {
            // Most sessions read one topic.
            line.subs.reserve_exact(1);
        }
        let NewSub { ticket, cursor, fold } = new;
        line.subs.push(Sub { topic, reader, ticket, cursor, live: false, fold });
    }

    /// Takes a subscription from a line, and the reader from its topic. A delivery under way still
    /// reaches every other reader exactly once.
    pub(super) fn leave(&mut self, lines: &mut Slab<Line>, line_slot: u32, sub: usize) {
        let line = &mut lines[line_slot as usize];
        let gone = line.subs.swap_remove(sub);
        if line.replaying == Some(gone.topic) {
            line.replaying = None;
        }
        line.leave(gone.topic as usize);
        if let Some(moved) = line.subs.get(sub) {
            let reader = &mut self.slots[moved.topic as usize].readers[moved.reader as usize];
            reader.sub = u32::try_from(sub).expect("a session has few topics");
        }
        let seat = &mut self.slots[gone.topic as usize];
        let mut hole = gone.reader as usize;
        if let Some(delivery) = &mut seat.delivery
            && hole < delivery.next
        {
            // Close the hole among those who were served, so that nobody who was not slips in there.
            delivery.next -= 1;
            if hole < delivery.next {
                // Never points at who leaves: their place among the line's subscriptions is another's by now.
                seat.readers.swap(hole, delivery.next);
                point(lines, &seat.readers, hole);
                hole = delivery.next;
            }
        }
        seat.readers.swap_remove(hole);
        seat.counted.leave();
        point(lines, &seat.readers, hole);
    }

    /// The slots of the subscription of a line to a topic.
    pub(super) fn sub_of(&self, line: &Line, key: &TopicKey) -> Option<usize> {
        let topic = u32::try_from(self.slot(key)?).ok()?;
        line.subs.iter().position(|sub| sub.topic == topic)
    }
}

fn point(lines: &mut Slab<Line>, readers: &[Reader], index: usize) {
    if let Some(reader) = readers.get(index)
        && let Some(sub) = lines.get_mut(reader.line as usize).and_then(|line| line.subs.get_mut(reader.sub as usize))
    {
        sub.reader = u32::try_from(index).expect("fewer readers than 4 billion");
    }
}
