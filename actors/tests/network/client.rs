//! A client that believes nothing: it parses every byte that the hub wrote and fails at the first
//! event that is missing, doubled, swapped, of another topic, or behind a gap that was not true.

mod own;
mod several;
mod truth;

use std::collections::HashMap;

use serde_json::Value;
use tambour_actors::cursor::{Cursor, Mark};
use tambour_actors::frame::Wire;
use tambour_actors::session::Wanted;
use tambour_actors::topic::state::Start;

pub(crate) use self::truth::Truth;
use super::hub::{Hub, MEMBER, Visit, key};
use super::socket::Net;
use super::view::{self, View};
use super::wire::{header_bytes, masked, sse_block, ws_frame};

/// A subscription as the client knows it.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    reference: u64,
    start: Start,
    /// Where the reader stands, once the hub has said so.
    pub(crate) at: Option<Cursor>,
    /// How many events came.
    pub(crate) events: usize,
    /// What a reader holds who reads folded.
    pub(crate) view: Option<View>,
}

impl Reading {
    fn new(reference: u64, start: Start) -> Self {
        Self { reference, start, at: None, events: 0, view: None }
    }
}

/// The client.
pub(crate) struct Client {
    pub(crate) net: Net,
    pub(crate) wire: Wire,
    pub(crate) worker: usize,
    pub(crate) readings: HashMap<String, Reading>,
    /// Topics that ended, and why.
    pub(crate) ended: Vec<(String, String)>,
    pub(crate) gaps: Vec<Value>,
    pub(crate) errors: Vec<Value>,
    pub(crate) published: Vec<Value>,
    pub(crate) reconnects: usize,
    pub(crate) pings: usize,
    /// The code of the close frame.
    pub(crate) close_code: Option<u16>,
    truth: Truth,
    parsed: usize,
    references: u64,
    unsubscribes: HashMap<u64, String>,
    own: own::Own,
    sole: Option<String>,
    /// The topics of a stream of several, in order, each with the mark that it had when the stream was opened.
    several: Vec<(String, Mark)>,
    /// The last id that an `EventSource` would come back with.
    pub(crate) last_id: Option<String>,
}

impl Client {
    /// A client of no topic yet.
    pub(crate) async fn ws(hub: &Hub, truth: &Truth, worker: usize) -> Self {
        Self::ws_of("alice", hub, truth, worker).await
    }

    /// The same for somebody.
    pub(crate) async fn ws_of(sub: &'static str, hub: &Hub, truth: &Truth, worker: usize) -> Self {
        let client = Self::new(Wire::Ws, truth, worker, Net::new(super::socket::UNLIMITED));
        hub.open(
            &client.net,
            Visit { worker, wire: Wire::Ws, sub, topics: Vec::new(), composite: None, rights: MEMBER },
        )
        .await;
        client
    }

    /// A client of one topic. `None`: there is no such topic.
    pub(crate) async fn of(
        hub: &Hub,
        truth: &Truth,
        worker: usize,
        wire: Wire,
        topic: &str,
        start: Start,
    ) -> Option<Self> {
        Self::through(Net::new(super::socket::UNLIMITED), hub, truth, (worker, wire), topic, start).await
    }

    /// The same through a connection of the test's making.
    pub(crate) async fn through(
        net: Net,
        hub: &Hub,
        truth: &Truth,
        (worker, wire): (usize, Wire),
        topic: &str,
        start: Start,
    ) -> Option<Self> {
        Self::folding(net, hub, truth, (worker, wire), topic, (start, None)).await
    }

    /// The same, folded: with what the client holds already.
    pub(crate) async fn folding(
        net: Net,
        hub: &Hub,
        truth: &Truth,
        (worker, wire): (usize, Wire),
        topic: &str,
        (start, view): (Start, Option<View>),
    ) -> Option<Self> {
        Self::one("alice", net, hub, truth, (worker, wire), topic, (start, view)).await
    }

