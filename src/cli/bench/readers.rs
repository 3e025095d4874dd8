//! Many subscribers in a few threads: connect them, read all they are sent, account for every
//! event. One read buffer a thread; a connection keeps a few words and, at most, the first
//! part of a frame that was cut. Never publishes.

pub(crate) mod handshake;
mod reading;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::BenchError;
use super::histogram::Histogram;
use super::scan::Wire;
use reading::Reading;

/// How long connecting and shaking hands may take without one more reader becoming ready.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);
/// How long a reader that has something to come waits for it.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(30);
/// How often the main thread looks at the readers' counts.
const LOOK: Duration = Duration::from_millis(2);

/// Where a reader starts in its topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the head, which is the empty log's: the threads of these runs are fresh.
    Head,
    /// At the oldest event.
    Earliest,
    /// So many before the head.
    Last(u16),
}

/// What the readers of a hub read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Through {
    /// The topics themselves
    Thread,
    /// The feed of somebody who sees all of it; its events are those of one thread
    Feed,
}

/// Whom the readers talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A hub, with this token.
    Hub(String),
    /// The floor: it speaks no protocol and only writes. The seq that its events start behind.
    Floor(u64),
}

/// What a group of readers is to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Where to.
    pub(crate) addr: SocketAddr,
    /// How.
    pub(crate) wire: Wire,
    /// To whom.
    pub(crate) peer: Peer,
    /// How many sockets.
    pub(crate) connections: usize,
    /// What they read.
    pub(crate) through: Through,
    /// How many topics they are spread over.
    pub(crate) topics: usize,
    /// How many consecutive topics each socket reads. With SSE 1.
    pub(crate) topics_per_socket: usize,
    /// From where.
    pub(crate) start: Start,
    /// Whether WS sessions subscribe only when told to.
    pub(crate) on_command: bool,
    /// Every how manieth delivery has its latency taken.
    pub(crate) sample_every: u32,
    /// Threads that read.
    pub(crate) threads: usize,
}

impl Plan {
    /// How many runs of [`Plan::topics_per_socket`] topics there are.
    pub(crate) fn chunks(&self) -> usize {
        self.topics.div_ceil(self.topics_per_socket)
    }

    /// The topics of a connection.
    pub(crate) fn topics_of(&self, connection: usize) -> std::ops::Range<usize> {
        let first = connection % self.chunks() * self.topics_per_socket;
        first..(first + self.topics_per_socket).min(self.topics)
    }
}

/// What readers have seen since the last time they were asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Events that were new to their reader.
    pub(crate) deliveries: u64,
    /// Events that have not come to a reader so far.
    pub(crate) lost: u64,
    /// Events that came again.
    pub(crate) duplicated: u64,
    /// Events that came behind later ones.
    pub(crate) out_of_order: u64,
    /// Connections that the other side ended, so far.
    pub(crate) ended: u64,
    /// Bytes of events, with the frame or block around them.
    pub(crate) event_bytes: u64,
    /// Publish to deliver, in nanoseconds, of sampled deliveries.
    pub(crate) latency: Histogram,
    /// When the first of these readers subscribed.
    pub(crate) first_subscribe_ns: Option<u64>,
    /// When the last event came.
    pub(crate) last_delivery_ns: u64,
    /// The first thing that was not as expected.
    pub(crate) oddity: Option<String>,
}

impl Seen {
    fn merge(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.ended += other.ended;
        self.event_bytes += other.event_bytes;
        self.latency.merge(&other.latency);
        self.first_subscribe_ns = [self.first_subscribe_ns, other.first_subscribe_ns].into_iter().flatten().min();
        self.last_delivery_ns = self.last_delivery_ns.max(other.last_delivery_ns);
        self.oddity = self.oddity.take().or(other.oddity);
    }
}

/// Counts of one thread that others may look at while it reads.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    ready: AtomicU64,
    delivered: AtomicU64,
    lowest: AtomicU64,
}

enum Command {
    /// Subscribe all sessions.
    Subscribe,
    /// Answer what was seen, given the seq that each topic has reached, and count anew.
    Take(Arc<Vec<u64>>, Sender<Seen>),
}

struct Worker {
    gauge: Arc<Gauge>,
    commands: Sender<Command>,
    thread: Option<JoinHandle<Result<(), BenchError>>>,
}

