//! 100,000 events over each transport, through a network that breaks: each exactly once, and in order.
//!
//! Readers and publishers are at work at once, on several threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::proxy::FaultProxy;
use super::{SOAK_TIMES, bad, small};
use crate::clients::crowd::Crowd;
use crate::clients::pages::{LONG_POLLS, PAGES, PAGES_FOLDED};
use crate::clients::publish::{
    ARRAYS, FRAMES, FRAMES_APPENDS, NDJSON, NDJSON_APPENDS, Pen, Quota, SINGLE, SINGLE_APPENDS,
};
use crate::clients::sse::{COMPOSITE, SSE, SSE_FOLDED, SSE_UNNAMED};
use crate::clients::ws::{WS, WS_FOLDED, WS_THREAD};
use crate::clients::{Parting, Way};
use crate::support::process::{Process, own_host};
use crate::support::random::Random;
use crate::support::soak;
use crate::support::tls::{self, Pair};

/// Events of a transport, in all threads together.
const EVENTS: u64 = 100_000;
const THREADS: [&str; 4] = ["a", "b", "c", "d"];
/// How long the network is bad.
const BAD_FOR: Duration = Duration::from_secs(25);

/// Writes so many events, and reads them in some ways.
fn flow(test: &str, pair: Option<&Pair>, pens: &[(Pen, u64)], ways: &[Way]) {
    let mut random = Random::seeded(test);
    let (dir, listen) = (TempDir::new().unwrap(), format!("{}:0", own_host()));
    let settings = small(&mut random);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let hub = match pair {
        Some(pair) => Process::with_tls(dir.path(), &listen, pair, &settings),
        None => Process::start(dir.path(), &listen, &settings),
    };
    // Less of what is written than of what is read comes through at once.
    let faults = [bad(21, 300, BAD_FOR), bad(18, 100, BAD_FOR)];
    let proxies = faults.map(|faults| FaultProxy::start(hub.addr, faults, faults, &mut random));
    let [to_readers, to_writers] = [0, 1].map(|n: usize| proxies[n].addr());
    if let Some(pair) = pair {
        proxies.iter().for_each(|proxy| tls::speaks(proxy.addr(), Arc::new(pair.client())));
    }
    let began = Instant::now();
    let mut crowd = Crowd::new(hub.addr, &THREADS);
    ways.iter().for_each(|way| crowd.read(*way, to_readers));
    for (pen, events) in pens {
        let times = if soak() { u64::from(SOAK_TIMES) } else { 1 };
        let quota = Quota::of(times * events / THREADS.len() as u64);
        THREADS.iter().for_each(|_| crowd.publish(*pen, to_writers, &quota));
    }
    for course in crowd.finish(hub.addr) {
        let [shut, sudden] = [Parting::Shut, Parting::Sudden].map(|parting| course.count(parting));
        println!("{}: {shut} connections broke before an answer, {sudden} behind it", course.name);
    }
    for proxy in &proxies {
        let (connections, broken) = proxy.toll();
        println!("{connections} connections, {broken} of them broken, {:?}", began.elapsed());
        tls::forget(proxy.addr());
    }
    assert!(!hub.said().contains("panicked"), "{}", hub.said());
}

#[test]
fn requests() {
    flow("requests", None, &[(SINGLE, EVENTS / 20), (ARRAYS, EVENTS)], &[SSE, PAGES, LONG_POLLS]);
}

#[test]
fn lines() {
    flow("lines", None, &[(NDJSON, EVENTS)], &[SSE_UNNAMED, WS_THREAD]);
}

#[test]
fn frames() {
    flow("frames", None, &[(FRAMES, EVENTS)], &[WS, COMPOSITE]);
}

#[test]
fn appends() {
    let pens = [(SINGLE_APPENDS, EVENTS / 20), (NDJSON_APPENDS, EVENTS / 2), (FRAMES_APPENDS, EVENTS / 2)];
    flow("appends", None, &pens, &[SSE_FOLDED, WS_FOLDED, PAGES_FOLDED]);
}

#[test]
fn tls() {
    let pens = [(SINGLE, EVENTS / 100), (ARRAYS, EVENTS / 10), (NDJSON, EVENTS / 20), (FRAMES, EVENTS / 20)];
    flow("tls", Some(&Pair::make()), &pens, &[COMPOSITE, WS, LONG_POLLS]);
}
