//! Who is suspended, revoked or made less is so at once, wherever they are: live streams end within a second and are told
//! why, and nothing of it is forgotten by a crash. What is said in one tenant and env is nothing in another.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::authority::{admin, by, claims_of, foreign, key, keyed, put, refused, revoke, with};
use crate::support::eventually;
use crate::support::http::{Ask, Connection, create, publish};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::sse::Stream;
use crate::support::token::{TENANT, altered, now, sign};
use crate::support::ws::{Came, Ws};

const PATH: &str = "/v1/threads/x/events";
/// Within which a live stream ends that is to end.
const AT_ONCE: Duration = Duration::from_secs(1);

fn hub() -> Running {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    hub
}

/// Everything that somebody can have open.
struct Live {
    sse: Stream,
    several: Stream,
    ws: Ws,
    of_one: Ws,
    poll: Connection,
    lines: Connection,
}

impl Live {
    #[track_caller]
    fn open(addr: SocketAddr, claims: &Value) -> Self {
        let ask = |method: &str, path: &str| with(Ask::by("", method, path), claims);
        let sse = |path: &str| Stream::open(addr, &ask("GET", path).with("accept", "text/event-stream"));
        let (stream, several) = (sse(PATH), sse("/v1/stream?topics=thread/x"));
        let mut ws = Ws::open(addr, &ask("GET", "/v1/ws").without("authorization"));
        ws.send(&json!({ "t": "hello", "token": sign(claims), "tenant_id": TENANT, "env": "dev" }));
        ws.expect("welcome");
        ws.subscribe("thread/x", &json!({}));
        let mut of_one = Ws::open(addr, &ask("GET", "/v1/threads/x/ws"));
        of_one.expect("welcome");
        of_one.expect("subscribed");
        let mut lines = Connection::open(addr);
        lines.send(&ask("POST", PATH).lines().bytes());
        lines.chunk(b"{\"type\":\"note\",\"data\":\"a line\"}\n");
        let mut live = Self { sse: stream, several, ws, of_one, poll: Connection::open(addr), lines };
        let seen = [live.sse.event(), live.several_event(), live.ws.event(), live.of_one.event()];
        assert!(seen.iter().all(|event| event["data"] == "a line"), "{seen:?}");
        live.poll.send(&ask("GET", PATH).query("last=0&wait=30").bytes());
        live
    }

    #[track_caller]
    fn several_event(&mut self) -> Value {
        serde_json::from_str(&self.several.next().unwrap().data).unwrap()
    }

    /// All of it ends: each is told `code`, and sockets are closed with `close`.
    #[track_caller]
    fn ends(mut self, (status, code): (u16, &str), close: u16) {
        for stream in [&mut self.sse, &mut self.several] {
            assert_eq!(stream.named(), ("refused".to_owned(), json!({ "code": code, "status": status })));
            assert!(stream.next().is_none(), "and it ends");
        }
        for ws in [&mut self.ws, &mut self.of_one] {
            let error = ws.expect("error");
            assert_eq!((&error["code"], &error["status"]), (&json!(code), &json!(status)));
            assert_eq!(ws.closed(), close);
        }
        if code != "session.ended" {
            assert_eq!(self.poll.answer().refusal(), (status, code.to_owned()));
            let told = self.lines.answer();
            assert_eq!(told.refusal_with(&["line", "accepted"]), (status, code.to_owned()));
            assert_eq!((&told.json()["line"], &told.json()["accepted"]), (&json!(2), &json!(1)));
        }
    }
}

