//! Who may not read a topic any more is told so, gets nothing more of it, and goes on with everything else.

use serde_json::json;
use tambour_actors::frame::Wire;
use tambour_actors::log::contract::deed;
use tambour_actors::log::{Member, TopicChange, Visibility};
use tambour_actors::refusal::Code;
use tambour_actors::session::Wanted;
use tambour_actors::topic::state::Start;

use super::client::{Client, Truth};
use super::hub::{Hub, MEMBER, Setup, Visit, key, run, until};
use super::socket::{Net, UNLIMITED};

const TOPICS: [&str; 2] = ["thread/a", "thread/b"];

async fn hub() -> (Hub, Truth) {
    let hub = Hub::start(Setup::default()).await;
    for topic in TOPICS {
        hub.create(topic).await;
    }
    let truth = Truth::of(&hub);
    (hub, truth)
}

async fn change(hub: &Hub, topic: &str, change: TopicChange) {
    hub.directory.change(&key(topic), change, deed()).await.expect("the store answers").expect("the topic exists");
}

/// Carol is let in, and everybody else but its creator is not.
async fn shut(hub: &Hub, topic: &str) {
    let carol = Member { sub: "carol".into(), can_write: false };
    change(hub, topic, TopicChange { put_member: Some(carol), ..TopicChange::default() }).await;
    change(hub, topic, TopicChange { visibility: Some(Visibility::Private), ..TopicChange::default() }).await;
}

async fn subscribed(client: &mut Client, topic: &str) {
    client.subscribe(topic, Start::Earliest);
    until("subscribed", || client.at(topic).is_some()).await;
}

async fn told(client: &mut Client, topic: &str) {
    until("told", || {
        client.read();
        client.ended == [(topic.to_owned(), "forbidden".to_owned())]
    })
    .await;
}

async fn reaches(client: &mut Client, topic: &str, seq: u64) {
    until(&format!("{topic} at {seq}"), || client.at(topic).is_some_and(|at| at.seq == seq)).await;
}

