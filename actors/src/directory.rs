//! The directory: finds a topic's actor or starts it, puts idle ones to sleep, replaces dead ones.
//!
//! Nothing else starts or stops a topic. A topic lives on the worker that the hash of its key
//! names. One wake at a time per topic; whoever asks meanwhile waits for the same. The
//! directory never looks at events.

mod address;
mod wake;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use actix::dev::SendError;
pub use address::Address;

use actix::{Addr, prelude::ArbiterHandle};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use crate::deed::Deed;
use crate::event::Seq;
use crate::log::appender::Appender;
use crate::log::feed::FeedLog;
use crate::log::{ChangeError, EventLog, LogId, TopicChange, TopicRecord, Topics, Unavailable};
use crate::meter::{Meter, Meters};
use crate::refusal::{Code, Refusal};
use crate::topic::messages::{Changed, Delete, Life, Outlets, Publish, Sleep, ToOutlet, Trimmed};
use crate::topic::now_ms;
use crate::topic::state::TopicLimits;
use crate::topic_key::{TopicKey, TopicKind};

/// A topic that is awake. Look it up anew for every use: it may be asleep by then.
#[derive(Clone)]
pub struct TopicHandle {
    /// Where to send.
    pub addr: Address,
    /// What is known of it.
    pub record: Arc<TopicRecord>,
    /// Which life.
    pub life: Life,
    /// Where what its scope does is counted.
    pub meter: Arc<Meter>,
}

/// A worker thread as the directory knows it.
pub struct Seat {
    /// Runs actors on the worker.
    pub arbiter: ArbiterHandle,
    /// Batches the worker's appends.
    pub appender: Addr<Appender>,
}

/// What the directory stands on.
pub struct Ground {
    /// Where events are kept.
    pub log: Arc<dyn EventLog>,
    /// Where topics are known.
    pub topics: Arc<dyn Topics>,
    /// Where everything is in commit order; `None`: there is no feed.
    pub feeds: Option<Arc<dyn FeedLog>>,
    /// Of every topic, until there are [others](Directory::limit).
    pub limits: TopicLimits,
    /// A topic that nobody looked up for so long sleeps.
    pub sleep_after_ms: i64,
    /// How many workers there will be.
    pub workers: usize,
}

type Found = Result<Option<TopicHandle>, Unavailable>;

enum Entry {
    Waking(Vec<oneshot::Sender<Found>>),
    Awake { handle: TopicHandle, looked_up: u64, at_ms: i64 },
}

struct Inner {
    ground: Ground,
    limits: RwLock<TopicLimits>,
    sleep_after_ms: AtomicI64,
    outlets: Outlets,
    meters: Meters,
    seats: RwLock<Vec<Option<Seat>>>,
    shards: Vec<Mutex<HashMap<TopicKey, Entry>>>,
    lives: AtomicU64,
    closing: AtomicBool,
    /// Held by whoever changes a topic's record.
    changing: tokio::sync::Mutex<()>,
}

/// The directory. Clones are the same one.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

impl Directory {
    /// A directory without workers; nothing can be found before all have their [seats](Self::seat_next).
    #[must_use]
    pub fn new(ground: Ground) -> Self {
        let workers = ground.workers.max(1);
        Self(Arc::new(Inner {
            limits: RwLock::new(ground.limits),
            sleep_after_ms: AtomicI64::new(ground.sleep_after_ms),
            ground,
            outlets: Outlets::default(),
            meters: Meters::default(),
            seats: RwLock::new((0..workers).map(|_| None).collect()),
            shards: (0..workers).map(|_| Mutex::default()).collect(),
            lives: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            changing: tokio::sync::Mutex::new(()),
        }))
    }

    /// The outlets that topics deliver to.
    #[must_use]
    pub fn outlets(&self) -> &Outlets {
        &self.0.outlets
    }

    /// What each scope has done since the hub began.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// Seats the calling worker as the first that is not seated, or whose thread is gone. Finding the seat
    /// and taking it are one step, because workers start at the same time. `arrive` must not ask the directory
    /// for a topic.
    pub fn seat_next<T>(&self, arrive: impl FnOnce(usize) -> (Seat, T)) -> T {
        let mut seats = self.0.seats.write();
        let vacant = seats.iter().position(|seat| seat.as_ref().is_none_or(|seat| !seat.appender.connected()));
        let worker = vacant.unwrap_or(0);
        let (seat, arrived) = arrive(worker);
        Inner::guard(&self.0, worker, &seat.appender);
        seats[worker] = Some(seat);
        arrived
    }

