//! The conformance cases of `tests/conformance`: the same case, as data, over every way to read a topic.
//!
//! A case says what was published, where a reader starts, and what comes. It never says how a transport
//! looks; that is in `reader`.

mod reader;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::http::Ask;
use crate::support::hub::Running;
use crate::support::tls::Pair;
use reader::{Begin, Reader, Topic, WIRES, Wire};

/// One case, on one topic per wire.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// So many events are in the log.
    publish: u64,
    /// Those up to this seq are taken away while the hub is down.
    trim: Option<u64>,
    start: Start,
    /// Status and code, where nothing can be read at all.
    refused: Option<(u16, String)>,
    /// What the reader is told to have missed.
    gap: Option<String>,
    #[serde(default)]
    events: Seqs,
    /// What is published, or closed, once the reader has those.
    #[serde(default)]
    live: Vec<u64>,
    close: Option<Close>,
    #[serde(default)]
    delete: bool,
    end: Option<End>,
}

#[derive(Debug, Deserialize, Clone)]
#[serde(rename_all = "snake_case")]
enum Start {
    Head,
    Earliest,
    Last(u64),
    /// A cursor of this topic.
    After(u64),
    /// One of a topic beside it.
    Foreign(u64),
    /// One of the topic that had the same name before.
    Old(u64),
    /// Any text.
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Seqs {
    List(Vec<u64>),
    /// `"1..700"`, both included.
    Range(String),
}

impl Default for Seqs {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Seqs {
    fn list(&self) -> Vec<u64> {
        match self {
            Self::List(list) => list.clone(),
            Self::Range(range) => {
                let (from, to) = range.split_once("..").unwrap();
                (from.parse().unwrap()..=to.parse().unwrap()).collect()
            }
        }
    }
}

#[derive(Debug, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Close {
    Before,
    Meanwhile,
}

/// How a reader's stream ends.
#[derive(Debug, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum End {
    /// Behind the event `closed`.
    Closed,
    /// It had `closed` already.
    Over,
    /// The topic is gone.
    Deleted,
}

/// Appends events to a topic, in arrays.
fn append(addr: SocketAddr, topic: &Topic, count: u64) {
    let events: Vec<Value> = (0..count).map(|n| json!({ "type": "note", "data": { "n": n } })).collect();
    for array in events.chunks(500) {
        Ask::by("alice", "POST", &topic.path("/events")).json(Value::from(array)).send(addr).ok(201);
    }
}

fn make(addr: SocketAddr, topic: &Topic) {
    let ask = Ask::by("alice", "POST", &format!("/v1/{}", topic.plural));
    ask.json(json!({ "id": topic.id })).send(addr).ok(201);
}

/// The front part of a topic's cursors.
fn mark(addr: SocketAddr, topic: &Topic) -> String {
    let shown = Ask::by("alice", "GET", &topic.path("")).send(addr).ok(200);
    shown["cursor"].as_str().unwrap().split('.').next().unwrap().to_owned()
}

/// Makes the topic of a case, and says where its reader begins.
fn prepare(addr: SocketAddr, case: &Case, topic: &Topic) -> Option<Begin> {
    let other = Topic { id: format!("{}-other", topic.id), ..*topic };
    let mut old = None;
    if let Start::Old(_) = case.start {
        make(addr, topic);
        append(addr, topic, 5);
        old = Some(mark(addr, topic));
        Ask::by("alice", "DELETE", &topic.path("")).send(addr).ok(204);
    }
    make(addr, topic);
    append(addr, topic, case.publish);
    if case.close == Some(Close::Before) {
        let closed = Ask::by("alice", "POST", &topic.path("/close")).send(addr).ok(200);
        assert_eq!(closed["seq"], case.publish + 1);
    }
    let after = |mark: &str, seq: u64| Begin::After(format!("{mark}.{seq}"));
    Some(match &case.start {
        Start::Head => Begin::Head,
        Start::Earliest => Begin::After("earliest".to_owned()),
        Start::Last(count) => Begin::Last(*count),
        Start::After(seq) => after(&mark(addr, topic), *seq),
        Start::Old(seq) => after(&old?, *seq),
        Start::Text(text) => Begin::After(text.clone()),
        Start::Foreign(seq) => {
            make(addr, &other);
            append(addr, &other, 5);
            after(&mark(addr, &other), *seq)
        }
    })
}

