//! Service keys: made, used, rotated, revoked; what they may and what they may not; and that no token is anywhere but in
//! the answer that made it.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::authority::{admin, by, key, keyed, put, refused, with};
use crate::support::eventually;
use crate::support::http::{Ask, create};
use crate::support::hub::Running;
use crate::support::process::{Process, finished, own_host, tambour};
use crate::support::sse::Stream;
use crate::support::token::{TENANT, altered, claims, now, token};
use crate::support::ws::Ws;

const PATH: &str = "/v1/threads/x/events";

fn hub() -> Running {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    hub
}

fn note(data: &str) -> Value {
    json!({ "type": "note", "data": data })
}

#[test]
fn from_its_making_to_its_end() {
    let hub = hub();
    let addr = hub.addr();
    let body = json!({ "name": "The bot", "actor_type": "system", "role": "viewer", "permissions": ["threads:write"],
        "expires_at": "2099-01-01T00:00:00+01:00" });
    let made = admin("POST", "/v1/keys").json(&body).send(addr);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.ok(201);
    let (id, first) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert!(id.starts_with("key:") && id.as_bytes()[18] == b'7', "key: and a UUIDv7: {id}");
    assert!(first.starts_with("tsk_") && first.len() == 47, "256 bits");
    let expected = json!({ "id": id, "name": "The bot", "tenant_id": TENANT, "env": "dev", "actor_type": "system",
        "role": "viewer", "permissions": ["threads:write"], "expires_at": "2098-12-31T23:00:00.000Z",
        "created_by": "ada", "created_at": made["created_at"] });
    assert_eq!(altered(made.clone(), json!({ "token": null })), expected);
    assert_eq!(admin("GET", "/v1/keys").send(addr).ok(200), json!({ "keys": [expected], "has_more": false }));
    // It says no tenant and no env: it has them. A viewer writes nothing, whatever key they have.
    let mut stream = Stream::open(addr, &Ask::stream("bob", PATH));
    assert_eq!(keyed(first, "POST", PATH).json(note("no")).send(addr).refusal().1, "permission.denied");
    let (member_id, member) = key(addr, json!({}));
    keyed(&member, "POST", PATH).json(note("yes")).send(addr).ok(201);
    let event = stream.event();
    assert_eq!((&event["routing"]["actor_id"], &event["routing"]["actor_type"]), (&json!(member_id), &json!("agent")));
    // Rotated: both are good for a while. Revoked: none.
    let rotate = |id: &str| admin("POST", &format!("/v1/keys/{id}/rotate")).send(addr).ok(200);
    let rotated = rotate(id);
    let second = rotated["token"].as_str().unwrap();
    assert!(rotated["token_before_until"].as_str() > rotated["rotated_at"].as_str() && second != first);
    let status = |token: &str| keyed(token, "GET", "/v1/threads").send(addr).status;
    assert_eq!([status(first), status(second)], [200, 200]);
    let third = rotate(id)["token"].as_str().unwrap().to_owned();
    assert_eq!([status(first), status(second), status(&third)], [401, 200, 200], "of two before, one is good");
    hub.reload(|set| set.keys.rotation_grace_seconds = 0);
    let fourth = rotate(id)["token"].as_str().unwrap().to_owned();
    let late = keyed(&third, "GET", "/v1/threads").send(addr);
    assert_eq!(late.refusal(), (401, "auth.token_expired".to_owned()));
    assert_eq!(status(&fourth), 200);
    admin("DELETE", &format!("/v1/keys/{id}")).send(addr).ok(204);
    for token in [first, second, &third, &fourth] {
        assert_eq!(keyed(token, "GET", "/v1/threads").send(addr).refusal(), (401, "auth.token_invalid".to_owned()));
    }
    assert_eq!(admin("DELETE", &format!("/v1/keys/{id}")).send(addr).refusal(), (404, "key.unknown".to_owned()));
    assert_eq!(admin("POST", &format!("/v1/keys/{id}/rotate")).send(addr).refusal().1, "key.unknown");
    assert_eq!(status(&member), 200, "another key is another key");
}

