//! What a body may ask for beside an event: text for an earlier one, once under a key, only if nobody wrote meanwhile.

use serde_json::{Value, json};

use crate::support::http::{Answer, Ask, create, publish};
use crate::support::hub::Running;

const PATH: &str = "/v1/threads/x/events";

fn post(hub: &Running, sub: &str, body: &Value) -> Answer {
    Ask::by(sub, "POST", PATH).json(body).send(hub.addr())
}

fn hub() -> Running {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    hub
}

fn event(n: u64) -> Value {
    json!({ "type": "note", "data": n })
}

#[test]
fn text_for_an_event() {
    let hub = hub();
    let (own, _) = publish(hub.addr(), "alice", "x", &json!("a"));
    let append = |id: &str, data: Value| json!({ "append": { "event_id": id, "data": data } });
    let appended = post(&hub, "alice", &append(&own, json!("b"))).ok(201);
    assert_eq!(appended["seq"], 2);
    let many = json!([append(&own, json!("c")), event(4), append(&own, json!("d"))]);
    assert_eq!(post(&hub, "alice", &many).ok(201)["last"]["seq"], 5);
    for (sub, body, status, code) in [
        ("bob", append(&own, json!("x")), 403, "append.forbidden"),
        ("alice", append(&own, json!(1)), 400, "append.not_text"),
        ("alice", append(appended["id"].as_str().unwrap(), json!("x")), 404, "event.unknown"),
        ("alice", append("AAAAAAAAAAAAAAAA.1", json!("x")), 404, "event.unknown"),
        ("alice", append("nonsense", json!("x")), 400, "cursor.malformed"),
        ("alice", json!({ "append": { "data": "x" } }), 400, "body.invalid"),
        ("alice", json!([event(1), { "append": { "data": "x" } }]), 400, "body.invalid"),
        ("alice", append(&own, json!("x".repeat(65_535))), 413, "event.too_large"),
    ] {
        assert_eq!(post(&hub, sub, &body).refusal(), (status, code.to_owned()), "{body}");
    }
    // Four times as much as one may carry.
    let large = append(&own, json!("x".repeat(65_000)));
    let answers: Vec<_> = (0..5).map(|_| post(&hub, "alice", &large)).collect();
    assert!(answers[..4].iter().all(|answer| answer.status == 201));
    assert_eq!(answers[4].refusal(), (413, "append.too_large".to_owned()));
}

#[test]
fn once_under_a_key() {
    let hub = hub();
    let keyed = |n: u64| json!({ "type": "note", "data": n, "idempotency_key": "k" });
    let array = |n: u64| json!({ "events": [event(n), event(n)], "idempotency_key": "k2" });
    let first = post(&hub, "alice", &keyed(1)).ok(201);
    let many = post(&hub, "alice", &array(1)).ok(201);
    assert_eq!((&many["count"], &many["first"]["seq"], &many["last"]["seq"]), (&json!(2), &json!(2), &json!(3)));
    for body in [keyed(2), array(2)] {
        assert_eq!(post(&hub, "alice", &body).refusal(), (409, "idempotency.mismatch".to_owned()), "{body}");
    }
    // What is written is the same, one event, however it is asked for.
    let one = post(&hub, "alice", &json!({ "events": [event(1)], "idempotency_key": "k" })).ok(201);
    assert_eq!((&one["first"], &one["last"]), (&first, &first));
    // Somebody else's key is another, and so is the same one in another topic.
    assert_eq!(post(&hub, "bob", &keyed(2)).ok(201)["seq"], 4);
    create(hub.addr(), "alice", "y");
    let elsewhere = Ask::by("alice", "POST", "/v1/threads/y/events").json(keyed(9)).send(hub.addr());
    assert_eq!(elsewhere.ok(201)["seq"], 1);
    for bad in ["", "a b", "é", &"k".repeat(65)] {
        let mut body = keyed(1);
        body["idempotency_key"] = json!(bad);
        assert_eq!(post(&hub, "alice", &body).refusal(), (400, "body.invalid".to_owned()), "{bad}");
    }
    // Whatever became of the topic since, and of the hub.
    Ask::by("alice", "POST", "/v1/threads/x/close").send(hub.addr()).ok(200);
    let hub = hub.restart(|_| {});
    assert_eq!(post(&hub, "alice", &keyed(1)).ok(201), first);
    assert_eq!(post(&hub, "alice", &array(1)).ok(201), many);
    assert_eq!(
        post(&hub, "alice", &json!({ "type": "note", "data": 1, "idempotency_key": "new" })).refusal().1,
        "topic.closed"
    );
}

#[test]
fn many_at_once_under_one_key() {
    let hub = hub();
    for round in 0..20_u64 {
        let racers: Vec<_> = (0..6)
            .map(|_| {
                let (addr, key) = (hub.addr(), format!("k{round}"));
                let body = json!({ "type": "note", "data": round, "idempotency_key": key });
                std::thread::spawn(move || Ask::by("alice", "POST", PATH).json(body).send(addr).ok(201))
            })
            .collect();
        let answers: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0] && answer["seq"] == round + 1), "{answers:?}");
    }
}

#[test]
fn only_if_nobody_wrote_meanwhile() {
    let hub = hub();
    let expects = |cursor: &str, n: u64| json!({ "type": "note", "data": n, "expect": cursor });
    let first = post(&hub, "alice", &expects("empty", 1)).ok(201);
    let cursor = first["id"].as_str().unwrap();
    let moved = |answer: &Answer| {
        assert_eq!(answer.refusal_with(&["head"]), (409, "expect.mismatch".to_owned()));
        answer.json()["head"].as_str().unwrap().to_owned()
    };
    assert_eq!(moved(&post(&hub, "alice", &expects("empty", 2))), cursor);
    let array = json!({ "events": [event(2), event(3)], "expect": cursor });
    let second = post(&hub, "bob", &array).ok(201);
    let head = moved(&post(&hub, "alice", &expects(cursor, 4)));
    assert_eq!(json!(head), second["last"]["id"]);
    // Of many who expect the same, one is first.
    let racers: Vec<_> = (0..6)
        .map(|n| {
            let (addr, body) = (hub.addr(), expects(&head, n));
            std::thread::spawn(move || Ask::by("alice", "POST", PATH).json(body).send(addr).status)
        })
        .collect();
    let mut statuses: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
    // A retry under its key is no new write, though the topic has moved on.
    let mut keyed = expects("empty", 1);
    keyed["idempotency_key"] = json!("k");
    moved(&post(&hub, "alice", &keyed));
    keyed["expect"] = Ask::by("alice", "GET", "/v1/threads/x").send(hub.addr()).ok(200)["cursor"].clone();
    let written = post(&hub, "alice", &keyed).ok(201);
    assert_eq!(post(&hub, "alice", &keyed).ok(201), written);
    keyed["expect"] = json!("empty");
    assert_eq!(post(&hub, "alice", &keyed).ok(201), written);
    assert_eq!(post(&hub, "alice", &expects("nonsense", 1)).refusal(), (400, "cursor.malformed".to_owned()));
}