/// Takes events away as a trimming hub would, while none runs.
fn trim(dir: &Path, cases: &[(Topic, u64)]) {
    let database = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let database: Vec<_> = database.filter(|path| path.extension().is_some_and(|kind| kind == "db")).collect();
    let [database] = database.as_slice() else { panic!("one database is in {}", dir.display()) };
    let database = rusqlite::Connection::open(database).unwrap();
    for (topic, up_to) in cases {
        let log = "SELECT id FROM topics WHERE topic = ?1";
        let sql = format!("DELETE FROM events WHERE log = ({log}) AND seq <= ?2");
        let gone = database.execute(&sql, rusqlite::params![topic.id, i64::try_from(*up_to).unwrap()]).unwrap();
        assert_eq!(gone as u64, *up_to);
    }
}

fn check(addr: SocketAddr, case: &Case, wire: Wire, topic: &Topic, begin: &Begin) {
    let what = format!("{} over {wire:?}", case.name);
    let mut reader = match Reader::open(addr, wire, topic, begin) {
        Ok(reader) => reader,
        Err(refused) => {
            assert_eq!(Some(refused), case.refused, "{what}");
            return;
        }
    };
    if case.end == Some(End::Over) && reader.is_over() {
        return;
    }
    assert_eq!(case.refused, None, "{what}: it was to be refused");
    if let Some(reason) = &case.gap {
        let Begin::After(requested) = begin else { panic!("{what}: only a cursor has a gap") };
        reader.gap(addr, reason, requested, &what);
    }
    assert_eq!(reader.take(case.events.list().len()), case.events.list(), "{what}");
    if case.close == Some(Close::Meanwhile) {
        Ask::by("alice", "POST", &topic.path("/close")).send(addr).ok(200);
    } else {
        append(addr, topic, case.live.len() as u64);
    }
    assert_eq!(reader.take(case.live.len()), case.live, "{what}, live");
    if case.delete {
        Ask::by("alice", "DELETE", &topic.path("")).send(addr).ok(204);
    }
    match case.end {
        Some(End::Deleted) => reader.deleted(&what),
        Some(_) => {
            reader.closed(&what);
            let late = Ask::by("alice", "POST", &topic.path("/events"));
            let late = late.json(json!({ "type": "note", "data": 1 })).send(addr);
            assert_eq!(late.refusal(), (409, "topic.closed".to_owned()), "{what}");
        }
        None => reader.nothing_more(addr, topic, &what),
    }
}

/// Runs the cases of a file, from memory (`warm`) or from the disk alone (`cold`).
#[track_caller]
fn run(file: &str, cold: bool) {
    run_on(Running::start(), file, cold);
}

/// The same with every reader over TLS.
#[track_caller]
fn run_over_tls(file: &str, cold: bool) {
    let pair = Pair::make();
    run_on(Running::with(|set| pair.set(set)), file, cold);
}

#[track_caller]
fn run_on(mut hub: Running, file: &str, cold: bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(file);
    let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(!cases.is_empty());
    let mut begins = HashMap::new();
    let mut trims = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        for wire in WIRES {
            let topic = Topic::of(wire, index);
            begins.insert(topic.id.clone(), prepare(hub.addr(), case, &topic).unwrap());
            trims.extend(case.trim.map(|up_to| (topic, up_to)));
        }
    }
    assert!(cold || trims.is_empty(), "what is trimmed is trimmed while the hub is down");
    if cold {
        hub = hub.restart(|dir| trim(dir, &trims));
    }
    for (index, case) in cases.iter().enumerate() {
        for wire in WIRES {
            let topic = Topic::of(wire, index);
            check(hub.addr(), case, wire, &topic, &begins[&topic.id]);
        }
    }
}

#[test]
fn starts_warm() {
    run("starts.json", false);
}

#[test]
fn starts_cold() {
    run("starts.json", true);
}

#[test]
fn cursors_warm() {
    run("cursors.json", false);
}

#[test]
fn cursors_cold() {
    run("cursors.json", true);
}

#[test]
fn trimmed_cold() {
    run("trimmed.json", true);
}

#[test]
fn endings_warm() {
    run("endings.json", false);
}

#[test]
fn endings_cold() {
    run("endings.json", true);
}

#[test]
fn starts_over_tls() {
    run_over_tls("starts.json", false);
}

#[test]
fn cursors_over_tls() {
    run_over_tls("cursors.json", false);
}

#[test]
fn trimmed_over_tls() {
    run_over_tls("trimmed.json", true);
}

#[test]
fn endings_over_tls() {
    run_over_tls("endings.json", false);
}
