//! How long a token lives: while its stream does, and a TTL longer; one for a single use, once.

use std::time::Duration;

use serde_json::json;

use super::{EVENTS, Tab, issue, url};
use crate::support::http::{Ask, Connection, create, publish};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::token::{altered, claims, now, sign};
use crate::support::ws::Ws;

fn hub() -> Running {
    let hub = Running::with(|set| {
        set.tokens.keep_seconds = 1;
        set.session.sse_comment_seconds = 1;
    });
    create(hub.addr(), "alice", "x");
    hub
}

#[test]
fn a_token_lives_while_its_stream_does() {
    let hub = hub();
    let token = issue(hub.addr(), "alice", &json!({ "ttl_seconds": 1 }));
    let never_opened = issue(hub.addr(), "alice", &json!({ "ttl_seconds": 1 }));
    let mut tab = Tab::open(hub.addr(), EVENTS, &token);
    // Several times its TTL, and that of a hub that forgot to keep it.
    tab.stream.comments(4);
    assert_eq!(url(EVENTS, &never_opened).send(hub.addr()).refusal(), (401, "auth.token_invalid".to_owned()));
    let mut other = Tab::open(hub.addr(), EVENTS, &token);
    tab.expect_replaced();
    publish(hub.addr(), "alice", "x", &json!("on"));
    assert_eq!(other.next(), "on");
    drop(other);
    // Each try is a stream, behind which it lives a TTL again: so the tries are further apart.
    let gone = (0..10).any(|_| {
        std::thread::sleep(Duration::from_millis(2_500));
        let mut connection = Connection::open(hub.addr());
        connection.send(&url(EVENTS, &token).bytes());
        connection.head().status == 401
    });
    assert!(gone, "it does not end");
}

#[test]
fn one_for_a_single_use_opens_once() {
    let hub = hub();
    let token = issue(hub.addr(), "alice", &json!({ "single_use": true }));
    // What is refused for another reason does not use it up.
    assert_eq!(url("/v1/threads/nope/events", &token).send(hub.addr()).status, 404);
    let mut tab = Tab::open(hub.addr(), EVENTS, &token);
    assert_eq!(url(EVENTS, &token).send(hub.addr()).refusal(), (401, "auth.token_invalid".to_owned()));
    publish(hub.addr(), "alice", "x", &json!("on"));
    assert_eq!(tab.next(), "on");
    tab.stream.connection().finish();
    assert_eq!(tab.again().send(hub.addr()).refusal(), (401, "auth.token_invalid".to_owned()));
}

#[test]
fn a_stream_ends_with_its_parent() {
    let hub = hub();
    let exp = now() + 3;
    let parent = sign(&altered(claims("alice", "member"), json!({ "exp": exp })));
    let made = || {
        let ask = Ask::by("alice", "POST", "/v1/stream-tokens").with("authorization", &format!("Bearer {parent}"));
        ask.send(hub.addr()).ok(201)["token"].as_str().unwrap().to_owned()
    };
    let (one, other) = (made(), made());
    let mut tab = Tab::open(hub.addr(), EVENTS, &one);
    let mut ws = Ws::open(hub.addr(), &Ask::new("GET", "/v1/ws").query(&format!("token={other}")));
    ws.expect("welcome");
    ws.expect("token_expiring");
    assert_eq!(tab.stream.named().0, "token_expiring");
    assert!(tab.stream.next().is_none());
    assert_eq!(ws.error(), "auth.token_expired");
    assert_eq!(ws.closed(), 4401);
    assert!(now() >= exp, "not before");
    assert_eq!(tab.again().send(hub.addr()).refusal(), (401, "auth.token_invalid".to_owned()));
}

#[test]
fn a_life_has_an_end_whatever_holds_it() {
    let hub = Running::with(|set| set.tokens.life_max_seconds = 2);
    create(hub.addr(), "alice", "x");
    let token = issue(hub.addr(), "alice", &json!({}));
    let mut tab = Tab::open(hub.addr(), EVENTS, &token);
    assert_eq!(tab.stream.named().0, "token_expiring");
    assert!(tab.stream.next().is_none());
    assert_eq!(tab.again().send(hub.addr()).refusal(), (401, "auth.token_invalid".to_owned()));
}

#[test]
fn the_same_url_goes_on_over_a_restart() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    let addr = hub.addr;
    create(addr, "alice", "x");
    let token = issue(addr, "alice", &json!({}));
    let mut tab = Tab::open(addr, EVENTS, &token);
    publish(addr, "alice", "x", &json!("one"));
    assert_eq!(tab.next(), "one");
    hub.child.signal("TERM");
    assert_eq!(tab.stream.named().0, "reconnect");
    assert!(tab.stream.next().is_none());
    hub.child.ended();
    let _hub = Process::start(dir.path(), &addr.to_string(), &[]);
    publish(addr, "alice", "x", &json!("two"));
    tab.reconnect();
    assert_eq!(tab.next(), "two");
}
