//! Live numbers: what each tenant is told of itself, who is told of the whole hub, and that what is counted is what happened.
//!
//! A sample is up to half a second old, so whoever waits for a number looks again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tambour_actors::topic_key::Tenant;
use tempfile::TempDir;

use crate::slow::{EVENTS, flood, narrow};
use crate::support::authority::{admin, by, foreign, key, keyed, refused, switch};
use crate::support::eventually;
use crate::support::http::{Ask, Connection, create, publish};
use crate::support::hub::Running;
use crate::support::process::{Process, own_host};
use crate::support::sse::Stream;
use crate::support::token::{TENANT, altered, claims, sign};
use crate::support::ws::Ws;

const EVENTS_OF_X: &str = "/v1/threads/x/events";

fn stats(addr: SocketAddr) -> Value {
    admin("GET", "/v1/stats").send(addr).ok(200)
}

fn stats_elsewhere(addr: SocketAddr, tenant: &str, env: &str) -> Value {
    foreign(admin("GET", "/v1/stats"), tenant, env).send(addr).ok(200)
}

fn tenant(id: &str) -> Tenant {
    Tenant::parse(id).unwrap()
}

fn number(stats: &Value, name: &str) -> u64 {
    stats[name].as_u64().unwrap_or_else(|| panic!("{name} is a number in {stats}"))
}

fn in_buckets(stats: &Value) -> u64 {
    stats["delivery_seconds"]["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum()
}

/// The numbers, once these are among them.
#[track_caller]
fn once(addr: SocketAddr, wanted: &[(&str, u64)]) -> Value {
    let has = |stats: &Value| wanted.iter().all(|(name, value)| number(stats, name) == *value);
    eventually(&format!("{wanted:?}"), || Some(stats(addr)["scope"].take()).filter(has))
}

/// Readers of every kind, each of thread `x`.
fn readers(addr: SocketAddr) -> (Ws, Ws, Stream) {
    let mut several = Ws::session(addr, "alice");
    several.subscribe("thread/x", &json!({}));
    let mut single = Ws::open(addr, &Ask::by("bob", "GET", "/v1/threads/x/ws"));
    single.expect("welcome");
    single.expect("subscribed");
    (several, single, Stream::open(addr, &Ask::stream("carol", EVENTS_OF_X)))
}

#[test]
fn five_events_to_three_readers_are_fifteen_deliveries() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let (mut several, mut single, mut stream) = readers(addr);
    for n in 0..5 {
        publish(addr, "alice", "x", &json!(n));
    }
    for n in 0..5 {
        assert_eq!(
            (&several.event()["data"], &single.event()["data"], &stream.event()["data"]),
            (&json!(n), &json!(n), &json!(n))
        );
    }
    let live = once(addr, &[("events_total", 5), ("deliveries_total", 15)]);
    assert_eq!(in_buckets(&live), 15, "{live}");
    for (name, value) in
        [("connections", 3), ("topics_awake", 1), ("readers", 3), ("readers_behind", 0), ("lag_events_max", 0)]
    {
        assert_eq!(number(&live, name), value, "{name} of {live}");
    }
    assert_eq!(live["complete"], true);
    let (bounds, counts) = (&live["delivery_seconds"]["bounds"], &live["delivery_seconds"]["counts"]);
    assert_eq!(bounds.as_array().unwrap().len() + 1, counts.as_array().unwrap().len());
    assert_eq!((&bounds[0], bounds.as_array().unwrap().last().unwrap()), (&json!(0.0001), &json!(10.0)));
    // A replay is a delivery, and took no time from a publish.
    let mut late = Stream::open(addr, &Ask::stream("dave", &format!("{EVENTS_OF_X}?after=earliest")));
    (0..5).for_each(|n| assert_eq!(late.event()["data"], n));
    let replayed = once(addr, &[("deliveries_total", 20), ("readers", 4)]);
    assert_eq!((in_buckets(&replayed), number(&replayed, "events_total")), (15, 5), "{replayed}");
    drop((several, single, stream, late));
    once(addr, &[("connections", 0), ("readers", 0), ("deliveries_total", 20)]);
}

