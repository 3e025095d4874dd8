//! Clients that are slow on purpose, in what they send and in what they take: they get what is theirs, nobody waits
//! for them, and the hub keeps little for them.
//!
//! Readers that take nothing at all are tested in `crate::slow`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::proxy::{CALM, Fault, FaultProxy, Faults};
use crate::clients::ledger::Ledger;
use crate::clients::publish::{ARRAYS, FRAMES, NDJSON, Pen, Quota, SINGLE, Writing, publish};
use crate::clients::sse::SSE;
use crate::clients::ws::WS_THREAD;
use crate::clients::{Has, Head, Reading, Way, read};
use crate::support::eventually;
use crate::support::http::{Ask, Connection, create};
use crate::support::process::{Process, own_host};
use crate::support::random::Random;
use crate::support::sse::Stream;

/// Slow clients of each kind.
const SLOW: usize = 16;
/// Events of the thread that the slow ones read.
const EVENTS: u64 = 8_000;
/// Events that come and go on another thread meanwhile.
const ROUNDS: u64 = 200;
/// How long the slow ones are slow.
const SLOW_FOR: Duration = Duration::from_secs(20);
/// How much more memory the hub may have with them, far below what they ask for.
const RESIDENT_KIB_MAX: u64 = 32 * 1024;
/// What a body is said to have that never comes.
const ANNOUNCED_BYTES: usize = 8 * 1024 * 1024;

/// Sends a head, and then as good as nothing of the body.
fn announce(addr: SocketAddr) -> Connection {
    let mut connection = Connection::open(addr);
    let mut ask = Ask::by("hoarder", "POST", "/v1/threads/busy/events").with("content-type", "application/json");
    ask = ask.with("content-length", &ANNOUNCED_BYTES.to_string());
    connection.send(&ask.bytes());
    connection.send(b"[{\"type\":\"note\",\"data\":\"");
    connection
}

/// Publishes and reads on a thread of its own: each event comes back.
fn go_round(addr: SocketAddr) {
    let mut stream = Stream::open(addr, &Ask::stream("bob", "/v1/threads/quiet/events"));
    for seq in 1..=ROUNDS {
        assert_eq!(crate::support::http::publish(addr, "alice", "quiet", &json!(seq)).1, seq);
        assert_eq!(stream.event()["seq"], seq);
    }
}

fn fill(addr: SocketAddr, publisher: usize) -> Writing {
    let writing = Writing::new("busy", publisher, &Quota::of(EVENTS), &Arc::default());
    publish(ARRAYS, addr, "alice", writing).writing
}

#[test]
fn slow_clients_disturb_nobody() {
    let mut random = Random::seeded("slow_clients");
    let dir = TempDir::new().unwrap();
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    let addr = hub.addr;
    ["busy", "quiet"].iter().for_each(|thread| drop(create(addr, "alice", thread)));
    // Tails and caches have their sizes before it is measured.
    let mut written = vec![fill(addr, 0)];
    let (before, began) = (hub.resident_kib(), Instant::now());
    let drip = |pause_ms_max| Faults { kinds: &[Fault::Drip], gap_bits: 10, pause_ms_max, heal_after: SLOW_FOR };
    let taking = FaultProxy::start(addr, CALM, drip(100), &mut random);
    let sending = FaultProxy::start(addr, drip(40), CALM, &mut random);
    let head = Head::unknown();
    let readers: Vec<_> = (0..SLOW)
        .map(|n| {
            let (way, addr): (Way, _) = ([SSE, WS_THREAD][n % 2], taking.addr());
            let readings = vec![Reading::new("busy", &head, false)];
            std::thread::spawn(move || read(way, addr, &format!("slow-{n}"), readings))
        })
        .collect();
    let (counter, quota) = (Arc::new(AtomicU64::new(0)), Quota::of(3));
    let writers: Vec<_> = (2..SLOW + 2)
        .map(|n| {
            let (pen, addr): (Pen, _) = ([SINGLE, ARRAYS, NDJSON, FRAMES][n % 4], sending.addr());
            let writing = Writing::new("busy", n, &quota, &counter);
            std::thread::spawn(move || publish(pen, addr, &format!("slow-{n}"), writing).writing)
        })
        .collect();
    let hoarders: Vec<_> = (0..SLOW).map(|_| announce(addr)).collect();
    eventually("the slow ones are there", || (hub.sessions() >= SLOW as u64).then_some(()));
    // Everybody else, meanwhile.
    let quick = std::thread::spawn(move || fill(addr, 1));
    go_round(addr);
    written.push(quick.join().unwrap());
    assert!(began.elapsed() < SLOW_FOR, "it took {:?}, and nobody was slow any more", began.elapsed());
    let grown = hub.resident_kib().saturating_sub(before);
    println!("others took {:?}; {} slow events, {grown} KiB", began.elapsed(), counter.load(Ordering::SeqCst));
    assert!(grown < RESIDENT_KIB_MAX, "slow clients cost {grown} KiB");
    drop(hoarders);
    written.extend(writers.into_iter().map(|writer| writer.join().unwrap()));
    let ledger = Ledger::read(addr, "busy");
    written.iter().for_each(|writing| writing.check(&ledger));
    head.is(ledger.digests.len() as u64);
    for reader in readers {
        assert!(matches!(&reader.join().unwrap().readings[0].has, Has::All(digests) if *digests == ledger.digests));
    }
    sending.toll();
    taking.toll();
    assert!(!hub.said().contains("panicked"), "{}", hub.said());
}
