//! `tambour bench small`: many threads with few readers each.

use super::fan::{Fan, Speed};
use super::publisher::Pace;
use super::readers::Through;
use super::report::Row;
use super::scan::Wire;
use super::{BenchError, Common, Transport, sockets};

/// Most topics of one WS session.
const TOPICS_PER_SESSION_MAX: usize = 100;

/// Many threads with few readers each, next to the floor with the same readers.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SmallArgs {
    /// Threads
    #[arg(long, default_value_t = 10_000)]
    topics: usize,
    /// Readers of each thread
    #[arg(long, default_value_t = 3)]
    readers: usize,
    /// Threads that one WS session reads; 0: as few as the limit on open files allows
    #[arg(long, default_value_t = 0)]
    topics_per_socket: usize,
    /// Events a second over all threads
    #[arg(long, default_value_t = 3_000.0)]
    rate: f64,
    /// Milliseconds between two bunches of events
    #[arg(long, default_value_t = 5.0)]
    tick_ms: f64,
    /// Bytes of an event's data
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Length of the measurement
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds before it that are not counted
    #[arg(long, default_value_t = 4.0)]
    warmup_seconds: f64,
    /// How readers are connected
    #[arg(long, value_enum, default_value_t = Transport::Ws)]
    transport: Transport,
    /// Measure the floor alone
    #[arg(long)]
    floor_only: bool,
    /// Leave the floor out
    #[arg(long, conflicts_with = "floor_only")]
    no_floor: bool,
}

impl SmallArgs {
    /// The transports asked for.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Measures one transport once.
    ///
    /// # Errors
    /// When a server can't be run, or there is no room for the sockets.
    pub(crate) fn run(&self, common: &Common, wire: Wire) -> Result<Row, BenchError> {
        let per_socket = self.per_socket(common, wire)?;
        let connections = self.topics.div_ceil(per_socket) * self.readers;
        common.room_for(connections)?;
        let fan = Fan {
            mode: "small",
            wire,
            connections,
            through: Through::Thread,
            topics: self.topics,
            topics_per_socket: per_socket,
            speed: Speed::Paced(Pace { rate: self.rate, tick_ns: (self.tick_ms * 1e6) as u64, seconds: self.seconds }),
            bytes: self.bytes,
            seconds: self.seconds,
            warmup_seconds: self.warmup_seconds,
            tls: false,
            floor_only: self.floor_only,
            no_floor: self.no_floor,
        };
        let mut row = fan.run(common)?;
        row.set("topics", self.topics as f64);
        row.set("topics_per_socket", per_socket as f64);
        if self.topics_per_socket == 0 && per_socket > 1 {
            row.note(format!("{connections} sockets of {per_socket} topics each, because of the limit on open files"));
        }
        Ok(row)
    }

    fn per_socket(&self, common: &Common, wire: Wire) -> Result<usize, BenchError> {
        let asked = self.topics_per_socket;
        if asked > TOPICS_PER_SESSION_MAX || (wire == Wire::Sse && asked > 1) {
            return Err(BenchError::Usage(format!(
                "an SSE stream has 1 topic, a WS session at most {TOPICS_PER_SESSION_MAX}"
            )));
        }
        if asked > 0 || wire == Wire::Sse {
            return Ok(asked.max(1));
        }
        let fits = |per: &usize| self.topics.div_ceil(*per) * self.readers <= sockets::connections_max();
        (1..=TOPICS_PER_SESSION_MAX).find(fits).ok_or_else(|| {
            // Said in the words of the check that every mode makes.
            common.room_for(self.topics * self.readers / TOPICS_PER_SESSION_MAX).err().unwrap_or(BenchError::Foreign)
        })
    }
}
