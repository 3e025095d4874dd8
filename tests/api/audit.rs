//! The audit over HTTP and from the command line: what has an entry, who reads it, that it can't be changed unseen, and that
//! a crash leaves a change with its entry or without both.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use rusqlite::Connection as File;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::authority::{admin, by, foreign, key, put, revoke};
use crate::support::eventually;
use crate::support::http::{Ask, Connection, create};
use crate::support::hub::Running;
use crate::support::process::{Process, finished, own_host, tambour};
use crate::support::sse::Stream;
use crate::support::ws::Ws;

#[track_caller]
pub(crate) fn audit(addr: SocketAddr, query: &str) -> Vec<Value> {
    let list = admin("GET", &format!("/v1/audit?limit=500&{query}")).send(addr).ok(200);
    assert_eq!(list["has_more"], false);
    list["entries"].as_array().unwrap().clone()
}

/// Action, resource and outcome of each, the oldest first.
pub(crate) fn told(entries: &[Value]) -> Vec<String> {
    let of = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        format!("{} {} {}", text("action"), text("resource"), text("outcome"))
    };
    entries.iter().rev().map(of).collect()
}

#[track_caller]
fn whole(addr: SocketAddr) -> Value {
    let verdict = admin("GET", "/v1/audit/verify").send(addr).ok(200);
    assert_eq!(verdict["ok"], true, "{verdict}");
    verdict
}

fn ask(method: &str, path: &str) -> Ask {
    by("alice", "member", method, path)
}

#[test]
fn every_administrative_change_has_one_entry() {
    let hub = Running::start();
    let addr = hub.addr();
    assert_eq!((audit(addr, ""), &whole(addr)["entries"]), (vec![], &json!(0)));
    create(addr, "alice", "x");
    ask("PATCH", "/v1/threads/x").json(json!({ "title": "X", "visibility": "private" })).send(addr).ok(200);
    ask("PATCH", "/v1/threads/x").json(json!({ "title": "X" })).send(addr).ok(200);
    ask("PUT", "/v1/threads/x/members/bob").json(json!({ "can": "read" })).send(addr);
    ask("PUT", "/v1/threads/x/members/bob").json(json!({ "can": "read" })).send(addr);
    ask("DELETE", "/v1/threads/x/members/bob").send(addr);
    ask("DELETE", "/v1/threads/x/members/bob").send(addr);
    ask("POST", "/v1/threads/x/events").json(json!({ "type": "note", "data": 1 })).send(addr).ok(201);
    ask("POST", "/v1/threads/x/close").send(addr).ok(200);
    ask("POST", "/v1/threads/x/close").send(addr);
    ask("DELETE", "/v1/threads/x").send(addr);
    let (id, _) = key(addr, json!({}));
    admin("POST", &format!("/v1/keys/{id}/rotate")).send(addr).ok(200);
    admin("DELETE", &format!("/v1/keys/{id}")).send(addr);
    put(addr, "bob", &json!({ "state": "suspended" }));
    put(addr, "bob", &json!({ "state": "suspended" }));
    put(addr, "bob", &json!({ "state": "active" }));
    revoke(addr, &json!({ "jti": "0123456789-secret" }));
    revoke(addr, &json!({ "sub": "bob" }));
    let entries = audit(addr, "");
    let key = format!("key/{id}");
    let expected = [
        "threads.create thread/x",
        "threads.change thread/x",
        "threads.members.put thread/x",
        "threads.members.remove thread/x",
        "threads.close thread/x",
        "threads.delete thread/x",
        &format!("keys.create {key}"),
        &format!("keys.rotate {key}"),
        &format!("keys.revoke {key}"),
        "principals.put principal/bob",
        "principals.put principal/bob",
        "revocations.create token/01234567",
        "revocations.create principal/bob",
    ];
    assert_eq!(told(&entries), expected.map(|told| format!("{told} done")));
    let changed = &entries[entries.len() - 2];
    assert_eq!(changed["before"], json!({ "title": null, "visibility": "team" }));
    assert_eq!(changed["after"], json!({ "title": "X", "visibility": "private" }));
    assert_eq!(changed["actor"], json!({ "sub": "alice", "type": "human", "role": "member" }));
    assert!(changed["request_id"].is_string() && changed["trace_id"].is_string() && changed["ip"] == "127.0.0.1");
    let text = Value::from(entries).to_string();
    assert!(!text.contains("secret") && !text.contains("tsk_") && !text.contains("digest"), "{text}");
    assert_eq!(whole(addr)["head"]["seq"], 13);
}

