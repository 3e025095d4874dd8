//! Folded pages: each event once, at the place of its last append, with all of its text, whichever way they are read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::http::{Ask, create};
use crate::support::hub::Running;
use crate::support::random::Random;

const PATH: &str = "/v1/threads/x/events";

fn seq(id: &Value) -> u64 {
    id.as_str().unwrap().split('.').nth(1).unwrap().parse().unwrap()
}

/// What folding makes of an event: its own seq, its text and how many appends that is.
type Shape = (u64, String, u64);

/// Writes events and appends to them at random; what a reader has to be told, by its place.
fn write(hub: &Running, random: &mut Random) -> BTreeMap<u64, Shape> {
    let mut ids: Vec<String> = Vec::new();
    let mut shapes: BTreeMap<u64, (u64, Shape)> = BTreeMap::new();
    for n in 0..300_u64 {
        let body = if ids.is_empty() || random.below(4) == 0 {
            json!({ "type": "message", "data": { "role": "assistant" } })
        } else {
            // The newest ones more often, as in a conversation.
            let at = ids.len() - 1 - random.below(ids.len().min(6) as u64) as usize;
            json!({ "append": { "event_id": ids[at], "data": format!("{n}\"\n") } })
        };
        let published = Ask::by("alice", "POST", PATH).json(&body).send(hub.addr()).ok(201);
        let place = published["seq"].as_u64().unwrap();
        if let Some(target) = body["append"]["event_id"].as_str() {
            let (at, (_, text, appends)) = shapes.get_mut(&seq(&json!(target))).unwrap();
            *at = place;
            text.push_str(body["append"]["data"].as_str().unwrap());
            *appends += 1;
        } else {
            ids.push(published["id"].as_str().unwrap().to_owned());
            shapes.insert(place, (place, (place, String::new(), 0)));
        }
    }
    shapes.into_values().collect()
}

/// Its place, and what it is folded to.
fn shape(event: &Value) -> (u64, Shape) {
    let own = event["seq"].as_u64().unwrap();
    match event.get("fold") {
        None => (own, (own, String::new(), 0)),
        Some(fold) => {
            let (text, appends) = (fold["text"].as_str().unwrap(), fold["appends"].as_u64().unwrap());
            (seq(&fold["until"]), (own, text.to_owned(), appends))
        }
    }
}

fn page(hub: &Running, query: &str) -> (Vec<(u64, Shape)>, Value) {
    let page = Ask::by("bob", "GET", PATH).query("fold=true").query(query).send(hub.addr()).ok(200);
    let events = page["events"].as_array().unwrap().iter().map(shape).collect();
    (events, page)
}

#[test]
fn forwards_and_backwards_tell_the_same() {
    let mut hub = Running::start();
    create(hub.addr(), "alice", "x");
    let mut random = Random::seeded("folded pages");
    let expected: Vec<_> = write(&hub, &mut random).into_iter().collect();
    for _ in 0..2 {
        for limit in [1, 3, 50, 500] {
            let (mut forwards, mut after) = (Vec::new(), "earliest".to_owned());
            loop {
                let (events, page) = page(&hub, &format!("limit={limit}&after={after}"));
                assert!(events.len() <= limit);
                forwards.extend(events);
                page["cursor"].as_str().unwrap().clone_into(&mut after);
                if page["has_more"] == false {
                    break;
                }
            }
            assert!(forwards == expected, "forwards by {limit}");
            assert_eq!(seq(&json!(after)), 300, "and the reader is at the head");
            // The newest first, then what is before the first of them.
            let (mut backwards, first) = page(&hub, &format!("limit={limit}"));
            assert_eq!((seq(&first["cursor"]), &first["has_more"]), (300, &json!(false)));
            let mark = first["cursor"].as_str().unwrap().split('.').next().unwrap();
            let mut before = format!("{mark}.{}", backwards[0].0);
            loop {
                let (mut events, page) = page(&hub, &format!("limit={limit}&before={before}"));
                assert!(events.len() <= limit);
                events.append(&mut backwards);
                backwards = events;
                page["cursor"].as_str().unwrap().clone_into(&mut before);
                if page["has_more"] == false {
                    break;
                }
            }
            assert!(backwards == expected, "backwards by {limit}");
            // From anywhere: whatever has its place behind, as a whole.
            let at = random.below(300);
            let (events, _) = page(&hub, &format!("limit=500&after={mark}.{at}"));
            let behind: Vec<_> = expected.iter().filter(|(place, _)| *place > at).cloned().collect();
            assert!(events == behind, "behind {at}");
        }
        hub = hub.restart(|_| {});
    }
}

#[test]
fn what_is_appended_while_it_is_read() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let message = json!({ "type": "message", "data": { "role": "assistant" } });
    let published = Ask::by("alice", "POST", PATH).json(message).send(hub.addr()).ok(201);
    let append = |text: &str| {
        let body = json!({ "append": { "event_id": published["id"], "data": text } });
        Ask::by("alice", "POST", PATH).json(body).send(hub.addr()).ok(201)["seq"].as_u64().unwrap()
    };
    append("A ");
    let (first, told) = page(&hub, "after=earliest");
    assert_eq!(first, [(2, (1, "A ".to_owned(), 1))]);
    append("tambour ");
    append("is ");
    // It is told again, whole: who reads on puts it in the place of what they have.
    let cursor = told["cursor"].as_str().unwrap();
    let (again, _) = page(&hub, &format!("after={cursor}"));
    assert_eq!(again, [(4, (1, "A tambour is ".to_owned(), 3))]);
    // Long polls are told likewise.
    let mark = cursor.split('.').next().unwrap();
    let waiting = Ask::by("bob", "GET", PATH).query(&format!("fold=true&wait=30&after={mark}.4"));
    let addr = hub.addr();
    let waiting = std::thread::spawn(move || waiting.send(addr).ok(200));
    append("a frame");
    let page = waiting.join().unwrap();
    assert_eq!(shape(&page["events"][0]), (5, (1, "A tambour is a frame".to_owned(), 4)));
}
