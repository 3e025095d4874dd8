//! A store without room: writers are told, readers go on, and it gets well by itself.

use std::time::{Duration, Instant};

use tambour_actors::log::{AppendError, CreateError, EventLog as _, Topics as _};
use tempfile::TempDir;

use super::tests::{ALL, FAR, append, create, events, key, raw, topic, wait};
use super::*;

#[test]
fn a_full_disk_refuses_writers_and_serves_readers() {
    let dir = TempDir::new().unwrap();
    let settings = StoreSettings { file_bytes_max: Some(512 * 1024), ..StoreSettings::default() };
    let store = SqliteStore::open(dir.path(), &settings).unwrap();
    let log = create(&store, "x").log;
    let mut head = 0;
    let refused = loop {
        match append(&store, log, events(head + 1..=head + 10, 2_000)) {
            Ok(()) => head += 10,
            Err(refused) => break refused,
        }
        assert!(head < 1_000, "the limit was passed");
    };
    assert!(matches!(&refused, AppendError::Full(why) if why.contains("full")), "{refused}");
    assert!(store.stats().failing && store.stats().full);
    assert!(head > 0);
    let page = wait(store.read(log, 0, ALL)).unwrap();
    assert_eq!((page.events.len() as u64, page.bounds.head), (head, head));
    // Nothing of the refused item was kept, and the thread goes on: something small fits again
    // when something large is gone.
    assert_eq!(wait(store.bounds(log)).unwrap().head, head);
    assert!(store.stats().failing, "a transaction without a change proves nothing");
    assert_eq!(raw(&dir).execute("DELETE FROM events WHERE seq < ?1", [head.cast_signed()]).unwrap() as u64, head - 1);
    append(&store, log, events(head + 1..=head + 10, 2_000)).unwrap();
    assert!(store.stats().full, "what fits does not tell that there is room for more");
    well_again(&store);
    assert_eq!(store.stats().events, head + 10);
}

/// Without anybody's write.
#[track_caller]
fn well_again(store: &SqliteStore) {
    let began = Instant::now();
    while store.stats().failing || store.stats().full {
        assert!(began.elapsed() < FAR, "it does not get well");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_full_store_gets_well_by_itself_and_leaves_nothing_of_its_probes() {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(dir.path(), &StoreSettings::default()).unwrap();
    let (kept, gone) = (create(&store, "kept").log, create(&store, "gone").log);
    append(&store, kept, events(1..=100, 2_000)).unwrap();
    append(&store, gone, events(1..=100, 2_000)).unwrap();
    // Below what there is: it stays as large as it is.
    store.limit(Some(64 * 1024));
    assert!(matches!(append(&store, kept, events(101..=200, 2_000)), Err(AppendError::Full(_))));
    assert!(store.stats().full);
    // A larger limit, and nobody writes.
    store.limit(Some(1024 * 1024));
    well_again(&store);
    append(&store, kept, events(101..=150, 2_000)).unwrap();
    store.limit(Some(64 * 1024));
    assert!(matches!(append(&store, kept, events(151..=250, 2_000)), Err(AppendError::Full(_))));
    // Room of its own: a delete needs none.
    assert!(wait(store.delete(&key("gone"))).unwrap());
    well_again(&store);
    append(&store, kept, events(151..=160, 2_000)).unwrap();
    let names: String = raw(&dir).query_row("SELECT group_concat(name) FROM numbers", [], |row| row.get(0)).unwrap();
    assert_eq!(names, "position_floor");
}

#[test]
fn who_adds_nothing_is_not_refused_with_those_who_do() {
    let dir = TempDir::new().unwrap();
    let settings = StoreSettings { file_bytes_max: Some(512 * 1024), ..StoreSettings::default() };
    let store = SqliteStore::open(dir.path(), &settings).unwrap();
    let (log, gone) = (create(&store, "x").log, create(&store, "gone").log);
    append(&store, log, events(1..=3, 10)).unwrap();
    append(&store, gone, events(1..=3, 10)).unwrap();
    // While the gate is held the writer has at most one transaction in hand; the next takes all that waits.
    let turn = store.0.gate.turn();
    let first = store.bounds(log);
    let large = |log, from| store.append(vec![Append { log, events: events(from..=from + 99, 60_000) }]);
    let refused = (large(log, 4), store.create(topic("new")));
    let (ends, deleted) = (store.bounds(log), store.delete(&key("gone")));
    drop(turn);
    assert_eq!(wait(first).unwrap().head, 3);
    assert!(matches!(wait(refused.0).as_slice(), [Err(AppendError::Full(_))]));
    // It may have been alone in a transaction, with the first.
    let created = wait(refused.1);
    assert!(created.is_ok() || matches!(&created, Err(CreateError::Unavailable(why)) if why.full), "{created:?}");
    assert_eq!(wait(ends).unwrap().head, 3);
    assert!(wait(deleted).unwrap());
}