    /// Whether every worker is seated.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.0.seats.read().iter().all(Option::is_some)
    }

    /// The hub ends: topics that go now are not replaced.
    pub fn close(&self) {
        self.0.closing.store(true, Ordering::Relaxed);
    }

    /// Other limits, for topics that wake from now on; and another time after which any topic sleeps.
    pub fn limit(&self, limits: TopicLimits, sleep_after_ms: i64) {
        *self.0.limits.write() = limits;
        self.0.sleep_after_ms.store(sleep_after_ms, Ordering::Relaxed);
    }

    /// How many topics are awake.
    #[must_use]
    pub fn awake(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// The topic, if it is awake: the way that costs nothing but a look.
    #[must_use]
    pub fn find_awake(&self, key: &TopicKey) -> Option<TopicHandle> {
        match self.0.shard(key).lock().get_mut(key) {
            Some(Entry::Awake { handle, looked_up, at_ms }) if handle.addr.connected() => {
                *looked_up += 1;
                *at_ms = now_ms();
                Some(handle.clone())
            }
            _ => None,
        }
    }

    /// The topic, woken if it exists and sleeps. `None`: there is no such topic.
    ///
    /// # Errors
    /// [`Unavailable`] when the store can't answer.
    pub async fn find(&self, key: &TopicKey) -> Found {
        if let Some(handle) = self.find_awake(key) {
            return Ok(Some(handle));
        }
        let (waiter, answer) = oneshot::channel();
        let begins = {
            let mut shard = self.0.shard(key).lock();
            match shard.get_mut(key) {
                Some(Entry::Waking(waiters)) => {
                    waiters.push(waiter);
                    false
                }
                Some(Entry::Awake { handle, looked_up, at_ms }) if handle.addr.connected() => {
                    *looked_up += 1;
                    *at_ms = now_ms();
                    return Ok(Some(handle.clone()));
                }
                _ => {
                    shard.insert(key.clone(), Entry::Waking(vec![waiter]));
                    true
                }
            }
        };
        if begins {
            // Not part of this future: whoever asked may leave while others wait for the same.
            let (inner, key) = (self.0.clone(), key.clone());
            tokio::spawn(async move { inner.wake(key).await });
        }
        answer.await.unwrap_or_else(|_| Err("the wake was abandoned".into()))
    }

    /// What is known of a topic, without waking it; of the feed, which is woken.
    ///
    /// # Errors
    /// [`Unavailable`] when the store can't answer.
    pub async fn record(&self, key: &TopicKey) -> Result<Option<Arc<TopicRecord>>, Unavailable> {
        if let Some(handle) = self.find_awake(key) {
            return Ok(Some(handle.record));
        }
        if key.kind() == TopicKind::Feed {
            return Ok(self.find(key).await?.map(|handle| handle.record));
        }
        Ok(self.0.ground.topics.find(key).await?.map(|(record, _)| Arc::new(record)))
    }

    /// Sends a publish to a topic that was found just before. Whoever sends several in an order gets it back when the
    /// topic is gone, finds it [again](Self::find_again), and sends nothing else before that.
    ///
    /// # Errors
    /// The publish, not sent.
    #[allow(clippy::result_large_err, reason = "it is moved on at once")]
    pub fn try_publish(handle: &TopicHandle, publish: Publish) -> Result<(), Publish> {
        let Some(topic) = handle.addr.topic() else {
            publish.reply.send(Err(Refusal::new(Code::Forbidden, "the hub alone writes here")));
            return Ok(());
        };
        match topic.try_send(publish) {
            Ok(()) => Ok(()),
            Err(SendError::Full(publish)) => {
                publish.reply.send(Err(Code::TopicBusy.into()));
                Ok(())
            }
            Err(SendError::Closed(publish)) => Err(publish),
        }
    }

    /// Sends a publish to a topic that was found just before; looks once more if it fell asleep in
    /// between, and then another publish may go before it. The publish's reply is always used.
    pub fn publish_now(&self, handle: &TopicHandle, publish: Publish) {
        if let Err(publish) = Self::try_publish(handle, publish) {
            let (directory, record) = (self.clone(), handle.record.clone());
            tokio::spawn(async move {
                match directory.find_again(&record).await {
                    // Dropped, its reply says that nobody knows.
                    Ok(handle) => drop(Self::try_publish(&handle, publish)),
                    Err(refusal) => publish.reply.send(Err(refusal)),
                }
            });
        }
    }

    /// The topic of a record that was found before, and whose actor is gone. One that was made anew under its name is
    /// another, on which whoever had a right on the first may have none.
    ///
    /// # Errors
    /// `topic.unknown`, `store.unavailable`.
    pub async fn find_again(&self, record: &TopicRecord) -> Result<TopicHandle, Refusal> {
        match self.find(&record.topic.key).await {
            Ok(Some(handle)) if handle.record.log == record.log => Ok(handle),
            Ok(_) => Err(Refusal::topic_unknown()),
            Err(error) => {
                tracing::error!(topic = %record.topic.key, %error, "a topic can't be found again");
                Err(Code::StoreUnavailable.into())
            }
        }
    }

    /// Deletes a topic: from the store first, then its actor and its streams.
    ///
    /// # Errors
    /// [`Unavailable`] when the store can't answer.
    pub async fn delete(&self, key: &TopicKey, by: Arc<Deed>) -> Result<bool, Unavailable> {
        if matches!(key.kind(), TopicKind::System | TopicKind::Feed) {
            return Ok(false);
        }
        let Some(record) = self.record(key).await? else { return Ok(false) };
        let deleted = self.0.ground.topics.delete(key, by).await?;
        // A wake that began before must not outlive the deletion; a topic created since must.
        if let Some(handle) = self.find(key).await?
            && handle.record.log == record.log
            && self.0.forget(key, handle.life, None)
        {
            handle.addr.topic().inspect(|topic| topic.do_send(Delete));
        }
        // Readers of a topic that sleeps have no actor that could tell them.
        self.0.outlets.send_all(|| ToOutlet::Deleted { key: key.clone(), mark: record.mark() });
        Ok(deleted)
    }

    /// Changes what is known of a topic: in the store first, then its actor and its readers are told. One at a time, so
    /// that whoever is told last is told what the store has.
    ///
    /// # Errors
    /// As [`Topics::change`].
    pub async fn change(
        &self,
        key: &TopicKey,
        change: TopicChange,
        by: Arc<Deed>,
    ) -> Result<Option<Arc<TopicRecord>>, ChangeError> {
        let _turn = self.0.changing.lock().await;
        let Some(record) = self.0.ground.topics.change(key, change, by).await? else { return Ok(None) };
        let record = Arc::new(record);
        let is_known = self.0.shard(key).lock().contains_key(key);
        // A wake that began before may have read the old record.
        if is_known && let Ok(Some(_)) = self.find(key).await {
            let mut shard = self.0.shard(key).lock();
            if let Some(Entry::Awake { handle, .. }) = shard.get_mut(key)
                && handle.record.log == record.log
            {
                handle.record = record.clone();
                handle.addr.topic().inspect(|topic| topic.do_send(Changed(record.clone())));
            }
        }
        self.0.outlets.send_all(|| ToOutlet::Changed { record: record.clone() });
        Ok(Some(record))
    }

    /// Retention took the events of a log before `oldest`: its topic is told, if it is awake.
    pub fn trimmed(&self, key: &TopicKey, log: LogId, oldest: Seq) {
        let shard = self.0.shard(key).lock();
        if let Some(Entry::Awake { handle, .. }) = shard.get(key)
            && handle.record.log == log
        {
            handle.addr.topic().inspect(|topic| topic.do_send(Trimmed(oldest)));
        }
    }

    /// Asks the topics of one worker that nobody looked up for long to sleep.
    pub fn sweep(&self, worker: usize) {
        let before = now_ms() - self.0.sleep_after_ms.load(Ordering::Relaxed);
        let shard = self.0.shards[worker].lock();
        for (key, entry) in shard.iter() {
            if let Entry::Awake { handle, looked_up, at_ms } = entry
                && *at_ms < before
            {
                let (inner, key, life, looked_up) = (self.0.clone(), key.clone(), handle.life, *looked_up);
                let consent = Box::new(move || inner.forget(&key, life, Some(looked_up)));
                handle.addr.do_send(Sleep { consent });
            }
        }
    }
}

impl Inner {
    fn worker_of(&self, key: &TopicKey) -> usize {
        usize::try_from(key.stable_hash() % self.shards.len() as u64).unwrap_or(0)
    }

    fn shard(&self, key: &TopicKey) -> &Mutex<HashMap<TopicKey, Entry>> {
        &self.shards[self.worker_of(key)]
    }

    /// Removes one life of a topic, if it was looked up no more than `looked_up` times.
    fn forget(&self, key: &TopicKey, life: Life, looked_up: Option<u64>) -> bool {
        let mut shard = self.shard(key).lock();
        let same = matches!(shard.get(key), Some(Entry::Awake { handle, looked_up: now, .. })
            if handle.life == life && looked_up.is_none_or(|then| then == *now));
        if same {
            shard.remove(key);
        }
        same
    }
}
