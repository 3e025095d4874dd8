//! Meters: what a tenant and env does, counted where it happens.
//!
//! Atomic numbers and nothing else: no lock on the way of an event, no clock. Who counts adds once for a batch, never for
//! each reader, so that counting costs nothing that can be measured. Nothing is decided by these numbers.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::topic_key::Scope;

/// Upper bounds of the buckets of how long a delivery took, in microseconds, each included: four to a power of ten.
pub const BOUNDS_US: [u64; 21] = [
    100, 180, 320, 560, 1_000, 1_800, 3_200, 5_600, 10_000, 18_000, 32_000, 56_000, 100_000, 180_000, 320_000, 560_000,
    1_000_000, 1_800_000, 3_200_000, 5_600_000, 10_000_000,
];
/// How many buckets there are: the last is for what took longer than every bound.
pub const BUCKETS: usize = BOUNDS_US.len() + 1;

/// What one tenant and env does. Totals only grow.
#[derive(Debug, Default)]
pub struct Meter {
    events: AtomicU64,
    deliveries: AtomicU64,
    took: [AtomicU64; BUCKETS],
    took_us: AtomicU64,
    topics: AtomicU64,
    readers: AtomicU64,
}

/// What a meter, or several together, have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Events that topics have committed.
    pub events: u64,
    /// Events that were written to a reader's socket, each once for each reader; replayed ones too.
    pub deliveries: u64,
    /// Of live deliveries, how many took how long, from the topic's taking of the publish to the write: a number for each of
    /// [`BOUNDS_US`], and one for what took longer.
    pub took: [u64; BUCKETS],
    /// How long all of them took together, in microseconds.
    pub took_us: u64,
    /// Topics that are awake now, the feed too.
    pub topics: u64,
    /// Subscriptions that there are now.
    pub readers: u64,
}

impl AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.deliveries += other.deliveries;
        self.took.iter_mut().zip(other.took).for_each(|(sum, more)| *sum += more);
        self.took_us += other.took_us;
        self.topics += other.topics;
        self.readers += other.readers;
    }
}

impl Meter {
    /// A topic has committed events.
    pub fn committed(&self, events: u64) {
        self.events.fetch_add(events, Relaxed);
    }

    /// Events of a batch were written to readers, so many in all, and it is `at` now. `taken` is when each event of the batch was
    /// taken by its topic, oldest first, where that is known. How many readers got which of them is not counted: each
    /// event is held for as many as the others, and what is left over for the oldest.
    pub fn delivered(&self, deliveries: u64, taken: impl ExactSizeIterator<Item = Option<Instant>>, at: Instant) {
        self.deliveries.fetch_add(deliveries, Relaxed);
        let events = (taken.len() as u64).max(1);
        let (each, mut left) = (deliveries / events, deliveries % events);
        let (mut took, mut took_us) = ([0; BUCKETS], 0);
        for taken in taken {
            let weight = each + u64::from(left > 0);
            left = left.saturating_sub(1);
            if let Some(taken) = taken {
                let us = microseconds(at.saturating_duration_since(taken));
                took[bucket(us)] += weight;
                took_us += us * weight;
            }
        }
        for (sum, more) in self.took.iter().zip(took).filter(|(_, more)| *more > 0) {
            sum.fetch_add(more, Relaxed);
        }
        self.took_us.fetch_add(took_us, Relaxed);
    }

