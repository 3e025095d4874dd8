//! An event that is redacted: its data is nowhere any more, its place stays, and everybody is told once.

use serde_json::{Value, json};

use crate::support::http::{Answer, Ask, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::token::token;
use crate::support::ws::Ws;

const PATH: &str = "/v1/threads/x/events";

fn redact(hub: &Running, sub: &str, id: &str) -> Answer {
    Ask::by(sub, "DELETE", &format!("{PATH}/{id}")).send(hub.addr())
}

fn append(hub: &Running, sub: &str, id: &str, text: &str) -> Value {
    let body = json!({ "append": { "event_id": id, "data": text } });
    Ask::by(sub, "POST", PATH).json(body).send(hub.addr()).ok(201)["id"].clone()
}

fn page(hub: &Running) -> Vec<Value> {
    let page = Ask::by("bob", "GET", PATH).query("after=earliest").send(hub.addr()).ok(200);
    page["events"].as_array().unwrap().clone()
}

#[test]
fn its_data_goes_and_its_place_stays() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let (secret, _) = publish(hub.addr(), "bob", "x", &json!("SECRET one"));
    append(&hub, "bob", &secret, "SECRET two");
    let (other, _) = publish(hub.addr(), "bob", "x", &json!("other"));
    let mut stream = Stream::open(hub.addr(), &Ask::stream("carol", PATH));
    let mut ws = Ws::open(hub.addr(), &Ask::by("carol", "GET", "/v1/threads/x/ws"));
    ws.expect("welcome");
    ws.expect("subscribed");
    assert_eq!(redact(&hub, "bob", &secret).status, 204);
    for told in [stream.event(), ws.event()] {
        assert_eq!(
            (&told["type"], &told["seq"], &told["data"]),
            (&json!("redacted"), &json!(4), &json!({ "event_id": secret }))
        );
        assert_eq!(told["routing"]["actor_id"], "bob");
    }
    for _ in 0..2 {
        assert_eq!(redact(&hub, "bob", &secret).status, 204);
    }
    let check = |hub: &Running| {
        let events = page(hub);
        assert_eq!(events.len(), 4, "no second event tells of it");
        assert_eq!((&events[0]["data"], &events[0]["redacted"]), (&Value::Null, &json!(true)));
        assert_eq!((&events[1]["data"], &events[1]["redacted"]), (&json!({ "event_id": secret }), &json!(true)));
        assert_eq!((&events[2]["data"], &events[2]["id"]), (&json!("other"), &json!(other)));
        assert!(!format!("{events:?}").contains("SECRET"));
        // Folded, it has no text any more, and still says what it stands for.
        let folded = Ask::by("carol", "GET", PATH).query("after=earliest&fold=true").send(hub.addr()).ok(200);
        let (first, until) = (&folded["events"][0], &events[1]["id"]);
        assert_eq!((&first["data"], &first["fold"]), (&Value::Null, &json!({ "until": until })));
        // Also for who reads from what the topic has in memory.
        let mut late = Stream::open(hub.addr(), &Ask::stream("carol", PATH).query("after=earliest"));
        let replayed: Vec<_> = (0..4).map(|_| late.event()).collect();
        assert_eq!(replayed, events);
    };
    check(&hub);
    let body = json!({ "append": { "event_id": secret, "data": "more" } });
    assert_eq!(Ask::by("bob", "POST", PATH).json(body).send(hub.addr()).refusal(), (404, "event.unknown".to_owned()));
    check(&hub.restart(|_| {}));
}

#[test]
fn who_may_and_what_can_t_be() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    create(hub.addr(), "alice", "y");
    let (bobs, _) = publish(hub.addr(), "bob", "x", &json!(1));
    let (carols, _) = publish(hub.addr(), "carol", "x", &json!(2));
    let appended = append(&hub, "bob", &bobs, "more");
    assert_eq!(redact(&hub, "bob", &carols).refusal(), (403, "permission.denied".to_owned()));
    let viewer = Ask::by("bob", "DELETE", &format!("{PATH}/{bobs}"));
    let viewer = viewer.with("authorization", &format!("Bearer {}", token("bob", "viewer")));
    assert_eq!(viewer.send(hub.addr()).refusal(), (403, "permission.denied".to_owned()));
    // Who made the topic.
    assert_eq!(redact(&hub, "alice", &carols).status, 204);
    assert_eq!(redact(&hub, "nonsense", "nonsense").refusal(), (400, "cursor.malformed".to_owned()));
    let mark = bobs.split('.').next().unwrap();
    let elsewhere = publish(hub.addr(), "alice", "y", &json!(1)).0;
    // Unknown, an append, a `redacted`, of another topic, nobody's.
    for id in [
        format!("{mark}.9"),
        format!("{mark}.0"),
        appended.as_str().unwrap().to_owned(),
        format!("{mark}.4"),
        elsewhere,
        "AAAAAAAAAAAAAAAA.1".to_owned(),
    ] {
        assert_eq!(redact(&hub, "alice", &id).refusal(), (404, "event.unknown".to_owned()), "{id}");
    }
    let closed = Ask::by("alice", "POST", "/v1/threads/x/close").send(hub.addr()).ok(200);
    assert_eq!(redact(&hub, "alice", &bobs).refusal(), (409, "topic.closed".to_owned()));
    assert_eq!(redact(&hub, "alice", &carols).status, 204, "it is done already");
    let closed = closed["id"].as_str().unwrap();
    assert_eq!(redact(&hub, "alice", closed).refusal(), (404, "event.unknown".to_owned()));
}

#[test]
fn many_at_once_are_one() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    for round in 0..20 {
        let (id, _) = publish(hub.addr(), "bob", "x", &json!(round));
        let racers: Vec<_> = (0..4)
            .map(|racer| {
                let (addr, sub) = (hub.addr(), if racer % 2 == 0 { "alice" } else { "bob" });
                let ask = Ask::by(sub, "DELETE", &format!("{PATH}/{id}"));
                std::thread::spawn(move || ask.send(addr).status)
            })
            .collect();
        assert!(racers.into_iter().all(|racer| racer.join().unwrap() == 204));
        let told = page(&hub).iter().filter(|event| event["type"] == "redacted").count();
        assert_eq!(told, round + 1);
    }
}
