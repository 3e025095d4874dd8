//! How many connections there may be: of an address, a principal, a tenant, and in all. Each limit has its own
//! refusal, and what is over is given back exactly.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tambour::cli::sse_parser::SseParser;

use crate::support::http::{Answer, Ask, Connection, create};
use crate::support::hub::Running;
use crate::support::sse::Stream;
use crate::support::token::{altered, claims, now, sign, token};
use crate::support::ws::Ws;
use crate::support::{WITHIN, eventually};

const PATH: &str = "/v1/threads/x/events";

fn hub(ip: usize, principal: usize, tenant: usize, all: usize) -> Running {
    let hub = Running::with(|set| {
        set.limits.connections_per_ip_max = ip;
        set.limits.connections_per_principal_max = principal;
        set.limits.connections_per_tenant_max = tenant;
        set.limits.connections_max = all;
        set.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    });
    create(hub.addr(), "alice", "x");
    hub
}

/// A connection from one of the many addresses of this machine.
pub(crate) fn from(addr: SocketAddr, ip: [u8; 4]) -> Connection {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    socket.connect_timeout(&addr.into(), WITHIN).unwrap();
    Connection::over(TcpStream::from(socket))
}

#[track_caller]
fn answer_from(addr: SocketAddr, ip: [u8; 4], ask: &Ask) -> Answer {
    let mut connection = from(addr, ip);
    connection.send(&ask.bytes());
    connection.answer()
}

#[track_caller]
fn stream_from(addr: SocketAddr, ip: [u8; 4], ask: &Ask) -> Stream {
    let mut connection = from(addr, ip);
    connection.send(&ask.bytes());
    Stream::over(connection)
}

fn hello(sub: &str) -> Value {
    json!({"t": "hello", "token": token(sub, "member"), "tenant_id": "t_demo", "env": "dev"})
}

/// What `sub` is told to use of each limit: address, principal, tenant.
fn used(addr: SocketAddr, sub: &str) -> [u64; 3] {
    let limits = Ask::by(sub, "GET", "/v1/limits").send(addr).ok(200);
    ["ip", "principal", "tenant"].map(|of| limits["connections"][of]["used"].as_u64().unwrap())
}

/// A refusal of a limit: everything that each of them has is checked.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str, most: usize) {
    assert_eq!(answer.refusal(), (status, code.to_owned()));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&format!("({most})")), "{detail}");
    let seconds: u64 = answer.header("retry-after").expect("it says when to come back").parse().unwrap();
    assert!(seconds > 0);
}

#[test]
fn ten_of_a_principal_and_a_hundred_in_all() {
    let hub = hub(1_000, 10, 1_000, 100);
    let addr = hub.addr();
    let open = |sub: &str| Stream::open(addr, &Ask::stream(sub, PATH));
    let mut streams: Vec<_> = (0..7).map(|_| open("alice")).collect();
    let mut sockets = vec![Ws::session(addr, "alice"), Ws::open(addr, &Ask::by("alice", "GET", "/v1/threads/x/ws"))];
    let mut greeted = Ws::open(addr, &Ask::new("GET", "/v1/ws"));
    greeted.send(&hello("alice"));
    greeted.expect("welcome");
    sockets.push(greeted);
    assert_eq!(used(addr, "alice"), [10, 10, 10]);
    for ask in [
        Ask::stream("alice", PATH),
        Ask::by("alice", "GET", "/v1/ws").upgrade(),
        Ask::by("alice", "GET", "/v1/threads/x/ws").upgrade(),
    ] {
        refused(&ask.send(addr), 429, "limit.connections_principal", 10);
    }
    let mut late = Ws::open(addr, &Ask::new("GET", "/v1/ws"));
    late.send(&hello("alice"));
    let error = late.expect("error");
    assert_eq!((&error["code"], &error["status"]), (&json!("limit.connections_principal"), &json!(429)));
    assert_eq!(late.closed(), 4429);
    drop(late);
    // What is no stream is not counted.
    Ask::by("alice", "GET", PATH).send(addr).ok(200);
    // Others have room, until nobody has.
    for other in 0..9 {
        streams.extend((0..10).map(|_| open(&format!("other{other}"))));
    }
    refused(&Ask::stream("bob", PATH).send(addr), 503, "limit.connections", 100);
    let mut late = Ws::open(addr, &Ask::new("GET", "/v1/ws"));
    late.send(&hello("bob"));
    assert_eq!(late.error(), "limit.connections");
    assert_eq!(late.closed(), 4429);
    // The principal's own limit is looked at first.
    refused(&Ask::stream("alice", PATH).send(addr), 429, "limit.connections_principal", 10);
    drop(late);
    // Whoever leaves makes room for exactly one.
    streams.pop();
    eventually("room for one", || (used(addr, "bob") == [99, 0, 99]).then_some(()));
    streams.push(open("bob"));
    refused(&Ask::stream("bob", PATH).send(addr), 503, "limit.connections", 100);
}

