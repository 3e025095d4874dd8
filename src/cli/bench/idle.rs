//! `tambour bench idle`: what a connection costs that is subscribed and hears nothing.

use std::time::Duration;

use super::hub_process::{DataDir, Hub};
use super::readers::{Peer, Plan, Readers, Start, Through};
use super::report::Row;
use super::scan::Wire;
use super::{BenchError, Common, Transport, setup};
use crate::proc_stat::{CpuMark, Memory};

/// Connections that hear nothing but heartbeats.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct IdleArgs {
    /// Connections
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Threads that they are spread over
    #[arg(long, default_value_t = 100)]
    topics: usize,
    /// Seconds until memory is read: more than a heartbeat (SSE 10 s, WS 25 s)
    #[arg(long, default_value_t = 30)]
    settle_seconds: u64,
    /// How they are connected
    #[arg(long, value_enum, default_value_t = Transport::Both)]
    transport: Transport,
    /// Over TLS; needs openssl, for a certificate
    #[arg(long)]
    tls: bool,
}

impl IdleArgs {
    /// The transports asked for.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Measures one transport once.
    ///
    /// # Errors
    /// When the hub can't be run.
    pub(crate) fn run(&self, common: &Common, wire: Wire) -> Result<Row, BenchError> {
        common.room_for(self.connections)?;
        let data = DataDir::new(common.data.as_deref())?;
        let hub = Hub::start_with(common, &data, self.tls)?;
        setup::create_topics(&hub, self.topics)?;
        let pid = hub.server.pid();
        let before = Memory::of(pid)?;
        let mut readers = Readers::connect(Plan {
            through: Through::Thread,
            addr: hub.server.addr,
            wire,
            peer: Peer::Hub(hub.token),
            connections: self.connections,
            topics: self.topics,
            topics_per_socket: 1,
            start: Start::Head,
            on_command: false,
            sample_every: 1,
            threads: common.threads,
        })?;
        let connected = Memory::of(pid)?;
        let cpu = CpuMark::of(pid)?;
        // Time is what is measured here: heartbeats have to come and go.
        std::thread::sleep(Duration::from_secs(self.settle_seconds));
        let cpu_ns = cpu.until(&CpuMark::of(pid)?);
        let settled = Memory::of(pid)?;
        let seen = readers.take(vec![0; self.topics])?;

        let each = self.connections as f64;
        let mut row = Row::new(if self.tls { "idle-tls" } else { "idle" }, wire.as_str());
        row.set("subscribers", each);
        row.set("ended", seen.ended as f64);
        let (rss, anon) = settled.growth(before);
        row.set("rss_bytes_per_conn", rss / each);
        row.set("anon_bytes_per_conn", anon / each);
        row.set("rss_bytes_per_conn_at_connect", connected.growth(before).0 / each);
        row.set("cpu_us_per_conn_and_s", cpu_ns as f64 / 1e3 / each / self.settle_seconds.max(1) as f64);
        if let Some(oddity) = seen.oddity {
            row.note(oddity);
        }
        Ok(row)
    }
}
