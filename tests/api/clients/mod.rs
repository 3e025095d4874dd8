//! Clients as they should be: they come back with a cursor, and repeat with a key, until everything is there.
//!
//! They look at every event when it comes, and fail at the first that is wrong. They never give up before their
//! deadline, and never take more than the protocol promises.

pub(crate) mod crowd;
pub(crate) mod ledger;
pub(crate) mod pages;
pub(crate) mod publish;
pub(crate) mod sse;
pub(crate) mod ws;

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::support::soak;

/// How long a client waits for bytes before it looks whether it has everything.
pub(crate) const GLANCE: Duration = Duration::from_millis(100);

/// How long a client goes on, at most: far longer than any test means to take.
fn patience() -> Duration {
    Duration::from_secs(if soak() { 3_600 } else { 300 })
}

/// An event, as every transport gives it.
#[derive(Debug, Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    pub(crate) seq: u64,
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) data: &'a RawValue,
}

impl Event<'_> {
    /// What two readers of the same event agree on.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.id, self.seq, &self.kind, self.data.get()).hash(&mut hasher);
        hasher.finish()
    }
}

/// How many events a thread has in the end: known once nobody writes to it any more.
#[derive(Clone)]
pub(crate) struct Head(Arc<AtomicU64>);

impl Head {
    /// Of a thread that is written to.
    pub(crate) fn unknown() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Nothing comes behind this seq.
    pub(crate) fn is(&self, seq: u64) {
        self.0.store(seq, Ordering::SeqCst);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What one reader has of one thread: every event once, in order, or the test fails.
pub(crate) struct Reading {
    pub(crate) thread: String,
    /// `thread/x`.
    pub(crate) topic: String,
    /// Where it goes on; at first, nowhere.
    pub(crate) cursor: Option<String>,
    /// The digest of each event, from seq 1.
    pub(crate) digests: Vec<u64>,
    head: Head,
    until: Instant,
}

impl Reading {
    /// Of a thread from its first event to its last.
    pub(crate) fn new(thread: &str, head: &Head) -> Self {
        let until = Instant::now() + patience();
        Self {
            thread: thread.to_owned(),
            topic: format!("thread/{thread}"),
            cursor: None,
            digests: Vec::new(),
            head: head.clone(),
            until,
        }
    }

    /// The cursor, or where everything begins.
    pub(crate) fn after(&self) -> &str {
        self.cursor.as_deref().unwrap_or("earliest")
    }

    /// The next event has come.
    #[track_caller]
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        let seq = self.digests.len() as u64 + 1;
        assert_eq!(event.seq, seq, "{}: each once, and in order: {event:?}", self.thread);
        assert!(event.id.ends_with(&format!(".{seq}")), "{event:?}");
        self.cursor = Some(event.id.clone().into_owned());
        self.digests.push(event.digest());
    }

    /// Whether everything is read.
    #[track_caller]
    pub(crate) fn done(&self) -> bool {
        let (seq, head) = (self.digests.len() as u64, self.head.get());
        assert!(Instant::now() < self.until, "{}: {seq} of {head} events came in time", self.thread);
        assert!(seq <= head, "{}: more than there is", self.thread);
        seq == head
    }
}

/// How one connection of a reader ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Everything was read.
    Done,
    /// It was never answered, or refused for a while.
    Shut,
    /// The hub had said that it goes, as the transport's rules are.
    Told,
    /// It broke.
    Sudden,
}

/// One connection: reads until it ends, or everything is there.
pub(crate) type Visit = fn(SocketAddr, &str, &mut [Reading]) -> Parting;

/// A way to read, and how many threads one connection reads.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) visit: Visit,
    /// One connection can read many threads.
    pub(crate) many: bool,
}

impl Way {
    /// Divides threads among connections.
    pub(crate) fn share(&self, readings: Vec<Reading>) -> Vec<Vec<Reading>> {
        let each = if self.many { readings.len().div_ceil(2) } else { 1 };
        let mut shares: Vec<Vec<Reading>> = Vec::new();
        for reading in readings {
            match shares.last_mut() {
                Some(share) if share.len() < each => share.push(reading),
                _ => shares.push(vec![reading]),
            }
        }
        shares
    }
}

/// What a reader has in the end, and how its connections ended.
pub(crate) struct Read {
    pub(crate) readings: Vec<Reading>,
    pub(crate) partings: Vec<Parting>,
}

/// Connects again and again until everything is read.
#[track_caller]
pub(crate) fn read(way: Way, addr: SocketAddr, sub: &str, mut readings: Vec<Reading>) -> Read {
    let mut partings = Vec::new();
    while !readings.iter().all(Reading::done) {
        let parting = (way.visit)(addr, sub, &mut readings);
        partings.push(parting);
        if parting == Parting::Shut {
            // Whoever listens there may be about to start.
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    Read { readings, partings }
}