#[test]
fn what_it_opens_and_where() {
    let hub = hub();
    let addr = hub.addr();
    let (id, token) = key(addr, json!({}));
    for (header, value) in [("x-tenant-id", "t_other"), ("x-env", "prod")] {
        let ask = keyed(&token, "GET", "/v1/threads").with(header, value);
        assert_eq!(ask.send(addr).refusal(), (400, "context.mismatch".to_owned()), "{header}");
    }
    keyed(&token, "GET", "/v1/threads").with("x-tenant-id", TENANT).with("x-env", "dev").send(addr).ok(200);
    let page = keyed(&token, "GET", PATH).send(addr).ok(200);
    assert_eq!(page["events"], json!([]));
    let wrong = (401, "auth.wrong_tier".to_owned());
    let streams = [
        keyed(&token, "GET", PATH).with("accept", "text/event-stream"),
        keyed(&token, "GET", "/v1/stream?topics=thread/x").with("accept", "text/event-stream"),
        keyed(&token, "GET", PATH).query("wait=1"),
        keyed(&token, "GET", "/v1/ws").upgrade(),
        keyed(&token, "GET", "/v1/threads/x/ws").upgrade(),
    ];
    for ask in streams {
        assert_eq!(ask.send(addr).refusal(), wrong, "{}", ask.path);
    }
    let mut ws = Ws::open(addr, &Ask::new("GET", "/v1/ws"));
    ws.send(&json!({ "t": "hello", "token": token, "tenant_id": TENANT, "env": "dev" }));
    assert_eq!((ws.error(), ws.closed()), ("auth.wrong_tier".to_owned(), 4401));
    for none in ["tsk_", "tsk_x", &format!("{token}x"), &token[..46]] {
        assert_eq!(keyed(none, "GET", "/v1/threads").send(addr).refusal(), (401, "auth.token_invalid".to_owned()));
    }
    // A key is a principal like others: it is suspended like others.
    put(addr, &id, &json!({ "state": "suspended" }));
    assert_eq!(keyed(&token, "GET", "/v1/threads").send(addr).refusal(), (403, "auth.suspended".to_owned()));
    put(addr, &id, &json!({ "state": "active" }));
    keyed(&token, "GET", "/v1/threads").send(addr).ok(200);
    let role = admin("PUT", &format!("/v1/principals/{id}")).json(json!({ "state": "active", "role": "viewer" }));
    assert_eq!(role.send(addr).refusal(), (400, "body.invalid".to_owned()));
    let past = json!({ "name": "b", "actor_type": "agent", "role": "member", "expires_at": "2020-01-01T00:00:00Z" });
    assert_eq!(admin("POST", "/v1/keys").json(past).send(addr).refusal(), (400, "body.invalid".to_owned()));
}

#[test]
fn it_acts_for_somebody() {
    let hub = hub();
    let addr = hub.addr();
    let (_, plain) = key(addr, json!({}));
    let (id, acting) = key(addr, json!({ "permissions": ["principals:act"] }));
    let publish = |token: &str, sub: &str| keyed(token, "POST", PATH).with("x-act-as", sub).json(note("x")).send(addr);
    let mut stream = Stream::open(addr, &Ask::stream("bob", PATH));
    publish(&acting, "carol").ok(201);
    let routing = stream.event()["routing"].take();
    assert_eq!((&routing["actor_id"], &routing["acts_for"]), (&json!(id), &json!("carol")));
    let page = Ask::by("bob", "GET", PATH).send(addr).ok(200);
    assert_eq!(page["events"][0]["routing"], routing);
    let forbidden = (403, "permission.denied".to_owned());
    assert_eq!(refused(&publish(&plain, "carol")), forbidden);
    for role in ["member", "owner"] {
        let human = by("bob", role, "POST", PATH).with("x-act-as", "carol").json(note("x")).send(addr);
        assert_eq!(refused(&human), forbidden, "people act for themselves: {role}");
        let stream = by("bob", role, "GET", PATH).with("x-act-as", "carol").with("accept", "text/event-stream");
        assert_eq!(refused(&stream.send(addr)), forbidden);
    }
    assert_eq!(publish(&acting, "").refusal(), (400, "request.malformed".to_owned()));
    put(addr, "carol", &json!({ "state": "suspended" }));
    assert_eq!(publish(&acting, "carol").refusal(), (403, "auth.suspended".to_owned()));
    // It says who has made a topic; a person says it of nobody, not even of themselves.
    let make = json!({ "id": "of-dave", "visibility": "private", "creator": "dave" });
    for (method, path) in [("POST", "/v1/threads"), ("POST", "/v1/canvases")] {
        assert_eq!(keyed(&plain, method, path).json(&make).send(addr).ok(201)["creator"], "dave");
        let human = by("dave", "owner", method, path).json(altered(make.clone(), json!({ "id": "other" })));
        assert_eq!(human.send(addr).refusal(), forbidden);
    }
    Ask::by("dave", "GET", "/v1/threads/of-dave").send(addr).ok(200);
    assert_eq!(keyed(&plain, "GET", "/v1/threads/of-dave").send(addr).status, 403);
    let bad = altered(make, json!({ "creator": "" }));
    assert_eq!(keyed(&plain, "POST", "/v1/threads").json(bad).send(addr).refusal(), (400, "body.invalid".to_owned()));
}

