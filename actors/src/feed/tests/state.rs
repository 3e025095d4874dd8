//! The rules of a feed under any sequence of what it can be told, with one reader who takes whatever comes next.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::cursor::Incarnation;
use crate::event::{Event, EventType, Origin};
use crate::log::{LogId, NewTopic, Visibility};
use crate::topic_key::{Env, Scope, Tenant, TopicKey};

const LIMITS: TopicLimits =
    TopicLimits { tail_events: 5, tail_bytes: 6_000, backlog_bytes: 900, delivery_bytes: 1_500 };
const OUTLET: OutletId = OutletId { worker: 0, life: 0 };

fn record(key: TopicKey) -> Arc<TopicRecord> {
    let topic = NewTopic {
        key,
        creator: "alice".into(),
        title: None,
        visibility: Visibility::Team,
        members: Vec::new(),
        created_at_ms: 0,
        incarnation: Incarnation(7),
    };
    Arc::new(TopicRecord { log: LogId(1), topic })
}

fn scope() -> Scope {
    Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev }
}

fn item(position: Position, kind: &str) -> FeedItem {
    let event = Event {
        seq: 1,
        time_ms: 0,
        kind: EventType::stored(kind).unwrap(),
        origin: Origin { routing: Bytes::from_static(b"\"actor_id\":\"a\""), meta: Bytes::new() },
        data: Bytes::from_static(b"1"),
        target: None,
        taken: None,
    };
    FeedItem { position, event, topic: record(TopicKey::parse(&scope(), "thread/x").unwrap()), about: None }
}

fn feed() -> FeedState {
    let ends = FeedEnds { floor: 0, head: 10, incarnation: Incarnation(7) };
    FeedState::new(record(TopicKey::feed(&scope())), ends, LIMITS)
}

fn told(state: &mut FeedState, after: Position, items: Option<Vec<FeedItem>>, upto: Position) -> Vec<Arc<Batch>> {
    let mut sent = Vec::new();
    state.told(Tapped { after, upto, items }, |_, batch| sent.push(batch));
    sent
}

fn places(batch: &Batch, cursor: Position) -> Vec<Position> {
    batch.frames_behind(cursor).map(|frame| frame.seq).collect()
}

#[test]
fn what_moves_rights_or_redacts_is_not_in_front_of_what_memory_has() {
    for kind in ["thread.changed", "thread.member_removed", "thread.deleted", "redacted", "canvas.member_put"] {
        let mut state = feed();
        told(&mut state, 10, Some(vec![item(12, "note"), item(13, kind), item(15, "note")]), 16);
        assert!(matches!(state.replay(11, 9_999), Replay::Log), "{kind}");
        let Replay::Tail(batch) = state.replay(12, 9_999) else { panic!("what comes behind is there") };
        assert_eq!((places(&batch, 12), batch.last()), (vec![13, 15], 16));
    }
    for kind in ["thread.created", "thread.closed", "key.revoked", "closed", "append"] {
        let mut state = feed();
        told(&mut state, 10, Some(vec![item(12, "note"), item(13, kind)]), 13);
        assert!(matches!(state.replay(10, 9_999), Replay::Tail(_)), "{kind}");
    }
}

#[test]
fn what_does_not_fit_a_tap_is_asked_for() {
    let mut state = feed();
    let mut sent = Vec::new();
    state.attach(OUTLET, 1, 10, |_, batch| sent.push(batch));
    assert!(sent.is_empty(), "there is nothing yet");
    let sent = told(&mut state, 10, None, 50);
    assert_eq!((sent.len(), sent[0].first(), sent[0].last()), (1, 51, 50), "nobody goes on by it");
    assert!(matches!(state.replay(10, 9_999), Replay::Log) && matches!(state.replay(50, 9_999), Replay::UpToDate));
    // So is what was told behind something that was not.
    assert!(told(&mut state, 50, Some(vec![item(51, "note")]), 51).is_empty(), "one delivery at a time");
    assert!(matches!(state.replay(50, 9_999), Replay::Tail(_)));
    told(&mut state, 60, Some(vec![item(61, "note")]), 61);
    assert!(matches!(state.replay(51, 9_999), Replay::Log));
}

#[test]
fn nobody_is_shown_more_of_a_page_than_was_told() {
    let mut state = feed();
    told(&mut state, 10, None, 20);
    let ends = FeedEnds { floor: 4, head: 30, incarnation: Incarnation(7) };
    let items = [12, 20, 21].map(|position| item(position, "note")).into();
    let page = FeedPage { items, after: 10, upto: 30, ends };
    let batch = state.page(&page).unwrap();
    assert_eq!((places(&batch, 10), batch.first(), batch.last()), (vec![12, 20], 11, 20));
    assert_eq!((state.bounds().oldest, state.bounds().head), (4, 20));
    let nothing = FeedPage { items: Vec::new(), after: 20, upto: 30, ends };
    assert!(state.page(&nothing).is_none());
    let start = |seq| Start::After(state.record().mark().at(seq));
    assert!(state.is_ahead(start(25)) && !state.is_ahead(start(20)));
    assert!(
        matches!(state.locate_ahead(start(25), 30), Located::At(started) if started.cursor == 25 && started.gap.is_none())
    );
    assert!(matches!(state.locate_ahead(start(31), 30), Located::At(started) if started.gap.is_some()));
}

