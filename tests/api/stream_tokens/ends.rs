//! What ends with what a stream token was made from: its stream, at once, and the token itself.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{EVENTS, Tab, issue, url};
use crate::support::authority::{self, admin, claims_of, key, keyed, put, revoke, with};
use crate::support::http::{Ask, Connection, create, publish};
use crate::support::hub::Running;
use crate::support::ws::Ws;

/// A token that bob makes with a main token of his that has an id.
#[track_caller]
fn bobs(addr: SocketAddr, body: &Value) -> String {
    let ask = with(Ask::by("bob", "POST", "/v1/stream-tokens"), &claims_of("bob", "member")).json(body);
    ask.send(addr).ok(201)["token"].as_str().unwrap().to_owned()
}

/// What happens, how it is made to happen, and what the stream is told.
type Cause = (&'static str, fn(SocketAddr), u16, &'static str);

/// The tab is told why, its stream ends, and the URL is worth nothing any more.
#[track_caller]
fn ends(tab: &mut Tab, status: u16, code: &str) {
    assert_eq!(tab.stream.named(), ("refused".to_owned(), json!({ "code": code, "status": status })));
    assert!(tab.stream.next().is_none(), "and it ends");
    assert!([401, 403].contains(&tab.again().send(tab.addr).status), "an EventSource gives up");
}

#[test]
fn whatever_is_said_of_its_maker_ends_it() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let causes: [Cause; 3] = [
        ("jti", |addr| drop(revoke(addr, &json!({ "jti": "jti-of-bob" }))), 401, "auth.token_revoked"),
        ("suspended", |addr| drop(put(addr, "bob", &json!({ "state": "suspended" }))), 403, "auth.suspended"),
        ("sub", |addr| drop(revoke(addr, &json!({ "sub": "bob" }))), 401, "auth.token_revoked"),
    ];
    for (place, (cause, act, status, code)) in causes.into_iter().enumerate() {
        // Only the first has an id that is revoked; the others come with another.
        let claims = json!({ "jti": format!("jti-of-bob{}", "x".repeat(place)) });
        let claims = crate::support::token::altered(claims_of("bob", "member"), claims);
        let ask = with(Ask::by("bob", "POST", "/v1/stream-tokens"), &claims).json(json!({}));
        let token = ask.send(addr).ok(201)["token"].as_str().unwrap().to_owned();
        let mut tab = Tab::open(addr, EVENTS, &token);
        publish(addr, "alice", "x", &json!(cause));
        assert_eq!(tab.next(), cause);
        act(addr);
        ends(&mut tab, status, code);
        put(addr, "bob", &json!({ "state": "active" }));
        assert_eq!(url(EVENTS, &token).send(addr).status, 401, "{cause}: it does not come back");
    }
}

#[test]
fn who_is_signed_in_by_a_key_leaves_with_it() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let (id, token) = key(addr, json!({ "permissions": ["principals:sign_in"] }));
    let ask = |body: Value| keyed(&token, "POST", "/v1/stream-tokens").json(body).send(addr);
    let made = ask(json!({ "for": { "sub": "zoe", "role": "viewer" }, "rights": ["read", "write"] })).ok(201);
    let made = made["token"].as_str().unwrap();
    let mut tab = Tab::open(addr, EVENTS, made);
    publish(addr, "alice", "x", &json!("hello zoe"));
    assert_eq!(tab.next(), "hello zoe");
    let who = admin("GET", "/v1/sessions?principal=zoe").send(addr).ok(200);
    assert_eq!(
        (&who["sessions"][0]["sub"], &who["sessions"][0]["role"], &who["sessions"][0]["actor_type"]),
        (&json!("zoe"), &json!("viewer"), &json!("human"))
    );
    // No more than the key has, and nobody but a key speaks for somebody.
    for role in ["admin", "owner"] {
        let refused = ask(json!({ "for": { "sub": "zoe", "role": role } })).refusal();
        assert_eq!(refused, (403, "permission.denied".to_owned()), "{role}");
    }
    let person =
        Ask::by("alice", "POST", "/v1/stream-tokens").json(json!({ "for": { "sub": "zoe", "role": "viewer" } }));
    assert_eq!(person.send(addr).refusal(), (403, "permission.denied".to_owned()));
    // Nor does any key: that is a right of its own, which nobody below an admin gives.
    let (_, plain) = key(addr, json!({}));
    let body = json!({ "for": { "sub": "zoe", "role": "viewer" } });
    let refused = keyed(&plain, "POST", "/v1/stream-tokens").json(body).send(addr);
    assert_eq!(authority::refused(&refused), (403, "permission.denied".to_owned()));
    // A viewer writes nothing, whatever rights the token was asked for with.
    let mut ws = Ws::open(addr, &Ask::new("GET", "/v1/threads/x/ws").query(&format!("token={made}")));
    tab.expect_replaced();
    ws.expect("welcome");
    ws.expect("subscribed");
    ws.send(&json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": 1 }));
    assert_eq!(ws.error(), "permission.denied");
    admin("DELETE", &format!("/v1/keys/{id}")).send(addr);
    assert_eq!((ws.error().as_str(), ws.closed()), ("auth.token_revoked", 4401));
    assert_eq!(url(EVENTS, made).send(addr).status, 401);
}

