//! A store that an attacker has filled: what stops them is kept in spite of it, and nobody else uses the room for that.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::authority::{admin, by, key, keyed, put, revoke};
use crate::support::eventually;
use crate::support::http::{Answer, Ask, create, publish};
use crate::support::process::{Process, own_host};
use crate::support::sse::Stream;

const MIB: u64 = 1024 * 1024;
const FULL: (u16, &str) = (507, "store.full");

/// A hub whose database has this limit, in bytes.
fn start(data: &TempDir, listen: &str, file_bytes_max: u64) -> Process {
    let file_bytes_max = file_bytes_max.to_string();
    Process::start(data.path(), listen, &[("TAMBOUR__STORE__FILE_BYTES_MAX", &file_bytes_max)])
}

fn is_full(answer: &Answer) -> bool {
    answer.status == 507 && answer.refusal() == (FULL.0, FULL.1.to_owned())
}

/// Takes all the room that a member can get: by large events and small ones, by topics, and by what takes things away.
/// Of the threads `0` to `400` of theirs some are left, the answer says from which on.
#[track_caller]
fn fill(addr: SocketAddr) -> usize {
    let write = |bytes: usize| {
        let note = json!({ "type": "note", "data": "x".repeat(bytes) });
        Ask::by("mallory", "POST", "/v1/threads/spoils/events").json(note).send(addr)
    };
    let create = |n: usize| {
        let wanted = json!({ "id": format!("new-{n}"), "title": "t".repeat(200) });
        Ask::by("mallory", "POST", "/v1/threads").json(wanted).send(addr)
    };
    let delete = |n: usize| Ask::by("mallory", "DELETE", &format!("/v1/threads/{n}")).send(addr);
    // Deleting makes a little room now and then, which is filled again.
    let mut deleted = 0;
    for bytes in [32 * 1024, 2_048, 64].into_iter().cycle() {
        while !is_full(&write(bytes)) {}
        let created = (0..).find(|n| is_full(&create(*n))).expect("there is an end to it");
        for n in 0..created {
            Ask::by("mallory", "DELETE", &format!("/v1/threads/new-{n}")).send(addr);
        }
        let refused = (deleted..400).find(|n| is_full(&delete(*n))).expect("the spare has an end");
        let again = (deleted == refused) && is_full(&write(64)) && is_full(&create(100_000));
        deleted = refused;
        if again {
            break;
        }
    }
    deleted
}

/// What an admin does about it.
#[track_caller]
fn stop(addr: SocketAddr, key_id: &str, secret: &str) {
    let off = json!({ "disabled_actions": ["threads.publish", "threads.create"], "reason": "a flood" });
    admin("PUT", "/v1/kill-switch").json(off).send(addr).ok(200);
    admin("PUT", "/v1/principals/mallory").json(json!({ "state": "suspended" })).send(addr).ok(200);
    revoke(addr, &json!({ "sub": "mallory" }));
    revoke(addr, &json!({ "jti": "jti-of-mallory" }));
    admin("DELETE", &format!("/v1/keys/{key_id}")).send(addr).ok(204);
    assert_eq!(admin("DELETE", "/v1/sessions?principal=eve").send(addr).ok(200)["ended"], 1);
    admin("DELETE", "/v1/threads/room/members/eve").send(addr).ok(204);
    admin("DELETE", &format!("/v1/threads/room/events/{secret}")).send(addr).ok(204);
    admin("POST", "/v1/threads/room/close").send(addr).ok(200);
}

