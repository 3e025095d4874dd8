//! The audit of the store: every mutation with its entry and event or not at all, and no byte of it changed unseen.

use proptest::test_runner::TestCaseError;
use rusqlite::types::Value;
use tambour_actors::log::Member;
use tambour_actors::log::feed::{FeedLimit, FeedLog as _};
use tambour_actors::principal::Role;

use super::*;
use crate::admission::standing::change::{Change, Order, Revocation, Revoked, State};
use crate::audit::chain::Expected;
use crate::audit::entry::Entry;

fn home() -> Scope {
    deed().scope.clone()
}

fn entries(store: &SqliteStore, query: AuditQuery) -> Vec<String> {
    let page = wait(store.audit(&home(), AuditQuery { limit: 500, ..query })).unwrap();
    let shown = |text: &str| {
        let entry = Entry::parse(text).unwrap();
        format!("{} {} {} {}", entry.seq, entry.action, entry.resource, entry.outcome)
    };
    page.rows.iter().map(|row| shown(&row.entry)).collect()
}

fn by(action: &'static str, sub: &str, at_ms: i64) -> Arc<Deed> {
    Arc::new(Deed { action, sub: sub.into(), at_ms, ..(*deed()).clone() })
}

fn put(sub: &str, can_write: bool) -> TopicChange {
    TopicChange { put_member: Some(Member { sub: sub.into(), can_write }), ..TopicChange::default() }
}

fn suspended(sub: &str) -> Change {
    let order =
        Order { state: State::Suspended, role: None, authority: Role::Owner, changed_by: "a".into(), changed_at_ms: 3 };
    Change::PutPrincipal(home(), sub.into(), order)
}

/// Six entries.
fn fill(store: &SqliteStore) {
    wait(store.create(new_topic("x"), by("threads.create", "alice", 1_000))).unwrap();
    wait(store.change(&key("x"), put("bob", true), by("threads.members.put", "alice", 2_000))).unwrap();
    wait(store.administer(suspended("bob"), by("principals.put", "carol", 3_000))).unwrap();
    let revoked = Revocation { authority: Role::Owner, at_ms: 1, expires_at_ms: None };
    let jti = Change::Revoke(home(), Revoked::Jti("0123456789abcdef".into()), revoked);
    wait(store.administer(jti, by("revocations.create", "carol", 4_000))).unwrap();
    let refused = Happened::refused("thread/x".into(), "permission.denied", 3);
    wait(store.record(by("threads.read", "dave", 5_000), refused)).unwrap();
    wait(store.delete(&key("x"), by("threads.delete", "alice", 6_000))).unwrap();
}

fn is_bad(dir: &TempDir, expected: Option<&Expected>) -> Option<u64> {
    let found = verify(dir.path(), Some(&home()), expected).unwrap();
    assert_eq!(found.len(), 1);
    found[0].bad.as_ref().map(|bad| bad.seq)
}

#[test]
fn entries_are_found_by_what_they_say() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    fill(&store);
    let found = |query| entries(&store, query).iter().map(|entry| entry[..1].to_owned()).collect::<String>();
    let all = AuditQuery::default;
    assert_eq!(entries(&store, all())[0], "6 threads.delete thread/x done");
    assert_eq!(found(all()), "654321");
    assert_eq!(found(AuditQuery { actor: Some("carol".into()), ..all() }), "43");
    assert_eq!(found(AuditQuery { action: Some(Action::Exact("threads".into())), ..all() }), "");
    assert_eq!(found(AuditQuery { action: Some(Action::Exact("threads.create".into())), ..all() }), "1");
    assert_eq!(found(AuditQuery { action: Some(Action::Prefix("threads.".into())), ..all() }), "6521");
    assert_eq!(found(AuditQuery { action: Some(Action::Prefix(String::new())), ..all() }), "654321");
    assert_eq!(found(AuditQuery { resource: Some("principal/bob".into()), ..all() }), "3");
    assert_eq!(found(AuditQuery { outcome: Some("refused"), ..all() }), "5");
    assert_eq!(found(AuditQuery { since_ms: Some(2_000), until_ms: Some(4_000), ..all() }), "32");
    assert_eq!(found(AuditQuery { before: Some(3), ..all() }), "21");
    assert_eq!(found(AuditQuery { after: Some(4), ..all() }), "56");
    let jti = entries(&store, AuditQuery { actor: Some("carol".into()), ..all() });
    assert_eq!(jti[0], "4 revocations.create token/01234567 done", "the rest of the id is nobody's");
    let elsewhere = Scope { env: Env::Prod, ..home() };
    assert_eq!(wait(store.audit(&elsewhere, AuditQuery { limit: 9, ..all() })).unwrap().rows, []);
}

