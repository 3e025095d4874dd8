//! 100,000 events over each transport, through a network that breaks: each exactly once, and in order.
//!
//! Readers and publishers are at work at once, on several threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::proxy::{BAD, FaultProxy, Faults};
use crate::clients::crowd::Crowd;
use crate::clients::pages::{LONG_POLLS, PAGES};
use crate::clients::publish::{PLAIN, Quota};
use crate::clients::sse::SSE;
use crate::clients::ws::{WS, WS_THREAD};
use crate::clients::{Parting, Way};
use crate::support::process::{Process, own_host};
use crate::support::random::Random;
use crate::support::tls::{self, Pair};

/// Events of a transport, in all threads together.
const EVENTS: u64 = 100_000;
const THREADS: [&str; 4] = ["a", "b", "c", "d"];
/// What is done in both directions.
const FAULTS: Faults = Faults { kinds: BAD, gap_bits: 21, pause_ms_max: 300, heal_after: Duration::from_secs(25) };

/// Writes so many events, and reads them in some ways.
fn flow(test: &str, pair: Option<&Pair>, events: u64, ways: &[Way]) {
    let mut random = Random::seeded(test);
    let (dir, listen) = (TempDir::new().unwrap(), format!("{}:0", own_host()));
    let hub = match pair {
        Some(pair) => Process::with_tls(dir.path(), &listen, pair, &[]),
        None => Process::start(dir.path(), &listen, &[]),
    };
    let proxy = FaultProxy::start(hub.addr, FAULTS, FAULTS, &mut random);
    if let Some(pair) = pair {
        tls::speaks(proxy.addr(), Arc::new(pair.client()));
    }
    let began = Instant::now();
    let mut crowd = Crowd::new(hub.addr, &THREADS);
    ways.iter().for_each(|way| crowd.read(*way, proxy.addr()));
    let quota = Quota::of(events / THREADS.len() as u64);
    THREADS.iter().for_each(|_| crowd.publish(PLAIN, hub.addr, &quota));
    for course in crowd.finish(hub.addr) {
        let [shut, sudden] = [Parting::Shut, Parting::Sudden].map(|parting| course.count(parting));
        println!("{}: {shut} connections broke before an answer, {sudden} behind it", course.name);
    }
    let (connections, broken) = proxy.toll();
    println!("{connections} connections, {broken} of them broken, {:?}", began.elapsed());
    assert!(!hub.said().contains("panicked"), "{}", hub.said());
    tls::forget(proxy.addr());
}

#[test]
fn readers_miss_nothing_and_get_nothing_twice() {
    flow("flow", None, EVENTS, &[SSE, WS, WS_THREAD, PAGES, LONG_POLLS]);
}

#[test]
fn over_tls() {
    flow("flow over TLS", Some(&Pair::make()), EVENTS / 5, &[SSE, WS, LONG_POLLS]);
}