#[test]
fn nobody_makes_more_than_they_have() {
    let hub = hub();
    let addr = hub.addr();
    let forbidden = (403, "permission.denied".to_owned());
    let new = |role: &str, permissions: Value| json!({ "name": "b", "actor_type": "agent", "role": role, "permissions": permissions });
    assert_eq!(refused(&admin("POST", "/v1/keys").json(new("owner", json!([]))).send(addr)), forbidden);
    for role in ["member", "viewer"] {
        for (method, path) in [("POST", "/v1/keys"), ("GET", "/v1/keys"), ("DELETE", "/v1/keys/key:x")] {
            let refused = by("bob", role, method, path).send(addr).refusal_with(&["permission"]);
            assert_eq!(refused, forbidden, "{role} {method} {path}");
        }
    }
    // A member whose token says `keys:write`.
    let permissions = json!({ "permissions": { TENANT: ["keys:write"], "t_other": ["sessions:read"] } });
    let member = altered(claims("mia", "member"), permissions);
    let make = |body: Value| with(Ask::by("mia", "POST", "/v1/keys"), &member).json(body).send(addr);
    make(new("member", json!(["keys:write", "threads:write"]))).ok(201);
    assert_eq!(refused(&make(new("admin", json!([])))), forbidden);
    for lacking in ["sessions:read", "principals:act"] {
        let answer = make(new("viewer", json!([lacking])));
        assert_eq!(refused(&answer), forbidden);
        assert_eq!(answer.json()["permission"], lacking);
    }
    let (of_admin, _) = key(addr, json!({ "role": "admin" }));
    for (method, path) in [("POST", format!("/v1/keys/{of_admin}/rotate")), ("DELETE", format!("/v1/keys/{of_admin}"))]
    {
        let ask = with(Ask::by("mia", method, &path), &member);
        assert_eq!(refused(&ask.send(addr)), forbidden, "{method} {path}");
    }
    // A key makes keys, and no more than it has either.
    let (_, maker) = key(addr, json!({ "permissions": ["keys:write"] }));
    keyed(&maker, "POST", "/v1/keys").json(new("viewer", json!(["keys:write"]))).send(addr).ok(201);
    assert_eq!(refused(&keyed(&maker, "POST", "/v1/keys").json(new("admin", json!([]))).send(addr)), forbidden);
    // Pages of keys, ascending.
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let page = admin("GET", &format!("/v1/keys?limit=2&after={after}")).send(addr).ok(200);
        ids.extend(page["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()));
        after = ids.last().unwrap().clone();
        if page["has_more"] == false {
            break;
        }
    }
    assert!(ids.len() == 4 && ids.is_sorted(), "{ids:?}");
    for query in ["limit=0", "limit=501", "nonsense=1"] {
        let asked = admin("GET", &format!("/v1/keys?{query}")).send(addr);
        assert_eq!(asked.refusal(), (400, "query.invalid".to_owned()), "{query}");
    }
}

#[test]
fn it_expires() {
    let hub = hub();
    let expires_at = time::OffsetDateTime::from_unix_timestamp(now() + 2).unwrap();
    let expires_at = expires_at.format(&time::format_description::well_known::Rfc3339).unwrap();
    let (_, token) = key(hub.addr(), json!({ "expires_at": expires_at }));
    let ask = || keyed(&token, "GET", "/v1/threads").send(hub.addr());
    let refused = eventually("it has expired", || Some(ask()).filter(|answer| answer.status != 200));
    assert_eq!(refused.refusal(), (401, "auth.token_expired".to_owned()));
}

/// Bytes that stand in other bytes.
fn has(place: &[u8], what: &[u8]) -> bool {
    place.windows(what.len()).any(|window| window == what)
}

#[test]
fn no_token_is_anywhere_but_in_the_answer_that_made_it() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let hub = Process::start(&data, &format!("{}:0", own_host()), &[("TAMBOUR__LOG__LEVEL", "trace")]);
    let addr = hub.addr;
    create(addr, "alice", "x");
    let (id, first) = key(addr, json!({}));
    let rotated = admin("POST", &format!("/v1/keys/{id}/rotate")).send(addr).ok(200);
    let second = rotated["token"].as_str().unwrap().to_owned();
    let mut said = String::new();
    for token in [&first, &second] {
        keyed(token, "POST", PATH).json(note("by a key")).send(addr).ok(201);
        for ask in [
            keyed(token, "GET", PATH),
            keyed(token, "GET", PATH).with("accept", "text/event-stream"),
            keyed(token, "GET", "/v1/threads").with("x-env", "prod"),
            keyed(&format!("{token}x"), "GET", "/v1/threads"),
            Ask::new("GET", &format!("{PATH}?token={token}")).with("accept", "text/event-stream"),
        ] {
            said.push_str(&ask.send(addr).text());
        }
    }
    for path in ["/v1/keys", "/v1/sessions", &format!("/v1/principals/{id}")] {
        said.push_str(&admin("GET", path).send(addr).text());
    }
    said.push_str(&Ask::new("GET", "/metrics").send(hub.admin).text());
    admin("DELETE", &format!("/v1/keys/{id}")).send(addr).ok(204);
    said.push_str(&hub.said());
    drop(hub);
    let files = std::fs::read_dir(&data).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let files: Vec<u8> = files.flatten().collect();
    assert!(has(&files, b"by a key"), "what is kept is looked at");
    for token in [&first, &second] {
        let secret = &token[4..];
        assert!(!said.contains(secret), "a token was said");
        assert!(!has(&files, secret.as_bytes()), "a token was kept");
        let digest = tambour::identity::service_key::digest(token);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!said.contains(&hex) && !said.contains(&format!("{digest:?}")), "a digest was said");
    }
}

