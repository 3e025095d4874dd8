//! Stream tokens of several hubs on one Redis: real processes, and a Redis that goes away and comes back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::{EVENTS, Tab, issue, url};
use crate::support::authority::{admin, by, claims_of, revoke, with};
use crate::support::eventually;
use crate::support::http::{Ask, create, publish};
use crate::support::process::{Process, own_host};
use crate::support::redis::RedisServer;
use crate::support::token::{altered, claims, sign};

/// A hub with a directory of its own.
struct Hub {
    process: Process,
    redis_url: String,
    dir: TempDir,
}

impl Hub {
    #[track_caller]
    fn on(redis: &RedisServer) -> Self {
        let (dir, redis_url) = (TempDir::new().unwrap(), redis.url());
        let process = Self::start(&dir, &redis_url, &format!("{}:0", own_host()));
        create(process.addr, "alice", "x");
        Self { process, redis_url, dir }
    }

    #[track_caller]
    fn start(dir: &TempDir, redis_url: &str, listen: &str) -> Process {
        let variables = [
            ("TAMBOUR__TOKENS__STORE", "redis"),
            ("TAMBOUR__TOKENS__REDIS_URL", redis_url),
            ("TAMBOUR__TOKENS__KEEP_SECONDS", "1"),
            ("TAMBOUR__SESSION__SSE_COMMENT_SECONDS", "1"),
        ];
        Process::start(dir.path(), listen, &variables)
    }

    /// The same hub again, once it was killed.
    #[track_caller]
    fn start_again(&mut self) {
        self.process = Self::start(&self.dir, &self.redis_url, &self.addr().to_string());
    }

    fn addr(&self) -> SocketAddr {
        self.process.addr
    }
}

#[test]
fn a_stream_on_another_hub_takes_over() {
    let redis = RedisServer::start();
    let (one, other) = (Hub::on(&redis), Hub::on(&redis));
    let token = issue(one.addr(), "alice", &json!({}));
    let mut tab = Tab::open(one.addr(), EVENTS, &token);
    let mut newer = Tab::open(other.addr(), EVENTS, &token);
    tab.expect_replaced();
    publish(other.addr(), "alice", "x", &json!("on"));
    assert_eq!(newer.next(), "on");
    let mut back = Tab::open(one.addr(), EVENTS, &token);
    newer.expect_replaced();
    // It lives by what the hub where it is says, not by what the other one thinks.
    back.stream.comments(3);
    publish(one.addr(), "alice", "x", &json!("back"));
    assert_eq!(back.next(), "back");
    // What is kept says nothing of the token, and nothing of whose it is in its key.
    let keys = redis.command(&["KEYS", "*"]);
    assert!(keys.contains("stream-tokens:") && !keys.contains("alice"), "{keys}");
    for key in keys.lines() {
        let is_hash = redis.command(&["TYPE", key]) == "+hash";
        assert!(!is_hash || !redis.command(&["HGETALL", key]).contains(&token[4..]));
    }
    let once = issue(one.addr(), "alice", &json!({ "single_use": true }));
    let _stream = Tab::open(one.addr(), EVENTS, &once);
    assert_eq!(url(EVENTS, &once).send(other.addr()).refusal(), (401, "auth.token_invalid".to_owned()));
}

#[test]
fn sixty_four_issuers_over_two_hubs_stay_below_the_cap() {
    let redis = RedisServer::start();
    let (one, other) = (Hub::on(&redis), Hub::on(&redis));
    for round in 0..3 {
        let parent = sign(&altered(claims("alice", "member"), json!({ "jti": format!("round-{round}") })));
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let issuers: Vec<_> = (0..64)
                .map(|number| {
                    let addr = if number % 2 == 0 { one.addr() } else { other.addr() };
                    let ask = Ask::by("alice", "POST", "/v1/stream-tokens");
                    let ask = ask.with("authorization", &format!("Bearer {parent}"));
                    scope.spawn(move || ask.send(addr).status)
                })
                .collect();
            issuers.into_iter().map(|issuer| issuer.join().unwrap()).collect()
        });
        let (made, full) = (201, 429);
        assert_eq!(statuses.iter().filter(|status| **status == made).count(), 10, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == full).count(), 54, "{statuses:?}");
    }
}

#[test]
fn while_redis_is_away_nothing_is_made_or_opened_and_streams_go_on() {
    let mut redis = RedisServer::start();
    let hub = Hub::on(&redis);
    let token = issue(hub.addr(), "alice", &json!({}));
    let unused = issue(hub.addr(), "alice", &json!({}));
    let mut tab = Tab::open(hub.addr(), EVENTS, &token);
    let refused = |ask: &Ask| {
        let began = Instant::now();
        let refused = ask.send(hub.addr());
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(refused.header("retry-after"), Some("1"));
        refused.refusal()
    };
    let unavailable = || (503, "token.store_unavailable".to_owned());
    let make = Ask::by("alice", "POST", "/v1/stream-tokens").json("{}");
    redis.stop();
    assert_eq!(refused(&make), unavailable());
    assert_eq!(refused(&url(EVENTS, &unused)), unavailable());
    // An EventSource that comes back is told to try again, in a stream: any status but 200 would end it for good.
    let answer = url(EVENTS, &unused).with("last-event-id", tab.stream.connected["cursor"].as_str().unwrap());
    let answer = answer.send(hub.addr());
    assert!(answer.status == 200 && answer.text().contains("token.store_unavailable"), "{}", answer.text());
    publish(hub.addr(), "alice", "x", &json!("meanwhile"));
    assert_eq!(tab.next(), "meanwhile");
    tab.stream.comments(2);

    redis.start_again();
    make.send(hub.addr()).ok(201);
    Tab::open(hub.addr(), EVENTS, &unused);
    publish(hub.addr(), "alice", "x", &json!("again"));
    assert_eq!(tab.next(), "again");

    // One that accepts connections and says nothing.
    redis.signal("STOP");
    assert_eq!(refused(&make), unavailable());
    redis.signal("CONT");
    eventually("it is well again", || (make.send(hub.addr()).status == 201).then_some(()));
    let said = hub.process.said();
    assert!(said.contains("can't answer") && said.contains("answers again"), "{said}");
    assert!(!said.contains(&token[4..]) && !said.contains(&unused[4..]));
}

