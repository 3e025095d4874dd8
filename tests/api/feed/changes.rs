//! A hub that is killed again and again while many write: the feed has what the threads have, once and in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{feed, position};
use crate::support::eventually;
use crate::support::http::{Ask, Connection};
use crate::support::process::{Process, own_host};
use tambour::cli::sse_parser::SseParser;

const THREADS: [&str; 4] = ["a", "b", "c", "d"];
/// How often the hub is killed.
const KILLS: usize = 4;
/// So many acknowledged writes are between two kills.
const BETWEEN: u64 = 200;

/// Writes to a thread until it is told to stop, whatever becomes of the hub.
fn write(addr: SocketAddr, thread: &str, stop: &AtomicBool, acknowledged: &AtomicU64) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let Ok(mut connection) = Connection::try_open(addr) else { continue };
        let body = json!({ "type": "note", "data": [thread, n] });
        let ask = Ask::by("alice", "POST", &format!("/v1/threads/{thread}/events")).json(body);
        connection.try_send(&ask.bytes());
        if let Some(answer) = connection.try_answer().ok().filter(|answer| answer.status == 201) {
            ids.insert(answer.json()["id"].as_str().unwrap().to_owned());
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
    ids
}

/// Reads the feed over SSE, and comes back with the last id whenever it broke, until `end` has come.
fn read(addr: SocketAddr, end: &str) -> Vec<Value> {
    let (mut events, mut last): (Vec<Value>, String) = (Vec::new(), "earliest".to_owned());
    loop {
        let Ok(mut connection) = Connection::try_open(addr) else { continue };
        let ask = feed("ada", "admin").with("accept", "text/event-stream");
        let ask = if last == "earliest" { ask.query("after=earliest") } else { ask.with("last-event-id", &last) };
        connection.try_send(&ask.bytes());
        if connection.try_head().map_or(true, |head| head.status != 200) {
            continue;
        }
        let mut parser = SseParser::new(&last);
        while let Some(bytes) = connection.try_some().ok().filter(|bytes| !bytes.is_empty()) {
            for block in parser.feed(&bytes).unwrap() {
                assert_ne!(block.name, "gap", "nothing was taken: {}", block.data);
                let event: Value = serde_json::from_str(&block.data).unwrap();
                if event.get("feed_id").is_some() {
                    let is_end = event["data"] == end;
                    events.push(event);
                    if is_end {
                        return events;
                    }
                }
            }
            parser.last_event_id().clone_into(&mut last);
        }
    }
}

/// A thread, as its pages have it.
fn thread(addr: SocketAddr, id: &str) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), "earliest".to_owned());
    loop {
        let path = format!("/v1/threads/{id}/events?limit=500&after={after}");
        let page = Ask::by("ada", "GET", &path).send(addr).ok(200);
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        page["cursor"].as_str().unwrap().clone_into(&mut after);
        if page["has_more"] == false {
            return events;
        }
    }
}

#[test]
fn nothing_is_missing_and_nothing_comes_twice() {
    let dir = TempDir::new().unwrap();
    let mut hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    let addr = hub.addr;
    for id in THREADS {
        crate::support::http::create(addr, "alice", id);
    }
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let (written, readers) = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| read(addr, "the end"))).collect();
        let writers: Vec<_> = THREADS.iter().map(|id| scope.spawn(|| write(addr, id, &stop, &acknowledged))).collect();
        for _ in 0..KILLS {
            let enough = acknowledged.load(Ordering::Relaxed) + BETWEEN;
            eventually("writes are acknowledged", || (acknowledged.load(Ordering::Relaxed) >= enough).then_some(()));
            hub.kill();
            hub = Process::start(dir.path(), &addr.to_string(), &[]);
        }
        stop.store(true, Ordering::Relaxed);
        let written: BTreeSet<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        crate::support::http::publish(addr, "alice", "a", &json!("the end"));
        (written, readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>())
    });
    let paged = super::by_pages(addr, &feed("ada", "admin"), 500);
    for events in readers.iter().chain([&paged]) {
        assert!(events.windows(2).all(|pair| position(&pair[0]) < position(&pair[1])), "ascending, nothing twice");
        let mut by_thread: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for event in events {
            if let Some(id) = event["routing"]["thread_id"].as_str() {
                let mut event = event.clone();
                event.as_object_mut().unwrap().remove("feed_id");
                by_thread.entry(id.to_owned()).or_default().push(event);
            }
        }
        for id in THREADS {
            assert_eq!(by_thread[id], thread(addr, id), "{id}: the feed has what the thread has");
        }
        let ids: BTreeSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert!(written.iter().all(|id| ids.contains(id.as_str())), "what was acknowledged is there");
    }
    println!("{} acknowledged, {} events", written.len(), paged.len());
    assert_eq!(readers[0], paged);
    assert_eq!(readers[1], paged);
}