#[test]
fn streams_of_several_topics_and_the_feed_count_as_well() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    create(addr, "alice", "y");
    let mut several = Stream::open(addr, &Ask::stream("alice", "/v1/stream?topics=thread/x,thread/y"));
    // One sees all of the feed, the other a part of it.
    let open = |path: &str| {
        let ask = admin("GET", path).with("accept", "text/event-stream");
        Stream::open(addr, &ask)
    };
    let (mut whole, mut part) = (open("/v1/feed?types=note"), open("/v1/feed?types=note&topics=thread/y"));
    once(addr, &[("readers", 4), ("topics_awake", 3)]);
    for id in ["x", "y", "y"] {
        publish(addr, "alice", id, &json!(id));
    }
    read(&mut several, 3);
    read(&mut whole, 3);
    read(&mut part, 2);
    let live = once(addr, &[("events_total", 3), ("deliveries_total", 8)]);
    assert_eq!(in_buckets(&live), 8, "the feed knows when a topic took the publish: {live}");
}

/// Reads on until so many events have come; a block that only says a place is none.
fn read(stream: &mut Stream, count: usize) {
    let mut came = 0;
    while came < count {
        came += usize::from(stream.next().expect("the stream goes on").name == "note");
    }
}

#[test]
fn a_tenant_is_told_of_itself_alone() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let mut stream = Stream::open(addr, &Ask::stream("alice", EVENTS_OF_X));
    for n in 0..3 {
        publish(addr, "alice", "x", &json!(n));
        assert_eq!(stream.event()["data"], n);
    }
    let foreign_ask = |method: &str, path: &str| foreign(Ask::by("ada", method, path), "t_other", "dev");
    foreign_ask("POST", "/v1/threads").json(json!({ "id": "x" })).send(addr).ok(201);
    foreign_ask("POST", EVENTS_OF_X).json(json!({ "type": "note", "data": 1 })).send(addr).ok(201);
    let own = once(addr, &[("events_total", 3), ("deliveries_total", 3), ("connections", 1)]);
    let other = stats_elsewhere(addr, "t_other", "dev");
    assert_eq!(number(&own, "readers"), 1);
    for (name, value) in
        [("events_total", 1), ("deliveries_total", 0), ("connections", 0), ("readers", 0), ("topics_awake", 1)]
    {
        assert_eq!(number(&other["scope"], name), value, "{name} of {other}");
    }
    // Another env of the same tenant has done nothing.
    let staging = stats_elsewhere(addr, TENANT, "staging");
    assert_eq!((number(&staging["scope"], "events_total"), number(&staging["scope"], "topics_awake")), (0, 0));
    for of in [&other, &staging, &stats(addr)] {
        assert!(of.get("hub").is_none(), "nobody is told of the whole hub by default: {of}");
    }
}

#[test]
fn the_whole_hub_is_for_whom_the_setting_names() {
    let hub = Running::with(|set| set.stats.operator_tenants = vec![tenant("t_ops")]);
    let addr = hub.addr();
    create(addr, "alice", "x");
    let (mut several, mut single, mut stream) = readers(addr);
    publish(addr, "alice", "x", &json!(1));
    assert_eq!([several.event(), single.event(), stream.event()].map(|event| event["data"].clone()), [1, 1, 1]);
    let elsewhere = |method: &str, path: &str| foreign(Ask::by("ada", method, path), "t_other", "prod");
    elsewhere("POST", "/v1/threads").json(json!({ "id": "x" })).send(addr).ok(201);
    let _other = Stream::open(addr, &elsewhere("GET", EVENTS_OF_X).with("accept", "text/event-stream"));
    elsewhere("POST", EVENTS_OF_X).json(json!({ "type": "note", "data": 1 })).send(addr).ok(201);
    let seen = eventually("the sum of both", || {
        let stats = stats_elsewhere(addr, "t_ops", "dev");
        (number(&stats["hub"], "deliveries_total") == 4).then_some(stats)
    });
    let (own, all) = (&seen["scope"], &seen["hub"]);
    assert_eq!((number(own, "deliveries_total"), number(own, "connections")), (0, 0), "{seen}");
    for (name, value) in [("events_total", 2), ("readers", 4), ("connections", 4), ("topics_awake", 2)] {
        assert_eq!(number(all, name), value, "{name} of {seen}");
    }
    assert_eq!(in_buckets(all), 4);
    assert!(number(all, "memory_bytes") > 1_000_000 && all["cpu_seconds_total"].as_f64().unwrap() > 0.0, "{all}");
    assert!(number(all, "commits_total") >= 4 && all["commit_seconds_total"].as_f64().unwrap() > 0.0, "{all}");
    assert!(number(all, "store_bytes") > 0 && all["store_full"] == false, "{all}");
    assert!(all["write_queue"].is_u64());
    assert!(stats(addr).get("hub").is_none() && stats_elsewhere(addr, "t_other", "prod").get("hub").is_none());
    // It is a setting like others: a reload takes and gives.
    assert_eq!(hub.reload(|set| set.stats.operator_tenants = vec![tenant(TENANT)]), ["stats.operator_tenants"]);
    assert!(stats(addr).get("hub").is_some() && stats_elsewhere(addr, "t_ops", "dev").get("hub").is_none());
}

