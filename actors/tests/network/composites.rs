//! One SSE stream of several topics under composite ids: what it says first, where it goes on, and how it ends.

use serde_json::json;
use tambour_actors::composite::{Composite, put_in_order};
use tambour_actors::cursor::Mark;
use tambour_actors::directory::TopicHandle;
use tambour_actors::frame::Wire;
use tambour_actors::log::contract::deed;
use tambour_actors::topic::state::What;

use super::client::{Client, Truth};
use super::hub::{Hub, Setup, key, run, until};
use super::socket::{Net, UNLIMITED};
use super::view::View;

const TOPICS: [&str; 3] = ["canvas/c", "thread/a", "thread/b"];
const WIRES: [Wire; 2] = [Wire::Sse, Wire::SseUnnamed];

async fn hub() -> (Hub, Truth) {
    let hub = Hub::start(Setup::default()).await;
    for topic in TOPICS {
        hub.create(topic).await;
    }
    let truth = Truth::of(&hub);
    (hub, truth)
}

async fn found(hub: &Hub) -> Vec<(TopicHandle, Option<View>)> {
    let mut found = Vec::new();
    for topic in TOPICS {
        found.push((hub.find(topic).await.unwrap(), None));
    }
    assert!(put_in_order(&mut found, |(topic, _)| &topic.record.topic.key));
    found
}

async fn open(hub: &Hub, truth: &Truth, wire: Wire, id: Option<&str>) -> Client {
    Client::stream(Net::new(UNLIMITED), hub, truth, (0, wire), found(hub).await, id).await
}

async fn reaches(client: &mut Client, seqs: [u64; 3]) {
    until(&format!("{seqs:?}"), || {
        TOPICS.iter().zip(seqs).all(|(topic, seq)| client.at(topic).is_some_and(|at| at.seq == seq))
    })
    .await;
}

#[test]
fn a_stream_of_several_goes_on_in_all_of_them() {
    run(async || {
        let (hub, truth) = hub().await;
        for (topic, count) in TOPICS.iter().zip([3, 40, 1]) {
            hub.publish_many(topic, 1..=count).await;
        }
        for wire in WIRES {
            let mut first = open(&hub, &truth, wire, None).await;
            until("everything", || {
                first.read();
                first.readings.values().map(|reading| reading.events).sum::<usize>() >= 44
            })
            .await;
            let id = first.last_id.clone().unwrap();
            first.net.reset();
            hub.publish("thread/b", "9").await.unwrap();
            hub.publish("canvas/c", "9").await.unwrap();
            let mut back = open(&hub, &truth, wire, Some(&id)).await;
            until("both", || {
                back.read();
                back.readings.values().map(|reading| reading.events).sum::<usize>() == 2
            })
            .await;
            assert!(back.gaps.is_empty());
        }
    });
}

#[test]
fn each_topic_that_can_not_be_honoured_has_a_gap_of_its_own() {
    run(async || {
        let (hub, truth) = hub().await;
        for topic in TOPICS {
            hub.publish_many(topic, 1..=5).await;
        }
        let mut client = open(&hub, &truth, Wire::Sse, None).await;
        reaches(&mut client, [5, 5, 5]).await;
        let id = client.last_id.clone().unwrap();
        // The first is made anew, and the third is told to be further than it is.
        assert_eq!(hub.directory.delete(&key(TOPICS[0]), deed()).await, Ok(true));
        until("ended", || {
            client.read();
            client.ended == [(TOPICS[0].to_owned(), "deleted".to_owned())]
        })
        .await;
        hub.publish(TOPICS[1], "6").await.unwrap();
        until("the others go on", || client.at(TOPICS[1]).is_some_and(|at| at.seq == 6)).await;
        client.net.reset();
        hub.create(TOPICS[0]).await;
        hub.publish_many(TOPICS[0], 1..=2).await;
        let ahead = id.replace(".5", ".500").replacen(".500", ".5", 2);
        assert_ne!(ahead, id);
        // Whoever drops before a gap was told is told of it again.
        let net = Net::new(0);
        let mut slow = Client::stream(net, &hub, &truth, (1, Wire::SseUnnamed), found(&hub).await, Some(&ahead)).await;
        until("it wants to write", || slow.net.writes() > 0).await;
        for _ in 0..3 {
            let blocks = |client: &mut Client| {
                client.read();
                client.last_id.clone()
            };
            let before = blocks(&mut slow);
            until("another block", || {
                slow.net.make_room(1);
                blocks(&mut slow) != before || (before.is_some() && slow.gaps.len() == 2)
            })
            .await;
            let told = slow.gaps.len();
            let mut again = open(&hub, &truth, Wire::Sse, slow.last_id.as_deref()).await;
            until("the rest", || {
                again.read();
                again.gaps.len() == 2 - told
                    && again.readings.len() == 3
                    && again.at(TOPICS[0]).is_some_and(|at| at.seq == 2)
            })
            .await;
            again.net.end_input();
        }
        let reasons: Vec<_> = slow.gaps.iter().map(|gap| (gap["topic"].clone(), gap["reason"].clone())).collect();
        assert_eq!(reasons, [(json!(TOPICS[0]), json!("reset")), (json!(TOPICS[2]), json!("unknown"))]);
        assert!(slow.gaps.iter().all(|gap| gap["requested"] == ahead.as_str()));
    });
}

