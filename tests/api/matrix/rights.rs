//! Who is somebody, and may not: permissions of routes, rights on topics, and rates, on every route.

use serde_json::json;
use tambour::routes::Access;
use tambour_actors::principal::Permission;

use super::{hub, stream_token};
use crate::refusals::{Shape, Stream, create_both, shapes};
use crate::support::authority::{claims_of, key, keyed, refused};
use crate::support::http::{Answer, Ask, Connection};
use crate::support::hub::Running;
use crate::support::token::{claims, sign, token};
use crate::support::ws::Ws;

/// What everybody with an identity may ask: they are told of what is theirs.
const OPEN_TO_ALL: [&str; 5] =
    ["limits.show", "kill_switches.show", "threads.list", "canvases.list", "sessions.end_one"];

/// The request of a shape by somebody who lacks what it needs; `None` for what everybody may.
fn forbidden(shape: &Shape) -> Option<Ask> {
    let role = |ask: &Ask, role: &str| ask.clone().with("authorization", &format!("Bearer {}", token("alice", role)));
    match (shape.access, shape.action) {
        (Access::Permission(_), _) => Some(role(&shape.ask, "member")),
        (Access::Topic, _) => {
            let path = shape.ask.path.replace("/open", "/private");
            Some(Ask { path, ..role(&shape.ask, "member") })
        }
        (Access::Caller, "threads.create" | "canvases.create") => Some(role(&shape.ask, "viewer")),
        (Access::Caller, "sessions.list") => Some(role(&shape.ask, "member").query("principal=bob")),
        (Access::Caller, "sessions.end") => {
            let path = shape.ask.path.replace("principal=alice", "principal=bob");
            Some(Ask { path, ..role(&shape.ask, "member") })
        }
        (Access::Caller, "stream_tokens.create") => {
            Some(role(&shape.ask, "member").json(json!({ "topics": ["thread/private"] })))
        }
        (Access::Caller, action) if OPEN_TO_ALL.contains(&action) => None,
        (Access::Hello, _) => None,
        (access, action) => panic!("say here who may not {action} ({access:?})"),
    }
}

#[test]
fn without_a_permission_or_a_right() {
    let hub = hub();
    // By default everybody reads the feed.
    hub.reload(|settings| {
        let without = |role: &[Permission]| role.iter().copied().filter(|key| *key != Permission::FeedRead).collect();
        (settings.roles.member, settings.roles.viewer) =
            (without(&settings.roles.member), without(&settings.roles.viewer));
    });
    let addr = hub.addr();
    let is_denied = |answer: &Answer, what: &str| {
        assert_eq!(refused(answer), (403, "permission.denied".to_owned()), "{what}");
    };
    let (_, viewer_key) = key(addr, json!({ "role": "viewer" }));
    for shape in shapes("open") {
        let Some(ask) = forbidden(&shape) else { continue };
        is_denied(&ask.send(addr), &shape.name);
        if let Access::Permission(permission) = shape.access {
            assert_eq!(ask.send(addr).json()["permission"], permission.as_str(), "{}", shape.name);
        }
        if shape.stream == Stream::No {
            let keyed = ask.without("x-tenant-id").without("x-env");
            let keyed = keyed.with("authorization", &format!("Bearer {viewer_key}"));
            if shape.action != "sessions.end" || !keyed.path.contains("alice") {
                is_denied(&keyed.send(addr), &format!("a key: {}", shape.name));
            }
        } else {
            // By a stream token: of somebody who may not, and of somebody who may, but for another topic.
            let bobs = stream_token(addr, &claims_of("bob", "member"), &json!({}));
            let narrow = json!({ "topics": ["thread/open"] });
            let of_carol = stream_token(addr, &claims("carol", "admin"), &narrow);
            for shown in [bobs, of_carol] {
                let bare = ask.clone().without("authorization").query(&format!("token={shown}"));
                is_denied(&bare.send(addr), &format!("a stream token: {}", shape.name));
            }
        }
    }
    let mut ws = Ws::session(addr, "alice");
    for frame in [
        json!({ "t": "subscribe", "topic": "thread/private" }),
        json!({ "t": "publish", "topic": "canvas/private", "type": "note", "data": 1 }),
    ] {
        ws.send(&frame);
        assert_eq!(ws.error(), "permission.denied");
    }
    assert!(keyed(&viewer_key, "GET", "/v1/limits").send(addr).status == 200);
}

/// Says when to come again.
#[track_caller]
fn too_often(answer: &Answer, code: &str, what: &str) {
    assert_eq!(answer.refusal_with(&["retry_after_ms"]), (429, code.to_owned()), "{what}");
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().unwrap() > 0), "{what}");
}

#[test]
fn more_often_than_may_be() {
    let hub = Running::with(|settings| {
        settings.rates.publish_per_minute = 1;
        settings.rates.action_per_minute = 1;
    });
    let addr = hub.addr();
    let mut rated = 0;
    for shape in shapes("never-made") {
        if shape.action == "feed.read" && shape.stream != Stream::No {
            // It is always there, so it begins.
            let mut connection = Connection::open(addr);
            connection.send(&shape.ask.bytes());
            let head = connection.head();
            assert_eq!(
                (head.status, head.header("ratelimit-limit")),
                (200, None),
                "streams are not rated: {}",
                shape.name
            );
            continue;
        }
        let answers = [(); 3].map(|()| shape.ask.send(addr));
        let last = &answers[2];
        if shape.stream == Stream::No && !shape.is_rated() {
            // What ends others: it is never too often.
            assert_eq!(last.header("ratelimit-limit"), None, "{}", shape.name);
            assert_ne!(last.status, 429, "{}", shape.name);
        } else if shape.is_rated() {
            rated += 1;
            too_often(last, "rate.limited", &shape.name);
            assert_eq!(last.header("ratelimit-remaining"), Some("0"), "{}", shape.name);
            // Of a key and of an admin it is the same, where the tenant is counted.
        } else if shape.access != Access::Hello {
            assert_eq!(last.refusal(), (404, "topic.unknown".to_owned()), "streams are not rated: {}", shape.name);
            assert_eq!(last.header("ratelimit-limit"), None, "{}", shape.name);
        }
    }
    assert!(rated > 30, "{rated} shapes");
}

#[test]
fn too_many_tokens_that_are_none() {
    let hub = Running::with(|settings| settings.rates.bad_tokens_per_minute = 1);
    let addr = hub.addr();
    create_both(addr, "alice", &json!({ "id": "open" }));
    let forged = format!("{}A", sign(&claims_of("alice", "owner")));
    let guess = |ask: &Ask| ask.clone().with("authorization", &format!("Bearer {forged}")).send(addr);
    assert_eq!(guess(&Ask::by("alice", "GET", "/v1/limits")).status, 401);
    for shape in shapes("open") {
        too_often(&guess(&shape.ask), "limit.bad_tokens", &shape.name);
    }
    let mut ws = Ws::open(addr, &Ask::new("GET", "/v1/ws"));
    ws.send(&json!({ "t": "hello", "token": forged, "tenant_id": "t_demo", "env": "dev" }));
    assert_eq!((ws.error(), ws.closed()), ("limit.bad_tokens".to_owned(), 4429));
    Ask::by("alice", "GET", "/v1/threads/open").send(addr).ok(200);
}
