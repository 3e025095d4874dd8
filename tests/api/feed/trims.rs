//! Pages of the feed behind trims: whoever reads by pages gets what a stream gets, and is told a gap where one is told.
//!
//! Retention takes the oldest of each topic, so what is kept lies on both sides of the newest place that it took.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{by_pages, feed, next, next_frame, position, stream};
use crate::support::authority::by;
use crate::support::eventually;
use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::ws::Ws;

/// Events of a thread that retention leaves.
const KEPT: u64 = 4;

fn trimming() -> Running {
    Running::with(|settings| {
        settings.retention.every_seconds = 1;
        settings.retention.thread_count_max = KEPT;
        // Live events are in memory a while longer than they are kept: here all but the newest are read from the store.
        settings.topic.tail_events = 1;
    })
}

fn notes(hub: &Running, thread: &str, count: usize) {
    let notes: Vec<Value> = (0..count).map(|n| json!({ "type": "note", "data": n })).collect();
    Ask::by("alice", "POST", &format!("/v1/threads/{thread}/events")).json(json!(notes)).send(hub.addr()).ok(201);
}

/// The number in a cursor.
fn place(cursor: &Value) -> u64 {
    cursor.as_str().unwrap().rsplit('.').next().unwrap().parse().unwrap()
}

/// Waits until retention has left of each thread what it leaves.
fn trimmed(hub: &Running, threads: &[&str]) {
    for id in threads {
        eventually("retention takes what is too much", || {
            let thread = Ask::by("alice", "GET", &format!("/v1/threads/{id}")).send(hub.addr()).ok(200);
            (place(&thread["newest"]) + 1 - place(&thread["oldest"]) <= KEPT).then_some(())
        });
    }
}

/// The next so many events of a stream from a start.
fn streamed(hub: &Running, ask: &Ask, after: &str, count: usize) -> Vec<Value> {
    let mut stream = stream(hub.addr(), &ask.clone().query(&format!("after={after}")));
    (0..count).map(|_| next(&mut stream)).collect()
}

#[test]
fn all_that_is_kept_is_read_by_pages_of_any_size() {
    let hub = trimming();
    let threads = ["x", "y", "z"];
    threads.iter().for_each(|id| drop(create(hub.addr(), "alice", id)));
    // Of `x` most is old, of `z` all is new: what is kept is before, between and behind what is taken.
    for (id, count) in [("x", 3), ("y", 9), ("x", 1), ("z", 9), ("y", 2)] {
        notes(&hub, id, count);
    }
    trimmed(&hub, &threads);
    for (sub, role) in [("ada", "admin"), ("bob", "member")] {
        let ask = feed(sub, role);
        let all = streamed(&hub, &ask, "earliest", 15);
        for limit in 1..=all.len() + 1 {
            assert_eq!(by_pages(hub.addr(), &ask, limit), all, "pages of {limit} of {sub}");
        }
    }
}

/// Somebody who reads by pages; over gaps they go on as they are told to.
struct Reader {
    after: String,
    /// The place from which on nothing was taken, as they were told last.
    known: u64,
    events: Vec<Value>,
    /// The place that was asked for, and that from which on nothing was taken.
    gaps: Vec<(u64, u64)>,
}

impl Reader {
    fn at(start: &str, known: u64) -> Self {
        Self { after: start.to_owned(), known, events: Vec::new(), gaps: Vec::new() }
    }

    /// Reads a page. No gap tells what was known.
    fn page(&mut self, addr: SocketAddr, ask: &Ask, limit: usize) -> Value {
        let answer = ask.clone().query(&format!("after={}&limit={limit}", self.after)).send(addr);
        let told = answer.json();
        let oldest = place(&told["oldest"]);
        if answer.status == 410 {
            assert_eq!(answer.gone(), "trimmed");
            let asked = place(&json!(self.after));
            assert!(asked < oldest && self.known < oldest, "{asked} knows of {}: {told}", self.known);
            assert_eq!(place(&told["cursor"]), asked, "nothing that is kept is passed");
            self.gaps.push((asked, oldest));
        } else {
            answer.ok(200);
            self.events.extend(told["events"].as_array().unwrap().iter().cloned());
        }
        self.known = oldest;
        told["cursor"].as_str().unwrap().clone_into(&mut self.after);
        told
    }

    fn has_the_end(&self) -> bool {
        self.events.last().is_some_and(|last| last["data"] == "the end")
    }
}

