//! A disk that is full: writers are told so, readers go on, and the store finds out by itself when there is room again.

use tambour_actors::log::Member;
use tambour_actors::log::contract::deed;

use super::*;

/// A store that holds little, and a log that fills it: nothing more of this size fits behind its head.
fn full(dir: &TempDir) -> (SqliteStore, LogId, u64) {
    let settings = limited(512 * 1024);
    let store = SqliteStore::open(dir.path(), &settings).unwrap();
    let log = create(&store, "x").log;
    let mut head = 0;
    while let Ok(()) = append(&store, log, events(head + 1..=head + 10, 2_000)) {
        head += 10;
        assert!(head < 1_000, "the limit was passed");
    }
    (store, log, head)
}

#[test]
fn a_full_disk_refuses_writers_and_serves_readers() {
    let dir = TempDir::new().unwrap();
    let settings = limited(512 * 1024);
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
    assert!(matches!(&refused, AppendError::Full(_)), "{refused}");
    assert!(store.stats().failing && store.stats().full);
    assert!(head > 0);
    let page = wait(store.read(log, 0, ALL)).unwrap();
    assert_eq!((page.events.len() as u64, page.bounds.head), (head, head));
    // Nothing of the refused item was kept, and the thread goes on: something small fits again
    // when something large is gone.
    assert_eq!(wait(store.bounds(log)).unwrap().head, head);
    assert!(store.stats().failing, "a transaction without a change proves nothing");
    assert_eq!(
        raw(&dir).execute("DELETE FROM events WHERE log > 0 AND seq < ?1", [head.cast_signed()]).unwrap() as u64,
        head - 1
    );
    append(&store, log, events(head + 1..=head + 10, 2_000)).unwrap();
    assert!(!store.stats().failing && !store.stats().full);
    assert_eq!(store.stats().events, head + 10);
}

#[test]
fn a_full_disk_is_told_to_everybody_who_wants_to_write() {
    let dir = TempDir::new().unwrap();
    let (store, log, head) = full(&dir);
    let is_full = |error: &Unavailable| error.full;
    let members = (0..1_000).map(|n| Member { sub: format!("{n}{}", "x".repeat(200)).into(), can_write: true });
    let large = NewTopic { members: members.collect(), ..new_topic("large") };
    let refused = wait(store.create(large, deed())).unwrap_err();
    assert!(matches!(&refused, CreateError::Unavailable(error) if is_full(error)), "{refused:?}");
    let title = TopicChange { title: Some(Some("y".repeat(200_000))), ..TopicChange::default() };
    let refused = wait(store.change(&key("x"), title, deed())).unwrap_err();
    assert!(matches!(&refused, ChangeError::Unavailable(error) if is_full(error)), "{refused:?}");
    assert_eq!(
        append(&store, log, events(head + 1..=head + 10, 2_000)).map_err(|e| matches!(e, AppendError::Full(_))),
        Err(true)
    );
}

#[test]
fn what_can_not_be_written_down_for_want_of_room_does_not_happen() {
    let dir = TempDir::new().unwrap();
    let (store, _, _) = full(&dir);
    let topics = || raw(&dir).query_row("SELECT count(*) FROM topics", [], |row| row.get::<_, i64>(0)).unwrap();
    let entries = || raw(&dir).query_row("SELECT count(*) FROM audit", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = (topics(), entries());
    let mut happened = Happened::done("thread/x".to_owned());
    happened.after = Some("y".repeat(200_000).into());
    assert!(wait(store.record(deed(), happened)).unwrap_err().full);
    // The topic would fit, its deed does not: who did it has a long name.
    let by = Arc::new(Deed { sub: "y".repeat(200_000).into(), ..(*deed()).clone() });
    let refused = wait(store.create(new_topic("small"), by)).unwrap_err();
    assert!(matches!(&refused, CreateError::Unavailable(error) if error.full), "{refused:?}");
    assert_eq!((topics(), entries()), before);
}

#[test]
fn a_store_that_was_full_finds_room_by_itself() {
    let dir = TempDir::new().unwrap();
    let (store, _, head) = full(&dir);
    assert!(store.stats().failing && store.stats().full);
    // It tries, and fails.
    let failures = store.stats().failures;
    eventually("the store tries to write", || store.stats().failures > failures);
    assert!(store.stats().failing && store.stats().full);
    let removed = raw(&dir).execute("DELETE FROM events WHERE log > 0 AND seq < ?1", [head.cast_signed()]).unwrap();
    assert_eq!(removed as u64, head - 1);
    // Nobody asks for anything.
    eventually("the store finds out", || !store.stats().failing);
    assert!(!store.stats().full);
    let left: i64 = raw(&dir).query_row("SELECT count(*) FROM probe", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "nothing stays of it");
}

#[test]
fn what_was_trimmed_makes_room() {
    let dir = TempDir::new().unwrap();
    let (store, log, head) = full(&dir);
    assert_eq!(wait(store.trim(log, head)).unwrap().oldest, head);
    append(&store, log, events(head + 1..=head + 10, 2_000)).unwrap();
    assert!(!store.stats().failing);
}

#[test]
fn a_failure_takes_back_everything_that_shares_the_transaction() {
    let dir = TempDir::new().unwrap();
    let settings = limited(512 * 1024);
    let store = SqliteStore::open(dir.path(), &settings).unwrap();
    let (small, large) = (create(&store, "small").log, create(&store, "large").log);
    append(&store, small, events(1..=1, 10)).unwrap();
    // One call is one transaction, whatever the writer is doing.
    let items = vec![
        Append { log: small, events: events(2..=3, 10), once: Vec::new(), closing: None, class: Class::Ordinary },
        Append { log: large, events: events(1..=100, 60_000), once: Vec::new(), closing: None, class: Class::Ordinary },
        Append { log: small, events: events(4..=4, 10), once: Vec::new(), closing: None, class: Class::Ordinary },
    ];
    let answers = wait(store.append(items));
    assert!(answers.iter().all(|answer| matches!(answer, Err(AppendError::Full(_)))), "{answers:?}");
    assert_eq!(wait(store.read(small, 0, ALL)).unwrap().events, *events(1..=1, 10));
    append(&store, small, events(2..=2, 10)).unwrap();
    append(&store, large, events(1..=1, 10)).unwrap();
    assert_eq!(store.stats().failures, 1);
    assert_eq!(store.stats().events, 3);
}
