//! Backups of a hub that runs, and what is restored from them: all that was acknowledged, each log without holes, and a
//! word to whoever comes back with a cursor of before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::http::{Ask, Connection, create, publish};
use crate::support::process::{Process, finished, own_host, tambour};
use crate::support::sse::Stream;

const THREADS: [&str; 3] = ["a", "b", "c"];

fn hub(data: &Path) -> Process {
    Process::start(data, &format!("{}:0", own_host()), &[])
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn backup(data: &Path, to: &Path) -> Output {
    finished(tambour(&["backup", "--data", text(data), "--to", text(to)]))
}

fn restore(from: &Path, data: &Path) -> Output {
    finished(tambour(&["restore", "--from", text(from), "--data", text(data)]))
}

#[track_caller]
fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command says that failed.
#[track_caller]
fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Acknowledged: the place and the name of an event.
type Acknowledged = BTreeMap<(&'static str, u64), String>;

/// Publishes arrays of names that nobody else has, and notes what is acknowledged.
fn write(addr: SocketAddr, writer: usize, over: &AtomicBool, acknowledged: &Mutex<Acknowledged>) {
    let mut connection = Connection::open(addr);
    for round in 0.. {
        if over.load(Ordering::SeqCst) {
            return;
        }
        let thread = THREADS[(writer + round) % THREADS.len()];
        let names: Vec<_> = (0..1 + round % 7).map(|n| format!("{writer}-{round}-{n}")).collect();
        let events: Vec<_> = names.iter().map(|name| json!({ "type": "note", "data": name })).collect();
        let path = format!("/v1/threads/{thread}/events");
        connection.send(&Ask::by("bob", "POST", &path).json(Value::from(events)).bytes());
        let first = connection.answer().ok(201)["first"]["seq"].as_u64().unwrap();
        acknowledged.lock().unwrap().extend((first..).zip(names).map(|(seq, name)| ((thread, seq), name)));
    }
}

/// The names in a thread, in their order; seqs have no hole.
fn read(addr: SocketAddr, thread: &str) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), "earliest".to_owned());
    loop {
        let path = format!("/v1/threads/{thread}/events?limit=500&after={after}");
        let page = Ask::by("bob", "GET", &path).send(addr).ok(200);
        for event in page["events"].as_array().unwrap() {
            assert_eq!(event["seq"], names.len() + 1);
            names.push(event["data"].as_str().unwrap().to_owned());
        }
        if page["has_more"] == false {
            return names;
        }
        page["cursor"].as_str().unwrap().clone_into(&mut after);
    }
}

#[test]
fn a_backup_under_load_has_what_was_acknowledged() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let hub = hub(&at("data"));
    THREADS.iter().for_each(|thread| drop(create(hub.addr, "alice", thread)));
    let (over, acknowledged) = (AtomicBool::new(false), Mutex::new(Acknowledged::new()));
    let backups = std::thread::scope(|scope| {
        for writer in 0..3 {
            let (over, acknowledged) = (&over, &acknowledged);
            scope.spawn(move || write(hub.addr, writer, over, acknowledged));
        }
        let backups: Vec<_> = (0..3)
            .map(|n| {
                let before = eventually("much more is written", || {
                    let so_far = acknowledged.lock().unwrap();
                    (so_far.len() > (n + 1) * 2_000).then(|| so_far.clone())
                });
                let file = at(&format!("backup-{n}"));
                let said = done(&backup(&at("data"), &file));
                assert!(said.contains("has 3 topics with "), "{said}");
                (file, before)
            })
            .collect();
        over.store(true, Ordering::SeqCst);
        backups
    });
    for (n, (file, before)) in backups.iter().enumerate() {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let data = at(&format!("restored-{n}"));
        done(&restore(file, &data));
        let mut restored = self::hub(&data);
        let read: BTreeMap<_, _> = THREADS.into_iter().map(|thread| (thread, read(restored.addr, thread))).collect();
        for ((thread, seq), name) in before {
            let there = read[thread].get(usize::try_from(*seq).unwrap() - 1);
            assert_eq!(there, Some(name), "{seq} of {thread} was acknowledged before backup {n} began");
        }
        let all = acknowledged.lock().unwrap();
        let mut count = 0;
        for (thread, names) in &read {
            for (seq, name) in (1..).zip(names) {
                let same = all.get(&(*thread, seq));
                assert!(same.is_none_or(|same| same == name), "{seq} of {thread} is {name}, and was {same:?}");
                count += 1;
            }
        }
        println!("backup {n}: {} acknowledged before it began, {count} in it, {} in the end", before.len(), all.len());
        // It is a hub like any other, and starts again.
        publish(restored.addr, "bob", "a", &json!("new"));
        restored.kill();
        let restored = self::hub(&data);
        assert_eq!(self::read(restored.addr, "a").last().unwrap(), "new");
    }
}