#[test]
fn a_stream_ends_with_its_last_topic() {
    run(async || {
        let (hub, truth) = hub().await;
        for wire in WIRES {
            let topics = found(&hub).await;
            let mut client = Client::stream(Net::new(UNLIMITED), &hub, &truth, (0, wire), topics, None).await;
            until("connected", || client.at(TOPICS[0]).is_some()).await;
            hub.write(TOPICS[0], What::Close(deed()).into()).await.await.unwrap().unwrap();
            assert_eq!(hub.directory.delete(&key(TOPICS[1]), deed()).await, Ok(true));
            until("two ended", || {
                client.read();
                client.ended.len() == 2
            })
            .await;
            assert!(client.ended.contains(&(TOPICS[0].into(), "closed".into())));
            hub.publish(TOPICS[2], "1").await.unwrap();
            until("the last goes on", || client.at(TOPICS[2]).is_some_and(|at| at.seq >= 1)).await;
            assert!(!client.net.finished());
            hub.write(TOPICS[2], What::Close(deed()).into()).await.await.unwrap().unwrap();
            until("the end", || client.finished()).await;
            assert_eq!(client.ended[2], (TOPICS[2].to_owned(), "closed".to_owned()));
            client.net.end_input();
            for topic in TOPICS {
                let _ = hub.directory.delete(&key(topic), deed()).await;
                hub.create(topic).await;
            }
        }
        hub.expect_nothing_left().await;
    });
}

/// A topic that is gone before all have said where the reader starts: the stream begins all the same, and says so.
#[test]
fn what_ends_before_the_stream_begins_is_told_behind_its_beginning() {
    run(async || {
        let (hub, truth) = hub().await;
        let topics = found(&hub).await;
        let home = |topic: &str| usize::try_from(key(topic).stable_hash() % 2).unwrap();
        let (still, other) = (TOPICS[1], TOPICS.into_iter().find(|topic| home(topic) != home(TOPICS[1])));
        let other = other.expect("topics of two workers");
        // The thread of one topic stands still, so that it does not say where its reader starts.
        let (go_on, stand_still) = std::sync::mpsc::channel::<()>();
        let (stands, stood) = std::sync::mpsc::channel::<()>();
        let on = 1 - home(still);
        let mut client = Client::stream(Net::new(0), &hub, &truth, (on, Wire::Sse), topics, None).await;
        client.net.reset();
        hub.workers[home(still)].spawn_fn(move || {
            stands.send(()).expect("the test waits");
            stand_still.recv().expect("the test goes on");
        });
        until("the thread stands still", || stood.try_recv().is_ok()).await;
        let mut topics = Vec::new();
        for topic in TOPICS {
            topics.push((hub.directory.find_awake(&key(topic)).expect("awake"), None));
        }
        client = Client::stream(Net::new(UNLIMITED), &hub, &truth, (on, Wire::Sse), topics, None).await;
        assert_eq!(hub.directory.delete(&key(other), deed()).await, Ok(true));
        hub.on(on, |_| ()).await;
        client.read();
        assert_eq!(client.last_id, None, "nothing is said before all have answered");
        go_on.send(()).unwrap();
        until("it begins", || {
            client.read();
            client.ended == [(other.to_owned(), "deleted".to_owned())]
        })
        .await;
        hub.publish(still, "1").await.unwrap();
        until("it goes on", || client.at(still).is_some_and(|at| at.seq == 1)).await;
    });
}

#[test]
fn thirty_two_topics_have_one_short_id() {
    let keys: Vec<_> = (0..32).map(|n| key(&format!("thread/{n}"))).collect();
    let marks = keys.iter().map(|key| (key, Mark::new(key, tambour_actors::cursor::Incarnation(7))));
    let mut id = Composite::new(marks);
    (0..32).for_each(|index| id.advance(index, u64::MAX));
    assert!(id.to_string().len() <= 1_024);
}
