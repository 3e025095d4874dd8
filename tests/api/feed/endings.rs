//! What is taken away from who reads the feed: by a restart nothing; by retention, deletion and rights what they should.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{by_pages, feed, next, next_frame, position, said, stream};
use crate::support::authority::by;
use crate::support::eventually;
use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::ws::Ws;

/// How soon what changes a right must be with its readers.
const SOON: Duration = Duration::from_secs(1);

#[test]
fn a_restart_changes_nothing() {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    publish(hub.addr(), "alice", "x", &json!(1));
    let ada = feed("ada", "admin");
    let before = by_pages(hub.addr(), &ada, 10);
    let last = before[1]["feed_id"].as_str().unwrap().to_owned();
    let hub = hub.restart(|_| ());
    publish(hub.addr(), "alice", "x", &json!(2));
    let after = by_pages(hub.addr(), &ada, 10);
    assert_eq!((&after[..2], &after[2]["data"]), (&before[..], &json!(2)));
    let mut stream = stream(hub.addr(), &ada.with("last-event-id", &last));
    assert_eq!(next(&mut stream), after[2], "no gap, nothing twice");
}

#[test]
fn who_stands_before_what_retention_took_is_told_once() {
    let hub = Running::with(|settings| {
        settings.retention.every_seconds = 1;
        settings.retention.thread_count_max = 10;
    });
    let addr = hub.addr();
    create(addr, "alice", "x");
    create(addr, "alice", "y");
    let (kept, _) = publish(addr, "alice", "y", &json!("kept"));
    let ada = feed("ada", "admin");
    let first = by_pages(addr, &ada, 10)[0]["feed_id"].as_str().unwrap().to_owned();
    let notes: Vec<Value> = (1..=30).map(|n| json!({ "type": "note", "data": n })).collect();
    Ask::by("alice", "POST", "/v1/threads/x/events").json(json!(notes)).send(addr).ok(201);
    let refused = eventually("retention takes some", || {
        let answer = ada.clone().query(&format!("after={first}")).send(addr);
        let thread = Ask::by("alice", "GET", "/v1/threads/x").send(addr).ok(200);
        (answer.status == 410 && thread["oldest"].as_str().unwrap().ends_with(".21")).then_some(answer)
    });
    assert_eq!(refused.gone(), "trimmed");
    // From where nothing was taken it goes on, and all that is kept is there from the beginning.
    let floor = ada.clone().query("last=0").send(addr).ok(200)["oldest"].as_str().unwrap().to_owned();
    let behind = ada.clone().query(&format!("after={floor}")).send(addr).ok(200);
    assert_eq!(behind["events"].as_array().unwrap().len(), 10);
    let all = by_pages(addr, &ada, 7);
    let told: Vec<String> = all.iter().map(said).collect();
    assert_eq!(told[..3], ["thread.created thread/x", "thread.created thread/y", "note y"]);
    assert_eq!((told.len(), &all[2]["id"]), (13, &json!(kept)));
    // What is before a cursor needs nothing of what was taken.
    let before = ada.clone().query(&format!("before={first}")).send(addr).ok(200);
    assert_eq!(before["events"], json!([]));
    // A stream is told a gap, then what is kept behind that same cursor.
    let mut sse = stream(addr, &ada.with("last-event-id", &first));
    let (name, gap) = sse.named();
    assert_eq!((name.as_str(), &gap["reason"], &gap["oldest"]), ("gap", &json!("trimmed"), &json!(floor)));
    assert_eq!((0..12).map(|_| next(&mut sse)).collect::<Vec<_>>(), all[1..]);
    let mut ws = Ws::open(addr, &by("ada", "admin", "GET", "/v1/ws"));
    ws.expect("welcome");
    ws.subscribe("feed", &json!({ "after": first }));
    assert_eq!(ws.expect("gap")["reason"], "trimmed");
    assert_eq!((0..12).map(|_| next_frame(&mut ws)).collect::<Vec<_>>(), all[1..]);
}