#[test]
fn every_cause_ends_what_is_open_within_a_second() {
    type Cause = (&'static str, fn(SocketAddr), (u16, &'static str), u16);
    let causes: [Cause; 4] = [
        ("suspended", |addr| drop(put(addr, "bob", &json!({ "state": "suspended" }))), (403, "auth.suspended"), 4403),
        ("a token", |addr| drop(revoke(addr, &json!({ "jti": "jti-of-bob" }))), (401, "auth.token_revoked"), 4401),
        ("all tokens", |addr| drop(revoke(addr, &json!({ "sub": "bob" }))), (401, "auth.token_revoked"), 4401),
        (
            "ended",
            |addr| assert_eq!(admin("DELETE", "/v1/sessions?principal=bob").send(addr).ok(200), json!({ "ended": 4 })),
            (403, "session.ended"),
            4403,
        ),
    ];
    for (what, cause, refusal, close) in causes {
        let hub = hub();
        let addr = hub.addr();
        let claims = claims_of("bob", "member");
        let live = Live::open(addr, &claims);
        let mut carol = Stream::open(addr, &Ask::stream("carol", PATH));
        let began = Instant::now();
        cause(addr);
        live.ends(refusal, close);
        assert!(began.elapsed() < AT_ONCE, "{what}: {:?}", began.elapsed());
        publish(addr, "alice", "x", &json!("later"));
        assert_eq!(carol.event()["data"], "later", "{what}: nobody else hears of it");
        // Neither do they come back, but for who was only told to go.
        let again = with(Ask::by("bob", "GET", "/v1/threads"), &claims).send(addr);
        let mut ws = Ws::open(addr, &Ask::by("bob", "GET", "/v1/ws").without("authorization"));
        ws.send(&json!({ "t": "hello", "token": sign(&claims), "tenant_id": TENANT, "env": "dev" }));
        if what == "ended" {
            again.ok(200);
            ws.expect("welcome");
        } else {
            assert_eq!(again.refusal(), (refusal.0, refusal.1.to_owned()), "{what}");
            assert_eq!((ws.error(), ws.closed()), (refusal.1.to_owned(), close), "{what}");
        }
    }
}

#[test]
fn a_later_login_is_good_and_a_renewal_with_an_old_token_is_not() {
    let hub = hub();
    let login = |iat: i64| altered(claims_of("bob", "member"), json!({ "iat": iat, "jti": null }));
    let mut ws = Ws::open(hub.addr(), &with(Ask::by("bob", "GET", "/v1/ws"), &login(now() + 20)));
    ws.expect("welcome");
    let told = revoke(hub.addr(), &json!({ "sub": "bob" }));
    assert_eq!(told["sub"], "bob");
    let status = |claims: &Value| with(Ask::by("bob", "GET", "/v1/threads"), claims).send(hub.addr()).status;
    assert_eq!([status(&login(now() - 5)), status(&login(now() + 20))], [401, 200]);
    assert_eq!(status(&altered(login(0), json!({ "iat": null }))), 401, "who does not say when was before");
    ws.send(&json!({ "t": "auth", "token": sign(&login(now() - 5)) }));
    assert_eq!((ws.error(), ws.closed()), ("auth.token_revoked".to_owned(), 4401));
    let shown = admin("GET", "/v1/principals/bob").send(hub.addr()).ok(200);
    assert_eq!((&shown["state"], &shown["revoked_at"]), (&json!("active"), &told["revoked_at"]));
}

#[test]
fn a_role_is_another_in_a_live_session() {
    let hub = hub();
    let addr = hub.addr();
    let mut bob = Ws::session(addr, "bob");
    let note = json!({ "t": "publish", "topic": "thread/x", "type": "note", "data": 1 });
    bob.send(&note);
    bob.expect("published");
    assert_eq!(put(addr, "bob", &json!({ "state": "active", "role": "viewer" }))["role"], "viewer");
    // Within a second: a publish that is on its way may be a moment earlier.
    let answer = eventually("he is told", || {
        bob.send(&note);
        let Came::Frame(answer) = bob.came() else { panic!("an answer") };
        (answer["t"] == "error").then_some(answer)
    });
    assert_eq!(answer["code"], "permission.denied");
    let over_http = || Ask::by("bob", "POST", PATH).json(json!({ "type": "note", "data": 1 })).send(addr);
    assert_eq!(over_http().refusal(), (403, "permission.denied".to_owned()));
    bob.subscribe("thread/x", &json!({}));
    // What was said is taken back: the token's role is in force again.
    put(addr, "bob", &json!({ "state": "active" }));
    eventually("he may again", || {
        bob.send(&note);
        loop {
            match bob.came() {
                Came::Frame(frame) if frame["t"] == "published" => return Some(()),
                Came::Frame(frame) if frame["t"] == "error" => return None,
                _ => {}
            }
        }
    });
    over_http().ok(201);
}

