//! `tambour bench fanout`: one thread, many readers, paced or at full speed.

use super::fan::{Fan, Speed};
use super::publisher::Pace;
use super::readers::Through;
use super::report::Row;
use super::scan::Wire;
use super::{BenchError, Common, Transport};

/// One thread with many readers, next to the floor with the same readers.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FanoutArgs {
    /// Readers, each a connection of its own
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Events a second, one at a time
    #[arg(long, default_value_t = 30.0)]
    rate: f64,
    /// As fast as the window allows, instead of at a rate
    #[arg(long)]
    full: bool,
    /// With --full: events published and not yet seen by the slowest reader
    #[arg(long, default_value_t = 256)]
    window: u64,
    /// Bytes of an event's data
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Length of the measurement
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds before it that are not counted
    #[arg(long, default_value_t = 1.0)]
    warmup_seconds: f64,
    /// How readers are connected
    #[arg(long, value_enum, default_value_t = Transport::Both)]
    transport: Transport,
    /// What readers read: the thread, or the feed in which its events are
    #[arg(long, value_enum, default_value_t = Through::Thread)]
    through: Through,
    /// The hub over TLS, the floor without; needs openssl, for a certificate
    #[arg(long)]
    tls: bool,
    /// Measure the floor alone
    #[arg(long)]
    floor_only: bool,
    /// Leave the floor out
    #[arg(long, conflicts_with = "floor_only")]
    no_floor: bool,
}

impl FanoutArgs {
    /// The transports asked for.
    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// The same without a hub.
    pub(crate) fn floor_only(&self) -> Self {
        Self { floor_only: true, no_floor: false, tls: false, ..self.clone() }
    }

    /// Measures one transport once.
    ///
    /// # Errors
    /// When a server can't be run.
    pub(crate) fn run(&self, common: &Common, wire: Wire) -> Result<Row, BenchError> {
        common.room_for(self.subscribers)?;
        let speed =
            if self.full { Speed::Full(self.window) } else { Speed::Paced(Pace::single(self.rate, self.seconds)) };
        let fan = Fan {
            mode: match (self.through, self.full, self.tls) {
                (Through::Thread, false, false) => "fanout",
                (Through::Thread, false, true) => "fanout-tls",
                (Through::Thread, true, false) => "fanout-full",
                (Through::Thread, true, true) => "fanout-full-tls",
                (Through::Feed, false, false) => "feed",
                (Through::Feed, false, true) => "feed-tls",
                (Through::Feed, true, false) => "feed-full",
                (Through::Feed, true, true) => "feed-full-tls",
            },
            through: self.through,
            tls: self.tls,
            wire,
            connections: self.subscribers,
            topics: 1,
            topics_per_socket: 1,
            speed,
            bytes: self.bytes,
            seconds: self.seconds,
            warmup_seconds: self.warmup_seconds,
            floor_only: self.floor_only,
            no_floor: self.no_floor,
        };
        fan.run(common)
    }
}
