//! Pages: which events they have, which way they go, and what a cursor of theirs is good for.

use serde_json::{Value, json};

use crate::support::http::{Answer, Ask, create, publish};
use crate::support::hub::Running;

fn ask(hub: &Running, query: &str) -> Answer {
    Ask::by("bob", "GET", &format!("/v1/threads/x/events{query}")).send(hub.addr())
}

fn seqs(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

fn seq(cursor: &Value) -> u64 {
    cursor.as_str().unwrap().split('.').nth(1).unwrap().parse().unwrap()
}

/// A hub whose thread `x` has so many events, and what its cursors begin with.
fn hub(events: u64) -> (Running, String) {
    let hub = Running::start();
    let made = create(hub.addr(), "alice", "x");
    for n in 0..events {
        publish(hub.addr(), "alice", "x", &json!(n));
    }
    (hub, made["cursor"].as_str().unwrap().split('.').next().unwrap().to_owned())
}

/// Which events a page has, its cursor, and whether there are more.
#[track_caller]
fn check(hub: &Running, query: &str, events: &[u64], cursor: u64, has_more: bool) {
    let page = ask(hub, query).ok(200);
    assert_eq!((seqs(&page).as_slice(), seq(&page["cursor"])), (events, cursor), "{query}");
    assert_eq!(page["has_more"], has_more, "{query}");
}

#[test]
fn forwards_and_backwards() {
    let (hub, mark) = hub(7);
    check(&hub, "", &[1, 2, 3, 4, 5, 6, 7], 7, false);
    check(&hub, "?limit=3", &[5, 6, 7], 7, false);
    check(&hub, "?last=3", &[5, 6, 7], 7, false);
    check(&hub, "?last=3&limit=2", &[5, 6], 6, true);
    check(&hub, "?last=0", &[], 7, false);
    check(&hub, "?after=earliest&limit=2", &[1, 2], 2, true);
    check(&hub, &format!("?after={mark}.2&limit=5"), &[3, 4, 5, 6, 7], 7, false);
    check(&hub, &format!("?after={mark}.7"), &[], 7, false);
    check(&hub, &format!("?before={mark}.7&limit=2"), &[5, 6], 5, true);
    check(&hub, &format!("?before={mark}.5&limit=4"), &[1, 2, 3, 4], 1, false);
    check(&hub, &format!("?before={mark}.5&limit=3"), &[2, 3, 4], 2, true);
    check(&hub, &format!("?before={mark}.2"), &[1], 1, false);
    check(&hub, &format!("?before={mark}.1"), &[], 1, false);
    check(&hub, &format!("?before={mark}.0"), &[], 0, false);
}

#[test]
fn of_an_empty_topic() {
    let (hub, mark) = hub(0);
    for query in ["", "?last=5", "?after=earliest", &format!("?after={mark}.0")] {
        check(&hub, query, &[], 0, false);
    }
    check(&hub, &format!("?before={mark}.0"), &[], 0, false);
}

#[test]
fn all_of_it_from_the_end() {
    let (hub, _) = hub(23);
    let mut have = Vec::new();
    let mut page = ask(&hub, "?limit=4").ok(200);
    // Who begins at the end goes on before the first that they have.
    let mut before = page["events"][0]["id"].as_str().unwrap().to_owned();
    loop {
        have.splice(0..0, seqs(&page));
        if before.ends_with(".1") {
            break;
        }
        page = ask(&hub, &format!("?limit=4&before={before}")).ok(200);
        assert_eq!(page["has_more"], !page["cursor"].as_str().unwrap().ends_with(".1"));
        assert_eq!(page["cursor"], page["events"][0]["id"]);
        page["cursor"].as_str().unwrap().clone_into(&mut before);
    }
    assert_eq!(have, (1..=23).collect::<Vec<_>>());
}

#[test]
fn what_is_too_much_is_left_out_at_the_far_end() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    let large: Vec<Value> = (0..100).map(|_| json!({ "type": "note", "data": "x".repeat(60_000) })).collect();
    Ask::by("alice", "POST", "/v1/threads/x/events").json(Value::from(large)).send(hub.addr()).ok(201);
    let (_, newest) = publish(hub.addr(), "alice", "x", &json!(1));
    assert_eq!(newest, 101);
    let forward = ask(&hub, "?after=earliest&limit=200");
    assert!(forward.body.len() < 5 * 1024 * 1024, "{}", forward.body.len());
    let forward = forward.ok(200);
    let (got, cursor) = (seqs(&forward), seq(&forward["cursor"]));
    assert!((60..80).contains(&got.len()), "{got:?}");
    assert_eq!((got[0], got[got.len() - 1], &forward["has_more"]), (1, cursor, &json!(true)));
    for query in [String::new(), format!("?limit=200&before={}", forward["newest"].as_str().unwrap())] {
        let backward = ask(&hub, &query).ok(200);
        let got = seqs(&backward);
        assert!((60..80).contains(&got.len()), "{query} {got:?}");
        let last = if query.is_empty() { 101 } else { 100 };
        assert!(got.windows(2).all(|pair| pair[0] + 1 == pair[1]) && got[got.len() - 1] == last, "{query} {got:?}");
        // From the end: where the next page begins, and that there is none; backwards: where older ones end.
        let expected = if query.is_empty() { (101, false) } else { (got[0], true) };
        assert_eq!((seq(&backward["cursor"]), backward["has_more"] == true), expected, "{query}");
    }
}

#[test]
fn before_a_cursor_that_can_t_be_honoured() {
    let (hub, mark) = hub(3);
    create(hub.addr(), "alice", "y");
    let other = Ask::by("bob", "GET", "/v1/threads/y").send(hub.addr()).ok(200)["cursor"].as_str().unwrap().to_owned();
    for cursor in [format!("{mark}.4"), other, "AAAAAAAAAAAAAAAA.1".to_owned()] {
        assert_eq!(ask(&hub, &format!("?before={cursor}")).gone(), "unknown", "{cursor}");
    }
    for query in [
        format!("?before={mark}.3&after={mark}.1"),
        format!("?before={mark}.3&last=1"),
        format!("?before={mark}.3&wait=1"),
        "?before=earliest&fold=maybe".to_owned(),
        "?wait=61".to_owned(),
    ] {
        assert_eq!(ask(&hub, &query).refusal(), (400, "query.invalid".to_owned()), "{query}");
    }
    for query in ["before=", "wait=1&", "limit=1&"] {
        let stream = Ask::stream("bob", "/v1/threads/x/events").query(&format!("{query}x"));
        assert_eq!(stream.send(hub.addr()).refusal(), (400, "query.invalid".to_owned()), "{query}");
    }
}
