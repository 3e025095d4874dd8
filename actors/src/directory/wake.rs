//! How a topic wakes: its record and the ends of its log are read, its actor is started, whoever waits is told.
//!
//! Whatever dies on the way leaves nobody waiting: who looked for the topic is told that it could not be had, and an
//! appender is started again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::{Actor, Addr};

use super::{Entry, Inner, TopicHandle};
use crate::log::appender::{Appender, Ends, OnDeath};
use crate::log::{Bounds, TopicRecord, Unavailable};
use crate::topic::messages::{Life, ToOutlet};
use crate::topic::{Birth, TopicActor, now_ms};
use crate::topic_key::TopicKey;

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
        let found = self.load(&key).await;
        let found = found.map(|found| found.and_then(|(record, bounds)| self.clone().start(record, bounds)));
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

    fn start(self: Arc<Self>, record: TopicRecord, bounds: Bounds) -> Option<TopicHandle> {
        let key = record.topic.key.clone();
        let record = Arc::new(record);
        let life = Life(self.lives.fetch_add(1, Ordering::Relaxed));
        let weak = Arc::downgrade(&self);
        let on_death = Box::new(move || {
            let Some(inner) = weak.upgrade().filter(|inner| !inner.closing.load(Ordering::Relaxed)) else { return };
            tracing::error!(topic = %key, "a topic died and is replaced");
            inner.forget(&key, life, None);
            inner.outlets.send_all(|| ToOutlet::Lost { key: key.clone(), life });
        });
        let seats = self.seats.read();
        let seat = seats[self.worker_of(&record.topic.key)].as_ref()?;
        let birth = Birth {
            record: record.clone(),
            bounds,
            limits: *self.limits.read(),
            life,
            log: self.ground.log.clone(),
            appender: seat.appender.clone(),
            outlets: self.outlets.clone(),
            on_death,
        };
        let addr = TopicActor::start_in_arbiter(&seat.arbiter, move |_| TopicActor::new(birth));
        Some(TopicHandle { addr, record, life })
    }
}