#[test]
fn a_hub_that_starts_before_its_redis() {
    let mut redis = RedisServer::start();
    redis.stop();
    let hub = Hub::on(&redis);
    let make = Ask::by("alice", "POST", "/v1/stream-tokens").json("{}");
    assert_eq!(make.send(hub.addr()).refusal(), (503, "token.store_unavailable".to_owned()));
    redis.start_again();
    make.send(hub.addr()).ok(201);
}

#[test]
fn what_one_hub_revokes_ends_on_the_other() {
    let redis = RedisServer::start();
    let (one, other) = (Hub::on(&redis), Hub::on(&redis));
    let claims = claims_of("bob", "member");
    let made = with(Ask::by("bob", "POST", "/v1/stream-tokens"), &claims).json(json!({})).send(one.addr()).ok(201);
    let token = made["token"].as_str().unwrap();
    let mut tab = Tab::open(other.addr(), EVENTS, token);
    publish(other.addr(), "alice", "x", &json!("on"));
    assert_eq!(tab.next(), "on");
    revoke(one.addr(), &json!({ "jti": "jti-of-bob" }));
    let told = json!({ "code": "auth.token_revoked", "status": 401 });
    assert_eq!(tab.stream.named(), ("refused".to_owned(), told));
    assert!(tab.stream.next().is_none());
    assert_eq!(tab.again().send(other.addr()).refusal(), (401, "auth.token_invalid".to_owned()));
}

/// A stream on one hub by a token that was made on the other.
#[track_caller]
fn tab_of(sub: &str, role: &str, made_on: &Hub, opened_on: &Hub) -> Tab {
    let ask = with(Ask::by(sub, "POST", "/v1/stream-tokens"), &claims_of(sub, role)).json(json!({}));
    let made = ask.send(made_on.addr()).ok(201);
    Tab::open(opened_on.addr(), EVENTS, made["token"].as_str().unwrap())
}

/// The stream is told that its token is over, and ends. Comments come meanwhile, so it is asked for how many are left.
#[track_caller]
fn expect_revoked(hub: &Hub, left: u64, tab: &mut Tab) {
    eventually("the stream is over", || (hub.process.sessions() <= left).then_some(()));
    let told = json!({ "code": "auth.token_revoked", "status": 401 });
    assert_eq!(tab.stream.named(), ("refused".to_owned(), told));
    assert!(tab.stream.next().is_none());
}

#[test]
fn what_an_admin_says_reaches_the_other_hub_and_no_owner_there() {
    let redis = RedisServer::start();
    let (one, other) = (Hub::on(&redis), Hub::on(&redis));
    let [mut bob, mut carol, mut dora] = ["bob", "carol", "dora"].map(|sub| tab_of(sub, "member", &one, &other));
    let mut owners = ["olga", "otto", "olaf"].map(|sub| tab_of(sub, "owner", &one, &other));
    let suspend = |sub: &str| {
        let ask = admin("PUT", &format!("/v1/principals/{sub}")).json(json!({ "state": "suspended" }));
        ask.send(one.addr()).ok(200);
    };
    // The owners first, so that it had its time when the others have ended.
    revoke(one.addr(), &json!({ "sub": "olga" }));
    suspend("otto");
    revoke(one.addr(), &json!({ "jti": "jti-of-olaf" }));
    revoke(one.addr(), &json!({ "sub": "bob" }));
    suspend("carol");
    revoke(one.addr(), &json!({ "jti": "jti-of-dora" }));
    [&mut bob, &mut carol, &mut dora].into_iter().for_each(|tab| expect_revoked(&other, 3, tab));
    publish(other.addr(), "alice", "x", &json!("on"));
    for tab in &mut owners {
        assert_eq!(tab.next(), "on");
        // Until the store has been told of all streams once more: its token is there.
        tab.stream.comments(2);
    }
    // What an owner says reaches them.
    by("oona", "owner", "POST", "/v1/revocations").json(json!({ "sub": "olga" })).send(one.addr()).ok(201);
    expect_revoked(&other, 2, &mut owners[0]);
}

#[test]
fn what_was_revoked_while_redis_was_away_ends_although_the_hub_died() {
    let mut redis = RedisServer::start();
    let (mut one, other) = (Hub::on(&redis), Hub::on(&redis));
    let [mut bob, mut carol] = ["bob", "carol"].map(|sub| tab_of(sub, "member", &one, &other));
    redis.stop();
    revoke(one.addr(), &json!({ "sub": "bob" }));
    one.process.kill();
    redis.start_again();
    // The other hub knows nothing of it, and keeps what it has.
    publish(other.addr(), "alice", "x", &json!("still"));
    assert_eq!(bob.next(), "still");
    bob.stream.comments(2);
    one.start_again();
    expect_revoked(&other, 1, &mut bob);
    assert_eq!(bob.again().send(other.addr()).refusal(), (401, "auth.token_invalid".to_owned()));
    publish(other.addr(), "alice", "x", &json!("on"));
    assert_eq!((carol.next(), carol.next()), (json!("still"), json!("on")));
}
