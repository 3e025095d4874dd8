//! The line of writes in front of a topic's log, and the append that is put together from it.
//!
//! Gives seqs and nothing else: whether a write may be placed is decided in `writing`.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::write::{What, Write};
use crate::deed::Deed;
use crate::event::{Event, EventType, Origin, Seq};
use crate::log::{Class, Once, OnceWrite, Published};
use crate::refusal::Refusal;

/// A write that waits, or is in flight. `R` is how its writer is answered.
pub(super) struct Waiting<R> {
    pub(super) write: Write,
    pub(super) origin: Origin,
    pub(super) bytes: usize,
    pub(super) reply: R,
}

/// A write that has its places.
pub(super) type Put<R> = (Waiting<R>, Published);

/// The append that is on its way to the disk.
pub(super) type InFlight<R> = (Arc<[Event]>, Vec<Put<R>>);

/// An append that is being put together.
pub(super) struct Placed<R> {
    pub(super) events: Vec<Event>,
    pub(super) writes: Vec<Put<R>>,
    keys: HashSet<(Arc<str>, Arc<str>)>,
    /// Whose deed it is that nothing goes behind it.
    pub(super) closing: Option<Arc<Deed>>,
    /// What all of it is for.
    class: Option<Class>,
}

impl<R> Default for Placed<R> {
    fn default() -> Self {
        Self { events: Vec::new(), writes: Vec::new(), keys: HashSet::new(), closing: None, class: None }
    }
}

/// A write whose conditions do not hold, and whose key may be remembered all the same: then the answer is what it was
/// used for.
#[derive(Debug)]
pub struct Recall<R> {
    pub(super) write: Write,
    pub(super) once: Once,
    pub(super) refusal: Refusal,
    pub(super) reply: R,
}

impl<R> Recall<R> {
    /// What is to be looked up.
    #[must_use]
    pub fn once(&self) -> &Once {
        &self.once
    }
}

/// What becomes of the first write in the line.
pub(super) enum Verdict {
    /// It is part of the next append.
    Place,
    /// It depends on what is being placed: it begins the append behind that.
    Later,
    /// Its writer is told so.
    Refuse(Refusal),
    /// Its writer is told so, unless its key is remembered.
    Recall(Once, Refusal),
}

impl<R> Placed<R> {
    /// Gives a write its seqs, behind `head` and what was placed before.
    pub(super) fn place(&mut self, waiting: Waiting<R>, head: Seq, now_ms: i64) {
        let first = head + self.events.len() as Seq + 1;
        let (origin, taken) = (&waiting.origin, waiting.write.taken);
        let mut put = |kind: EventType, data: Bytes, target| {
            let seq = head + self.events.len() as Seq + 1;
            self.events.push(Event { seq, time_ms: now_ms, kind, origin: origin.clone(), data, target, taken });
        };
        match &waiting.write.what {
            What::Events(events) => {
                events.iter().for_each(|event| put(event.kind.clone(), event.data.clone(), event.target));
            }
            What::Redact(target, _) => put(EventType::redacted(), Bytes::from_static(b"{}"), Some(*target)),
            What::Close(by) => {
                put(EventType::closed(), Bytes::from_static(b"{}"), None);
                self.closing = Some(by.clone());
            }
        }
        let last = head + self.events.len() as Seq;
        debug_assert!(last >= first, "a write is never empty");
        debug_assert!(self.is_for(waiting.write.class()), "one append is for one thing");
        self.class = Some(waiting.write.class());
        self.keys.extend(waiting.write.once.as_ref().map(|once| (once.sub.clone(), once.key.clone())));
        self.writes.push((waiting, Published { first, last }));
    }

    /// Whether what is for this may stand beside what has a place: where there is no room for one thing, there may be for
    /// another.
    pub(super) fn is_for(&self, class: Class) -> bool {
        self.class.is_none_or(|placed| placed == class)
    }

    /// What all of it is for.
    pub(super) fn class(&self) -> Class {
        self.class.unwrap_or(Class::Ordinary)
    }

    /// Whether a write with this key has a place.
    pub(super) fn has_key(&self, once: &Once) -> bool {
        !self.keys.is_empty() && self.keys.contains(&(once.sub.clone(), once.key.clone()))
    }

    /// The writes that must happen at most once.
    pub(super) fn once(&self) -> Vec<OnceWrite> {
        let keyed =
            |(waiting, places): &Put<R>| waiting.write.once.clone().map(|once| OnceWrite { once, places: *places });
        self.writes.iter().filter_map(keyed).collect()
    }
}
