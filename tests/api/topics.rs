//! Threads and canvases as resources: what can be made of them, changed, and seen, by whom.

use serde_json::{Value, json};

use crate::support::http::{Answer, Ask, create};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::token::token;
use crate::support::ws::Ws;

fn ask(hub: &Running, sub: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
    let ask = Ask::by(sub, method, path);
    match body {
        Some(body) => ask.json(body).send(hub.addr()),
        None => ask.send(hub.addr()),
    }
}

#[test]
fn a_canvas_is_a_topic_of_its_own() {
    let hub = Running::start();
    let thread = create(hub.addr(), "alice", "x");
    let canvas = ask(&hub, "alice", "POST", "/v1/canvases", Some(json!({ "id": "x", "title": "Sketch" }))).ok(201);
    assert_eq!((&canvas["topic"], &canvas["title"]), (&json!("canvas/x"), &json!("Sketch")));
    assert_ne!(canvas["cursor"], thread["cursor"]);
    let again = ask(&hub, "bob", "POST", "/v1/canvases", Some(json!({ "id": "x" })));
    assert_eq!(again.refusal(), (409, "topic.exists".to_owned()));
    assert!(again.json()["detail"].as_str().unwrap().contains("canvas"), "{}", again.text());

    let mut stream = Stream::open(hub.addr(), &Ask::stream("bob", "/v1/canvases/x/events"));
    assert_eq!(stream.connected["topics"], json!(["canvas/x"]));
    let mut ws = Ws::open(hub.addr(), &Ask::by("bob", "GET", "/v1/canvases/x/ws"));
    ws.expect("welcome");
    assert_eq!(ws.expect("subscribed")["topic"], "canvas/x");
    let published = ask(&hub, "alice", "POST", "/v1/canvases/x/events", Some(json!({ "type": "note", "data": 1 })));
    let published = published.ok(201);
    let page = ask(&hub, "bob", "GET", "/v1/canvases/x/events", None).ok(200);
    for event in [stream.event(), ws.event(), page["events"][0].clone()] {
        assert_eq!((&event["id"], &event["seq"]), (&published["id"], &json!(1)));
        let routing = &event["routing"];
        assert_eq!((&routing["canvas_id"], &routing["thread_id"]), (&json!("x"), &Value::Null));
    }
    // Its cursor is nobody's in the thread of the same name.
    let cursor = published["id"].as_str().unwrap();
    let foreign = ask(&hub, "bob", "GET", &format!("/v1/threads/x/events?after={cursor}"), None);
    assert_eq!(foreign.gone(), "unknown");
    assert_eq!(ask(&hub, "bob", "GET", "/v1/threads/x", None).ok(200)["newest"], thread["newest"]);

    ask(&hub, "alice", "POST", "/v1/canvases", Some(json!({ "id": "y" }))).ok(201);
    let listed = ask(&hub, "bob", "GET", "/v1/canvases?limit=1", None).ok(200);
    assert_eq!((&listed["canvases"][0]["id"], &listed["has_more"]), (&json!("x"), &json!(true)));
    assert_eq!(ask(&hub, "bob", "GET", "/v1/threads", None).ok(200)["threads"].as_array().unwrap().len(), 1);
    let closed = ask(&hub, "alice", "POST", "/v1/canvases/x/close", None).ok(200);
    assert_eq!((stream.event()["id"].clone(), stream.next()), (closed["id"].clone(), None));
    ask(&hub, "alice", "DELETE", "/v1/canvases/x", None).ok(204);
    assert_eq!(ask(&hub, "alice", "GET", "/v1/canvases/x", None).refusal(), (404, "topic.unknown".to_owned()));
    ask(&hub, "alice", "GET", "/v1/threads/x", None).ok(200);
}

#[test]
fn a_topic_can_be_changed() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let patch = |sub: &str, body: Value| ask(&hub, sub, "PATCH", "/v1/threads/x", Some(body));
    let shown = patch("alice", json!({ "title": "The plan", "visibility": "private" })).ok(200);
    assert_eq!((&shown["title"], &shown["visibility"]), (&json!("The plan"), &json!("private")));
    assert_eq!(ask(&hub, "alice", "GET", "/v1/threads/x", None).ok(200), shown);
    let refused = ask(&hub, "bob", "GET", "/v1/threads/x", None);
    assert_eq!(refused.refusal(), (403, "permission.denied".to_owned()));
    let shown = patch("alice", json!({ "title": null })).ok(200);
    assert_eq!((&shown["title"], &shown["visibility"]), (&Value::Null, &json!("private")));
    assert_eq!(patch("alice", json!({})).ok(200), shown);
    assert_eq!(patch("bob", json!({ "visibility": "team" })).refusal(), (403, "permission.denied".to_owned()));
    for bad in [json!([]), json!({ "visibility": null }), json!({ "title": "x".repeat(257) }), json!({ "id": "y" })] {
        assert_eq!(patch("alice", bad.clone()).refusal(), (400, "body.invalid".to_owned()), "{bad}");
    }
    let hub = hub.restart(|_| {});
    assert_eq!(ask(&hub, "alice", "GET", "/v1/threads/x", None).ok(200), shown);
}

