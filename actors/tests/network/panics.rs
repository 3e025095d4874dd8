//! Panics, and logs that somebody else writes to: what dies, what is started again, and who notices.

use std::sync::Arc;
use tambour_actors::log::contract::deed;

use tambour_actors::frame::Wire;
use tambour_actors::log::{Append, Class, EventLog as _};
use tambour_actors::refusal::Code;
use tambour_actors::topic::messages::Sleep;
use tambour_actors::topic::state::{Start, What, Write};

use super::client::{Client, Truth};
use super::hub::{BOMB, Hub, PATIENCE, Setup, key, new_event, run, until};

async fn reaches(client: &mut Client, topic: &str, seq: u64) {
    let what = format!("{topic} at {seq} of a client on worker {}", client.worker);
    until(&what, || client.at(topic).is_some_and(|at| at.seq == seq)).await;
}

#[test]
fn a_topic_that_panics_is_replaced_and_its_readers_go_on() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        for topic in ["thread/a", "thread/b"] {
            hub.create(topic).await;
        }
        let mut clients = Vec::new();
        for (worker, wire) in [(0, Wire::Ws), (1, Wire::Sse), (0, Wire::Sse), (1, Wire::Ws)] {
            for topic in ["thread/a", "thread/b"] {
                clients.push((topic, Client::of(&hub, &truth, worker, wire, topic, Start::Head).await.unwrap()));
            }
        }
        hub.publish_many("thread/a", 1..=3).await;
        hub.publish_many("thread/b", 1..=3).await;
        for (topic, client) in &mut clients {
            reaches(client, topic, 3).await;
        }
        let lives = [hub.find("thread/a").await.unwrap(), hub.find("thread/b").await.unwrap()];
        lives[0].addr.do_send(Sleep { consent: Box::new(|| panic!("{BOMB}")) });
        until("the topic is dead", || !lives[0].addr.connected()).await;
        hub.publish_many("thread/a", 4..=6).await;
        hub.publish_many("thread/b", 4..=6).await;
        for (topic, client) in &mut clients {
            reaches(client, topic, 6).await;
            assert!(client.gaps.is_empty() && client.ended.is_empty());
        }
        assert_ne!(hub.find("thread/a").await.unwrap().life, lives[0].life);
        assert_eq!(hub.find("thread/b").await.unwrap().life, lives[1].life, "nobody else notices");
    });
}

#[test]
fn a_topic_that_panics_in_a_replay_is_replaced_and_the_reader_goes_on() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let record = hub.create("thread/a").await;
        hub.publish_many("thread/a", 1..=100).await;
        hub.log.poison(record.log);
        let mut client = Client::of(&hub, &truth, 0, Wire::Ws, "thread/a", Start::Earliest).await.unwrap();
        reaches(&mut client, "thread/a", 100).await;
        assert!(client.gaps.is_empty());
    });
}

#[test]
fn writers_of_a_topic_that_dies_are_told_that_nobody_knows() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        hub.create("thread/a").await;
        hub.log.hold_appends();
        let mut answers = Vec::new();
        for number in 0..5 {
            answers.push(hub.write("thread/a", Write::events(vec![new_event(&number.to_string())])).await);
        }
        let handle = hub.find("thread/a").await.unwrap();
        // A reply that panics when it is asked to answer takes the topic with it.
        let (origin, reply) = bomb_reply();
        handle.addr.topic().expect("a topic").do_send(tambour_actors::topic::messages::Publish {
            write: What::Close(deed()).into(),
            origin,
            reply,
        });
        let late = hub.write("thread/a", Write::events(vec![new_event("9")])).await;
        assert_eq!(late.await.unwrap().unwrap_err().code, Code::TopicClosed);
        hub.log.release();
        for answer in answers {
            let answer = answer.await.expect("every writer is answered");
            assert!(answer.is_ok() || answer.unwrap_err().code == Code::PublishUnknown);
        }
    });
}

fn bomb_reply() -> (tambour_actors::event::Origin, tambour_actors::topic::messages::Reply) {
    let origin = tambour_actors::event::Origin { routing: "\"actor_id\":\"a\"".into(), meta: "\"r\":1".into() };
    let reply = tambour_actors::topic::messages::Reply::new(|_| panic!("{BOMB}"));
    (origin, reply)
}

#[test]
fn somebody_else_wrote_to_the_log() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let record = hub.create("thread/a").await;
        let mut client = Client::of(&hub, &truth, 0, Wire::Sse, "thread/a", Start::Head).await.unwrap();
        hub.publish_many("thread/a", 1..=2).await;
        reaches(&mut client, "thread/a", 2).await;
        let life = hub.find("thread/a").await.unwrap().life;
        let page = hub.log.read(record.log, 1, tambour_actors::log::PageLimit { events: 1, bytes: 1 }).await.unwrap();
        let mut foreign = page.events[0].clone();
        foreign.seq = 3;
        let appended = hub
            .log
            .memory
            .append(vec![Append {
                log: record.log,
                events: Arc::from([foreign]),
                once: Vec::new(),
                closing: None,
                class: Class::Ordinary,
            }])
            .await;
        assert_eq!(appended, [Ok(())]);
        assert_eq!(hub.publish("thread/a", "4").await.unwrap_err().code, Code::PublishUnknown);
        // The reader learns of the foreign event though nobody publishes.
        reaches(&mut client, "thread/a", 3).await;
        hub.publish("thread/a", "4").await.expect("the new life knows the log");
        reaches(&mut client, "thread/a", 4).await;
        assert_ne!(hub.find("thread/a").await.unwrap().life, life);
    });
}