#[test]
fn of_an_address_before_anything_is_looked_at() {
    let hub = hub(10, 1_000, 1_000, 1_000);
    let (addr, ip) = (hub.addr(), [127, 9, 9, 9]);
    // Half of them never say who they are.
    let streams: Vec<_> = (0..5).map(|_| stream_from(addr, ip, &Ask::stream("alice", PATH))).collect();
    let anonymous: Vec<_> = (0..5)
        .map(|_| {
            let mut connection = from(addr, ip);
            connection.send(&Ask::new("GET", "/v1/ws").upgrade().bytes());
            assert_eq!(connection.head().status, 101);
            connection
        })
        .collect();
    for ask in [
        Ask::stream("bob", PATH),
        Ask::new("GET", "/v1/ws").upgrade(),
        Ask::stream("bob", PATH).query("token=%zz"),
        Ask::stream("bob", PATH).with("origin", "https://evil.example"),
        Ask::stream("bob", PATH).without("authorization"),
        Ask::stream("bob", PATH).json("{}"),
        Ask::by("bob", "GET", PATH).query("wait=1"),
        Ask::by("bob", "GET", PATH).query("w%61it=1&token=%zz"),
    ] {
        refused(&answer_from(addr, ip, &ask), 429, "limit.connections_ip", 10);
    }
    // What is no stream is not counted, and other addresses have room.
    answer_from(addr, ip, &Ask::by("bob", "GET", PATH)).ok(200);
    answer_from(addr, ip, &Ask::by("bob", "GET", PATH).query("w%61it=0")).ok(200);
    stream_from(addr, [127, 9, 9, 8], &Ask::stream("bob", PATH));
    drop((streams, anonymous));
    eventually("all is given back", || (used(addr, "alice") == [0, 0, 0]).then_some(()));
    stream_from(addr, ip, &Ask::stream("bob", PATH));
}

#[test]
fn of_a_tenant_in_its_env() {
    let hub = hub(1_000, 1_000, 2, 1_000);
    let addr = hub.addr();
    let both = json!({"tenant_ids": ["t_demo", "t_other"], "role_map": {"t_demo": "member", "t_other": "member"}});
    let in_scope = |sub: &str, tenant: &str, env: &str| {
        let token = sign(&altered(claims(sub, "member"), both.clone()));
        let ask = Ask::by(sub, "GET", "/v1/ws").with("authorization", &format!("Bearer {token}")).upgrade();
        ask.with("x-tenant-id", tenant).with("x-env", env)
    };
    let _held = ["alice", "bob"].map(|sub| Ws::open(addr, &in_scope(sub, "t_demo", "dev")));
    refused(&in_scope("carol", "t_demo", "dev").send(addr), 429, "limit.connections_tenant", 2);
    // Another env of the tenant, and another tenant, have room of their own.
    let _more = [("t_demo", "prod"), ("t_other", "dev")].map(|(t, env)| Ws::open(addr, &in_scope("carol", t, env)));
    assert_eq!(used(addr, "carol"), [4, 0, 2]);
}

