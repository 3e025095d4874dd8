//! 100,000 events over each transport, through a network that breaks: each exactly once, and in order.
//!
//! Readers and publishers are at work at once, on several threads.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::proxy::{BAD, FaultProxy, Faults};
use crate::clients::crowd::Crowd;
use crate::clients::pages::PAGES;
use crate::clients::publish::{PLAIN, Quota};
use crate::clients::sse::SSE;
use crate::clients::ws::{WS, WS_THREAD};
use crate::clients::{Parting, Way};
use crate::support::process::{Process, own_host};
use crate::support::random::Random;

/// Events of a test, in all its threads together.
const EVENTS: u64 = 100_000;
const THREADS: [&str; 4] = ["a", "b", "c", "d"];
const WAYS: [Way; 4] = [SSE, WS, WS_THREAD, PAGES];
/// What is done in both directions.
const FAULTS: Faults = Faults { kinds: BAD, gap_bits: 21, pause_ms_max: 300, heal_after: Duration::from_secs(25) };

#[test]
fn readers_miss_nothing_and_get_nothing_twice() {
    let mut random = Random::seeded("flow");
    let dir = TempDir::new().unwrap();
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    let proxy = FaultProxy::start(hub.addr, FAULTS, FAULTS, &mut random);
    let began = Instant::now();
    let mut crowd = Crowd::new(hub.addr, &THREADS);
    WAYS.iter().for_each(|way| crowd.read(*way, proxy.addr()));
    let quota = Quota::of(EVENTS / THREADS.len() as u64);
    THREADS.iter().for_each(|_| crowd.publish(PLAIN, hub.addr, &quota));
    for course in crowd.finish(hub.addr) {
        let [shut, sudden] = [Parting::Shut, Parting::Sudden].map(|parting| course.count(parting));
        println!("{}: {shut} connections broke before an answer, {sudden} behind it", course.name);
    }
    let (connections, broken) = proxy.toll();
    println!("{connections} connections, {broken} of them broken, {:?}", began.elapsed());
    assert!(!hub.said().contains("panicked"), "{}", hub.said());
}
