//! The feed of the store: commit order over all logs, nobody else's rows, taps without a hole, floors.

use tambour_actors::log::Member;
use tambour_actors::log::feed::{FeedItem, FeedLimit, FeedLog as _, FeedPage, Position, Tap, Tapped};

use super::*;

const EVERYTHING: FeedLimit = FeedLimit { events: usize::MAX, bytes: usize::MAX };

fn home() -> Scope {
    deed().scope.clone()
}

fn other() -> Scope {
    Scope { tenant: Tenant::parse("t_other").unwrap(), env: Env::Dev }
}

fn create_in(store: &SqliteStore, scope: &Scope, id: &str) -> TopicRecord {
    let key = TopicKey::new(scope, TopicKind::Thread, id).unwrap();
    let by = Arc::new(Deed { scope: scope.clone(), ..(*deed()).clone() });
    wait(store.create(NewTopic { key, ..new_topic(id) }, by)).unwrap()
}

fn page(store: &SqliteStore, scope: &Scope, after: Position) -> FeedPage {
    wait(store.feed(scope, after, EVERYTHING)).unwrap()
}

/// Topic, seq and type of each.
fn told(items: &[FeedItem]) -> Vec<String> {
    let of =
        |item: &FeedItem| format!("{} {} {}", item.topic.topic.key.topic(), item.event.seq, item.event.kind.as_str());
    items.iter().map(of).collect()
}

#[test]
fn passes_the_contract_of_the_feed() {
    let dirs = Mutex::new(Vec::new());
    tambour_actors::log::contract::feed::run(|| {
        let dir = TempDir::new().unwrap();
        let store = open(&dir);
        dirs.lock().push(dir);
        (store.clone(), store.clone(), store)
    });
}

#[test]
fn a_feed_is_everything_of_its_scope_in_commit_order() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (x, y) = (create_in(&store, &home(), "x"), create_in(&store, &home(), "y"));
    let foreign = create_in(&store, &other(), "x");
    for seq in 1..=3 {
        for log in [x.log, foreign.log, y.log] {
            append(&store, log, events(seq..=seq, 1)).unwrap();
        }
    }
    let all = page(&store, &home(), 0);
    let expected = [
        "system/tenant 1 thread.created",
        "system/tenant 2 thread.created",
        "thread/x 1 chat_message",
        "thread/y 1 chat_message",
        "thread/x 2 chat_message",
        "thread/y 2 chat_message",
        "thread/x 3 chat_message",
        "thread/y 3 chat_message",
    ];
    assert_eq!(told(&all.items), expected);
    assert!(all.items.is_sorted_by_key(|item| item.position));
    assert_eq!((all.after, all.upto, all.ends.head, all.ends.floor), (0, 12, 12, 0));
    assert_eq!(all.items[1].about.as_deref(), Some(&y));
    assert_eq!(told(&page(&store, &other(), 0).items).len(), 4);
    // In parts it is the same, and so it is from its end.
    let (mut parts, mut after) = (Vec::new(), 0);
    while after < 12 {
        let part = wait(store.feed(&home(), after, FeedLimit { events: 2, bytes: usize::MAX })).unwrap();
        assert!(part.items.len() <= 2 && part.after == after && part.upto > after);
        after = part.upto;
        parts.extend(part.items);
    }
    assert_eq!(parts, all.items);
    let newest = wait(store.feed_before(&home(), u64::MAX, FeedLimit { events: 2, bytes: usize::MAX })).unwrap();
    assert_eq!(newest.items, all.items[6..]);
    assert_eq!((newest.after, newest.upto), (newest.items[0].position - 1, 12));
    let one = wait(store.feed_before(&home(), newest.items[0].position, FeedLimit { events: 9, bytes: 1 })).unwrap();
    assert_eq!(one.items, all.items[5..6]);
    let oldest = wait(store.feed_before(&home(), 3, EVERYTHING)).unwrap();
    assert_eq!((oldest.after, oldest.upto, &oldest.items[..]), (0, 2, &all.items[..2]));
}

#[test]
fn a_page_looks_at_so_many_rows_and_goes_on() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let foreign = create_in(&store, &other(), "x");
    append(&store, foreign.log, events(1..=12_000, 1)).unwrap();
    create_in(&store, &home(), "x");
    let (mut after, mut pages, mut items) = (0, 0, Vec::new());
    while after < 12_002 {
        let part = page(&store, &home(), after);
        (after, pages) = (part.upto, pages + 1);
        items.extend(part.items);
    }
    assert_eq!((pages, told(&items)), (3, vec!["system/tenant 1 thread.created".to_owned()]));
    let before = wait(store.feed_before(&home(), 12_002, EVERYTHING)).unwrap();
    assert_eq!((before.items.len(), before.after, before.upto), (0, 12_001 - 5_000, 12_001));
}

#[test]
fn of_a_deleted_topic_there_is_what_is_about_it() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let x = create(&store, "x");
    append(&store, x.log, events(1..=3, 1)).unwrap();
    let bob = TopicChange {
        put_member: Some(Member { sub: "bob".into(), can_write: true }),
        visibility: Some(Visibility::Private),
        ..TopicChange::default()
    };
    let changed = wait(store.change(&key("x"), bob.clone(), deed())).unwrap().unwrap();
    assert_eq!(wait(store.change(&key("x"), bob, deed())).unwrap().unwrap(), changed, "again: nothing to tell");
    assert_eq!(wait(store.delete(&key("x"), deed())), Ok(true));
    assert_eq!(wait(store.delete(&key("x"), deed())), Ok(false));
    let all = page(&store, &home(), 0).items;
    let types = ["thread.created", "thread.changed", "thread.member_put", "thread.deleted"];
    let expected: Vec<_> = (1..).zip(types).map(|(seq, kind)| format!("system/tenant {seq} {kind}")).collect();
    assert_eq!(told(&all), expected);
    assert!(all.iter().all(|item| item.about.as_deref() == Some(&changed)), "as it was at the end");
    let data = |n: usize| serde_json::from_slice::<serde_json::Value>(&all[n].event.data).unwrap();
    assert_eq!(data(2), serde_json::json!({ "topic": "thread/x", "sub": "bob", "can": "write" }));
    let last = serde_json::json!({ "topic": "thread/x", "title": "t", "visibility": "private", "creator": "alice" });
    assert_eq!(data(3), last);
    assert_eq!(all[3].event.origin, deed().origin);
}

