//! An operator's console, from its token to the end of it, over a hub that crashes.

use serde_json::json;
use tempfile::TempDir;

use super::{EVENTS, Tab};
use crate::support::http::{Ask, create, publish};
use crate::support::process::{Process, own_host};
use crate::support::token::{altered, claims, now, sign};

#[test]
fn one_url_from_its_making_to_its_parents_end() {
    let (dir, host) = (TempDir::new().unwrap(), own_host());
    let variables = [("TAMBOUR__LOG__LEVEL", "debug"), ("TAMBOUR__TOKENS__KEEP_SECONDS", "1")];
    let mut hub = Process::start(dir.path(), &format!("{host}:0"), &variables);
    let addr = hub.addr;
    create(addr, "alice", "x");
    let parent = sign(&altered(claims("olga", "member"), json!({ "jti": "the-parent", "exp": now() + 30 })));
    let made = Ask::by("olga", "POST", "/v1/stream-tokens").json(json!({ "topics": ["thread/x"] }));
    let made = made.with("authorization", &format!("Bearer {parent}")).send(addr);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.ok(201);
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(made["expires_in"].as_i64().is_some_and(|seconds| (20..=30).contains(&seconds)), "its parent ends first");

    // A stream that drops, and comes back with the same URL.
    let mut tab = Tab::open(addr, EVENTS, &token);
    publish(addr, "alice", "x", &json!("one"));
    assert_eq!(tab.next(), "one");
    tab.stream.connection().finish();
    publish(addr, "alice", "x", &json!("two"));
    tab.reconnect();
    assert_eq!(tab.next(), "two");

    // Two tabs: the older is told, and the newer goes on.
    let mut other = Tab::open(addr, EVENTS, &token);
    tab.expect_replaced();
    publish(addr, "alice", "x", &json!("three"));
    assert_eq!(other.next(), "three");

    // The hub crashes under the stream, and comes back where it was.
    hub.kill();
    assert!(other.stream.next().is_none());
    let before = hub.said();
    let hub = Process::start(dir.path(), &addr.to_string(), &variables);
    publish(addr, "alice", "x", &json!("four"));
    other.reconnect();
    assert_eq!(other.next(), "four");

    // Its parent's end is its own, also of the stream that lives.
    let (name, _) = other.stream.named();
    assert_eq!(name, "token_expiring");
    assert!(other.stream.next().is_none());
    assert_eq!(other.again().send(addr).refusal(), (401, "auth.token_invalid".to_owned()));

    // The token is in no log, and in no file.
    for said in [before, hub.said()] {
        assert!(said.contains("listening") && !said.contains(&token[4..]), "{said}");
    }
    drop(hub);
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(43).any(|window| window == &token.as_bytes()[4..]));
    }
}
