//! Retention in a hub that runs: what is kept no longer goes while others write and read, and nobody misses in silence.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::ws::{Came, Ws};

const PATH: &str = "/v1/threads/x/events";

fn post(hub: &Running, path: &str, numbers: std::ops::RangeInclusive<u64>) {
    let events: Vec<Value> = numbers.map(|n| json!({ "type": "note", "data": n })).collect();
    Ask::by("bob", "POST", path).json(json!(events)).send(hub.addr()).ok(201);
}

fn topic(hub: &Running, path: &str) -> Value {
    Ask::by("bob", "GET", path).send(hub.addr()).ok(200)
}

fn seq_of(cursor: &Value) -> u64 {
    cursor.as_str().unwrap().rsplit('.').next().unwrap().parse().unwrap()
}

fn oldest(hub: &Running, path: &str) -> u64 {
    seq_of(&topic(hub, path)["oldest"])
}

#[test]
fn who_stands_before_what_is_kept_is_told_a_gap() {
    let hub = Running::with(|settings| {
        settings.retention.every_seconds = 1;
        settings.retention.thread_count_max = 10;
    });
    create(hub.addr(), "alice", "x");
    let (first, _) = publish(hub.addr(), "bob", "x", &json!(1));
    post(&hub, PATH, 2..=30);
    eventually("the first twenty go", || (oldest(&hub, "/v1/threads/x") == 21).then_some(()));
    let mark = first.split_once('.').unwrap().0;
    // On SSE and WebSocket a gap, then everything that is kept.
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", PATH).query(&format!("after={first}")));
    let (name, gap) = stream.named();
    let expected = json!({ "newest": format!("{mark}.30"), "oldest": format!("{mark}.21"), "reason": "trimmed",
                           "requested": first, "topic": "thread/x" });
    assert_eq!((name.as_str(), &gap), ("gap", &expected));
    let mut ws = Ws::session(hub.addr(), "bob");
    assert_eq!(ws.subscribe("thread/x", &json!({ "after": first }))["resumed"], false);
    let gap = ws.expect("gap");
    assert_eq!((&gap["reason"], &gap["oldest"]), (&json!("trimmed"), &expected["oldest"]));
    for seq in 21..=30 {
        assert_eq!((stream.event()["seq"].as_u64(), ws.event()["seq"].as_u64()), (Some(seq), Some(seq)));
    }
    // On a page it is said by the status.
    let page = |query: &str| Ask::by("bob", "GET", PATH).query(query).send(hub.addr());
    let refused = page(&format!("after={first}"));
    assert_eq!(refused.gone(), "trimmed");
    let refused = refused.json();
    assert_eq!((&refused["oldest"], &refused["newest"]), (&expected["oldest"], &expected["newest"]));
    let kept = page("after=earliest").ok(200);
    let seqs: Vec<_> = kept["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (21..=30).collect::<Vec<_>>());
    // Just before the oldest nothing is missing.
    assert_eq!(page(&format!("after={mark}.20")).ok(200)["events"].as_array().unwrap().len(), 10);
    // What is behind goes on where it was.
    publish(hub.addr(), "bob", "x", &json!(31));
    assert_eq!((stream.event()["seq"].as_u64(), ws.event()["seq"].as_u64()), (Some(31), Some(31)));
}

/// Reads to the end of a closed thread, over whatever gaps there are: everything between is there, and in order.
fn read_to_the_end(mut next: impl FnMut() -> Option<(String, Value)>) -> (u64, u64) {
    let (mut seq, mut gaps) = (0, 0);
    while let Some((name, data)) = next() {
        if name == "gap" {
            assert_eq!(data["reason"], "trimmed");
            assert!(seq_of(&data["oldest"]) > seq + 1, "a gap tells of something: {data} behind {seq}");
            seq = seq_of(&data["oldest"]) - 1;
            gaps += 1;
        } else {
            assert_eq!(data["seq"], seq + 1, "{name}");
            seq += 1;
        }
    }
    (seq, gaps)
}

#[test]
fn readers_and_writers_go_on_beside_it() {
    let hub = Running::with(|settings| {
        settings.retention.every_seconds = 1;
        settings.retention.thread_count_max = 100;
    });
    create(hub.addr(), "alice", "x");
    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", PATH));
    let mut ws = Ws::open(hub.addr(), &Ask::by("carol", "GET", "/v1/threads/x/ws"));
    ws.expect("welcome");
    ws.expect("subscribed");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sse_reader = scope.spawn(move || {
            read_to_the_end(|| {
                let event = stream.next()?;
                Some((event.name, serde_json::from_str(&event.data).unwrap()))
            })
        });
        let ws_reader = scope.spawn(move || {
            read_to_the_end(|| match ws.came() {
                Came::Frame(mut frame) if frame["t"] == "event" => Some(("event".to_owned(), frame["event"].take())),
                Came::Frame(frame) if frame["t"] == "gap" => Some(("gap".to_owned(), frame)),
                Came::Frame(frame) => {
                    assert_eq!(frame["t"], "subscription_ended", "{frame}");
                    None
                }
                other => panic!("{other:?}"),
            })
        });
        // A page is a snapshot: it begins at its own oldest, whatever goes meanwhile.
        let pages = scope.spawn(|| {
            let mut looked_at = 0;
            while !over.load(Ordering::SeqCst) {
                let page = Ask::by("bob", "GET", PATH).query("after=earliest&limit=500").send(hub.addr()).ok(200);
                let seqs: Vec<_> =
                    page["events"].as_array().unwrap().iter().map(|e| e["seq"].as_u64().unwrap()).collect();
                assert!(seqs.windows(2).all(|two| two[0] + 1 == two[1]), "{seqs:?}");
                assert!(seqs.is_empty() || seqs[0] >= seq_of(&page["oldest"]), "{seqs:?}");
                looked_at += 1;
            }
            looked_at
        });
        let mut written = 0;
        while oldest(&hub, "/v1/threads/x") < 1_500 {
            post(&hub, PATH, written + 1..=written + 20);
            written += 20;
        }
        over.store(true, Ordering::SeqCst);
        Ask::by("alice", "POST", "/v1/threads/x/close").send(hub.addr()).ok(200);
        // Who keeps up has no gap; how fast the machine reads is not for a test to say.
        let read = [sse_reader.join().unwrap(), ws_reader.join().unwrap()];
        println!("{written} written, read up to, gaps: {read:?}");
        assert!(read.iter().all(|(seq, _)| *seq == written + 1), "{read:?} of {written}");
        assert!(pages.join().unwrap() > 0);
    });
    // The last of a closed thread stays, as of any.
    let closed = topic(&hub, "/v1/threads/x");
    assert!(seq_of(&closed["oldest"]) <= seq_of(&closed["newest"]));
}

