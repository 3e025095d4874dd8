//! How a topic wakes: its record and the ends of its log are read, its actor is started, whoever waits is told.
//!
//! Whatever dies on the way leaves nobody waiting: who looked for the topic is told that it could not be had, and an
//! appender is started again.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use actix::{Actor, Addr, WeakAddr};

use super::{Address, Entry, Found, Inner, TopicHandle};
use crate::cursor::Incarnation;
use crate::feed::{self, FeedActor, Told};
use crate::log::appender::{Appender, Ends, OnDeath};
use crate::log::feed::Tap;
use crate::log::{Bounds, LogId, NewTopic, TopicRecord, Unavailable, Visibility};
use crate::meter::Awake;
use crate::topic::messages::{Life, ToOutlet};
use crate::topic::{Birth, TopicActor, now_ms};
use crate::topic_key::{TopicKey, TopicKind};

/// A wake under way. If it ends without having told its waiters, they are let go: each is told that it was abandoned.
struct Waking<'a> {
    inner: &'a Inner,
    key: &'a TopicKey,
    done: bool,
}

impl Drop for Waking<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        tracing::error!(topic = %self.key, "a topic could not be woken: the wake died");
        let mut shard = self.inner.shard(self.key).lock();
        if matches!(shard.get(self.key), Some(Entry::Waking(_))) {
            shard.remove(self.key);
        }
    }
}

impl Inner {
    /// Starts the appender of a worker again whenever it dies.
    pub(super) fn guard(inner: &Arc<Self>, worker: usize, appender: &Addr<Appender>) {
        let weak = Arc::downgrade(inner);
        let revive = move || {
            let Some(inner) = weak.upgrade().filter(|inner| !inner.closing.load(Ordering::Relaxed)) else { return };
            tracing::error!(worker, "an appender died and is started again");
            let appender = Appender::new(inner.ground.log.clone()).start();
            Self::guard(&inner, worker, &appender);
            // Unless another thread has taken the seat.
            if let Some(seat) = &mut inner.seats.write()[worker]
                && !seat.appender.connected()
            {
                seat.appender = appender;
            }
        };
        appender.do_send(OnDeath(Box::new(revive)));
    }

    pub(super) async fn wake(self: Arc<Self>, key: TopicKey) {
        let mut guard = Waking { inner: &self, key: &key, done: false };
        let found = if key.kind() == TopicKind::Feed {
            self.start_feed(&key).await
        } else {
            let found = self.load(&key).await;
            found.map(|found| found.and_then(|(record, bounds)| self.start(record, bounds)))
        };
        let waiters = {
            let mut shard = self.shard(&key).lock();
            let entry = match &found {
                Ok(Some(handle)) => {
                    shard.insert(key.clone(), Entry::Awake { handle: handle.clone(), looked_up: 1, at_ms: now_ms() })
                }
                _ => shard.remove(&key),
            };
            match entry {
                Some(Entry::Waking(waiters)) => waiters,
                _ => Vec::new(),
            }
        };
        guard.done = true;
        if let Ok(Some(handle)) = &found {
            self.outlets.send_all(|| ToOutlet::Awake { key: key.clone(), life: handle.life });
        }
        for waiter in waiters {
            // A waiter that left needs no answer.
            let _ = waiter.send(found.clone());
        }
    }

    async fn load(&self, key: &TopicKey) -> Result<Option<(TopicRecord, Bounds)>, Unavailable> {
        let Some((record, _)) = self.ground.topics.find(key).await? else { return Ok(None) };
        // Behind whatever an earlier life of the actor still had in flight, or in the hands of its appender.
        let appender = self.seats.read()[self.worker_of(key)].as_ref().map(|seat| seat.appender.clone());
        let appender = appender.ok_or_else(|| Unavailable::from("the topic's worker is not seated"))?;
        let bounds = appender.send(Ends(record.log)).await.map_err(|error| Unavailable::from(error.to_string()))??;
        Ok(Some((record, bounds)))
    }

    fn start(self: &Arc<Self>, record: TopicRecord, bounds: Bounds) -> Option<TopicHandle> {
        let record = Arc::new(record);
        let life = self.next_life();
        let seats = self.seats.read();
        let seat = seats[self.worker_of(&record.topic.key)].as_ref()?;
        let meter = self.meters.of(&record.topic.key.scope());
        let birth = Birth {
            record: record.clone(),
            bounds,
            limits: *self.limits.read(),
            life,
            log: self.ground.log.clone(),
            appender: seat.appender.clone(),
            outlets: self.outlets.clone(),
            awake: Awake::new(meter.clone()),
            on_death: self.on_death(&record.topic.key, life),
        };
        let addr = TopicActor::start_in_arbiter(&seat.arbiter, move |_| TopicActor::new(birth));
        Some(TopicHandle { addr: Address::Topic(addr), record, life, meter })
    }

    /// The feed of a scope: it begins where its store begins to tell it.
    async fn start_feed(self: &Arc<Self>, key: &TopicKey) -> Found {
        let Some(log) = self.ground.feeds.clone() else { return Ok(None) };
        let teller: Arc<OnceLock<WeakAddr<FeedActor>>> = Arc::default();
        let told = teller.clone();
        let tap = Arc::new(Tap::new(move || {
            if let Some(feed) = told.get().and_then(WeakAddr::upgrade) {
                feed.do_send(Told);
            }
        }));
        let ends = log.tap(&key.scope(), &tap).await?;
        let life = self.next_life();
        let (limits, outlets) = (*self.limits.read(), self.outlets.clone());
        let on_death = self.on_death(key, life);
        let meter = self.meters.of(&key.scope());
        let (record, awake) = (Arc::new(feed_record(key, ends.incarnation)), Awake::new(meter.clone()));
        let birth = feed::Birth { record: record.clone(), ends, limits, life, log, tap, outlets, awake, on_death };
        let seats = self.seats.read();
        let seat = seats[self.worker_of(key)].as_ref();
        let seat = seat.ok_or_else(|| Unavailable::from("the feed's worker is not seated"))?;
        let addr = FeedActor::start_in_arbiter(&seat.arbiter, move |_| FeedActor::new(birth));
        // What it was told before it could be woken.
        if teller.set(addr.downgrade()).is_ok() {
            addr.do_send(Told);
        }
        Ok(Some(TopicHandle { addr: Address::Feed(addr), record, life, meter }))
    }

    fn next_life(&self) -> Life {
        Life(self.lives.fetch_add(1, Ordering::Relaxed))
    }

    /// What is done when a life ends that was not to.
    fn on_death(self: &Arc<Self>, key: &TopicKey, life: Life) -> Box<dyn FnOnce() + Send> {
        let (weak, key) = (Arc::downgrade(self), key.clone());
        Box::new(move || {
            let Some(inner) = weak.upgrade().filter(|inner| !inner.closing.load(Ordering::Relaxed)) else { return };
            tracing::error!(topic = %key, "a topic died and is replaced");
            inner.forget(&key, life, None);
            inner.outlets.send_all(|| ToOutlet::Lost { key: key.clone(), life });
        })
    }
}

/// What stands for the feed where topics have their record: nobody's, with no log of its own.
fn feed_record(key: &TopicKey, incarnation: Incarnation) -> TopicRecord {
    let topic = NewTopic {
        key: key.clone(),
        creator: "".into(),
        title: None,
        visibility: Visibility::Team,
        members: Vec::new(),
        created_at_ms: 0,
        incarnation,
    };
    TopicRecord { log: LogId(0), topic }
}
