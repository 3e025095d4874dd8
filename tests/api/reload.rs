//! A hub that reads its configuration again while it runs: what changes, what stays, and that nobody is dropped.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::process::{BINARY, Guarded, Process, clean, own_host};
use crate::support::sse::Stream;
use crate::support::token::{SECRET, claims, sign_with};
use crate::support::ws::{Came, Ws};

const DONE: &str = "the configuration and the keys were read again";
const REFUSED: &str = "the configuration is not accepted; nothing has changed";
const NEW_SECRET: &str = "another-secret-that-these-tests-know-of";

/// A hub with a file of settings, and the name of that file.
fn configured(dir: &Path, settings: &str) -> Process {
    std::fs::write(dir.join("key"), SECRET).unwrap();
    write(dir, settings);
    let hub = Process::configured(&dir.join("data"), &format!("{}:0", own_host()), &dir.join("tambour.toml"));
    create(hub.addr, "alice", "x");
    hub
}

fn write(dir: &Path, settings: &str) {
    let key = dir.join("key");
    let all = format!("auth.secret_file = '{}'\nhttp.workers = 2\n{settings}", key.display());
    std::fs::write(dir.join("tambour.toml"), all).unwrap();
}

/// The status of a request of a page.
fn from_page(hub: &Process, origin: &str) -> u16 {
    Ask::by("alice", "GET", "/v1/threads/x").with("origin", origin).send(hub.addr).status
}

#[test]
fn nobody_is_dropped_and_what_can_change_does() {
    let dir = TempDir::new().unwrap();
    let hub = configured(dir.path(), "");
    let mut stream = Stream::open(hub.addr, &Ask::stream("alice", "/v1/threads/x/events"));
    let mut ws = Ws::session(hub.addr, "bob");
    ws.subscribe("thread/x", &json!({}));
    assert_eq!(from_page(&hub, "https://new.example"), 403);
    write(dir.path(), "http.allowed_origins = ['https://new.example']\nstore.readers = 3\nlimits.connections_max = 7");
    hub.reload_until(DONE);
    assert_eq!(from_page(&hub, "https://new.example"), 200);
    let limits = Ask::by("alice", "GET", "/v1/limits").send(hub.addr).ok(200);
    assert_eq!(limits["connections"]["all"]["max"], 7);
    let said = hub.said();
    for line in [
        r#"applied: http.allowed_origins is [\"https://new.example\"], was []"#,
        "applied: limits.connections_max is 7, was 100000",
        "needs a restart: store.readers stays 2, not 3",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    // Whoever was there goes on as if nothing had happened.
    publish(hub.addr, "alice", "x", &json!("after"));
    assert_eq!(stream.event()["data"], "after");
    assert_eq!(ws.event()["data"], "after");
    ws.send(&json!({"t": "publish", "topic": "thread/x", "type": "note", "data": "of a session"}));
    assert_eq!(stream.event()["data"], "of a session");
    // What was taken away is gone as well.
    write(dir.path(), "");
    hub.reload_until(DONE);
    assert_eq!(from_page(&hub, "https://new.example"), 403);
}

#[test]
fn another_key_is_for_new_requests() {
    let dir = TempDir::new().unwrap();
    let hub = configured(dir.path(), "");
    let mut stream = Stream::open(hub.addr, &Ask::stream("alice", "/v1/threads/x/events"));
    let mut ws = Ws::session(hub.addr, "bob");
    // The settings are the same; what is in the file is not.
    std::fs::write(dir.path().join("key"), NEW_SECRET).unwrap();
    hub.reload_until(DONE);
    let old = Ask::by("alice", "POST", "/v1/threads/x/events").json(json!({"type": "note", "data": 1}));
    assert_eq!(old.send(hub.addr).refusal(), (401, "auth.token_invalid".to_owned()));
    assert_eq!(Ask::stream("alice", "/v1/threads/x/events").send(hub.addr).refusal().0, 401);
    let token = sign_with(&claims("alice", "member"), jsonwebtoken::Algorithm::HS256, NEW_SECRET);
    old.with("authorization", &format!("Bearer {token}")).send(hub.addr).ok(201);
    assert_eq!(stream.event()["data"], 1, "a stream lives until its token's own end");
    // A session is renewed by the new key alone.
    let token = sign_with(&claims("bob", "member"), jsonwebtoken::Algorithm::HS256, NEW_SECRET);
    ws.send(&json!({"t": "auth", "token": token}));
    ws.expect("welcome");
    let token = sign_with(&claims("bob", "member"), jsonwebtoken::Algorithm::HS256, SECRET);
    ws.send(&json!({"t": "auth", "token": token}));
    assert_eq!(ws.error(), "auth.token_invalid");
    assert_eq!(ws.came(), Came::Closed(4401));
}

#[test]
fn what_is_not_accepted_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let hub = configured(dir.path(), "http.allowed_origins = ['https://old.example']");
    let mut stream = Stream::open(hub.addr, &Ask::stream("alice", "/v1/threads/x/events"));
    let good = "http.allowed_origins = ['https://new.example']\n";
    for (bad, word) in [
        ("[http", "not TOML"),
        ("http.listn = 1", "http.listen"),
        ("limits.connections_max = 0", "limits.connections_max"),
        ("auth.secret = 'two of them are one too many, as ever'", "both set"),
        ("auth.algorithm = 'RS256'", "auth.public_key_file"),
        ("production = true", "auth.envs"),
    ] {
        write(dir.path(), &format!("{good}{bad}"));
        hub.reload_until(REFUSED);
        let said = hub.said();
        let line = said.lines().rfind(|line| line.contains(REFUSED)).unwrap();
        assert!(line.contains(word), "{bad}: {line} does not say {word}");
        assert_eq!(
            (from_page(&hub, "https://old.example"), from_page(&hub, "https://new.example")),
            (200, 403),
            "{bad}"
        );
    }
    std::fs::write(dir.path().join("key"), "short").unwrap();
    write(dir.path(), good);
    hub.reload_until(REFUSED);
    std::fs::remove_file(dir.path().join("tambour.toml")).unwrap();
    hub.reload_until(REFUSED);
    assert_eq!(from_page(&hub, "https://old.example"), 200);
    publish(hub.addr, "alice", "x", &json!(1));
    assert_eq!(stream.event()["data"], 1);
    assert!(!hub.said().contains(DONE));
}