    /// A client of one topic from its oldest event on, of somebody.
    pub(crate) async fn as_sub(
        sub: &'static str,
        net: Net,
        hub: &Hub,
        truth: &Truth,
        at: (usize, Wire),
        topic: &str,
    ) -> Self {
        Self::one(sub, net, hub, truth, at, topic, (Start::Earliest, None)).await.expect("the topic exists")
    }

    async fn one(
        sub: &'static str,
        net: Net,
        hub: &Hub,
        truth: &Truth,
        (worker, wire): (usize, Wire),
        topic: &str,
        (start, view): (Start, Option<View>),
    ) -> Option<Self> {
        let mut client = Self::new(wire, truth, worker, net);
        let fold = view.is_some();
        client.readings.insert(topic.into(), Reading { view, ..Reading::new(0, start) });
        client.sole = Some(topic.into());
        let wanted = Wanted { topic: hub.find(topic).await?, start, requested: requested(start), fold, filter: None };
        hub.open(&client.net, Visit { worker, wire, sub, topics: vec![wanted], composite: None, rights: MEMBER }).await;
        Some(client)
    }

    fn new(wire: Wire, truth: &Truth, worker: usize, net: Net) -> Self {
        Self {
            net,
            wire,
            worker,
            readings: HashMap::new(),
            ended: Vec::new(),
            gaps: Vec::new(),
            errors: Vec::new(),
            published: Vec::new(),
            reconnects: 0,
            pings: 0,
            close_code: None,
            truth: truth.clone(),
            parsed: 0,
            references: 0,
            unsubscribes: HashMap::new(),
            own: own::Own::default(),
            sole: None,
            several: Vec::new(),
            last_id: None,
        }
    }

    /// Sends a text frame.
    pub(crate) fn send(&self, json: &Value) {
        self.net.send(&masked(0x81, json.to_string().as_bytes()));
    }

    /// The test sends the subscribe itself, with this `ref`.
    pub(crate) fn expect(&mut self, topic: &str, start: Start, reference: u64) {
        self.readings.insert(topic.into(), Reading::new(reference, start));
    }

    pub(crate) fn subscribe(&mut self, topic: &str, start: Start) {
        self.subscribe_with(topic, start, None);
    }

    /// The same, folded: with what the client holds already.
    pub(crate) fn subscribe_with(&mut self, topic: &str, start: Start, view: Option<View>) {
        self.references += 1;
        let mut frame = serde_json::json!({"t": "subscribe", "topic": topic, "ref": self.references});
        match start {
            Start::Head => {}
            Start::Earliest => frame["after"] = "earliest".into(),
            Start::Last(count) => frame["last"] = count.into(),
            Start::After(cursor) => frame["after"] = cursor.to_string().into(),
        }
        if view.is_some() {
            frame["fold"] = true.into();
        }
        self.send(&frame);
        let reading = Reading { view, ..Reading::new(self.references, start) };
        assert!(self.readings.insert(topic.into(), reading).is_none(), "the test subscribes once at a time");
    }

    pub(crate) fn unsubscribe(&mut self, topic: &str) {
        // Events may come until it is answered; they are checked as those of a reader of before.
        self.references += 1;
        self.unsubscribes.insert(self.references, topic.into());
        self.send(&serde_json::json!({"t": "unsubscribe", "topic": topic, "ref": self.references}));
        if let Some(reading) = self.readings.remove(topic) {
            self.readings.insert(format!("{topic} left"), reading);
        }
    }

    /// The one topic that the connection is for, if it is for one.
    pub(crate) fn sole(&self) -> Option<&str> {
        self.sole.as_deref()
    }

    /// The bytes that came and were not looked at yet.
    fn fresh(&self) -> Vec<u8> {
        self.net.accepted(self.parsed)
    }

    /// Whether the hub's side has ended; then all that it wrote was read.
    pub(crate) fn finished(&mut self) -> bool {
        // Asked before the rest is read: what comes in between may be the last.
        let finished = self.net.finished();
        self.read();
        finished
    }