    /// Events were written to a reader who was behind.
    pub fn replayed(&self, deliveries: u64) {
        self.deliveries.fetch_add(deliveries, Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn counted(&self) -> Counted {
        Counted {
            events: self.events.load(Relaxed),
            deliveries: self.deliveries.load(Relaxed),
            took: std::array::from_fn(|place| self.took[place].load(Relaxed)),
            took_us: self.took_us.load(Relaxed),
            topics: self.topics.load(Relaxed),
            readers: self.readers.load(Relaxed),
        }
    }
}

fn microseconds(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// The bucket of what took so long.
fn bucket(us: u64) -> usize {
    BOUNDS_US.partition_point(|bound| *bound < us)
}

/// A topic that is awake, counted until this is dropped, however it ends.
#[derive(Debug)]
pub struct Awake(Arc<Meter>);

impl Awake {
    /// A topic wakes.
    #[must_use]
    pub fn new(meter: Arc<Meter>) -> Self {
        meter.topics.fetch_add(1, Relaxed);
        Self(meter)
    }

    /// Where it counts.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.0
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.topics.fetch_sub(1, Relaxed);
    }
}

/// The readers that an outlet has of a topic, counted until they leave or this is dropped.
#[derive(Debug)]
pub struct Readers {
    meter: Arc<Meter>,
    here: u64,
}

impl Readers {
    /// None yet.
    #[must_use]
    pub fn new(meter: Arc<Meter>) -> Self {
        Self { meter, here: 0 }
    }

    /// Where they count.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// One more.
    pub fn join(&mut self) {
        self.here += 1;
        self.meter.readers.fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn leave(&mut self) {
        debug_assert!(self.here > 0, "a reader leaves twice");
        self.here -= 1;
        self.meter.readers.fetch_sub(1, Relaxed);
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.meter.readers.fetch_sub(self.here, Relaxed);
    }
}

/// The meters of a hub. One is made when the first topic of its scope wakes, and kept for as long as the hub lives: totals
/// would fall otherwise. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Meters(Arc<RwLock<HashMap<Scope, Arc<Meter>>>>);

impl Meters {
    /// The meter of a scope, made if there is none.
    #[must_use]
    pub fn of(&self, scope: &Scope) -> Arc<Meter> {
        if let Some(known) = self.0.read().get(scope) {
            return known.clone();
        }
        self.0.write().entry(scope.clone()).or_default().clone()
    }

    /// What each has counted so far.
    #[must_use]
    pub fn counted(&self) -> HashMap<Scope, Counted> {
        self.0.read().iter().map(|(scope, meter)| (scope.clone(), meter.counted())).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::topic_key::{Env, Tenant};

    #[test]
    fn a_bound_is_the_last_of_its_bucket() {
        assert!(BOUNDS_US.is_sorted_by(|one, next| one < next));
        for (place, bound) in BOUNDS_US.iter().enumerate() {
            assert_eq!((bucket(*bound), bucket(bound + 1)), (place, place + 1));
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    proptest! {
        /// Each delivery of an event whose time is known is in one bucket, that of its event or of a neighbour's, and
        /// every delivery is in the total.
        #[test]
        fn buckets_are_the_deliveries(
            batches in prop::collection::vec((0_u64..40, prop::collection::vec(prop::option::of(0_u64..20_000_000), 1..9)), 0..20)
        ) {
            let (meter, began) = (Meter::default(), Instant::now());
            let at = began + Duration::from_secs(30);
            let mut expected = Counted::default();
            for (deliveries, ages_us) in &batches {
                let taken = ages_us.iter().map(|age| age.map(|us| at - Duration::from_micros(us)));
                meter.delivered(*deliveries, taken, at);
                let events = ages_us.len() as u64;
                expected.deliveries += deliveries;
                for (place, age) in ages_us.iter().enumerate() {
                    let weight = deliveries / events + u64::from((place as u64) < deliveries % events);
                    if let Some(us) = age {
                        expected.took[BOUNDS_US.iter().position(|bound| us <= bound).unwrap_or(BUCKETS - 1)] += weight;
                        expected.took_us += us * weight;
                    }
                }
            }
            prop_assert_eq!(meter.counted(), expected);
            let timed: u64 = batches.iter().filter(|(_, ages)| ages.iter().all(Option::is_some)).map(|(n, _)| n).sum();
            prop_assert!(expected.took.iter().sum::<u64>() >= timed);
        }
    }

    #[test]
    fn what_is_read_while_others_count_never_falls() {
        const ROUNDS: u64 = 20_000;
        let meter = Arc::new(Meter::default());
        let count = || {
            let meter = meter.clone();
            std::thread::spawn(move || {
                for _ in 0..ROUNDS {
                    let _awake = Awake::new(meter.clone());
                    let now = Instant::now();
                    meter.committed(2);
                    meter.delivered(6, [Some(now), Some(now)].into_iter(), now);
                    meter.replayed(1);
                }
            })
        };
        let threads = [count(), count(), count()];
        let mut before = Counted::default();
        while !threads.iter().all(std::thread::JoinHandle::is_finished) {
            let now = meter.counted();
            assert!(now.events >= before.events && now.deliveries >= before.deliveries, "{now:?} behind {before:?}");
            assert!(now.took.iter().zip(before.took).all(|(now, before)| *now >= before), "{now:?} behind {before:?}");
            assert!(now.topics <= 3, "{now:?}");
            before = now;
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let all = meter.counted();
        assert_eq!((all.events, all.deliveries, all.topics), (3 * 2 * ROUNDS, 3 * 7 * ROUNDS, 0));
        assert_eq!((all.took[0], all.took.iter().sum::<u64>()), (3 * 6 * ROUNDS, 3 * 6 * ROUNDS));
    }

    #[test]
    fn readers_go_with_whoever_counts_them() {
        let meters = Meters::default();
        let scope = |tenant, env| Scope { tenant: Tenant::parse(tenant).unwrap(), env };
        let (one, other) = (scope("t_one", Env::Dev), scope("t_one", Env::Prod));
        let mut readers = Readers::new(meters.of(&one));
        (0..3).for_each(|_| readers.join());
        readers.leave();
        let _held = Awake::new(meters.of(&other));
        let counted = meters.counted();
        assert_eq!((counted[&one].readers, counted[&one].topics), (2, 0));
        assert_eq!((counted[&other].readers, counted[&other].topics), (0, 1));
        drop(readers);
        assert_eq!(meters.counted()[&one], Counted::default());
    }
}
