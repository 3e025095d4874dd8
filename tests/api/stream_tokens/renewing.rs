//! Sessions that are renewed (`auth`): by their own stream token, by one that acts for somebody else, by what is no token.

use serde_json::{Value, json};

use super::{EVENTS, Tab, issue};
use crate::support::authority::{key, keyed};
use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::ws::Ws;

fn hub() -> Running {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    hub
}

fn by_token(hub: &Running, token: &str) -> (Ws, Value) {
    let mut ws = Ws::open(hub.addr(), &Ask::new("GET", "/v1/ws").query(&format!("token={token}")));
    let welcome = ws.expect("welcome");
    (ws, welcome)
}

#[test]
fn by_its_own_token_a_session_goes_on_as_it_was() {
    let hub = hub();
    for single_use in [false, true] {
        let token = issue(hub.addr(), "alice", &json!({ "rights": ["read", "write"], "single_use": single_use }));
        let (mut ws, first) = by_token(&hub, &token);
        ws.subscribe("thread/x", &json!({}));
        for round in 0..3 {
            ws.send(&json!({ "t": "auth", "token": token, "ref": round }));
            let welcome = ws.expect("welcome");
            assert_eq!((&welcome["ref"], &welcome["expires_at"]), (&json!(round), &first["expires_at"]));
        }
        publish(hub.addr(), "bob", "x", &json!(single_use));
        assert_eq!(ws.event()["data"], single_use);
        if !single_use {
            // It is still the one that holds the token.
            let _tab = Tab::open(hub.addr(), EVENTS, &token);
            ws.expect("replaced");
            assert_eq!(ws.closed(), 4409);
        }
    }
}

#[test]
fn what_it_publishes_is_for_whom_its_token_acts() {
    let hub = hub();
    let addr = hub.addr();
    let (id, acting) = key(addr, json!({ "permissions": ["principals:act"] }));
    let body = json!({ "rights": ["read", "write"] });
    let token_for = |sub: Option<&str>| -> String {
        let ask = keyed(&acting, "POST", "/v1/stream-tokens").json(&body);
        let ask = if let Some(sub) = sub { ask.with("x-act-as", sub) } else { ask };
        ask.send(addr).ok(201)["token"].as_str().unwrap().to_owned()
    };
    let mut stream = Stream::open(addr, &Ask::stream("bob", EVENTS));
    let upgrade =
        Ask::new("GET", "/v1/ws").query(&format!("token={}", token_for(Some("carol")))).with("x-run-id", "r-1");
    let mut ws = Ws::open(addr, &upgrade);
    ws.expect("welcome");
    for (sub, renewed) in [(Some("carol"), false), (Some("dave"), true), (None, true), (Some("carol"), true)] {
        if renewed {
            ws.send(&json!({ "t": "auth", "token": token_for(sub) }));
            ws.expect("welcome");
        }
        ws.send(&json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": 1 }));
        ws.expect("published");
        let routing = stream.event()["routing"].take();
        assert_eq!(routing.get("acts_for"), sub.map(|sub| json!(sub)).as_ref(), "{routing}");
        assert_eq!((&routing["actor_id"], &routing["run_id"]), (&json!(id), &json!("r-1")), "{routing}");
    }
}

/// A guess is one however it is made.
#[test]
fn what_is_no_token_is_counted_for_its_address() {
    let hub = Running::with(|settings| settings.rates.bad_tokens_per_minute = 3);
    let codes: Vec<_> = (0..5)
        .map(|guess| {
            let mut ws = Ws::session(hub.addr(), "alice");
            let token = if guess % 2 == 0 { "nonsense".to_owned() } else { format!("tst_{}", "A".repeat(43)) };
            ws.send(&json!({ "t": "auth", "token": token }));
            (ws.error(), ws.closed())
        })
        .collect();
    let (told, refused) = codes.split_at(3);
    assert!(told.iter().all(|told| *told == ("auth.token_invalid".to_owned(), 4401)), "{codes:?}");
    assert!(refused.iter().all(|told| *told == ("limit.bad_tokens".to_owned(), 4429)), "{codes:?}");
    // A good one always passes.
    let mut ws = Ws::session(hub.addr(), "alice");
    ws.send(&json!({ "t": "auth", "token": crate::support::token::token("alice", "member") }));
    ws.expect("welcome");
}
