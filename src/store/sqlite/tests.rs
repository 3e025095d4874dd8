//! What the SQLite store promises beside the contract: restarts, locks, a dead writer, deletes in slices, a write-ahead
//! log that stays small; and in files of their own a full disk, conditions, trims.

use std::sync::Arc;
use std::time::{Duration, Instant};
use tambour_actors::log::contract::deed;

use bytes::Bytes;
use futures_util::FutureExt as _;
use proptest::prelude::Strategy as _;
use proptest::test_runner::{Config, TestRunner};
use rusqlite::Connection;
use tambour_actors::cursor::Incarnation;
use tambour_actors::event::{Event, EventType, Origin};
use tambour_actors::log::{
    Append, AppendError, Bounds, ChangeError, Class, CreateError, EventLog as _, LogId, NewTopic, PageLimit,
    TopicChange, TopicRecord, Topics as _, Visibility,
};
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey, TopicKind};
use tempfile::TempDir;

use super::*;

mod administer;
mod audit;
mod classes;
mod conditions;
mod feed;
mod full;
mod overdue;
mod tokens;
mod trims;

const ALL: PageLimit = PageLimit { events: usize::MAX, bytes: usize::MAX };
/// Longer than any of these tests may take; only a failure waits for it.
const FAR: Duration = Duration::from_secs(60);

fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

fn open(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.path(), &StoreSettings::default()).unwrap()
}

/// Settings of a store whose file has a limit.
fn limited(file_bytes_max: u64) -> StoreSettings {
    let room = Room { file_bytes_max: Some(file_bytes_max), ..Room::default() };
    StoreSettings { room, ..StoreSettings::default() }
}

fn raw(dir: &TempDir) -> Connection {
    let conn = Connection::open(dir.path().join(FILE_NAME)).unwrap();
    conn.busy_timeout(FAR).unwrap();
    conn
}

fn key(id: &str) -> TopicKey {
    let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
    TopicKey::new(&scope, TopicKind::Thread, id).unwrap()
}

fn new_topic(id: &str) -> NewTopic {
    NewTopic {
        key: key(id),
        creator: "alice".into(),
        title: Some("t".into()),
        visibility: Visibility::Team,
        members: Vec::new(),
        created_at_ms: 5,
        incarnation: Incarnation(u64::MAX - 1),
    }
}

fn create(store: &SqliteStore, id: &str) -> TopicRecord {
    wait(store.create(new_topic(id), deed())).unwrap()
}

fn events(seqs: std::ops::RangeInclusive<u64>, bytes: usize) -> Arc<[Event]> {
    let text = Bytes::from(format!("\"{}\"", "x".repeat(bytes)));
    let origin = Origin { routing: Bytes::from_static(b"\"r\":1"), meta: Bytes::from_static(b"\"m\":1") };
    let kind = EventType::parse("chat_message").unwrap();
    seqs.map(|seq| Event {
        seq,
        time_ms: 1,
        kind: kind.clone(),
        origin: origin.clone(),
        data: text.clone(),
        target: None,
        taken: None,
    })
    .collect()
}

fn append(store: &SqliteStore, log: LogId, events: Arc<[Event]>) -> Result<(), AppendError> {
    wait(store.append(vec![Append { log, events, once: Vec::new(), closing: None, class: Class::Ordinary }])).remove(0)
}

/// Looks again and again until it is so.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < FAR, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn passes_the_contract() {
    let dirs = Mutex::new(Vec::new());
    tambour_actors::log::contract::run(|| {
        let dir = TempDir::new().unwrap();
        let store = open(&dir);
        dirs.lock().push(dir);
        (store.clone(), store)
    });
}

#[test]
fn everything_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (kept, gone) = (create(&store, "kept"), create(&store, "gone"));
    append(&store, kept.log, events(1..=300, 50)).unwrap();
    append(&store, gone.log, events(1..=300, 50)).unwrap();
    assert_eq!(wait(store.delete(&key("gone"), deed())), Ok(true));
    store.close();
    drop(store);

    let store = open(&dir);
    let bounds = Bounds { oldest: 1, head: 300, closed: false };
    assert_eq!(wait(store.find(&key("kept"))), Ok(Some((kept.clone(), bounds))));
    assert_eq!(wait(store.read(kept.log, 0, ALL)).unwrap().events, *events(1..=300, 50));
    assert_eq!(wait(store.find(&key("gone"))), Ok(None));
    assert_eq!(wait(store.bounds(gone.log)), Ok(Bounds::EMPTY));
    assert_eq!(append(&store, gone.log, events(301..=301, 1)), Err(AppendError::Gone));
    assert_eq!(append(&store, kept.log, events(300..=300, 1)), Err(AppendError::Conflict));
    append(&store, kept.log, events(301..=301, 1)).unwrap();
    // The number of a deleted log never comes again.
    assert!(create(&store, "gone").log > gone.log);
}

