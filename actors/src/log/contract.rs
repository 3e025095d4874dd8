//! The contract that every log and topic store must pass, as one suite that is run over each.
//!
//! Each case is a function of a fresh store. Nothing here needs a runtime or looks behind the
//! ports; what only one store promises (restarts, locks, slices) is tested beside it.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;

pub use self::deeds::deed;
use super::{
    Append, AppendError, Bounds, Class, CreateError, EventLog, LogId, Member, NewTopic, Page, PageLimit, TopicQuery,
    TopicRecord, Topics, Visibility,
};
use crate::cursor::Incarnation;
use crate::event::{Event, EventType, Origin, Seq};
use crate::topic_key::{Env, Scope, Tenant, TopicKey, TopicKind};

mod changes;
mod deeds;
mod dice;
pub mod feed;
mod folding;
mod lists;
mod model;
mod once;
mod random;
mod targets;
mod trimming;

/// What a case is run on.
struct Store<L, T> {
    log: L,
    topics: T,
}

/// A case and its name.
type Case<L, T> = (&'static str, fn(&Store<L, T>));

/// Runs the whole suite; `make` gives a fresh, empty store each time. Not to be called by a
/// thread that other futures need: it waits by parking.
///
/// # Panics
/// When the store breaks the contract. The case's name is written to stderr before it.
pub fn run<L: EventLog, T: Topics>(make: impl Fn() -> (L, T)) {
    let of_events: &[Case<L, T>] = &[
        ("seqs_have_no_holes", Store::seqs_have_no_holes),
        ("a_wrong_first_seq_is_a_conflict", Store::a_wrong_first_seq_is_a_conflict),
        ("a_hole_inside_an_item_is_a_conflict", Store::a_hole_inside_an_item_is_a_conflict),
        ("items_of_one_call_are_independent", Store::items_of_one_call_are_independent),
        ("an_unknown_log_is_gone", Store::an_unknown_log_is_gone),
        ("a_deleted_log_is_gone_and_reads_empty", Store::a_deleted_log_is_gone_and_reads_empty),
        ("created_anew_it_is_another_log", Store::created_anew_it_is_another_log),
        ("bounds_are_behind_what_was_called_before", Store::bounds_are_behind_what_was_called_before),
        ("pages_by_events", Store::pages_by_events),
        ("pages_by_bytes_hold_at_least_one_event", Store::pages_by_bytes_hold_at_least_one_event),
        ("a_read_behind_the_head_is_empty", Store::a_read_behind_the_head_is_empty),
        ("closed_is_told_by_the_newest_event", Store::closed_is_told_by_the_newest_event),
        ("calls_are_carried_out_in_order_unpolled", Store::calls_are_carried_out_in_order_unpolled),
        ("any_text_comes_back_byte_for_byte", Store::any_text_comes_back_byte_for_byte),
    ];
    let of_topics: &[Case<L, T>] = &[
        ("the_first_creator_wins", Store::the_first_creator_wins),
        ("a_record_comes_back_as_it_was", Store::a_record_comes_back_as_it_was),
        ("lists_are_paged_by_id", Store::lists_are_paged_by_id),
        ("lists_hold_what_one_may_read", Store::lists_hold_what_one_may_read),
        ("scopes_and_kinds_never_mix", Store::scopes_and_kinds_never_mix),
    ];
    let at_random: &[Case<L, T>] = &[
        ("folded_replay_is_the_concatenation", folding::folded_replay_is_the_concatenation),
        ("random_operations_agree_with_a_model", random::agrees_with_a_model),
    ];
    let of_topics = of_topics.iter().chain(Store::CHANGES);
    let of_events = of_events.iter().chain(Store::KEYS).chain(Store::TARGETS).chain(Store::TRIMS).chain(Store::FOLDS);
    for (name, case) in of_events.chain(of_topics).chain(at_random) {
        eprintln!("contract: {name}");
        let (log, topics) = make();
        case(&Store { log, topics });
    }
}

/// Waits for a future by parking the thread.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

const ALL: PageLimit = PageLimit { events: usize::MAX, bytes: usize::MAX };

fn scope(tenant: &str, env: Env) -> Scope {
    Scope { tenant: Tenant::parse(tenant).expect("a tenant"), env }
}

fn home() -> Scope {
    scope("t_demo", Env::Dev)
}

fn new_topic(key: TopicKey) -> NewTopic {
    NewTopic {
        key,
        creator: "alice".into(),
        title: None,
        visibility: Visibility::Team,
        members: Vec::new(),
        created_at_ms: 1_795_330_000_000,
        incarnation: Incarnation(7),
    }
}

fn thread(id: &str) -> TopicKey {
    TopicKey::new(&home(), TopicKind::Thread, id).expect("a topic's id")
}

fn text_event(seq: Seq, kind: &str, json: &str) -> Event {
    Event {
        seq,
        time_ms: 1_795_330_000_000 + seq.cast_signed(),
        kind: EventType::stored(kind).expect("a type"),
        origin: Origin {
            routing: Bytes::from_static(b"\"actor_id\":\"alice\""),
            meta: Bytes::from(format!("\"request_id\":\"r{}\"", seq / 3)),
        },
        data: Bytes::copy_from_slice(json.as_bytes()),
        target: None,
        taken: None,
    }
}

fn event(seq: Seq) -> Event {
    text_event(seq, "chat_message", &format!("{{\"n\":{seq}}}"))
}

fn events(seqs: std::ops::RangeInclusive<Seq>) -> Vec<Event> {
    seqs.map(event).collect()
}

fn item(log: LogId, events: Vec<Event>) -> Append {
    Append { log, events: events.into(), once: Vec::new(), closing: None, class: Class::Ordinary }
}

fn bounds(oldest: Seq, head: Seq) -> Bounds {
    Bounds { oldest, head, closed: false }
}

impl<L: EventLog, T: Topics> Store<L, T> {
    fn create(&self, id: &str) -> TopicRecord {
        wait(self.topics.create(new_topic(thread(id)), deed())).expect("created")
    }

    fn append(&self, items: Vec<Append>) -> Vec<Result<(), AppendError>> {
        wait(self.log.append(items))
    }

    fn append_all(&self, log: LogId, events: Vec<Event>) {
        assert_eq!(self.append(vec![item(log, events)]), [Ok(())]);
    }

    fn read(&self, log: LogId, after: Seq, limit: PageLimit) -> Page {
        wait(self.log.read(log, after, limit)).expect("read")
    }

    fn bounds(&self, log: LogId) -> Bounds {
        wait(self.log.bounds(log)).expect("bounds")
    }

    fn ids(&self, scope: &Scope, query: TopicQuery) -> Vec<String> {
        let found = wait(self.topics.list(scope, query)).expect("listed");
        found.into_iter().map(|(record, _)| record.topic.key.topic()).collect()
    }

    fn seqs_have_no_holes(&self) {
        let log = self.create("x").log;
        assert_eq!(self.read(log, 0, ALL), Page { events: Vec::new(), bounds: Bounds::EMPTY });
        self.append_all(log, events(1..=3));
        self.append_all(log, events(4..=4));
        assert_eq!(self.read(log, 0, ALL), Page { events: events(1..=4), bounds: bounds(1, 4) });
    }

    fn a_wrong_first_seq_is_a_conflict(&self) {
        let log = self.create("x").log;
        self.append_all(log, events(1..=2));
        for first in [0, 1, 2, 4, u64::MAX] {
            let wrong = item(log, vec![event(first)]);
            assert_eq!(self.append(vec![wrong]), [Err(AppendError::Conflict)], "{first}");
        }
        assert_eq!(self.read(log, 0, ALL), Page { events: events(1..=2), bounds: bounds(1, 2) });
        self.append_all(log, events(3..=3));
    }

    fn a_hole_inside_an_item_is_a_conflict(&self) {
        let log = self.create("x").log;
        for wrong in [vec![event(1), event(3)], vec![event(1), event(1)], vec![event(1), event(2), event(1)]] {
            assert_eq!(self.append(vec![item(log, wrong)]), [Err(AppendError::Conflict)]);
        }
        assert_eq!(self.bounds(log), Bounds::EMPTY);
        self.append_all(log, events(1..=1));
    }

    fn items_of_one_call_are_independent(&self) {
        let [a, b] = ["a", "b"].map(|id| self.create(id).log);
        let answers = self.append(vec![
            item(a, events(1..=2)),
            item(b, events(2..=3)),
            item(LogId(i64::MAX), events(1..=1)),
            item(a, events(3..=3)),
            item(a, events(3..=4)),
            item(b, events(1..=1)),
        ]);
        let (conflict, gone) = (Err(AppendError::Conflict), Err(AppendError::Gone));
        assert_eq!(answers, [Ok(()), conflict.clone(), gone, Ok(()), conflict, Ok(())]);
        assert_eq!(self.read(a, 0, ALL).events, events(1..=3));
        assert_eq!(self.read(b, 0, ALL).events, events(1..=1));
        assert_eq!(self.append(Vec::new()), []);
    }

    fn an_unknown_log_is_gone(&self) {
        let unknown = LogId(4_711);
        assert_eq!(self.append(vec![item(unknown, events(1..=1))]), [Err(AppendError::Gone)]);
        assert_eq!(self.bounds(unknown), Bounds::EMPTY);
        assert_eq!(self.read(unknown, 0, ALL).events, []);
    }

    fn a_deleted_log_is_gone_and_reads_empty(&self) {
        let log = self.create("x").log;
        let other = self.create("y").log;
        self.append_all(log, events(1..=500));
        self.append_all(other, events(1..=2));
        assert_eq!(wait(self.topics.delete(&thread("x"), deed())), Ok(true));
        assert_eq!(self.append(vec![item(log, events(501..=501))]), [Err(AppendError::Gone)]);
        assert_eq!(self.append(vec![item(log, events(1..=1))]), [Err(AppendError::Gone)]);
        assert_eq!(self.read(log, 0, ALL), Page { events: Vec::new(), bounds: Bounds::EMPTY });
        assert_eq!(self.bounds(log), Bounds::EMPTY);
        assert_eq!(wait(self.topics.find(&thread("x"))), Ok(None));
        assert_eq!(wait(self.topics.delete(&thread("x"), deed())), Ok(false));
        assert_eq!(self.read(other, 0, ALL).events, events(1..=2));
    }

    fn created_anew_it_is_another_log(&self) {
        let old = self.create("x");
        self.append_all(old.log, events(1..=3));
        assert_eq!(wait(self.topics.delete(&thread("x"), deed())), Ok(true));
        let new = self.create("x");
        assert_ne!(old.log, new.log);
        assert_eq!(self.read(new.log, 0, ALL), Page { events: Vec::new(), bounds: Bounds::EMPTY });
        self.append_all(new.log, events(1..=1));
        assert_eq!(self.append(vec![item(old.log, events(4..=4))]), [Err(AppendError::Gone)]);
        assert_eq!(wait(self.topics.find(&thread("x"))), Ok(Some((new, bounds(1, 1)))));
        assert_eq!(self.read(old.log, 0, ALL).events, []);
    }

    fn bounds_are_behind_what_was_called_before(&self) {
        let log = self.create("x").log;
        for round in 0..50 {
            let append = self.log.append(vec![item(log, vec![event(round + 1)])]);
            let asked = self.log.bounds(log);
            assert_eq!(wait(asked), Ok(bounds(1, round + 1)));
            assert_eq!(wait(append), [Ok(())]);
        }
        let deleted = self.topics.delete(&thread("x"), deed());
        assert_eq!(wait(self.log.bounds(log)), Ok(Bounds::EMPTY));
        assert_eq!(wait(deleted), Ok(true));
    }

    fn pages_by_events(&self) {
        let log = self.create("x").log;
        self.append_all(log, events(1..=10));
        let page = |after, count| self.read(log, after, PageLimit { events: count, bytes: usize::MAX });
        assert_eq!(page(0, 4), Page { events: events(1..=4), bounds: bounds(1, 10) });
        assert_eq!(page(4, 4), Page { events: events(5..=8), bounds: bounds(1, 10) });
        assert_eq!(page(8, 4), Page { events: events(9..=10), bounds: bounds(1, 10) });
        assert_eq!(page(0, 10).events, events(1..=10));
        assert_eq!(page(9, 1).events, events(10..=10));
    }

    fn pages_by_bytes_hold_at_least_one_event(&self) {
        let log = self.create("x").log;
        let all = events(1..=9);
        let size = all[0].size_bytes();
        assert!(all.iter().all(|event| event.size_bytes() == size));
        self.append_all(log, all);
        let page = |bytes| self.read(log, 0, PageLimit { events: usize::MAX, bytes }).events.len();
        let limits = [0, 1, size, size + 1, 3 * size - 1, 3 * size, 3 * size + 1, 100 * size];
        assert_eq!(limits.map(page), [1, 1, 1, 2, 3, 3, 4, 9]);
    }

    fn a_read_behind_the_head_is_empty(&self) {
        let log = self.create("x").log;
        self.append_all(log, events(1..=2));
        for after in [2, 3, i64::MAX.cast_unsigned(), u64::MAX] {
            assert_eq!(self.read(log, after, ALL), Page { events: Vec::new(), bounds: bounds(1, 2) }, "{after}");
        }
    }

    fn closed_is_told_by_the_newest_event(&self) {
        let log = self.create("x").log;
        self.append_all(log, vec![text_event(1, "closed", "{}"), event(2)]);
        assert_eq!(self.bounds(log), bounds(1, 2));
        self.append_all(log, vec![text_event(3, "closed", "{}")]);
        let closed = Bounds { oldest: 1, head: 3, closed: true };
        assert_eq!(self.bounds(log), closed);
        assert_eq!(self.read(log, 3, ALL).bounds, closed);
        let found = wait(self.topics.find(&thread("x"))).expect("found");
        assert_eq!(found.map(|(_, bounds)| bounds), Some(closed));
        let query = TopicQuery { kind: TopicKind::Thread, after_id: None, visible_to: None, limit: 9 };
        let listed = wait(self.topics.list(&home(), query)).expect("listed");
        assert_eq!(listed.into_iter().map(|(_, bounds)| bounds).collect::<Vec<_>>(), [closed]);
    }

    fn the_first_creator_wins(&self) {
        let mine = self.create("x");
        let theirs = NewTopic { creator: "mallory".into(), incarnation: Incarnation(8), ..new_topic(thread("x")) };
        // Two of another name at once: one of them wins, in the order of the calls.
        let [first, second] = [1, 2]
            .map(|n| self.topics.create(NewTopic { incarnation: Incarnation(n), ..new_topic(thread("race")) }, deed()));
        assert_eq!(wait(self.topics.create(theirs, deed())), Err(CreateError::Exists));
        assert_eq!(wait(second), Err(CreateError::Exists));
        assert_eq!(wait(first).expect("created").topic.incarnation, Incarnation(1));
        assert_eq!(wait(self.topics.find(&thread("x"))), Ok(Some((mine, Bounds::EMPTY))));
    }

    fn a_record_comes_back_as_it_was(&self) {
        let member = |sub: &str, can_write| Member { sub: sub.into(), can_write };
        let topic = NewTopic {
            creator: "ålice \"quoted\" \\ \u{1f980}".into(),
            title: Some("a 'title'; DROP TABLE topics; --\n\u{0}\u{7f}".into()),
            visibility: Visibility::Private,
            members: vec![member("bob", true), member("\"eve\"\\\u{0}\u{2028}", false), member("", true)],
            created_at_ms: i64::MIN,
            incarnation: Incarnation(u64::MAX),
            ..new_topic(thread("A.b:c-d_1"))
        };
        let created = wait(self.topics.create(topic.clone(), deed())).expect("created");
        assert_eq!(created.topic, topic);
        assert_eq!(wait(self.topics.find(&topic.key)), Ok(Some((created, Bounds::EMPTY))));
        assert_eq!(wait(self.topics.find(&thread("A.b"))), Ok(None));
    }

    fn calls_are_carried_out_in_order_unpolled(&self) {
        let log = self.create("x").log;
        for seq in 1..=200 {
            drop(self.log.append(vec![item(log, vec![event(seq)])]));
        }
        let last = self.log.append(vec![item(log, vec![event(201)])]);
        drop(self.log.append(vec![item(log, vec![event(202)])]));
        drop(self.topics.create(new_topic(thread("unpolled")), deed()));
        assert_eq!(self.bounds(log), bounds(1, 202));
        assert_eq!(wait(last), [Ok(())]);
        assert_eq!(self.read(log, 0, ALL).events, events(1..=202));
        assert_eq!(wait(self.topics.create(new_topic(thread("unpolled")), deed())), Err(CreateError::Exists));
    }

    fn any_text_comes_back_byte_for_byte(&self) {
        let log = self.create("x").log;
        let long = format!("\"{}\"", "é\u{1f980}x".repeat(9_000));
        let texts = [
            "null",
            "\"\"",
            "-1.5e300",
            r#"{"a":"\"quoted\" \\ \u0000 \r\n","b":[1, 2 ,3]}"#,
            "\"\u{7f}\u{80}\u{2028}\u{2029}\u{fffd}\u{1f980}\u{10ffff}\"",
            "'; DROP TABLE events; --",
            &long,
            "{}",
        ];
        let all: Vec<Event> = (1..).zip(texts).map(|(seq, text)| text_event(seq, "run.step_2", text)).collect();
        self.append_all(log, all.clone());
        let newest = Event {
            time_ms: i64::MIN,
            origin: Origin { routing: Bytes::from_static("\"é\":\"\u{0}\"".as_bytes()), meta: Bytes::new() },
            ..text_event(9, &"z".repeat(64), "\"\u{0}\"")
        };
        self.append_all(log, vec![newest.clone()]);
        let read = self.read(log, 0, ALL).events;
        assert_eq!(read[..8], all);
        assert_eq!(read[8..], [newest]);
    }
}
