//! Publishers: what they are to write, what of it is acknowledged, and repeating the rest with its keys.
//!
//! None of them ever writes an event under two keys, or two events under one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::ledger::{GROWTH, KIND, Ledger, data, token};
use super::{GLANCE, PAUSE, Parting, patience};
use crate::support::http::{Answer, Ask, Connection};
use crate::support::ws::{Came, Shut, Ws};

/// Most publishes of a WebSocket that wait for their answers: what the hub reads on with.
const IN_FLIGHT_MAX: u64 = 64;
/// Most events of an array.
const ARRAY_EVENTS_MAX: u64 = 150;
/// Lines of one NDJSON request.
const LINES: u64 = 500;

/// A way to publish.
#[derive(Clone, Copy)]
pub(crate) struct Pen {
    pub(crate) name: &'static str,
    visit: fn(SocketAddr, &str, &mut Writing) -> Parting,
    /// Its events grow by appends.
    grows: bool,
}

/// One request an event.
pub(crate) const SINGLE: Pen = Pen { name: "single events", visit: single, grows: false };
/// One request an array, under one key.
pub(crate) const ARRAYS: Pen = Pen { name: "arrays", visit: arrays, grows: false };
/// Lines with a key each.
pub(crate) const NDJSON: Pen = Pen { name: "NDJSON", visit: ndjson, grows: false };
/// Many publishes in flight over a WebSocket.
pub(crate) const FRAMES: Pen = Pen { name: "WS publish", visit: frames, grows: false };

/// The same with appends.
pub(crate) const SINGLE_APPENDS: Pen = Pen { name: "single appends", grows: true, ..SINGLE };
/// The same with appends, which leave out to what.
pub(crate) const NDJSON_APPENDS: Pen = Pen { name: "NDJSON appends", grows: true, ..NDJSON };
/// The same with appends.
pub(crate) const FRAMES_APPENDS: Pen = Pen { name: "WS appends", grows: true, ..FRAMES };

/// How many events publishers write: a number, or as long as nobody says stop.
#[derive(Clone)]
pub(crate) struct Quota(Arc<AtomicU64>);

impl Quota {
    /// So many each.
    pub(crate) fn of(events: u64) -> Self {
        Self(Arc::new(AtomicU64::new(events)))
    }

    /// Until [`Self::stop`].
    pub(crate) fn endless() -> Self {
        Self::of(u64::MAX)
    }

