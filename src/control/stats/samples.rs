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
    kept: Mutex<Kept>,
}

/// The newest sample.
struct Kept {
    sample: Option<Arc<Sample>>,
    /// When the next may be taken.
    due: Instant,
}

impl Samples {
    /// Of a hub that begins now.
    #[must_use]
    pub fn new(ground: Arc<Ground>) -> Self {
        let kept = Mutex::new(Kept { sample: None, due: Instant::now() });
        Self { ground, started_ms: now_ms(), kept }
    }

    /// The newest sample, taken now if it is older than [`EVERY`]. Whoever comes while one is taken gets the same.
    pub async fn latest(&self) -> Arc<Sample> {
        let mut kept = self.kept.lock().await;
        if let Some(sample) = kept.sample.as_ref().filter(|_| Instant::now() < kept.due) {
            return sample.clone();
        }
        // Who left while theirs was taken has left none: its time counts all the same.
        sleep_until(kept.due).await;
        (kept.sample, kept.due) = (None, Instant::now() + EVERY);
        let sample = Arc::new(Sample::take(&self.ground).await);
        kept.sample = Some(sample.clone());
        sample
    }
}
