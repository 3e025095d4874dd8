//! Readers of many topics, readers that are behind, and stores that can't answer for a while.

use tambour_actors::frame::Wire;
use tambour_actors::log::EventLog as _;
use tambour_actors::refusal::Code;
use tambour_actors::topic::state::{Start, Write};

use super::client::{Client, Truth};
use super::hub::{Hub, Setup, new_event, run, until};
use super::socket::UNLIMITED;

async fn reaches(client: &mut Client, topic: &str, seq: u64) {
    let what = format!("{topic} at {seq} of a client on worker {}", client.worker);
    until(&what, || client.at(topic).is_some_and(|at| at.seq == seq)).await;
}

async fn topics(hub: &Hub, count: usize) -> Vec<String> {
    let topics: Vec<String> = (0..count).map(|n| format!("thread/{n}")).collect();
    for topic in &topics {
        hub.create(topic).await;
    }
    topics
}

#[test]
fn a_session_reads_128_topics_and_no_more() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let topics = topics(&hub, 129).await;
        let mut client = Client::ws(&hub, &truth, 0).await;
        for topic in &topics {
            client.subscribe(topic, Start::Earliest);
        }
        until("the last is refused", || {
            client.read();
            client.errors.len() == 1
        })
        .await;
        assert_eq!(client.errors[0]["code"], Code::TopicLimit.as_str());

        for round in 1..=3 {
            for topic in &topics[..128] {
                hub.publish(topic, &round.to_string()).await.unwrap();
            }
            for topic in &topics[..128] {
                reaches(&mut client, topic, round).await;
            }
        }
        // All of them again, through a socket that takes little at a time.
        client.net.stall();
        for topic in &topics[..128] {
            hub.publish(topic, "4").await.unwrap();
        }
        until("all of them", || {
            client.net.make_room(100);
            client.read();
            client.readings.values().all(|reading| reading.at.is_some_and(|at| at.seq == 4))
        })
        .await;
        client.net.end_input();
        hub.expect_nothing_left().await;
    });
}

/// Nobody waits until another topic's whole backlog was sent.
#[test]
fn topics_that_are_behind_catch_up_in_turns() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let topics = topics(&hub, 4).await;
        let data = format!("\"{}\"", "x".repeat(4_000));
        for topic in &topics {
            for _ in 0..200 {
                hub.publish(topic, &data).await.unwrap();
            }
        }
        let mut client = Client::ws(&hub, &truth, 0).await;
        for topic in &topics {
            client.subscribe(topic, Start::Head);
            until("subscribed", || client.at(topic).is_some()).await;
            client.unsubscribe(topic);
        }
        client.net.stall();
        for topic in &topics {
            client.subscribe(topic, Start::Earliest);
        }
        let mut at_first_end = None;
        until("all of them", || {
            client.net.make_room(8_192);
            client.read();
            let places: Vec<u64> =
                topics.iter().map(|t| client.readings.get(t).and_then(|r| r.at).map_or(0, |at| at.seq)).collect();
            if at_first_end.is_none() && places.contains(&200) {
                at_first_end = places.iter().min().copied();
            }
            places.iter().all(|seq| *seq == 200)
        })
        .await;
        assert!(at_first_end > Some(100), "the last was at {at_first_end:?} when the first was done");
    });
}

/// Leaving a topic whose page is on its way must not stop the others.
#[test]
fn who_leaves_a_topic_in_a_replay_goes_on_with_the_others() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let topics = topics(&hub, 2).await;
        for topic in &topics {
            hub.publish_many(topic, 1..=40).await;
        }
        let mut client = Client::ws(&hub, &truth, 0).await;
        let reads = hub.log.reads();
        hub.log.hold_reads();
        client.subscribe(&topics[0], Start::Earliest);
        until("a page is asked for", || hub.log.reads() > reads).await;
        client.subscribe(&topics[1], Start::Earliest);
        until("subscribed", || client.at(&topics[1]).is_some()).await;
        client.unsubscribe(&topics[0]);
        until("unsubscribed", || {
            client.read();
            client.readings.len() == 1
        })
        .await;
        hub.log.release();
        reaches(&mut client, &topics[1], 40).await;
    });
}