#[test]
fn sessions_that_are_ended_are_one_entry() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    admin("DELETE", "/v1/sessions?principal=bob").send(addr).ok(200);
    let mut streams: Vec<_> = (0..3).map(|_| Stream::open(addr, &Ask::stream("bob", "/v1/threads/x/events"))).collect();
    assert_eq!(admin("DELETE", "/v1/sessions?principal=bob").send(addr).ok(200), json!({ "ended": 3 }));
    streams.iter_mut().for_each(|stream| assert_eq!(stream.named().0, "refused"));
    let entries = audit(addr, "action=sessions.end");
    assert_eq!(told(&entries), ["sessions.end sessions/bob done"], "nobody was ended the first time");
    assert_eq!(entries[0]["affected_count"], 3);
}

/// However many end the same sessions at once, and however long a client takes to say goodbye: each is ended once.
#[test]
fn whoever_ends_the_same_sessions_ends_them_once() {
    let hub = Running::start();
    let addr = hub.addr();
    let mut open: Vec<_> = (0..6).map(|_| Ws::session(addr, "bob")).collect();
    let end = || admin("DELETE", "/v1/sessions?principal=bob").send(addr).ok(200)["ended"].as_u64().unwrap();
    let ended: u64 = std::thread::scope(|scope| {
        let ending: Vec<_> = (0..8).map(|_| scope.spawn(end)).collect();
        ending.into_iter().map(|ending| ending.join().unwrap()).sum()
    });
    // Nobody has answered a close yet.
    assert_eq!((ended, end()), (6, 0));
    let entries = audit(addr, "action=sessions.end");
    assert_eq!(entries.iter().map(|entry| entry["affected_count"].as_u64().unwrap()).collect::<Vec<_>>(), [6]);
    open.iter_mut().for_each(|ws| assert_eq!(ws.error(), "session.ended"));
}

#[test]
fn who_a_thread_begins_with_is_in_its_entry() {
    let hub = Running::start();
    let addr = hub.addr();
    let thread = json!({ "id": "x", "visibility": "private", "members": [{ "sub": "bob", "can": "read" }] });
    ask("POST", "/v1/threads").json(thread).send(addr).ok(201);
    assert_eq!(audit(addr, "")[0]["after"]["members"], json!([{ "sub": "bob", "can": "read" }]));
    let told = admin("GET", "/v1/feed?types=thread.created").send(addr).ok(200);
    assert_eq!(told["events"][0]["data"]["members"], 1);
    let jti = json!({ "jti": "of-one-token", "expires_at": "2099-01-01T00:00:00Z" });
    revoke(addr, &jti);
    assert_eq!(audit(addr, "")[0]["after"]["expires_at"], "2099-01-01T00:00:00.000Z");
    let past = json!({ "jti": "of-another", "expires_at": "2020-01-01T00:00:00Z" });
    assert_eq!(admin("POST", "/v1/revocations").json(past).send(addr).refusal(), (400, "body.invalid".to_owned()));
}