#[test]
fn each_kind_of_topic_has_limits_of_its_own_and_a_reload_changes_them() {
    let hub = Running::with(|settings| settings.retention.every_seconds = 3_600);
    create(hub.addr(), "alice", "x");
    Ask::by("alice", "POST", "/v1/canvases").json(json!({ "id": "x" })).send(hub.addr()).ok(201);
    let (thread, canvas) = ("/v1/threads/x", "/v1/canvases/x");
    for path in [thread, canvas] {
        post(&hub, &format!("{path}/events"), 1..=40);
    }
    let changed = hub.reload(|settings| {
        settings.retention.every_seconds = 1;
        settings.retention.canvas_count_max = 4;
        settings.retention.thread_bytes_max = 1;
    });
    assert_eq!(changed, ["retention.every_seconds", "retention.thread_bytes_max", "retention.canvas_count_max"]);
    eventually("the canvas has four", || (oldest(&hub, canvas) == 37).then_some(()));
    eventually("the thread has its newest", || (oldest(&hub, thread) == 40).then_some(()));
    hub.reload(|settings| {
        settings.retention.thread_bytes_max = 0;
        settings.retention.canvas_count_max = 0;
        settings.retention.thread_age_seconds = 1;
    });
    post(&hub, &format!("{canvas}/events"), 41..=80);
    post(&hub, &format!("{thread}/events"), 41..=80);
    eventually("what is older than a second goes", || (oldest(&hub, thread) == 80).then_some(()));
    assert_eq!(oldest(&hub, canvas), 37);
}
