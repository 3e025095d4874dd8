//! Who is connected: seen by themselves and by who may, ended likewise.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::audit::{audit, told};
use crate::refusals::{comparable, send};
use crate::support::authority::{admin, by, foreign, refused, with};
use crate::support::eventually;
use crate::support::http::{Ask, create, publish};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::token::{TENANT, altered, claims};
use crate::support::ws::Ws;

const PATH: &str = "/v1/threads/x/events";

fn hub() -> Running {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    hub
}

#[track_caller]
fn list(hub: &Running, ask: &Ask) -> Vec<Value> {
    let list = ask.send(hub.addr()).ok(200);
    assert_eq!((&list["complete"], &list["has_more"]), (&json!(true), &json!(false)));
    list["sessions"].as_array().unwrap().clone()
}

#[test]
fn a_session_as_it_is() {
    let hub = hub();
    let (id, _) = publish(hub.addr(), "alice", "x", &json!(1));
    let mut sse = Stream::open(hub.addr(), &Ask::stream("bob", &format!("{PATH}?after=earliest")));
    sse.event();
    let mut ws = Ws::open(hub.addr(), &Ask::by("carol", "GET", "/v1/ws"));
    let welcome = ws.expect("welcome");
    let sessions = list(&hub, &admin("GET", "/v1/sessions"));
    assert_eq!(sessions.len(), 2);
    let since = sessions[0]["since"].as_str().unwrap();
    assert_eq!(
        sessions[0],
        json!({
            "connection_id": sse.connected["connection_id"], "sub": "bob", "actor_type": "human", "role": "member",
            "since": since, "from": "127.0.0.1", "wire": "sse",
            "topics": [{ "topic": "thread/x", "cursor": id, "head": id, "lag": 0 }],
        })
    );
    let second =
        |time: &str| time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339).unwrap();
    let age = time::OffsetDateTime::now_utc() - second(since);
    assert!((0..60).contains(&age.whole_seconds()), "{age}");
    assert_eq!((&sessions[1]["wire"], &sessions[1]["topics"]), (&json!("websocket"), &json!([])));
    assert_eq!(sessions[1]["connection_id"], welcome["connection_id"]);
    // Who has left is not there.
    drop((sse, ws));
    eventually("nobody is left", || list(&hub, &admin("GET", "/v1/sessions")).is_empty().then_some(()));
}