    /// Reads what came.
    pub(crate) fn read(&mut self) {
        let bytes = self.fresh();
        let mut at = 0;
        while let Some(whole) = match self.wire {
            Wire::Ws => ws_frame(&bytes[at..]),
            Wire::Sse | Wire::SseUnnamed => sse_block(&bytes[at..]),
        } {
            let frame = bytes[at..at + whole].to_vec();
            at += whole;
            match self.wire {
                Wire::Ws => self.frame(&frame),
                Wire::Sse | Wire::SseUnnamed => self.block(&frame),
            }
        }
        self.parsed += at;
    }

    fn frame(&mut self, frame: &[u8]) {
        let payload = &frame[header_bytes(frame)..];
        match frame[0] {
            0x81 => {
                let json: Value = serde_json::from_slice(payload).expect("frames are JSON");
                let kind = json["t"].as_str().expect("every frame has t").to_owned();
                self.told(&kind, &json);
            }
            0x88 => self.close_code = Some(u16::from_be_bytes([payload[0], payload[1]])),
            0x89 => self.pings += 1,
            0x8a => {}
            other => panic!("a frame of kind {other:#x}"),
        }
    }

    fn block(&mut self, block: &[u8]) {
        let text = std::str::from_utf8(block).expect("SSE is UTF-8");
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(ToOwned::to_owned);
        let Some(data) = field("data: ") else { return };
        let mut json: Value = serde_json::from_str(&data).expect("data is JSON");
        let name = match self.wire {
            Wire::SseUnnamed => {
                assert_eq!(field("event: "), None, "nothing has a name: {text}");
                json["t"].as_str().or(json["type"].as_str()).expect("what it is").to_owned()
            }
            _ => field("event: ").expect("a name"),
        };
        let id = field("id: ");
        if !self.several.is_empty() {
            self.one_of_several(&name, &json, id);
            return;
        }
        let topic = self.sole.clone().expect("SSE has one topic");
        match name.as_str() {
            "connected" => {
                json["topic"] = topic.into();
                json["ref"] = 0.into();
                assert_eq!(id.as_deref(), json["cursor"].as_str());
                self.told("subscribed", &json);
            }
            "gap" | "subscription_ended" | "reconnect" | "token_expiring" => self.told(&name, &json),
            _ => {
                assert_eq!(id.as_deref(), view::place(&json).as_str());
                self.event(&topic, &json);
                if name == "closed" {
                    self.end(&topic, "closed");
                }
            }
        }
    }

    fn told(&mut self, kind: &str, json: &Value) {
        let topic = json["topic"].as_str().unwrap_or_default().to_owned();
        match kind {
            "event" => self.event(&topic, &json["event"]),
            "subscribed" => self.subscribed(&topic, json),
            "unsubscribed" => assert!(self.readings.remove(&format!("{topic} left")).is_some()),
            "gap" => self.gap(&topic, json),
            "subscription_ended" => self.end(&topic, json["reason"].as_str().unwrap()),
            "error" => self.refused(json),
            "published" => {
                self.check_own(json);
                self.published.push(json.clone());
            }
            "reconnect" => self.reconnects += 1,
            _ => {}
        }
    }

    fn end(&mut self, topic: &str, reason: &str) {
        self.ended.push((topic.into(), reason.into()));
        if self.readings.remove(&format!("{topic} left")).is_none() {
            self.readings.remove(topic);
        }
    }

    /// A subscription that was refused is none; one that ended can't be left any more.
    fn refused(&mut self, json: &Value) {
        self.errors.push(json.clone());
        let Some(reference) = json["ref"].as_u64() else { return };
        self.own.refused(reference);
        match self.unsubscribes.remove(&reference) {
            Some(topic) => drop(self.readings.remove(&format!("{topic} left"))),
            // One that was left before it began is refused first, and then left.
            None => self.readings.retain(|name, reading| reading.reference != reference || name.ends_with(" left")),
        }
    }

    /// The reading that bytes of a topic are for: one that was left until the hub says so.
    fn reading(&mut self, topic: &str) -> &mut Reading {
        let left = format!("{topic} left");
        let name = if self.readings.contains_key(&left) { &left } else { topic };
        self.readings.get_mut(name).unwrap_or_else(|| panic!("something of {topic}, which nobody reads"))
    }

