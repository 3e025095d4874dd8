//! The kill switch: who may put it, what it does to who is connected, and that it stays.
//!
//! That every route and frame looks at it is in `matrix::switched_off`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::refusals::create_both;
use crate::support::authority::{blocked, by, foreign, key, keyed, refused, switch};
use crate::support::eventually;
use crate::support::http::{Answer, Ask, Connection, publish};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::sse::Stream;
use crate::support::token::{TENANT, altered, claims, sign};
use crate::support::ws::{Came, Ws};

const PATH: &str = "/v1/threads/x/events";
/// Within so long everybody has noticed.
const SECOND: Duration = Duration::from_secs(1);

fn hub() -> Running {
    let hub = Running::start();
    create_both(hub.addr(), "alice", &json!({ "id": "x" }));
    hub
}

fn off(addr: SocketAddr, names: &[&str]) -> Instant {
    let begun = Instant::now();
    switch(addr, &json!({ "disabled_actions": names }));
    begun
}

fn post(addr: SocketAddr, ask: Ask, kind: &str, data: impl Into<Value>) -> Answer {
    let ask = Ask { path: PATH.to_owned(), ..ask };
    ask.json(json!({ "type": kind, "data": data.into() })).send(addr)
}

#[test]
fn it_is_shown_to_all_and_put_by_who_may() {
    let hub = hub();
    let addr = hub.addr();
    let shown = || Ask::by("vic", "GET", "/v1/kill-switch").send(addr).ok(200);
    let none = json!({ "disabled_actions": [], "disable_autonomy": false, "disable_providers": [] });
    assert_eq!(shown(), none);
    let put = |who: &str, role: &str, body: &Value| by(who, role, "PUT", "/v1/kill-switch").json(body).send(addr);
    let all = json!({
        "disabled_actions": ["threads.publish", "canvases.*"], "disable_autonomy": true, "disable_providers": ["acme"],
        "reason": "drill",
    });
    assert_eq!(refused(&put("bob", "member", &all)), (403, "permission.denied".to_owned()));
    let told = put("ada", "admin", &all).ok(200);
    assert_eq!(told["disabled_actions"], json!(["canvases.*", "threads.publish"]));
    assert_eq!((&told["reason"], &told["changed_by"]), (&json!("drill"), &json!("ada")));
    assert_eq!(shown(), told, "anybody of the tenant may know");
    assert_eq!(foreign(Ask::new("GET", "/v1/kill-switch"), "t_other", "dev").send(addr).ok(200), none);
    // The whole is replaced.
    let told = put("ada", "admin", &json!({ "disable_providers": ["acme"] })).ok(200);
    assert_eq!((&told["disabled_actions"], &told["disable_autonomy"]), (&json!([]), &json!(false)));
    assert_eq!(told.get("reason"), None);
    // What an owner says stays in what an admin says.
    put("olga", "owner", &json!({ "disable_providers": ["acme", "other"], "disable_autonomy": true })).ok(200);
    let forbidden = (403, "permission.denied".to_owned());
    for less in [json!({}), json!({ "disable_providers": ["acme", "other"] }), json!({ "disable_autonomy": true })] {
        assert_eq!(refused(&put("ada", "admin", &less)), forbidden, "{less}");
    }
    let more = json!({ "disable_providers": ["acme", "other", "third"], "disable_autonomy": true });
    put("ada", "admin", &more).ok(200);
    put("ada", "admin", &json!({ "disable_providers": ["acme", "other"], "disable_autonomy": true })).ok(200);
    // By the permission, whatever the role is.
    let permitted = altered(claims("mia", "viewer"), json!({ "permissions": { TENANT: ["kill_switches:write"] } }));
    let mia = |body: &Value| {
        Ask::by("mia", "PUT", "/v1/kill-switch")
            .with("authorization", &format!("Bearer {}", sign(&permitted)))
            .json(body)
            .send(addr)
    };
    assert_eq!(refused(&mia(&json!({}))), forbidden);
    put("olga", "owner", &json!({})).ok(200);
    mia(&json!({ "disabled_actions": ["threads.close"] })).ok(200);
    for (bad, said) in [
        (json!({ "disabled_actions": ["thread.publish"] }), "did you mean threads.publish?"),
        (json!({ "disabled_actions": ["kill_switches.put"] }), "kill_switches.put can't be switched off"),
        (json!({ "disabled_actions": ["openapi.show"] }), "openapi.show can't be switched off"),
        (json!({ "disable_providers": ["A"] }), "a provider has 1 to 64"),
        (json!({ "disable": true }), "disable"),
    ] {
        let answer = put("olga", "owner", &bad);
        assert_eq!(answer.refusal(), (400, "body.invalid".to_owned()), "{bad}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(said), "{}", answer.text());
    }
    assert_eq!(shown()["disabled_actions"], json!(["threads.close"]), "what is refused changes nothing");
}

/// Everything that lives on a thread and a canvas.
struct Live {
    session: Ws,
    own: Ws,
    sse: Stream,
    several: Stream,
    poll: Connection,
    upload: Connection,
}

impl Live {
    fn of(addr: SocketAddr, ask: impl Fn(&str, &str) -> Ask) -> Self {
        let get = |path: &str| ask("GET", path);
        let mut session = Ws::open(addr, &get("/v1/ws"));
        session.expect("welcome");
        for topic in ["thread/x", "canvas/x"] {
            session.subscribe(topic, &json!({}));
        }
        let mut own = Ws::open(addr, &get("/v1/threads/x/ws"));
        own.expect("welcome");
        own.expect("subscribed");
        let sse = |path: &str| get(path).with("accept", "text/event-stream");
        let connection = |ask: Ask| {
            let mut connection = Connection::open(addr);
            connection.send(&ask.bytes());
            connection
        };
        let mut upload = connection(ask("POST", PATH).lines());
        upload.chunk(b"{\"type\":\"note\",\"data\":\"uploaded\"}\n");
        assert_eq!(
            (session.event()["data"].take(), own.event()["data"].take()),
            (json!("uploaded"), json!("uploaded"))
        );
        Self {
            session,
            own,
            sse: Stream::open(addr, &sse(PATH)),
            several: Stream::open(addr, &sse("/v1/stream").query("topics=thread/x,canvas/x")),
            poll: connection(get(PATH).query("last=0&wait=30")),
            upload,
        }
    }
}

#[track_caller]
fn ends_refused(stream: &mut Stream) {
    let told = stream.named();
    assert_eq!(told, ("refused".to_owned(), json!({ "code": "kill_switch.blocked", "status": 403 })));
    assert!(stream.next().is_none());
}

#[test]
fn reading_that_is_switched_off_ends_within_a_second_and_nothing_else_does() {
    let hub = hub();
    let addr = hub.addr();
    for (tenant, env) in [("t_other", "dev"), (TENANT, "prod")] {
        for kind in ["threads", "canvases"] {
            foreign(Ask::new("POST", &format!("/v1/{kind}")), tenant, env)
                .json(json!({ "id": "x" }))
                .send(addr)
                .ok(201);
        }
    }
    let mut live = Live::of(addr, |method, path| Ask::by("bob", method, path));
    let mut others = [("t_other", "dev"), (TENANT, "prod")]
        .map(|(tenant, env)| Live::of(addr, move |method, path| foreign(Ask::new(method, path), tenant, env)));
    let begun = off(addr, &["threads.read"]);
    ends_refused(&mut live.sse);
    assert_eq!((live.own.error(), live.own.closed()), ("kill_switch.blocked".to_owned(), 4403));
    assert_eq!(blocked(&live.poll.answer(), "action"), "threads.read");
    let ended = json!({ "topic": "thread/x", "reason": "forbidden" });
    assert_eq!(live.several.named(), ("subscription_ended".to_owned(), ended.clone()));
    let told = live.session.expect("subscription_ended");
    assert_eq!((&told["topic"], &told["reason"]), (&ended["topic"], &ended["reason"]));
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    // What is no reading of threads goes on.
    live.upload.chunk(b"{\"type\":\"note\",\"data\":2}\n");
    live.upload.chunk(b"");
    assert_eq!(live.upload.answer().ok(201)["count"], 2);
    let note = json!({ "type": "note", "data": "shown" });
    Ask::by("alice", "POST", "/v1/canvases/x/events").json(&note).send(addr).ok(201);
    assert_eq!(
        (live.several.named().1["data"].take(), live.session.event()["data"].take()),
        (json!("shown"), json!("shown"))
    );
    // The last topic of a stream is its end.
    let begun = off(addr, &["canvases.read"]);
    assert_eq!(live.several.named().1, json!({ "topic": "canvas/x", "reason": "forbidden" }));
    assert!(live.several.next().is_none());
    assert_eq!(live.session.expect("subscription_ended")["topic"], "canvas/x");
    assert!(begun.elapsed() < SECOND);
    live.session.subscribe("thread/x", &json!({}));
    // Of all that nobody elsewhere has noticed anything.
    off(addr, &["*"]);
    assert_eq!((live.session.error(), live.session.closed()), ("kill_switch.blocked".to_owned(), 4403));
    for (other, (tenant, env)) in others.iter_mut().zip([("t_other", "dev"), (TENANT, "prod")]) {
        post(addr, foreign(Ask::new("POST", PATH), tenant, env), "note", json!(1)).ok(201);
        for event in [other.session.event(), other.own.event(), other.sse.event(), other.several.named().1] {
            assert_eq!(event["data"], 1);
        }
        assert_eq!(other.poll.answer().ok(200)["events"][0]["data"], 1);
        other.upload.chunk(b"");
        other.upload.answer().ok(201);
    }
}

#[test]
fn what_opened_a_stream_ends_it() {
    let hub = hub();
    let addr = hub.addr();
    let bob = || Live::of(addr, |method, path| Ask::by("bob", method, path));
    let mut live = bob();
    let begun = off(addr, &["stream.open", "session.open", "threads.stream"]);
    ends_refused(&mut live.several);
    for ws in [&mut live.session, &mut live.own] {
        assert_eq!((ws.error(), ws.closed()), ("kill_switch.blocked".to_owned(), 4403));
    }
    assert!(begun.elapsed() < SECOND);
    publish(addr, "alice", "x", &json!("to the rest"));
    assert_eq!(live.sse.event()["data"], "to the rest");
    assert_eq!(live.poll.answer().ok(200)["events"].as_array().unwrap().len(), 1);
    let begun = off(addr, &["threads.publish"]);
    let answer = live.upload.answer();
    assert_eq!(answer.refusal_with(&["action", "line", "accepted"]), (403, "kill_switch.blocked".to_owned()));
    assert_eq!((&answer.json()["action"], &answer.json()["accepted"]), (&json!("threads.publish"), &json!(1)));
    assert!(begun.elapsed() < SECOND);
    // Switched on again, everything is as it was.
    switch(addr, &json!({}));
    bob();
    assert_eq!(live.sse.event()["data"], "uploaded");
}

#[test]
fn nothing_falls_between_a_check_and_the_beginning_of_a_stream() {
    let hub = Running::with(|set| set.limits.connections_per_principal_max = 1_000);
    let addr = hub.addr();
    create_both(addr, "alice", &json!({ "id": "x" }));
    let opened = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let openers = [PATH, "/v1/stream?topics=thread/x"].repeat(2).into_iter().map(|path| {
            let opened = &opened;
            scope.spawn(move || {
                let mut streams = VecDeque::new();
                loop {
                    let mut connection = Connection::open(addr);
                    connection.send(&Ask::stream("bob", path).bytes());
                    let head = connection.head();
                    if head.status != 200 {
                        assert_eq!(head.status, 403, "{path}");
                        return streams;
                    }
                    opened.fetch_add(1, Ordering::SeqCst);
                    streams.push_back(connection);
                    if streams.len() > 8 {
                        streams.pop_front();
                    }
                }
            })
        });
        let openers: Vec<_> = openers.collect();
        eventually("many were opened", || (opened.load(Ordering::SeqCst) > 60).then_some(()));
        off(addr, &["threads.read"]);
        let streams: Vec<_> = openers.into_iter().flat_map(|opener| opener.join().unwrap()).collect();
        assert!(!streams.is_empty());
        for mut stream in streams {
            // To its end: one that goes on would keep the test waiting.
            let told = String::from_utf8(stream.rest()).unwrap();
            let ends = ["event: refused\ndata: {\"code\":\"kill_switch.blocked\"", "event: subscription_ended\n"];
            assert!(ends.iter().any(|end| told.contains(end)), "{told}");
        }
    });
}

