//! Writes under conditions, by property: keys, expectations, chains, appends to events, redactions, closing, and
//! a log that rejects, fails, answers late or loses its topic. The log of the model is the one in memory.

mod checks;

use crate::log::contract::deed;
use std::collections::{BTreeMap, HashSet};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use proptest::prelude::*;

use super::tests::{new_topic, origin_of};
use super::*;
use crate::event::{APPENDED_BYTES_MAX, EventType, NewEvent};
use crate::log::memory::MemoryLog;
use crate::log::{
    Append, AppendError, Class, EventLog as _, IDEMPOTENCY_KEPT_MS, Once, PageLimit, PortFuture, Topics as _,
};
use crate::principal::Role;
use crate::refusal::{Code, Refusal};

const LIMITS: TopicLimits =
    TopicLimits { tail_events: 6, tail_bytes: 4_000, backlog_bytes: 900_000, delivery_bytes: 900 };
const SENDERS: usize = 2;
/// What redactions may be for.
const CLASSES: [Class; 3] = [Class::Relief, Class::Emergency(Role::Admin), Class::Ordinary];

#[derive(Debug, Clone)]
enum Body {
    /// Notes of so many bytes.
    Notes(usize, usize),
    /// Text for an event so many before the head, of so many bytes.
    Append(u64, usize),
    Redact(u64),
    Close,
}

#[derive(Debug, Clone, Copy)]
enum Expected {
    Nothing,
    Empty,
    /// The head less so many.
    Head(u64),
}

#[derive(Debug, Clone)]
enum Op {
    /// A key's number, with whether its body is always the same.
    Write {
        sender: usize,
        body: Body,
        key: Option<(u8, bool)>,
        expected: Expected,
        chain: Option<usize>,
    },
    Appended(Outcome),
    Recalled(usize),
    /// The topic is started again; the append in flight was carried out or not.
    Die(bool),
    /// Keys are forgotten.
    NextDay,
    NewChain(usize),
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Done,
    Unavailable,
    Full,
}

fn op() -> impl Strategy<Value = Op> {
    let body = prop_oneof![
        6 => (1_usize..4, 1_usize..40).prop_map(|(events, bytes)| Body::Notes(events, bytes)),
        4 => (0_u64..6, prop_oneof![8 => 1_usize..40, 1 => Just(64_000_usize)]).prop_map(|(back, bytes)| Body::Append(back, bytes)),
        1 => (0_u64..6).prop_map(Body::Redact),
        1 => Just(Body::Close),
    ];
    let expected = prop_oneof![
        6 => Just(Expected::Nothing),
        1 => Just(Expected::Empty),
        2 => (0_u64..3).prop_map(Expected::Head),
    ];
    let key = prop::option::of((0_u8..4, prop::bool::weighted(0.8)));
    let write = (0..SENDERS, body, key, expected, prop::option::of(0_usize..2))
        .prop_map(|(sender, body, key, expected, chain)| Op::Write { sender, body, key, expected, chain });
    prop_oneof![
        12 => write,
        8 => Just(Op::Appended(Outcome::Done)),
        1 => prop_oneof![Just(Outcome::Unavailable), Just(Outcome::Full)].prop_map(Op::Appended),
        3 => (0_usize..3).prop_map(Op::Recalled),
        1 => any::<bool>().prop_map(Op::Die),
        1 => Just(Op::NextDay),
        1 => (0_usize..2).prop_map(Op::NewChain),
    ]
}

/// A write as its sender knows it.
struct Sent {
    sender: usize,
    events: Vec<(String, Bytes)>,
    once: Option<Once>,
    expect: Option<Expect>,
    /// Which chain, and the place in it.
    chain: Option<(usize, usize)>,
    answer: Option<Result<Published, Code>>,
    /// Its topic died before it was answered.
    lost: bool,
    /// Its key was looked up.
    recalled: bool,
}

struct Model {
    log: MemoryLog,
    record: Arc<TopicRecord>,
    state: TopicState<usize>,
    effects: Vec<Effect<usize>>,
    in_flight: Option<(Arc<[Event]>, Vec<OnceWrite>)>,
    recalls: Vec<Recall<usize>>,
    /// The data of what was written, by seq, though it may be redacted since.
    written: BTreeMap<Seq, (String, Bytes, i64)>,
    sent: Vec<Sent>,
    chains: Vec<(Chain, usize)>,
    /// What each chain is in `chains` now.
    current: [usize; 2],
    now_ms: i64,
}

fn now<T>(mut future: PortFuture<T>) -> T {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("the log in memory answers at once"),
    }
}

fn text(what: &str, bytes: usize) -> Bytes {
    format!("\"{what}{}\"", "x".repeat(bytes)).into()
}