#[test]
fn a_private_topic_is_read_no_more_by_who_is_no_admin_any_more() {
    let hub = hub();
    let addr = hub.addr();
    Ask::by("alice", "POST", "/v1/threads").json(json!({ "id": "secret", "visibility": "private" })).send(addr).ok(201);
    let secret = "/v1/threads/secret/events";
    let mut sse = Stream::open(addr, &by("ben", "admin", "GET", secret).with("accept", "text/event-stream"));
    let mut ws = Ws::open(addr, &by("ben", "admin", "GET", "/v1/ws"));
    ws.expect("welcome");
    for topic in ["thread/secret", "thread/x"] {
        ws.subscribe(topic, &json!({}));
    }
    put(addr, "ben", &json!({ "state": "active", "role": "member" }));
    let ended = json!({ "topic": "thread/secret", "reason": "forbidden" });
    assert_eq!(sse.named(), ("subscription_ended".to_owned(), ended));
    assert!(sse.next().is_none());
    assert_eq!(ws.expect("subscription_ended")["topic"], "thread/secret");
    publish(addr, "alice", "secret", &json!("hidden"));
    publish(addr, "alice", "x", &json!("shown"));
    assert_eq!(ws.event()["data"], "shown");
    let read = || by("ben", "admin", "GET", secret).send(addr).status;
    assert_eq!(read(), 403);
    put(addr, "ben", &json!({ "state": "active" }));
    assert_eq!(read(), 200);
}

#[test]
fn an_admin_does_not_reach_an_owner() {
    let hub = hub();
    let addr = hub.addr();
    let mut owner = Stream::open(addr, &by("olga", "owner", "GET", PATH).with("accept", "text/event-stream"));
    let order = |who: &str, role: &str, sub: &str, body: Value| {
        by(who, role, "PUT", &format!("/v1/principals/{sub}")).json(body).send(addr)
    };
    let told = order("ada", "admin", "olga", json!({ "state": "suspended" })).ok(200);
    assert_eq!((&told["authority"], &told["changed_by"]), (&json!("admin"), &json!("ada")));
    order("ada", "admin", "olga", json!({ "state": "active", "role": "viewer" })).ok(200);
    revoke(addr, &json!({ "sub": "olga" }));
    publish(addr, "alice", "x", &json!(1));
    assert_eq!(owner.event()["data"], 1, "her stream goes on");
    assert_eq!(by("olga", "owner", "GET", "/v1/keys").send(addr).status, 200);
    let forbidden = (403, "permission.denied".to_owned());
    let raise = json!({ "state": "active", "role": "owner" });
    for (who, role) in [("ada", "admin"), ("bob", "member")] {
        assert_eq!(
            refused(&order(who, role, "carol", raise.clone())),
            forbidden,
            "{who} raises nobody above themselves"
        );
    }
    order("olga", "owner", "carol", raise).ok(200);
    assert_eq!(refused(&order("ada", "admin", "carol", json!({ "state": "suspended" }))), forbidden);
    assert_eq!(by("carol", "member", "GET", "/v1/keys").send(addr).status, 200, "carol is an owner now");
    for body in ["{}", r#"{"state":"gone"}"#, r#"{"state":"active","role":null}"#, "[]"] {
        let asked = admin("PUT", "/v1/principals/bob").json(body).send(addr);
        assert_eq!(asked.refusal(), (400, "body.invalid".to_owned()), "{body}");
    }
    for path in ["/v1/principals/a%00b", "/v1/principals/%ff"] {
        assert_eq!(admin("GET", path).send(addr).refusal(), (400, "name.invalid".to_owned()), "{path}");
    }
}