/// Everything that a tap was told, or nothing when it is to be read.
fn taken(tap: &Tap, place: &mut Position) -> Option<Vec<FeedItem>> {
    let mut items = Vec::new();
    while let Some(Tapped { after, upto, items: told }) = tap.take() {
        assert_eq!(after, *place, "no hole and nothing twice");
        *place = upto;
        items.extend(told?);
    }
    Some(items)
}

#[test]
fn a_tap_is_told_what_pages_say() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (x, foreign) = (create(&store, "x"), create_in(&store, &other(), "x"));
    append(&store, x.log, events(1..=2, 1)).unwrap();
    let tap = Arc::new(Tap::new(|| ()));
    let ends = wait(store.tap(&home(), &tap)).unwrap();
    assert_eq!(ends, page(&store, &home(), 0).ends);
    let mut place = ends.head;
    append(&store, foreign.log, events(1..=2, 1)).unwrap();
    assert_eq!(tap.take(), None, "of others nothing is told");
    // All of it in one transaction, if it comes to that.
    let turn = store.0.gate.turn();
    let private = TopicChange { visibility: Some(Visibility::Private), ..TopicChange::default() };
    let calls = (
        store.append(vec![Append {
            log: x.log,
            events: events(3..=5, 1),
            once: Vec::new(),
            closing: None,
            class: Class::Ordinary,
        }]),
        store.create(new_topic("y"), deed()),
        store.change(&key("x"), private, deed()),
        store.append(vec![Append {
            log: x.log,
            events: events(6..=6, 1),
            once: Vec::new(),
            closing: Some(deed()),
            class: Class::Ordinary,
        }]),
        store.delete(&key("y"), deed()),
    );
    drop(turn);
    assert_eq!((wait(calls.0), wait(calls.3)), (vec![Ok(())], vec![Ok(())]));
    assert!(wait(calls.1).is_ok() && wait(calls.2).is_ok() && wait(calls.4) == Ok(true));
    let live = taken(&tap, &mut place).unwrap();
    let read = page(&store, &home(), ends.head);
    assert_eq!(told(&live), told(&read.items));
    assert_eq!(live.last(), read.items.last());
    assert!(told(&live).iter().any(|told| told.ends_with("thread.closed")), "{:?}", told(&live));
    // Nobody keeps it: it is told nothing more, and keeps nobody.
    let gone = Arc::downgrade(&tap);
    drop(tap);
    append(&store, x.log, events(7..=7, 1)).unwrap();
    assert!(gone.upgrade().is_none());
}

#[test]
fn taps_miss_nothing_while_others_write() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let logs: Vec<_> = (0..4).map(|n| create(&store, &format!("x{n}")).log).collect();
    std::thread::scope(|threads| {
        for log in &logs {
            let store = store.clone();
            threads.spawn(move || {
                for seq in 1..=200 {
                    append(&store, *log, events(seq..=seq, 10)).unwrap();
                }
            });
        }
        for _ in 0..20 {
            let tap = Arc::new(Tap::new(|| ()));
            let begin = wait(store.tap(&home(), &tap)).unwrap().head;
            let mut place = begin;
            let mut live = Vec::new();
            while live.len() < 20 && place < 804 {
                live.extend(taken(&tap, &mut place).unwrap());
                std::thread::yield_now();
            }
            let read = page(&store, &home(), begin).items;
            assert_eq!(live[..], read[..live.len()]);
        }
    });
    assert_eq!(page(&store, &home(), 0).items.len(), 804);
}

#[test]
fn what_retention_takes_raises_the_floor() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (x, y) = (create(&store, "x"), create(&store, "y"));
    append(&store, x.log, events(1..=200, 1)).unwrap();
    append(&store, y.log, events(1..=1, 1)).unwrap();
    assert_eq!(wait(store.trim(x.log, 151)).unwrap().oldest, 151);
    let all = page(&store, &home(), 0);
    // Two creations were before it.
    assert_eq!((all.ends.floor, all.items.len()), (2 + 150, 2 + 50 + 1));
    wait(store.delete(&key("x"), deed())).unwrap();
    assert_eq!(page(&store, &home(), 0).ends.floor, 152, "what is deleted is not missed");
}

#[test]
fn a_feed_is_the_same_after_a_restart_and_another_after_a_restore() {
    let (dir, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = open(&dir);
    create(&store, "x");
    let before = page(&store, &home(), 0);
    store.close();
    let store = open(&dir);
    assert_eq!(page(&store, &home(), 0), before);
    assert_eq!(page(&store, &other(), 0).items, [], "made by whoever asks first");
    let copy = elsewhere.path().join("copy");
    backup(dir.path(), &copy, |_| ()).unwrap();
    let data = elsewhere.path().join("data");
    restore(&copy, &data, |_| ()).unwrap();
    let restored = page(&SqliteStore::open(&data, &StoreSettings::default()).unwrap(), &home(), 0);
    assert_ne!(restored.ends.incarnation, before.ends.incarnation);
    assert_eq!(told(&restored.items), told(&before.items));
}
