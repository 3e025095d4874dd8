//! A log whose answers the test can hold back, refuse, or turn into a panic of the topic that asked.
//! What is kept, and in which order, is the in-memory log's.

use std::collections::HashSet;
use std::sync::Arc;
use tambour_actors::deed::Deed;

use parking_lot::Mutex;
use tambour_actors::event::Seq;
use tambour_actors::log::feed::{FeedEnds, FeedLimit, FeedLog, FeedPage, Position, Tap};
use tambour_actors::log::memory::MemoryLog;
use tambour_actors::log::{
    Append, AppendError, Bounds, ChangeError, CreateError, EventLog, FoldedPage, LogId, NewTopic, Page, PageLimit,
    PortFuture, Remembered, TopicChange, TopicQuery, TopicRecord, Topics, Unavailable,
};
use tambour_actors::topic_key::{Scope, TopicKey};
use tokio::sync::watch;

use super::hub::BOMB;

/// The log. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Flaky {
    pub(crate) memory: MemoryLog,
    faults: Arc<Mutex<Faults>>,
    held: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct Faults {
    poisoned: HashSet<LogId>,
    bad_append: bool,
    bad_find: bool,
    bad_feed: bool,
    hold_reads: bool,
    hold_appends: bool,
    unreadable: bool,
    unwritable: bool,
    reads: usize,
}

impl Flaky {
    pub(crate) fn new() -> Self {
        Self { memory: MemoryLog::default(), faults: Arc::default(), held: Arc::new(watch::channel(0).0) }
    }

    /// The next read of a log panics in the topic that asks.
    pub(crate) fn poison(&self, log: LogId) {
        self.faults.lock().poisoned.insert(log);
    }

    /// The next append panics in whoever asks for it.
    pub(crate) fn poison_appends(&self) {
        self.faults.lock().bad_append = true;
    }

    /// The next topic that is looked for panics in whoever looks.
    pub(crate) fn poison_finds(&self) {
        self.faults.lock().bad_find = true;
    }

    /// The next read of a feed panics in whoever asks for it.
    pub(crate) fn poison_feeds(&self) {
        self.faults.lock().bad_feed = true;
    }

    /// Reads, already carried out, are not answered until [`Self::release`].
    pub(crate) fn hold_reads(&self) {
        self.faults.lock().hold_reads = true;
    }

    /// Appends, already carried out, are not answered until [`Self::release`].
    pub(crate) fn hold_appends(&self) {
        self.faults.lock().hold_appends = true;
    }

    /// Everything that was held is answered, and nothing is held any more.
    pub(crate) fn release(&self) {
        let mut faults = self.faults.lock();
        (faults.hold_reads, faults.hold_appends) = (false, false);
        self.held.send_modify(|count| *count += 1);
    }

    /// Reads fail, or do no longer.
    pub(crate) fn unreadable(&self, fail: bool) {
        self.faults.lock().unreadable = fail;
    }

    /// Appends fail, or do no longer.
    pub(crate) fn unwritable(&self, fail: bool) {
        self.faults.lock().unwritable = fail;
    }

    /// How many reads there were.
    pub(crate) fn reads(&self) -> usize {
        self.faults.lock().reads
    }

    fn feed_read(
        &self,
        read: impl FnOnce(&MemoryLog) -> PortFuture<Result<FeedPage, Unavailable>>,
    ) -> PortFuture<Result<FeedPage, Unavailable>> {
        let mut faults = self.faults.lock();
        faults.reads += 1;
        assert!(!std::mem::take(&mut faults.bad_feed), "{BOMB}");
        if faults.unreadable {
            return Box::pin(std::future::ready(Err("the test says so".into())));
        }
        self.after_release(faults.hold_reads, read(&self.memory))
    }

    fn after_release<T: Send + 'static>(&self, hold: bool, answer: PortFuture<T>) -> PortFuture<T> {
        if !hold {
            return answer;
        }
        let mut released = self.held.subscribe();
        Box::pin(async move {
            let answer = answer.await;
            // The sender lives as long as the log.
            let _ = released.changed().await;
            answer
        })
    }
}

