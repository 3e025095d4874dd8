//! Long polls: a page that waits, what ends its wait, and that nothing of it stays behind.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::{Ask, Connection, create, publish};
use crate::support::hub::Running;
use crate::support::token::{altered, claims, now, sign};

/// A poll that is under way.
struct Poll(Connection);

impl Poll {
    fn begin(hub: &Running, query: &str) -> Self {
        Self::by(hub, &Ask::by("bob", "GET", "/v1/threads/x/events").query(query))
    }

    fn by(hub: &Running, ask: &Ask) -> Self {
        let mut connection = Connection::open(hub.addr());
        connection.send(&ask.bytes());
        Self(connection)
    }

    /// Whether it is still unanswered.
    fn waits(&self) -> bool {
        !self.0.readable()
    }

    #[track_caller]
    fn page(&mut self) -> Value {
        self.0.answer().ok(200)
    }
}

fn seqs(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

fn hub() -> Running {
    let hub = Running::start();
    create(hub.addr(), "alice", "x");
    hub
}

#[test]
fn it_is_answered_as_soon_as_there_is_something() {
    let hub = hub();
    let mut cursor = "earliest".to_owned();
    let mut connection = Poll::begin(&hub, &format!("after={cursor}&wait=60"));
    for n in 1..=3 {
        let (id, seq) = publish(hub.addr(), "alice", "x", &json!(n));
        let page = connection.page();
        assert_eq!((seqs(&page), &page["cursor"], &page["has_more"]), (vec![seq], &json!(id), &json!(false)));
        cursor = id;
        // On the same connection: a poll keeps to HTTP.
        let next = Ask::by("bob", "GET", "/v1/threads/x/events").query(&format!("after={cursor}&wait=60"));
        connection.0.send(&next.bytes());
    }
    // What is there already is not waited for.
    assert_eq!(seqs(&Poll::begin(&hub, "wait=60").page()), [1, 2, 3]);
    assert_eq!(seqs(&Poll::begin(&hub, "after=earliest&wait=60&limit=2").page()), [1, 2]);
    let mut at_head = Poll::begin(&hub, "last=0&wait=60");
    assert_eq!(Ask::by("bob", "GET", "/v1/threads/x").send(hub.addr()).status, 200);
    publish(hub.addr(), "alice", "x", &json!("the fourth"));
    // Begun before or behind the publish, it is answered with it or waits for the next.
    let (_, fifth) = publish(hub.addr(), "alice", "x", &json!("the fifth"));
    let got = seqs(&at_head.page());
    assert!(!got.is_empty() && got.iter().all(|seq| (4..=fifth).contains(seq)), "{got:?}");
}

#[test]
fn it_comes_empty_when_nothing_was_published() {
    let hub = hub();
    let (id, _) = publish(hub.addr(), "alice", "x", &json!(1));
    let began = std::time::Instant::now();
    let mut poll = Poll::begin(&hub, &format!("after={id}&wait=1"));
    let page = poll.page();
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((seqs(&page), &page["cursor"], &page["has_more"]), (vec![], &json!(id), &json!(false)));
}

#[test]
fn many_wait_for_one_event() {
    let hub = hub();
    let mut polls: Vec<_> = (0..50).map(|_| Poll::begin(&hub, "after=earliest&wait=60")).collect();
    publish(hub.addr(), "alice", "x", &json!(1));
    for poll in &mut polls {
        assert_eq!(seqs(&poll.page()), [1]);
    }
}

#[test]
fn the_end_of_the_topic_is_an_answer() {
    let hub = hub();
    let mut poll = Poll::begin(&hub, "after=earliest&wait=60");
    let closed = Ask::by("alice", "POST", "/v1/threads/x/close").send(hub.addr()).ok(200);
    let page = poll.page();
    assert_eq!((&page["events"][0]["type"], &page["cursor"]), (&json!("closed"), &closed["id"]));
    // Nothing can come behind it.
    let cursor = closed["id"].as_str().unwrap();
    assert_eq!(seqs(&Poll::begin(&hub, &format!("after={cursor}&wait=60")).page()), [0; 0]);
    create(hub.addr(), "alice", "y");
    let mut poll = Poll::by(&hub, &Ask::by("bob", "GET", "/v1/threads/y/events?wait=60"));
    // It waits already, or finds nothing when it comes.
    Ask::by("alice", "DELETE", "/v1/threads/y").send(hub.addr()).ok(204);
    assert_eq!(poll.0.answer().refusal(), (404, "topic.unknown".to_owned()));
}

#[test]
fn a_topic_that_sleeps_is_polled_all_the_same() {
    let hub = Running::with(|settings| settings.topic.sleep_after_seconds = 1);
    create(hub.addr(), "alice", "x");
    create(hub.addr(), "alice", "y");
    let mut poll = Poll::begin(&hub, "after=earliest&wait=60");
    // As long as it takes a topic to sleep of which nobody wants anything, and three times as long.
    assert_eq!(seqs(&Poll::by(&hub, &Ask::by("bob", "GET", "/v1/threads/y/events?wait=3")).page()), [0; 0]);
    assert!(poll.waits());
    publish(hub.addr(), "alice", "x", &json!(1));
    assert_eq!(seqs(&poll.page()), [1]);
}

#[test]
fn who_may_not_read_any_more_is_told_so() {
    let hub = hub();
    let soon = sign(&altered(claims("bob", "member"), json!({ "exp": now() + 2 })));
    let ask = Ask::by("bob", "GET", "/v1/threads/x/events?wait=60").with("authorization", &format!("Bearer {soon}"));
    let mut poll = Poll::by(&hub, &ask);
    let began = std::time::Instant::now();
    // No longer than the token.
    assert_eq!(seqs(&poll.page()), [0; 0]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn who_leaves_leaves_nothing_behind() {
    let hub = hub();
    let used = || {
        let limits = Ask::by("bob", "GET", "/v1/limits").send(hub.addr()).ok(200);
        limits["connections"]["principal"]["used"].as_u64().unwrap()
    };
    let polls: Vec<_> = (0..5).map(|_| Poll::begin(&hub, "after=earliest&wait=60")).collect();
    eventually("each is counted", || (used() == 5).then_some(()));
    for (n, poll) in polls.into_iter().enumerate() {
        // By an end, and by a reset.
        if n % 2 == 0 { drop(poll) } else { poll.0.reset() }
    }
    eventually("all is given back", || (used() == 0).then_some(()));
    publish(hub.addr(), "alice", "x", &json!(1));
    assert_eq!(seqs(&Poll::begin(&hub, "after=earliest&wait=60").page()), [1]);
}

#[test]
fn half_a_connection_is_none() {
    let hub = hub();
    let mut poll = Poll::begin(&hub, "after=earliest&wait=60");
    let began = std::time::Instant::now();
    poll.0.finish();
    assert_eq!(seqs(&poll.page()), [0; 0]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_poll_refuses_no_more_than_it_must() {
    let hub = hub();
    publish(hub.addr(), "alice", "x", &json!(1));
    let ask = Ask::by("bob", "GET", "/v1/threads/x/events?after=earliest&wait=60");
    // A body means nothing here, and is no reason to refuse.
    assert_eq!(seqs(&ask.clone().json("{}").send(hub.addr()).ok(200)), [1]);
    // Two at once on one connection, and the connection goes on behind a refusal.
    let mut connection = Connection::open(hub.addr());
    let refused = Ask::by("bob", "GET", "/v1/threads/x/events?wait=60&limit=0").bytes();
    connection.send(&[ask.bytes(), refused, ask.bytes()].concat());
    assert_eq!(connection.answer().status, 200);
    assert_eq!(connection.answer().refusal(), (400, "query.invalid".to_owned()));
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn a_drain_answers_it_at_once() {
    let hub = hub();
    let mut poll = Poll::begin(&hub, "after=earliest&wait=60");
    // It is under way when another request on its worker was answered behind it; which one is not known.
    for _ in 0..8 {
        Ask::by("bob", "GET", "/v1/threads/x").send(hub.addr()).ok(200);
    }
    let began = std::time::Instant::now();
    let stopped = std::thread::spawn(move || drop(hub));
    let answer = poll.0.answer();
    // Drained before it was begun it is refused.
    assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
    stopped.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
