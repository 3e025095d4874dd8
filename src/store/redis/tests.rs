//! The contract of stream tokens on a real Redis, and what Redis adds: other hubs, a limit for all of them, a server that
//! goes away, hangs and comes back.

use std::time::{Duration, Instant};

use tambour_actors::topic::now_ms;
use tokio::runtime::Runtime;

use super::*;
use crate::identity::stream_tokens::contract::{self, Made, World, record};
use crate::identity::stream_tokens::{Bound, Parent};

#[path = "../../../tests/api/support/redis.rs"]
mod server;
use server::RedisServer;

struct Shared<'s> {
    tokens: RedisTokens,
    runtime: Runtime,
    _server: &'s RedisServer,
}

impl World for Shared<'_> {
    fn tokens(&self) -> &dyn StreamTokens {
        &self.tokens
    }

    fn now_ms(&self) -> i64 {
        now_ms()
    }

    /// Redis has a clock of its own, which nothing but time moves.
    fn pass(&self, ms: i64) {
        std::thread::sleep(Duration::from_millis(ms.unsigned_abs()));
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn ttl_ms(&self) -> i64 {
        800
    }
}

fn hub(server: &RedisServer) -> Shared<'_> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Shared { tokens: RedisTokens::new(&server.url()).unwrap(), runtime, _server: server }
}

fn new(digest: u64) -> NewToken {
    NewToken {
        own: Bound { of: Parent([1; 32]), outstanding_max: 10 },
        within: None,
        record: record(&Made { digest, ..Made::default() }),
    }
}

fn held(digest: u64, stream: u128) -> Held {
    let digest = record(&Made { digest, ..Made::default() }).proof().unwrap().digest;
    Held { digest, stream: StreamId(Uuid::from_u128(stream)) }
}

#[test]
fn stream_tokens_pass_the_contract() {
    let server = RedisServer::start();
    let make = || {
        assert_eq!(server.command(&["FLUSHALL"]), "+OK");
        hub(&server)
    };
    contract::run(make, 1_500);
}

#[test]
fn nothing_stays_behind_and_no_name_is_in_a_key() {
    let server = RedisServer::start();
    let hub = hub(&server);
    for digest in 0..40 {
        let made = Made { digest, ttl_ms: 50, jti: None, ends_at_ms: now_ms() + 400, ..Made::default() };
        let token = NewToken { own: Bound { outstanding_max: 100, ..new(0).own }, record: record(&made), ..new(0) };
        hub.wait(hub.tokens.issue(token, now_ms())).unwrap();
    }
    let keys = server.command(&["KEYS", "*"]);
    assert!(
        keys.contains("tambour:stream-tokens:sub:") && !keys.contains("alice") && !keys.contains("t_demo"),
        "{keys}"
    );
    let until = Instant::now() + Duration::from_secs(20);
    while server.command(&["DBSIZE"]) != ":0" {
        assert!(Instant::now() < until, "{}", server.command(&["KEYS", "*"]));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn sets_of_tokens_forget_those_that_ran_out() {
    let server = RedisServer::start();
    let hub = hub(&server);
    for digest in 0..50 {
        let made = Made { digest, ttl_ms: 1, jti: None, ..Made::default() };
        let token = NewToken { own: Bound { outstanding_max: 100, ..new(0).own }, record: record(&made), ..new(0) };
        hub.wait(hub.tokens.issue(token, now_ms())).unwrap();
    }
    std::thread::sleep(Duration::from_millis(20));
    for digest in 100..150 {
        let made = Made { digest, jti: None, ..Made::default() };
        let token = NewToken { own: Bound { outstanding_max: 100, ..new(0).own }, record: record(&made), ..new(0) };
        hub.wait(hub.tokens.issue(token, now_ms())).unwrap();
    }
    let set = set_key("sub", &record(&Made::default()).principal.scope, "alice");
    let count = server.command(&["ZCARD", &set]);
    assert_eq!(count, ":50", "those that ran out are forgotten, the others are not");
}

#[test]
fn racing_issuers_stay_below_a_wider_bound() {
    let server = RedisServer::start();
    let hubs = [hub(&server), hub(&server)];
    let issued: usize = std::thread::scope(|scope| {
        let issuers = hubs.iter().zip([0_u8, 32]).map(|(hub, first)| {
            let tokens = hub.tokens.clone();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let issue = |number: u8| {
                    let own = Bound { of: Parent([number; 32]), outstanding_max: 10 };
                    let within = Some(Bound { of: Parent([254; 32]), outstanding_max: 10 });
                    tokens.issue(NewToken { own, within, ..new(number.into()) }, now_ms())
                };
                let answers = runtime.block_on(futures_util::future::join_all((first..first + 32).map(issue)));
                let full = answers.iter().filter(|answer| **answer == Err(IssueError::Outstanding)).count();
                assert_eq!(full + answers.iter().filter(|answer| answer.is_ok()).count(), 32, "{answers:?}");
                32 - full
            })
        });
        issuers.collect::<Vec<_>>().into_iter().map(|issuer| issuer.join().unwrap()).sum()
    });
    assert_eq!(issued, 10);
}

