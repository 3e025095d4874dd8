//! `tambour bench publish`: durable events over HTTP, one by one, in arrays, or as the lines of one upload.

use super::http_load::{Answers, HttpLoad, post};
use super::hub_process::{DataDir, Hub};
use super::publisher::data;
use super::report::Row;
use super::upload::upload;
use super::{BenchError, Common, setup};
use crate::proc_stat::{CpuMark, now_ns};

/// Publishing over keep-alive connections, one request in flight on each.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PublishArgs {
    /// Connections, which is the number of requests in flight
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    /// Threads published to
    #[arg(long, default_value_t = 64)]
    topics: usize,
    /// Bytes of an event's data
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    /// Events in one request; 1: no array
    #[arg(long, default_value_t = 1)]
    array: usize,
    /// One upload of lines on one connection instead
    #[arg(long, conflicts_with_all = ["in_flight", "topics", "array", "seconds", "warmup_seconds"])]
    ndjson: bool,
    /// Events of the upload; a tenth of it before is not counted
    #[arg(long, default_value_t = 500_000, requires = "ndjson", value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Length of the measurement
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds before it that are not counted
    #[arg(long, default_value_t = 1.0)]
    warmup_seconds: f64,
}

impl PublishArgs {
    /// Measures once.
    ///
    /// # Errors
    /// When the hub can't be run or refuses.
    pub(crate) fn run(&self, common: &Common) -> Result<Row, BenchError> {
        if self.ndjson {
            return self.upload(common);
        }
        common.room_for(self.in_flight)?;
        let directory = DataDir::new(common.data.as_deref())?;
        let hub = Hub::start(common, &directory)?;
        setup::create_topics(&hub, self.topics)?;
        let requests: Vec<Vec<u8>> = (0..self.topics).map(|topic| self.request(&hub, topic)).collect();
        let mut load = HttpLoad::connect(hub.server.addr, self.in_flight)?;
        drive_for(&mut load, &requests, self.warmup_seconds)?;

        let (cpu, commits) = (CpuMark::of(hub.server.pid())?, hub.server.commits());
        let answers = drive_for(&mut load, &requests, self.seconds)?;
        let cpu_ns = cpu.until(&CpuMark::of(hub.server.pid())?);
        let commits = hub.server.commits().zip(commits).map(|(after, before)| after - before);

        let events = answers.acks as f64 * self.array as f64;
        let mut row = Row::new(if self.array > 1 { "publish-array" } else { "publish" }, "http");
        row.set("in_flight", self.in_flight as f64);
        row.set("array", self.array as f64);
        row.set("acks_per_s", answers.acks_per_s());
        row.set("events_per_s", answers.acks_per_s() * self.array as f64);
        match commits {
            Some(commits) => row.set("acks_per_fsync", answers.acks as f64 / commits.max(1.0)),
            None => row.note("the hub does not count its commits"),
        }
        row.latency("p50_ms", answers.latency.percentile(0.5));
        row.latency("p99_ms", answers.latency.percentile(0.99));
        row.latency("max_ms", Some(answers.latency.max()));
        row.set("cpu_us_per_event", cpu_ns as f64 / 1e3 / events.max(1.0));
        Ok(row)
    }

    fn upload(&self, common: &Common) -> Result<Row, BenchError> {
        let directory = DataDir::new(common.data.as_deref())?;
        let hub = Hub::start(common, &directory)?;
        setup::create_topics(&hub, 1)?;
        upload(&hub, self.events.div_ceil(10), self.bytes)?;

        let (cpu, commits) = (CpuMark::of(hub.server.pid())?, hub.server.commits());
        let took_ns = upload(&hub, self.events, self.bytes)?;
        let cpu_ns = cpu.until(&CpuMark::of(hub.server.pid())?);
        let commits = hub.server.commits().zip(commits).map(|(after, before)| after - before);

        let events = self.events as f64;
        let mut row = Row::new("publish-ndjson", "http");
        row.set("events", events);
        row.set("events_per_s", events * 1e9 / took_ns.max(1) as f64);
        match commits {
            Some(commits) => row.set("events_per_fsync", events / commits.max(1.0)),
            None => row.note("the hub does not count its commits"),
        }
        row.set("cpu_us_per_event", cpu_ns as f64 / 1e3 / events);
        Ok(row)
    }

    fn request(&self, hub: &Hub, topic: usize) -> Vec<u8> {
        let body = if self.array > 1 {
            setup::array(self.array, self.bytes)
        } else {
            format!(r#"{{"type":"bench","data":{}}}"#, data(self.bytes))
        };
        post(hub.server.addr, &hub.token, &setup::events_path(topic), &body)
    }
}

fn drive_for(load: &mut HttpLoad, requests: &[Vec<u8>], seconds: f64) -> Result<Answers, BenchError> {
    let end = now_ns() + (seconds * 1e9) as u64;
    let mut turns = requests.iter().cycle();
    load.drive(None, |out| {
        out.extend_from_slice(turns.next().map_or(&[], Vec::as_slice));
        let more = now_ns() < end;
        if !more {
            out.clear();
        }
        more
    })
}
