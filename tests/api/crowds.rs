//! Ten thousand connections that come in every way and end in every way, against the limits of the agents' system (10
//! of a principal, 100 in all): there are never more, and when they have gone nothing is held any more.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::support::authority::{claims_of, revoke, with};
use crate::support::eventually;
use crate::support::http::{Ask, Connection, create};
use crate::support::process::{Process, own_host};
use crate::support::raw_ws::{CLOSE, TEXT, frame};
use crate::support::sse::Stream;
use crate::support::token::{altered, claims, now, sign, token};

/// Connections in all.
const TURNS: usize = 10_000;
/// Clients at once.
const THREADS: usize = 8;
/// Of a principal.
const EACH: usize = 10;
/// In all.
const ALL: usize = 100;
/// How long all of them may take.
const TIME: Duration = Duration::from_secs(60);
/// So many turns of a client are of [`come_and_go`]; then comes a group whose end is the hub's.
const BETWEEN_GROUPS: usize = 60;
/// Connections of such a group.
const GROUP: usize = 5;
const PATH: &str = "/v1/threads/x/events";

/// How a connection came to be.
#[derive(Default)]
struct Tally {
    opened: AtomicUsize,
    refused: AtomicUsize,
    ended: AtomicUsize,
}

/// Opens a connection in one of many ways, and ends it in one of many.
fn come_and_go(addr: SocketAddr, sub: &str, turn: usize, tally: &Tally) {
    let hello = |token: &str| {
        let said = json!({ "t": "hello", "token": token, "tenant_id": "t_demo", "env": "dev" });
        frame(TEXT, said.to_string().as_bytes())
    };
    let bad = sign(&altered(claims(sub, "member"), json!({ "exp": now() - 600 })));
    let ws = || Ask::new("GET", "/v1/ws").upgrade();
    let (ask, behind) = match turn % 8 {
        0 => (Ask::stream(sub, PATH), Vec::new()),
        1 => (Ask::by(sub, "GET", "/v1/threads/x/ws").upgrade(), Vec::new()),
        2 => (Ask::by(sub, "GET", "/v1/ws").upgrade(), Vec::new()),
        3 => (ws(), hello(&token(sub, "member"))),
        4 => (ws(), hello(&bad)),
        // Nobody says anything.
        5 => (ws(), Vec::new()),
        // Refused behind its limits, and before them.
        6 => (Ask::stream(sub, "/v1/threads/nope/events"), Vec::new()),
        _ => (Ask::stream(sub, PATH).with("authorization", &format!("Bearer {bad}")), Vec::new()),
    };
    let mut connection = Connection::open(addr);
    connection.send(&[ask.bytes(), behind].concat());
    let ending = turn / 8 % 5;
    if ending == 0 {
        // Before it was answered.
        return connection.reset();
    }
    let head = connection.head();
    match head.status {
        101 | 200 => tally.opened.fetch_add(1, Ordering::Relaxed),
        401 | 404 | 429 | 503 => tally.refused.fetch_add(1, Ordering::Relaxed),
        status => panic!("{status} to {ask:?}"),
    };
    match ending {
        1 => connection.reset(),
        2 => drop(connection),
        3 => {
            // Half of it is none: the hub ends the other half.
            connection.finish();
            drop(connection.rest());
        }
        _ if head.status == 101 => {
            // It may have been refused meanwhile.
            connection.try_send(&frame(CLOSE, &1000_u16.to_be_bytes()));
            drop(connection.rest());
        }
        _ => drop(connection.try_some()),
    }
}

/// Streams that the hub ends by itself: their token runs out, or is taken back.
fn group(addr: SocketAddr, sub: &str, number: usize, tally: &Tally) {
    let runs_out = number.is_multiple_of(4);
    let sub = &format!("{sub}-group");
    let jti = format!("{sub}-{number}");
    let life = if runs_out { now() + 2 } else { now() + 600 };
    let claims = altered(claims_of(sub, "member"), json!({ "jti": jti, "exp": life }));
    let mut held = Vec::new();
    for n in 0..GROUP {
        let ask = if n % 2 == 0 { Ask::stream("", PATH) } else { Ask::by("", "GET", "/v1/threads/x/ws").upgrade() };
        let mut connection = Connection::open(addr);
        connection.send(&with(ask, &claims).bytes());
        // There may be no room just now, or the token ran out already.
        if matches!(connection.head().status, 101 | 200) {
            held.push(connection);
        }
    }
    if !runs_out {
        revoke(addr, &json!({ "jti": jti }));
    }
    for mut connection in held {
        assert!(!connection.rest().is_empty(), "it is told why it ends");
        tally.ended.fetch_add(1, Ordering::Relaxed);
    }
}

