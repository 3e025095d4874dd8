//! The rules of a topic under any sequence of what can happen to it, and where a reader starts, as a table.

use crate::log::contract::deed;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use proptest::prelude::*;

use super::super::fanout::UNSENT_FACTOR;
use super::*;
use crate::cursor::{Incarnation, Mark};
use crate::event::{EventType, NewEvent, Origin};
use crate::frame::Wire;
use crate::log::{AppendError, Class, LogId, NewTopic, Visibility};
use crate::refusal::Code;
use crate::topic_key::{Env, Scope, Tenant, TopicKey};

const LIMITS: TopicLimits = TopicLimits { tail_events: 6, tail_bytes: 4_000, backlog_bytes: 600, delivery_bytes: 900 };
const OUTLETS: usize = 3;

fn key(topic: &str) -> TopicKey {
    let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
    TopicKey::parse(&scope, topic).unwrap()
}

pub(super) fn new_topic() -> NewTopic {
    NewTopic {
        key: key("thread/x"),
        creator: "alice".into(),
        title: None,
        visibility: Visibility::Team,
        members: Vec::new(),
        created_at_ms: 0,
        incarnation: Incarnation(7),
    }
}

fn record() -> Arc<TopicRecord> {
    Arc::new(TopicRecord { log: LogId(1), topic: new_topic() })
}

pub(super) fn origin_of(sub: &str) -> Origin {
    Origin { routing: format!("\"actor_id\":\"{sub}\"").into(), meta: Bytes::from_static(b"\"request_id\":\"r\"") }
}

fn origin() -> Origin {
    origin_of("a")
}

fn outlet(worker: usize) -> OutletId {
    OutletId { worker, life: 0 }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Write { events: usize, bytes: usize },
    Redact,
    Close,
    Appended(Outcome),
    Attach { outlet: usize, old: bool },
    Detach(usize),
    Restart(usize),
    Delivered(usize),
    Replay { outlet: usize, bytes: usize },
    Trim(u64),
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Ok,
    Conflict,
    Gone,
    Unavailable,
}