#[test]
fn what_was_made_with_a_replaced_token_of_a_key_ends_with_it() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let (id, first) = key(addr, json!({ "permissions": ["principals:sign_in"] }));
    let sign_in = |token: &str, sub: &str| {
        let body = json!({ "for": { "sub": sub, "role": "viewer" } });
        let made = keyed(token, "POST", "/v1/stream-tokens").json(body).send(addr).ok(201);
        Tab::open(addr, EVENTS, made["token"].as_str().unwrap())
    };
    let rotate = || admin("POST", &format!("/v1/keys/{id}/rotate")).send(addr).ok(200);
    let token_of = |rotated: &Value| rotated["token"].as_str().unwrap().to_owned();
    let goes_on = |tab: &mut Tab, word: &str| {
        publish(addr, "alice", "x", &json!(word));
        assert_eq!(tab.next(), word);
    };
    let mut of_first = sign_in(&first, "zoe");
    let second = token_of(&rotate());
    // In its grace the token is good, and so is what was made with it, before and now.
    goes_on(&mut of_first, "in the grace");
    let (mut again, mut of_second) = (sign_in(&first, "yves"), sign_in(&second, "xenia"));
    // The second rotation ends the first token.
    let third = token_of(&rotate());
    ends(&mut of_first, 401, "auth.token_revoked");
    ends(&mut again, 401, "auth.token_revoked");
    goes_on(&mut of_second, "of the second");
    // The end of a grace that was told ends it, too: streams at their expiry, the URL with them.
    hub.reload(|set| set.keys.rotation_grace_seconds = 2);
    let mut of_third = sign_in(&third, "walt");
    let mut poll = Connection::open(addr);
    let made = json!({ "for": { "sub": "vera", "role": "viewer" } });
    let made = keyed(&third, "POST", "/v1/stream-tokens").json(made).send(addr).ok(201);
    poll.send(
        &Ask::new("GET", EVENTS).query(&format!("last=0&wait=60&token={}", made["token"].as_str().unwrap())).bytes(),
    );
    let began = Instant::now();
    let fourth = token_of(&rotate());
    assert_eq!(of_second.stream.named().1["code"], "auth.token_revoked");
    assert_eq!(of_third.stream.named().0, "token_expiring");
    assert!(of_third.stream.next().is_none(), "it ends");
    assert_eq!(poll.answer().ok(200)["events"], json!([]));
    let took = began.elapsed();
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(of_third.again().send(addr).refusal(), (401, "auth.token_expired".to_owned()));
    // Without a grace at once, and the newest goes on.
    let mut of_fourth = sign_in(&fourth, "uma");
    hub.reload(|set| set.keys.rotation_grace_seconds = 0);
    let mut newest = sign_in(&token_of(&rotate()), "tom");
    ends(&mut of_fourth, 401, "auth.token_expired");
    goes_on(&mut newest, "of the newest");
}

#[test]
fn a_topic_that_may_not_be_read_any_more_ends_for_its_reader() {
    let hub = Running::start();
    let addr = hub.addr();
    let private = json!({ "id": "x", "visibility": "private", "members": [{ "sub": "bob" }] });
    Ask::by("alice", "POST", "/v1/threads").json(private).send(addr).ok(201);
    let token = bobs(addr, &json!({ "topics": ["thread/x"] }));
    let mut tab = Tab::open(addr, EVENTS, &token);
    publish(addr, "alice", "x", &json!(1));
    assert_eq!(tab.next(), 1);
    Ask::by("alice", "DELETE", "/v1/threads/x/members/bob").send(addr);
    let told = json!({ "topic": "thread/x", "reason": "forbidden" });
    assert_eq!(tab.stream.named(), ("subscription_ended".to_owned(), told));
    assert!(tab.stream.next().is_none());
    assert_eq!(tab.again().send(addr).refusal(), (403, "permission.denied".to_owned()));
    // And a token for it is not made any more.
    let again = Ask::by("bob", "POST", "/v1/stream-tokens").json(json!({ "topics": ["thread/x"] }));
    assert_eq!(again.send(addr).refusal(), (403, "permission.denied".to_owned()));
    let _ = issue(addr, "bob", &json!({}));
}
