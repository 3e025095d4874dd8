//! What a store must hold, as the plainest model of it: lists that are searched from end to end.

use std::collections::{BTreeMap, BTreeSet};

use super::targets::emptied;
use super::{Append, AppendError, Bounds, Event, LogId, PageLimit, Seq, TopicRecord};
use crate::event::APPENDED_BYTES_MAX;
use crate::log::{IDEMPOTENCY_KEPT_MS, Once, Rejected, Remembered, Why};

/// What the store must hold when everything that was called for is done.
#[derive(Default)]
pub(super) struct Model {
    pub(super) topics: BTreeMap<String, TopicRecord>,
    pub(super) logs: BTreeMap<LogId, Kept>,
    pub(super) deleted: BTreeSet<LogId>,
}

/// A log.
#[derive(Default)]
pub(super) struct Kept {
    /// All that ever were, without holes.
    events: Vec<Event>,
    oldest: Seq,
    keys: Vec<(Once, i64, Remembered)>,
}

impl Kept {
    pub(super) fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter().filter(|event| event.seq >= self.oldest)
    }

    pub(super) fn recall(&self, sub: &str, key: &str, now_ms: i64) -> Option<Remembered> {
        let newest = self.keys.iter().rev().find(|(once, _, _)| &*once.sub == sub && &*once.key == key);
        newest.filter(|(_, time_ms, _)| now_ms < time_ms + IDEMPOTENCY_KEPT_MS).map(|(_, _, known)| *known)
    }

    /// Whether `event` may stand behind `before`.
    fn check(&self, before: &[Event], event: &Event) -> Result<(), Why> {
        let Some(seq) = event.target else { return Ok(()) };
        let all = || self.events().chain(before);
        let target = all().find(|event| event.seq == seq && event.target.is_none() && event.kind.as_str() != "closed");
        let target = target.ok_or(Why::TargetUnknown)?;
        let about = |kind| all().filter(move |event| event.kind.as_str() == kind && event.target == Some(seq));
        let bytes: usize = about("append").map(|append| append.data.len()).sum();
        match event.kind.as_str() {
            "redacted" => Ok(()),
            _ if about("redacted").count() > 0 => Err(Why::TargetUnknown),
            _ if target.origin.actor() != event.origin.actor() => Err(Why::TargetForbidden),
            _ if bytes + event.data.len() > APPENDED_BYTES_MAX => Err(Why::TargetFull),
            _ => Ok(()),
        }
    }

    fn append(&mut self, item: &Append) -> Result<(), AppendError> {
        if (self.events.len() as Seq + 1..).zip(item.events.iter()).any(|(seq, event)| event.seq != seq) {
            return Err(AppendError::Conflict);
        }
        let (mut rejected, mut before) = (Vec::new(), Vec::new());
        let mut repeats = 0;
        for event in item.events.iter() {
            let write = item.once.iter().find(|write| write.places.first == event.seq);
            let known = write.and_then(|write| self.recall(&write.once.sub, &write.once.key, event.time_ms));
            if let (Some(write), Some(known)) = (write, known) {
                rejected.push(Rejected { seq: event.seq, why: Why::Repeated(known) });
                repeats = write.places.last;
            }
            match self.check(&before, event) {
                _ if event.seq <= repeats => {}
                Ok(()) => before.push(event.clone()),
                Err(why) => rejected.push(Rejected { seq: event.seq, why }),
            }
        }
        if !rejected.is_empty() {
            return Err(AppendError::Rejected(rejected));
        }
        self.events.append(&mut before);
        for target in item.events.iter().filter(|event| event.kind.as_str() == "redacted").map(|event| event.target) {
            let part = |event: &Event| {
                Some(event.seq) == target || (event.kind.as_str() == "append" && event.target == target)
            };
            self.events.iter_mut().filter(|event| part(event)).for_each(|event| *event = emptied(event.clone()));
        }
        for write in &item.once {
            let time_ms = item.events[0].time_ms;
            let known = Remembered { digest: write.once.digest, places: write.places };
            self.keys.push((write.once.clone(), time_ms, known));
        }
        Ok(())
    }
}

impl Model {
    pub(super) fn bounds(&self, log: LogId) -> Bounds {
        let Some(kept) = self.logs.get(&log) else { return Bounds::EMPTY };
        let Some(newest) = kept.events.last() else { return Bounds::EMPTY };
        Bounds { oldest: kept.oldest.max(1), head: newest.seq, closed: newest.kind.as_str() == "closed" }
    }

    pub(super) fn append(&mut self, item: &Append) -> Result<(), AppendError> {
        self.logs.get_mut(&item.log).ok_or(AppendError::Gone)?.append(item)
    }

    pub(super) fn trim(&mut self, log: LogId, oldest: Seq) -> Bounds {
        let head = self.bounds(log).head;
        if let Some(kept) = self.logs.get_mut(&log) {
            kept.oldest = kept.oldest.max(oldest.min(head));
        }
        self.bounds(log)
    }

    pub(super) fn page(&self, log: LogId, after: Seq, limit: PageLimit) -> Vec<Event> {
        let mut bytes = 0;
        let behind = self.logs.get(&log).into_iter().flat_map(Kept::events).filter(|event| event.seq > after);
        let within = behind.take(limit.events).take_while(|event| {
            let fits = bytes == 0 || bytes < limit.bytes;
            bytes += event.size_bytes();
            fits
        });
        within.cloned().collect()
    }
}