#[test]
fn what_changes_nothing_has_no_entry() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    fill(&store);
    create(&store, "y");
    wait(store.change(&key("y"), put("bob", true), deed())).unwrap();
    wait(store.administer(suspended("eve"), deed())).unwrap();
    let count = || entries(&store, AuditQuery::default()).len();
    assert_eq!(count(), 9);
    wait(store.change(&key("y"), put("bob", true), deed())).unwrap();
    wait(store.change(&key("y"), TopicChange::default(), deed())).unwrap();
    wait(store.change(&key("nowhere"), put("bob", true), deed())).unwrap();
    wait(store.create(new_topic("y"), deed())).unwrap_err();
    wait(store.administer(suspended("eve"), deed())).unwrap();
    wait(store.administer(Change::RemovePrincipal(home(), "nobody".into()), deed())).unwrap();
    wait(store.administer(Change::RemoveKey(home(), "key:none".into()), deed())).unwrap();
    assert_eq!(count(), 9);
    assert_eq!(is_bad(&dir, None), None);
}

#[test]
fn a_mutation_that_can_not_be_written_down_does_not_happen() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let x = create(&store, "x");
    append(&store, x.log, events(1..=1, 1)).unwrap();
    wait(store.administer(suspended("bob"), deed())).unwrap();
    let conn = raw(&dir);
    let tables = ["topics", "events", "deleted_logs", "deleted_topics", "audit", "audit_heads", "feeds", "principals"];
    let state = || {
        let rows = |table: &&str| {
            let mut all = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = all.column_count();
            let read =
                |row: &rusqlite::Row<'_>| (0..columns).map(|n| row.get::<_, Value>(n)).collect::<Result<Vec<_>, _>>();
            let read: Vec<_> = all.query_map([], read).unwrap().map(Result::unwrap).collect();
            format!("{table}: {read:?}")
        };
        tables.iter().map(rows).collect::<Vec<_>>()
    };
    let before = state();
    for fault in ["INSERT ON audit", "INSERT ON audit_heads", "INSERT ON events"] {
        conn.execute_batch(&format!(
            "CREATE TRIGGER fault BEFORE {fault} BEGIN SELECT RAISE(ABORT, 'asked to by a test'); END"
        ))
        .unwrap();
        assert!(wait(store.create(new_topic("y"), deed())).is_err(), "{fault}");
        assert!(wait(store.change(&key("x"), put("bob", true), deed())).is_err(), "{fault}");
        assert!(wait(store.delete(&key("x"), deed())).is_err(), "{fault}");
        assert!(wait(store.administer(suspended("eve"), deed())).is_err(), "{fault}");
        assert!(wait(store.administer(Change::RemovePrincipal(home(), "bob".into()), deed())).is_err(), "{fault}");
        let close = Append {
            log: x.log,
            events: events(2..=2, 1),
            once: Vec::new(),
            closing: Some(deed()),
            class: Class::Ordinary,
        };
        assert!(matches!(wait(store.append(vec![close])).as_slice(), [Err(AppendError::Unavailable(_))]), "{fault}");
        let told = Happened::done("sessions/bob".into());
        assert!(fault.ends_with("events") || wait(store.record(deed(), told)).is_err(), "{fault}");
        conn.execute_batch("DROP TRIGGER fault").unwrap();
        if !fault.ends_with("events") {
            assert_eq!(state(), before, "{fault}");
        }
    }
    // All of it works again, in the memory of the writer too.
    append(&store, x.log, events(2..=2, 1)).unwrap();
    wait(store.delete(&key("x"), deed())).unwrap();
    assert_eq!(is_bad(&dir, None), None);
    let limit = FeedLimit { events: 99, bytes: usize::MAX };
    let feed = wait(store.feed(&home(), 0, limit)).unwrap();
    let seqs: Vec<_> = feed.items.iter().map(|item| item.event.seq).collect();
    assert_eq!(seqs, [1, 2, 3], "a created, a changed and a deleted event");
}

