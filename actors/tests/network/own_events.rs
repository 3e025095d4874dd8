//! Who subscribes and then publishes, without a look at the answers, reads what they have published themselves.

use std::time::Instant;

use serde_json::{Value, json};
use tambour_actors::frame::Wire;
use tambour_actors::log::contract::deed;
use tambour_actors::log::{EventLog as _, TopicChange, Visibility};
use tambour_actors::refusal::Code;
use tambour_actors::topic::state::Start;

use super::client::{Client, Truth};
use super::hub::{Hub, PATIENCE, Setup, key, run, until};
use super::wire::masked;

const TOPIC: &str = "thread/a";

async fn hub() -> (Hub, Truth) {
    let hub = Hub::start(Setup::default()).await;
    for topic in [TOPIC, "thread/b"] {
        hub.create(topic).await;
    }
    let truth = Truth::of(&hub);
    (hub, truth)
}

fn publish(topic: &str, reference: u64) -> Value {
    json!({"t": "publish", "topic": topic, "type": "note", "data": reference, "ref": reference})
}

/// Sends frames in one piece, so that all are there when the session looks.
fn send_all(client: &Client, frames: &[Value]) {
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| masked(0x81, frame.to_string().as_bytes())).collect();
    client.net.send(&bytes);
}

async fn published(client: &mut Client, count: usize) {
    until("published", || {
        client.read();
        client.published.len() == count
    })
    .await;
}

/// The worker on whose thread a topic lives.
fn home(topic: &str) -> usize {
    usize::try_from(key(topic).stable_hash() % 2).unwrap()
}

/// Holds the thread of a topic until what is returned is dropped.
async fn stand_still(hub: &Hub, topic: &str) -> std::sync::mpsc::Sender<()> {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (stands, stood) = std::sync::mpsc::channel::<()>();
    hub.workers[home(topic)].spawn_fn(move || {
        stands.send(()).expect("the test waits");
        let _ = wait.recv();
    });
    until("the thread stands still", || stood.try_recv().is_ok()).await;
    go_on
}

/// The session's thread stands still behind the publish until that is kept: whatever goes through the outlet comes later.
#[test]
fn who_subscribes_and_publishes_at_once_sees_their_own_events() {
    run(async || {
        let (hub, truth) = hub().await;
        hub.publish(TOPIC, "0").await.unwrap();
        let log = hub.find(TOPIC).await.unwrap().record.log;
        // Awake, so that nothing here waits for a topic to be found.
        hub.find("thread/b").await.unwrap();
        let mut client = Client::ws(&hub, &truth, 1 - home(TOPIC)).await;
        client.expect(TOPIC, Start::Head, 100);
        let go_on = client.net.stand_still_at(b"\"pong\"");
        let subscribe = json!({"t": "subscribe", "topic": TOPIC, "ref": 100});
        let ping = json!({"t": "ping"});
        send_all(&client, &[subscribe, publish(TOPIC, 1), publish("thread/b", 2), publish(TOPIC, 3), ping]);
        let deadline = Instant::now() + PATIENCE;
        while hub.log.memory.bounds(log).await.unwrap().head < 3 {
            assert!(Instant::now() < deadline, "the events are not kept");
        }
        drop(go_on);
        published(&mut client, 3).await;
        until("both events", || client.at(TOPIC).is_some_and(|at| at.seq == 3)).await;
        assert_eq!(client.readings[TOPIC].events, 2, "the reader starts before its own events");
        let seqs: Vec<_> = client.published.iter().map(|frame| (&frame["ref"], &frame["seq"])).collect();
        assert!(seqs.contains(&(&json!(1), &json!(2))) && seqs.contains(&(&json!(3), &json!(3))), "{seqs:?}");
        client.net.end_input();
        hub.expect_nothing_left().await;
    });
}

