//! The contract of the feed: everything of one scope in commit order, by pages and by taps.
//!
//! Run over each store beside the suite of logs and topics. It never looks behind the ports.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::dice::Dice;
use super::{Store, deed, event, events, home, item, new_topic, scope, text_event, thread, wait};
use crate::deed::Deed;
use crate::event::{Event, Seq};
use crate::log::feed::{FeedEnds, FeedItem, FeedLimit, FeedLog, FeedPage, Position, TAP_BYTES_MAX, Tap, Tapped};
use crate::log::{Append, EventLog, Member, TopicChange, TopicRecord, Topics, Visibility};
use crate::topic_key::{Env, Scope, TopicKey};

const ALL: FeedLimit = FeedLimit { events: usize::MAX, bytes: usize::MAX };

/// A store with its feed.
struct Fed<L, T, F> {
    store: Store<L, T>,
    feed: F,
}

/// What an item is told by: its topic, its seq there, its type.
type Told = (String, Seq, String);

fn told(items: &[FeedItem]) -> Vec<Told> {
    let one = |item: &FeedItem| (item.topic.topic.key.topic(), item.event.seq, item.event.kind.as_str().to_owned());
    items.iter().map(one).collect()
}

fn data(item: &FeedItem) -> serde_json::Value {
    serde_json::from_slice(&item.event.data).expect("data is JSON")
}