/// The answer to a page that an earlier subscription asked for is not taken for this one's.
#[test]
fn a_late_page_of_an_earlier_subscription_makes_no_hole() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let topic = &topics(&hub, 1).await[0];
        hub.publish_many(topic, 1..=60).await;
        let mark = hub.find(topic).await.unwrap().record.mark();
        let mut client = Client::ws(&hub, &truth, 0).await;
        let reads = hub.log.reads();
        hub.log.hold_reads();
        client.subscribe(topic, Start::After(mark.at(30)));
        until("a page is asked for", || hub.log.reads() == reads + 1).await;
        client.unsubscribe(topic);
        client.subscribe(topic, Start::Earliest);
        until("another page is asked for", || hub.log.reads() == reads + 2).await;
        hub.log.release();
        reaches(&mut client, topic, 60).await;
        assert_eq!((client.readings[topic].events, client.gaps.len()), (60, 0));
    });
}

#[test]
fn a_store_that_can_not_answer_for_a_while_costs_no_event() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let topic = &topics(&hub, 1).await[0];
        hub.publish_many(topic, 1..=60).await;
        hub.log.unreadable(true);
        let mut client = Client::of(&hub, &truth, 1, Wire::Sse, topic, Start::Earliest).await.unwrap();
        let reads = hub.log.reads();
        until("it was asked again", || hub.log.reads() >= reads + 2).await;
        hub.log.unwritable(true);
        assert_eq!(hub.publish(topic, "61").await.unwrap_err().code, Code::StoreUnavailable);
        hub.log.unwritable(false);
        hub.log.unreadable(false);
        hub.publish(topic, "61").await.unwrap();
        reaches(&mut client, topic, 61).await;
        assert!(client.gaps.is_empty());
    });
}

/// A page of the log may hold what the topic was not told of yet. Who was given it, and comes back, would be ahead of the head.
#[test]
fn nobody_is_ahead_of_what_the_topic_has_shown() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let topics = topics(&hub, 2).await;
        let record = hub.find(&topics[0]).await.unwrap().record;
        hub.publish_many(&topics[0], 1..=3).await;
        until("its tail is gone with it", || {
            (0..2).for_each(|worker| hub.directory.sweep(worker));
            hub.directory.awake() == 0
        })
        .await;
        hub.log.hold_appends();
        let unanswered = hub.write(&topics[0], Write::events(vec![new_event("4")])).await;
        while hub.log.bounds(record.log).await.unwrap().head < 4 {
            tokio::task::yield_now().await;
        }
        let reads = hub.log.reads();
        let mut client = Client::of(&hub, &truth, 0, Wire::Sse, &topics[0], Start::Earliest).await.unwrap();
        until("it was read", || hub.log.reads() > reads).await;
        // Everybody who could tell it has had a turn.
        for _ in 0..20 {
            for worker in 0..2 {
                hub.on(worker, |_| ()).await;
            }
        }
        let at = client.at(&topics[0]).expect("connected");
        let mut back = Client::of(&hub, &truth, 1, Wire::Ws, &topics[0], Start::After(at)).await.unwrap();
        until("subscribed", || back.at(&topics[0]).is_some()).await;
        // Who read a page of the log itself may know more than the topic.
        let newest = Start::After(record.mark().at(4));
        let mut early = Client::of(&hub, &truth, 0, Wire::Sse, &topics[0], newest).await.unwrap();
        hub.log.release();
        unanswered.await.unwrap().unwrap();
        for client in [&mut client, &mut back, &mut early] {
            reaches(client, &topics[0], 4).await;
            assert!(client.gaps.is_empty(), "{:?}", client.gaps);
        }
    });
}

#[test]
fn publishes_of_one_session_keep_their_order_and_stop_at_the_limit() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let topic = &topics(&hub, 1).await[0];
        let mut client = Client::ws(&hub, &truth, 0).await;
        client.subscribe(topic, Start::Head);
        until("subscribed", || client.at(topic).is_some()).await;
        hub.log.hold_appends();
        for number in 1..=100 {
            client.send(
                &serde_json::json!({"t": "publish", "topic": topic, "type": "note", "data": number, "ref": number}),
            );
        }
        hub.log.release();
        client.net.make_room(UNLIMITED);
        reaches(&mut client, topic, 100).await;
        until("all are answered", || {
            client.read();
            client.published.len() == 100
        })
        .await;
        let mark = hub.find(topic).await.unwrap().record.mark();
        for (published, number) in client.published.iter().zip(1_u64..) {
            assert_eq!(published["ref"], number);
            assert_eq!(truth.data(mark.at(number)), Some(number.to_string()));
        }
    });
}