impl Outcome {
    fn result(self) -> Result<(), AppendError> {
        match self {
            Self::Ok => Ok(()),
            Self::Conflict => Err(AppendError::Conflict),
            Self::Gone => Err(AppendError::Gone),
            Self::Unavailable => Err(AppendError::Unavailable("x".into())),
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    let outlets = 0..OUTLETS;
    prop_oneof![
        6 => (1_usize..4, 1_usize..300).prop_map(|(events, bytes)| Op::Write { events, bytes }),
        6 => Just(Op::Appended(Outcome::Ok)),
        1 => prop_oneof![Just(Outcome::Conflict), Just(Outcome::Gone), Just(Outcome::Unavailable)].prop_map(Op::Appended),
        5 => outlets.clone().prop_map(Op::Delivered),
        3 => (outlets.clone(), any::<bool>()).prop_map(|(outlet, old)| Op::Attach { outlet, old }),
        1 => outlets.clone().prop_map(Op::Detach),
        1 => outlets.clone().prop_map(Op::Restart),
        3 => (outlets, 1_usize..2_000).prop_map(|(outlet, bytes)| Op::Replay { outlet, bytes }),
        1 => (0_u64..40).prop_map(Op::Trim),
        1 => Just(Op::Redact),
        1 => Just(Op::Close),
    ]
}

/// An outlet as the topic should see it, with one reader who takes whatever comes next.
struct Reader {
    id: OutletId,
    readers: usize,
    cursor: Seq,
    /// The newest event that the outlet was told of.
    told: Seq,
    unanswered: usize,
}

struct Model {
    state: TopicState<usize>,
    effects: Vec<Effect<usize>>,
    in_flight: Option<Arc<[Event]>>,
    /// What is durable, by seq.
    log: BTreeMap<Seq, Event>,
    /// How each writer was answered.
    answers: HashMap<usize, Result<Published, Code>>,
    writers: usize,
    readers: Vec<Option<Reader>>,
    lives: u32,
}

impl Model {
    fn new() -> Self {
        Self {
            state: TopicState::new(record(), Bounds::EMPTY, LIMITS),
            effects: Vec::new(),
            in_flight: None,
            log: BTreeMap::new(),
            answers: HashMap::new(),
            writers: 0,
            readers: (0..OUTLETS).map(|_| None).collect(),
            lives: 0,
        }
    }

    fn head(&self) -> Seq {
        self.log.keys().next_back().copied().unwrap_or(0)
    }

    fn closed(&self) -> bool {
        self.log.values().next_back().is_some_and(|event| event.kind.as_str() == "closed")
    }

    fn write(&mut self, write: Write) {
        let writer = self.writers;
        self.writers += 1;
        let waited = self.state.waiting_bytes;
        let (busy, bytes) = match &write.what {
            What::Events(events) => (!self.state.waiting.is_empty(), events.iter().map(|e| e.data.len() + 4).sum()),
            What::Redact(..) | What::Close(_) => (!self.state.waiting.is_empty(), 0),
        };
        let closing = self.state.closing;
        self.state.write(write, origin(), 1, writer, &mut self.effects);
        self.perform();
        let refused = self.answers.get(&writer).map(|answer| *answer.as_ref().unwrap_err());
        let expected = if closing {
            Some(Code::TopicClosed)
        } else if busy && waited + bytes > LIMITS.backlog_bytes {
            Some(Code::TopicBusy)
        } else {
            None
        };
        assert_eq!(refused, expected, "a writer is refused at once, or waits");
    }

    fn appended(&mut self, outcome: Outcome) {
        let Some(events) = self.in_flight.take() else { return };
        if matches!(outcome, Outcome::Ok) {
            self.log.extend(events.iter().map(|event| (event.seq, event.clone())));
        }
        self.state.appended(outcome.result(), 2, &mut self.effects);
        self.perform();
    }

    fn perform(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Append(events, ..) => {
                    assert!(self.in_flight.is_none(), "one append at a time");
                    let seqs: Vec<Seq> = events.iter().map(|event| event.seq).collect();
                    let expected: Vec<Seq> = (self.head() + 1..).take(events.len()).collect();
                    assert_eq!(seqs, expected, "seqs are consecutive");
                    assert!(!events.is_empty() && !self.closed(), "nothing is written behind closed");
                    let closes = events.iter().position(|event| event.kind.as_str() == "closed");
                    assert!(closes.is_none_or(|at| at + 1 == events.len()), "closed is the last");
                    self.in_flight = Some(events);
                }
                Effect::Deliver(id, batch) => {
                    assert!(self.log.contains_key(&batch.last()), "nothing is shown that is not durable");
                    assert_eq!(batch.closes(), self.log[&batch.last()].kind.as_str() == "closed");
                    let reader = self.readers[id.worker].as_mut().expect("delivered to who is attached");
                    assert_eq!(reader.id, id, "not to an outlet of before");
                    reader.unanswered += 1;
                    assert_eq!(reader.unanswered, 1, "one unanswered delivery at a time");
                    reader.told = reader.told.max(batch.last());
                    assert!(size(&batch) <= LIMITS.delivery_bytes || batch.first() == batch.last());
                    if batch.first() <= reader.cursor + 1 {
                        reader.cursor = reader.cursor.max(batch.last());
                    }
                }
                Effect::Recall(..) => unreachable!("no writer has a key here"),
                Effect::Answer(writer, result) => {
                    if let Ok(published) = result {
                        assert!(published.first <= published.last && self.log.contains_key(&published.last));
                    }
                    let before = self.answers.insert(writer, result.map_err(|refusal| refusal.code));
                    assert!(before.is_none(), "a writer is answered once");
                }
            }
        }
        self.check();
    }

    fn check(&self) {
        let bounds = self.state.bounds();
        assert_eq!((bounds.head, bounds.closed), (self.head(), self.closed()));
        let (frames, bytes) = self.state.fanout.tail_size();
        let unsent = self.readers.iter().flatten().any(|reader| reader.unanswered > 0);
        let most = if unsent { UNSENT_FACTOR * LIMITS.backlog_bytes } else { LIMITS.tail_bytes };
        assert!(frames <= 1 || bytes <= most.max(LIMITS.tail_bytes), "the tail is bounded: {frames} frames of {bytes}");
        assert!(frames <= LIMITS.tail_events || unsent);
        let quiet = self.in_flight.is_none() && self.state.waiting.is_empty();
        assert_eq!(self.state.idle(), quiet && !unsent);
        assert!(self.in_flight.is_some() || self.state.waiting.is_empty(), "nobody waits for nothing");
    }

