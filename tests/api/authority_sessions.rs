//! Who is connected: seen by themselves and by who may, ended likewise.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::authority::{admin, by, refused, with};
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