#[test]
fn who_fills_the_store_is_stopped_all_the_same() {
    let data = TempDir::new().unwrap();
    let mut hub = start(&data, &format!("{}:0", own_host()), 3 * MIB);
    let addr = hub.addr;
    let members = json!([{ "sub": "eve" }, { "sub": "mallory" }]);
    let room = json!({ "id": "room", "visibility": "private", "members": members });
    Ask::by("alice", "POST", "/v1/threads").json(room).send(addr).ok(201);
    let (secret, _) = publish(addr, "mallory", "room", &json!("a secret"));
    create(addr, "mallory", "spoils");
    (0..400).for_each(|n| drop(create(addr, "mallory", &n.to_string())));
    let (key_id, token) = key(addr, json!({}));
    let mut eves = Stream::open(addr, &Ask::stream("eve", "/v1/threads/room/events"));

    let left = fill(addr);
    let ready = |addr| Ask::new("GET", "/readyz").send(addr).status;
    assert_eq!(ready(addr), 503);
    // Nothing of it is for a member, whatever it takes away.
    let close = Ask::by("mallory", "POST", &format!("/v1/threads/{left}/close")).send(addr);
    assert_eq!(close.refusal(), (FULL.0, FULL.1.to_owned()));
    // Nor is what adds something, whoever wants it.
    let made = admin("POST", "/v1/keys").json(json!({ "name": "k", "actor_type": "agent", "role": "member" }));
    assert!(is_full(&made.send(addr)));

    stop(addr, &key_id, &secret);
    let told = std::iter::from_fn(|| eves.next()).last().expect("it is told why it ends");
    assert_eq!((&*told.name, told.data.contains("session.ended")), ("refused", true), "{told:?}");
    assert!(is_full(&Ask::by("alice", "PATCH", "/v1/threads/room").json(json!({ "title": "t" })).send(addr)));
    let stopped = || {
        let note = json!({ "type": "note", "data": 1 });
        let publish = Ask::by("alice", "POST", "/v1/threads/spoils/events").json(&note).send(addr);
        assert_eq!(publish.refusal_with(&["action"]), (403, "kill_switch.blocked".to_owned()));
        let listed = Ask::by("mallory", "GET", "/v1/threads").send(addr);
        assert_eq!(listed.refusal(), (401, "auth.token_revoked".to_owned()));
        let told = admin("GET", "/v1/principals/mallory").send(addr).ok(200);
        assert_eq!(told["state"], "suspended");
        assert_eq!(keyed(&token, "GET", "/v1/threads").send(addr).status, 401);
        let room = Ask::by("eve", "GET", "/v1/threads/room").send(addr);
        assert_eq!(room.refusal(), (403, "permission.denied".to_owned()));
        let shown = Ask::by("alice", "GET", "/v1/threads/room").send(addr).ok(200);
        assert_eq!(shown["closed"], true);
        let page = Ask::by("alice", "GET", "/v1/threads/room/events").send(addr).ok(200);
        assert_eq!((&page["events"][0]["data"], &page["events"][0]["redacted"]), (&Value::Null, &json!(true)));
    };
    stopped();

    hub.kill();
    let _hub = start(&data, &addr.to_string(), 3 * MIB);
    stopped();
    // And it is what they wrote that makes room again.
    admin("DELETE", "/v1/threads/spoils").send(addr).ok(204);
    (left..400).for_each(|n| drop(admin("DELETE", &format!("/v1/threads/{n}")).send(addr).ok(204)));
    eventually("there is room", || (ready(addr) == 200).then_some(()));
    admin("PUT", "/v1/kill-switch").json(json!({})).send(addr).ok(200);
    create(addr, "alice", "after");
    publish(addr, "alice", "after", &json!("at last"));
    let verified = admin("GET", "/v1/audit/verify").send(addr).ok(200);
    assert_eq!(verified["ok"], true, "{verified}");
    let actions = ["kill_switches.put", "principals.put", "revocations.create", "keys.revoke", "sessions.end"];
    for action in actions.into_iter().chain(["threads.members.remove", "threads.close", "threads.delete"]) {
        let page = admin("GET", &format!("/v1/audit?outcome=done&action={action}&actor=ada")).send(addr).ok(200);
        assert!(!page["entries"].as_array().unwrap().is_empty(), "{action}");
    }
}

#[test]
fn nobody_uses_all_of_the_reserve_up() {
    let data = TempDir::new().unwrap();
    let listen = format!("{}:0", own_host());
    let variables = [("TAMBOUR__STORE__FILE_BYTES_MAX", "1048576"), ("TAMBOUR__STORE__RESERVE_BYTES", "2097152")];
    let hub = Process::start(data.path(), &listen, &variables);
    let addr = hub.addr;
    create(addr, "mallory", "x");
    let note = json!({ "type": "note", "data": "x".repeat(8 * 1024) });
    let fill = Ask::by("mallory", "POST", "/v1/threads/x/events").json(&note);
    while !is_full(&fill.send(addr)) {}
    // An admin whose token was stolen suspends people who don't exist.
    let suspend = |who: &str, role: &str, n: usize| {
        let sub = format!("nobody-{n}-{}", "s".repeat(200));
        by(who, role, "PUT", &format!("/v1/principals/{sub}")).json(r#"{"state":"suspended"}"#).send(addr)
    };
    let admins = (0..2_000).find(|n| is_full(&suspend("ada", "admin", *n))).expect("an admin's share has an end");
    assert!(admins > 20, "{admins}");
    // An owner stops them.
    put(addr, "ada", &json!({ "state": "suspended" }));
    assert_eq!(suspend("ada", "admin", 5_000).refusal(), (403, "auth.suspended".to_owned()));
    let owners = (5_000..7_000).find(|n| is_full(&suspend("olga", "owner", *n))).expect("so has an owner's");
    assert!(owners > 5_020, "{owners}");
    // What is done needs no more room.
    assert_eq!(by("olga", "owner", "GET", "/v1/principals/ada").send(addr).ok(200)["state"], "suspended");
}
