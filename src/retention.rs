//! Retention: what is kept no longer by the settings is trimmed, topic by topic, all the time that the hub runs.
//!
//! It decides nothing about a log: the store finds what is overdue, and trims in slices beside the writers. Readers are not
//! told here; a topic is, and whoever stands before what is kept learns it as a gap.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, select};
use tambour_actors::log::{EventLog as _, LogId, Unavailable};
use tambour_actors::topic::now_ms;

use crate::admission::Ground;
use crate::config::Retention;
use crate::store::sqlite::{Keep, Keeps};

/// How often it is looked whether it is time, because the settings may say something else by then.
const TICK: Duration = Duration::from_secs(1);

/// Trims until the hub drains.
pub async fn run(ground: Arc<Ground>) {
    let rounds = async {
        loop {
            wait(&ground).await;
            match round(&ground).await {
                Ok(0) => {}
                Ok(events) => {
                    metrics::counter!("tambour_retention_events_total").increment(events);
                    tracing::info!(events, "what is kept no longer is gone");
                }
                Err(error) => tracing::error!(%error, "a round of retention failed; the next one tries again"),
            }
        }
    };
    select(pin!(rounds), pin!(ground.draining.begun())).await;
}

/// Waits until the next round is due.
async fn wait(ground: &Ground) {
    let since = Instant::now();
    let left = || {
        let every = Duration::from_secs(ground.terms().settings.retention.every_seconds);
        every.saturating_sub(since.elapsed())
    };
    while !left().is_zero() {
        tokio::time::sleep(left().min(TICK)).await;
    }
}

/// Looks at all topics once. How many events went.
async fn round(ground: &Ground) -> Result<u64, Unavailable> {
    let keeps = keeps(&ground.terms().settings.retention);
    if keeps == Keeps::default() {
        return Ok(0);
    }
    let (mut after, mut events) = (LogId(0), 0);
    loop {
        let overdue = ground.store.overdue(after, keeps, now_ms()).await?;
        let trims = overdue.logs.into_iter().map(|(key, log, gone)| async move {
            let bounds = ground.store.trim(log, gone.end).await?;
            ground.directory.trimmed(&key, log, bounds.oldest);
            Ok::<u64, Unavailable>(gone.end - gone.start)
        });
        // Together, so that they share transactions.
        for trimmed in join_all(trims).await {
            events += trimmed?;
        }
        match overdue.next {
            // The same logs once more: so much was overdue that not all of it was looked at.
            _ if overdue.more => {}
            Some(last) => after = last,
            None => return Ok(events),
        }
    }
}

fn keeps(settings: &Retention) -> Keeps {
    let keep = |count_max, age_seconds: u64, bytes_max| Keep { count_max, age_ms: age_seconds * 1_000, bytes_max };
    Keeps {
        thread: keep(settings.thread_count_max, settings.thread_age_seconds, settings.thread_bytes_max),
        canvas: keep(settings.canvas_count_max, settings.canvas_age_seconds, settings.canvas_bytes_max),
    }
}
