//! The heads of the logs that were written to lately. It never asks the file: the writer does,
//! for a head that is not here.

use rustc_hash::FxHashMap;
use tambour_actors::event::Seq;
use tambour_actors::log::LogId;

/// Logs whose head is remembered, at least; at most twice as many.
const HEADS_MAX: usize = 65_536;

/// Heads of the logs that were written to lately, so that an append needs no look-up. Two
/// generations: when the young one is full it becomes the old one, whose rest is forgotten.
#[derive(Default)]
pub(super) struct Heads {
    young: FxHashMap<LogId, Seq>,
    old: FxHashMap<LogId, Seq>,
}

impl Heads {
    pub(super) fn get(&self, log: LogId) -> Option<Seq> {
        self.young.get(&log).or_else(|| self.old.get(&log)).copied()
    }

    pub(super) fn set(&mut self, log: LogId, head: Seq) {
        if self.young.len() >= HEADS_MAX && !self.young.contains_key(&log) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(log, head);
    }

    pub(super) fn forget(&mut self, log: LogId) {
        self.young.remove(&log);
        self.old.remove(&log);
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
