//! `GET /v1/stream`: several topics over one stream, and streams whose blocks have no names.

use serde_json::{Value, json};

use crate::refusals::{create_both, send};
use crate::support::http::{Ask, Connection};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::ws::Ws;

const BOTH: &str = "/v1/stream?topics=thread/x,canvas/x";

fn publish(hub: &Running, topic: &str, data: u64) {
    let path = format!("/v1/{}/events", topic.replace("thread/", "threads/").replace("canvas/", "canvases/"));
    Ask::by("alice", "POST", &path).json(json!({ "type": "note", "data": data })).send(hub.addr()).ok(201);
}

/// The next event: of which topic, and its data. Its id is the stream's.
fn next(stream: &mut Stream) -> (String, Value) {
    let event = stream.next().expect("the stream goes on");
    let json: Value = serde_json::from_str(&event.data).unwrap();
    assert!(event.id.starts_with(&stream.connected["cursor"].as_str().unwrap()[..8]), "{event:?}");
    let routing = &json["routing"];
    let topic = match routing["thread_id"].as_str() {
        Some(id) => format!("thread/{id}"),
        None => format!("canvas/{}", routing["canvas_id"].as_str().expect("a topic")),
    };
    (topic, json["data"].clone())
}

#[test]
fn several_topics_are_resumed_with_one_id() {
    let hub = Running::start();
    create_both(hub.addr(), "alice", &json!({ "id": "x" }));
    publish(&hub, "thread/x", 1);
    let mut stream = Stream::open(hub.addr(), &Ask::stream("alice", BOTH).query("after=earliest"));
    assert_eq!(stream.connected["topics"], json!(["canvas/x", "thread/x"]));
    assert_eq!(next(&mut stream), ("thread/x".to_owned(), json!(1)));
    publish(&hub, "canvas/x", 2);
    assert_eq!(next(&mut stream), ("canvas/x".to_owned(), json!(2)));
    let id = stream.last_event_id().to_owned();
    drop(stream);
    publish(&hub, "thread/x", 3);
    publish(&hub, "canvas/x", 4);
    // In whatever order they are named, and however the id comes.
    for ask in [
        Ask::stream("alice", BOTH).with("last-event-id", &id),
        Ask::stream("alice", "/v1/stream?topics=canvas/x,thread/x").query(&format!("after={id}")),
        Ask::stream("alice", BOTH).query(&format!("last_event_id={id}&after=earliest")),
    ] {
        let mut stream = Stream::open(hub.addr(), &ask);
        assert_eq!(stream.connected["cursor"], id);
        let mut both = [next(&mut stream), next(&mut stream)];
        both.sort_by_key(|(topic, _)| topic.clone());
        assert_eq!(both, [("canvas/x".to_owned(), json!(4)), ("thread/x".to_owned(), json!(3))]);
    }
    let other = Ask::stream("alice", "/v1/stream?topics=thread/x").with("last-event-id", &id);
    assert_eq!(other.send(hub.addr()).refusal(), (400, "cursor.malformed".to_owned()));
    // One of the two is made anew.
    Ask::by("alice", "DELETE", "/v1/canvases/x").send(hub.addr()).ok(204);
    Ask::by("alice", "POST", "/v1/canvases").json(json!({ "id": "x" })).send(hub.addr()).ok(201);
    let mut stream = Stream::open(hub.addr(), &Ask::stream("alice", BOTH).with("last-event-id", &id));
    let (name, gap) = stream.named();
    assert_eq!((name.as_str(), &gap["topic"], &gap["reason"]), ("gap", &json!("canvas/x"), &json!("reset")));
    assert_eq!(next(&mut stream), ("thread/x".to_owned(), json!(3)));
}

#[test]
fn a_stream_of_topics_that_are_closed_ends_and_is_not_begun_again() {
    let hub = Running::start();
    create_both(hub.addr(), "alice", &json!({ "id": "x" }));
    let mut stream = Stream::open(hub.addr(), &Ask::stream("alice", BOTH));
    let mut ids = Vec::new();
    for (kind, topic) in [("threads", "thread/x"), ("canvases", "canvas/x")] {
        Ask::by("alice", "POST", &format!("/v1/{kind}/x/close")).send(hub.addr()).ok(200);
        assert_eq!(stream.named().0, "closed");
        ids.push(stream.last_event_id().to_owned());
        let (name, ended) = stream.named();
        assert_eq!((name.as_str(), ended), ("subscription_ended", json!({ "topic": topic, "reason": "closed" })));
    }
    assert!(stream.next().is_none(), "the stream ends with its last topic");
    let head = |id: &str| Ask::stream("alice", BOTH).with("last-event-id", id);
    assert_eq!(head(&ids[1]).send(hub.addr()).status, 204);
    // The first was at its end already.
    let mut again = Stream::open(hub.addr(), &head(&ids[0]));
    let mut names: Vec<_> = [again.named(), again.named(), again.named()].map(|(name, _)| name).into();
    names.sort();
    assert_eq!(names, ["closed", "subscription_ended", "subscription_ended"]);
    assert!(again.next().is_none());
}

