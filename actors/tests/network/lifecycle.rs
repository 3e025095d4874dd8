//! Topics that sleep, wake, are deleted, made anew, trimmed and closed under their readers.

use tambour_actors::frame::Wire;
use tambour_actors::log::contract::deed;
use tambour_actors::refusal::Code;
use tambour_actors::topic::state::{Start, TopicLimits, What, Write};

use super::client::{Client, Truth};
use super::hub::{Hub, Setup, key, new_event, run, until};
use super::socket::Net;

const TOPIC: &str = "thread/x";

async fn reaches(client: &mut Client, topic: &str, seq: u64) {
    let what = format!("{topic} at {seq} of a client on worker {}", client.worker);
    until(&what, || client.at(topic).is_some_and(|at| at.seq == seq)).await;
}

async fn ends(client: &mut Client, reason: &str) {
    until(reason, || {
        client.read();
        client.ended.iter().any(|(topic, why)| topic == TOPIC && why == reason)
    })
    .await;
}

/// A reader who is behind wakes its topic again at once, so a new life counts as sleep, too.
async fn falls_asleep(hub: &Hub) {
    let life = || hub.directory.find_awake(&key(TOPIC)).map(|topic| topic.life);
    let (first, mut sweeps) = (life(), 0);
    until("every topic sleeps", || {
        (0..hub.workers.len()).for_each(|worker| hub.directory.sweep(worker));
        sweeps += 1;
        // A look keeps a topic awake, so most sweeps go without one.
        hub.directory.awake() == 0 || (sweeps % 20 == 0 && life() != first)
    })
    .await;
}

#[test]
fn readers_of_a_sleeping_topic_hear_of_what_wakes_it() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        let mut clients = Vec::new();
        for (worker, wire) in [(0, Wire::Ws), (1, Wire::Sse)] {
            clients.push(Client::of(&hub, &truth, worker, wire, TOPIC, Start::Head).await.unwrap());
        }
        for round in 1..=20 {
            for client in &mut clients {
                until("subscribed", || client.at(TOPIC).is_some()).await;
            }
            falls_asleep(&hub).await;
            hub.publish(TOPIC, &round.to_string()).await.unwrap();
            for client in &mut clients {
                reaches(client, TOPIC, round).await;
            }
        }
    });
}

#[test]
fn a_topic_that_is_deleted_in_its_sleep_ends_its_streams() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        let mut clients = Vec::new();
        for (worker, wire) in [(0, Wire::Ws), (1, Wire::Sse)] {
            let mut client = Client::of(&hub, &truth, worker, wire, TOPIC, Start::Head).await.unwrap();
            until("subscribed", || client.at(TOPIC).is_some()).await;
            clients.push(client);
        }
        falls_asleep(&hub).await;
        assert_eq!(hub.directory.delete(&key(TOPIC), deed()).await, Ok(true));
        for client in &mut clients {
            ends(client, "deleted").await;
            client.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn a_topic_made_anew_is_another_one() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        let mut old = Client::of(&hub, &truth, 0, Wire::Ws, TOPIC, Start::Head).await.unwrap();
        hub.publish_many(TOPIC, 1..=9).await;
        reaches(&mut old, TOPIC, 9).await;
        let cursor = old.at(TOPIC).unwrap();
        assert_eq!(hub.directory.delete(&key(TOPIC), deed()).await, Ok(true));
        ends(&mut old, "deleted").await;
        assert_eq!(old.close_code, Some(4404));
        hub.create(TOPIC).await;
        hub.publish_many(TOPIC, 1..=2).await;
        let mut back = Client::of(&hub, &truth, 0, Wire::Sse, TOPIC, Start::After(cursor)).await.unwrap();
        reaches(&mut back, TOPIC, 2).await;
        assert_eq!((back.gaps.len(), back.gaps[0]["reason"].as_str()), (1, Some("reset")));
    });
}

#[test]
fn what_was_trimmed_is_told_also_when_nothing_is_left() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let record = hub.create(TOPIC).await;
        hub.publish_many(TOPIC, 1..=100).await;
        for trimmed in [50, 100] {
            // The topic stays awake and does not know; its tail holds the newest 16.
            let start = Start::After(record.mark().at(10));
            // Its socket takes nothing, so that not even the answer to its subscription goes out before the trim.
            let mut behind = Client::through(Net::new(0), &hub, &truth, (0, Wire::Ws), TOPIC, start).await.unwrap();
            until("the session wants to write", || behind.net.writes() > 0).await;
            hub.trim(&record, trimmed);
            if trimmed == 100 {
                falls_asleep(&hub).await;
            }
            behind.net.make_room(super::socket::UNLIMITED);
            reaches(&mut behind, TOPIC, 100).await;
            assert_eq!(behind.gaps.last().map(|gap| &gap["reason"]), Some(&"trimmed".into()), "{trimmed}");
        }
    });
}