#[test]
fn on_the_development_secret_the_demo_sees_the_whole_hub() {
    let dir = TempDir::new().unwrap();
    let secret = "0123456789abcdef".repeat(4);
    std::fs::write(dir.path().join("development.secret"), &secret).unwrap();
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &[("TAMBOUR__AUTH__SECRET", &secret)]);
    let of = |tenant: &str| {
        let claims =
            altered(claims("ada", "owner"), json!({ "tenant_ids": [tenant], "role_map": { tenant: "owner" } }));
        let token = crate::support::token::sign_with(&claims, jsonwebtoken::Algorithm::HS256, &secret);
        let ask = admin("GET", "/v1/stats").with("authorization", &format!("Bearer {token}"));
        ask.with("x-tenant-id", tenant).send(hub.addr).ok(200)
    };
    assert!(of("t_demo").get("hub").is_some());
    assert!(of("t_other").get("hub").is_none());
}

#[test]
fn totals_never_fall_while_topics_sleep_wake_and_go() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let mut stream = Stream::open(addr, &Ask::stream("alice", EVENTS_OF_X));
    publish(addr, "alice", "x", &json!(0));
    stream.event();
    let first = once(addr, &[("events_total", 1), ("deliveries_total", 1), ("topics_awake", 1)]);
    hub.reload(|set| set.topic.sleep_after_seconds = 1);
    let asleep = once(addr, &[("topics_awake", 0)]);
    for name in ["events_total", "deliveries_total", "readers"] {
        assert_eq!(number(&asleep, name), number(&first, name), "{name}: a reader of a topic that sleeps is one");
    }
    hub.reload(|set| set.topic.sleep_after_seconds = 300);
    publish(addr, "alice", "x", &json!(1));
    assert_eq!(stream.event()["data"], 1);
    once(addr, &[("events_total", 2), ("deliveries_total", 2), ("topics_awake", 1), ("readers", 1)]);
    Ask::by("alice", "DELETE", "/v1/threads/x").send(addr).ok(204);
    let gone = once(addr, &[("topics_awake", 0), ("readers", 0), ("connections", 0)]);
    assert_eq!((number(&gone, "events_total"), number(&gone, "deliveries_total")), (2, 2));
    assert_eq!(in_buckets(&gone), 2);
}

#[test]
fn a_reader_who_stalls_is_behind_until_it_has_caught_up() {
    let hub = Running::start();
    let addr = hub.addr();
    create(addr, "alice", "x");
    let mut connection = narrow(addr);
    connection.send(&Ask::stream("slow", EVENTS_OF_X).bytes());
    let mut slow = Stream::over(connection);
    let mut fast = Stream::open(addr, &Ask::stream("fast", EVENTS_OF_X));
    let publisher = std::thread::spawn(move || flood(addr, "x", EVENTS));
    (1..=EVENTS).for_each(|seq| assert_eq!(fast.event()["seq"], seq));
    publisher.join().unwrap();
    let behind = once(addr, &[("readers_behind", 1), ("events_total", EVENTS)]);
    let (lag, delivered) = (number(&behind, "lag_events_max"), number(&behind, "deliveries_total"));
    assert!(lag > 0 && lag < EVENTS, "{behind}");
    assert_eq!(delivered, 2 * EVENTS - lag, "what is missing was not delivered: {behind}");
    // Elsewhere nobody is behind.
    assert_eq!(number(&stats_elsewhere(addr, "t_other", "dev")["scope"], "readers_behind"), 0);
    (1..=EVENTS).for_each(|seq| assert_eq!(slow.event()["seq"], seq));
    once(addr, &[("readers_behind", 0), ("lag_events_max", 0), ("deliveries_total", 2 * EVENTS)]);
}