#[test]
fn members_come_and_go() {
    let hub = Running::start();
    let private = json!({ "id": "x", "visibility": "private", "members": [{ "sub": "carol" }] });
    let arrays = json!({ "id": "y", "members": [["carol"]] });
    let refused = ask(&hub, "alice", "POST", "/v1/threads", Some(arrays)).refusal();
    assert_eq!(refused, (400, "body.invalid".to_owned()));
    ask(&hub, "alice", "POST", "/v1/threads", Some(private)).ok(201);
    let put = |sub: &str, body| ask(&hub, "alice", "PUT", &format!("/v1/threads/x/members/{sub}"), body);
    let remove = |sub: &str| ask(&hub, "alice", "DELETE", &format!("/v1/threads/x/members/{sub}"), None);
    let status = |method: &str| {
        let body = (method == "POST").then(|| json!({ "type": "note", "data": 1 }));
        ask(&hub, "bob", method, "/v1/threads/x/events", body).status
    };
    assert_eq!((status("GET"), status("POST")), (403, 403));
    let shown = put("bob", Some(json!({ "can": "read" }))).ok(200);
    assert_eq!(shown["members"], json!([{ "sub": "carol", "can": "write" }, { "sub": "bob", "can": "read" }]));
    assert_eq!((status("GET"), status("POST")), (200, 403));
    let shown = put("bob", None).ok(200);
    assert_eq!(shown["members"][1], json!({ "sub": "bob", "can": "write" }));
    assert_eq!((status("GET"), status("POST")), (200, 201));
    remove("bob").ok(204);
    remove("bob").ok(204);
    assert_eq!((status("GET"), status("POST")), (403, 403));
    // A subject is any text, so its path is encoded.
    let shown = put("auth0%7Ca%2Fb%20%C3%A9%2B+", Some(json!({}))).ok(200);
    assert_eq!(shown["members"][1]["sub"], "auth0|a/b é++");
    remove("auth0|a%2Fb%20%C3%A9%2B%2B").ok(204);
    for bad in ["a%0Ab", "%ff", "%4", &"x".repeat(257)] {
        assert_eq!(put(bad, None).refusal(), (400, "name.invalid".to_owned()), "{bad}");
        assert_eq!(remove(bad).refusal(), (400, "name.invalid".to_owned()), "{bad}");
    }
    for bad in [json!({ "can": "own" }), json!({ "can": null }), json!({ "sub": "x" }), json!(1)] {
        assert_eq!(put("bob", Some(bad.clone())).refusal(), (400, "body.invalid".to_owned()), "{bad}");
    }
    let not_hers = ask(&hub, "carol", "PUT", "/v1/threads/x/members/carol", None);
    assert_eq!(not_hers.refusal(), (403, "permission.denied".to_owned()));
    assert_eq!(ask(&hub, "alice", "GET", "/v1/threads/x", None).ok(200)["members"].as_array().unwrap().len(), 1);
}

#[test]
fn as_many_members_as_there_may_be() {
    let hub = Running::start();
    let members: Vec<Value> = (0..1_000).map(|n| json!({ "sub": format!("m{n}") })).collect();
    ask(&hub, "alice", "POST", "/v1/threads", Some(json!({ "id": "x", "members": members }))).ok(201);
    let put = |sub: &str| ask(&hub, "alice", "PUT", &format!("/v1/threads/x/members/{sub}"), Some(json!({})));
    put("m999").ok(200);
    assert_eq!(put("one-more").refusal(), (400, "body.invalid".to_owned()));
    ask(&hub, "alice", "DELETE", "/v1/threads/x/members/m0", None).ok(204);
    put("one-more").ok(200);
}

#[test]
fn a_snapshot_is_of_one_moment() {
    let hub = Running::start();
    let made = create(hub.addr(), "alice", "x");
    let snapshot = |sub: &str| ask(&hub, sub, "GET", "/v1/threads/x/snapshot", None);
    let first = snapshot("bob").ok(200);
    assert_eq!((&first["count"], &first["cursor"], &first["topic"]), (&json!(0), &made["cursor"], &json!("thread/x")));
    for _ in 0..3 {
        crate::support::http::publish(hub.addr(), "alice", "x", &json!(1));
    }
    let shown = ask(&hub, "bob", "GET", "/v1/threads/x", None).ok(200);
    let mut taken = snapshot("bob").ok(200);
    assert_eq!(taken.as_object_mut().unwrap().remove("count"), Some(json!(3)));
    assert_eq!(taken, shown);
    // Who reads on from there gets what is behind it.
    let mut stream = Stream::open(
        hub.addr(),
        &Ask::stream("bob", "/v1/threads/x/events").query(&format!("after={}", taken["cursor"].as_str().unwrap())),
    );
    crate::support::http::publish(hub.addr(), "alice", "x", &json!("behind"));
    assert_eq!((stream.event()["seq"].clone(), snapshot("bob").ok(200)["count"].clone()), (json!(4), json!(4)));
    Ask::by("alice", "POST", "/v1/threads/x/close").send(hub.addr()).ok(200);
    assert_eq!(snapshot("bob").ok(200)["closed"], true);
    let viewer = Ask::by("v", "GET", "/v1/threads/x/snapshot");
    let viewer = viewer.with("authorization", &format!("Bearer {}", token("v", "viewer")));
    assert_eq!(viewer.send(hub.addr()).status, 200);
}