impl Model {
    fn new() -> Self {
        let log = MemoryLog::default();
        let record = Arc::new(now(log.create(new_topic(), deed())).unwrap());
        let state = TopicState::new(record.clone(), Bounds::EMPTY, LIMITS);
        Self {
            log,
            record,
            state,
            effects: Vec::new(),
            in_flight: None,
            recalls: Vec::new(),
            written: BTreeMap::new(),
            sent: Vec::new(),
            chains: vec![(Chain::default(), 0), (Chain::default(), 0)],
            current: [0, 1],
            now_ms: 1_000,
        }
    }

    fn bounds(&self) -> Bounds {
        now(self.log.bounds(self.record.log)).unwrap()
    }

    fn what(&self, body: &Body, number: &str) -> (What, Vec<(String, Bytes)>) {
        let head = self.bounds().head;
        match *body {
            Body::Notes(events, bytes) => {
                let event = |index| NewEvent {
                    kind: EventType::parse("note").unwrap(),
                    data: text(&format!("{number}/{index}/"), bytes),
                    target: None,
                };
                let events: Vec<NewEvent> = (0..events).map(event).collect();
                let texts = events.iter().map(|event| ("note".to_owned(), event.data.clone())).collect();
                (What::Events(events), texts)
            }
            Body::Append(back, bytes) => {
                let data = text(&format!("{number}/0/"), bytes);
                let target = Some(head.saturating_sub(back));
                let event = NewEvent { kind: EventType::append(), data: data.clone(), target };
                (What::Events(vec![event]), vec![("append".to_owned(), data)])
            }
            Body::Redact(back) => (
                What::Redact(head.saturating_sub(back), CLASSES[back as usize % CLASSES.len()]),
                vec![("redacted".to_owned(), Bytes::from_static(b"{}"))],
            ),
            Body::Close => (What::Close(deed()), vec![("closed".to_owned(), Bytes::from_static(b"{}"))]),
        }
    }

    fn write(&mut self, sender: usize, body: &Body, key: Option<(u8, bool)>, expected: Expected, chain: Option<usize>) {
        let number = self.sent.len();
        // What has the same key is the same, but for those who use a key for something else.
        let name = match key {
            Some((key, true)) => format!("{sender}k{key}"),
            _ => number.to_string(),
        };
        let body = match (key, body) {
            (Some((key, true)), Body::Notes(..) | Body::Append(..)) => &Body::Notes(usize::from(key % 2) + 1, 7),
            (_, body) => body,
        };
        let (what, events) = self.what(body, &name);
        let once = key.filter(|_| matches!(what, What::Events(_))).map(|(key, _)| {
            let mut digest = [0; 32];
            name.bytes().take(32).zip(&mut digest).for_each(|(byte, place)| *place = byte);
            Once { sub: format!("sub{sender}").into(), key: key.to_string().into(), digest }
        });
        let mark = self.record.mark();
        let expect = match expected {
            Expected::Nothing => None,
            Expected::Empty => Some(Expect::Empty),
            Expected::Head(back) => Some(Expect::At(mark.at(self.bounds().head.saturating_sub(back)))),
        };
        let chain =
            chain.filter(|_| !matches!(what, What::Close(_) | What::Redact(..))).map(|chain| self.current[chain]);
        let link = chain.map(|chain| {
            self.chains[chain].1 += 1;
            (chain, self.chains[chain].1)
        });
        let chain = chain.map(|chain| self.chains[chain].0.clone());
        let write = Write { what, once: once.clone(), expect, chain, taken: None };
        self.sent.push(Sent { sender, events, once, expect, chain: link, answer: None, lost: false, recalled: false });
        self.state.write(write, origin_of(&format!("sub{sender}")), self.now_ms, number, &mut self.effects);
        self.perform();
    }

