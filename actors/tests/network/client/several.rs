//! A client of one SSE stream of several topics, which checks every id that it is given.

use serde_json::Value;
use tambour_actors::composite::Composite;
use tambour_actors::directory::TopicHandle;
use tambour_actors::frame::Wire;
use tambour_actors::session::Wanted;
use tambour_actors::topic::state::Start;

use super::{Client, Reading, Truth};
use crate::hub::{Hub, MEMBER, Visit};
use crate::socket::Net;
use crate::view::View;

impl Client {
    /// A client of one SSE stream of several topics, which come in the order of composite ids, each with what the client holds
    /// when it reads folded. Without an id it starts before the oldest events, else behind it.
    pub(crate) async fn stream(
        net: Net,
        hub: &Hub,
        truth: &Truth,
        at: (usize, Wire),
        topics: Vec<(TopicHandle, Option<View>)>,
        last_id: Option<&str>,
    ) -> Self {
        Self::stream_of("alice", net, hub, truth, at, topics, last_id).await
    }

    /// The same for somebody.
    pub(crate) async fn stream_of(
        sub: &'static str,
        net: Net,
        hub: &Hub,
        truth: &Truth,
        (worker, wire): (usize, Wire),
        topics: Vec<(TopicHandle, Option<View>)>,
        last_id: Option<&str>,
    ) -> Self {
        let mut client = Self::new(wire, truth, worker, net);
        let fresh = Composite::new(topics.iter().map(|(topic, _)| (&topic.record.topic.key, topic.record.mark())));
        let id = last_id.map_or_else(|| fresh.clone(), |id| Composite::parse(id).expect("an id of the hub"));
        assert!(id.same_topics(&fresh), "the id is of these topics");
        let mut wanted = Vec::new();
        for (index, (topic, view)) in topics.into_iter().enumerate() {
            let mark = topic.record.mark();
            let start = if last_id.is_some() { id.start(index, mark) } else { Start::Earliest };
            let name = topic.record.topic.key.topic();
            let fold = view.is_some();
            client.readings.insert(name.clone(), Reading { view, ..Reading::new(0, start) });
            client.several.push((name, mark));
            wanted.push(Wanted { topic, start, requested: last_id.map(ToOwned::to_owned), fold, filter: None });
        }
        let composite = Some(Box::new(id));
        hub.open(&client.net, Visit { worker, wire, sub, topics: wanted, composite, rights: MEMBER }).await;
        client
    }

    /// A block of a stream of several topics. Its id says where the client stands in each of them, as the client knows it.
    pub(super) fn one_of_several(&mut self, name: &str, json: &Value, id: Option<String>) {
        match name {
            "connected" => {
                let topics: Vec<_> = self.several.iter().map(|(topic, _)| topic.clone()).collect();
                assert_eq!(json["topics"], serde_json::json!(topics));
                assert_eq!(id.as_deref(), json["cursor"].as_str());
                for (index, (topic, mark)) in self.several.clone().into_iter().enumerate() {
                    let place =
                        |text: &Value| match Composite::parse(text.as_str().unwrap()).unwrap().start(index, mark) {
                            Start::After(cursor) => cursor.to_string(),
                            other => panic!("{other:?}"),
                        };
                    let (cursor, head) = (place(&json["cursor"]), place(&json["head"]));
                    let one = serde_json::json!({"topic": topic, "ref": 0, "cursor": cursor, "head": head});
                    self.told("subscribed", &one);
                }
            }
            "subscription_ended" | "reconnect" | "token_expiring" => {
                assert_eq!(id, None);
                self.told(name, json);
                return;
            }
            "gap" => self.told("gap", json),
            _ => {
                let routing = &json["routing"];
                let thread = routing["thread_id"].as_str().map(|id| format!("thread/{id}"));
                let topic = thread.unwrap_or_else(|| format!("canvas/{}", routing["canvas_id"].as_str().unwrap()));
                self.event(&topic, json);
            }
        }
        let id = Composite::parse(&id.expect("an id")).expect("a composite id");
        for (index, (topic, mark)) in self.several.iter().enumerate() {
            // Of a topic that ended the client holds nothing to compare with.
            let Some(at) = self.readings.get(topic).map(|reading| reading.at.expect("connected")) else { continue };
            let start = id.start(index, *mark);
            // What is folded into what follows is passed without a word.
            let folds = self.readings[topic].view.is_some();
            let passed = matches!(start, Start::After(place) if folds && place.mark == at.mark && place.seq >= at.seq);
            assert!(start == Start::After(at) || passed, "{topic} at {at}, and the id says {start:?}");
        }
        self.last_id = Some(id.to_string());
    }
}
