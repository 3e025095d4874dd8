//! Clients as they should be: they come back with a cursor, and repeat with a key, until everything is there.
//!
//! They look at every event when it comes, and fail at the first that is wrong. They never give up before their
//! deadline, and never take more than the protocol promises.

pub(crate) mod crowd;
pub(crate) mod folding;
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

use self::folding::{Fold, Stories};
use crate::support::soak;

/// How long a client waits for bytes before it looks whether it has everything.
pub(crate) const GLANCE: Duration = Duration::from_millis(100);

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(10);

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
    pub(crate) fold: Option<Fold>,
    #[serde(borrow)]
    pub(crate) routing: Routing<'a>,
}

/// Where an event belongs.
#[derive(Debug, Deserialize)]
pub(crate) struct Routing<'a> {
    pub(crate) thread_id: &'a str,
}

/// The seq of an event's id.
#[track_caller]
pub(crate) fn seq_of(id: &str) -> u64 {
    id.rsplit('.').next().unwrap().parse().unwrap_or_else(|error| panic!("{error}: {id}"))
}

impl Event<'_> {
    /// The id of the place where a reader goes on behind it.
    pub(crate) fn place(&self) -> &str {
        self.fold.as_ref().map_or(&self.id, |fold| fold.until())
    }

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
    /// The seq of that place.
    place: u64,
    /// The same as an EventSource knows it. Of a stream of several threads the first has that of all.
    pub(crate) last_event_id: String,
    pub(crate) has: Has,
    head: Head,
    until: Instant,
}

/// The events of a reader.
pub(crate) enum Has {
    /// The digest of each, from seq 1.
    All(Vec<u64>),
    /// With appends folded, as the reader asked for.
    Folded(Stories),
}

impl Reading {
    /// Of a thread from its first event to its last.
    pub(crate) fn new(thread: &str, head: &Head, fold: bool) -> Self {
        Self {
            thread: thread.to_owned(),
            topic: format!("thread/{thread}"),
            cursor: None,
            place: 0,
            last_event_id: String::new(),
            has: if fold { Has::Folded(Stories::default()) } else { Has::All(Vec::new()) },
            head: head.clone(),
            until: Instant::now() + patience(),
        }
    }

    /// The cursor, or where everything begins.
    pub(crate) fn after(&self) -> &str {
        self.cursor.as_deref().unwrap_or("earliest")
    }

    /// The next event has come.
    #[track_caller]
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        assert_eq!(seq_of(&event.id), event.seq, "{event:?}");
        match &mut self.has {
            Has::All(digests) => {
                let seq = digests.len() as u64 + 1;
                assert_eq!(event.seq, seq, "{}: each once, and in order: {event:?}", self.thread);
                digests.push(event.digest());
            }
            Has::Folded(stories) => stories.take(event),
        }
        self.reach(event.place());
    }

    /// It goes on behind a place.
    #[track_caller]
    pub(crate) fn reach(&mut self, place: &str) {
        let seq = seq_of(place);
        assert!(seq > self.place || self.cursor.as_deref().is_none_or(|cursor| cursor == place), "{place} is behind");
        self.place = seq;
        self.cursor = Some(place.to_owned());
    }

    /// Whether everything is read.
    #[track_caller]
    pub(crate) fn done(&self) -> bool {
        let head = self.head.get();
        assert!(Instant::now() < self.until, "{}: only {} of {head} came in time", self.thread, self.place);
        assert!(self.place <= head, "{}: more than there is", self.thread);
        self.place == head
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
pub(crate) type Visit = fn(Way, SocketAddr, &str, &mut [Reading]) -> Parting;

/// A way to read, and how many threads one connection reads.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) visit: Visit,
    /// One connection can read many threads.
    pub(crate) many: bool,
    /// Appends are asked for folded.
    pub(crate) fold: bool,
    /// Events come under their types, where a transport has names for them.
    pub(crate) named: bool,
}

impl Way {
    /// Divides threads among connections.
    pub(crate) fn share(self, threads: &[(&str, Head)]) -> Vec<Vec<Reading>> {
        let readings = threads.iter().map(|(thread, head)| Reading::new(thread, head, self.fold));
        let each = if self.many { threads.len().div_ceil(2).max(2) } else { 1 };
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
        let parting = (way.visit)(way, addr, sub, &mut readings);
        partings.push(parting);
        if parting == Parting::Shut {
            // Whoever listens there may be about to start.
            std::thread::sleep(PAUSE);
        }
    }
    Read { readings, partings }
}
