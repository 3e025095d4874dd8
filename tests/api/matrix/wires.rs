//! The same rows over the other ways to show a token: a subprotocol, a query, `hello` and `auth`.

use serde_json::{Value, json};
use tambour::routes::Access;

use super::{Told, Wrong, hub, is_told, wrongs};
use crate::refusals::{Stream, create_both, shapes};
use crate::support::authority::claims_of;
use crate::support::http::Ask;
use crate::support::hub::Running;
use crate::support::token::sign;
use crate::support::ws::Ws;

#[test]
fn an_upgrade_by_its_subprotocol() {
    let hub = hub();
    let mut cells = 0;
    for wrong in wrongs(hub.addr()) {
        let (Some(token), Some(told)) = (&wrong.token, wrong.on_streams) else { continue };
        for shape in shapes("open").iter().filter(|shape| shape.ask.has("upgrade")) {
            let ask = wrong.context(&shape.ask).with("sec-websocket-protocol", &format!("tambour.v1, bearer.{token}"));
            let answer = ask.send(hub.addr());
            is_told(&answer, told, &format!("{}: {}", wrong.name, shape.name));
            assert!(!format!("{answer:?}").contains(token), "{}: no answer repeats a token", wrong.name);
            cells += 1;
        }
    }
    assert!(cells > 60, "{cells} cells");
}

/// What a row is told when it shows its token and its context in the query.
fn by_query(wrong: &Wrong, ask: &Ask) -> Ask {
    let ask = ask.clone().without("authorization").without("x-tenant-id").without("x-env");
    let said = [("token", wrong.token.as_deref()), ("tenant_id", wrong.tenant), ("env", wrong.env)];
    said.iter()
        .filter_map(|(name, said)| Some((name, (*said)?)))
        .fold(ask, |ask, (name, said)| ask.query(&format!("{name}={said}")))
}

#[test]
fn a_stream_by_its_query() {
    let strict = hub();
    let flexible = Running::with(|settings| settings.auth.allow_jwt_in_query = true);
    create_both(flexible.addr(), "alice", &json!({ "id": "open" }));
    let mut cells = 0;
    for (hub, allowed) in [(&strict, false), (&flexible, true)] {
        for wrong in wrongs(hub.addr()) {
            let (Some(token), Some(told)) = (&wrong.token, wrong.on_streams) else { continue };
            // Without leave, nothing but a stream token is looked at.
            if !allowed && !token.starts_with("tst_") {
                continue;
            }
            for shape in shapes("open").iter().filter(|shape| shape.stream != Stream::No) {
                let answer = by_query(&wrong, &shape.ask).send(hub.addr());
                is_told(&answer, told, &format!("{}: {}", wrong.name, shape.name));
                assert!(!answer.text().contains(token), "{}: no answer repeats a token", wrong.name);
                cells += 1;
            }
        }
    }
    assert!(cells > 150, "{cells} cells");
}

/// A frame that shows a row's token.
fn frame(t: &str, wrong: &Wrong) -> Value {
    let mut frame = json!({ "t": t, "token": wrong.token, "ref": "mine" });
    if t == "hello" {
        for (name, said) in [("tenant_id", wrong.tenant), ("env", wrong.env)] {
            if let Some(said) = said {
                frame[name] = said.into();
            }
        }
    }
    frame
}

/// The session is told, and closed.
#[track_caller]
fn ends(mut ws: Ws, (status, code, close): Told, what: &str) {
    let error = ws.expect("error");
    assert_eq!((&error["status"], &error["code"]), (&json!(status), &json!(code)), "{what}: {error}");
    assert_eq!(ws.closed(), close, "{what}");
}