#[test]
fn who_may_and_that_it_is_neither_rated_nor_switched_off() {
    let hub = Running::with(|set| {
        set.rates.action_per_minute = 2;
        set.rates.publish_per_minute = 2;
    });
    let addr = hub.addr();
    for role in ["viewer", "member"] {
        let answer = by("mia", role, "GET", "/v1/stats").send(addr);
        assert_eq!(refused(&answer), (403, "permission.denied".to_owned()));
        assert_eq!(answer.json()["permission"], "stats:read");
    }
    by("olga", "owner", "GET", "/v1/stats").send(addr).ok(200);
    let permitted = altered(claims("mia", "viewer"), json!({ "permissions": { TENANT: ["stats:read"] } }));
    admin("GET", "/v1/stats").with("authorization", &format!("Bearer {}", sign(&permitted))).send(addr).ok(200);
    let (_, token) = key(addr, json!({ "role": "viewer", "permissions": ["stats:read"] }));
    keyed(&token, "GET", "/v1/stats").send(addr).ok(200);
    switch(addr, &json!({ "disabled_actions": ["*"], "disable_autonomy": true }));
    for _ in 0..10 {
        let answer = admin("GET", "/v1/stats").send(addr);
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
        assert!(answer.header("ratelimit-limit").is_none());
    }
}

#[test]
fn however_many_ask_it_is_counted_twice_a_second_at_most() {
    let hub = Running::start();
    let addr = hub.addr();
    let began = std::time::Instant::now();
    let mut answers = BTreeMap::new();
    while began.elapsed() < Duration::from_millis(1_200) {
        let (own, other) = (stats(addr), stats_elsewhere(addr, "t_other", "dev"));
        assert_eq!(own["started_at"], other["started_at"]);
        for of in [own, other] {
            *answers.entry(of["at"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    let most = began.elapsed().as_millis() / 500 + 1;
    assert!(answers.len() > 1 && answers.len() as u128 <= most, "{answers:?} in {:?}", began.elapsed());
}

#[test]
fn who_asks_and_leaves_at_once_causes_no_more_samples() {
    let hub = Running::start();
    let addr = hub.addr();
    let asked = admin("GET", "/v1/stats").bytes();
    let began = std::time::Instant::now();
    let (mut answers, mut left) = (BTreeMap::new(), 0);
    // Beside somebody who stays, others come every 20 ms, and leave by a reset or by an end.
    while answers.len() < 4 || left < 50 {
        if began.elapsed().as_millis() / 20 >= left {
            let mut connection = Connection::open(addr);
            connection.send(&asked);
            if left % 2 == 0 {
                connection.reset();
            }
            left += 1;
        }
        *answers.entry(stats(addr)["at"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let most = began.elapsed().as_millis() / 500 + 1;
    assert!(answers.len() as u128 <= most, "{answers:?} in {:?}, {left} left", began.elapsed());
}

/// The value of a metric without labels.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn metrics_are_the_same_numbers() {
    let dir = TempDir::new().unwrap();
    let named = [("TAMBOUR__STATS__OPERATOR_TENANTS", TENANT)];
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), &named);
    create(hub.addr, "alice", "x");
    let (mut several, mut single, mut stream) = readers(hub.addr);
    for n in 0..4 {
        publish(hub.addr, "alice", "x", &json!(n));
        assert_eq!([several.event(), single.event(), stream.event()].map(|event| event["data"].clone()), [n, n, n]);
    }
    once(hub.addr, &[("deliveries_total", 12)]);
    let all = stats(hub.addr)["hub"].take();
    let text = Ask::new("GET", "/metrics").send(hub.admin).text();
    for (name, shown) in [
        ("tambour_deliveries_total", "deliveries_total"),
        ("tambour_store_events_total", "events_total"),
        ("tambour_readers", "readers"),
        ("tambour_readers_behind", "readers_behind"),
        ("tambour_topics_awake", "topics_awake"),
        ("tambour_sessions", "connections"),
    ] {
        assert_eq!(metric(&text, name), number(&all, shown) as f64, "{name} and {shown}: {all}");
    }
    assert!(metric(&text, "tambour_memory_bytes") > 1e6);
    assert_eq!(metric(&text, "tambour_delivery_seconds_count"), 12.0);
    assert!(metric(&text, "tambour_delivery_seconds_sum") > 0.0);
    let (bounds, counts) = (&all["delivery_seconds"]["bounds"], &all["delivery_seconds"]["counts"]);
    let mut sum = 0;
    for (bound, count) in bounds.as_array().unwrap().iter().zip(counts.as_array().unwrap()) {
        sum += count.as_u64().unwrap();
        let bound = bound.as_f64().unwrap();
        assert_eq!(metric(&text, &format!("tambour_delivery_seconds_bucket{{le=\"{bound}\"}}")), sum as f64);
    }
    assert_eq!(metric(&text, "tambour_delivery_seconds_bucket{le=\"+Inf\"}"), 12.0);
    assert!(!text.contains(TENANT), "no tenant is in a metric");
}