#[test]
fn who_may_not_read_any_more_goes_on_with_the_rest_and_who_may_with_all() {
    run(async || {
        let (hub, truth) = hub().await;
        let mut clients = Vec::new();
        for (worker, sub) in [(0, "bob"), (1, "carol"), (0, "alice")] {
            let mut client = Client::ws_of(sub, &hub, &truth, worker).await;
            for topic in TOPICS {
                subscribed(&mut client, topic).await;
            }
            clients.push(client);
        }
        hub.publish("thread/a", "1").await.unwrap();
        for client in &mut clients {
            reaches(client, "thread/a", 1).await;
        }
        // One whose socket is full is told behind what it has begun to read.
        clients[0].net.stall();
        hub.publish("thread/a", "2").await.unwrap();
        shut(&hub, "thread/a").await;
        hub.publish("thread/a", "3").await.unwrap();
        clients[0].net.make_room(UNLIMITED);
        told(&mut clients[0], "thread/a").await;
        for topic in TOPICS {
            hub.publish(topic, "4").await.unwrap();
        }
        for client in &mut clients[1..] {
            reaches(client, "thread/a", 4).await;
            assert!(client.ended.is_empty());
        }
        // Whatever came of the other topic would fail the client, who reads it no more.
        for client in &mut clients {
            reaches(client, "thread/b", 1).await;
            client.net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn a_session_of_one_topic_ends() {
    run(async || {
        for wire in [Wire::Ws, Wire::Sse] {
            let (hub, truth) = hub().await;
            let mut client = Client::as_sub("bob", Net::new(UNLIMITED), &hub, &truth, (0, wire), "thread/a").await;
            until("subscribed", || client.at("thread/a").is_some()).await;
            shut(&hub, "thread/a").await;
            told(&mut client, "thread/a").await;
            until("the end", || client.finished()).await;
            client.read();
            assert_eq!(client.close_code, (wire == Wire::Ws).then_some(4403));
            client.net.end_input();
            hub.expect_nothing_left().await;
        }
    });
}

/// The answer to a subscribe is on its way while the right to read goes.
#[test]
fn a_subscribe_that_is_pending_is_answered() {
    run(async || {
        let (hub, truth) = hub().await;
        hub.find("thread/a").await.unwrap();
        let home = usize::try_from(key("thread/a").stable_hash() % 2).unwrap();
        let mut client = Client::ws_of("bob", &hub, &truth, 1 - home).await;
        let (go_on, stand_still) = std::sync::mpsc::channel::<()>();
        let (stands, stood) = std::sync::mpsc::channel::<()>();
        hub.workers[home].spawn_fn(move || {
            stands.send(()).expect("the test waits");
            stand_still.recv().expect("the test goes on");
        });
        until("the thread stands still", || stood.try_recv().is_ok()).await;
        client.subscribe("thread/a", Start::Earliest);
        // Behind the subscribe, by whoever carries out both in order.
        client.send(&json!({"t": "ping"}));
        until("it was carried out", || client.net.accepted(0).windows(6).any(|bytes| bytes == b"\"pong\"")).await;
        shut(&hub, "thread/a").await;
        until("refused", || {
            client.read();
            client.errors.len() == 1
        })
        .await;
        assert_eq!(
            (&client.errors[0]["code"], &client.errors[0]["ref"]),
            (&json!(Code::Forbidden.as_str()), &json!(1))
        );
        go_on.send(()).unwrap();
        hub.publish("thread/a", "1").await.unwrap();
        subscribed(&mut client, "thread/b").await;
        hub.publish("thread/b", "1").await.unwrap();
        reaches(&mut client, "thread/b", 1).await;
        assert!(client.ended.is_empty());
        client.net.end_input();
        hub.expect_nothing_left().await;
    });
}

/// Somebody was let in by what was known of the topic a moment ago.
#[test]
fn an_admission_that_is_out_of_date_is_found_out() {
    run(async || {
        let (hub, truth) = hub().await;
        let stale = hub.find("thread/a").await.unwrap();
        shut(&hub, "thread/a").await;
        let mut client = Client::ws_of("bob", &hub, &truth, 0).await;
        *hub.stale.lock() = Some(stale.clone());
        client.subscribe("thread/a", Start::Earliest);
        until("refused", || {
            client.read();
            client.errors.len() == 1
        })
        .await;
        assert_eq!(client.errors[0]["code"], Code::Forbidden.as_str());
        // The same over a stream, which was admitted before its socket was handed over.
        let net = Net::new(UNLIMITED);
        let wanted = Wanted { topic: stale, start: Start::Earliest, requested: None, fold: false, filter: None };
        let visit =
            Visit { worker: 1, wire: Wire::Sse, sub: "bob", topics: vec![wanted], composite: None, rights: MEMBER };
        hub.open(&net, visit).await;
        until("the end", || net.finished()).await;
        hub.publish("thread/a", "1").await.unwrap();
        let text = String::from_utf8(net.accepted(0)).unwrap();
        assert_eq!(text.matches("event: ").count(), 1, "{text}");
        assert!(text.contains("event: subscription_ended\ndata: {\"reason\":\"forbidden\""), "{text}");
        for net in [client.net, net] {
            net.end_input();
        }
        hub.expect_nothing_left().await;
    });
}

#[test]
fn a_stream_of_several_goes_on_without_the_one() {
    run(async || {
        let (hub, truth) = hub().await;
        let mut topics = Vec::new();
        for topic in TOPICS {
            topics.push((hub.find(topic).await.unwrap(), None));
        }
        let at = (0, Wire::Sse);
        let mut client = Client::stream_of("bob", Net::new(UNLIMITED), &hub, &truth, at, topics, None).await;
        until("connected", || client.at("thread/a").is_some()).await;
        shut(&hub, "thread/a").await;
        told(&mut client, "thread/a").await;
        for topic in TOPICS {
            hub.publish(topic, "1").await.unwrap();
        }
        reaches(&mut client, "thread/b", 1).await;
        assert!(!client.net.finished());
        change(&hub, "thread/b", TopicChange { visibility: Some(Visibility::Private), ..TopicChange::default() }).await;
        until("the end", || client.finished()).await;
        client.net.end_input();
        hub.expect_nothing_left().await;
    });
}

/// Rights come from the role, too, and the role from the token.
#[test]
fn a_renewal_with_a_lesser_role_is_a_change() {
    run(async || {
        let (hub, truth) = hub().await;
        let mut client = Client::ws_of("bob", &hub, &truth, 0).await;
        client.send(&json!({"t": "auth", "token": "admin"}));
        for topic in TOPICS {
            subscribed(&mut client, topic).await;
        }
        shut(&hub, "thread/a").await;
        hub.publish("thread/a", "1").await.unwrap();
        reaches(&mut client, "thread/a", 1).await;
        client.send(&json!({"t": "auth", "token": "member"}));
        told(&mut client, "thread/a").await;
        for topic in TOPICS {
            hub.publish(topic, "2").await.unwrap();
        }
        reaches(&mut client, "thread/b", 1).await;
    });
}
