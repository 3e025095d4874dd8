//! A hub that goes and comes back under load, told to or killed: nothing is lost, doubled or out of order.
//!
//! Moments are the seed's. Whoever is told to stop says goodbye to everybody.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::proxy::{FaultProxy, Faults};
use super::{bad, small};
use crate::clients::crowd::Crowd;
use crate::clients::pages::{LONG_POLLS, PAGES, PAGES_FOLDED};
use crate::clients::publish::{ARRAYS, FRAMES, FRAMES_APPENDS, NDJSON, NDJSON_APPENDS, Pen, Quota, SINGLE};
use crate::clients::sse::{COMPOSITE_FOLDED, SSE, SSE_FOLDED};
use crate::clients::ws::{WS, WS_FOLDED, WS_THREAD};
use crate::clients::{Parting, Way};
use crate::support::process::{Process, own_host};
use crate::support::random::Random;
use crate::support::{eventually, soak};

const THREADS: [&str; 2] = ["a", "b"];
const PENS: [Pen; 6] = [SINGLE, ARRAYS, NDJSON, FRAMES, NDJSON_APPENDS, FRAMES_APPENDS];
const STREAMS: [Way; 6] = [SSE, WS, WS_THREAD, SSE_FOLDED, WS_FOLDED, COMPOSITE_FOLDED];
const POLLS: [Way; 3] = [PAGES, PAGES_FOLDED, LONG_POLLS];
/// How often a hub goes.
const GOINGS: u64 = 5;
/// How long it goes on where the long version is asked for.
const SOAK: Duration = Duration::from_secs(200);
/// Longest drain.
const DRAIN_MAX: Duration = Duration::from_secs(15);
/// How long the network is bad, where it is.
const BAD_FOR: Duration = Duration::from_secs(20);

/// How a hub goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    /// It is told to stop.
    Stopped,
    /// kill -9.
    Killed,
    /// One or the other.
    Either,
}

fn start(dir: &TempDir, listen: &str, random: &mut Random) -> Process {
    let settings = small(random);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Process::start(dir.path(), listen, &settings)
}

/// Lets a hub go and come back at random moments while it is written to.
fn come_and_go(mut hub: Process, dir: &TempDir, random: &mut Random, crowd: &Crowd, going: Going) -> Process {
    let until = Instant::now() + SOAK;
    let mut gone = 0;
    while if soak() { Instant::now() < until } else { gone < GOINGS } {
        let enough = crowd.acknowledged() + 1 + random.below(1_000);
        eventually("writes are acknowledged", || (crowd.acknowledged() >= enough).then_some(()));
        // Anywhere within what comes next, by the clock: a moment that no event of ours marks.
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        if going == Going::Stopped || going == Going::Either && random.below(2) == 0 {
            let began = Instant::now();
            hub.child.signal("TERM");
            assert_eq!(hub.child.ended().code(), Some(0), "{}", hub.said());
            assert!(began.elapsed() < DRAIN_MAX, "{:?}", began.elapsed());
        } else {
            hub.kill();
        }
        assert!(!hub.said().contains("panicked"), "{}", hub.said());
        gone += 1;
        hub = start(dir, &hub.addr.to_string(), random);
    }
    hub
}

/// Writes and reads in every way while a hub comes and goes. Also behind a bad network.
fn survives(test: &str, going: Going, faults: Option<Faults>) {
    let mut random = Random::seeded(test);
    let dir = TempDir::new().unwrap();
    let hub = start(&dir, &format!("{}:0", own_host()), &mut random);
    let mut crowd = Crowd::new(hub.addr, &THREADS);
    let proxy = faults.map(|faults| FaultProxy::start(hub.addr, faults, faults, &mut random));
    let addr = proxy.as_ref().map_or(hub.addr, FaultProxy::addr);
    let quota = Quota::endless();
    for pen in PENS {
        THREADS.iter().for_each(|_| crowd.publish(pen, addr, &quota));
    }
    STREAMS.iter().chain(&POLLS).for_each(|way| crowd.read(*way, addr));
    let hub = come_and_go(hub, &dir, &mut random, &crowd, going);
    quota.stop();
    println!("{test}: {} acknowledged", crowd.acknowledged());
    for course in crowd.finish(hub.addr) {
        let [shut, sudden, told] = [Parting::Shut, Parting::Sudden, Parting::Told].map(|how| course.count(how));
        println!("{}: {shut} not answered, {sudden} broken, {told} told", course.name);
        if going == Going::Stopped && STREAMS.iter().any(|way| way.name == course.name) {
            assert!(sudden == 0 && told > 0, "{}: every stream is told before it ends", course.name);
        }
    }
}

#[test]
fn a_hub_that_is_stopped_and_started_under_load() {
    survives("stopped", Going::Stopped, None);
}

#[test]
fn a_hub_that_is_killed_under_load() {
    survives("killed", Going::Killed, None);
}

#[test]
fn a_hub_that_goes_behind_a_bad_network() {
    survives("behind a bad network", Going::Either, Some(bad(18, 100, BAD_FOR)));
}