#[test]
fn agents_only_read() {
    let hub = hub();
    let addr = hub.addr();
    let (_, agent) = key(addr, json!({ "role": "admin", "permissions": ["principals:act"] }));
    let (_, system) = key(addr, json!({ "role": "admin", "actor_type": "system", "permissions": ["principals:act"] }));
    let token =
        keyed(&agent, "POST", "/v1/stream-tokens").json(json!({ "rights": ["read", "write"] })).send(addr).ok(201);
    let token = token["token"].as_str().unwrap();
    let mut ws = Ws::open(addr, &Ask::new("GET", "/v1/ws").query(&format!("token={token}")));
    ws.expect("welcome");
    ws.subscribe("thread/x", &json!({}));
    let note = json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": 0 });
    ws.send(&note);
    eventually("it is published", || {
        matches!(ws.came(), Came::Frame(frame) if frame["t"] == "published").then_some(())
    });
    let mut upload = Connection::open(addr);
    upload.send(&keyed(&agent, "POST", PATH).lines().bytes());
    upload.chunk(b"{\"type\":\"note\",\"data\":1}\n");
    while ws.event()["data"] != 1 {}
    let begun = Instant::now();
    switch(addr, &json!({ "disable_autonomy": true }));
    let answer = upload.answer();
    assert_eq!(answer.refusal_with(&["action", "line", "accepted"]), (403, "kill_switch.blocked".to_owned()));
    assert!(begun.elapsed() < SECOND);
    let own = |key: &str| keyed(key, "POST", PATH);
    for ask in [own(&agent), own(&agent).with("x-act-as", "bob")] {
        assert_eq!(blocked(&post(addr, ask, "note", json!(2)), "action"), "threads.publish");
    }
    for (method, path) in [("POST", "/v1/threads"), ("DELETE", "/v1/threads/x"), ("POST", "/v1/stream-tokens")] {
        blocked(&keyed(&agent, method, path).json(json!({})).send(addr), "action");
    }
    // Nor do they switch themselves on.
    let put = keyed(&agent, "PUT", "/v1/kill-switch").json(json!({})).send(addr);
    assert_eq!(blocked(&put, "action"), "kill_switches.put");
    ws.send(&note);
    assert_eq!(ws.error(), "kill_switch.blocked");
    // Everybody else goes on, and agents read.
    for ask in [own(&system), own(&system).with("x-act-as", "bob"), Ask::by("bob", "POST", PATH)] {
        post(addr, ask, "note", json!(3)).ok(201);
        assert_eq!(ws.event()["data"], 3);
    }
    for path in ["/v1/threads", PATH, "/v1/kill-switch", "/v1/keys"] {
        keyed(&agent, "GET", path).send(addr).ok(200);
    }
    switch(addr, &json!({}));
    post(addr, own(&agent), "note", json!(4)).ok(201);
}

