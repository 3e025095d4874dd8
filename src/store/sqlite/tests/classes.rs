//! A store without room for ordinary writes: what each class of write finds there, whose the pages are that become free,
//! and that a restart is no way to more of it.

use tambour_actors::log::FoldedPage;
use tambour_actors::log::contract::deed;
use tambour_actors::principal::Role;

use super::super::reserve::SPARE_BYTES;
use super::*;
use crate::admission::standing::change::{Order, State};

const LIMIT: u64 = 1024 * 1024;
const RESERVE: u64 = 1024 * 1024;

fn settings() -> StoreSettings {
    let room = Room { file_bytes_max: Some(LIMIT), reserve_bytes: RESERVE };
    StoreSettings { room, ..StoreSettings::default() }
}

fn reopened(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.path(), &settings()).unwrap()
}

/// A store in which nothing more fits behind the head of its log, not even one small event; beside it there is a small
/// topic, `quiet`, and a large one, `spoils`.
fn full(dir: &TempDir) -> (SqliteStore, LogId, u64) {
    let store = reopened(dir);
    let log = create(&store, "x").log;
    let spoils = create(&store, "spoils").log;
    append(&store, spoils, events(1..=100, 4_000)).unwrap();
    create(&store, "quiet");
    let mut head = 0;
    for bytes in [2_000, 10] {
        while let Ok(()) = append(&store, log, events(head + 1..=head + 1, bytes)) {
            head += 1;
            assert!(head < 10_000, "the limit was passed");
        }
    }
    (store, log, head)
}

fn suspend(sub: &str, by: Role) -> (Change, Arc<Deed>) {
    let order =
        Order { state: State::Suspended, role: None, authority: by, changed_by: "ada".into(), changed_at_ms: 1 };
    let change = Change::PutPrincipal(key("x").scope(), sub.into(), order);
    let class = change.class(by);
    (change, deed().in_class(class))
}

fn used_bytes(dir: &TempDir) -> u64 {
    schema::used_pages(&raw(dir)).unwrap() * schema::PAGE_BYTES.unsigned_abs()
}

/// Writes down that things were taken away until there is no room for it, nor for taking any away.
#[track_caller]
fn use_the_spare_up(store: &SqliteStore) {
    let relief = deed().in_class(Class::Relief);
    for bytes in [4_000, 10] {
        let mut happened = Happened::done("thread/quiet".into());
        happened.after = Some("y".repeat(bytes).into());
        let refused = (0..1_000).find_map(|_| wait(store.record(relief.clone(), happened.clone())).err());
        assert!(refused.expect("the spare has an end").full);
    }
    assert!(wait(store.delete(&key("quiet"), relief)).unwrap_err().full);
}

#[test]
fn each_class_goes_as_far_as_it_may() {
    let dir = TempDir::new().unwrap();
    let (store, log, head) = full(&dir);
    assert!(used_bytes(&dir) <= LIMIT);
    use_the_spare_up(&store);
    assert!((LIMIT..=LIMIT + SPARE_BYTES).contains(&used_bytes(&dir)), "{}", used_bytes(&dir));
    let is_full = |error: Unavailable| error.full;
    // What adds something is refused, whoever asks.
    let refused = wait(store.record(deed(), Happened::refused("x".into(), "permission.denied", 0)));
    assert!(is_full(refused.unwrap_err()));
    assert!(matches!(append(&store, log, events(head + 1..=head + 1, 1)), Err(AppendError::Full(_))));
    let created = wait(store.create(new_topic("another"), deed()));
    assert!(matches!(created, Err(CreateError::Unavailable(error)) if error.full));
    // Unless it adds nothing.
    assert_eq!(wait(store.create(new_topic("x"), deed())), Err(CreateError::Exists));
    // Who keeps people out, and who takes away what they made, goes on.
    for n in 0..20 {
        let (change, by) = suspend(&format!("p{n}"), Role::Admin);
        wait(store.administer(change, by)).unwrap();
    }
    let by = deed().in_class(Class::taking_away(Role::Admin));
    wait(store.record(by.clone(), Happened::done("sessions/mallory".into()))).unwrap();
    let out = TopicChange { remove_member: Some("mallory".into()), ..TopicChange::default() };
    wait(store.change(&key("x"), out, by)).unwrap();
    // What the hub and its readers need goes on, too, and so many at once that they share a transaction.
    let asked: Vec<_> = (0..20).map(|_| store.bounds(log)).collect();
    assert!(asked.into_iter().all(|asked| wait(asked).is_ok_and(|bounds| bounds.head == head)));
    assert!(matches!(wait(store.read_folded(log, 0, ALL)), Ok(FoldedPage { .. })));
    assert!(store.stats().full, "what came through is no sign of room");
    // And it is counted: some are left to others.
    let refused = (0..2_000).find_map(|n| {
        let (change, by) = suspend(&format!("q{n}"), Role::Admin);
        wait(store.administer(change, by)).err()
    });
    assert!(is_full(refused.expect("an admin's part of it has an end")));
    let (change, by) = suspend("ada", Role::Owner);
    wait(store.administer(change, by)).unwrap();
    assert!(used_bytes(&dir) <= LIMIT + SPARE_BYTES + RESERVE / 4);
    // Retention makes room, however little there is.
    assert_eq!(wait(store.trim(log, head)).unwrap().oldest, head);
    wait(store.delete(&key("spoils"), by_owner())).unwrap();
    eventually("there is room", || !store.stats().full);
    append(&store, log, events(head + 1..=head + 1, 1)).unwrap();
    assert!(used_bytes(&dir) <= LIMIT);
}