#[test]
fn other_hubs_hear_of_it() {
    let server = RedisServer::start();
    let (one, other) = (hub(&server), hub(&server));
    let mut notices = one.wait(async { one.tokens.notices().unwrap() });
    other.wait(other.tokens.issue(new(1), now_ms())).unwrap();
    other.wait(other.tokens.open(held(1, 1), 0, now_ms())).unwrap().unwrap();
    // Until it listens it hears nothing, so it is said again and again.
    let mut stream = 1;
    let heard = loop {
        stream += 1;
        other.wait(other.tokens.open(held(1, stream), 0, now_ms())).unwrap().unwrap();
        let heard = one.wait(async { tokio::time::timeout(Duration::from_millis(100), notices.recv()).await });
        if let Ok(heard) = heard {
            break heard;
        }
        assert!(stream < 200, "it does not hear");
    };
    assert_eq!(heard, Some(Notice::Replaced(StreamId(Uuid::from_u128(stream - 1)))));
    other.wait(other.tokens.revoke(Revoke::Token(held(1, 0).digest), now_ms())).unwrap();
    assert_eq!(one.wait(notices.recv()), Some(Notice::Revoked(held(1, 0).digest)));
}

#[test]
fn a_redis_that_is_away_is_an_error_and_well_again_by_itself() {
    let mut server = RedisServer::start();
    let hub = hub(&server).tokens;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let issue = |digest| {
        let began = Instant::now();
        let issued = runtime.block_on(hub.issue(new(digest), now_ms()));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        issued
    };
    issue(1).unwrap();
    server.stop();
    for digest in 2..5 {
        assert!(matches!(issue(digest), Err(IssueError::Unavailable(_))));
    }
    server.start_again();
    issue(6).expect("the first call is well");
    server.signal("STOP");
    assert!(matches!(issue(7), Err(IssueError::Unavailable(_))), "it hangs");
    server.signal("CONT");
    issue(8).expect("it answers again");
    server.stop();
    server.start_again();
    issue(9).expect("a connection that broke unseen is made anew");
}

#[test]
fn racing_hubs_stay_below_the_cap() {
    let server = RedisServer::start();
    let issued: usize = std::thread::scope(|scope| {
        let hubs: Vec<_> = (0..8_u64)
            .map(|number| {
                let hub = hub(&server);
                scope.spawn(move || {
                    let calls = (0..8).map(|call| hub.tokens.issue(new(number * 8 + call), now_ms()));
                    let issued = hub.runtime.block_on(futures_util::future::join_all(calls));
                    issued.iter().filter(|issued| issued.is_ok()).count()
                })
            })
            .collect();
        hubs.into_iter().map(|hub| hub.join().unwrap()).sum()
    });
    assert_eq!(issued, 10);
}

#[test]
fn a_url_that_is_none_is_not_repeated() {
    for url in ["nonsense:secret", "http://secret", "redis://:secret@host:port"] {
        let Err(words) = RedisTokens::new(url) else { panic!("{url} is no URL of a Redis") };
        assert!(!words.contains("secret"), "{words}");
    }
}