#[test]
fn behind_identity_and_before_the_topic() {
    let hub = hub(1_000, 1, 1_000, 1_000);
    let addr = hub.addr();
    let _held = Stream::open(addr, &Ask::stream("alice", PATH));
    let expired = sign(&altered(claims("alice", "member"), json!({ "exp": now() - 600 })));
    let refusal = |ask: Ask| ask.send(addr).refusal();
    let ask = Ask::stream("alice", PATH);
    assert_eq!(refusal(ask.clone().with("authorization", &format!("Bearer {expired}"))).0, 401);
    assert_eq!(refusal(ask.clone().with("x-tenant-id", "t_other")).1, "auth.tenant_mismatch");
    assert_eq!(refusal(ask.clone().query("tenant_id=t_other")).1, "context.mismatch");
    assert_eq!(refusal(ask.clone().with("origin", "https://evil.example")).1, "origin.forbidden");
    assert_eq!(refusal(ask.clone()).1, "limit.connections_principal");
    assert_eq!(refusal(ask.query("nonsense=1")).1, "limit.connections_principal");
    assert_eq!(refusal(Ask::stream("alice", "/v1/threads/nope/events")).1, "limit.connections_principal");
    assert_eq!(refusal(Ask::stream("bob", "/v1/threads/nope/events")).1, "topic.unknown");
    assert_eq!(used(addr, "bob"), [1, 0, 1], "whoever is refused holds nothing");
}

#[test]
fn an_event_source_is_told_to_come_again() {
    let hub = hub(1_000, 1, 1_000, 1_000);
    let addr = hub.addr();
    let mut held = Stream::open(addr, &Ask::stream("alice", PATH));
    let back = Ask::stream("alice", PATH).with("last-event-id", held.connected["cursor"].as_str().unwrap());
    let told = back.send(addr);
    assert_eq!((told.status, told.header("content-type")), (200, Some("text/event-stream")), "{}", told.text());
    let mut parser = SseParser::new("");
    let events = parser.feed(&told.body).unwrap();
    assert_eq!((events.len(), events[0].name.as_str(), parser.retry_ms()), (1, "refused", Some(2_000)));
    let data: Value = serde_json::from_str(&events[0].data).unwrap();
    assert_eq!(data, json!({ "code": "limit.connections_principal", "status": 429 }));
    held.connection().finish();
    eventually("its place is free", || (used(addr, "alice")[1] == 0).then_some(()));
    Stream::open(addr, &back);
}

#[test]
fn nobody_speaks_for_another_address() {
    let hub = hub(2, 1_000, 1_000, 1_000);
    let addr = hub.addr();
    let said = |ip: [u8; 4], said: &str| (ip, Ask::stream("alice", PATH).with("x-forwarded-for", said));
    let (proxy, stranger) = ([127, 0, 0, 1], [127, 0, 0, 9]);
    let held: Vec<_> = [
        said(proxy, "203.0.113.1"),
        // What the client made up itself stands in front of what the proxy saw.
        said(proxy, "203.0.113.2, 203.0.113.1"),
        said(proxy, "203.0.113.2"),
        // Nobody believes a stranger.
        said(stranger, "203.0.113.3"),
        said(stranger, "203.0.113.4"),
    ]
    .iter()
    .map(|(ip, ask)| stream_from(addr, *ip, ask))
    .collect();
    for (ip, ask) in [
        said(proxy, "203.0.113.1"),
        said(proxy, "203.0.113.9, 203.0.113.1"),
        said(proxy, "127.0.0.1,203.0.113.1, 127.0.0.1"),
        said(stranger, "203.0.113.5"),
        said(stranger, "203.0.113.5, 127.0.0.1"),
        // Known by no other header, either.
        (stranger, Ask::stream("alice", PATH).with("forwarded", "for=203.0.113.6")),
        (stranger, Ask::stream("alice", PATH).with("x-real-ip", "203.0.113.6")),
    ] {
        refused(&answer_from(addr, ip, &ask), 429, "limit.connections_ip", 2);
    }
    // As many behind the proxy as there are addresses: its own limit is not theirs.
    let _more: Vec<_> =
        (10..20).map(|n| said(proxy, &format!("203.0.113.{n}"))).map(|(ip, ask)| stream_from(addr, ip, &ask)).collect();
    assert_eq!(held.len(), 5);
}

