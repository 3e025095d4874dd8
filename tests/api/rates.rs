//! How often something may be done: publishes of a principal, actions of a tenant, tokens of an address that are not
//! accepted, messages of a session.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tambour::config::layers::Layers;
use tambour::config::{Rates, Settings};

use crate::limits::from;
use crate::support::http::{Answer, Ask, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::token::{altered, claims, now, sign, token};
use crate::support::ws::Ws;

/// A hub with these rates, and a thread `x`.
fn hub(publishes: u64, actions: u64, own: &str) -> Running {
    let hub = Running::with(|settings| settings.rates = rates(publishes, actions, own));
    create(hub.addr(), "maker", "x");
    hub
}

fn rates(publishes: u64, actions: u64, own: &str) -> Rates {
    let mut layers = Layers::default();
    layers.flag("--test", "rates.actions", own);
    let rates = Settings::resolve(&layers).unwrap().rates;
    Rates { publish_per_minute: publishes, action_per_minute: actions, ..rates }
}

fn note(sub: &str) -> Ask {
    Ask::by(sub, "POST", "/v1/threads/x/events").json(json!({"type": "note", "data": 1}))
}

/// `RateLimit-Limit` and `-Remaining`.
fn standing(answer: &Answer) -> Option<(u64, u64)> {
    let number = |name: &str| answer.header(name).map(|value| value.parse::<u64>().unwrap());
    let reset = number("ratelimit-reset");
    let limit = number("ratelimit-limit");
    assert_eq!(reset.is_some(), limit.is_some());
    assert!(reset.is_none_or(|seconds| seconds <= 60));
    Some((limit?, number("ratelimit-remaining")?))
}

/// A refusal of a rate, and when it says to come back.
#[track_caller]
fn too_often(answer: &Answer, code: &str) -> u64 {
    assert_eq!(answer.refusal_with(&["retry_after_ms"]), (429, code.to_owned()));
    let wait_ms = answer.json()["retry_after_ms"].as_u64().unwrap();
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(wait_ms > 0 && seconds == wait_ms.div_ceil(1_000), "{wait_ms} ms and {seconds} s");
    wait_ms
}

#[test]
fn publishes_of_a_principal() {
    let hub = hub(4, 0, "");
    let addr = hub.addr();
    for left in (1..4).rev() {
        let answer = note("alice").send(addr);
        answer.ok(201);
        assert_eq!(standing(&answer), Some((4, left)));
    }
    // An array is one, and so is what is refused behind the check.
    let array = Ask::by("alice", "POST", "/v1/threads/x/events");
    let array = array.json(json!([{"type": "note", "data": 1}, {"type": "note", "data": 2}])).send(addr);
    array.ok(201);
    assert_eq!(standing(&array), Some((4, 0)));
    let refused = note("alice").send(addr);
    assert!(too_often(&refused, "rate.limited") <= 15_001);
    assert_eq!(standing(&refused), Some((4, 0)));
    // Over a WebSocket it is the same count, another thread or not, and the session goes on.
    let mut ws = Ws::session(addr, "alice");
    ws.send(&json!({"t": "publish", "topic": "thread/x", "type": "note", "data": 1, "ref": 7}));
    let error = ws.expect("error");
    assert_eq!((&error["code"], &error["status"], &error["ref"]), (&json!("rate.limited"), &json!(429), &json!(7)));
    assert!(error["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0));
    ws.send(&json!({"t": "ping"}));
    ws.expect("pong");
    // Reading is no publishing, and others are others.
    let mut stream = Stream::open(addr, &Ask::stream("alice", "/v1/threads/x/events"));
    publish(addr, "bob", "x", &json!("of bob"));
    assert_eq!(stream.event()["data"], "of bob");
    let mut bob = Ws::session(addr, "bob");
    for left in (0..3).rev() {
        bob.send(&json!({"t": "publish", "topic": "thread/x", "type": "note", "data": left}));
        bob.expect("published");
    }
    bob.send(&json!({"t": "publish", "topic": "thread/x", "type": "note", "data": 1}));
    assert_eq!(bob.error(), "rate.limited");
    // In another env they are somebody else.
    let elsewhere = note("alice").with("x-env", "prod").send(addr);
    assert_eq!((elsewhere.status, standing(&elsewhere)), (404, Some((4, 3))));
    // What nothing limits says nothing.
    assert_eq!(standing(&Ask::by("alice", "GET", "/v1/threads/x").send(addr)), None);
}

#[test]
fn actions_of_a_tenant() {
    let hub = hub(0, 3, "threads.delete=1,threads.list=0");
    let addr = hub.addr();
    let get = |sub: &str| Ask::by(sub, "GET", "/v1/threads/x").send(addr);
    // Whoever of the tenant does it; of alice's own share one is left at first, which is less than the tenant has.
    for (sub, limit, left) in [("alice", 2, 1), ("bob", 3, 1), ("alice", 3, 0)] {
        assert_eq!(standing(&get(sub)), Some((limit, left)));
    }
    let refused = get("carol");
    assert!(too_often(&refused, "rate.limited") <= 20_001);
    // Another action, one with a rate of its own, and one with none.
    assert_eq!(standing(&Ask::by("alice", "GET", "/v1/threads/x/snapshot").send(addr)), Some((2, 1)));
    let delete = |id: &str| Ask::by("maker", "DELETE", &format!("/v1/threads/{id}")).send(addr);
    assert_eq!((delete("y").status, standing(&delete("y"))), (404, Some((1, 0))));
    too_often(&delete("x"), "rate.limited");
    for _ in 0..5 {
        assert_eq!(standing(&Ask::by("alice", "GET", "/v1/threads").send(addr)), None);
    }
    // Streams and long polls are not rated, and pages of the same route are.
    for _ in 0..5 {
        drop(Stream::open(addr, &Ask::stream("alice", "/v1/threads/x/events")));
        Ask::by("alice", "GET", "/v1/threads/x/events?wait=1&after=earliest&limit=1").send(addr);
    }
    for sub in ["alice", "bob", "alice"] {
        Ask::by(sub, "GET", "/v1/threads/x/events").send(addr).ok(200);
    }
    too_often(&Ask::by("alice", "GET", "/v1/threads/x/events").send(addr), "rate.limited");
    for _ in 0..5 {
        for open in ["/healthz", "/readyz", "/openapi.json"] {
            assert_eq!(Ask::new("GET", open).send(addr).status, 200);
        }
    }
    // Who may not is told so, and counts nobody down; so does who is not known.
    let viewer = claims("eve", "viewer");
    let other_tenant = altered(viewer, json!({"tenant_ids": ["t_x"], "role_map": {"t_x": "owner"}}));
    let ask = Ask::by("eve", "GET", "/v1/threads/x").with("authorization", &format!("Bearer {}", sign(&other_tenant)));
    assert_eq!(ask.send(addr).refusal().1, "auth.tenant_mismatch");
    let elsewhere = ask.with("x-tenant-id", "t_x").send(addr);
    assert_eq!((elsewhere.status, standing(&elsewhere)), (404, Some((2, 1))), "another tenant has its own");
}

#[test]
fn one_member_leaves_an_action_to_the_others() {
    let hub = hub(0, 10, "");
    let addr = hub.addr();
    // What is refused behind the check counts: alice could flood her tenant with it.
    let broken = |sub: &str| Ask::by(sub, "POST", "/v1/canvases").json("{").send(addr);
    for left in (0..5).rev() {
        let answer = broken("alice");
        assert_eq!((answer.refusal().1, standing(&answer)), ("body.invalid".to_owned(), Some((5, left))));
    }
    for _ in 0..10 {
        let refused = broken("alice");
        assert!(too_often(&refused, "rate.limited") <= 12_001);
        assert_eq!(standing(&refused), Some((5, 0)));
        assert!(refused.text().contains("your share"), "{}", refused.text());
    }
    // Everybody else goes on, and she does with other actions.
    for (n, sub) in ["bob", "bob", "bob", "carol", "carol"].iter().enumerate() {
        Ask::by(sub, "POST", "/v1/canvases").json(json!({"id": format!("c{n}")})).send(addr).ok(201);
    }
    Ask::by("alice", "GET", "/v1/canvases").send(addr).ok(200);
    // The tenant's total is what it was.
    let refused = broken("dora");
    too_often(&refused, "rate.limited");
    assert_eq!(standing(&refused), Some((10, 0)));
    assert!(refused.text().contains("your tenant"), "{}", refused.text());
    hub.reload(|settings| settings.rates.principal_share_percent = 100);
    let passed = (0..20).filter(|_| broken("alice").status == 400).count();
    assert!((10..=12).contains(&passed), "{passed}");
}

#[test]
fn a_reload_changes_rates_and_keeps_counts() {
    let hub = hub(2, 0, "");
    let addr = hub.addr();
    for _ in 0..2 {
        note("alice").send(addr).ok(201);
    }
    hub.reload(|settings| settings.auth.leeway_seconds = 29);
    too_often(&note("alice").send(addr), "rate.limited");
    assert_eq!(hub.reload(|settings| settings.rates.publish_per_minute = 3), ["rates.publish_per_minute"]);
    assert_eq!(standing(&note("alice").send(addr)), Some((3, 2)));
    let limits = Ask::by("alice", "GET", "/v1/limits").send(addr).ok(200);
    let expected = json!({
        "publish_per_minute": 3, "action_per_minute": 0, "principal_share_percent": 50, "actions": [],
        "bad_tokens_per_minute": 5,
    });
    assert_eq!(limits["rates"], expected);
    hub.reload(|settings| settings.rates = rates(0, 9, "threads.create=20"));
    let limits = Ask::by("alice", "GET", "/v1/limits").send(addr);
    assert_eq!(standing(&limits), Some((5, 4)));
    assert_eq!(limits.ok(200)["rates"]["actions"], json!([{"action": "threads.create", "per_minute": 20}]));
}

#[test]
fn racing_publishers_get_exactly_what_there_is() {
    let hub = hub(20, 0, "");
    let addr = hub.addr();
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..10).filter(|_| note("alice").send(addr).status == 201).count()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // One comes back every three seconds.
    assert!((20..=30).contains(&passed), "{passed}");
}

fn with_token(addr: SocketAddr, ip: [u8; 4], token: &str) -> Answer {
    let ask = Ask::by("alice", "GET", "/v1/limits").with("authorization", &format!("Bearer {token}"));
    let mut connection = from(addr, ip);
    connection.send(&ask.bytes());
    connection.answer()
}

#[test]
fn tokens_that_are_not_accepted() {
    let hub = hub(0, 0, "");
    let addr = hub.addr();
    let (here, there) = ([127, 7, 7, 7], [127, 7, 7, 8]);
    let forged = token("alice", "owner") + "A";
    let expired = sign(&altered(claims("alice", "owner"), json!({"exp": now() - 100})));
    // Those that ran out are no guesses.
    for _ in 0..10 {
        assert_eq!(with_token(addr, here, &expired).refusal().1, "auth.token_expired");
    }
    for bad in [&*forged, "x", "a.b.c", "tst_x", "tsk_x"] {
        let answer = with_token(addr, here, bad);
        assert_eq!(answer.status, 401, "{bad}");
        if bad.starts_with("tst_") {
            // A stream token is not looked for here: it is of the wrong kind.
            assert_eq!(answer.refusal().1, "auth.wrong_tier");
        }
    }
    with_token(addr, here, "y").refusal();
    too_often(&with_token(addr, here, &forged), "limit.bad_tokens");
    // A good one always passes, and other addresses are others.
    with_token(addr, here, &token("alice", "member")).ok(200);
    assert_eq!(with_token(addr, there, &forged).status, 401);
    // An EventSource that comes back gives up: it would come with the same token for ever.
    let ask = Ask::stream("alice", "/v1/threads/x/events").with("authorization", &format!("Bearer {forged}"));
    let mut connection = from(addr, here);
    connection.send(&ask.with("last-event-id", "AAAAAAAAAAAAAAAA.1").bytes());
    too_often(&connection.answer(), "limit.bad_tokens");
    // A hello is a guess like any other.
    let hello = json!({"t": "hello", "token": forged, "tenant_id": "t_demo", "env": "dev"});
    let codes: Vec<_> = (0..7)
        .map(|_| {
            let mut ws = Ws::open(addr, &Ask::new("GET", "/v1/ws"));
            ws.send(&hello);
            let code = ws.error();
            assert_eq!(ws.closed(), if code == "limit.bad_tokens" { 4429 } else { 4401 });
            code
        })
        .collect();
    assert_eq!(codes[..5], ["auth.token_invalid"; 5]);
    assert!(codes[5..].iter().all(|code| code == "limit.bad_tokens"), "{codes:?}");
}

#[test]
fn messages_of_a_session() {
    let hub = Running::with(|settings| settings.session.messages_per_second = 50);
    let addr = hub.addr();
    create(addr, "alice", "x");
    let mut ws = Ws::session(addr, "alice");
    ws.subscribe("thread/x", &json!({}));
    for n in 0..200 {
        ws.send(&json!({"t": "publish", "topic": "thread/x", "type": "note", "data": n, "ref": n}));
    }
    let (mut answered, mut refused, mut events) = (0, 0, Vec::new());
    while answered + refused < 200 || events.len() < answered {
        let frame = match ws.came() {
            crate::support::ws::Came::Frame(frame) => frame,
            other => panic!("{other:?}"),
        };
        match frame["t"].as_str().unwrap() {
            "published" => answered += 1,
            "event" => events.push(frame["event"]["data"].clone()),
            "error" => {
                assert_eq!((&frame["code"], &frame["status"]), (&json!("session.rate"), &json!(429)));
                let wait_ms = frame["retry_after_ms"].as_u64().unwrap();
                assert!((1..=1_000).contains(&wait_ms) && frame["ref"].is_u64(), "{frame}");
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    // The first fifty at once, less the one that subscribed, and what came back meanwhile.
    assert!(answered >= 49 && refused > 0, "{answered} and {refused}");
    // What was refused is not written later, either.
    let page = Ask::by("alice", "GET", "/v1/threads/x/events?limit=500").send(addr).ok(200);
    let kept: Vec<Value> = page["events"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect();
    assert_eq!(kept, events);
    // Another session of the same principal has its own count.
    let mut other = Ws::session(addr, "alice");
    other.send(&json!({"t": "ping"}));
    other.expect("pong");
    let limits = Ask::by("alice", "GET", "/v1/limits").send(addr).ok(200);
    assert_eq!(limits["session"]["messages_per_second"], 50);
}