#[test]
fn an_outlet_that_panics_closes_its_sockets_and_comes_back() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create("thread/a").await;
        let mut here = Vec::new();
        for wire in [Wire::Ws, Wire::Sse, Wire::Ws] {
            here.push(Client::of(&hub, &truth, 0, wire, "thread/a", Start::Head).await.unwrap());
        }
        let mut there = Client::of(&hub, &truth, 1, Wire::Ws, "thread/a", Start::Head).await.unwrap();
        hub.publish("thread/a", "1").await.unwrap();
        for client in here.iter_mut().chain([&mut there]) {
            reaches(client, "thread/a", 1).await;
        }
        let dead = hub.on(0, |worker| worker.outlet().unwrap()).await;
        here[1].net.arm_bomb();
        hub.publish("thread/a", "2").await.unwrap();
        for client in &here {
            until("its sockets are closed", || client.net.closed()).await;
        }
        until("the outlet is dead", || !dead.connected()).await;
        reaches(&mut there, "thread/a", 2).await;
        let cursor = here[0].readings["thread/a"].at.unwrap();
        let mut back = Vec::new();
        for wire in [Wire::Ws, Wire::Sse] {
            let mut client = Client::of(&hub, &truth, 0, wire, "thread/a", Start::After(cursor)).await.unwrap();
            reaches(&mut client, "thread/a", 2).await;
            back.push(client);
        }
        hub.publish("thread/a", "3").await.unwrap();
        for client in back.iter_mut().chain([&mut there]) {
            reaches(client, "thread/a", 3).await;
        }
        back.iter().for_each(|client| client.net.end_input());
        there.net.end_input();
        hub.expect_nothing_left().await;
    });
}

/// What a dead outlet was sent is answered by nobody: its topics must not wait for it.
#[test]
fn a_topic_sleeps_though_an_outlet_died_on_it() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create("thread/a").await;
        let mut client = Client::of(&hub, &truth, 0, Wire::Ws, "thread/a", Start::Head).await.unwrap();
        until("subscribed", || client.at("thread/a").is_some()).await;
        client.net.arm_bomb();
        hub.publish("thread/a", "1").await.unwrap();
        until("its socket is closed", || client.net.closed()).await;
        hub.expect_nothing_left().await;
    });
}

/// What joins the appends of a worker's topics dies with all that it was given.
#[test]
fn an_appender_that_panics_is_started_again_and_its_writers_are_told_that_nobody_knows() {
    run(async || {
        let hub = Hub::start(Setup { workers: 1, ..Setup::default() }).await;
        let truth = Truth::of(&hub);
        let mut clients = Vec::new();
        for topic in ["thread/a", "thread/b"] {
            hub.create(topic).await;
            hub.publish(topic, "1").await.unwrap();
            clients.push((topic, Client::of(&hub, &truth, 0, Wire::Sse, topic, Start::Head).await.unwrap()));
        }
        for round in 0..3 {
            let mut answers = Vec::new();
            hub.log.hold_appends();
            // On disk, and the answer on its way to the one who dies.
            answers.push(hub.write("thread/a", Write::events(vec![new_event("2")])).await);
            on_disk(&hub, "thread/a", 2 + 2 * round).await;
            hub.log.poison_appends();
            answers.push(hub.write("thread/b", Write::events(vec![new_event("2")])).await);
            for answer in answers {
                let answer = tokio::time::timeout(PATIENCE, answer).await.expect("a writer waits for ever");
                assert_eq!(answer.unwrap().unwrap_err().code, Code::PublishUnknown);
            }
            hub.log.release();
            for (topic, client) in &mut clients {
                let published = published(&hub, topic).await;
                reaches(client, topic, published).await;
                assert!(client.gaps.is_empty() && client.ended.is_empty());
            }
        }
    });
}

/// Waits for the head of a topic's log.
async fn on_disk(hub: &Hub, topic: &str, head: u64) {
    let deadline = std::time::Instant::now() + PATIENCE;
    let log = hub.find(topic).await.unwrap().record.log;
    while hub.log.bounds(log).await.unwrap().head < head {
        assert!(std::time::Instant::now() < deadline, "never on disk");
        tokio::task::yield_now().await;
    }
}

/// Publishes, if need be again while the topic is started anew.
async fn published(hub: &Hub, topic: &str) -> u64 {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match hub.publish(topic, "3").await {
            Ok(published) => return published.last,
            Err(refusal) => assert!(std::time::Instant::now() < deadline, "{refusal}"),
        }
    }
}

#[test]
fn a_wake_that_panics_leaves_nobody_waiting() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        hub.create("thread/a").await;
        hub.log.poison_finds();
        let finds = (0..3).map(|_| {
            let directory = hub.directory.clone();
            tokio::spawn(async move { directory.find(&key("thread/a")).await })
        });
        let finds: Vec<_> = finds.collect();
        for find in finds {
            // Who asked with the one that died is told so; who asked later began anew.
            let found = tokio::time::timeout(PATIENCE, find).await.expect("who looks waits for ever").unwrap();
            assert!(found.is_err() || found.is_ok_and(|topic| topic.is_some()));
        }
        assert!(hub.find("thread/a").await.is_some());
    });
}