/// An audit that somebody has cut costs its own tenant's changes, and nobody else anything.
#[test]
fn a_damaged_audit_refuses_its_own_changes_alone() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let x = create(&store, "x");
    raw(&dir).execute("DELETE FROM audit_heads", []).unwrap();
    let mut asked = Vec::new();
    for seq in 1..=50 {
        let append = Append {
            log: x.log,
            events: events(seq..=seq, 1),
            once: Vec::new(),
            closing: None,
            class: Class::Ordinary,
        };
        // Queued without a wait between them, so that they share transactions.
        asked.push((store.append(vec![append]), store.administer(suspended(&format!("p{seq}")), deed())));
    }
    for (appended, administered) in asked {
        assert_eq!(wait(appended), [Ok(())]);
        assert!(wait(administered).is_err(), "it can't be written down behind what was there");
    }
    assert!(!store.stats().failing, "the store is well");
}

/// A row as values, and the file it is in.
fn row(conn: &Connection, seq: i64) -> Vec<Value> {
    let sql = "SELECT tenant, env, seq, at_ms, actor, action, resource, outcome, entry, hash FROM audit WHERE seq = ?1";
    conn.query_row(sql, [seq], |row| (0..10).map(|n| row.get(n)).collect()).unwrap()
}

const COLUMNS: [&str; 10] =
    ["tenant", "env", "seq", "at_ms", "actor", "action", "resource", "outcome", "entry", "hash"];

/// The value with one bit of one byte changed.
fn flipped(value: &Value, at: usize, bit: u8) -> Value {
    let flip = |mut bytes: Vec<u8>| {
        let place = at % bytes.len();
        bytes[place] ^= 1 << bit;
        bytes
    };
    match value {
        Value::Integer(number) => Value::Integer(number ^ (1 << (at % 63))),
        // A text that is none any more is as good as another.
        Value::Text(text) => Value::Text(String::from_utf8_lossy(&flip(text.clone().into_bytes())).into_owned()),
        Value::Blob(bytes) => Value::Blob(flip(bytes.clone())),
        other => panic!("no column is {other:?}"),
    }
}

#[test]
fn no_byte_of_any_entry_changes_unseen() {
    let dir = TempDir::new().unwrap();
    fill(&open(&dir));
    let conn = raw(&dir);
    assert_eq!(is_bad(&dir, None), None);
    let mut runner = TestRunner::new(Config { cases: 512, ..Config::default() });
    let cases = (1..=6_i64, 0..10_usize, 0..2_000_usize, 0..8_u8);
    let run = |(seq, column, at, bit): (i64, usize, usize, u8)| {
        let before = row(&conn, seq);
        let after = flipped(&before[column], at, bit);
        if after == before[column] {
            return Ok(());
        }
        let name = COLUMNS[column];
        conn.execute_batch("BEGIN").unwrap();
        let changed = conn.execute(&format!("UPDATE audit SET {name} = ?1 WHERE seq = ?2"), (&after, seq));
        conn.execute_batch(if changed.is_ok() { "COMMIT" } else { "ROLLBACK" }).unwrap();
        if changed.is_err() {
            // Another row has that seq.
            return Ok(());
        }
        let bad = is_bad(&dir, None);
        let back = if name == "seq" { after.clone() } else { Value::Integer(seq) };
        conn.execute(&format!("UPDATE audit SET {name} = ?1 WHERE seq = ?2"), (&before[column], &back)).unwrap();
        if bad.is_none_or(|bad| bad.cast_signed() > seq) {
            return Err(TestCaseError::fail(format!("{name} of {seq} became {after:?}, and {bad:?} was found bad")));
        }
        Ok(())
    };
    runner.run(&cases, run).unwrap();
    assert_eq!(is_bad(&dir, None), None, "everything is as it was");
}

