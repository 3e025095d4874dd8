//! The documentation of live numbers.

use serde_json::{Value, json};
use tambour_actors::meter::{BOUNDS_US, BUCKETS};

use super::Doc;
use super::doc::{JSON, SERVICE, Typed};
use crate::control::stats::model::{Histogram, HubStats, ScopeStats, Stats, seconds};
use crate::routes::RouteSpec;

fn numbers() -> Value {
    let mut counts = [0; BUCKETS];
    (counts[5], counts[6]) = (12, 3);
    json!({
        "connections": 3, "topics_awake": 1, "readers": 3, "readers_behind": 0, "lag_events_max": 0, "events_total": 5,
        "deliveries_total": 15, "delivery_seconds": { "bounds": BOUNDS_US.map(seconds), "counts": counts.to_vec() },
        "complete": true,
    })
}

fn shown(hub: Option<Value>) -> Value {
    let mut stats = json!({
        "at": "2026-11-22T13:58:28.071Z", "started_at": "2026-11-22T12:40:05.123Z", "scope": numbers(),
    });
    if let Some(hub) = hub {
        stats["hub"] = hub;
    }
    stats
}

/// `GET /v1/stats`
pub fn show(_: &RouteSpec) -> Doc {
    let mut hub = numbers();
    let process = json!({
        "memory_bytes": 41_943_040, "cpu_seconds_total": 3.25, "write_queue": 0, "commits_total": 9,
        "commit_seconds_total": 0.018, "store_bytes": 4_194_304, "store_full": false,
    });
    hub.as_object_mut().into_iter().for_each(|hub| hub.extend(process.as_object().cloned().unwrap_or_default()));
    let stats = Typed::of::<Stats>().and::<ScopeStats>().and::<HubStats>().and::<Histogram>();
    let stats = stats.example("tenant", "A tenant and env", shown(None));
    let stats = stats.example("operator", "And the whole hub", shown(Some(hub)));
    Doc::new(SERVICE, "What is counted, of the caller's tenant and env")
        .says("Totals since the hub began, and what there is now. Counted at most twice a second, and never rated. `hub` is for the tenants of `stats.operator_tenants`.")
        .answers(200, "Now, or at most half a second ago.", [(JSON, stats)])
}