#[test]
fn from_the_command_line() {
    let dir = TempDir::new().unwrap();
    let hub = Process::start(&dir.path().join("data"), &format!("{}:0", own_host()), &[]);
    create(hub.addr, "alice", "x");
    let file = dir.path().join("token");
    let run = |who: &str, args: &[&str]| {
        std::fs::write(&file, who).unwrap();
        let mut command = tambour(args);
        command.args(["--url", &hub.url, "--token-file"]).arg(&file);
        let output = finished(command);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let root = token("root", "admin");
    let told = |(code, out, err): (i32, String, String)| {
        assert_eq!((code, err.as_str()), (0, ""));
        let mut lines = out.lines().map(|line| line.split_whitespace().nth(1).unwrap().to_owned());
        (lines.next().unwrap(), lines.next().unwrap())
    };
    let args =
        ["key", "create", "my bot", "--actor-type", "system", "--key-role", "member", "--permission", "keys:write"];
    let (id, first) = told(run(&root, &args));
    let published = run(&first, &["publish", "thread/x", "hello"]);
    assert_eq!(published.0, 0, "{published:?}");
    let (same, second) = told(run(&root, &["key", "rotate", &id]));
    assert!(same == id && second != first);
    let listed = run(&second, &["key", "list"]);
    assert_eq!(listed.1, format!("{id}\tsystem\tmember\tnever\tmy bot\n"));
    assert_eq!(run(&root, &["key", "revoke", &id]).1, format!("{id} is revoked\n"));
    let (code, _, error) = run(&second, &["key", "list"]);
    assert!(code == 3 && error.contains("auth.token_invalid"), "{error}");
    let (code, _, error) = run(&token("bob", "member"), &["key", "list"]);
    assert!(code == 3 && error.contains("permission.denied"), "{error}");
    for bad in
        [&["key"][..], &["key", "create"], &["key", "rotate", "../x"], &["key", "create", "b", "--permission", "x"]]
    {
        assert_eq!(run(&root, bad).0, 2, "{bad:?}");
    }
}

#[test]
fn a_key_does_not_outlive_itself_by_another() {
    let hub = hub();
    let addr = hub.addr();
    let expires_at = "2099-01-01T00:00:00Z";
    let (_, token) = key(addr, json!({ "permissions": ["keys:write"], "expires_at": expires_at }));
    let make = |token: &str, more: Value| {
        let body = altered(json!({ "name": "child", "actor_type": "agent", "role": "member" }), more);
        keyed(token, "POST", "/v1/keys").json(body).send(addr)
    };
    for more in [json!({}), json!({ "expires_at": "2099-01-01T00:00:01Z" })] {
        assert_eq!(make(&token, more).refusal(), (400, "body.invalid".to_owned()));
    }
    make(&token, json!({ "expires_at": expires_at })).ok(201);
}

#[test]
fn a_token_that_was_replaced_administers_no_keys() {
    let hub = hub();
    let addr = hub.addr();
    let (id, old) = key(addr, json!({ "permissions": ["keys:write"] }));
    let rotate = |token: &str| keyed(token, "POST", &format!("/v1/keys/{id}/rotate")).send(addr);
    let new = rotate(&old).ok(200)["token"].as_str().unwrap().to_owned();
    // Who has the old one is perhaps who it was replaced because of.
    keyed(&old, "GET", "/v1/threads/x").send(addr).ok(200);
    assert_eq!(refused(&rotate(&old)), (403, "permission.denied".to_owned()));
    assert_eq!(
        refused(&keyed(&old, "DELETE", &format!("/v1/keys/{id}")).send(addr)),
        (403, "permission.denied".to_owned())
    );
    rotate(&new).ok(200);
}

#[test]
fn a_key_does_not_free_who_made_it() {
    let hub = hub();
    let addr = hub.addr();
    let (_, token) = key(addr, json!({ "role": "admin" }));
    put(addr, "ada", &json!({ "state": "suspended" }));
    let free = keyed(&token, "PUT", "/v1/principals/ada").json(json!({ "state": "active" })).send(addr);
    assert_eq!(refused(&free), (403, "permission.denied".to_owned()));
}
