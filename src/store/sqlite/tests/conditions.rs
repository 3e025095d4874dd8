//! Keys, targets and redactions in the file: behind a restart, behind a failure, from an earlier schema.

use tambour_actors::event::APPENDED_BYTES_MAX;
use tambour_actors::log::contract::deed;
use tambour_actors::log::{IDEMPOTENCY_KEPT_MS, Once, OnceWrite, Published, Rejected, Why};

use super::*;

fn text(seq: u64, kind: &str, json: &str, target: Option<u64>) -> Event {
    let origin =
        Origin { routing: Bytes::from_static(b"\"actor_id\":\"alice\""), meta: Bytes::from_static(b"\"m\":1") };
    let data = Bytes::copy_from_slice(json.as_bytes());
    Event { seq, time_ms: 1, kind: EventType::stored(kind).unwrap(), origin, data, target, taken: None }
}

fn appending(seq: u64, target: u64, bytes: usize) -> Arc<[Event]> {
    [text(seq, "append", &format!("\"{}\"", "y".repeat(bytes - 2)), Some(target))].into()
}

fn keyed(store: &SqliteStore, log: LogId, seq: u64, key: &str, time_ms: i64) -> Result<(), AppendError> {
    let once = Once { sub: "alice".into(), key: key.into(), digest: [7; 32] };
    let once = vec![OnceWrite { once, places: Published { first: seq, last: seq } }];
    let events = [Event { time_ms, ..text(seq, "note", "1", None) }].into();
    wait(store.append(vec![Append { log, events, once, closing: None, class: Class::Ordinary }])).remove(0)
}

fn target_refused(seq: u64, why: Why) -> Result<(), AppendError> {
    Err(AppendError::Rejected(vec![Rejected { seq, why }]))
}

fn count(dir: &TempDir, table: &str) -> i64 {
    raw(dir).query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn conditions_hold_behind_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let log = create(&store, "x").log;
    append(&store, log, [text(1, "note", "1", None), text(2, "note", "2", None)].into()).unwrap();
    for seq in 3..=6 {
        append(&store, log, appending(seq, 1, APPENDED_BYTES_MAX / 4 - 1)).unwrap();
    }
    keyed(&store, log, 7, "k", 1).unwrap();
    append(&store, log, [text(8, "redacted", "{}", Some(2))].into()).unwrap();
    drop(store);

    let store = open(&dir);
    assert_eq!(append(&store, log, appending(9, 1, 5)), target_refused(9, Why::TargetFull));
    append(&store, log, appending(9, 1, 4)).unwrap();
    assert_eq!(append(&store, log, appending(10, 2, 2)), target_refused(10, Why::TargetUnknown));
    assert_eq!(append(&store, log, appending(10, 3, 2)), target_refused(10, Why::TargetUnknown));
    let known = wait(store.recall(log, "alice", "k", 5)).unwrap().unwrap();
    assert_eq!((known.digest, known.places), ([7; 32], Published { first: 7, last: 7 }));
    assert_eq!(keyed(&store, log, 10, "k", 5), target_refused(10, Why::Repeated(known)));
}

#[test]
fn what_a_failed_transaction_knew_is_forgotten() {
    let dir = TempDir::new().unwrap();
    let settings = limited(2 * 1024 * 1024);
    let store = SqliteStore::open(dir.path(), &settings).unwrap();
    let (log, large) = (create(&store, "x").log, create(&store, "large").log);
    append(&store, log, [text(1, "note", "1", None)].into()).unwrap();
    let item =
        |log, events: Arc<[Event]>| Append { log, events, once: Vec::new(), closing: None, class: Class::Ordinary };
    let once = Once { sub: "alice".into(), key: "k".into(), digest: [1; 32] };
    let once = vec![OnceWrite { once, places: Published { first: 1, last: 100 } }];
    let too_large = Append { once, ..item(large, events(1..=100, 60_000)) };
    // The first of them fills the event, and goes with the second.
    let answers = wait(store.append(vec![item(log, appending(2, 1, APPENDED_BYTES_MAX)), too_large]));
    assert!(answers.iter().all(|answer| matches!(answer, Err(AppendError::Full(_)))), "{answers:?}");
    assert_eq!(wait(store.recall(large, "alice", "k", 1)), Ok(None));
    append(&store, log, appending(2, 1, APPENDED_BYTES_MAX)).unwrap();
    assert_eq!(append(&store, log, appending(3, 1, 2)), target_refused(3, Why::TargetFull));
}

