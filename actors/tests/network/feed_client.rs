//! A client of the feed that believes nothing: places ascend over all of its connections, none comes twice, and every event says
//! where it stands.

use std::sync::Arc;

use serde_json::Value;
use tambour_actors::cursor::Cursor;
use tambour_actors::feed::view::Filter;
use tambour_actors::frame::Wire;
use tambour_actors::log::feed::Position;
use tambour_actors::session::Wanted;
use tambour_actors::topic::state::Start;

use super::hub::{Hub, Rights, Visit, scope};
use super::socket::{Net, UNLIMITED};
use super::wire::{header_bytes, masked, sse_block, ws_frame};

/// Who reads, and what they ask for.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) sub: &'static str,
    pub(crate) rights: Rights,
    pub(crate) types: &'static [&'static str],
    pub(crate) topics: &'static [&'static str],
}

impl Who {
    pub(crate) fn filter(&self) -> Filter {
        Filter::parse(&scope(), self.types, self.topics).unwrap()
    }
}

/// The client, over all of its connections.
pub(crate) struct FeedClient {
    pub(crate) who: Who,
    pub(crate) wire: Wire,
    pub(crate) worker: usize,
    pub(crate) net: Net,
    /// The last id that it was told.
    pub(crate) at: Option<Cursor>,
    /// Every event that came, and its place.
    pub(crate) got: Vec<(Position, Value)>,
    pub(crate) gaps: Vec<Value>,
    pub(crate) errors: Vec<Value>,
    /// Whether its last connection was told where it starts.
    pub(crate) begun: bool,
    /// How often it was told where it stands and nothing else.
    pub(crate) progress: usize,
    pub(crate) ended: Vec<Value>,
    parsed: usize,
}

impl FeedClient {
    pub(crate) async fn open(hub: &Hub, who: Who, worker: usize, wire: Wire, start: Start) -> Self {
        let mut client = Self {
            who,
            wire,
            worker,
            net: Net::new(UNLIMITED),
            at: None,
            got: Vec::new(),
            gaps: Vec::new(),
            errors: Vec::new(),
            begun: false,
            progress: 0,
            ended: Vec::new(),
            parsed: 0,
        };
        client.connect(hub, start).await;
        client
    }

    /// Connects anew.
    pub(crate) async fn connect(&mut self, hub: &Hub, start: Start) {
        (self.net, self.parsed, self.begun) = (Net::new(UNLIMITED), 0, false);
        let (worker, wire, sub, rights) = (self.worker, self.wire, self.who.sub, self.who.rights);
        let mut topics = Vec::new();
        if wire != Wire::Ws {
            let topic = hub.find("feed").await.expect("there is a feed");
            let requested = match start {
                Start::After(cursor) => Some(cursor.to_string()),
                _ => None,
            };
            let filter = Some(Arc::new(self.who.filter()));
            topics.push(Wanted { topic, start, requested, fold: false, filter });
        }
        hub.open(&self.net, Visit { worker, wire, sub, topics, composite: None, rights }).await;
        if wire == Wire::Ws {
            let mut frame = serde_json::json!({"t": "subscribe", "topic": "feed", "ref": 1,
                "types": self.who.types, "topics": self.who.topics});
            match start {
                Start::Head => {}
                Start::Earliest => frame["after"] = "earliest".into(),
                Start::Last(count) => frame["last"] = count.into(),
                Start::After(cursor) => frame["after"] = cursor.to_string().into(),
            }
            self.send(&frame);
        }
    }

    pub(crate) fn send(&self, json: &Value) {
        self.net.send(&masked(0x81, json.to_string().as_bytes()));
    }

    /// Connects anew, behind the last id.
    pub(crate) async fn resume(&mut self, hub: &Hub) {
        self.read();
        let start = self.at.map_or(Start::Earliest, Start::After);
        self.connect(hub, start).await;
    }

    /// Reads what came.
    pub(crate) fn read(&mut self) {
        let bytes = self.net.accepted(self.parsed);
        let mut at = 0;
        while let Some(whole) = if self.wire == Wire::Ws { ws_frame(&bytes[at..]) } else { sse_block(&bytes[at..]) } {
            let frame = &bytes[at..at + whole];
            at += whole;
            if self.wire != Wire::Ws {
                self.block(std::str::from_utf8(frame).expect("SSE is UTF-8"));
            } else if frame[0] == 0x81 {
                let json: Value = serde_json::from_slice(&frame[header_bytes(frame)..]).expect("frames are JSON");
                let kind = json["t"].as_str().expect("every frame has t").to_owned();
                self.told(&kind, &json);
            }
        }
        self.parsed += at;
    }

    fn block(&mut self, text: &str) {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(ToOwned::to_owned);
        let id = field("id: ");
        let Some(data) = field("data: ") else {
            if let Some(id) = id {
                assert_eq!(text, format!("id: {id}\n\n"));
                self.told("progress", &serde_json::json!({"cursor": id}));
            }
            return;
        };
        let json: Value = serde_json::from_str(&data).expect("data is JSON");
        let name = field("event: ").expect("a name");
        match name.as_str() {
            "connected" => {
                assert_eq!(json["topics"], serde_json::json!(["feed"]));
                assert_eq!(id.as_deref(), json["cursor"].as_str());
                self.told("subscribed", &json);
            }
            "gap" => {
                self.told("gap", &json);
                self.at = Some(Cursor::parse(&id.expect("a gap has an id")).unwrap());
            }
            "subscription_ended" | "reconnect" | "refused" => self.told(&name, &json),
            _ => {
                assert_eq!(id.as_deref(), json["feed_id"].as_str());
                self.event(&json);
            }
        }
    }

    fn told(&mut self, kind: &str, json: &Value) {
        let cursor = |name: &str| Cursor::parse(json[name].as_str().expect("a cursor")).expect("a cursor");
        match kind {
            "event" => {
                assert_eq!(json["topic"], "feed");
                self.event(&json["event"]);
            }
            "subscribed" => {
                self.begun = true;
                self.at = Some(cursor("cursor"));
            }
            "progress" => {
                let place = cursor("cursor");
                assert!(self.at.is_some_and(|at| at.mark == place.mark && at.seq < place.seq), "no progress: {json}");
                self.at = Some(place);
                self.progress += 1;
            }
            "gap" => {
                self.gaps.push(json.clone());
                if json["reason"] != "trimmed" {
                    self.at = Some(cursor("newest").mark.at(0));
                    self.got.clear();
                }
            }
            "error" => self.errors.push(json.clone()),
            "subscription_ended" => self.ended.push(json.clone()),
            _ => {}
        }
    }

    fn event(&mut self, json: &Value) {
        let at = self.at.expect("an event comes behind subscribed");
        let place = Cursor::parse(json["feed_id"].as_str().expect("feed_id")).expect("a cursor");
        assert!(self.begun && place.mark == at.mark && place.seq > at.seq, "places ascend: {json} behind {at}");
        self.at = Some(place);
        self.got.push((place.seq, json.clone()));
    }

    /// What came, in short.
    pub(crate) fn seen(&mut self) -> Vec<String> {
        self.read();
        let short = |(_, json): &(Position, Value)| match json["routing"]["thread_id"].as_str() {
            Some(thread) => format!("{thread} {}", json["data"]),
            None => format!("{} {}", json["type"].as_str().unwrap(), json["data"]["topic"].as_str().unwrap_or("-")),
        };
        self.got.iter().map(short).collect()
    }
}