#[test]
fn nothing_goes_comes_or_changes_places_unseen() {
    let dir = TempDir::new().unwrap();
    fill(&open(&dir));
    let conn = raw(&dir);
    let swap = "UPDATE audit SET seq = -seq WHERE seq IN (2, 4);
        UPDATE audit SET seq = CASE seq WHEN -2 THEN 4 ELSE 2 END WHERE seq < 0;";
    let copied = "INSERT INTO audit SELECT tenant, env, 7, at_ms, actor, action, resource, outcome, entry, hash
        FROM audit WHERE seq = 6;";
    let wrongs = [
        ("deleted", "DELETE FROM audit WHERE seq = 3", 3),
        ("the first", "DELETE FROM audit WHERE seq = 1", 1),
        ("cut off", "DELETE FROM audit WHERE seq > 4", 5),
        ("all", "DELETE FROM audit", 1),
        ("swapped", swap, 2),
        ("again", copied, 7),
        ("moved up", "DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3", 3),
        ("before the first", &copied.replace(", 7,", ", 0,"), 1),
        ("no head", "DELETE FROM audit_heads", 7),
        ("another head", "UPDATE audit_heads SET seq = 5", 7),
        ("another hash", "UPDATE audit_heads SET hash = zeroblob(32)", 6),
        ("another tenant", "UPDATE audit SET tenant = 't_other'; UPDATE audit_heads SET tenant = 't_other'", 0),
    ];
    for (what, sql, first_bad) in wrongs {
        // Each in a copy of its own.
        let copy = TempDir::new().unwrap();
        conn.execute("VACUUM INTO ?1", [copy.path().join(FILE_NAME).to_str().unwrap()]).unwrap();
        raw(&copy).execute_batch(sql).unwrap();
        let found = verify(copy.path(), None, None).unwrap();
        let bad = found.iter().find_map(|found| found.bad.as_ref());
        if first_bad == 0 {
            assert_eq!((bad.map(|bad| bad.seq), &*found[0].tenant), (Some(1), "t_other"), "{what}: {found:?}");
        } else {
            assert_eq!(bad.map(|bad| bad.seq), Some(first_bad), "{what}: {found:?}");
        }
    }
}

#[test]
fn what_was_cut_off_with_its_head_is_seen_by_who_remembers() {
    let dir = TempDir::new().unwrap();
    fill(&open(&dir));
    let whole = verify(dir.path(), None, None).unwrap().remove(0);
    let remembered = Expected { seq: whole.entries, hash: whole.hash };
    assert_eq!(is_bad(&dir, Some(&remembered)), None);
    raw(&dir)
        .execute_batch(
            "DELETE FROM audit WHERE seq > 4;
            UPDATE audit_heads SET seq = 4, hash = (SELECT hash FROM audit WHERE seq = 4)",
        )
        .unwrap();
    assert_eq!(is_bad(&dir, None), None, "the rest is whole");
    assert_eq!(is_bad(&dir, Some(&remembered)), Some(5));
    let other = Expected { seq: 2, ..remembered };
    assert_eq!(is_bad(&dir, Some(&other)), Some(2));
}