#[test]
fn what_is_refused_to_whom_is_known_has_an_entry_up_to_a_bound() {
    let hub = Running::with(|settings| settings.audit.refusals_per_minute = 4);
    let addr = hub.addr();
    create(addr, "alice", "open");
    let private = json!({ "id": "private", "visibility": "private" });
    Ask::by("carol", "POST", "/v1/threads").json(private).send(addr).ok(201);
    // Of another tenant: not alice's to be written into.
    assert_eq!(ask("GET", "/v1/threads/open").with("x-tenant-id", "t_other").send(addr).refusal().0, 403);
    assert_eq!(ask("GET", "/v1/threads/open").with("authorization", "Bearer x.y.z").send(addr).refusal().0, 401);
    assert_eq!(ask("GET", "/v1/threads/nowhere").send(addr).refusal().0, 404);
    assert_eq!(ask("GET", "/v1/threads/private").send(addr).refusal().0, 403);
    assert_eq!(ask("GET", "/v1/keys").send(addr).status, 403);
    let mut ws = Ws::session(addr, "alice");
    ws.send(&json!({ "t": "subscribe", "topic": "thread/private" }));
    assert_eq!(ws.error(), "permission.denied");
    ws.send(&json!({ "t": "publish", "topic": "thread/private", "type": "note", "data": 1 }));
    assert_eq!(ws.error(), "permission.denied");
    let entries = eventually("four entries", || {
        let entries = audit(addr, "outcome=refused");
        (entries.len() == 4).then_some(entries)
    });
    let expected: BTreeSet<_> = [
        "threads.get thread/private refused",
        "keys.list /v1/keys refused",
        "threads.read thread/private refused",
        "threads.publish thread/private refused",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(told(&entries).into_iter().collect::<BTreeSet<_>>(), expected);
    assert!(entries.iter().all(|entry| entry["code"] == "permission.denied" && entry["actor"]["sub"] == "alice"));
    for _ in 0..50 {
        assert_eq!(ask("GET", "/v1/threads/private").send(addr).refusal().0, 403);
    }
    put(addr, "bob", &json!({ "state": "suspended" }));
    assert_eq!(by("bob", "member", "GET", "/v1/threads/open").send(addr).refusal().1, "auth.suspended");
    let mut hello = Ws::open(addr, &Ask::new("GET", "/v1/ws"));
    let token = crate::support::token::token("bob", "member");
    hello.send(&json!({ "t": "hello", "token": token, "tenant_id": "t_demo", "env": "dev" }));
    assert_eq!(hello.error(), "auth.suspended");
    let bobs = eventually("bob's entries", || {
        let entries = audit(addr, "outcome=refused&actor=bob");
        (entries.len() == 2).then_some(entries)
    });
    assert_eq!(told(&bobs), ["threads.get thread/open refused", "session.open session refused"]);
    assert_eq!(audit(addr, "outcome=refused&actor=alice").len(), 4, "the others were counted");
    whole(addr);
}

#[test]
fn what_is_too_often_has_an_entry() {
    let hub = Running::with(|settings| settings.rates.action_per_minute = 1);
    let addr = hub.addr();
    let too_often = || ask("GET", "/v1/threads").send(addr).status == 429;
    assert!(!too_often() && too_often());
    let entries = eventually("an entry", || Some(audit(addr, "outcome=refused")).filter(|entries| !entries.is_empty()));
    assert_eq!(
        (told(&entries), &entries[0]["code"]),
        (vec!["threads.list /v1/threads refused".to_owned()], &json!("rate.limited"))
    );
}

#[test]
fn formats_agree_and_pages_do() {
    let hub = Running::start();
    let addr = hub.addr();
    for n in 0..230 {
        let title = ["=1+1", "+1", "-1", "@x", "a \"quoted\", line"][n % 5];
        Ask::by("alice", "POST", "/v1/threads")
            .json(json!({ "id": format!("x{n}"), "title": title }))
            .send(addr)
            .ok(201);
    }
    Ask::by("-eve", "POST", "/v1/threads").json(json!({ "id": "y" })).send(addr).ok(201);
    let (mut pages, mut before) = (Vec::new(), String::new());
    loop {
        let page = admin("GET", &format!("/v1/audit?limit=50{before}")).send(addr).ok(200);
        pages.extend(page["entries"].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            break;
        }
        before = format!("&before={}", pages.last().unwrap()["seq"]);
    }
    pages.reverse();
    let seqs: Vec<_> = pages.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=231).collect::<Vec<_>>());
    let export = |query: &str| admin("GET", &format!("/v1/audit/export?{query}")).send(addr);
    let json: Value = export("format=json").ok(200);
    assert_eq!(json, Value::from(pages.clone()));
    let ndjson = export("").text();
    assert_eq!(ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>(), pages);
    let csv = export("format=csv");
    assert!(csv.header("content-disposition").is_some_and(|named| named.contains("audit.csv")));
    let mut table = csv::Reader::from_reader(csv.body.as_slice());
    let names: Vec<_> = table.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), pages.len());
    for (row, entry) in rows.iter().zip(&pages) {
        let cell = |name: &str| row.get(names.iter().position(|known| known == name).unwrap()).unwrap().to_owned();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        for name in
            ["seq", "time", "action", "resource", "outcome", "request_id", "affected_count", "after", "prev", "hash"]
        {
            assert_eq!(cell(name), text(&entry[name]), "{name}");
        }
        assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "{row:?}");
        assert_eq!(cell("actor").trim_start_matches('\''), entry["actor"]["sub"].as_str().unwrap());
    }
    assert_eq!(rows[230].get(4), Some("'-eve"));
    assert_eq!(export("actor=-eve").text().lines().count(), 1);
    for bad in ["format=xml", "limit=5", "since=x"] {
        assert_eq!(export(bad).refusal(), (400, "query.invalid".to_owned()), "{bad}");
    }
}

