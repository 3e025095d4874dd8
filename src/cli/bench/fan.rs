//! One event to many readers, measured twice in one run: by a hub and by the floor, with the
//! same readers, bytes, pace and ticks. `fanout` and `small` are settings of this.

use std::process::Command;
use std::time::Duration;

use super::floor_server::SEQ_BASE;
use super::hub_process::{DataDir, Hub, ServerProcess};
use super::publisher::{Pace, Publisher};
use super::readers::{Peer, Plan, Readers, Seen, Start, Through};
use super::report::Row;
use super::scan::Wire;
use super::{BenchError, Common, setup};
use crate::proc_stat::{Memory, Meter, Spent, now_ns};

/// How long a phase of the floor may take beyond its seconds.
const FLOOR_PATIENCE: Duration = Duration::from_secs(60);

/// How fast events come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speed {
    /// So many a second.
    Paced(Pace),
    /// As many as go, with at most so many published and not seen by the slowest reader.
    Full(u64),
}

/// One measurement's settings.
#[derive(Debug, Clone)]
pub(crate) struct Fan {
    /// The row's name.
    pub(crate) mode: &'static str,
    /// How readers are served.
    pub(crate) wire: Wire,
    /// Sockets.
    pub(crate) connections: usize,
    /// What readers read; the feed only with one topic.
    pub(crate) through: Through,
    /// Topics.
    pub(crate) topics: usize,
    /// Consecutive topics of each socket.
    pub(crate) topics_per_socket: usize,
    /// How fast.
    pub(crate) speed: Speed,
    /// Bytes of each event's data.
    pub(crate) bytes: usize,
    /// Length of the measured phase.
    pub(crate) seconds: f64,
    /// Length of the phase before it, which is not counted.
    pub(crate) warmup_seconds: f64,
    /// Whether the hub speaks TLS.
    pub(crate) tls: bool,
    /// Don't measure a hub.
    pub(crate) floor_only: bool,
    /// Don't measure the floor.
    pub(crate) no_floor: bool,
}

/// What one side of the comparison cost.
#[derive(Debug)]
struct Measured {
    seen: Seen,
    cpu_us_per_delivery: f64,
    /// The generator's own CPU: what it takes from the server on a small machine.
    load_us_per_delivery: f64,
    deliveries_per_s: f64,
    frame_bytes: usize,
    rss_per_conn: f64,
    ack_p99_ns: Option<u64>,
}

impl Measured {
    fn new(seen: Seen, spent: &Spent, elapsed_ns: u64) -> Self {
        let deliveries = seen.deliveries.max(1);
        Self {
            cpu_us_per_delivery: spent.server_ns as f64 / 1e3 / deliveries as f64,
            load_us_per_delivery: spent.load_ns as f64 / 1e3 / deliveries as f64,
            deliveries_per_s: deliveries as f64 * 1e9 / elapsed_ns.max(1) as f64,
            frame_bytes: (seen.event_bytes as f64 / deliveries as f64).round() as usize,
            rss_per_conn: 0.0,
            ack_p99_ns: None,
            seen,
        }
    }
}

impl Fan {
    /// Measures hub and floor, and makes a row of both.
    ///
    /// # Errors
    /// When either can't be run.
    pub(crate) fn run(&self, common: &Common) -> Result<Row, BenchError> {
        let mut row = Row::new(self.mode, self.wire.as_str());
        row.set("subscribers", self.connections as f64);
        if let Speed::Paced(pace) = self.speed {
            row.set("rate", pace.rate);
        }
        let hub = if self.floor_only { None } else { Some(self.hub(common)?) };
        let frame_bytes = hub.as_ref().map_or(self.bytes + 270, |hub| hub.frame_bytes);
        let floor = if self.no_floor { None } else { Some(self.floor(common, frame_bytes)?) };
        row.set("frame_bytes", frame_bytes as f64);
        if let Some(side) = hub.as_ref().or(floor.as_ref()) {
            row.seen(&side.seen);
            row.set("deliveries_per_s", side.deliveries_per_s);
            row.set("load_us_per_delivery", side.load_us_per_delivery);
        }
        if let Some(hub) = &hub {
            row.set("cpu_us_per_delivery", hub.cpu_us_per_delivery);
            row.set("rss_bytes_per_conn", hub.rss_per_conn);
            row.latency("ack_p99_ms", hub.ack_p99_ns);
        }
        if let Some(floor) = &floor {
            row.set("floor_us", floor.cpu_us_per_delivery);
            row.latency("floor_p99_ms", floor.seen.latency.percentile(0.99));
        }
        if let (Some(hub), Some(floor)) = (&hub, &floor) {
            row.set("ratio", hub.cpu_us_per_delivery / floor.cpu_us_per_delivery);
        }
        Ok(row)
    }