#[test]
fn a_session_by_its_hello() {
    let hub = hub();
    let upgrade = Ask::new("GET", "/v1/ws");
    let mut cells = 0;
    for wrong in wrongs(hub.addr()) {
        let (Some(_), Some(told)) = (&wrong.token, wrong.on_streams) else { continue };
        let mut ws = Ws::open(hub.addr(), &upgrade);
        ws.send(&frame("hello", &wrong));
        ends(ws, told, wrong.name);
        cells += 1;
    }
    assert!(cells > 25, "{cells} cells");
    // What is said in `hello` and in the upgrade must agree.
    let good =
        json!({ "t": "hello", "token": sign(&claims_of("alice", "member")), "tenant_id": "t_demo", "env": "dev" });
    for (header, value) in [("x-tenant-id", "t_other"), ("x-env", "prod")] {
        let mut ws = Ws::open(hub.addr(), &upgrade.clone().with(header, value));
        ws.send(&good);
        ends(ws, (400, "context.mismatch", 4400), header);
    }
    // Nothing comes before it, neither what is right nor what is wrong in itself.
    for early in [
        json!({ "t": "subscribe", "topic": "thread/open" }),
        json!({ "t": "subscribe", "topic": "thread/open", "after": "no cursor" }),
        json!({ "t": "unsubscribe", "topic": "thread/open" }),
        json!({ "t": "publish", "topic": "thread/open", "type": "note", "data": 1 }),
        json!({ "t": "auth", "token": "not-a-token" }),
    ] {
        let mut ws = Ws::open(hub.addr(), &upgrade);
        ws.send(&early);
        ends(ws, (401, "hello.missing", 4401), "before hello");
    }
    let mut ws = Ws::open(hub.addr(), &upgrade);
    ws.send(&json!({ "t": "hello" }));
    ends(ws, (400, "frame.malformed", 4400), "hello without a token");
}

#[test]
fn a_session_by_its_renewal() {
    let hub = hub();
    for wrong in wrongs(hub.addr()) {
        // A renewal is where its session is: it says no tenant and no env.
        let here = wrong.tenant == Some("t_demo") && wrong.env == Some("dev");
        let own = wrong.tenant.is_none() && wrong.env.is_none();
        let (Some(_), Some(told), true) = (&wrong.token, wrong.on_streams, here || own) else { continue };
        let mut ws = Ws::session(hub.addr(), "alice");
        ws.send(&frame("auth", &wrong));
        ends(ws, told, wrong.name);
    }
    // A good token of the same sub elsewhere is somebody else's.
    let mut ws = Ws::session(hub.addr(), "alice");
    ws.send(&json!({ "t": "auth", "token": sign(&claims_of("bob", "owner")) }));
    ends(ws, (403, "auth.identity_changed", 4403), "another sub");
}

/// A page of another origin has the browser send what it has for the hub; a WebSocket asks no preflight.
#[test]
fn no_page_of_another_origin_opens_a_stream() {
    let hub = hub();
    let good = sign(&claims_of("alice", "member"));
    for shape in shapes("open").iter().filter(|shape| shape.stream != Stream::No) {
        let cookies = shape.ask.clone().with("cookie", &format!("session={good}; token={good}"));
        for origin in ["https://evil.example", "null", "http://hub.test.evil.example", "http://hub.test:81", "file://"]
        {
            let foreign = cookies.clone().with("origin", origin);
            let in_subprotocol = foreign.clone().without("authorization");
            let in_subprotocol = in_subprotocol.with("sec-websocket-protocol", &format!("tambour.v1, bearer.{good}"));
            let anonymous = foreign.clone().without("authorization");
            for ask in [foreign, in_subprotocol, anonymous] {
                let answer = ask.send(hub.addr());
                assert_eq!(answer.refusal(), (403, "origin.forbidden".to_owned()), "{origin}: {}", shape.name);
                assert_eq!(answer.header("access-control-allow-origin"), None);
            }
        }
        // The hub's own page has no identity by its cookies, either.
        let own = cookies.with("origin", "http://hub.test").without("authorization");
        if shape.access == Access::Hello {
            let mut ws = Ws::open(hub.addr(), &own.without("origin"));
            ws.send(&json!({ "t": "subscribe", "topic": "thread/open" }));
            ends(ws, (401, "hello.missing", 4401), "a cookie is no hello");
        } else {
            is_told(&own.send(hub.addr()), super::MISSING, &shape.name);
        }
    }
}