/// Connected readers. Dropping them closes their connections.
pub(crate) struct Readers {
    workers: Vec<Worker>,
    plan: Arc<Plan>,
}

impl Readers {
    /// Connects all readers of a plan and waits until each is subscribed (or, if they
    /// subscribe on command, welcomed).
    ///
    /// # Errors
    /// When a connection is refused or nothing happens for half a minute.
    pub(crate) fn connect(plan: Plan) -> Result<Self, BenchError> {
        let plan = Arc::new(plan);
        let workers = (0..plan.threads).map(|part| Worker::start(Arc::clone(&plan), part)).collect();
        let mut readers = Self { workers, plan };
        let all = readers.plan.connections as u64;
        readers.wait(all, CONNECT_PATIENCE, "readers ready", |gauge| &gauge.ready)?;
        Ok(readers)
    }

    /// Waits until `total` events were delivered to all readers together, as far as they come.
    ///
    /// # Errors
    /// When a reader's thread has failed. Events that do not come are no error here: they
    /// are counted as lost.
    pub(crate) fn wait_delivered(&mut self, total: u64) -> Result<(), BenchError> {
        match self.wait(total, DELIVERY_PATIENCE, "deliveries", |gauge| &gauge.delivered) {
            Err(BenchError::Late(_)) => Ok(()),
            other => other,
        }
    }

    fn wait(
        &mut self,
        total: u64,
        patience: Duration,
        what: &str,
        count: fn(&Gauge) -> &AtomicU64,
    ) -> Result<(), BenchError> {
        let (mut best, mut since) = (0, Instant::now());
        loop {
            let now = self.workers.iter().map(|worker| count(&worker.gauge).load(Ordering::Acquire)).sum();
            if now >= total {
                return Ok(());
            }
            if now > best {
                (best, since) = (now, Instant::now());
            }
            if since.elapsed() > patience {
                return Err(BenchError::Late(format!("{now} of {total} {what}")));
            }
            self.check_threads()?;
            std::thread::sleep(LOOK);
        }
    }

    /// A thread ends before its readers are dropped only by an error.
    fn check_threads(&mut self) -> Result<(), BenchError> {
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take_if(|thread| thread.is_finished()) {
                return thread.join().unwrap_or(Err(BenchError::ThreadPanicked));
            }
        }
        Ok(())
    }

    /// A view of the slowest reader's seq, for a publisher on another thread. Right only
    /// with one topic.
    pub(crate) fn lowest(&self) -> impl Fn() -> u64 + Send + use<> {
        let gauges: Vec<_> = self.workers.iter().map(|worker| Arc::clone(&worker.gauge)).collect();
        move || gauges.iter().map(|gauge| gauge.lowest.load(Ordering::Acquire)).min().unwrap_or_default()
    }

    /// Tells all sessions to subscribe.
    pub(crate) fn subscribe(&self) {
        for worker in &self.workers {
            // A thread that is gone is noticed by whoever waits for its readers.
            let _ = worker.commands.send(Command::Subscribe);
        }
    }

    /// What was seen since the last call; `reached` is the seq of each topic's last event.
    ///
    /// # Errors
    /// When a reader's thread has failed.
    pub(crate) fn take(&mut self, reached: Vec<u64>) -> Result<Seen, BenchError> {
        let (sender, receiver) = channel();
        let reached = Arc::new(reached);
        for worker in &self.workers {
            let _ = worker.commands.send(Command::Take(Arc::clone(&reached), sender.clone()));
        }
        drop(sender);
        let mut all = Seen::default();
        for _ in 0..self.workers.len() {
            let Ok(seen) = receiver.recv() else {
                self.check_threads()?;
                return Err(BenchError::ThreadPanicked);
            };
            all.merge(seen);
        }
        Ok(all)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        for worker in self.workers.drain(..) {
            let Worker { commands, thread, .. } = worker;
            drop(commands);
            // Its error, if it had one, was seen where it mattered or matters no more.
            let _ = thread.map(JoinHandle::join);
        }
    }
}

impl Worker {
    fn start(plan: Arc<Plan>, part: usize) -> Self {
        let gauge = Arc::new(Gauge::default());
        let (commands, receiver) = channel();
        let shared = Arc::clone(&gauge);
        let thread = std::thread::spawn(move || Reading::new(plan, part, shared)?.run(&receiver));
        Self { gauge, commands, thread: Some(thread) }
    }
}
