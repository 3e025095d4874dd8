//! Tenants and envs side by side, with the same names in each: nobody is ever told anything of another's, and nothing
//! that is done in one changes another. Who has no identity is told nothing of any.

use std::net::SocketAddr;

use serde_json::json;
use tambour::routes::{Access, ROUTES};

use crate::refusals::{Shape, Stream, path, shapes};
use crate::support::http::{Ask, Connection};
use crate::support::hub::Running;
use crate::support::sse;
use crate::support::token::{altered, claims, sign};
use crate::support::ws::Ws;

/// A tenant in an env. Everything in it says its mark.
struct World {
    tenant: &'static str,
    env: &'static str,
    mark: &'static str,
}

const WORLDS: [World; 3] = [
    World { tenant: "t_demo", env: "dev", mark: "mark-demo-dev" },
    World { tenant: "t_demo", env: "prod", mark: "mark-demo-prod" },
    World { tenant: "t_other", env: "dev", mark: "mark-other-dev" },
];

impl World {
    /// The request by the owner of this world.
    fn of(&self, ask: Ask) -> Ask {
        let sub = format!("owner-{}", self.mark);
        let here = json!({ "tenant_ids": [self.tenant], "role_map": { self.tenant: "owner" }, "envs": [self.env] });
        let token = sign(&altered(claims(&sub, "owner"), here));
        let ask = ask.with("authorization", &format!("Bearer {token}"));
        ask.with("x-tenant-id", self.tenant).with("x-env", self.env)
    }

    fn ask(&self, method: &str, path: &str) -> Ask {
        self.of(Ask::new(method, path))
    }

    /// Topics of the same names as in the others, and of names of its own; events, members, orders, a key.
    #[track_caller]
    fn fill(&self, addr: SocketAddr) {
        let mark = self.mark;
        for kind in ["threads", "canvases"] {
            for id in ["shared", mark] {
                let topic = json!({ "id": id, "title": mark, "members": [{ "sub": format!("member-{mark}") }] });
                self.ask("POST", &format!("/v1/{kind}")).json(topic).send(addr).ok(201);
                let event = json!({ "type": "note", "data": mark, "idempotency_key": "the-same" });
                self.ask("POST", &format!("/v1/{kind}/{id}/events")).json(event).send(addr).ok(201);
            }
        }
        for sub in ["dave", mark] {
            let order = json!({ "state": "active", "role": "viewer" });
            self.ask("PUT", &format!("/v1/principals/{sub}")).json(order).send(addr).ok(200);
        }
        let key = json!({ "name": mark, "actor_type": "agent", "role": "member" });
        self.ask("POST", "/v1/keys").json(key).send(addr).ok(201);
        let off = json!({ "disable_providers": [mark], "reason": mark });
        self.ask("PUT", "/v1/kill-switch").json(off).send(addr).ok(200);
    }

    /// What each reading route answers here, with its ids taken out.
    fn read(&self, addr: SocketAddr) -> Vec<(String, String)> {
        let reads = shapes("shared").into_iter().filter(|shape| shape.ask.method == "GET");
        reads.map(|shape| (shape.name.clone(), self.told(addr, &shape))).collect()
    }

    /// What a reading route tells its caller: a page as it is, a stream until it tells of the event of this world.
    #[track_caller]
    fn told(&self, addr: SocketAddr, shape: &Shape) -> String {
        let from_the_start = |ask: &Ask| self.of(ask.clone()).query("after=earliest");
        if shape.access == Access::Hello {
            let mut ws = Ws::open(addr, &self.of(shape.ask.clone()));
            let mut told = ws.expect("welcome")["sub"].to_string();
            for topic in ["thread/shared", "canvas/shared"] {
                ws.subscribe(topic, &json!({ "after": "earliest" }));
                told.push_str(&ws.event().to_string());
            }
            return told;
        }
        if shape.name.ends_with("ws") {
            let mut ws = Ws::open(addr, &from_the_start(&shape.ask));
            ws.expect("welcome");
            ws.expect("subscribed");
            return ws.event().to_string();
        }
        if shape.stream == Stream::Socket {
            let mut stream = sse::Stream::open(addr, &from_the_start(&shape.ask));
            return stream.next().unwrap().data;
        }
        // The long poll says already where it begins.
        let answer = self.of(shape.ask.clone()).with("x-request-id", "the-same").send(addr);
        assert!(matches!(answer.status, 200 | 204), "{}: {}", shape.name, answer.text());
        if shape.action == "feed.read" {
            // Its places are those of the whole store, so its end moves with what anybody writes.
            return answer.json()["events"].to_string();
        }
        answer.text()
    }
}

fn filled() -> Running {
    let hub = Running::start();
    WORLDS.iter().for_each(|world| world.fill(hub.addr()));
    hub
}

/// Routes whose answer says nothing that a tenant has written.
const SILENT: [&str; 3] = ["limits.show", "audit.verify", "stats.show"];