#[test]
fn who_knows_of_a_trim_is_not_told_of_it() {
    let mut state = feed();
    told(&mut state, 10, None, 20);
    let mark = state.record().mark();
    let begins = |state: &FeedState, start: Start| match state.locate(start) {
        Located::At(started) => (started.cursor, started.gap.is_some(), state.bounds_for(start, started).oldest),
        Located::Last(_) => unreachable!("a cursor is a place"),
    };
    // The feed has not been told yet how far retention has come, and whoever comes from a page has.
    assert_eq!(begins(&state, Start::After(mark.at(3))), (3, false, 0));
    assert_eq!(begins(&state, Start::After(mark.at(3).knowing(15))), (3, false, 15));
    let ends = FeedEnds { floor: 17, head: 20, incarnation: Incarnation(7) };
    let _ = state.page(&FeedPage { items: Vec::new(), after: 10, upto: 20, ends });
    assert_eq!(begins(&state, Start::After(mark.at(3).knowing(15))), (3, true, 17));
    assert_eq!(begins(&state, Start::After(mark.at(3).knowing(17))), (3, false, 17));
    assert_eq!(begins(&state, Start::After(mark.at(18).knowing(19))), (18, false, 19));
    // What the feed was not told of is asked of the store; what nobody was given is unknown, and says nothing.
    let ahead = Start::After(mark.at(3).knowing(25));
    assert!(state.is_ahead(ahead) && !state.is_ahead(Start::After(mark.at(3).knowing(20))));
    assert_eq!(begins(&state, ahead), (0, true, 17));
}

#[derive(Debug, Clone, Copy)]
enum Op {
    /// A commit, and how many places belong to others behind it.
    Told {
        events: u64,
        hole: u64,
        moves: bool,
        fits: bool,
    },
    Delivered,
    Replay {
        bytes: usize,
        ahead: u64,
    },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u64..6, 0_u64..4, prop::bool::weighted(0.15), prop::bool::weighted(0.85))
            .prop_map(|(events, hole, moves, fits)| Op::Told { events, hole, moves, fits }),
        4 => Just(Op::Delivered),
        3 => (1_usize..3_000, 0_u64..9).prop_map(|(bytes, ahead)| Op::Replay { bytes, ahead }),
        1 => Just(Op::Restart),
    ]
}

/// A store, and a reader as an outlet has one.
struct Model {
    state: FeedState,
    log: Vec<Position>,
    head: Position,
    cursor: Position,
    got: Vec<Position>,
    unanswered: bool,
}

impl Model {
    fn take(&mut self, batch: &Batch) {
        assert!(batch.last() <= self.head, "nothing is shown before it was told");
        if self.cursor + 1 >= batch.first() && self.cursor < batch.last() {
            self.got.extend(places(batch, self.cursor));
            self.cursor = batch.last();
        }
    }

    fn deliver(&mut self, sent: Vec<Arc<Batch>>) {
        assert!(sent.len() <= usize::from(!self.unanswered), "one delivery at a time");
        for batch in sent {
            self.unanswered = true;
            self.take(&batch);
        }
    }

    fn replay(&mut self, bytes: usize, ahead: u64) {
        match self.state.replay(self.cursor, bytes) {
            Replay::UpToDate => assert_eq!(self.cursor, self.head),
            Replay::Tail(batch) => {
                assert_eq!(batch.first(), self.cursor + 1, "a tail never skips");
                self.take(&batch);
            }
            Replay::Log => {
                let behind = self.log.iter().filter(|position| **position > self.cursor).take(3);
                let items: Vec<_> = behind.map(|position| item(*position, "note")).collect();
                let head = self.head + ahead;
                let upto = if items.len() == 3 { items[2].position } else { head };
                let ends = FeedEnds { floor: 0, head, incarnation: Incarnation(7) };
                let page = self.state.page(&FeedPage { items, after: self.cursor, upto, ends }).unwrap();
                self.take(&page);
            }
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Told { events, hole, moves, fits } => {
                let after = self.head;
                let positions: Vec<_> = (after + 1..=after + events).collect();
                self.head = after + events + hole;
                let kind =
                    |position: Position| if moves && position.is_multiple_of(2) { "thread.changed" } else { "note" };
                let items = positions.iter().map(|position| item(*position, kind(*position))).collect();
                self.log.extend(&positions);
                let sent = told(&mut self.state, after, Some(items).filter(|_| fits), self.head);
                self.deliver(sent);
            }
            Op::Delivered if self.unanswered => {
                self.unanswered = false;
                let mut sent = Vec::new();
                self.state.delivered(OUTLET, |_, batch| sent.push(batch));
                self.deliver(sent);
            }
            Op::Delivered => {}
            Op::Replay { bytes, ahead } => self.replay(bytes, ahead),
            Op::Restart => {
                let ends = FeedEnds { floor: 0, head: self.head, incarnation: Incarnation(7) };
                self.state = FeedState::new(self.state.record().clone(), ends, LIMITS);
                self.unanswered = false;
                let (mut sent, head) = (Vec::new(), self.head);
                self.state.attach(OUTLET, 1, head, |_, batch| sent.push(batch));
                self.deliver(sent);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_reader_gets_everything_once_and_in_order(ops in prop::collection::vec(op(), 0..80)) {
        let mut model =
            Model { state: feed(), log: Vec::new(), head: 10, cursor: 10, got: Vec::new(), unanswered: false };
        model.state.attach(OUTLET, 1, 10, |_, _| ());
        for op in ops {
            model.apply(op);
            prop_assert!(model.got.iter().eq(model.log.iter().filter(|position| **position <= model.cursor)));
        }
        for _ in 0..400 {
            if model.cursor == model.head {
                break;
            }
            model.replay(500, 0);
        }
        prop_assert_eq!(model.got, model.log);
        model.state.keep_outlets(|_| true);
        prop_assert!(!model.state.idle(), "it has a reader");
        model.state.keep_outlets(|_| false);
        prop_assert!(model.state.idle());
    }
}
