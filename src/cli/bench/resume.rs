//! `tambour bench resume`: readers that come back. Warm, from a thread's tail; cold, from the
//! disk after a restart; beside publishers; and what a long or a stalled replay costs.

use std::time::Duration;

use super::hub_process::{DataDir, Hub};
use super::readers::{Peer, Plan, Readers, Start, Through};
use super::replay;
use super::report::Row;
use super::scan::Wire;
use super::{BenchError, Common, Transport, setup};
use crate::proc_stat::{CpuMark, now_ns};

/// Events of a thread that a hub keeps in memory.
const TAIL_EVENTS: usize = 256;

/// Readers that come back.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ResumeArgs {
    /// Sessions that each take what the tail of their thread has, all at once
    #[arg(long)]
    warm: bool,
    /// Sessions that each replay their thread from its start, after a restart
    #[arg(long)]
    cold: bool,
    /// Publishing while one replay reads at half its speed
    #[arg(long)]
    while_replay: bool,
    /// Memory during one long replay, and with stalled ones
    #[arg(long)]
    memory: bool,
    /// Threads, with one session each (warm and cold)
    #[arg(long, default_value_t = 1_000)]
    topics: usize,
    /// Events of each thread (cold)
    #[arg(long, default_value_t = 1_000)]
    events: usize,
    /// Events of one thread that lie together on the disk (cold)
    #[arg(long, default_value_t = 1)]
    chunk: usize,
    /// Events of the one long replay
    #[arg(long, default_value_t = 1_000_000)]
    long_events: usize,
    /// Replays that nobody reads (memory)
    #[arg(long, default_value_t = 200)]
    stalled: usize,
    /// Single events published each second beside the replay
    #[arg(long, default_value_t = 500.0)]
    publish_rate: f64,
    /// Bytes of an event's data
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// How readers are connected (warm: ws alone)
    #[arg(long, value_enum, default_value_t = Transport::Ws)]
    transport: Transport,
}

impl ResumeArgs {
    /// The transports asked for.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Measures what was asked for (everything, when nothing was) over one transport.
    ///
    /// # Errors
    /// When a hub can't be run or refuses.
    pub(crate) fn run(&self, common: &Common, wire: Wire) -> Result<Vec<Row>, BenchError> {
        common.room_for(self.topics)?;
        let all = !(self.warm || self.cold || self.while_replay || self.memory);
        let mut rows = Vec::new();
        if (all || self.warm) && wire == Wire::Ws {
            rows.push(self.warm(common)?);
        }
        if all || self.cold {
            rows.push(self.cold(common, wire)?);
        }
        if all || self.while_replay || self.memory {
            let data = DataDir::new(common.data.as_deref())?;
            self.fill_long(common, &data)?;
            if all || self.while_replay {
                let hub = Hub::start(common, &data)?;
                rows.push(replay::beside_publishers(&self.long(&hub, wire), self.publish_rate)?);
            }
            if all || self.memory {
                let hub = Hub::start(common, &data)?;
                rows.push(replay::memory(&self.long(&hub, wire))?);
                drop(hub);
                let hub = Hub::start(common, &data)?;
                rows.push(replay::stalled(&self.long(&hub, wire), self.stalled)?);
            }
        }
        Ok(rows)
    }

    fn long(&self, hub: &Hub, wire: Wire) -> replay::Long {
        let (addr, pid, token) = (hub.server.addr, hub.server.pid(), hub.token.clone());
        replay::Long { addr, pid, token, wire, events: self.long_events as u64, bytes: self.bytes }
    }

    /// A thread with the long log, and others beside it to publish to.
    fn fill_long(&self, common: &Common, data: &DataDir) -> Result<(), BenchError> {
        let hub = Hub::start(common, data)?;
        setup::create_topics(&hub, 1 + replay::TOPICS_BESIDE)?;
        setup::fill(&hub, 1, self.long_events, 1_000, self.bytes)
    }

    fn warm(&self, common: &Common) -> Result<Row, BenchError> {
        let data = DataDir::new(common.data.as_deref())?;
        let hub = Hub::start(common, &data)?;
        setup::create_topics(&hub, self.topics)?;
        setup::fill(&hub, self.topics, TAIL_EVENTS, TAIL_EVENTS, self.bytes)?;
        let start = Start::Last(TAIL_EVENTS as u16);
        let mut readers = Readers::connect(Plan { on_command: true, ..self.plan(common, &hub, Wire::Ws, start) })?;
        let cpu = CpuMark::of(hub.server.pid())?;
        readers.subscribe();
        self.replayed("resume-warm", &hub, &mut readers, &cpu, TAIL_EVENTS, Wire::Ws)
    }

    fn cold(&self, common: &Common, wire: Wire) -> Result<Row, BenchError> {
        let data = DataDir::new(common.data.as_deref())?;
        let hub = Hub::start(common, &data)?;
        setup::create_topics(&hub, self.topics)?;
        setup::fill(&hub, self.topics, self.events, self.chunk, self.bytes)?;
        drop(hub);
        let hub = Hub::start(common, &data)?;
        // An SSE request is its own subscription: there connecting is part of the time.
        let plan = Plan { on_command: wire == Wire::Ws, ..self.plan(common, &hub, wire, Start::Earliest) };
        let cpu = CpuMark::of(hub.server.pid())?;
        let mut readers = Readers::connect(plan)?;
        let cpu = if wire == Wire::Ws { CpuMark::of(hub.server.pid())? } else { cpu };
        if wire == Wire::Ws {
            readers.subscribe();
        }
        self.replayed("resume-cold", &hub, &mut readers, &cpu, self.events, wire)
    }

    fn plan(&self, common: &Common, hub: &Hub, wire: Wire, start: Start) -> Plan {
        Plan {
            through: Through::Thread,
            addr: hub.server.addr,
            wire,
            peer: Peer::Hub(hub.token.clone()),
            connections: self.topics,
            topics: self.topics,
            topics_per_socket: 1,
            start,
            on_command: false,
            // Clocks in a replay say when it was written, which nobody asks here.
            sample_every: u32::MAX,
            threads: common.threads,
        }
    }

    /// Waits for `events` events of every thread.
    fn replayed(
        &self,
        mode: &'static str,
        hub: &Hub,
        readers: &mut Readers,
        cpu: &CpuMark,
        events: usize,
        wire: Wire,
    ) -> Result<Row, BenchError> {
        let total = (self.topics * events) as u64;
        readers.wait_delivered(total)?;
        let cpu_ns = cpu.until(&CpuMark::of(hub.server.pid())?);
        let mut seen = readers.take(vec![events as u64; self.topics])?;
        seen.latency = super::histogram::Histogram::default();
        let elapsed = seen.last_delivery_ns.saturating_sub(seen.first_subscribe_ns.unwrap_or_else(now_ns));
        let mut row = Row::new(mode, wire.as_str());
        row.set("subscribers", self.topics as f64);
        row.seen(&seen);
        row.set("seconds", Duration::from_nanos(elapsed).as_secs_f64());
        row.set("deliveries_per_s", seen.deliveries as f64 * 1e9 / elapsed.max(1) as f64);
        row.set("cpu_us_per_delivery", cpu_ns as f64 / 1e3 / seen.deliveries.max(1) as f64);
        Ok(row)
    }
}