    fn plan(&self, common: &Common, server: &ServerProcess, peer: Peer) -> Plan {
        Plan {
            addr: server.addr,
            wire: self.wire,
            peer,
            connections: self.connections,
            through: self.through,
            topics: self.topics,
            topics_per_socket: self.topics_per_socket,
            start: Start::Head,
            on_command: false,
            // At full speed a search for the clock in each delivery would be felt.
            sample_every: if matches!(self.speed, Speed::Full(_)) { 16 } else { 1 },
            threads: common.threads,
        }
    }

    /// Readers of each topic.
    fn readers_per_topic(&self) -> u64 {
        (self.connections / self.topics.div_ceil(self.topics_per_socket)) as u64
    }

    fn hub(&self, common: &Common) -> Result<Measured, BenchError> {
        let data = DataDir::new(common.data.as_deref())?;
        let hub = Hub::start_with(common, &data, self.tls)?;
        setup::create_topics(&hub, self.topics)?;
        let memory = Memory::of(hub.server.pid())?;
        let mut readers = Readers::connect(self.plan(common, &hub.server, Peer::Hub(hub.token.clone())))?;
        let connected = Memory::of(hub.server.pid())?;
        let mut publisher = Publisher::connect(hub.server.addr, &hub.token, self.topics, self.bytes)?;
        self.publish(&mut publisher, &mut readers, self.warmup_seconds)?;
        readers.take(publisher.sent.clone())?;
        publisher.acks = super::histogram::Histogram::default();

        let (meter, start) = (Meter::start(hub.server.pid())?, now_ns());
        self.publish(&mut publisher, &mut readers, self.seconds)?;
        let spent = meter.stop()?;
        let seen = readers.take(publisher.sent.clone())?;
        let elapsed = seen.last_delivery_ns.saturating_sub(start);
        let mut measured = Measured::new(seen, &spent, elapsed);
        measured.rss_per_conn = connected.growth(memory).0 / self.connections as f64;
        measured.ack_p99_ns = publisher.acks.percentile(0.99);
        Ok(measured)
    }

    /// One phase, up to the last delivery.
    fn publish(&self, publisher: &mut Publisher, readers: &mut Readers, seconds: f64) -> Result<(), BenchError> {
        let topics = self.topics as u64;
        match self.speed {
            Speed::Paced(pace) => publisher.paced(Pace { seconds, ..pace }, |event| (event % topics) as usize)?,
            Speed::Full(window) => publisher.full(window, seconds, readers.lowest())?,
        }
        readers.wait_delivered(publisher.sent.iter().sum::<u64>() * self.readers_per_topic())
    }

    fn floor(&self, common: &Common, frame_bytes: usize) -> Result<Measured, BenchError> {
        let mut command = Command::new(std::env::current_exe()?);
        let (rate, tick_ns) = if let Speed::Paced(pace) = self.speed { (pace.rate, pace.tick_ns) } else { (0.0, 1) };
        let numbers = [self.connections, self.topics, self.topics_per_socket, frame_bytes];
        let names = ["--connections", "--topics", "--topics-per-socket", "--frame-bytes"];
        command.args([
            "bench",
            "floor-server",
            "--wire",
            self.wire.as_str(),
            "--rate",
            &rate.to_string(),
            "--tick-ns",
            &tick_ns.to_string(),
        ]);
        for (name, number) in names.iter().zip(numbers) {
            command.args([name, number.to_string().as_str()]);
        }
        let mut floor = ServerProcess::start(command, None)?;
        let mut readers = Readers::connect(self.plan(common, &floor, Peer::Floor(SEQ_BASE)))?;
        self.floor_phase(&mut floor, &mut readers, self.warmup_seconds)?;
        readers.take(Vec::new())?;

        let (meter, start) = (Meter::start(floor.pid())?, now_ns());
        self.floor_phase(&mut floor, &mut readers, self.seconds)?;
        let spent = meter.stop()?;
        let seen = readers.take(Vec::new())?;
        let elapsed = seen.last_delivery_ns.saturating_sub(start);
        Ok(Measured::new(seen, &spent, elapsed))
    }

    fn floor_phase(&self, floor: &mut ServerProcess, readers: &mut Readers, seconds: f64) -> Result<(), BenchError> {
        floor.tell(&format!("go {seconds}"))?;
        let done = floor.hear(FLOOR_PATIENCE + Duration::from_secs_f64(seconds))?;
        let writes = done.split(' ').nth(2).and_then(|writes| writes.parse().ok());
        let writes = writes.ok_or_else(|| BenchError::Late(format!("the floor's end: {done}")))?;
        readers.wait_delivered(writes)
    }
}