    /// What is written is acknowledged still, and nothing more begun.
    pub(crate) fn stop(&self) {
        self.0.store(0, Ordering::SeqCst);
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
    grows: bool,
    /// The id of the last acknowledged event that grows.
    target: String,
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
            grows: false,
            target: String::new(),
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

    fn key(&self, n: u64) -> String {
        format!("{}-{n}", self.publisher)
    }

    /// Whether entry `n` is appended to an event before it.
    fn is_append(&self, n: u64) -> bool {
        self.grows && !n.is_multiple_of(GROWTH)
    }

    /// Entry `n` under its key. An append says to what, if it has to.
    fn keyed(&self, n: u64, target: Option<&str>) -> String {
        let key = self.key(n);
        if !self.is_append(n) {
            return format!(r#"{{"type":"{KIND}","data":{},"idempotency_key":"{key}"}}"#, data(self.publisher, n));
        }
        let to = target.map_or_else(String::new, |target| format!(r#""event_id":"{target}","#));
        let token = token(self.publisher, n);
        format!(r#"{{"append":{{{to}"data":{token}}},"idempotency_key":"{key}"}}"#)
    }

    /// Event `n` in an array, which has the key.
    fn plain(&self, n: u64) -> String {
        format!(r#"{{"type":"{KIND}","data":{}}}"#, data(self.publisher, n))
    }

    /// The same as a frame.
    fn frame(&self, n: u64) -> String {
        let (thread, key) = (&self.thread, self.key(n));
        let what = if self.is_append(n) {
            let (target, token) = (&self.target, token(self.publisher, n));
            format!(r#""t":"append","event_id":"{target}","data":{token}"#)
        } else {
            format!(r#""t":"publish","type":"{KIND}","data":{}"#, data(self.publisher, n))
        };
        format!(r#"{{{what},"topic":"thread/{thread}","idempotency_key":"{key}","ref":{n}}}"#)
    }

    /// Whether entry `n` can be sent: of an append it is known to what.
    fn can_send(&self, n: u64) -> bool {
        !self.is_append(n) || self.acknowledged > n - n % GROWTH
    }

    /// So many more are acknowledged, the last of them at a seq.
    #[track_caller]
    fn acknowledge(&mut self, events: u64, last: &Value) {
        self.acknowledged += events;
        self.places.push((self.acknowledged - 1, last["seq"].as_u64().expect("an acknowledgement")));
        if !self.is_append(self.acknowledged - 1) {
            last["id"].as_str().expect("an acknowledgement").clone_into(&mut self.target);
        }
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
    writing.grows = pen.grows;
    let mut partings = Vec::new();
    while writing.wants(writing.acknowledged) {
        let until = writing.until;
        assert!(Instant::now() < until, "{}: {} acknowledged in time", pen.name, writing.acknowledged);
        let parting = (pen.visit)(addr, sub, &mut writing);
        partings.push(parting);
        if parting == Parting::Shut {
            std::thread::sleep(PAUSE);
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
    let mut broken = Parting::Shut;
    while writing.wants(writing.acknowledged) {
        let (events, bytes) = request(writing, writing.acknowledged);
        writing.begin(writing.acknowledged + events);
        // An early refusal may be there although not everything could be sent.
        let _ = connection.try_send(&bytes);
        let Ok(answer) = connection.try_answer() else { return broken };
        broken = Parting::Sudden;
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

fn single(addr: SocketAddr, sub: &str, writing: &mut Writing) -> Parting {
    let ask = writing.ask(sub);
    let request = |writing: &Writing, n| (1, ask.clone().json(writing.keyed(n, Some(&writing.target))).bytes());
    requests(addr, writing, request, |answer| answer)
}

fn arrays(addr: SocketAddr, sub: &str, writing: &mut Writing) -> Parting {
    let ask = writing.ask(sub);
    let request = |writing: &Writing, first: u64| {
        // The same events under the same key, however often.
        let most = 1 + first * 7 % ARRAY_EVENTS_MAX;
        let entries: Vec<String> = (first..first + most).map(|n| writing.plain(n)).collect();
        let body = format!(r#"{{"idempotency_key":"{}","events":[{}]}}"#, writing.key(first), entries.join(","));
        (most, ask.clone().json(body).bytes())
    };
    requests(addr, writing, request, |answer| &answer["last"])
}

fn ndjson(addr: SocketAddr, sub: &str, writing: &mut Writing) -> Parting {
    let ask = writing.ask(sub).with("content-type", "application/x-ndjson").with("transfer-encoding", "chunked");
    let request = |writing: &Writing, first: u64| {
        let mut bytes = ask.bytes();
        for n in first..first + LINES {
            let line = writing.keyed(n, None) + "\n";
            bytes.extend(format!("{:x}\r\n{line}\r\n", line.len()).into_bytes());
        }
        bytes.extend(b"0\r\n\r\n");
        (LINES, bytes)
    };
    requests(addr, writing, request, |answer| &answer["last"])
}

fn frames(addr: SocketAddr, sub: &str, writing: &mut Writing) -> Parting {
    let mut ws = match Ws::try_open(addr, &Ask::by(sub, "GET", "/v1/ws"), GLANCE) {
        Ok(ws) => ws,
        Err(Shut::Broken | Shut::Refused(503)) => return Parting::Shut,
        Err(shut) => panic!("{shut:?}"),
    };
    let (mut sent, mut told) = (writing.acknowledged, false);
    while writing.wants(writing.acknowledged) {
        while writing.wants(sent) && writing.can_send(sent) && sent < writing.acknowledged + IN_FLIGHT_MAX && !told {
            writing.begin(sent + 1);
            if !ws.try_send_text(writing.frame(sent)) {
                // What the hub has answered is still read.
                break;
            }
            sent += 1;
        }
        match ws.try_came() {
            None => {}
            Some(Came::Frame(frame)) => match frame["t"].as_str().unwrap() {
                "published" => {
                    assert_eq!(frame["ref"], json!(writing.acknowledged), "answers come in order: {frame}");
                    writing.acknowledge(1, &frame);
                }
                "welcome" => {}
                "reconnect" => told = true,
                "error" if frame["status"] == 503 => return Parting::Shut,
                _ => panic!("{frame}"),
            },
            Some(Came::Closed(code)) => {
                assert_eq!((told, code), (true, 1012));
                return Parting::Told;
            }
            Some(Came::Eof) => return Parting::Sudden,
        }
    }
    Parting::Done
}
