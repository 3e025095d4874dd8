//! Pages of the feed, polls, and the tokens that open it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{by_pages, feed, next, position, said, stream};
use crate::support::authority::{claims_of, with};
use crate::support::http::{Ask, Connection, create, publish};
use crate::support::hub::Running;
use crate::support::token::claims;

fn hub() -> Running {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let secret = json!({ "id": "secret", "visibility": "private" });
    Ask::by("carol", "POST", "/v1/threads").json(secret).send(hub.addr()).ok(201);
    hub
}

fn notes(hub: &Running, sub: &str, thread: &str, count: u64) {
    let notes: Vec<Value> = (0..count).map(|n| json!({ "type": "note", "data": n })).collect();
    for array in notes.chunks(1_000) {
        Ask::by(sub, "POST", &format!("/v1/threads/{thread}/events")).json(json!(array)).send(hub.addr()).ok(201);
    }
}

#[test]
fn a_page_passes_what_its_reader_may_not_see() {
    let hub = hub();
    let addr = hub.addr();
    publish(addr, "alice", "x", &json!("first"));
    // More than one page looks at.
    notes(&hub, "carol", "secret", 6_000);
    publish(addr, "alice", "x", &json!("last"));
    let bob = feed("bob", "member");
    let page = bob.clone().query("after=earliest").send(addr).ok(200);
    assert_eq!((page["events"].as_array().unwrap().len(), &page["has_more"]), (2, &json!(true)));
    let next_page = bob.clone().query(&format!("after={}", page["cursor"].as_str().unwrap())).send(addr).ok(200);
    assert_eq!((next_page["events"][0]["data"].clone(), &next_page["has_more"]), (json!("last"), &json!(false)));
    assert_eq!(next_page["cursor"], next_page["newest"]);
    assert_eq!(
        by_pages(addr, &bob, 500).iter().map(said).collect::<Vec<_>>(),
        ["thread.created thread/x", "note x", "note x"]
    );
    // Backwards, too.
    let newest = bob.clone().query("limit=2").send(addr).ok(200);
    assert_eq!(newest["events"].as_array().unwrap().len(), 1, "the rest is further back than a page looks");
    // A poll does not wait where there is more to look at, and waits where there is not.
    let asked = Instant::now();
    let places = position(&page["events"][1]);
    let mark = page["cursor"].as_str().unwrap().split('.').next().unwrap();
    let poll = bob.query(&format!("after={mark}.{places}&types=nothing&wait=20")).send(addr).ok(200);
    assert_eq!((&poll["events"], &poll["has_more"]), (&json!([]), &json!(true)));
    assert!(asked.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_poll_waits_for_what_its_reader_may_see() {
    let hub = hub();
    let addr = hub.addr();
    let bob = feed("bob", "member");
    let at = bob.clone().query("last=0").send(addr).ok(200)["cursor"].as_str().unwrap().to_owned();
    let poll = |query: &str| {
        let mut connection = Connection::open(addr);
        connection.send(&bob.clone().query(&format!("after={at}&{query}")).bytes());
        connection
    };
    let (mut all, mut of_x, mut short) = (poll("wait=60"), poll("wait=60&topics=thread/x&types=end"), poll("wait=1"));
    publish(addr, "carol", "secret", &json!("hidden"));
    let page = short.answer().ok(200);
    assert_eq!(page["events"], json!([]), "what is hidden does not end the wait");
    assert!(page["cursor"] != json!(at) && page["cursor"] == page["newest"], "it was passed: {page}");
    assert!(!all.readable() && !of_x.readable());
    let (id, _) = publish(addr, "alice", "x", &json!("seen"));
    let page = all.answer().ok(200);
    assert_eq!((&page["events"][0]["id"], page["events"].as_array().unwrap().len()), (&json!(id), 1));
    let end = json!({ "type": "end", "data": 1 });
    Ask::by("alice", "POST", "/v1/threads/x/events").json(end).send(addr).ok(201);
    assert_eq!(of_x.answer().ok(200)["events"].as_array().unwrap().iter().map(said).collect::<Vec<_>>(), ["end x"]);
}

#[test]
fn a_cursor_that_can_t_be_honoured() {
    let hub = hub();
    let addr = hub.addr();
    let (of_thread, _) = publish(addr, "alice", "x", &json!(1));
    let bob = feed("bob", "member");
    let page = bob.send(addr).ok(200);
    let (mark, head) = page["newest"].as_str().unwrap().split_once('.').unwrap();
    let ahead = format!("{mark}.{}", head.parse::<u64>().unwrap() + 5);
    for cursor in [of_thread.as_str(), &ahead, "AAAAAAAAAAAAAAAA.1"] {
        for query in ["after", "before"] {
            let refused = bob.clone().query(&format!("{query}={cursor}")).send(addr);
            assert_eq!(refused.gone(), "unknown", "{query}={cursor}");
            assert_eq!((&refused.json()["oldest"], &refused.json()["newest"]), (&page["oldest"], &page["newest"]));
        }
    }
    let nothing = bob.clone().query(&format!("before={mark}.1")).send(addr).ok(200);
    assert_eq!((&nothing["events"], &nothing["has_more"]), (&json!([]), &json!(false)));
    assert_eq!(bob.clone().query("after=x").send(addr).refusal(), (400, "cursor.malformed".to_owned()));
    // `last` counts what they may not see, too: a private thread was created between the two.
    assert_eq!(bob.query("last=3").send(addr).ok(200)["events"].as_array().unwrap().len(), 2);
}

#[test]
fn a_stream_token_opens_it() {
    let hub = hub();
    let addr = hub.addr();
    let token = |body: Value| {
        let ask = with(Ask::by("", "POST", "/v1/stream-tokens"), &claims_of("bob", "member"));
        ask.json(body).send(addr).ok(201)["token"].as_str().unwrap().to_owned()
    };
    let shown = |token: &str| Ask::new("GET", super::PATH).query(&format!("token={token}&after=earliest"));
    for body in [json!({ "topics": ["feed"] }), json!({}), json!({ "topics": ["thread/x", "feed"] })] {
        let mut stream = stream(addr, &shown(&token(body)));
        assert_eq!(said(&next(&mut stream)), "thread.created thread/x");
    }
    let narrow = shown(&token(json!({ "topics": ["thread/x"] }))).with("accept", "text/event-stream").send(addr);
    assert_eq!(narrow.refusal(), (403, "permission.denied".to_owned()));
    // One for the feed is for nothing else.
    let thread =
        Ask::new("GET", "/v1/threads/x/events").query(&format!("token={}", token(json!({ "topics": ["feed"] }))));
    let refused = thread.with("accept", "text/event-stream").send(addr);
    assert_eq!(refused.refusal(), (403, "permission.denied".to_owned()));
    // Who may not read it gets none for it.
    let without = Running::with(|settings| settings.roles.viewer.clear());
    let ask = with(Ask::by("", "POST", "/v1/stream-tokens"), &claims("vera", "viewer"));
    let refused = ask.json(json!({ "topics": ["feed"] })).send(without.addr());
    assert_eq!(refused.refusal_with(&["permission"]), (403, "permission.denied".to_owned()));
}