#[test]
fn what_is_said_elsewhere_changes_nothing() {
    let hub = hub();
    let addr = hub.addr();
    let (id, token) = key(addr, json!({}));
    let claims = claims_of("bob", "member");
    let mut sse = Stream::open(addr, &with(Ask::by("bob", "GET", PATH), &claims).with("accept", "text/event-stream"));
    for (tenant, env) in [("t_other", "dev"), (TENANT, "prod")] {
        let ask = |method: &str, path: &str| foreign(Ask::by("ada", method, path), tenant, env);
        ask("PUT", "/v1/principals/bob").json(json!({ "state": "suspended" })).send(addr).ok(200);
        for body in [json!({ "sub": "bob" }), json!({ "jti": "jti-of-bob" })] {
            ask("POST", "/v1/revocations").json(body).send(addr).ok(201);
        }
        assert_eq!(ask("DELETE", "/v1/sessions?principal=bob").send(addr).ok(200), json!({ "ended": 0 }));
        assert_eq!(ask("GET", "/v1/sessions").send(addr).ok(200)["sessions"], json!([]));
        assert_eq!(ask("GET", "/v1/keys").send(addr).ok(200)["keys"], json!([]));
        let unknown = (404, "key.unknown".to_owned());
        assert_eq!(ask("DELETE", &format!("/v1/keys/{id}")).send(addr).refusal(), unknown);
        assert_eq!(ask("POST", &format!("/v1/keys/{id}/rotate")).send(addr).refusal(), unknown);
        let suspended = ask("PUT", &format!("/v1/principals/{id}")).json(json!({ "state": "suspended" }));
        assert_eq!(suspended.send(addr).refusal(), unknown);
    }
    publish(addr, "alice", "x", &json!("still"));
    assert_eq!(sse.event()["data"], "still");
    with(Ask::by("bob", "GET", "/v1/threads"), &claims).send(addr).ok(200);
    keyed(&token, "GET", "/v1/threads").send(addr).ok(200);
    assert_eq!(admin("GET", "/v1/principals/bob").send(addr).ok(200), json!({ "sub": "bob", "state": "active" }));
}

/// What was said before a crash, or in a backup.
#[track_caller]
fn stands(addr: SocketAddr, token: &str, rotated: &str) {
    let refusal = |claims: &Value| with(Ask::by("", "GET", "/v1/threads"), claims).send(addr).refusal().1;
    assert_eq!(refusal(&claims_of("bob", "member")), "auth.suspended");
    assert_eq!(refusal(&claims_of("mallory", "member")), "auth.token_revoked");
    let of_carol = altered(claims_of("carol", "member"), json!({ "iat": now() - 600 }));
    assert_eq!(refusal(&of_carol), "auth.token_revoked");
    assert_eq!(by("dave", "member", "POST", "/v1/threads").json("{}").send(addr).refusal().1, "permission.denied");
    for token in [token, rotated] {
        keyed(token, "GET", "/v1/threads").send(addr).ok(200);
    }
    let keys = admin("GET", "/v1/keys").send(addr).ok(200);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
}

fn start(data: &Path) -> Process {
    Process::start(data, &format!("{}:0", own_host()), &[])
}

#[test]
fn a_crash_and_a_backup_forget_nothing() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let mut hub = start(&data);
    let (_, gone) = key(hub.addr, json!({ "name": "gone" }));
    let listed = admin("GET", "/v1/keys").send(hub.addr).ok(200);
    let id = listed["keys"][0]["id"].as_str().unwrap().to_owned();
    admin("DELETE", &format!("/v1/keys/{id}")).send(hub.addr).ok(204);
    let (id, token) = key(hub.addr, json!({}));
    let rotated = admin("POST", &format!("/v1/keys/{id}/rotate")).send(hub.addr).ok(200);
    let rotated = rotated["token"].as_str().unwrap().to_owned();
    put(hub.addr, "dave", &json!({ "state": "active", "role": "viewer" }));
    revoke(hub.addr, &json!({ "jti": "jti-of-mallory" }));
    revoke(hub.addr, &json!({ "sub": "carol" }));
    put(hub.addr, "bob", &json!({ "state": "suspended" }));
    // The last answer has come, and at once the end.
    hub.kill();
    let hub = start(&data);
    stands(hub.addr, &token, &rotated);
    assert_eq!(keyed(&gone, "GET", "/v1/threads").send(hub.addr).refusal(), (401, "auth.token_invalid".to_owned()));
    let (file, copy) = (dir.path().join("backup"), dir.path().join("copy"));
    for args in
        [["backup", "--data", data.to_str().unwrap(), "--to"], ["restore", "--data", copy.to_str().unwrap(), "--from"]]
    {
        let mut command = crate::support::process::tambour(&args);
        command.arg(&file);
        assert!(crate::support::process::finished(command).status.success(), "{args:?}");
    }
    stands(start(&copy).addr, &token, &rotated);
}