#[test]
fn who_stands_before_what_was_taken_is_told_so_and_goes_on_there() {
    let hub = trimming();
    let addr = hub.addr();
    let threads = ["x", "y"];
    threads.iter().for_each(|id| drop(create(addr, "alice", id)));
    let ask = feed("ada", "admin");
    // As long as somebody reads live, the feed knows of no trim but by a replay.
    let _live = stream(addr, &ask);
    for (id, count) in [("x", 4), ("y", 9)] {
        notes(&hub, id, count);
    }
    trimmed(&hub, &threads);
    let all = by_pages(addr, &ask, 500);
    let floor = place(&ask.clone().query("limit=1").send(addr).ok(200)["oldest"]);
    let before = all.iter().take_while(|event| position(event) < floor).count();
    assert_eq!((before, all.len()), (6, 10), "two that were created, and what is kept of x");
    for (index, event) in all.iter().enumerate().take(before) {
        let from = event["feed_id"].as_str().unwrap();
        for limit in [1, 2, 500] {
            let mut reader = Reader::at(from, 0);
            while reader.page(addr, &ask, limit)["has_more"] != false {}
            assert_eq!((&reader.events[..], &reader.gaps[..]), (&all[index + 1..], &[(position(event), floor)][..]));
        }
        // With the cursor of a page a stream goes on there, too, and a gap is told of what is taken from then on alone.
        let page = ask.clone().query(&format!("after=earliest&limit={}", index + 1)).send(addr).ok(200);
        let cursor = page["cursor"].as_str().unwrap();
        assert_eq!((place(&page["cursor"]), &page["events"].as_array().unwrap()[index]), (position(event), event));
        assert_eq!(streamed(&hub, &ask, cursor, all.len() - index - 1), all[index + 1..]);
        let mut ws = Ws::open(addr, &by("ada", "admin", "GET", "/v1/ws"));
        ws.expect("welcome");
        assert_eq!(ws.subscribe("feed", &json!({ "after": cursor }))["resumed"], true);
        assert_eq!((index + 1..all.len()).map(|_| next_frame(&mut ws)).collect::<Vec<_>>(), all[index + 1..]);
    }
    let page = ask.clone().query("after=earliest&limit=2").send(addr).ok(200);
    let cursor = page["cursor"].as_str().unwrap();
    notes(&hub, "y", 2);
    trimmed(&hub, &threads);
    let refused = ask.clone().query(&format!("after={cursor}")).send(addr);
    assert_eq!(refused.gone(), "trimmed", "since then more was taken");
    let mut sse = stream(addr, &ask.clone().with("last-event-id", cursor));
    let (name, gap) = sse.named();
    assert_eq!((name.as_str(), &gap["oldest"]), ("gap", &refused.json()["oldest"]));
    let now = by_pages(addr, &ask, 1);
    assert_eq!((0..8).map(|_| next(&mut sse)).collect::<Vec<_>>(), now[2..]);
}

#[test]
fn a_place_that_nobody_was_given_is_unknown() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    notes(&hub, "x", 3);
    let ask = feed("ada", "admin");
    let page = ask.clone().query("limit=1").send(addr).ok(200);
    let (mark, head) = page["newest"].as_str().unwrap().split_once('.').unwrap();
    let ahead = format!("{mark}.{}.1", head.parse::<u64>().unwrap() + 1);
    assert_eq!(ask.clone().query(&format!("after={ahead}")).send(addr).gone(), "unknown");
    // A topic gives out none with a floor, and no event has one for its id.
    let thread = Ask::by("alice", "GET", "/v1/threads/x/events");
    let mark = thread.clone().query("limit=1").send(addr).ok(200);
    let mark = mark["newest"].as_str().unwrap().split_once('.').unwrap().0;
    let refused = thread.clone().query(&format!("after={mark}.2.1")).send(addr);
    assert_eq!(refused.gone(), "unknown");
    let kept = thread.query(&format!("after={}", refused.json()["cursor"].as_str().unwrap())).send(addr).ok(200);
    assert_eq!(
        kept["events"].as_array().unwrap().len(),
        3,
        "behind the cursor of a refusal is everything that is kept"
    );
    let redacted = Ask::by("alice", "DELETE", &format!("/v1/threads/x/events/{mark}.2.1")).send(addr);
    assert_eq!(redacted.refusal(), (400, "cursor.malformed".to_owned()));
    for malformed in [format!("{mark}.1.2"), format!("{mark}.1.1"), format!("{mark}.3.2.1"), format!("{mark}.2.")] {
        let refused = ask.clone().query(&format!("after={malformed}")).send(addr);
        assert_eq!(refused.refusal(), (400, "cursor.malformed".to_owned()), "{malformed}");
    }
}

