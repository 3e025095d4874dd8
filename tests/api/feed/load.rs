//! Thousands of threads that are published to at once: one order, the same for every reader.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{by_pages, feed, next, next_frame, position, stream};
use crate::support::authority::by;
use crate::support::http::{Ask, Connection};
use crate::support::hub::Running;
use crate::support::ws::Ws;

/// Threads.
const THREADS: usize = 10_000;
/// Who writes, at once.
const WRITERS: usize = 16;

/// Makes threads, or writes to them, until all were done.
fn walk(addr: SocketAddr, next: &AtomicUsize, ask: impl Fn(usize) -> Ask) {
    let mut connection = Connection::open(addr);
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= THREADS {
            return;
        }
        connection.send(&ask(n).bytes());
        connection.answer().ok(201);
    }
}

fn by_all(addr: SocketAddr, ask: impl Fn(usize) -> Ask + Sync) {
    let at = AtomicUsize::new(0);
    std::thread::scope(|scope| (0..WRITERS).for_each(|_| drop(scope.spawn(|| walk(addr, &at, &ask)))));
}

#[test]
fn all_readers_have_one_order() {
    let hub = Running::start();
    let addr = hub.addr();
    by_all(addr, |n| Ask::by("alice", "POST", "/v1/threads").json(json!({ "id": format!("t{n}") })));
    let (ada, mia) = (feed("ada", "admin").query("types=note"), feed("mia", "member").query("types=note"));
    let mut streams = [stream(addr, &ada), stream(addr, &mia)];
    let mut ws = Ws::open(addr, &by("ada", "admin", "GET", "/v1/ws"));
    ws.expect("welcome");
    ws.subscribe("feed", &json!({ "types": ["note"] }));
    let read: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let mut readers: Vec<_> = streams
            .iter_mut()
            .map(|stream| scope.spawn(|| (0..THREADS).map(|_| next(stream)).collect::<Vec<_>>()))
            .collect();
        readers.push(scope.spawn(|| (0..THREADS).map(|_| next_frame(&mut ws)).collect()));
        by_all(addr, |n| {
            Ask::by("alice", "POST", &format!("/v1/threads/t{n}/events")).json(json!({ "type": "note", "data": n }))
        });
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let paged = by_pages(addr, &ada, 500);
    assert_eq!(paged.len(), THREADS);
    assert!(read.iter().all(|events| *events == paged), "one order for all");
    assert!(paged.windows(2).all(|pair| position(&pair[0]) < position(&pair[1])));
    let mut told: Vec<u64> = paged.iter().map(|event| event["data"].as_u64().unwrap()).collect();
    told.sort_unstable();
    assert!(told.into_iter().eq(0..THREADS as u64), "each thread's event, once");
}