#[test]
fn nobody_reads_what_is_another_s() {
    let hub = filled();
    let addr = hub.addr();
    // Somebody of each world is connected meanwhile.
    let _readers: Vec<_> = WORLDS
        .iter()
        .map(|world| {
            let ask = world.ask("GET", "/v1/threads/shared/events").with("accept", "text/event-stream");
            sse::Stream::open(addr, &ask)
        })
        .collect();
    let mut read = 0;
    for world in &WORLDS {
        for shape in shapes("shared").iter().filter(|shape| shape.ask.method == "GET") {
            let told = world.told(addr, shape);
            read += 1;
            assert!(SILENT.contains(&shape.action) || told.contains(world.mark), "{}: {told}", shape.name);
            for other in WORLDS.iter().filter(|other| other.mark != world.mark) {
                assert!(!told.contains(other.mark), "{} tells {} of {}", shape.name, world.mark, other.mark);
            }
        }
        // By the names that only another has: nothing is there, and nothing is said of it.
        for other in WORLDS.iter().filter(|other| other.mark != world.mark) {
            for shape in shapes(other.mark).iter().filter(|shape| shape.access == Access::Topic) {
                let answer = world.of(shape.ask.clone()).send(addr);
                assert_eq!(answer.refusal(), (404, "topic.unknown".to_owned()), "{}", shape.name);
                assert!(!format!("{answer:?}").contains(other.mark), "{}: {answer:?}", shape.name);
            }
            let sessions = format!("/v1/sessions?principal=owner-{}", other.mark);
            assert_eq!(world.ask("GET", &sessions).send(addr).ok(200)["sessions"], json!([]));
            let order = world.ask("GET", &format!("/v1/principals/{}", other.mark)).send(addr).ok(200);
            assert_eq!(order, json!({ "sub": other.mark, "state": "active" }));
        }
    }
    let reading = ROUTES.iter().filter(|of| of.access != Access::Public && (of.method)() == "GET").count();
    assert!(read >= WORLDS.len() * reading, "every reading route was read: {read}");
}

#[test]
fn nothing_that_is_done_in_one_changes_another() {
    let hub = filled();
    let addr = hub.addr();
    let rest = &WORLDS[1..];
    let before: Vec<_> = rest.iter().map(|world| world.read(addr)).collect();
    let keys: Vec<_> =
        rest.iter().map(|world| world.ask("GET", "/v1/keys").send(addr).ok(200)["keys"].clone()).collect();
    for shape in shapes("shared").iter().filter(|shape| shape.ask.method != "GET") {
        let done = WORLDS[0].of(shape.ask.clone()).send(addr);
        assert!(done.status < 500, "{}: {}", shape.name, done.text());
        // What is named by an id is nobody's here, when it is another's.
        for key in keys.iter().flat_map(|keys| keys.as_array().unwrap()) {
            let path = shape.ask.path.replace("key:019ab0c4-7a3e-7cc0-8f0e-3d1c2b4a5968", key["id"].as_str().unwrap());
            if path != shape.ask.path {
                let answer = WORLDS[0].of(Ask { path, ..shape.ask.clone() }).send(addr);
                assert_eq!(answer.refusal(), (404, "key.unknown".to_owned()), "{}", shape.name);
            }
        }
    }
    assert_eq!(WORLDS[0].ask("GET", "/v1/threads/shared").send(addr).status, 404, "it was deleted");
    for (world, before) in rest.iter().zip(before) {
        for (was, is) in before.iter().zip(world.read(addr)) {
            // Who is connected, what is used of the limits, and when it was counted, is another moment's.
            if !["/v1/sessions", "/v1/limits", "/v1/stats"].iter().any(|path| was.0.contains(path)) {
                assert_eq!(*was, is, "{}", world.mark);
            }
        }
    }
}

#[test]
fn without_an_identity_nothing_is_told() {
    let hub = filled();
    let addr = hub.addr();
    let mut asks: Vec<Ask> = ["shared", WORLDS[0].mark]
        .iter()
        .flat_map(|id| shapes(id).into_iter().map(|shape| shape.ask.without("authorization")))
        .collect();
    let public = ROUTES.iter().filter(|route| route.access == Access::Public);
    asks.extend(public.map(|route| {
        let ask = Ask::new((route.method)().as_str(), &path(route.path, "shared").replace("{file}", "app.js"));
        ask.with("x-tenant-id", "t_demo").with("x-env", "dev")
    }));
    assert!(asks.len() > 60, "{}", asks.len());
    for ask in asks {
        let bare = ask.clone().without("x-tenant-id").without("x-env");
        // A tenant alone is no identity, and the names of headers that proxies use are none.
        let named =
            ask.clone().with("x-user-id", "owner-mark-demo-dev").with("x-forwarded-user", "owner-mark-demo-dev");
        for ask in [ask, bare, named] {
            let mut connection = Connection::open(addr);
            connection.send(&ask.bytes());
            let mut answer = connection.head();
            if answer.status == 101 {
                // It waits for `hello`, and says nothing before.
                connection.finish();
                answer.body = connection.rest();
            } else {
                answer = ask.send(addr);
            }
            let told = format!("{answer:?}{}", answer.text());
            assert!(!told.contains("mark-"), "{} {}: {told}", ask.method, ask.path);
            assert!(matches!(answer.status, 101 | 200 | 204 | 401 | 404), "{} {}: {told}", ask.method, ask.path);
        }
    }
}