#[test]
fn who_comes_back_to_a_restored_hub_is_told_and_what_is_written_again_is_not_written_twice() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let hub = hub(&at("data"));
    create(hub.addr, "alice", "x");
    let path = "/v1/threads/x/events";
    let keyed = |addr, key: &str, data: &str| {
        let body = json!({ "type": "note", "data": data, "idempotency_key": key });
        Ask::by("bob", "POST", path).json(body).send(addr).ok(201)
    };
    let (first, _) = publish(hub.addr, "bob", "x", &json!(1));
    assert_eq!(keyed(hub.addr, "kept", "a")["seq"], 2);
    done(&backup(&at("data"), &at("backup")));
    assert_eq!(keyed(hub.addr, "lost", "b")["seq"], 3);
    drop(hub);
    done(&restore(&at("backup"), &at("restored")));
    let hub = self::hub(&at("restored"));
    let page = Ask::by("bob", "GET", path).query(&format!("after={first}")).send(hub.addr);
    assert_eq!(page.gone(), "reset");
    let mut stream = Stream::open(hub.addr, &Ask::stream("bob", path).with("last-event-id", &first));
    assert_eq!(stream.connected["cursor"], first);
    let (name, gap) = stream.named();
    assert_eq!((name.as_str(), &gap["reason"], &gap["requested"]), ("gap", &json!("reset"), &json!(first)));
    let (one, two) = (stream.event(), stream.event());
    assert_eq!((&one["data"], &two["data"]), (&json!(1), &json!("a")));
    assert_ne!(one["id"], json!(first), "it is another life of the log");
    // The first of these is in the backup, the second is not.
    assert_eq!(keyed(hub.addr, "kept", "a"), json!({ "id": two["id"], "seq": 2 }));
    assert_eq!(keyed(hub.addr, "lost", "b")["seq"], 3);
    assert_eq!(stream.event()["data"], "b");
}

#[test]
fn a_hub_that_was_killed_is_backed_up_and_left_as_it_was() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut hub = hub(&at("data"));
    create(hub.addr, "alice", "x");
    for n in 1..=20 {
        publish(hub.addr, "bob", "x", &json!(n.to_string()));
    }
    hub.kill();
    assert!(std::fs::metadata(at("data").join("tambour.db-wal")).unwrap().len() > 0, "it is not in the one file yet");
    let said = done(&backup(&at("data"), &at("backup")));
    assert!(said.contains("has 1 topic with 20 events"), "{said}");
    let mut names: Vec<_> = std::fs::read_dir(at("data")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["lock", "tambour.db"], "nothing is left beside it that another user might not write");
    assert_eq!(read(self::hub(&at("data")).addr, "x").len(), 20);
}

#[test]
fn nothing_is_written_over_anything() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let hub = hub(&at("data"));
    create(hub.addr, "alice", "x");
    publish(hub.addr, "bob", "x", &json!("first"));
    done(&backup(&at("data"), &at("backup")));
    let saved = std::fs::read(at("backup")).unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("link")).unwrap();
    for taken in ["backup", "link", "data"] {
        let said = failed(&backup(&at("data"), &at(taken)));
        assert!(said.contains("there already") && said.contains("--to"), "{said}");
    }
    std::fs::write(at("other.part"), "half").unwrap();
    assert!(failed(&backup(&at("data"), &at("other"))).contains("remove it"));
    assert_eq!(
        (std::fs::read(at("backup")).unwrap(), std::fs::read(at("other.part")).unwrap()),
        (saved, b"half".to_vec())
    );
    assert!(failed(&backup(&at("none"), &at("new"))).contains("--data"));
    assert!(failed(&backup(&at("data"), &at("no/such/directory"))).contains("no/such/directory.part"));
    // A directory that is in use, and one that has a database.
    let said = failed(&restore(&at("backup"), &at("data")));
    assert!(said.contains("in use by another hub") && said.contains("--data"), "{said}");
    drop(hub);
    let said = failed(&restore(&at("backup"), &at("data")));
    assert!(said.contains("has a database already"), "{said}");
    assert_eq!(read(self::hub(&at("data")).addr, "x"), ["first"]);
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let hub = hub(&at("data"));
    create(hub.addr, "alice", "x");
    let events: Vec<_> =
        (0..500).map(|n| json!({ "type": "note", "data": format!("{n} {}", "x".repeat(500)) })).collect();
    Ask::by("bob", "POST", "/v1/threads/x/events").json(Value::from(events)).send(hub.addr).ok(201);
    done(&backup(&at("data"), &at("good")));
    let good = std::fs::read(at("good")).unwrap();
    let variant = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        std::fs::write(at(name), bytes).unwrap();
    };
    variant("empty", &|bytes| bytes.clear());
    variant("text", &|bytes| *bytes = b"all of it\n".repeat(1_000));
    variant("short", &|bytes| bytes.truncate(bytes.len() / 2));
    variant("torn", &|bytes| {
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
    });
    // A row that reads differently, in a file whose structure is whole.
    variant("changed", &|bytes| {
        let middle = bytes.windows(5).position(|text| text == b"xxxxx").unwrap();
        bytes[middle] = b'y';
    });
    variant("cut", &|bytes| bytes.truncate(bytes.len() - 1));
    variant("newer", &|bytes| bytes[60..64].copy_from_slice(&1_000_u32.to_be_bytes()));
    for (name, words) in [
        ("missing", "no database"),
        ("data", "not a database of Tambour"),
        ("empty", "not a database of Tambour"),
        ("text", "not a database of Tambour"),
        ("short", "malformed"),
        ("torn", "it was changed"),
        ("changed", "it was changed since it was written"),
        ("cut", "its end is missing"),
        ("newer", "run a newer one"),
    ] {
        let said = failed(&restore(&at(name), &at("restored")));
        assert!(said.contains(words), "{name}: {said}");
        let left = std::fs::read_dir(at("restored"))
            .map_or(0, |files| files.filter(|file| file.as_ref().is_ok_and(|file| file.file_name() != "lock")).count());
        assert_eq!(left, 0, "{name} left something in the data directory");
    }
    done(&restore(&at("good"), &at("restored")));
    assert_eq!(read(self::hub(&at("restored")).addr, "x").len(), 500);
}