#[test]
fn what_a_stream_of_several_may_not_be_asked_for() {
    let hub = Running::start();
    create_both(hub.addr(), "alice", &json!({ "id": "x" }));
    create_both(hub.addr(), "carol", &json!({ "id": "hers", "visibility": "private" }));
    let many: Vec<String> = (0..33).map(|n| format!("thread/{n}")).collect();
    let refused = |query: &str| send(hub.addr(), &Ask::stream("alice", &format!("/v1/stream?{query}"))).refusal();
    for (query, refusal) in [
        ("", (400, "query.invalid")),
        ("topics=thread/x,thread/x", (400, "query.invalid")),
        ("topics=thread/x,feed", (400, "query.invalid")),
        (&format!("topics={}", many.join(",")), (400, "query.invalid")),
        ("topics=", (400, "name.invalid")),
        ("topics=thread/x,", (400, "name.invalid")),
        ("topics=room/x", (400, "name.invalid")),
        ("topics=thread/nope&after=GzUtezx6Zl28O70t.1", (400, "cursor.malformed")),
        ("topics=thread/nope&after=earliest&last=1", (400, "query.invalid")),
        ("topics=thread/x&limit=1", (400, "query.invalid")),
        ("topics=thread/x,thread/nope", (404, "topic.unknown")),
        ("topics=thread/x,thread/hers", (403, "permission.denied")),
    ] {
        assert_eq!(refused(query), (refusal.0, refusal.1.to_owned()), "{query}");
    }
    assert_eq!(refused(&format!("topics={}", many[..32].join(","))), (404, "topic.unknown".to_owned()));
    // That it is no stream request is told last.
    let plain = |query: &str| Ask::by("alice", "GET", &format!("/v1/stream?{query}")).send(hub.addr()).refusal();
    assert_eq!(plain("topics=thread/nope"), (404, "topic.unknown".to_owned()));
    assert_eq!(plain("topics=thread/x"), (400, "request.malformed".to_owned()));
}

/// The blocks of a stream until one has this text, each as its lines.
fn blocks(connection: &mut Connection, until: &str) -> Vec<Vec<String>> {
    let mut text = String::new();
    while !text.contains(until) || !text.ends_with("\n\n") {
        text.push_str(&String::from_utf8(connection.some()).unwrap());
    }
    text.split_terminator("\n\n").map(|block| block.lines().map(ToOwned::to_owned).collect()).collect()
}

#[test]
fn blocks_without_names_say_in_their_data_what_they_are() {
    let hub = Running::start();
    create_both(hub.addr(), "alice", &json!({ "id": "x" }));
    publish(&hub, "thread/x", 1);
    let bad = "AAAAAAAAAAAAAAAA.3";
    for path in ["/v1/threads/x/events?named=false".to_owned(), format!("{BOTH}&named=false")] {
        let id = if path.starts_with("/v1/stream") { "after=earliest".to_owned() } else { format!("after={bad}") };
        let mut connection = Connection::open(hub.addr());
        connection.send(&Ask::stream("alice", &path).query(&id).bytes());
        assert_eq!(connection.head().status, 200);
        let mut kinds = Vec::new();
        for block in blocks(&mut connection, "\"type\":\"note\"") {
            assert!(!block.iter().any(|line| line.starts_with("event:")), "{block:?}");
            let Some(data) = block.iter().find_map(|line| line.strip_prefix("data: ")) else { continue };
            let json: Value = serde_json::from_str(data).unwrap();
            kinds.push(json["t"].as_str().or(json["type"].as_str()).unwrap().to_owned());
        }
        let expected: &[&str] = if id.contains(bad) { &["connected", "gap", "note"] } else { &["connected", "note"] };
        assert_eq!(kinds, expected, "{path}");
    }
    for path in ["/v1/threads/x/events?named=false", "/v1/threads/x/events?named=true&wait=1"] {
        assert_eq!(
            Ask::by("alice", "GET", path).send(hub.addr()).refusal(),
            (400, "query.invalid".to_owned()),
            "{path}"
        );
    }
    let ws = Ask::by("alice", "GET", "/v1/threads/x/ws?named=false").upgrade();
    assert_eq!(ws.send(hub.addr()).refusal(), (400, "query.invalid".to_owned()));
}

#[test]
fn who_may_not_read_any_more_is_told_and_gets_nothing_more() {
    let hub = Running::start();
    create_both(hub.addr(), "alice", &json!({ "id": "x" }));
    let path = "/v1/threads/x";
    let mut sse = Stream::open(hub.addr(), &Ask::stream("bob", &format!("{path}/events")));
    let mut ws = Ws::open(hub.addr(), &Ask::by("bob", "GET", &format!("{path}/ws")));
    let mut both = Stream::open(hub.addr(), &Ask::stream("bob", BOTH));
    let mut hers = Stream::open(hub.addr(), &Ask::stream("alice", BOTH));
    ws.expect("welcome");
    ws.expect("subscribed");
    Ask::by("alice", "PATCH", path).json(json!({ "visibility": "private" })).send(hub.addr()).ok(200);
    publish(&hub, "thread/x", 1);
    publish(&hub, "canvas/x", 2);
    let told = json!({ "topic": "thread/x", "reason": "forbidden" });
    assert_eq!(sse.named(), ("subscription_ended".to_owned(), told.clone()));
    assert!(sse.next().is_none());
    assert_eq!(ws.expect("subscription_ended")["reason"], "forbidden");
    assert_eq!(ws.closed(), 4403);
    assert_eq!(both.named(), ("subscription_ended".to_owned(), told));
    assert_eq!(next(&mut both), ("canvas/x".to_owned(), json!(2)));
    assert_eq!([next(&mut hers), next(&mut hers)].map(|(_, data)| data), [json!(1), json!(2)]);
    let again = Ask::stream("bob", BOTH).with("last-event-id", both.last_event_id());
    assert_eq!(again.send(hub.addr()).refusal(), (403, "permission.denied".to_owned()));
}