#[test]
fn keys_go_when_their_time_is_over_or_their_log_is_gone() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (kept, gone) = (create(&store, "kept").log, create(&store, "gone").log);
    for seq in 1..=300 {
        keyed(&store, gone, seq, &format!("k{seq}"), 1).unwrap();
    }
    keyed(&store, kept, 1, "k", 1).unwrap();
    assert_eq!(count(&dir, "once"), 301);
    assert_eq!(wait(store.delete(&key("gone"), deed())), Ok(true));
    eventually("keys of the deleted log go", || count(&dir, "deleted_logs") == 0);
    assert_eq!(count(&dir, "once"), 1);
    // A day's keys make room for those of the next.
    let mut seq = 2;
    for day in 0..5 {
        for n in 0..100 {
            keyed(&store, kept, seq, &format!("d{day}-{n}"), day * IDEMPOTENCY_KEPT_MS + n).unwrap();
            seq += 1;
        }
        assert!(count(&dir, "once") <= 201, "{} behind day {day}", count(&dir, "once"));
    }
}

/// Whether any file of the store has this in it.
fn in_files(dir: &TempDir, text: &str) -> bool {
    std::fs::read_dir(dir.path()).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn what_was_redacted_leaves_the_files() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let log = create(&store, "x").log;
    // On a page with others, on pages of its own, and appended.
    let long = format!("\"{}\"", "kumquat ".repeat(7_000));
    let all = [
        text(1, "note", "\"greengage\"", None),
        text(2, "note", &long, None),
        text(3, "note", "\"medlar\"", None),
        text(4, "append", "\"loquat\"", Some(1)),
    ];
    append(&store, log, all.into()).unwrap();
    append(&store, log, events(5..=400, 300)).unwrap();
    for secret in ["greengage", "kumquat", "medlar", "loquat"] {
        assert!(in_files(&dir, secret), "{secret} is to be found");
    }
    append(&store, log, [text(401, "redacted", "{}", Some(1)), text(402, "redacted", "{}", Some(2))].into()).unwrap();
    for secret in ["greengage", "kumquat", "loquat"] {
        eventually("redacted data leaves the files", || !in_files(&dir, secret));
    }
    assert!(in_files(&dir, "medlar"));
    // While nobody closed the store, and behind that.
    drop(store);
    assert!(!in_files(&dir, "greengage") && !in_files(&dir, "kumquat") && in_files(&dir, "medlar"));
}

#[test]
fn a_file_of_the_first_schema_goes_on() {
    let dir = TempDir::new().unwrap();
    let conn = raw(&dir);
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    conn.execute_batch(schema::MIGRATIONS[0]).unwrap();
    conn.execute_batch(
        r#"PRAGMA user_version = 1;
           INSERT INTO topics VALUES (1, 't_demo', 'dev', 'thread', 'x', 'alice', NULL, 'team', '[]', 9, 5);
           INSERT INTO events VALUES (1, 1, 1, 1, 'note', '"actor_id":"alice"', '"m":1', '"old"');
           INSERT INTO events VALUES (2, 1, 2, 1, 'note', '"actor_id":"bob"', '"m":1', '"older"');"#,
    )
    .unwrap();
    drop(conn);
    let store = open(&dir);
    let log = wait(store.find(&key("x"))).unwrap().unwrap().0.log;
    append(&store, log, appending(3, 1, 5)).unwrap();
    assert_eq!(append(&store, log, appending(4, 2, 5)), target_refused(4, Why::TargetForbidden));
    keyed(&store, log, 4, "k", 1).unwrap();
    let read = wait(store.read(log, 0, ALL)).unwrap().events;
    let bob = Origin { routing: Bytes::from_static(b"\"actor_id\":\"bob\""), ..read[0].origin.clone() };
    let expected = [
        text(1, "note", "\"old\"", None),
        Event { origin: bob, ..text(2, "note", "\"older\"", None) },
        appending(3, 1, 5)[0].clone(),
        text(4, "note", "1", None),
    ];
    assert_eq!(read, expected);
}