#[test]
fn each_tenant_and_env_has_its_own() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "mine");
    for (tenant, env) in [("t_other", "dev"), ("t_demo", "prod")] {
        let theirs = |method: &str, path: &str| foreign(Ask::by("ada", method, path), tenant, env);
        theirs("POST", "/v1/threads").json(json!({ "id": "theirs" })).send(addr).ok(201);
        let list = theirs("GET", "/v1/audit").send(addr).ok(200);
        let entries = list["entries"].as_array().unwrap();
        assert_eq!(told(entries), ["threads.create thread/theirs done"]);
        assert_eq!((&entries[0]["seq"], &entries[0]["prev"]), (&json!(1), &json!("0".repeat(64))));
        assert_eq!(theirs("GET", "/v1/audit/verify").send(addr).ok(200)["entries"], 1);
        assert!(!theirs("GET", "/v1/audit/export").send(addr).text().contains("mine"));
    }
    assert_eq!(told(&audit(addr, "")), ["threads.create thread/mine done"]);
}

fn verify(args: &[&str]) -> (i32, String) {
    let output = finished(tambour(&[&["audit", "verify"], args].concat()));
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn file(data: &Path) -> File {
    let file = File::open(data.join("tambour.db")).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    file
}

#[test]
fn the_command_finds_what_was_changed() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let path = data.to_str().unwrap();
    let mut hub = Process::start(&data, &format!("{}:0", own_host()), &[]);
    (0..5).for_each(|n| drop(create(hub.addr, "alice", &format!("x{n}"))));
    let (code, said) = verify(&["--data", path]);
    assert_eq!(code, 0, "{said}");
    let remembered = said.trim().strip_prefix("t_demo/dev\tok\t").unwrap().to_owned();
    let scope = ["--tenant", "t_demo", "--env", "dev"];
    let token = dir.path().join("token");
    std::fs::write(&token, crate::support::token::token("ada", "admin")).unwrap();
    let by_url = ["--url", &hub.url, "--token-file", token.to_str().unwrap(), "--expect", &remembered];
    assert_eq!(verify(&[&by_url[..], &scope].concat()), (0, said.clone()));
    let other = remembered.replace("5:", "4:");
    let by_url = ["--url", &hub.url, "--token-file", token.to_str().unwrap(), "--expect", &other];
    assert_eq!(verify(&[&by_url[..], &scope].concat()).0, 1);
    hub.kill();
    assert_eq!(verify(&[&["--data", path, "--expect", &remembered][..], &scope].concat()), (0, said));
    file(&data).execute("UPDATE audit SET actor = 'bob' WHERE seq = 3", []).unwrap();
    let (code, said) = verify(&["--data", path]);
    assert!(code == 1 && said.starts_with("t_demo/dev\tbroken at 3\tthe actor"), "{said}");
    let hub = Process::start(&data, &format!("{}:0", own_host()), &[]);
    let verdict = admin("GET", "/v1/audit/verify").send(hub.addr).ok(200);
    assert_eq!((&verdict["ok"], &verdict["first_bad"], &verdict["entries"]), (&json!(false), &json!(3), &json!(2)));
}