#[test]
fn so_does_who_came_for_one_topic() {
    run(async || {
        let (hub, truth) = hub().await;
        hub.find(TOPIC).await.unwrap();
        let go_on = stand_still(&hub, TOPIC).await;
        let at = (1 - home(TOPIC), Wire::Ws);
        let mut client = Client::of(&hub, &truth, at.0, at.1, TOPIC, Start::Head).await.unwrap();
        client.send(&publish(TOPIC, 1));
        drop(go_on);
        published(&mut client, 1).await;
        until("the event", || client.at(TOPIC).is_some_and(|at| at.seq == 1)).await;
        assert_eq!(client.readings[TOPIC].events, 1);
    });
}

/// The topic went to sleep after it was found: the outlet has to find it again, and so has the publish.
#[test]
fn so_does_who_comes_to_a_topic_that_fell_asleep() {
    run(async || {
        let (hub, truth) = hub().await;
        let stale = hub.find(TOPIC).await.unwrap();
        until("the topic sleeps", || {
            (0..2).for_each(|worker| hub.directory.sweep(worker));
            !stale.addr.connected()
        })
        .await;
        let mut client = Client::ws(&hub, &truth, 0).await;
        *hub.stale.lock() = Some(stale);
        client.expect(TOPIC, Start::Head, 100);
        send_all(&client, &[json!({"t": "subscribe", "topic": TOPIC, "ref": 100}), publish(TOPIC, 1)]);
        published(&mut client, 1).await;
        until("the event", || client.at(TOPIC).is_some_and(|at| at.seq == 1)).await;
        assert_eq!(client.readings[TOPIC].events, 1);
    });
}

/// What waits behind a subscribe that comes to nothing is carried out by the rights of then.
#[test]
fn a_subscribe_that_is_refused_lets_go_what_waits_behind_it() {
    run(async || {
        let (hub, truth) = hub().await;
        hub.find(TOPIC).await.unwrap();
        hub.find("thread/b").await.unwrap();
        let mut client = Client::ws_of("bob", &hub, &truth, 1 - home(TOPIC)).await;
        let go_on = stand_still(&hub, TOPIC).await;
        client.subscribe(TOPIC, Start::Head);
        send_all(&client, &[json!({"t": "ping"}), publish(TOPIC, 2), publish("thread/b", 3)]);
        until("carried out", || client.net.accepted(0).windows(6).any(|bytes| bytes == b"\"pong\"")).await;
        let private = TopicChange { visibility: Some(Visibility::Private), ..TopicChange::default() };
        hub.directory.change(&key(TOPIC), private, deed()).await.unwrap().unwrap();
        until("both are refused", || {
            client.read();
            client.errors.len() == 2
        })
        .await;
        let refused: Vec<_> = client.errors.iter().map(|error| (&error["ref"], &error["code"])).collect();
        let forbidden = json!(Code::Forbidden.as_str());
        assert_eq!(refused, [(&json!(1), &forbidden), (&json!(2), &forbidden)]);
        let told = ["Read", "Write"].map(|right| format!("bob {TOPIC} {right} {}", Code::Forbidden.as_str()));
        assert_eq!(*hub.refused.lock(), told, "the gate hears of each, once");
        drop(go_on);
        published(&mut client, 1).await;
        assert_eq!(client.published[0]["ref"], 3, "the session goes on");
        assert_eq!(hub.publish(TOPIC, "first").await.unwrap().first, 1, "nothing was written");
        client.net.end_input();
        hub.expect_nothing_left().await;
    });
}

/// A client that goes while its publish waits leaves nothing behind.
#[test]
fn who_leaves_meanwhile_is_let_go() {
    run(async || {
        let (hub, truth) = hub().await;
        hub.find(TOPIC).await.unwrap();
        let client = Client::ws(&hub, &truth, 1 - home(TOPIC)).await;
        let go_on = stand_still(&hub, TOPIC).await;
        let subscribe = json!({"t": "subscribe", "topic": TOPIC, "ref": 100});
        send_all(&client, &[subscribe, publish(TOPIC, 1)]);
        client.net.end_input();
        drop(go_on);
        hub.expect_nothing_left().await;
    });
}