    fn subscribed(&mut self, topic: &str, json: &Value) {
        let cursor = parse(&json["cursor"]);
        let head = parse(&json["head"]);
        let truth = self.truth.clone();
        let sole = self.sole.is_some() || !self.several.is_empty();
        let reading = self.reading(topic);
        let reference = json["ref"].as_u64().unwrap_or(0);
        assert!(sole || reference == reading.reference, "an answer to another request: {json}");
        assert!(reading.at.is_none(), "subscribed twice: {json}");
        match reading.start {
            Start::Head => assert_eq!(cursor, head, "starts at the head"),
            Start::Earliest => assert!(cursor.seq <= truth.trimmed(cursor.mark), "starts at the oldest: {json}"),
            Start::Last(count) => assert!(cursor.seq <= head.seq.saturating_sub(count).max(truth.trimmed(cursor.mark))),
            Start::After(asked) => assert_eq!(cursor, asked, "starts where it was asked to"),
        }
        reading.at = Some(cursor);
        self.own.began(reference, head);
    }

    fn gap(&mut self, topic: &str, json: &Value) {
        self.gaps.push(json.clone());
        let oldest = parse(&json["oldest"]);
        let truth = self.truth.clone();
        let reading = self.reading(topic);
        let at = reading.at.expect("a gap comes behind subscribed");
        match json["reason"].as_str().unwrap() {
            "trimmed" => {
                assert_eq!(at.mark, oldest.mark, "trimmed is told of one log: {json}");
                assert!(oldest.seq > at.seq + 1, "a gap that misses nothing: {json}, at {at}");
                assert!(oldest.seq <= truth.trimmed(at.mark) + 1, "a gap over what is kept: {json}, at {at}");
            }
            "reset" => assert!(at.mark != oldest.mark && at.mark.same_topic(&oldest.mark), "not reset: {json}"),
            "unknown" => assert!(at.mark != oldest.mark || parse(&json["newest"]).seq < at.seq, "known: {json}"),
            other => panic!("a gap because of {other}"),
        }
        reading.at = Some(oldest.mark.at(oldest.seq - 1));
        if let Some(view) = &mut reading.view {
            view.begin_behind(oldest.seq - 1);
        }
    }

    fn event(&mut self, topic: &str, json: &Value) {
        let id = parse(&json["id"]);
        let data = json["data"].to_string();
        assert!(
            id.mark.same_topic(&Mark::new(&key(topic), tambour_actors::cursor::Incarnation(0))),
            "of {topic}: {json}"
        );
        if json["redacted"] != true && json.get("fold").is_none() {
            let first = self.truth.seen.lock().entry(id).or_insert_with(|| data.clone()).clone();
            assert_eq!(first, data, "two readers see the same event");
        }
        let reading = self.reading(topic);
        let at = reading.at.unwrap_or_else(|| panic!("an event before subscribed: {json}"));
        reading.events += 1;
        if let Some(view) = &mut reading.view {
            assert_eq!(id.mark, at.mark, "of this life of {topic}: {json}");
            reading.at = Some(id.mark.at(view.take(json)));
            return;
        }
        assert_eq!((id.mark, id.seq), (at.mark, at.seq + 1), "the next event of {topic}, behind {at}");
        assert!(json.get("fold").is_none(), "folded for who did not ask: {json}");
        reading.at = Some(id);
    }

    /// Where the reader of a topic stands.
    pub(crate) fn at(&mut self, topic: &str) -> Option<Cursor> {
        self.read();
        self.readings.get(topic).and_then(|reading| reading.at)
    }
}

fn parse(cursor: &Value) -> Cursor {
    Cursor::parse(cursor.as_str().unwrap()).unwrap()
}

fn requested(start: Start) -> Option<String> {
    match start {
        Start::After(cursor) => Some(cursor.to_string()),
        _ => None,
    }
}