/// Opens a connection in one of many ways and lets go of it in one of many ways.
fn come_and_go(addr: SocketAddr, turn: usize, end: &str) {
    let asks = [
        Ask::stream("alice", PATH),
        Ask::by("alice", "GET", "/v1/threads/x/ws").upgrade(),
        Ask::by("alice", "GET", "/v1/ws").upgrade(),
        Ask::new("GET", "/v1/ws").upgrade(),
        // Refused behind its permit.
        Ask::stream("alice", "/v1/threads/nope/events"),
        // 204: answered with a permit, and no session.
        Ask::stream("alice", "/v1/threads/ended/events").with("last-event-id", end),
    ];
    let socket = TcpStream::connect(addr).unwrap();
    let mut connection = Connection::over(socket.try_clone().unwrap());
    connection.send(&asks[turn % asks.len()].bytes());
    let reset = || socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    match turn / asks.len() % 4 {
        0 => reset(),
        1 => drop(connection.some()),
        2 => {
            connection.some();
            reset();
        }
        _ => connection.finish(),
    }
}

#[test]
fn ten_thousand_come_and_go_and_nothing_is_lost() {
    const TURNS: usize = 10_000;
    const THREADS: usize = 4;
    const MOST: usize = 60;
    let hub = hub(MOST, 1_000, 1_000, 1_000);
    let addr = hub.addr();
    create(addr, "alice", "ended");
    let closed = Ask::by("alice", "POST", "/v1/threads/ended/close").send(addr).ok(200);
    let end = closed["id"].as_str().unwrap();
    assert_eq!(Ask::stream("alice", "/v1/threads/ended/events").with("last-event-id", end).send(addr).status, 204);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || (thread..TURNS).step_by(THREADS).for_each(|turn| come_and_go(addr, turn, end)));
        }
    });
    eventually("every place is free", || (used(addr, "alice") == [0, 0, 0]).then_some(()));
    // Exactly as many as before find room.
    let _held: Vec<_> = (0..MOST).map(|_| Stream::open(addr, &Ask::stream("alice", PATH))).collect();
    refused(&Ask::stream("alice", PATH).send(addr), 429, "limit.connections_ip", MOST);
}

#[test]
fn what_is_in_force() {
    let hub = Running::with(|set| {
        set.limits.connections_per_principal_max = 7;
        set.session.topics_max = 9;
        set.http.body_bytes_max = 4_096;
    });
    let addr = hub.addr();
    create(addr, "alice", "x");
    let _held = (Stream::open(addr, &Ask::stream("alice", PATH)), Ws::session(addr, "bob"));
    let answer = Ask::by("alice", "GET", "/v1/limits").send(addr);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let limits = answer.ok(200);
    let connections = json!({
        "ip": { "max": 1_000, "used": 2 },
        "principal": { "max": 7, "used": 1 },
        "tenant": { "max": 10_000, "used": 2 },
        "all": { "max": 100_000 },
    });
    assert_eq!(limits["connections"], connections);
    assert_eq!((&limits["session"]["topics_max"], &limits["session"]["frame_bytes_max"]), (&json!(9), &json!(262_144)));
    assert_eq!((&limits["pages"]["limit_max"], &limits["events"]["data_bytes_max"]), (&json!(500), &json!(65_536)));
    // An array can't be larger than a body.
    assert_eq!(limits["events"]["batch_bytes_max"], 4_096);
    for section in ["connections", "requests", "threads", "events", "pages", "session"] {
        let numbers = limits[section].as_object().unwrap().values();
        assert!(numbers.clone().count() > 1 && numbers.clone().all(|value| value.is_u64() || value.is_object()));
    }
    assert_eq!(used(addr, "carol"), [2, 0, 2], "nobody is told of what others have");
}