#[test]
fn close_finishes_what_is_queued_and_refuses_the_rest() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let log = create(&store, "x").log;
    let queued: Vec<_> = (1..=50)
        .map(|seq| {
            store.append(vec![Append {
                log,
                events: events(seq..=seq, 10),
                once: Vec::new(),
                closing: None,
                class: Class::Ordinary,
            }])
        })
        .collect();
    store.close();
    for answer in queued {
        assert_eq!(answer.now_or_never(), Some(vec![Ok(())]));
    }
    store.close();
    assert!(matches!(append(&store, log, events(51..=51, 1)), Err(AppendError::Unavailable(_))));
    assert!(wait(store.bounds(log)).is_err());
    assert!(wait(store.read(log, 0, ALL)).is_err());
    assert!(wait(store.find(&key("x"))).is_err());
    // The directory is free although `store` is still there.
    assert_eq!(wait(open(&dir).bounds(log)).unwrap().head, 50);
}

#[test]
fn a_second_store_on_a_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let nested = dir.path().join("made/if/missing");
    let store = SqliteStore::open(&nested, &StoreSettings::default()).unwrap();
    let refused = SqliteStore::open(&nested, &StoreSettings::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Locked(_)), "{refused}");
    assert!(refused.to_string().contains("in use by another hub"));
    drop(store);
    assert!(SqliteStore::open(&nested, &StoreSettings::default()).is_ok());
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = TempDir::new().unwrap();
    open(&dir).close();
    raw(&dir).pragma_update(None, "user_version", 1_000).unwrap();
    let refused = SqliteStore::open(dir.path(), &StoreSettings::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Newer { found: 1_000, .. }), "{refused}");
    let version: i64 = raw(&dir).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1_000);
}

#[test]
fn deleted_events_go_in_slices_and_positions_never_come_again() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let kept = create(&store, "kept").log;
    append(&store, kept, events(1..=10, 10)).unwrap();
    let log = create(&store, "gone").log;
    append(&store, log, events(1..=5_000, 200)).unwrap();
    assert_eq!(wait(store.delete(&key("gone"), deed())), Ok(true));
    let conn = raw(&dir);
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    eventually("the events of the deleted log to go", || {
        // A slice never leaves a log that is not noted any more with events.
        let noted = count("SELECT count(*) FROM deleted_logs");
        assert!(noted == 1 || count("SELECT count(*) FROM events WHERE log > 0") == 10);
        noted == 0
    });
    store.close();
    let store = open(&dir);
    append(&store, kept, events(11..=11, 10)).unwrap();
    // What happened to the topics are three events more.
    assert_eq!(count("SELECT max(position) FROM events"), 5_014);
}

#[test]
fn deletes_go_on_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let log = {
        let store = open(&dir);
        let log = create(&store, "x").log;
        append(&store, log, events(1..=2_000, 10)).unwrap();
        log
    };
    // As a crash right behind the delete leaves it.
    let conn = raw(&dir);
    conn.execute("DELETE FROM topics", []).unwrap();
    conn.execute("INSERT INTO deleted_logs VALUES (?1)", [log.0]).unwrap();
    let store = open(&dir);
    assert_eq!(wait(store.read(log, 0, ALL)).unwrap().bounds, Bounds::EMPTY);
    eventually("the events to go", || {
        conn.query_row("SELECT NOT EXISTS (SELECT 1 FROM events WHERE log > 0)", [], |row| row.get(0)).unwrap()
    });
}

