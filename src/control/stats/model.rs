//! Numbers as they are shown: totals since the hub began, and what there is now.

use serde::Serialize;
use tambour_actors::frame::time_text;
use tambour_actors::meter::{BOUNDS_US, Counted};
use tambour_actors::topic_key::Scope;
use utoipa::ToSchema;

use super::samples::{Numbers, Sample};
use crate::openapi::shapes;

/// What is counted. Totals count from `started_at`: whoever makes rates of two answers begins anew where it has changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stats {
    /// When it was counted: at most half a second ago.
    #[schema(value_type = shapes::Time)]
    at: String,
    /// When the hub's process began.
    #[schema(value_type = shapes::Time)]
    started_at: String,
    /// Of the caller's tenant and env.
    scope: ScopeStats,
    /// Of the whole hub: for tenants that `stats.operator_tenants` names.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    hub: Option<HubStats>,
}

/// What one tenant and env does, or all of them together.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScopeStats {
    /// Connections that there are.
    connections: u64,
    /// Threads, canvases and the feed that are in memory.
    topics_awake: u64,
    /// Subscriptions: a connection that reads two threads is two readers.
    readers: u64,
    /// Of those, how many have not been written the newest event.
    readers_behind: u64,
    /// How many events the most behind of them is; readers of the feed are left out.
    lag_events_max: u64,
    /// Events that were committed to threads and canvases.
    events_total: u64,
    /// Events that were written to readers' connections, each once for each reader.
    deliveries_total: u64,
    delivery_seconds: Histogram,
    /// Whether every worker of the hub has told in time how far its readers are behind.
    complete: bool,
}

/// How long live deliveries took, from the publish to the write. Replays are not in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Histogram {
    /// Upper bounds of the buckets in seconds, each included.
    bounds: Vec<f64>,
    /// How many there are in each bucket, not added up; the last is for those above every bound.
    counts: Vec<u64>,
}

/// What the whole hub does.
#[derive(Debug, Serialize, ToSchema)]
pub struct HubStats {
    #[serde(flatten)]
    all: ScopeStats,
    /// Resident memory of the process, where the system tells it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    /// CPU that the process has used.
    cpu_seconds_total: f64,
    /// Calls that wait for the store's writer.
    write_queue: usize,
    /// Commits to the disk.
    commits_total: u64,
    /// Time spent in them.
    commit_seconds_total: f64,
    /// Size of the database file, without the write-ahead log beside it.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    store_bytes: Option<u64>,
    /// Whether the store has no room for what is to be written.
    store_full: bool,
}

impl Stats {
    /// A sample as somebody of a scope sees it, perhaps with the whole hub.
    #[must_use]
    pub fn of(sample: &Sample, started_ms: i64, scope: &Scope, with_hub: bool) -> Self {
        Self {
            at: time_text(sample.at_ms),
            started_at: time_text(started_ms),
            scope: ScopeStats::of(sample.scope(scope), sample.complete),
            hub: with_hub.then(|| HubStats::of(sample)),
        }
    }
}

impl ScopeStats {
    fn of(Numbers { connections, counted, lag }: Numbers, complete: bool) -> Self {
        let Counted { events, deliveries, took, topics, readers, .. } = counted;
        Self {
            connections,
            topics_awake: topics,
            readers,
            readers_behind: lag.readers,
            lag_events_max: lag.events_max,
            events_total: events,
            deliveries_total: deliveries,
            delivery_seconds: Histogram { bounds: BOUNDS_US.map(seconds).into(), counts: took.into() },
            complete,
        }
    }
}

impl HubStats {
    fn of(sample: &Sample) -> Self {
        let store = &sample.store;
        Self {
            all: ScopeStats::of(sample.hub, sample.complete),
            memory_bytes: sample.memory_bytes,
            cpu_seconds_total: seconds(sample.cpu_ns / 1_000),
            write_queue: store.write_queue,
            commits_total: store.commits,
            commit_seconds_total: seconds(store.commit_us),
            store_bytes: sample.store_bytes,
            store_full: store.full,
        }
    }
}

/// Microseconds in seconds.
#[must_use]
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
