//! Samples: all numbers of a hub at one moment, taken at most twice a second, however many ask.
//!
//! Plain numbers; who may see which of them is the route's business.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tambour_actors::lag::{self, Lag};
use tambour_actors::meter::Counted;
use tambour_actors::topic::now_ms;
use tambour_actors::topic_key::Scope;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::admission::Ground;
use crate::proc_stat::{Memory, own_cpu_ns};
use crate::store::sqlite::StoreStats;

/// How long a sample is good.
pub const EVERY: Duration = Duration::from_millis(500);
/// How long outlets have to say how far their readers are behind.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// The numbers of a scope, or of all together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numbers {
    /// Connections of who has proved an identity.
    pub connections: u64,
    /// What its meter has counted.
    pub counted: Counted,
    /// How far its readers are behind.
    pub lag: Lag,
}

/// A sample.
#[derive(Debug)]
pub struct Sample {
    /// When it was taken, in milliseconds since 1970.
    pub at_ms: i64,
    scopes: HashMap<Scope, Numbers>,
    /// Of all scopes together.
    pub hub: Numbers,
    /// Whether every outlet has answered in time.
    pub complete: bool,
    /// Resident memory of the process, where the system tells it.
    pub memory_bytes: Option<u64>,
    /// CPU that the process has used, in nanoseconds.
    pub cpu_ns: u64,
    /// What the store has counted.
    pub store: StoreStats,
    /// How large the database file is, without the log beside it.
    pub store_bytes: Option<u64>,
}

impl Sample {
    async fn take(ground: &Ground) -> Self {
        let (lags, complete) = lag::ask(ground.directory.outlets(), ANSWERS_WITHIN).await;
        let mut scopes: HashMap<Scope, Numbers> = HashMap::new();
        for (scope, counted) in ground.directory.meters().counted() {
            scopes.entry(scope).or_default().counted = counted;
        }
        for (scope, lag) in lags {
            scopes.entry(scope).or_default().lag = lag;
        }
        for (scope, connections) in ground.permits.by_scope() {
            scopes.entry(scope).or_default().connections = connections as u64;
        }
        let mut hub = Numbers::default();
        for of_scope in scopes.values() {
            hub.connections += of_scope.connections;
            hub.counted += of_scope.counted;
            hub.lag.join(of_scope.lag);
        }
        Self {
            at_ms: now_ms(),
            scopes,
            hub,
            complete,
            memory_bytes: Memory::of(std::process::id()).ok().map(|memory| memory.rss).filter(|bytes| *bytes > 0),
            cpu_ns: own_cpu_ns(),
            store: ground.store.stats(),
            store_bytes: ground.store.file_bytes(),
        }
    }

    /// Of one scope. Where nothing has happened yet, nothing.
    #[must_use]
    pub fn scope(&self, scope: &Scope) -> Numbers {
        self.scopes.get(scope).copied().unwrap_or_default()
    }
}

/// Where samples of a hub are had.
pub struct Samples {
    ground: Arc<Ground>,
    /// When this hub began, in milliseconds since 1970.
    pub started_ms: i64,
    shared: Shared<Sample>,
}

impl Samples {
    /// Of a hub that begins now.
    #[must_use]
    pub fn new(ground: Arc<Ground>) -> Self {
        Self { ground, started_ms: now_ms(), shared: Shared::new() }
    }

    /// The newest sample, taken now if it is older than [`EVERY`]. Whoever comes while one is taken gets the same.
    pub async fn latest(&self) -> Arc<Sample> {
        self.shared.latest(Sample::take(&self.ground)).await
    }
}

/// What is taken once in [`EVERY`] at most, for all who ask.
struct Shared<T>(Mutex<Kept<T>>);

/// The newest.
struct Kept<T> {
    sample: Option<Arc<T>>,
    /// When the next may be taken.
    due: Instant,
}

impl<T> Shared<T> {
    fn new() -> Self {
        Self(Mutex::new(Kept { sample: None, due: Instant::now() }))
    }

    /// The newest, or, when its time is over, what `take` gives; nothing of `take` is begun before.
    async fn latest(&self, take: impl Future<Output = T>) -> Arc<T> {
        let mut kept = self.0.lock().await;
        if let Some(sample) = kept.sample.as_ref().filter(|_| Instant::now() < kept.due) {
            return sample.clone();
        }
        // Who left while theirs was taken has left none: its time counts all the same.
        sleep_until(kept.due).await;
        (kept.sample, kept.due) = (None, Instant::now() + EVERY);
        let sample = Arc::new(take.await);
        kept.sample = Some(sample.clone());
        sample
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::timeout;

    use super::*;

    /// How many come and leave.
    const LEAVERS: u32 = 50;

    #[actix_web::test]
    async fn who_leaves_while_a_sample_is_taken_has_had_one() {
        let (shared, taken) = (Shared::new(), AtomicU32::new(0));
        let take = |answered: bool| {
            let taken = &taken;
            async move {
                let turn = taken.fetch_add(1, Ordering::Relaxed) + 1;
                if !answered {
                    std::future::pending::<()>().await;
                }
                turn
            }
        };
        let began = Instant::now();
        let due = || u32::try_from(began.elapsed().as_millis() / EVERY.as_millis()).unwrap() + 1;
        for _ in 0..LEAVERS {
            let patience = Duration::from_millis(5);
            assert!(timeout(patience, shared.latest(take(false))).await.is_err(), "nobody answers who asks so");
        }
        let begun = taken.load(Ordering::Relaxed);
        assert!(begun >= 1 && begun <= due(), "{begun} in {:?}", began.elapsed());
        // Who stays gets one in its time, and whoever comes then gets the same.
        let (one, other) = tokio::join!(shared.latest(take(true)), shared.latest(take(true)));
        assert!(Arc::ptr_eq(&one, &other) && *one <= due(), "{one} in {:?}", began.elapsed());
        assert!(began.elapsed() >= EVERY);
    }
}