impl EventLog for Flaky {
    fn append(&self, items: Vec<Append>) -> PortFuture<Vec<Result<(), AppendError>>> {
        let mut faults = self.faults.lock();
        assert!(!std::mem::take(&mut faults.bad_append), "{BOMB}");
        if faults.unwritable {
            let answers = items.iter().map(|_| Err(AppendError::Unavailable("the test says so".into()))).collect();
            return Box::pin(std::future::ready(answers));
        }
        self.after_release(faults.hold_appends, self.memory.append(items))
    }

    fn bounds(&self, log: LogId) -> PortFuture<Result<Bounds, Unavailable>> {
        self.memory.bounds(log)
    }

    fn read(&self, log: LogId, after: Seq, limit: PageLimit) -> PortFuture<Result<Page, Unavailable>> {
        let mut faults = self.faults.lock();
        faults.reads += 1;
        assert!(!faults.poisoned.remove(&log), "{BOMB}");
        if faults.unreadable {
            return Box::pin(std::future::ready(Err("the test says so".into())));
        }
        self.after_release(faults.hold_reads, self.memory.read(log, after, limit))
    }

    fn read_folded(&self, log: LogId, after: Seq, limit: PageLimit) -> PortFuture<Result<FoldedPage, Unavailable>> {
        let mut faults = self.faults.lock();
        faults.reads += 1;
        assert!(!faults.poisoned.remove(&log), "{BOMB}");
        if faults.unreadable {
            return Box::pin(std::future::ready(Err("the test says so".into())));
        }
        self.after_release(faults.hold_reads, self.memory.read_folded(log, after, limit))
    }

    fn recall(
        &self,
        log: LogId,
        sub: &str,
        key: &str,
        now_ms: i64,
    ) -> PortFuture<Result<Option<Remembered>, Unavailable>> {
        self.memory.recall(log, sub, key, now_ms)
    }

    fn trim(&self, log: LogId, oldest: Seq) -> PortFuture<Result<Bounds, Unavailable>> {
        self.memory.trim(log, oldest)
    }
}

impl FeedLog for Flaky {
    fn tap(&self, scope: &Scope, tap: &Arc<Tap>) -> PortFuture<Result<FeedEnds, Unavailable>> {
        self.memory.tap(scope, tap)
    }

    fn feed(&self, scope: &Scope, after: Position, limit: FeedLimit) -> PortFuture<Result<FeedPage, Unavailable>> {
        self.feed_read(|log| log.feed(scope, after, limit))
    }

    fn feed_before(
        &self,
        scope: &Scope,
        before: Position,
        limit: FeedLimit,
    ) -> PortFuture<Result<FeedPage, Unavailable>> {
        self.feed_read(|log| log.feed_before(scope, before, limit))
    }
}

impl Topics for Flaky {
    fn create(&self, topic: NewTopic, by: Arc<Deed>) -> PortFuture<Result<TopicRecord, CreateError>> {
        self.memory.create(topic, by)
    }

    fn find(&self, key: &TopicKey) -> PortFuture<Result<Option<(TopicRecord, Bounds)>, Unavailable>> {
        assert!(!std::mem::take(&mut self.faults.lock().bad_find), "{BOMB}");
        self.memory.find(key)
    }

    fn change(
        &self,
        key: &TopicKey,
        change: TopicChange,
        by: Arc<Deed>,
    ) -> PortFuture<Result<Option<TopicRecord>, ChangeError>> {
        self.memory.change(key, change, by)
    }

    fn list(&self, scope: &Scope, query: TopicQuery) -> PortFuture<Result<Vec<(TopicRecord, Bounds)>, Unavailable>> {
        self.memory.list(scope, query)
    }

    fn delete(&self, key: &TopicKey, by: Arc<Deed>) -> PortFuture<Result<bool, Unavailable>> {
        self.memory.delete(key, by)
    }
}