    /// A reader reads on, from the tail or the log, as an outlet does for them.
    fn replay(&mut self, worker: usize, bytes: usize) {
        let head = self.head();
        let Some(reader) = &mut self.readers[worker] else { return };
        match self.state.replay(reader.cursor, bytes, Fold::No) {
            Replay::UpToDate => assert_eq!(reader.cursor, head),
            Replay::Tail(batch) => {
                assert_eq!(batch.first(), reader.cursor + 1, "a tail never skips");
                assert!(batch.last() <= head);
                let redaction = self.log.values().rfind(|event| event.kind.as_str() == "redacted");
                let shows = redaction.is_some_and(|event| batch.first() < event.seq);
                assert!(!shows, "what was encoded before a redaction is shown behind it");
                assert!(size(&batch) <= bytes || batch.first() == batch.last());
                reader.cursor = batch.last();
            }
            Replay::Log => {
                assert!(reader.cursor < head);
                let events: Vec<Event> = self.log.range(reader.cursor + 1..).take(3).map(|(_, e)| e.clone()).collect();
                reader.cursor = Batch::new(self.state.encode(&events)).unwrap().last();
            }
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Write { events, bytes } => {
                let event =
                    NewEvent { kind: EventType::parse("note").unwrap(), data: vec![b'1'; bytes].into(), target: None };
                self.write(Write::events(vec![event; events]));
            }
            Op::Redact => self.write(What::Redact(1, Class::Relief).into()),
            Op::Close => self.write(What::Close(deed()).into()),
            Op::Appended(outcome) => self.appended(outcome),
            Op::Attach { outlet, old } => self.attach(outlet, old),
            Op::Detach(worker) => {
                if let Some(reader) = &mut self.readers[worker] {
                    reader.readers -= 1;
                    self.state.detach(reader.id, 1);
                    if reader.readers == 0 {
                        self.readers[worker] = None;
                        self.state.fanout.trim();
                    }
                }
            }
            Op::Restart(worker) => {
                if self.readers[worker].take().is_some() {
                    let living: Vec<OutletId> = self.readers.iter().flatten().map(|reader| reader.id).collect();
                    // As the actor does: an outlet that died is forgotten, or replaced when the next one attaches.
                    self.state.keep_outlets(|id| living.contains(&id));
                    let gone: Vec<_> = self.state.outlets().filter(|id| !living.contains(id)).collect();
                    gone.into_iter().for_each(|id| self.state.detach(id, usize::MAX));
                    self.state.fanout.trim();
                }
            }
            Op::Delivered(worker) => {
                if let Some(reader) = self.readers[worker].as_mut().filter(|reader| reader.unanswered > 0) {
                    reader.unanswered = 0;
                    let id = reader.id;
                    self.state.delivered(id, &mut self.effects);
                }
            }
            Op::Replay { outlet, bytes } => self.replay(outlet, bytes),
            Op::Trim(oldest) => {
                self.state.trimmed(oldest);
                let bounds = self.state.bounds();
                assert!(bounds.oldest >= 1 && bounds.oldest <= bounds.head + 1);
            }
        }
        self.perform();
    }

    fn attach(&mut self, worker: usize, old: bool) {
        let head = self.head();
        let position = if old { head / 2 } else { head };
        if let Some(reader) = &mut self.readers[worker] {
            reader.readers += 1;
            let id = reader.id;
            self.state.attach(id, 1, position, &mut self.effects);
        } else {
            self.lives += 1;
            let id = OutletId { worker, life: self.lives };
            // Who attaches is told the head, and a subscriber starts there.
            self.readers[worker] = Some(Reader { id, readers: 1, cursor: position, told: head, unanswered: 0 });
            self.state.attach(id, 1, position, &mut self.effects);
        }
    }

