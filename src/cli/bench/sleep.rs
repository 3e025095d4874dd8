//! `tambour bench sleep`: many threads known, some awake: memory, and the time to wake.

use super::http_load::{HttpLoad, post};
use super::hub_process::{DataDir, Hub};
use super::report::Row;
use super::{BenchError, Common, setup};
use crate::proc_stat::{Memory, now_ns};

/// Threads that are known, and the first event of some after a restart.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SleepArgs {
    /// Threads known
    #[arg(long, default_value_t = 200_000)]
    topics: usize,
    /// Threads that are woken by one event each
    #[arg(long, default_value_t = 20_000)]
    awake: usize,
    /// Events a second that wake threads
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
}

impl SleepArgs {
    /// Measures once.
    ///
    /// # Errors
    /// When the hub can't be run or refuses.
    pub(crate) fn run(&self, common: &Common) -> Result<Row, BenchError> {
        let data = DataDir::new(common.data.as_deref())?;
        let hub = Hub::start(common, &data)?;
        setup::create_topics(&hub, self.topics)?;
        drop(hub);

        let restart = now_ns();
        let hub = Hub::start(common, &data)?;
        let restart_ns = now_ns() - restart;
        let asleep = Memory::of(hub.server.pid())?;
        // Two rounds: the first event of a thread wakes it, the second shows what an event of
        // an awake one takes under the same load.
        let mut load = HttpLoad::connect(hub.server.addr, 64)?;
        let waking = self.round(&hub, &mut load)?;
        let awake = Memory::of(hub.server.pid())?;
        let again = self.round(&hub, &mut load)?;

        let mut row = Row::new("sleep", "http");
        row.set("topics", self.topics as f64);
        row.set("awake", self.awake as f64);
        row.latency("restart_ms", Some(restart_ns));
        row.set("rss_bytes_asleep", asleep.rss as f64);
        row.set("anon_bytes_per_awake", awake.growth(asleep).1 / self.awake as f64);
        row.set("rss_bytes_per_awake", awake.growth(asleep).0 / self.awake as f64);
        row.latency("wake_p50_ms", waking.latency.percentile(0.5));
        row.latency("wake_p99_ms", waking.latency.percentile(0.99));
        row.latency("awake_p50_ms", again.latency.percentile(0.5));
        row.latency("awake_p99_ms", again.latency.percentile(0.99));
        Ok(row)
    }

    fn round(&self, hub: &Hub, load: &mut HttpLoad) -> Result<super::http_load::Answers, BenchError> {
        let addr = hub.server.addr;
        // Spread over all that are known, so that neighbours on the disk don't help.
        let step = (self.topics / self.awake.max(1)).max(1);
        let mut number = 0;
        load.drive(Some(self.rate), |out| {
            if number == self.awake {
                return false;
            }
            let path = setup::events_path(number * step % self.topics);
            out.extend(post(addr, &hub.token, &path, r#"{"type":"bench","data":{}}"#));
            number += 1;
            true
        })
    }
}