/// A case and its name.
type Case<L, T, F> = (&'static str, fn(&Fed<L, T, F>));

/// Runs the suite of the feed; `make` gives a fresh, empty store each time, as its log, its topics and its feed. Not to be called by
/// a thread that other futures need.
///
/// # Panics
/// When the store breaks the contract. The case's name is written to stderr before it.
pub fn run<L: EventLog, T: Topics, F: FeedLog>(make: impl Fn() -> (L, T, F)) {
    let cases: &[Case<L, T, F>] = &[
        ("the_order_is_that_of_commits", Fed::the_order_is_that_of_commits),
        ("nothing_of_another_scope", Fed::nothing_of_another_scope),
        ("changes_are_told_by_the_tenant", Fed::changes_are_told_by_the_tenant),
        ("what_changes_nothing_is_not_told", Fed::what_changes_nothing_is_not_told),
        ("a_deleted_topic_leaves_its_deletion", Fed::a_deleted_topic_leaves_its_deletion),
        ("pages_have_limits", Fed::pages_have_limits),
        ("pages_before", Fed::pages_before),
        ("a_trim_raises_the_floor", Fed::a_trim_raises_the_floor),
        ("a_redaction_is_in_every_page", Fed::a_redaction_is_in_every_page),
        ("a_tap_tells_what_pages_have", Fed::a_tap_tells_what_pages_have),
        ("taps_have_no_seam_under_load", Fed::taps_have_no_seam_under_load),
        ("a_tap_that_nobody_holds_is_forgotten", Fed::a_tap_that_nobody_holds_is_forgotten),
    ];
    for (name, case) in cases {
        eprintln!("contract of the feed: {name}");
        let (log, topics, feed) = make();
        case(&Fed { store: Store { log, topics }, feed });
    }
}

impl<L: EventLog, T: Topics, F: FeedLog> Fed<L, T, F> {
    fn page(&self, after: Position, limit: FeedLimit) -> FeedPage {
        wait(self.feed.feed(&home(), after, limit)).expect("read")
    }

    /// Everything, by pages of any size: they go on from each other.
    fn all(&self, scope: &Scope) -> Vec<FeedItem> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = wait(self.feed.feed(scope, after, FeedLimit { events: 3, bytes: usize::MAX })).expect("read");
            assert!(page.after == after && page.items.len() <= 3);
            assert!(page.items.iter().all(|item| item.position > after && item.position <= page.upto));
            assert!(page.items.windows(2).all(|pair| pair[0].position < pair[1].position), "ascending");
            all.extend(page.items);
            if page.upto >= page.ends.head {
                return all;
            }
            assert!(page.upto > after, "a page goes on");
            after = page.upto;
        }
    }

    fn ends(&self) -> FeedEnds {
        self.page(u64::MAX >> 1, ALL).ends
    }

    fn change(&self, id: &str, change: TopicChange) -> TopicRecord {
        wait(self.store.topics.change(&thread(id), change, deed())).expect("changed").expect("it is there")
    }

    fn tap(&self, scope: &Scope) -> (Arc<Tap>, FeedEnds, Arc<AtomicUsize>) {
        let woken = Arc::new(AtomicUsize::new(0));
        let counted = woken.clone();
        let tap = Arc::new(Tap::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        let ends = wait(self.feed.tap(scope, &tap)).expect("tapped");
        (tap, ends, woken)
    }

    fn the_order_is_that_of_commits(&self) {
        let logs = ["a", "b", "c"].map(|id| self.store.create(id));
        let mut expected: Vec<Told> =
            (1..=3).map(|seq| ("system/tenant".to_owned(), seq, "thread.created".to_owned())).collect();
        let (mut dice, mut heads) = (Dice::seeded(), [0; 3]);
        for _ in 0..60 {
            let (place, count) = (dice.below(3), 1 + dice.roll() % 3);
            let first = heads[place] + 1;
            heads[place] += count;
            self.store.append_all(logs[place].log, events(first..=heads[place]));
            let topic = logs[place].topic.key.topic();
            expected.extend((first..=heads[place]).map(|seq| (topic.clone(), seq, "chat_message".to_owned())));
        }
        let all = self.all(&home());
        assert_eq!(told(&all), expected);
        let own: Vec<Event> = all.iter().filter(|i| i.topic.log == logs[1].log).map(|i| i.event.clone()).collect();
        assert_eq!(own, events(1..=heads[1]), "events are what their topics have");
        assert!(
            own.iter().all(|event| !event.is_redacted())
                && all.iter().all(|i| i.topic.log != logs[2].log || *i.topic == logs[2])
        );
        let last = all.last().expect("there are some").position;
        assert_eq!((self.ends().floor, self.ends().head >= last), (0, true));
        assert!(self.page(last, ALL).items.is_empty());
    }

    fn nothing_of_another_scope(&self) {
        let others = [scope("t_other", Env::Dev), scope("t_demo", Env::Prod)];
        let deed_in = |scope: &Scope| Arc::new(Deed { scope: scope.clone(), ..(*deed()).clone() });
        let mine = self.store.create("x");
        let theirs = others.clone().map(|scope| {
            let key = TopicKey::parse(&scope, "thread/x").expect("a topic");
            wait(self.store.topics.create(new_topic(key), deed_in(&scope))).expect("created")
        });
        let (tap, _, woken) = self.tap(&home());
        for seq in 1..=5 {
            theirs.iter().for_each(|record| self.store.append_all(record.log, events(seq..=seq)));
        }
        assert_eq!((woken.load(Ordering::Relaxed), tap.take()), (0, None), "nobody is told of others");
        self.store.append_all(mine.log, events(1..=1));
        for scope in [&home(), &others[0], &others[1]] {
            let all = self.all(scope);
            assert!(all.iter().all(|item| item.topic.topic.key.scope() == *scope));
            assert!(all.iter().filter_map(|i| i.about.as_ref()).all(|about| about.topic.key.scope() == *scope));
            assert_eq!(all.len(), if *scope == home() { 2 } else { 6 });
        }
        let incarnations = [&home(), &others[0], &others[1]]
            .map(|scope| wait(self.feed.feed(scope, 0, ALL)).expect("read").ends.incarnation);
        assert!(incarnations[0] != incarnations[1] && incarnations[1] != incarnations[2]);
        assert_eq!(self.ends().incarnation, incarnations[0], "it stays");
    }

    fn changes_are_told_by_the_tenant(&self) {
        let record = self.store.create("x");
        let bob = Member { sub: "b\"ob".into(), can_write: false };
        self.change("x", TopicChange { visibility: Some(Visibility::Private), ..TopicChange::default() });
        self.change("x", TopicChange { title: Some(Some("T\n\"".into())), ..TopicChange::default() });
        let with = self.change("x", TopicChange { put_member: Some(bob.clone()), ..TopicChange::default() });
        self.change(
            "x",
            TopicChange { put_member: Some(Member { can_write: true, ..bob.clone() }), ..TopicChange::default() },
        );
        let without = self.change("x", TopicChange { remove_member: Some(bob.sub), ..TopicChange::default() });
        let closing = Append { closing: Some(deed()), ..item(record.log, vec![text_event(1, "closed", "{}")]) };
        assert_eq!(self.store.append(vec![closing]), [Ok(())]);
        let all = self.all(&home());
        let kinds =
            told(&all).into_iter().map(|(topic, seq, kind)| format!("{topic} {seq} {kind}")).collect::<Vec<_>>();
        assert_eq!(
            kinds,
            [
                "system/tenant 1 thread.created",
                "system/tenant 2 thread.changed",
                "system/tenant 3 thread.changed",
                "system/tenant 4 thread.member_put",
                "system/tenant 5 thread.member_put",
                "system/tenant 6 thread.member_removed",
                "thread/x 1 closed",
                "system/tenant 7 thread.closed",
            ]
        );
        let json = |index: usize| data(&all[index]);
        assert_eq!(json(0), serde_json::json!({"topic": "thread/x", "visibility": "team", "creator": "alice"}));
        assert_eq!(json(2)["title"], "T\n\"");
        assert_eq!(json(3), serde_json::json!({"topic": "thread/x", "sub": "b\"ob", "can": "read"}));
        assert_eq!(
            (&json(4)["can"], json(5)),
            (&"write".into(), serde_json::json!({"topic": "thread/x", "sub": "b\"ob"}))
        );
        for item in all.iter().filter(|item| item.about.is_some()) {
            assert_eq!((&item.event.origin, item.event.time_ms), (&deed().origin, deed().at_ms));
            assert_eq!(item.about.as_deref(), Some(&without), "a page tells of a topic as it is now");
        }
        assert_ne!(with, without);
    }

    fn what_changes_nothing_is_not_told(&self) {
        self.store.create("x");
        let bob = Member { sub: "bob".into(), can_write: false };
        let put = TopicChange { put_member: Some(bob), ..TopicChange::default() };
        self.change("x", put.clone());
        let before = self.all(&home()).len();
        self.change("x", put);
        self.change("x", TopicChange { remove_member: Some("eve".into()), ..TopicChange::default() });
        self.change(
            "x",
            TopicChange { title: Some(None), visibility: Some(Visibility::Team), ..TopicChange::default() },
        );
        self.change("x", TopicChange::default());
        assert!(wait(self.store.topics.create(new_topic(thread("x")), deed())).is_err());
        assert_eq!(wait(self.store.topics.delete(&thread("y"), deed())), Ok(false));
        assert_eq!(self.all(&home()).len(), before);
    }

    fn a_deleted_topic_leaves_its_deletion(&self) {
        let (gone, kept) = (self.store.create("x"), self.store.create("y"));
        self.store.append_all(gone.log, events(1..=4));
        self.store.append_all(kept.log, events(1..=2));
        let put = TopicChange {
            put_member: Some(Member { sub: "bob".into(), can_write: true }),
            visibility: Some(Visibility::Private),
            ..TopicChange::default()
        };
        let last = self.change("x", put);
        assert_eq!(wait(self.store.topics.delete(&thread("x"), deed())), Ok(true));
        let anew = self.store.create("x");
        let all = self.all(&home());
        assert!(all.iter().all(|item| item.topic.log != gone.log), "its events are gone");
        assert_eq!(all.iter().filter(|item| item.topic.log == kept.log).count(), 2);
        let about = |kind: &str| {
            let of_kind = all.iter().filter(|item| item.event.kind.as_str() == kind);
            of_kind.filter_map(|item| item.about.as_deref().cloned()).collect::<Vec<_>>()
        };
        assert_eq!(about("thread.deleted"), std::slice::from_ref(&last), "about what it was at the end");
        assert_eq!(about("thread.created"), [last, kept, anew]);
        assert_eq!(self.ends().floor, 0, "who deletes tells so by the deletion");
    }

    fn pages_have_limits(&self) {
        let log = self.store.create("x").log;
        self.store.append_all(log, events(1..=9));
        let size = event(1).size_bytes();
        let begin = self.page(0, FeedLimit { events: 1, bytes: usize::MAX }).upto;
        let seqs = |limit| self.page(begin, limit).items.iter().map(|item| item.event.seq).collect::<Vec<_>>();
        assert_eq!(seqs(FeedLimit { events: 4, bytes: usize::MAX }), [1, 2, 3, 4]);
        for (bytes, count) in [(0, 1), (1, 1), (size, 1), (size + 1, 2), (3 * size, 3), (100 * size, 9)] {
            assert_eq!(seqs(FeedLimit { events: 100, bytes }).len(), count, "{bytes}");
        }
        let all = self.page(begin, ALL);
        assert!(all.items.len() == 9 && all.upto == all.ends.head);
        let some = self.page(begin, FeedLimit { events: 4, bytes: usize::MAX });
        assert_eq!(some.upto, some.items[3].position, "a page ends behind the last that fits");
        assert_eq!(self.page(some.upto, ALL).items, all.items[4..]);
    }

    fn pages_before(&self) {
        let log = self.store.create("x").log;
        self.store.append_all(log, events(1..=9));
        let all = self.all(&home());
        let before = |place, events| {
            wait(self.feed.feed_before(&home(), place, FeedLimit { events, bytes: usize::MAX })).expect("read")
        };
        let page = before(self.ends().head + 1, 3);
        assert_eq!(page.items, all[7..]);
        assert_eq!(page.after, page.items[0].position - 1, "it says where it begins");
        assert_eq!(before(page.items[0].position, 4).items, all[3..7]);
        let rest = before(all[3].position, 100);
        assert_eq!((rest.items.as_slice(), rest.after), (&all[..3], 0));
        assert!(before(all[0].position, 5).items.is_empty());
    }

    fn a_trim_raises_the_floor(&self) {
        let (x, y) = (self.store.create("x").log, self.store.create("y").log);
        self.store.append_all(x, events(1..=5));
        self.store.append_all(y, events(1..=5));
        let before = self.all(&home());
        let place =
            |log, seq| before.iter().find(|i| i.topic.log == log && i.event.seq == seq).expect("it was").position;
        assert_eq!(wait(self.store.log.trim(x, 4)).map(|bounds| bounds.oldest), Ok(4));
        let all = self.all(&home());
        let expected: Vec<_> = before.iter().filter(|i| i.topic.log != x || i.event.seq >= 4).cloned().collect();
        assert_eq!((all, self.ends().floor), (expected, place(x, 3)));
        assert_eq!(wait(self.store.log.trim(x, 2)).map(|bounds| bounds.oldest), Ok(4));
        assert_eq!(self.ends().floor, place(x, 3));
        assert_eq!(wait(self.store.log.trim(y, 2)).map(|bounds| bounds.oldest), Ok(2));
        assert_eq!(self.ends().floor, place(y, 1));
        let other = wait(self.feed.feed(&scope("t_other", Env::Dev), 0, ALL)).expect("read");
        assert_eq!((other.ends.floor, other.items), (0, Vec::new()));
    }

    fn a_redaction_is_in_every_page(&self) {
        let log = self.store.create("x").log;
        self.store.append_all(log, events(1..=2));
        let redacted = Event { target: Some(1), ..text_event(3, "redacted", "{}") };
        self.store.append_all(log, vec![redacted]);
        let all = self.all(&home());
        let of = |seq| all.iter().find(|i| i.topic.log == log && i.event.seq == seq).expect("it is there");
        assert!(of(1).event.is_redacted() && !of(2).event.is_redacted());
    }

    fn a_tap_tells_what_pages_have(&self) {
        let before = self.store.create("x");
        self.store.append_all(before.log, events(1..=3));
        let (tap, ends, woken) = self.tap(&home());
        assert_eq!((tap.take(), woken.load(Ordering::Relaxed)), (None, 0), "what was before is in pages");
        self.store.append_all(before.log, events(4..=5));
        let private = self.change("x", TopicChange { visibility: Some(Visibility::Private), ..TopicChange::default() });
        self.store.append_all(before.log, events(6..=6));
        assert_eq!(wait(self.store.topics.delete(&thread("x"), deed())), Ok(true));
        let Some(Tapped { after, upto, items: Some(items) }) = self.settled(&tap, ends.head, 5) else { panic!("told") };
        assert_eq!((after, upto >= items[4].position), (ends.head, true));
        let kinds: Vec<_> = told(&items).into_iter().map(|(_, _, kind)| kind).collect();
        assert_eq!(kinds, ["chat_message", "chat_message", "thread.changed", "chat_message", "thread.deleted"]);
        assert_eq!((&*items[0].topic, &*items[3].topic), (&before, &private), "topics are as of the commit");
        assert_eq!(items[4].about.as_deref(), Some(&private));
        assert!(woken.load(Ordering::Relaxed) >= 1);
        let page = self.page(ends.head, ALL);
        let system: Vec<_> = items.iter().filter(|item| item.about.is_some()).cloned().collect();
        let shown = |items: &[FeedItem]| items.iter().map(|i| (i.position, i.event.clone())).collect::<Vec<_>>();
        assert_eq!(shown(&page.items), shown(&system), "what was deleted is in no page");
    }

    /// What a tap was told, joined until it has so many: a store may tell behind its answers.
    fn settled(&self, tap: &Tap, after: Position, count: usize) -> Option<Tapped> {
        let mut all = Tapped { after, upto: after, items: Some(Vec::new()) };
        for _ in 0..2_000 {
            while let Some(tapped) = tap.take() {
                assert_eq!(tapped.after, all.upto, "stretches go on from each other");
                all.upto = tapped.upto;
                all.items = all.items.zip(tapped.items).map(|(all, items)| [all, items].concat());
            }
            if all.items.as_ref().is_none_or(|items| items.len() >= count) {
                return Some(all);
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        None
    }

    fn taps_have_no_seam_under_load(&self) {
        let logs: Vec<_> = (0..4).map(|n| self.store.create(&format!("t{n}")).log).collect();
        let mut pending = Vec::new();
        let mut taps = Vec::new();
        for round in 1..=40 {
            for log in &logs {
                pending.push(self.store.log.append(vec![item(*log, events(round..=round))]));
            }
            if round % 10 == 0 {
                taps.push(self.tap(&home()));
            }
        }
        pending.into_iter().for_each(|append| assert_eq!(wait(append), [Ok(())]));
        let all = self.all(&home());
        for (tap, ends, _) in taps {
            let expected: Vec<_> = all.iter().filter(|item| item.position > ends.head).cloned().collect();
            let before = all.len() - expected.len();
            let tapped = self.settled(&tap, ends.head, expected.len()).expect("everything is told");
            assert_eq!(tapped.items, Some(expected), "behind {before} in pages, the rest is told, none twice");
        }
        // What is more than may wait is to be read.
        let (tap, ends, _) = self.tap(&home());
        let large = format!("\"{}\"", "x".repeat(60_000));
        let rounds = TAP_BYTES_MAX / 60_000 + 2;
        for seq in 41..41 + rounds as Seq {
            self.store.append_all(logs[0], vec![text_event(seq, "note", &large)]);
        }
        let tapped = self.settled(&tap, ends.head, usize::MAX).expect("it overflows");
        assert_eq!((tapped.after, tapped.items), (ends.head, None));
    }

    fn a_tap_that_nobody_holds_is_forgotten(&self) {
        let log = self.store.create("x").log;
        let (tap, _, woken) = self.tap(&home());
        let weak = Arc::downgrade(&tap);
        self.store.append_all(log, events(1..=1));
        drop(tap);
        let told = woken.load(Ordering::Relaxed);
        for seq in 2..=5 {
            self.store.append_all(log, events(seq..=seq));
        }
        assert!(weak.upgrade().is_none() && woken.load(Ordering::Relaxed) <= told + 1);
    }
}