    /// Everything under way comes to its end.
    fn settle(&mut self) {
        while self.in_flight.is_some() {
            self.appended(Outcome::Ok);
        }
        for _ in 0..=self.head() {
            (0..OUTLETS).for_each(|worker| self.apply(Op::Delivered(worker)));
        }
        for worker in 0..OUTLETS {
            let head = self.head();
            if let Some(reader) = &self.readers[worker] {
                assert_eq!((reader.told, reader.unanswered), (head, 0), "who keeps answering is told of every event");
            }
            for _ in 0..=head {
                self.replay(worker, 500);
            }
            assert!(self.readers[worker].as_ref().is_none_or(|reader| reader.cursor == head), "and gets every event");
        }
        assert_eq!(self.answers.len(), self.writers, "every writer is answered");
        assert!(self.state.idle());
    }
}

/// The bytes of one wire, as the limits count them: the mean of both, each frame rounded down.
fn size(batch: &Batch) -> usize {
    let both = [Wire::Ws, Wire::Sse].map(|wire| batch.behind(wire, batch.first() - 1).len());
    let frames = usize::try_from(batch.last() - batch.first() + 1).unwrap();
    (both[0] + both[1]).saturating_sub(frames) / 2
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_keeps_the_rules(ops in prop::collection::vec(op(), 0..80)) {
        let mut model = Model::new();
        ops.into_iter().for_each(|op| model.apply(op));
        model.settle();
    }
}

#[test]
fn outlets_that_stand_at_one_place_share_one_batch() {
    let mut state = TopicState::new(record(), Bounds::EMPTY, LIMITS);
    let mut effects = Vec::new();
    (0..2).for_each(|worker| state.attach(outlet(worker), 1, 0, &mut effects));
    let event = NewEvent { kind: EventType::parse("note").unwrap(), data: Bytes::from_static(b"1"), target: None };
    state.write(Write::events(vec![event]), origin(), 1, 0, &mut effects);
    effects.clear();
    state.appended(Ok(()), 1, &mut effects);
    let batches: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Deliver(_, batch) => Some(batch),
            _ => None,
        })
        .collect();
    assert!(batches.len() == 2 && Arc::ptr_eq(batches[0], batches[1]));
}

#[test]
fn where_a_reader_starts() {
    let mark = record().mark();
    let other = Mark::new(&key("thread/y"), Incarnation(7));
    let before = Mark::new(&key("thread/x"), Incarnation(6));
    let kept = Bounds { oldest: 11, head: 20, closed: false };
    let none_left = Bounds { oldest: 21, head: 20, closed: false };
    let at = |cursor| Started { cursor, gap: None };
    let gap = |cursor, reason| Started { cursor, gap: Some(reason) };
    let table = [
        (Start::Head, kept, at(20)),
        (Start::Head, Bounds::EMPTY, at(0)),
        (Start::Head, none_left, at(20)),
        (Start::Earliest, kept, at(10)),
        (Start::Earliest, Bounds::EMPTY, at(0)),
        (Start::Earliest, none_left, at(20)),
        (Start::Last(0), kept, at(20)),
        (Start::Last(1), kept, at(19)),
        (Start::Last(10), kept, at(10)),
        (Start::Last(500), kept, at(10)),
        (Start::Last(500), Bounds::EMPTY, at(0)),
        (Start::Last(5), none_left, at(20)),
        (Start::After(mark.at(20)), kept, at(20)),
        (Start::After(mark.at(10)), kept, at(10)),
        (Start::After(mark.at(0)), Bounds::EMPTY, at(0)),
        (Start::After(mark.at(9)), kept, gap(10, GapReason::Trimmed)),
        (Start::After(mark.at(0)), kept, gap(10, GapReason::Trimmed)),
        (Start::After(mark.at(19)), none_left, gap(20, GapReason::Trimmed)),
        (Start::After(mark.at(20)), none_left, at(20)),
        (Start::After(mark.at(21)), kept, gap(10, GapReason::Unknown)),
        (Start::After(mark.at(u64::MAX)), kept, gap(10, GapReason::Unknown)),
        (Start::After(before.at(15)), kept, gap(10, GapReason::Reset)),
        (Start::After(before.at(99)), kept, gap(10, GapReason::Reset)),
        (Start::After(other.at(15)), kept, gap(10, GapReason::Unknown)),
        (Start::After(other.at(15)), Bounds::EMPTY, gap(0, GapReason::Unknown)),
    ];
    for (start, bounds, expected) in table {
        assert_eq!(locate(start, mark, bounds), expected, "{start:?} in {bounds:?}");
    }
}