    fn perform(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Append(events, once, _, class) => {
                    assert!(self.in_flight.is_none(), "one append at a time");
                    let of_state = self.state.in_flight.iter().flat_map(|(_, writes)| writes);
                    assert!(of_state.clone().all(|(put, _)| put.write.class() == class), "one append is for one thing");
                    self.check_append(&events, &once);
                    self.in_flight = Some((events, once));
                }
                Effect::Answer(writer, result) => self.answer(writer, result),
                Effect::Recall(recall) => self.recalls.push(*recall),
                Effect::Deliver(..) => unreachable!("nobody reads here"),
            }
        }
        let bounds = self.state.bounds();
        assert_eq!(bounds, self.bounds(), "the topic knows its log");
        let waits_for = self.in_flight.is_some() || !self.recalls.is_empty();
        assert!(waits_for || self.state.waiting.is_empty(), "nobody waits for nothing");
    }

    /// What the port asks of an append.
    fn check_append(&self, events: &[Event], once: &[OnceWrite]) {
        let head = self.bounds().head;
        assert!(!events.is_empty() && events.iter().zip(head + 1..).all(|(event, seq)| event.seq == seq));
        assert!(!self.bounds().closed, "nothing is written behind closed");
        let closes = events.iter().position(|event| event.kind.as_str() == "closed");
        assert!(closes.is_none_or(|at| at + 1 == events.len()), "closed is the last");
        let last = head + events.len() as Seq;
        let ascending = once.windows(2).all(|pair| pair[0].places.last < pair[1].places.first);
        assert!(ascending && once.iter().all(|w| w.places.first > head && w.places.last <= last));
        let keys: HashSet<_> = once.iter().map(|write| (&write.once.sub, &write.once.key)).collect();
        assert_eq!(keys.len(), once.len(), "no key twice in an append");
        assert_eq!(self.state.waiting_bytes, self.state.waiting.iter().map(|w| w.bytes).sum::<usize>());
    }

    fn answer(&mut self, writer: usize, result: Result<Published, Refusal>) {
        let head = self.bounds().head;
        if let Ok(places) = &result {
            assert!(places.first <= places.last && places.last <= head, "nobody is told of what is not durable");
        }
        if let Err(Refusal { code: Code::ExpectMismatch, more, .. }) = &result {
            let told = more.as_ref().expect("a head").get("head").and_then(|head| head.as_str()).expect("a cursor");
            let told = crate::cursor::Cursor::parse(told).unwrap();
            assert!(told.mark == self.record.mark() && told.seq <= head);
            let expected = self.sent[writer].expect.expect("only who expects is told so");
            assert!(!matches!(expected, Expect::At(cursor) if cursor == told), "told of the head that was expected");
        }
        let sent = &mut self.sent[writer];
        assert!(sent.answer.is_none() && !sent.lost, "a writer is answered once");
        sent.answer = Some(result.map_err(|refusal| refusal.code));
    }

    fn appended(&mut self, outcome: Outcome) {
        let Some((events, once)) = self.in_flight.take() else { return };
        let result = match outcome {
            Outcome::Done => self.carry_out(&events, once),
            Outcome::Unavailable => Err(AppendError::Unavailable("x".into())),
            Outcome::Full => Err(AppendError::Full("x".into())),
        };
        self.state.appended(result, self.now_ms, &mut self.effects);
        self.perform();
    }

    fn carry_out(&mut self, events: &Arc<[Event]>, once: Vec<OnceWrite>) -> Result<(), AppendError> {
        let append =
            Append { log: self.record.log, events: events.clone(), once, closing: None, class: Class::Ordinary };
        let result = now(self.log.append(vec![append])).remove(0);
        assert!(!matches!(result, Err(AppendError::Conflict | AppendError::Gone)));
        if result.is_ok() {
            let kept = events.iter().map(|e| (e.seq, (e.kind.as_str().to_owned(), e.data.clone(), e.time_ms)));
            self.written.extend(kept);
        }
        result
    }

    fn recalled(&mut self, which: usize) {
        if self.recalls.is_empty() {
            return;
        }
        let recall = self.recalls.remove(which % self.recalls.len());
        self.sent[recall.reply].recalled = true;
        let once = recall.once().clone();
        let found = now(self.log.recall(self.record.log, &once.sub, &once.key, self.now_ms));
        self.state.recalled(recall, &found, self.now_ms, &mut self.effects);
        self.perform();
    }

    fn die(&mut self, carried_out: bool) {
        if let Some((events, once)) = self.in_flight.take().filter(|_| carried_out) {
            // Rejected or not: nobody hears of it.
            let _ = self.carry_out(&events, once);
        }
        self.recalls.clear();
        self.sent.iter_mut().filter(|sent| sent.answer.is_none()).for_each(|sent| sent.lost = true);
        self.state = TopicState::new(self.record.clone(), self.bounds(), LIMITS);
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Write { sender, body, key, expected, chain } => self.write(sender, &body, key, expected, chain),
            Op::Appended(outcome) => self.appended(outcome),
            Op::Recalled(which) => self.recalled(which),
            Op::Die(carried_out) => self.die(carried_out),
            Op::NextDay => self.now_ms += IDEMPOTENCY_KEPT_MS,
            Op::NewChain(which) => {
                self.current[which] = self.chains.len();
                self.chains.push((Chain::default(), 0));
            }
        }
    }

    fn settle(&mut self) {
        while self.in_flight.is_some() || !self.recalls.is_empty() {
            self.appended(Outcome::Done);
            self.recalled(0);
        }
        assert!(self.state.idle() && self.state.waiting_bytes == 0);
        self.check_log();
        // Who writes now is told so at once when the topic is closed, and only then.
        let closed = self.bounds().closed;
        self.write(0, &Body::Notes(1, 1), None, Expected::Nothing, None);
        self.appended(Outcome::Done);
        let last = self.sent.last().unwrap().answer;
        assert_eq!(last.unwrap().err(), closed.then_some(Code::TopicClosed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_writes_is_answered_as_the_log_says(ops in prop::collection::vec(op(), 0..60)) {
        let mut model = Model::new();
        ops.into_iter().for_each(|op| model.apply(op));
        model.settle();
    }
}