/// How often retention comes further while pages are read.
const ROUNDS: usize = 4;

/// Writes to three threads until retention has come further so often, and then `the end`. Each time `further` is called.
fn write_on(hub: &Running, ask: &Ask, mut further: impl FnMut()) {
    let floor = || place(&ask.clone().query("last=0").send(hub.addr()).ok(200)["oldest"]);
    let (mut rounds, mut before, mut n) = (0, floor(), 0);
    while rounds < ROUNDS {
        n += 1;
        // `z` is written seldom, so what is kept of it lies far behind what is taken of the others.
        notes(hub, if n % 16 == 0 { "z" } else { ["x", "y"][n % 2] }, n % 5 + 1);
        let now = floor();
        if now > before {
            rounds += 1;
            further();
        }
        before = now;
    }
    publish(hub.addr(), "alice", "x", &json!("the end"));
}

/// The places of everything that a stream is told live.
fn committed(mut live: Stream) -> Vec<u64> {
    let (mut places, mut is_over) = (Vec::new(), false);
    while !is_over {
        let (name, told) = live.named();
        // How fast the machine reads is not for a test to say.
        if name != "gap" {
            places.push(position(&told));
            is_over = told["data"] == "the end";
        }
    }
    places
}

#[test]
fn pages_of_any_size_skip_nothing_in_silence_while_retention_goes_on() {
    let hub = trimming();
    let addr = hub.addr();
    let threads = ["x", "y", "z"];
    threads.iter().for_each(|id| drop(create(addr, "alice", id)));
    let ask = feed("ada", "admin");
    let begun = ask.clone().query("last=0").send(addr).ok(200);
    let (start, known) = (begun["cursor"].as_str().unwrap(), place(&begun["oldest"]));
    let live = stream(addr, &ask.clone().with("last-event-id", start));
    let polling = ask.clone().query("wait=20");
    let read = |mut reader: Reader, limit: usize| {
        while !reader.has_the_end() {
            reader.page(addr, &polling, limit);
        }
        (limit, reader)
    };
    let (committed, readers) = std::thread::scope(|scope| {
        let read = &read;
        let live = scope.spawn(|| committed(live));
        let early = [1, 3, 40].map(|limit| scope.spawn(move || read(Reader::at(start, known), limit)));
        // This one reads when retention has come further, and so is behind it each time.
        let mut slow = Reader::at(start, known);
        write_on(&hub, &ask, || {
            for _ in 0..3 {
                slow.page(addr, &ask, 2);
            }
        });
        // How often is retention's and the machine's to say: it may take two rounds in one.
        assert!(!slow.gaps.is_empty());
        // These begin at the same place, when everything is written.
        let late = [1, 2, 7, 500].map(|limit| scope.spawn(move || read(Reader::at(start, known), limit)));
        let readers = early.into_iter().chain(late).map(|reader| reader.join().unwrap());
        let readers: Vec<_> = readers.chain([read(slow, 2)]).collect();
        (live.join().unwrap(), readers)
    });
    trimmed(&hub, &threads);
    let kept: Vec<u64> =
        by_pages(addr, &ask, 500).iter().map(position).filter(|at| *at > place(&json!(start))).collect();
    for (limit, Reader { events, gaps, .. }) in readers {
        let places: Vec<u64> = events.iter().map(position).collect();
        println!("by {limit}: {} of {} events, gaps {gaps:?}", places.len(), committed.len());
        assert!(places.windows(2).all(|two| two[0] < two[1]), "once and in order, by {limit}");
        let lacks = |at: &&u64| places.binary_search(at).is_err();
        assert_eq!(kept.iter().filter(lacks).collect::<Vec<_>>(), [&0; 0], "kept, and not read by {limit}");
        let silent = |at: &&u64| !gaps.iter().any(|(from, to)| (from + 1..=*to).contains(at));
        let skipped: Vec<_> = committed.iter().filter(lacks).filter(silent).collect();
        assert_eq!(skipped, [&0; 0], "skipped by {limit}, who was told {gaps:?}");
    }
}