#[test]
fn what_can_not_be_written_down_does_not_happen() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let hub = Process::start(&data, &format!("{}:0", own_host()), &[]);
    let addr = hub.addr;
    create(addr, "alice", "x");
    let mut stream = Stream::open(addr, &Ask::stream("bob", "/v1/threads/x/events"));
    let fault = "CREATE TRIGGER fault BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'asked to by a test'); END";
    file(&data).execute_batch(fault).unwrap();
    let refused =
        |ask: Ask| assert_eq!(ask.send(addr).refusal(), (503, "store.unavailable".to_owned()), "{}", ask.path);
    refused(Ask::by("alice", "POST", "/v1/threads").json(json!({ "id": "y" })));
    refused(ask("PATCH", "/v1/threads/x").json(json!({ "title": "X" })));
    refused(ask("DELETE", "/v1/threads/x"));
    refused(admin("PUT", "/v1/principals/bob").json(json!({ "state": "suspended" })));
    refused(admin("DELETE", "/v1/sessions?principal=bob"));
    file(&data).execute_batch("DROP TRIGGER fault").unwrap();
    let event = Ask::by("bob", "POST", "/v1/threads/x/events").json(json!({ "type": "note", "data": 1 }));
    event.send(addr).ok(201);
    assert_eq!(stream.event()["data"], 1, "bob is connected, and may write");
    assert_eq!(ask("GET", "/v1/threads/x").send(addr).ok(200)["title"], Value::Null);
    assert_eq!(ask("GET", "/v1/threads/y").send(addr).status, 404);
    assert_eq!(told(&audit(addr, "")), ["threads.create thread/x done"]);
}

#[test]
fn a_crash_leaves_changes_with_their_entries() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let host = own_host();
    for round in 0..5 {
        let mut hub = Process::start(&data, &format!("{host}:0"), &[]);
        let addr = hub.addr;
        std::thread::scope(|scope| {
            for writer in 0..4 {
                scope.spawn(move || {
                    let mut connection = Connection::open(addr);
                    for n in 0.. {
                        let id = format!("{round}-{writer}-{n}");
                        let ask = Ask::by("alice", "POST", "/v1/threads").json(json!({ "id": id }));
                        // The crash ends it, wherever it is.
                        if !connection.try_send(&ask.bytes()) || connection.try_answer().is_err() {
                            return;
                        }
                    }
                });
            }
            eventually("some are made", || {
                let made: i64 = file(&data).query_row("SELECT count(*) FROM topics", [], |row| row.get(0)).unwrap();
                (made > 40 * (round + 1)).then_some(())
            });
            hub.kill();
        });
        let (code, said) = verify(&["--data", data.to_str().unwrap()]);
        assert_eq!(code, 0, "{said}");
        let read = |sql: &str| -> Vec<String> {
            let file = file(&data);
            let mut found = file.prepare(sql).unwrap();
            found.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let topics = read("SELECT 'thread/' || topic FROM topics ORDER BY 1");
        assert_eq!(read("SELECT resource FROM audit WHERE action = 'threads.create' ORDER BY 1"), topics);
        let events =
            "SELECT 'thread/' || topic FROM events JOIN topics ON about = id WHERE type = 'thread.created' ORDER BY 1";
        assert_eq!(read(events), topics);
    }
}