#[test]
fn a_deleted_thread_leaves_what_was_said_about_it() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    publish(addr, "alice", "x", &json!(1));
    let ada = feed("ada", "admin");
    let mut live = stream(addr, &ada);
    Ask::by("alice", "DELETE", "/v1/threads/x").send(addr).ok(204);
    assert_eq!(said(&next(&mut live)), "thread.deleted thread/x");
    for ask in [&ada, &feed("bob", "member")] {
        let told: Vec<String> = by_pages(addr, ask, 10).iter().map(said).collect();
        assert_eq!(told, ["thread.created thread/x", "thread.deleted thread/x"]);
    }
    // Of the same name, and another life.
    create(addr, "alice", "x");
    let (id, _) = publish(addr, "alice", "x", &json!(2));
    assert_eq!(said(&next(&mut live)), "thread.created thread/x");
    assert_eq!(next(&mut live)["id"], json!(id));
}

#[test]
fn who_is_no_member_any_more_gets_nothing_of_it() {
    let hub = Running::start();
    let addr = hub.addr();
    let secret = json!({ "id": "secret", "visibility": "private", "members": [{ "sub": "mia" }] });
    Ask::by("carol", "POST", "/v1/threads").json(secret).send(addr).ok(201);
    create(addr, "carol", "open");
    let mia = feed("mia", "member");
    let mut sse = stream(addr, &mia);
    let mut ws = Ws::session(addr, "mia");
    ws.subscribe("feed", &json!({}));
    publish(addr, "carol", "secret", &json!("for mia"));
    assert_eq!((&next(&mut sse)["data"], &next_frame(&mut ws)["data"]), (&json!("for mia"), &json!("for mia")));
    let began = Instant::now();
    Ask::by("carol", "DELETE", "/v1/threads/secret/members/mia").send(addr).ok(204);
    // At once: what is written behind the answer is none of theirs, over any wire.
    publish(addr, "carol", "secret", &json!("not for mia"));
    publish(addr, "carol", "open", &json!("for all"));
    assert_eq!((&next(&mut sse)["data"], &next_frame(&mut ws)["data"]), (&json!("for all"), &json!("for all")));
    assert!(began.elapsed() < SOON * 10, "{:?}", began.elapsed());
    let told: Vec<String> = by_pages(addr, &mia, 10).iter().map(said).collect();
    assert_eq!(told, ["thread.created thread/open", "note open"], "nor is what they saw before");
}

#[test]
fn a_role_changes_what_is_seen() {
    let hub = Running::start();
    let addr = hub.addr();
    Ask::by("carol", "POST", "/v1/threads").json(json!({ "id": "secret", "visibility": "private" })).send(addr).ok(201);
    create(addr, "carol", "open");
    let mut sse = stream(addr, &feed("bob", "admin"));
    publish(addr, "carol", "secret", &json!("for admins"));
    assert_eq!(next(&mut sse)["data"], "for admins");
    crate::support::authority::put(addr, "bob", &json!({ "state": "active", "role": "member" }));
    publish(addr, "carol", "secret", &json!("not any more"));
    publish(addr, "carol", "open", &json!("for all"));
    // That they were made a member was committed while they were none, so they may be told of that.
    let told = next(&mut sse);
    let told = if told["type"] == "principal.changed" { next(&mut sse) } else { told };
    assert_eq!(told["data"], "for all");
    let told: Vec<String> = by_pages(addr, &feed("bob", "admin"), 10).iter().map(said).collect();
    assert_eq!(told, ["thread.created thread/open", "note open"]);
}

#[test]
fn without_the_permission_it_ends() {
    let hub = Running::with(|settings| settings.roles.viewer.clear());
    let addr = hub.addr();
    create(addr, "carol", "x");
    let mut sse = stream(addr, &feed("bob", "member"));
    let mut ws = Ws::session(addr, "bob");
    ws.subscribe("feed", &json!({}));
    let began = Instant::now();
    crate::support::authority::put(addr, "bob", &json!({ "state": "active", "role": "viewer" }));
    let (name, ended) = sse.named();
    assert_eq!((name.as_str(), &ended["reason"]), ("subscription_ended", &json!("forbidden")), "{ended}");
    assert_eq!(sse.next(), None);
    let ended = ws.expect("subscription_ended");
    assert_eq!((&ended["topic"], &ended["reason"]), (&json!("feed"), &json!("forbidden")));
    assert!(began.elapsed() < SOON * 10, "{:?}", began.elapsed());
    let refused = feed("bob", "member").send(addr);
    assert_eq!(refused.refusal_with(&["permission"]), (403, "permission.denied".to_owned()));
    assert!(position(&by_pages(addr, &feed("ada", "admin"), 10)[0]) > 0);
}