#[test]
fn a_panic_of_the_writer_is_an_answer_to_everybody() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let log = create(&store, "x").log;
    append(&store, log, events(1..=1, 1)).unwrap();
    store.0.commands.push(Command::Panic).unwrap();
    let queued: Vec<_> = (2..100)
        .map(|seq| {
            store.append(vec![Append {
                log,
                events: events(seq..=seq, 1),
                once: Vec::new(),
                closing: None,
                class: Class::Ordinary,
            }])
        })
        .collect();
    for answer in queued {
        assert!(matches!(wait(answer).as_slice(), [Err(AppendError::Unavailable(_))]));
    }
    assert!(matches!(append(&store, log, events(2..=2, 1)), Err(AppendError::Unavailable(_))));
    assert!(wait(store.bounds(log)).is_err());
    assert!(wait(store.delete(&key("x"), deed())).is_err());
    // Readers go on.
    assert_eq!(wait(store.read(log, 0, ALL)).unwrap().bounds.head, 1);
    store.close();
    assert_eq!(wait(open(&dir).bounds(log)).unwrap().head, 1);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let dir = TempDir::new().unwrap();
    let settings = StoreSettings { queue_max: 3, ..StoreSettings::default() };
    let store = SqliteStore::open(dir.path(), &settings).unwrap();
    let log = create(&store, "x").log;
    // While the gate is held the writer takes three at most and answers none: three more wait.
    let turn = store.0.gate.turn();
    let calls = (1..=8).map(|seq| {
        store.append(vec![Append {
            log,
            events: events(seq..=seq, 1),
            once: Vec::new(),
            closing: None,
            class: Class::Ordinary,
        }])
    });
    let mut calls: Vec<_> = calls.map(|answer| (answer, None)).collect();
    for (answer, refused) in &mut calls {
        *refused = answer.now_or_never();
    }
    drop(turn);
    let (refused, accepted): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(_, refused)| refused.is_some());
    assert!((2..=5).contains(&refused.len()), "{}", refused.len());
    for (_, answers) in refused {
        assert!(matches!(answers.unwrap().as_slice(), [Err(AppendError::Unavailable(_))]));
    }
    for (answer, _) in accepted {
        assert!(!matches!(wait(answer).as_slice(), [Err(AppendError::Unavailable(_))]));
    }
}

#[test]
fn the_write_ahead_log_stays_small() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let log = create(&store, "x").log;
    let mut head = 0;
    let mut largest = 0;
    while store.stats().checkpoints < 2 {
        append(&store, log, events(head + 1..=head + 200, 16_000)).unwrap();
        head += 200;
        largest = largest.max(store.stats().wal_pages);
        assert!(head < 100_000, "no checkpoint came");
    }
    assert!(largest < 64 * 1024, "{largest} pages");
    assert_eq!(wait(store.read(log, head - 1, ALL)).unwrap().events, *events(head..=head, 16_000));
    store.close();
    assert!(!dir.path().join("tambour.db-wal").exists());
}

#[test]
fn many_appends_share_a_commit() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let logs: Vec<LogId> = (0..64).map(|n| create(&store, &format!("x{n}")).log).collect();
    let before = store.stats();
    let turn = store.0.gate.turn();
    let answers: Vec<_> = logs
        .iter()
        .map(|log| {
            store.append(vec![Append {
                log: *log,
                events: events(1..=2, 10),
                once: Vec::new(),
                closing: None,
                class: Class::Ordinary,
            }])
        })
        .collect();
    drop(turn);
    for answer in answers {
        assert_eq!(wait(answer), [Ok(())]);
    }
    let after = store.stats();
    assert_eq!((after.appends - before.appends, after.events - before.events), (64, 128));
    // What was taken before the gate was seen, and everything else.
    assert!(after.commits - before.commits <= 2, "{} commits", after.commits - before.commits);
}

#[test]
fn settings_refuse_what_they_do_not_know() {
    let settings: StoreSettings = toml::from_str("readers = 4").unwrap();
    assert_eq!(settings, StoreSettings { readers: 4, ..StoreSettings::default() });
    assert!(toml::from_str::<StoreSettings>("reader = 4").is_err());
}

/// Members are kept as JSON text: whatever a subject holds must come back.
#[test]
fn members_come_back() {
    let subjects = proptest::collection::vec((".*", proptest::bool::ANY), 0..5);
    let members = subjects.prop_map(|all| {
        all.into_iter().map(|(sub, can_write)| tambour_actors::log::Member { sub: sub.into(), can_write }).collect()
    });
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let back = runner.run(&members, |members: Vec<_>| {
        let text = rows::members_text(&members).unwrap();
        assert_eq!(rows::members_of(&text).unwrap(), members);
        Ok(())
    });
    back.unwrap();
}
