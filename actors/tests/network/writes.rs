//! What a WebSocket client writes: under keys and expectations, text for events, and in its order.

use serde_json::{Value, json};
use tambour_actors::log::contract::deed;
use tambour_actors::refusal::Code;
use tambour_actors::topic::messages::{Publish, Reply};
use tambour_actors::topic::state::{Start, Write};

use super::client::{Client, Truth};
use super::hub::{Hub, Setup, key, new_event, origin, run, until};
use super::wire::masked;

const TOPIC: &str = "thread/x";

/// Sends a request and waits for its answer.
async fn ask(client: &mut Client, request: &Value) -> Value {
    let reference = request["ref"].clone();
    client.send(request);
    let mut answer = Value::Null;
    until("an answer", || {
        client.read();
        let answers = client.published.iter().chain(&client.errors);
        answer = answers.rev().find(|answer| answer["ref"] == reference).cloned().unwrap_or_default();
        !answer.is_null()
    })
    .await;
    answer
}

#[test]
fn a_key_gives_the_first_answer_again_and_an_expectation_says_where_the_topic_is() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let mark = hub.create(TOPIC).await.mark();
        let mut client = Client::ws(&hub, &truth, 0).await;
        let publish = |reference: u64, data: u64, more: Value| {
            let mut frame = json!({"t": "publish", "topic": TOPIC, "type": "note", "data": data, "ref": reference});
            frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            frame
        };
        let first = ask(&mut client, &publish(1, 1, json!({"idempotency_key": "k", "expect": "empty"}))).await;
        assert_eq!((&first["id"], &first["seq"]), (&json!(mark.at(1).to_string()), &json!(1)), "{first}");
        // The topic has moved on, and whoever repeats may know of it or not.
        let head = ask(&mut client, &publish(2, 2, json!({"expect": mark.at(1).to_string()}))).await["id"].clone();
        for (reference, expect) in [(3, json!("empty")), (4, head.clone())] {
            let again =
                ask(&mut client, &publish(reference, 1, json!({"idempotency_key": "k", "expect": expect}))).await;
            assert_eq!((&again["id"], &again["seq"]), (&first["id"], &first["seq"]), "{again}");
        }
        let other = ask(&mut client, &publish(5, 9, json!({"idempotency_key": "k"}))).await;
        assert_eq!(other["code"], Code::IdempotencyMismatch.as_str(), "{other}");
        let stale = ask(&mut client, &publish(6, 9, json!({"expect": "empty"}))).await;
        assert_eq!((&stale["code"], &stale["head"]), (&json!(Code::ExpectMismatch.as_str()), &head), "{stale}");
        let third = ask(&mut client, &publish(7, 3, json!({"idempotency_key": "l"}))).await;
        assert_eq!(third["seq"], 3, "{third}");
    });
}

#[test]
fn text_is_appended_to_an_event_of_ones_own() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        let mark = hub.create(TOPIC).await.mark();
        let mut client = Client::ws(&hub, &truth, 0).await;
        client.subscribe(TOPIC, Start::Earliest);
        let publish = json!({"t": "publish", "topic": TOPIC, "type": "answer", "data": {}, "ref": "p"});
        let id = ask(&mut client, &publish).await["id"].clone();
        let append = |reference: u64, id: &Value, data: Value| json!({"t": "append", "topic": TOPIC, "event_id": id, "data": data, "ref": reference});
        for (reference, token) in [(1, "a"), (2, "b\n\"")] {
            assert_eq!(ask(&mut client, &append(reference, &id, json!(token))).await["seq"], reference + 1);
        }
        until("the appends", || client.at(TOPIC).is_some_and(|at| at.seq == 3)).await;
        assert_eq!(truth.data(mark.at(3)), Some(json!({"event_id": id, "data": "b\n\""}).to_string()));
        let mut other = Client::ws_of("bob", &hub, &truth, 1).await;
        let refusals = [
            (append(4, &id, json!("mine")), Code::AppendForbidden),
            (append(5, &json!(mark.at(2).to_string()), json!("to an append")), Code::EventUnknown),
            (append(6, &json!(mark.at(9).to_string()), json!("to nothing")), Code::EventUnknown),
            (append(7, &json!("AAAAAAAAAAAAAAAA.1"), json!("elsewhere")), Code::EventUnknown),
            (append(8, &id, json!(1)), Code::AppendNotText),
        ];
        for (request, code) in refusals {
            let refused = ask(&mut other, &request).await;
            assert_eq!(refused["code"], code.as_str(), "{request}: {refused}");
        }
        assert_eq!(ask(&mut client, &append(9, &id, json!("c"))).await["seq"], 4, "nothing else was written");
    });
}

/// The topic of the first publish went to sleep after it was found, and was woken by somebody else.
#[test]
fn publishes_keep_their_order_though_the_topic_slept_between_them() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        let mut client = Client::ws(&hub, &truth, 0).await;
        for round in 0..20 {
            let stale = hub.find(TOPIC).await.unwrap();
            until("the topic sleeps", || {
                (0..2).for_each(|worker| hub.directory.sweep(worker));
                !stale.addr.connected()
            })
            .await;
            hub.find(TOPIC).await.unwrap();
            *hub.stale.lock() = Some(stale);
            let mut frames = Vec::new();
            for number in 2 * round + 1..=2 * round + 2 {
                let frame = json!({"t": "publish", "topic": TOPIC, "type": "note", "data": number, "ref": number});
                frames.extend(masked(0x81, frame.to_string().as_bytes()));
            }
            // Both at once, so that the second is there when the first finds nobody.
            client.net.send(&frames);
            until("both are answered", || {
                client.read();
                client.published.len() == 2 * round + 2
            })
            .await;
        }
        for published in &client.published {
            assert_eq!(published["seq"], published["ref"], "publishes overtook each other");
        }
    });
}

/// What was admitted for one topic is not written to another that was made under its name.
#[test]
fn a_publish_never_reaches_a_topic_made_anew() {
    run(async || {
        let hub = Hub::start(Setup::default()).await;
        let truth = Truth::of(&hub);
        hub.create(TOPIC).await;
        let stale = hub.find(TOPIC).await.unwrap();
        assert_eq!(hub.directory.delete(&key(TOPIC), deed()).await, Ok(true));
        until("the topic is gone", || !stale.addr.connected()).await;
        hub.create(TOPIC).await;
        let mut client = Client::ws(&hub, &truth, 0).await;
        let publish = |reference: u64| json!({"t": "publish", "topic": TOPIC, "type": "note", "data": reference, "ref": reference});
        *hub.stale.lock() = Some(stale.clone());
        assert_eq!(ask(&mut client, &publish(1)).await["code"], Code::TopicUnknown.as_str());
        let (answer, answered) = tokio::sync::oneshot::channel();
        let reply = Reply::new(move |result| drop(answer.send(result)));
        let write = Write::events(vec![new_event("2")]);
        hub.directory.publish_now(&stale, Publish { write, origin: origin("alice"), reply });
        assert_eq!(answered.await.unwrap().unwrap_err().code, Code::TopicUnknown);
        assert_eq!(ask(&mut client, &publish(3)).await["seq"], 1);
    });
}
