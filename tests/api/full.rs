//! A hub whose store is full: writers are told so, readers and streams go on, and it gets well by itself.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::ws::{Came, Ws};

const MIB: u64 = 1024 * 1024;

fn ready(addr: SocketAddr) -> (u16, Value) {
    let answer = Ask::new("GET", "/readyz").send(addr);
    (answer.status, answer.json()["status"].take())
}

#[track_caller]
fn becomes_ready(addr: SocketAddr) {
    eventually("it is ready again though nobody writes", || (ready(addr) == (200, json!("ready"))).then_some(()));
}

/// Publishes to a thread until there is no room, and says how many events it has then.
#[track_caller]
fn fill(addr: SocketAddr, thread: &str, mut head: u64) -> u64 {
    let event = json!({ "type": "note", "data": "x".repeat(8 * 1024) });
    // As many at once as fit, then one by one, so that there is no room for one more.
    for count in [8, 1] {
        let ask = Ask::by("alice", "POST", &format!("/v1/threads/{thread}/events"));
        let ask = ask.json(Value::from(vec![event.clone(); count]));
        let full = (0..1_000).find_map(|_| {
            let answer = ask.send(addr);
            if answer.status != 201 {
                return Some(answer);
            }
            head += count as u64;
            assert_eq!(answer.json()["last"]["seq"], head);
            None
        });
        assert_eq!(full.expect("the limit is kept").refusal(), (507, "store.full".to_owned()));
        assert_eq!(ready(addr), (503, json!("store_full")));
    }
    head
}

#[test]
fn writers_are_told_readers_go_on_and_it_gets_well_by_itself() {
    let hub = Running::with(|set| set.store.file_bytes_max = MIB);
    let addr = hub.addr();
    for id in ["x", "spare", "quiet"] {
        create(addr, "alice", id);
    }
    publish(addr, "alice", "quiet", &json!(1));
    fill_a_little(addr);
    let mut stream = Stream::open(addr, &Ask::stream("bob", "/v1/threads/x/events"));
    let mut ws = Ws::session(addr, "carol");
    let head = fill(addr, "x", 0);
    for seq in 1..=head {
        assert_eq!(stream.event()["seq"], seq);
    }
    // Everybody who would need room is told the same, and may stay.
    let data = json!({ "t": "publish", "topic": "thread/quiet", "type": "note", "data": "x".repeat(60_000) });
    ws.send(&data);
    let error = ws.expect("error");
    assert_eq!((&error["code"], &error["status"]), (&json!("store.full"), &json!(507)));
    let title = "t".repeat(256);
    let members: Vec<_> = (0..900).map(|n| json!({ "sub": format!("{n}-{}", "m".repeat(200)) })).collect();
    let large = json!({ "id": "new", "title": title, "members": members });
    assert_eq!(Ask::by("alice", "POST", "/v1/threads").json(large).send(addr).refusal(), (507, "store.full".into()));
    // Readers, old and new, have all there is.
    let mut late = Stream::open(addr, &Ask::stream("dave", "/v1/threads/x/events?after=earliest"));
    for seq in 1..=head {
        assert_eq!(late.event()["seq"], seq);
    }
    let page = Ask::by("dave", "GET", "/v1/threads/quiet/events").send(addr).ok(200);
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    ws.subscribe("thread/quiet", &json!({ "after": "earliest" }));
    assert_eq!(ws.event()["data"], 1);
    assert_eq!(ready(addr), (503, json!("store_full")), "it stays so until there is room");

    hub.reload(|set| set.store.file_bytes_max = 2 * MIB);
    becomes_ready(addr);
    ws.send(&data);
    // The event and the answer come in any order.
    let came = [ws.came(), ws.came()].map(|came| matches!(came, Came::Frame(frame) if frame["t"] != "error"));
    assert_eq!(came, [true, true]);

    // The streams that were there all the time go on.
    let head = fill(addr, "x", head);
    Ask::by("alice", "DELETE", "/v1/threads/spare").send(addr).ok(204);
    becomes_ready(addr);
    let (_, seq) = publish(addr, "alice", "x", &json!("at last"));
    assert_eq!(seq, head + 1, "nothing of what was refused is there");
    let last = std::iter::from_fn(|| Some(stream.event())).find(|event| event["seq"] == seq).unwrap();
    assert_eq!(last["data"], "at last");
}

/// Something to delete.
fn fill_a_little(addr: SocketAddr) {
    let event = json!({ "type": "note", "data": "x".repeat(8 * 1024) });
    Ask::by("alice", "POST", "/v1/threads/spare/events").json(Value::from(vec![event; 32])).send(addr).ok(201);
}
