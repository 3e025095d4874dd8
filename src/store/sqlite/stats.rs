//! What the store counts about itself. It never decides anything by it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::queue::Weight;

/// Counters since the store was opened, and what waits now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Appends (items, not calls) that are on disk.
    pub appends: u64,
    /// Their events.
    pub events: u64,
    /// Their events' sizes, in bytes of text.
    pub bytes: u64,
    /// Commits that changed something: each cost one fsync.
    pub commits: u64,
    /// Time spent in commits, in microseconds: nearly all of it is the fsync.
    pub commit_us: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Whether a transaction failed and none has changed anything since: the disk is full or
    /// broken. Only a write that comes through tells that it is well again; without any, the store tries one of its own every second.
    pub failing: bool,
    /// Whether it failed for want of room: on the disk, or below `store.file_bytes_max`.
    pub full: bool,
    /// Checkpoints that were finished.
    pub checkpoints: u64,
    /// Pages in the write-ahead log behind the last commit.
    pub wal_pages: u64,
    /// Calls that wait for the writer.
    pub write_queue: usize,
    /// Calls that wait for a reader.
    pub read_queue: usize,
}

#[derive(Default)]
pub(super) struct Counters {
    appends: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    commits: AtomicU64,
    commit_us: AtomicU64,
    failures: AtomicU64,
    failing: AtomicBool,
    full: AtomicBool,
    checkpoints: AtomicU64,
    wal_pages: AtomicU64,
}

impl Counters {
    pub(super) fn appended(&self, items: usize, weight: Weight) {
        self.appends.fetch_add(items as u64, Relaxed);
        self.events.fetch_add(weight.events as u64, Relaxed);
        self.bytes.fetch_add(weight.bytes as u64, Relaxed);
    }

    /// A commit came through that left so many pages in the write-ahead log.
    pub(super) fn synced(&self, wal_pages: u64) {
        self.commits.fetch_add(1, Relaxed);
        self.wal_pages.store(wal_pages, Relaxed);
    }

    /// What needs room was written.
    pub(super) fn well(&self) {
        self.failing.store(false, Relaxed);
        self.full.store(false, Relaxed);
    }

    pub(super) fn commit_took(&self, took: Duration) {
        self.commit_us.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// A transaction failed. `true`: the one before had not, or not so.
    pub(super) fn failed(&self, full: bool) -> bool {
        self.failures.fetch_add(1, Relaxed);
        let was_full = self.full.swap(full, Relaxed);
        !self.failing.swap(true, Relaxed) || was_full != full
    }

    pub(super) fn failing(&self) -> bool {
        self.failing.load(Relaxed)
    }

    pub(super) fn checkpointed(&self) {
        self.checkpoints.fetch_add(1, Relaxed);
    }

    pub(super) fn snapshot(&self, write_queue: usize, read_queue: usize) -> StoreStats {
        StoreStats {
            appends: self.appends.load(Relaxed),
            events: self.events.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            commits: self.commits.load(Relaxed),
            commit_us: self.commit_us.load(Relaxed),
            failures: self.failures.load(Relaxed),
            failing: self.failing.load(Relaxed),
            full: self.full.load(Relaxed),
            checkpoints: self.checkpoints.load(Relaxed),
            wal_pages: self.wal_pages.load(Relaxed),
            write_queue,
            read_queue,
        }
    }
}