#[test]
fn a_second_subscription_starts_where_it_asks_to_whatever_the_first_asked() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        hub.publish_many(TOPIC, 1..=30).await;
        for round in 0..50 {
            let mut client = Client::ws(&hub, &truth, round % 2).await;
            for (first, second) in [(Start::Head, Start::Earliest), (Start::Earliest, Start::Last(3))] {
                client.subscribe(TOPIC, first);
                client.unsubscribe(TOPIC);
                client.subscribe(TOPIC, second);
                reaches(&mut client, TOPIC, 30).await;
                let events = client.readings[TOPIC].events;
                assert_eq!(events, if second == Start::Earliest { 30 } else { 3 }, "{second:?}");
                client.unsubscribe(TOPIC);
                until("unsubscribed", || {
                    client.read();
                    client.readings.is_empty()
                })
                .await;
            }
            client.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

/// The last reader leaves before the topic answered another one who left as well: whoever comes later
/// must still be served.
#[test]
fn who_left_too_early_does_not_stop_who_comes_later() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        let home = usize::try_from(key(TOPIC).stable_hash() % 2).unwrap();
        let mut last = Client::of(&hub, &truth, 1 - home, Wire::Ws, TOPIC, Start::Head).await.unwrap();
        until("subscribed", || last.at(TOPIC).is_some()).await;
        let mut early = Client::ws(&hub, &truth, 1 - home).await;
        // The topic's thread stands still.
        let (go_on, stand_still) = std::sync::mpsc::channel::<()>();
        let (stands, stood) = std::sync::mpsc::channel::<()>();
        hub.workers[home].spawn_fn(move || {
            stands.send(()).expect("the test waits");
            stand_still.recv().expect("the test goes on");
        });
        until("the thread stands still", || stood.try_recv().is_ok()).await;
        early.subscribe(TOPIC, Start::Head);
        early.unsubscribe(TOPIC);
        until("unsubscribed", || {
            early.read();
            early.readings.is_empty()
        })
        .await;
        last.net.end_input();
        until("the last reader is gone", || last.net.closed()).await;
        go_on.send(()).unwrap();
        hub.publish(TOPIC, "1").await.unwrap();
        let mut late = Client::of(&hub, &truth, 1 - home, Wire::Sse, TOPIC, Start::Head).await.unwrap();
        until("subscribed", || late.at(TOPIC).is_some()).await;
        hub.publish(TOPIC, "2").await.unwrap();
        reaches(&mut late, TOPIC, 2).await;
        for client in [early, late] {
            client.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

/// The last one served of a topic that closes leaves it in the middle of the fan-out.
#[test]
fn leaving_a_closed_topic_moves_nobody_else() {
    run(async || {
        let hub = Hub::start(Setup { workers: 1, ..Setup::default() }).await;
        let truth = Truth::of(&hub);
        for topic in ["thread/a", "thread/b"] {
            hub.create(topic).await;
        }
        let mut stays = Client::ws(&hub, &truth, 0).await;
        stays.subscribe("thread/b", Start::Head);
        until("subscribed", || stays.at("thread/b").is_some()).await;
        let mut leaves = Client::ws(&hub, &truth, 0).await;
        for topic in ["thread/a", "thread/b"] {
            leaves.subscribe(topic, Start::Head);
            until("subscribed", || leaves.at(topic).is_some()).await;
        }
        hub.write("thread/a", What::Close(deed()).into()).await.await.unwrap().unwrap();
        until("ended", || {
            leaves.read();
            !leaves.ended.is_empty()
        })
        .await;
        leaves.unsubscribe("thread/b");
        until("unsubscribed", || {
            leaves.read();
            leaves.readings.is_empty()
        })
        .await;
        hub.publish("thread/b", "1").await.unwrap();
        reaches(&mut stays, "thread/b", 1).await;
        for client in [stays, leaves] {
            client.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn closing_ends_every_reader_of_many_topics_and_no_other() {
    run(async || {
        let hub = Hub::start(Setup { workers: 1, ..Setup::default() }).await;
        let truth = Truth::of(&hub);
        let topics: Vec<String> = (0..4).map(|n| format!("thread/{n}")).collect();
        for topic in &topics {
            hub.create(topic).await;
        }
        let mut clients = Vec::new();
        for shift in 0..4 {
            let mut client = Client::ws(&hub, &truth, 0).await;
            for place in 0..4 {
                client.subscribe(&topics[(place + shift) % 4], Start::Head);
            }
            clients.push(client);
        }
        for client in &mut clients {
            until("subscribed", || topics.iter().all(|topic| client.at(topic).is_some())).await;
        }
        for (round, closing) in topics.iter().enumerate() {
            hub.write(closing, What::Close(deed()).into()).await.await.unwrap().unwrap();
            for topic in &topics[round + 1..] {
                hub.publish(topic, &round.to_string()).await.unwrap();
            }
            for client in &mut clients {
                until("ended", || {
                    client.read();
                    client.ended.len() == round + 1
                })
                .await;
                for topic in &topics[round + 1..] {
                    reaches(client, topic, round as u64 + 1).await;
                }
            }
        }
        clients.iter().for_each(|client| client.net.end_input());
        hub.expect_nothing_left().await;
    });
}

/// The limits of a hub were changed: who is awake keeps those it woke with.
#[test]
fn other_limits_are_for_topics_that_wake_later() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        for topic in ["thread/awake", TOPIC] {
            hub.create(topic).await;
        }
        hub.publish("thread/awake", "0").await.unwrap();
        hub.directory.limit(TopicLimits { backlog_bytes: 1, ..Setup::default().limits }, 60_000);
        hub.publish(TOPIC, "0").await.unwrap();
        hub.log.hold_appends();
        let mut answers = Vec::new();
        for topic in ["thread/awake", TOPIC] {
            // One in flight, one that waits, and one that finds it waiting.
            for data in ["1", "2", "3"] {
                answers.push(hub.write(topic, Write::events(vec![new_event(data)])).await);
            }
        }
        let busy = answers.pop().unwrap().await.unwrap();
        assert_eq!(busy.unwrap_err().code, Code::TopicBusy);
        hub.log.release();
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
        // The time after which a topic sleeps is for all of them.
        (0..hub.workers.len()).for_each(|worker| hub.directory.sweep(worker));
        hub.publish(TOPIC, "4").await.unwrap();
        assert_eq!(hub.directory.awake(), 2);
        hub.directory.limit(Setup::default().limits, -1_000);
        falls_asleep(&hub).await;
    });
}