#[test]
fn no_work_is_started_with_a_provider_that_is_off() {
    let hub = hub();
    let addr = hub.addr();
    let bob = || Ask::by("bob", "POST", PATH);
    let elsewhere = |path: &str| foreign(Ask::new("POST", path), "t_other", "dev");
    elsewhere("/v1/threads").json(json!({ "id": "x" })).send(addr).ok(201);
    let of = |provider: &str| json!({ "name": "x", "provider": provider });
    switch(addr, &json!({ "disable_providers": ["acme"] }));
    for kind in ["run_start", "tool_call"] {
        for provider in ["acme", "Acme"] {
            assert_eq!(blocked(&post(addr, bob(), kind, of(provider)), "provider"), "acme");
        }
        post(addr, bob(), kind, of("other")).ok(201);
        post(addr, bob(), kind, json!({ "name": "x", "arguments": { "provider": "acme" } })).ok(201);
    }
    post(addr, bob(), "note", of("acme")).ok(201);
    post(addr, elsewhere(PATH), "run_start", of("acme")).ok(201);
    let event = |provider: &str| json!({ "type": "run_start", "data": of(provider) });
    let array = json!([event("other"), event("acme")]);
    for body in [array.clone(), json!({ "events": array, "idempotency_key": "k" })] {
        let answer = bob().json(body).send(addr);
        assert_eq!(blocked(&answer, "provider"), "acme");
        assert!(answer.json()["detail"].as_str().unwrap().starts_with("event 1: "));
    }
    // Of lines those before it stay.
    let lines =
        [event("other"), event("other"), event("acme"), event("other")].map(|event| event.to_string()).join("\n");
    let answer = bob().json(lines).with("content-type", "application/x-ndjson").send(addr);
    assert_eq!(answer.refusal_with(&["provider", "line", "accepted"]), (403, "kill_switch.blocked".to_owned()));
    assert_eq!((&answer.json()["line"], &answer.json()["accepted"]), (&json!(3), &json!(2)));
    let mut ws = Ws::session(addr, "bob");
    let mut frame = json!({ "t": "publish", "topic": "thread/x", "type": "tool_call", "data": of("acme") });
    ws.send(&frame);
    let error = ws.expect("error");
    assert_eq!((&error["code"], &error["provider"]), (&json!("kill_switch.blocked"), &json!("acme")));
    frame["data"]["provider"] = json!("other");
    ws.send(&frame);
    ws.expect("published");
    let head = Ask::by("bob", "GET", PATH).query("last=0").send(addr).ok(200);
    assert!(head["newest"].as_str().unwrap().ends_with(".8"), "{head}");
    switch(addr, &json!({}));
    post(addr, bob(), "run_start", of("acme")).ok(201);
}

#[test]
fn a_crash_forgets_nothing() {
    let dir = TempDir::new().unwrap();
    let mut hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[]);
    let addr = hub.addr;
    let body = json!({
        "disabled_actions": ["threads.create"], "disable_autonomy": true, "disable_providers": ["acme"], "reason": "\"x\"",
    });
    let told = switch(addr, &body);
    hub.kill();
    let _hub = Process::start(dir.path(), &addr.to_string(), &[]);
    assert_eq!(Ask::by("bob", "GET", "/v1/kill-switch").send(addr).ok(200), told);
    let create = || Ask::by("bob", "POST", "/v1/threads").json(json!({})).send(addr);
    assert_eq!(blocked(&create(), "action"), "threads.create");
    let admins = by("ada", "admin", "PUT", "/v1/kill-switch").json(json!({})).send(addr);
    assert_eq!(refused(&admins), (403, "permission.denied".to_owned()), "nor whose it is");
    switch(addr, &json!({}));
    create().ok(201);
}