#[test]
fn the_level_of_the_log_and_the_sleep_of_topics() {
    let dir = TempDir::new().unwrap();
    let hub = configured(dir.path(), "");
    let awake = || {
        let metrics = Ask::new("GET", "/metrics").send(hub.admin).text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("tambour_topics_awake ")).unwrap().to_owned();
        line.parse::<u64>().unwrap()
    };
    publish(hub.addr, "alice", "x", &json!(1));
    assert_eq!(awake(), 1);
    let restart = "needs a restart: http.keep_alive_seconds stays 75, not 7";
    write(dir.path(), "http.keep_alive_seconds = 7\ntopic.sleep_after_seconds = 1\nlog.level = 'warn'");
    hub.reload_until(restart);
    eventually("a topic that was awake sleeps sooner", || (awake() == 0).then_some(()));
    // Only warnings are written now, so the second reload is not told of.
    hub.reload_until(restart);
    assert!(!hub.said().contains(DONE), "{}", hub.said());
    write(dir.path(), "log.level = 'info'");
    hub.reload_until(DONE);
}

#[test]
fn sessions_keep_what_they_began_with() {
    let hub = Running::start();
    let addr = hub.addr();
    for id in ["a", "b"] {
        create(addr, "alice", id);
    }
    let mut old = Ws::session(addr, "alice");
    old.subscribe("thread/a", &json!({}));
    let changed = hub.reload(|set| {
        set.session.topics_max = 1;
        set.session.ws_ping_seconds = 7;
    });
    assert_eq!(changed, ["session.topics_max", "session.ws_ping_seconds"]);
    old.subscribe("thread/b", &json!({}));
    let mut new = Ws::open(addr, &Ask::by("alice", "GET", "/v1/ws"));
    assert_eq!(new.expect("welcome")["heartbeat_seconds"], 7);
    new.subscribe("thread/a", &json!({}));
    new.send(&json!({"t": "subscribe", "topic": "thread/b"}));
    assert_eq!(new.error(), "session.topics");
    old.send(&json!({"t": "auth", "token": crate::support::token::token("alice", "member")}));
    assert_eq!(old.expect("welcome")["heartbeat_seconds"], 25, "it was promised so");
}

#[test]
fn limits_below_what_there_is_drop_nobody() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let ask = Ask::stream("alice", "/v1/threads/x/events");
    let mut held: Vec<_> = (0..3).map(|_| Stream::open(addr, &ask)).collect();
    hub.reload(|set| {
        set.limits.connections_per_principal_max = 2;
        set.http.body_bytes_max = 1_024;
    });
    assert_eq!(ask.send(addr).refusal(), (429, "limit.connections_principal".to_owned()));
    let large =
        Ask::by("alice", "POST", "/v1/threads/x/events").json(json!({"type": "note", "data": "x".repeat(1_024)}));
    assert_eq!(large.send(addr).refusal(), (413, "body.too_large".to_owned()));
    publish(addr, "alice", "x", &json!(1));
    for stream in &mut held {
        assert_eq!(stream.event()["data"], 1);
    }
    assert_eq!(
        hub.reload(|set| set.limits.connections_per_principal_max = 4),
        ["limits.connections_per_principal_max"]
    );
    held.push(Stream::open(addr, &ask));
    assert_eq!(ask.send(addr).refusal(), (429, "limit.connections_principal".to_owned()));
}

/// The window that a hub was started in is closed: nobody wants it to go on and hold its directory.
#[test]
fn a_closed_terminal_ends_it() {
    let dir = TempDir::new().unwrap();
    let host = own_host();
    let hub = format!("{BINARY} serve --listen {host}:0 --admin-listen 127.0.0.1:0 --data {}", dir.path().display());
    let mut terminal = Command::new("script");
    clean(&mut terminal);
    terminal.args(["--quiet", "--flush", "--command", &hub, "/dev/null"]).stdin(Stdio::piped());
    let mut terminal = Guarded(terminal.spawn().unwrap());
    let mut lines = BufReader::new(terminal.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("listening on")));
    let lock = || std::fs::File::open(dir.path().join("lock")).unwrap();
    assert!(lock().try_lock_shared().is_err(), "the hub has its directory");
    terminal.0.kill().unwrap();
    eventually("the hub has given its directory back", || lock().try_lock_shared().ok());
}
