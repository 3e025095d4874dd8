//! Publishers: what they are to write, what of it is acknowledged, and repeating the rest with its keys.
//!
//! None of them ever writes an event under two keys, or two events under one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ledger::{KIND, Ledger, data};
use super::{Parting, patience};
use crate::support::http::{Answer, Ask, Connection};

/// Most events of an array.
const ARRAY_EVENTS_MAX: u64 = 150;

/// A way to publish.
#[derive(Clone, Copy)]
pub(crate) struct Pen {
    pub(crate) name: &'static str,
    visit: fn(SocketAddr, &str, &mut Writing) -> Parting,
}

/// Arrays without a key, where nothing breaks.
pub(crate) const PLAIN: Pen = Pen { name: "plain arrays", visit: plain };

/// How many events publishers write: a number, or as long as nobody says stop.
#[derive(Clone)]
pub(crate) struct Quota(Arc<AtomicU64>);

impl Quota {
    /// So many each.
    pub(crate) fn of(events: u64) -> Self {
        Self(Arc::new(AtomicU64::new(events)))
    }
}

/// What one publisher writes to one thread.
pub(crate) struct Writing {
    pub(crate) thread: String,
    pub(crate) publisher: usize,
    /// How many of its events are acknowledged: all before the others.
    pub(crate) acknowledged: u64,
    /// How many may have been written.
    begun: u64,
    /// Where in the thread an event is, as the hub said.
    places: Vec<(u64, u64)>,
    quota: Quota,
    /// All acknowledgements of a test.
    counter: Arc<AtomicU64>,
    until: Instant,
}

impl Writing {
    pub(crate) fn new(thread: &str, publisher: usize, quota: &Quota, counter: &Arc<AtomicU64>) -> Self {
        Self {
            thread: thread.to_owned(),
            publisher,
            acknowledged: 0,
            begun: 0,
            places: Vec::new(),
            quota: quota.clone(),
            counter: counter.clone(),
            until: Instant::now() + patience(),
        }
    }

    /// Whether event `n` is to be written, when all before it are: it is asked for, or may be there already.
    fn wants(&self, n: u64) -> bool {
        n < self.begun.max(self.quota.0.load(Ordering::SeqCst))
    }

    /// Events before `n` may be there from now on.
    fn begin(&mut self, n: u64) {
        self.begun = self.begun.max(n);
    }

    /// Event `n` as JSON.
    fn entry(&self, n: u64) -> String {
        format!(r#"{{"type":"{KIND}","data":{}}}"#, data(self.publisher, n))
    }

    /// So many more are acknowledged, the last of them at a seq.
    #[track_caller]
    fn acknowledge(&mut self, events: u64, last: &Value) {
        self.acknowledged += events;
        self.places.push((self.acknowledged - 1, last["seq"].as_u64().expect("an acknowledgement")));
        self.counter.fetch_add(events, Ordering::SeqCst);
    }

    /// Everything that was acknowledged is where it was said to be, also when it was said to a repetition.
    #[track_caller]
    pub(crate) fn check(&self, ledger: &Ledger) {
        let none = Vec::new();
        let seqs = ledger.seqs.get(&self.publisher).unwrap_or(&none);
        assert_eq!(seqs.len() as u64, self.acknowledged, "publisher {}", self.publisher);
        for (n, seq) in &self.places {
            assert_eq!(seqs[usize::try_from(*n).unwrap()], *seq, "event {n} of publisher {}", self.publisher);
        }
    }

    fn ask(&self, sub: &str) -> Ask {
        Ask::by(sub, "POST", &format!("/v1/threads/{}/events", self.thread))
    }
}

/// What a publisher has written, and how its connections ended.
pub(crate) struct Written {
    pub(crate) writing: Writing,
    pub(crate) partings: Vec<Parting>,
}

/// Publishes until everything is acknowledged.
#[track_caller]
pub(crate) fn publish(pen: Pen, addr: SocketAddr, sub: &str, mut writing: Writing) -> Written {
    let mut partings = Vec::new();
    while writing.wants(writing.acknowledged) {
        let until = writing.until;
        assert!(Instant::now() < until, "{}: {} acknowledged in time", pen.name, writing.acknowledged);
        let parting = (pen.visit)(addr, sub, &mut writing);
        partings.push(parting);
        if parting == Parting::Shut {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    Written { writing, partings }
}

/// Sends requests on one connection, each a number of events from `first` on, until it breaks.
fn requests(
    addr: SocketAddr,
    writing: &mut Writing,
    request: impl Fn(&Writing, u64) -> (u64, Vec<u8>),
    last: impl Fn(&Value) -> &Value,
) -> Parting {
    let Ok(mut connection) = Connection::try_open(addr) else { return Parting::Shut };
    while writing.wants(writing.acknowledged) {
        let (events, bytes) = request(writing, writing.acknowledged);
        writing.begin(writing.acknowledged + events);
        // An early refusal may be there although not everything could be sent.
        let _ = connection.try_send(&bytes);
        let Ok(answer) = connection.try_answer() else { return Parting::Sudden };
        match settled(&answer) {
            Some(answer) => writing.acknowledge(events, last(&answer)),
            None => return Parting::Shut,
        }
    }
    Parting::Done
}

/// What an acknowledgement says; `None`: ask again.
#[track_caller]
fn settled(answer: &Answer) -> Option<Value> {
    match answer.status {
        201 => Some(answer.json()),
        503 => None,
        // The network ended the body.
        400 if answer.json()["code"] == "request.malformed" => None,
        _ => panic!("{} {}", answer.status, answer.text()),
    }
}

fn plain(addr: SocketAddr, sub: &str, writing: &mut Writing) -> Parting {
    let ask = writing.ask(sub);
    let request = |writing: &Writing, first: u64| {
        let entries: Vec<String> = (first..first + ARRAY_EVENTS_MAX).map(|n| writing.entry(n)).collect();
        (ARRAY_EVENTS_MAX, ask.clone().json(format!("[{}]", entries.join(","))).bytes())
    };
    requests(addr, writing, request, |answer| &answer["last"])
}