fn client(addr: SocketAddr, thread: usize, tally: &Tally) {
    let sub = format!("agent-{thread}");
    let (mut turn, mut groups) = (thread, 0);
    while turn < TURNS {
        for _ in 0..BETWEEN_GROUPS {
            // Each with its own mix.
            come_and_go(addr, &sub, turn / THREADS, tally);
            turn += THREADS;
        }
        group(addr, &sub, groups, tally);
        turn += GROUP * THREADS;
        groups += 1;
    }
}

/// What is used of each limit: of the address, of a principal, of the tenant.
#[track_caller]
fn used(addr: SocketAddr, sub: &str) -> [usize; 3] {
    let limits = Ask::by(sub, "GET", "/v1/limits").send(addr).ok(200);
    ["ip", "principal", "tenant"].map(|of| limits["connections"][of]["used"].as_u64().unwrap().try_into().unwrap())
}

#[test]
fn ten_thousand_agents_come_and_go_and_nothing_is_held() {
    let (dir, each, all) = (TempDir::new().unwrap(), EACH.to_string(), ALL.to_string());
    let variables = [
        ("TAMBOUR__LIMITS__CONNECTIONS_PER_PRINCIPAL_MAX", each.as_str()),
        ("TAMBOUR__LIMITS__CONNECTIONS_MAX", all.as_str()),
        ("TAMBOUR__AUTH__LEEWAY_SECONDS", "0"),
    ];
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &variables);
    let addr = hub.addr;
    create(addr, "alice", "x");
    let (tally, over, began) = (Tally::default(), AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut looks, mut most) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                let [_, of_one, of_all] = used(addr, "agent-0");
                assert!(of_one <= EACH && of_all <= ALL, "{of_one} of a principal, {of_all} in all");
                (looks, most) = (looks + 1, most.max(of_all));
            }
            (looks, most)
        });
        let clients: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let tally = &tally;
                    move || client(addr, thread, tally)
                })
            })
            .collect();
        let ended: Vec<_> = clients.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "every client came to its end");
        let (looks, most) = watcher.join().unwrap();
        assert!(looks > 10 && most > THREADS / 2, "{looks} looks, at most {most} connections");
    });
    let took = began.elapsed();
    let [opened, refused, ended] = [&tally.opened, &tally.refused, &tally.ended].map(|n| n.load(Ordering::Relaxed));
    println!("{took:?}: {opened} opened, {refused} refused, {ended} ended by the hub");
    assert!(took < TIME, "{took:?}");
    assert!(opened > TURNS / 4 && refused > TURNS / 10 && ended > TURNS / 40, "{opened}, {refused}, {ended}");
    for thread in 0..THREADS {
        for sub in [format!("agent-{thread}"), format!("agent-{thread}-group")] {
            eventually("every place is free", || (used(addr, &sub) == [0, 0, 0]).then_some(()));
        }
    }
    eventually("no session is left", || (hub.sessions() == 0).then_some(()));
    // Exactly as many as before find room.
    let _held: Vec<_> =
        (0..ALL).map(|n| Stream::open(addr, &Ask::stream(&format!("agent-{}", n / EACH), PATH))).collect();
    assert_eq!(hub.sessions(), ALL as u64);
    let refusal = |sub: &str| Ask::stream(sub, PATH).send(addr).refusal();
    assert_eq!(refusal("agent-0"), (429, "limit.connections_principal".to_owned()));
    assert_eq!(refusal("somebody-else"), (503, "limit.connections".to_owned()));
    assert!(!hub.said().contains("panicked"), "{}", hub.said());
}