#[test]
fn nothing_falls_between_a_proof_and_the_beginning_of_a_stream() {
    let hub = Running::with(|set| set.limits.connections_per_principal_max = 1_000);
    let addr = hub.addr();
    create(addr, "alice", "x");
    let claims = claims_of("bob", "member");
    let opened = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let openers: Vec<_> = (0..4)
            .map(|worker| {
                let (claims, opened) = (&claims, &opened);
                scope.spawn(move || {
                    let ask = with(Ask::by("bob", "GET", PATH), claims).with("accept", "text/event-stream");
                    let mut streams = Vec::new();
                    loop {
                        let mut connection = Connection::open(addr);
                        connection.send(&ask.bytes());
                        let head = connection.head();
                        if head.status != 200 {
                            assert_eq!(head.status, 403, "opener {worker}");
                            return streams;
                        }
                        opened.fetch_add(1, Ordering::SeqCst);
                        streams.push(connection);
                        if streams.len() > 8 {
                            streams.remove(0);
                        }
                    }
                })
            })
            .collect();
        eventually("many were opened", || (opened.load(Ordering::SeqCst) > 60).then_some(()));
        put(addr, "bob", &json!({ "state": "suspended" }));
        let answered = Instant::now();
        let mut ended = 0;
        for mut stream in openers.into_iter().flat_map(|opener| opener.join().unwrap()) {
            // To its end: one that goes on would keep the test waiting.
            let told = String::from_utf8(stream.rest()).unwrap();
            assert!(told.ends_with("event: refused\ndata: {\"code\":\"auth.suspended\",\"status\":403}\n\n"), "{told}");
            ended += 1;
        }
        assert!(ended > 0 && answered.elapsed() < AT_ONCE, "{ended} in {:?}", answered.elapsed());
    });
}

#[test]
fn what_is_in_force_is_what_is_on_disk_whoever_was_last() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let mut hub = start(&data);
    let addr = hub.addr;
    std::thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                for round in 0..25 {
                    let role = ["viewer", "member", "admin"][(worker + round) % 3];
                    let sub = ["bob", "carol"][round % 2];
                    put(addr, sub, &json!({ "state": "active", "role": role }));
                }
            });
        }
    });
    let told = |addr| ["bob", "carol"].map(|sub| admin("GET", &format!("/v1/principals/{sub}")).send(addr).ok(200));
    let before = told(addr);
    hub.kill();
    assert_eq!(told(start(&data).addr), before);
}

#[test]
fn what_can_not_be_kept_is_not_in_force() {
    let hub = Running::with(|set| set.store.file_bytes_max = 512 * 1024);
    let addr = hub.addr();
    create(addr, "alice", "x");
    let mut stream = Stream::open(addr, &Ask::stream("bob", PATH));
    let note = json!({ "type": "note", "data": "x".repeat(4_096) });
    let fill = Ask::by("alice", "POST", PATH).json(note);
    let full = (0..1_000).find(|_| fill.send(addr).status == 507);
    let events = full.expect("the limit is met");
    // Small changes may still find room on a page that is there.
    let refused = (0..2_000).find_map(|n| {
        let sub = format!("somebody-{n}-{}", "s".repeat(200));
        let answer = admin("PUT", &format!("/v1/principals/{sub}")).json(r#"{"state":"suspended"}"#).send(addr);
        (answer.status != 200).then_some((sub, answer))
    });
    let (sub, answer) = refused.expect("there is no room at last");
    assert_eq!(answer.refusal(), (507, "store.full".to_owned()));
    assert_eq!(admin("GET", &format!("/v1/principals/{sub}")).send(addr).ok(200)["state"], "active");
    by(&sub, "member", "GET", "/v1/threads").send(addr).ok(200);
    for seq in 1..=events as u64 {
        assert_eq!(stream.event()["seq"], seq);
    }
}