#[test]
fn everybody_sees_and_ends_their_own_and_who_may_all() {
    let hub = hub();
    let addr = hub.addr();
    let mut of_bob = Ws::session(addr, "bob");
    let mut of_carol = [Ws::session(addr, "carol"), Ws::session(addr, "carol")];
    let subs = |ask: &Ask| -> Vec<String> {
        list(&hub, ask).iter().map(|session| session["sub"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(subs(&Ask::by("bob", "GET", "/v1/sessions")), ["bob"]);
    assert_eq!(subs(&Ask::by("carol", "GET", "/v1/sessions?principal=carol")), ["carol", "carol"]);
    assert_eq!(subs(&admin("GET", "/v1/sessions")), ["bob", "carol", "carol"]);
    assert_eq!(subs(&admin("GET", "/v1/sessions?principal=carol")), ["carol", "carol"]);
    assert!(subs(&admin("GET", "/v1/sessions?principal=nobody")).is_empty());
    let forbidden = (403, "permission.denied".to_owned());
    for method in ["GET", "DELETE"] {
        let ask = by("bob", "member", method, "/v1/sessions?principal=carol");
        assert_eq!(refused(&ask.send(addr)), forbidden, "{method}");
    }
    let reader = altered(claims("rita", "member"), json!({ "permissions": { TENANT: ["sessions:read"] } }));
    assert_eq!(subs(&with(Ask::by("rita", "GET", "/v1/sessions"), &reader)).len(), 3);
    assert_eq!(refused(&with(Ask::by("rita", "DELETE", "/v1/sessions?principal=bob"), &reader).send(addr)), forbidden);
    for query in ["", "?nonsense=1", "?limit=0&principal=bob"] {
        let asked = admin("DELETE", &format!("/v1/sessions{query}")).send(addr);
        assert_eq!(asked.refusal(), (400, "query.invalid".to_owned()), "{query}");
    }
    for query in ["limit=0", "limit=501", "after=x"] {
        let asked = admin("GET", &format!("/v1/sessions?{query}")).send(addr);
        assert_eq!(asked.refusal(), (400, "query.invalid".to_owned()), "{query}");
    }
    let end = |ask: Ask| ask.send(addr).ok(200)["ended"].as_u64().unwrap();
    assert_eq!(end(Ask::by("carol", "DELETE", "/v1/sessions?principal=carol")), 2);
    for ws in &mut of_carol {
        assert_eq!((ws.error(), ws.closed()), ("session.ended".to_owned(), 4403));
    }
    assert_eq!(end(admin("DELETE", "/v1/sessions?principal=bob")), 1);
    assert_eq!(of_bob.error(), "session.ended");
    // An owner's an admin does not end.
    let mut owner = Ws::open(addr, &by("olga", "owner", "GET", "/v1/ws"));
    owner.expect("welcome");
    assert_eq!(end(admin("DELETE", "/v1/sessions?principal=olga")), 0);
    owner.send(&json!({ "t": "ping" }));
    owner.expect("pong");
}

/// The connection of a session that was opened.
#[track_caller]
fn opened(hub: &Running, ask: &Ask) -> (Ws, String) {
    let mut ws = Ws::open(hub.addr(), ask);
    let id = ws.expect("welcome")["connection_id"].as_str().unwrap().to_owned();
    (ws, id)
}

/// A session is there and answers.
#[track_caller]
fn goes_on(ws: &mut Ws) {
    ws.send(&json!({ "t": "ping" }));
    ws.expect("pong");
}

fn one(id: &str) -> String {
    format!("/v1/sessions/{id}")
}

#[test]
fn one_session_ends_and_the_others_go_on() {
    let hub = hub();
    let addr = hub.addr();
    let ws = |sub: &str| opened(&hub, &Ask::by(sub, "GET", "/v1/ws"));
    let ((mut first, id), (mut second, _), (mut of_carol, of_carols)) = (ws("bob"), ws("bob"), ws("carol"));
    let mut sse = Stream::open(addr, &Ask::stream("bob", PATH));
    // One's own needs no permission.
    let ended = Ask::by("bob", "DELETE", &one(&id)).send(addr);
    assert_eq!((ended.status, ended.body.len()), (204, 0));
    assert_eq!((first.error(), first.closed()), ("session.ended".to_owned(), 4403));
    // Somebody else's needs it, and it may be over SSE.
    let of_sse = sse.connected["connection_id"].as_str().unwrap().to_owned();
    assert_eq!(admin("DELETE", &one(&of_sse)).send(addr).status, 204);
    assert_eq!(sse.named(), ("refused".to_owned(), json!({ "code": "session.ended", "status": 403 })));
    assert!(sse.next().is_none());
    goes_on(&mut second);
    goes_on(&mut of_carol);
    let writer = altered(claims("rita", "member"), json!({ "permissions": { TENANT: ["sessions:write"] } }));
    assert_eq!(with(Ask::by("rita", "DELETE", &one(&of_carols)), &writer).send(addr).status, 204);
    assert_eq!(of_carol.error(), "session.ended");
    goes_on(&mut second);
    assert_eq!(admin("DELETE", &one(&id)).send(addr).refusal(), (404, "session.unknown".to_owned()), "it is gone");
    // Each is written down once, and the feed tells of it.
    let entries = audit(addr, "action=sessions.end_one&outcome=done");
    let resource = |sub: &str, id: &str| format!("sessions.end_one sessions/{sub}/{id} done");
    assert_eq!(told(&entries), [resource("bob", &id), resource("bob", &of_sse), resource("carol", &of_carols)]);
    assert!(entries.iter().all(|entry| entry["affected_count"] == 1));
    let feed = admin("GET", "/v1/feed?types=sessions.ended").send(addr).ok(200);
    let data: Vec<_> = feed["events"].as_array().unwrap().iter().map(|event| event["data"].clone()).collect();
    let event = |sub: &str, id: &str| json!({ "sub": sub, "connection_id": id, "count": 1 });
    assert_eq!(data, [event("bob", &id), event("bob", &of_sse), event("carol", &of_carols)]);
}

#[test]
fn who_may_not_know_of_a_session_is_told_that_there_is_none() {
    let hub = hub();
    let addr = hub.addr();
    let (mut of_olga, owners) = opened(&hub, &by("olga", "owner", "GET", "/v1/ws"));
    let (mut of_carol, carols) = opened(&hub, &Ask::by("carol", "GET", "/v1/ws"));
    let with_permissions = |keys: Value| altered(claims("rita", "member"), json!({ "permissions": { TENANT: keys } }));
    let asked = |ask: Ask| comparable(&send(addr, &ask));
    let unknown = asked(admin("DELETE", &one("019ab0c4-7a3e-7cc0-8f0e-3d1c2b4a5968")));
    assert_eq!(unknown.0, 404);
    for (what, ask) in [
        ("no id", admin("DELETE", &one("nonsense"))),
        ("a member", Ask::by("bob", "DELETE", &one(&carols))),
        ("another tenant", foreign(Ask::new("DELETE", &one(&carols)), "t_other", "dev")),
        ("another env", foreign(Ask::new("DELETE", &one(&carols)), TENANT, "staging")),
        (
            "an owner's, by who sees no list",
            with(Ask::by("rita", "DELETE", &one(&owners)), &with_permissions(json!(["sessions:write"]))),
        ),
    ] {
        assert_eq!(asked(ask), unknown, "{what}");
    }
    // Who finds it in the list is told why not.
    let forbidden = (403, "permission.denied".to_owned());
    let reader = with(Ask::by("rita", "DELETE", &one(&carols)), &with_permissions(json!(["sessions:read"])));
    assert_eq!(refused(&reader.send(addr)), forbidden);
    assert_eq!(reader.send(addr).json()["permission"], "sessions:write");
    assert_eq!(refused(&admin("DELETE", &one(&owners)).send(addr)), forbidden);
    goes_on(&mut of_olga);
    goes_on(&mut of_carol);
    assert!(audit(addr, "action=sessions.end_one&outcome=done").is_empty());
}

#[test]
fn pages_have_everybody_once() {
    let hub = hub();
    let sessions: Vec<_> = (0..7).map(|n| Ws::session(hub.addr(), &format!("s{n}"))).collect();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = admin("GET", &format!("/v1/sessions?limit=3{after}")).send(hub.addr()).ok(200);
        let ids = page["sessions"].as_array().unwrap().iter();
        seen.extend(ids.map(|session| session["connection_id"].as_str().unwrap().to_owned()));
        after = format!("&after={}", seen.last().unwrap());
        if page["has_more"] == false {
            break;
        }
    }
    assert!(seen.len() == sessions.len() && seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
}