fn by_owner() -> Arc<Deed> {
    deed().in_class(Class::taking_away(Role::Owner))
}

#[test]
fn of_one_call_who_has_no_room_is_refused_alone() {
    let dir = TempDir::new().unwrap();
    let (store, log, head) = full(&dir);
    let spoils = wait(store.find(&key("spoils"))).unwrap().unwrap().0.log;
    let redacted = |seq| -> Arc<[Event]> {
        let event = events(seq..=seq, 1)[0].clone();
        [Event { kind: EventType::redacted(), data: Bytes::from_static(b"{}"), target: Some(1), ..event }].into()
    };
    use_the_spare_up(&store);
    let item = |log, events, class| Append { log, events, once: Vec::new(), closing: None, class };
    let items = vec![
        item(log, events(head + 1..=head + 1, 1), Class::Ordinary),
        item(spoils, redacted(101), Class::Emergency(Role::Admin)),
    ];
    let answers = wait(store.append(items));
    assert!(matches!(answers[..], [Err(AppendError::Full(_)), Ok(())]), "{answers:?}");
    let answers = wait(store.append(vec![item(spoils, redacted(102), Class::Ordinary)]));
    assert!(matches!(answers[..], [Err(AppendError::Full(_))]), "{answers:?}");
    assert!(wait(store.read(spoils, 0, ALL)).unwrap().events[0].is_redacted());
    assert_eq!(wait(store.bounds(spoils)).unwrap().head, 101);
}

#[test]
fn pages_that_become_free_are_the_reserve_again_before_they_are_anybodys() {
    let dir = TempDir::new().unwrap();
    let (store, log, head) = full(&dir);
    use_the_spare_up(&store);
    let refused = (0..2_000).find_map(|n| {
        let (change, by) = suspend(&format!("q{n}"), Role::Owner);
        wait(store.administer(change, by)).err()
    });
    assert!(refused.expect("there is an end to it").full);
    let above = used_bytes(&dir) - LIMIT;
    assert!(above > SPARE_BYTES, "{above}");
    // Some pages are free now: fewer than are in use above the limit.
    assert_eq!(wait(store.trim(log, head / 2)).unwrap().oldest, head / 2);
    eventually("what was trimmed is free", || used_bytes(&dir) < LIMIT + above);
    assert!(used_bytes(&dir) > LIMIT, "{}", used_bytes(&dir));
    assert!(matches!(append(&store, log, events(head + 1..=head + 1, 1)), Err(AppendError::Full(_))));
    let failures = store.stats().failures;
    eventually("it is tried", || store.stats().failures > failures);
    assert!(store.stats().full);
    // A restart changes nothing of it.
    store.close();
    drop(store);
    let store = reopened(&dir);
    assert!(matches!(append(&store, log, events(head + 1..=head + 1, 1)), Err(AppendError::Full(_))));
    let (change, by) = suspend("mallory", Role::Admin);
    wait(store.administer(change, by)).unwrap();
    // A higher limit is there at once.
    store.limit(Room { file_bytes_max: Some(4 * LIMIT), reserve_bytes: RESERVE });
    append(&store, log, events(head + 1..=head + 10, 2_000)).unwrap();
    assert!(!store.stats().full);
}
