//! Any interleaving of appends to several events with readers that drop, come back, stall and are slow, topics that
//! sleep and die, trims and redactions: folding readers end with what was written, plain ones see each append once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::json;
use tambour_actors::event::{Event, EventType, NewEvent, Seq};
use tambour_actors::frame::Wire;
use tambour_actors::log::{Class, EventLog as _, PageLimit, TopicRecord};
use tambour_actors::refusal::Refusal;
use tambour_actors::topic::messages::Sleep;
use tambour_actors::topic::state::{Published, Start, What, Write};
use tokio::sync::oneshot;

use super::client::{Client, Truth};
use super::hub::{BOMB, Hub, PATIENCE, Setup, key, new_event, run};
use super::random::{Random, seeded};
use super::socket::{Net, UNLIMITED};
use super::view::View;

const STEPS: usize = 350;
const TOPICS: [&str; 2] = ["thread/a", "canvas/b"];
const WIRES: [Wire; 3] = [Wire::Ws, Wire::Sse, Wire::SseUnnamed];

/// What was ever in a topic's log.
struct Written {
    record: TopicRecord,
    /// By seq: of which event it is text, and which.
    events: BTreeMap<Seq, (Option<Seq>, String)>,
    redacted: BTreeSet<Seq>,
    /// What can have text.
    notes: Vec<Seq>,
}

struct Reader {
    client: Client,
    topic: usize,
    folds: bool,
    /// Whether it began with the oldest event.
    complete: bool,
    start: Start,
}

struct Chaos {
    hub: Hub,
    truth: Truth,
    random: Random,
    written: Vec<Written>,
    readers: Vec<Reader>,
    answers: Vec<oneshot::Receiver<Result<Published, Refusal>>>,
    number: usize,
}

impl Chaos {
    async fn new(seed: u64) -> Self {
        let mut setup = Setup { workers: 1 + usize::try_from(seed % 2).unwrap(), ..Setup::default() };
        setup.limits.tail_events = 4;
        setup.limits.delivery_bytes = 700;
        let hub = Hub::start(setup).await;
        let mut written = Vec::new();
        for topic in TOPICS {
            let record = hub.create(topic).await;
            let (events, redacted, notes) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
            written.push(Written { record, events, redacted, notes });
        }
        let truth = Truth::of(&hub);
        Self { hub, truth, random: Random(seed), written, readers: Vec::new(), answers: Vec::new(), number: 0 }
    }

    /// Looks at the log, before something is taken from it.
    async fn observe(&mut self, topic: usize) {
        let written = &mut self.written[topic];
        let after = written.events.keys().next_back().copied().unwrap_or(0);
        let all = PageLimit { events: usize::MAX, bytes: usize::MAX };
        let page = self.hub.log.memory.read(written.record.log, after, all).await.unwrap();
        for Event { seq, kind, data, target, .. } in page.events {
            match kind.as_str() {
                "append" => {
                    let text = serde_json::from_slice(&data).unwrap_or_default();
                    written.events.insert(seq, (target, text));
                }
                "redacted" => {
                    written.redacted.extend(target);
                    written.events.insert(seq, (None, String::new()));
                }
                _ => {
                    written.notes.push(seq);
                    written.events.insert(seq, (None, String::new()));
                }
            }
        }
    }

    async fn write(&mut self) {
        let topic = self.random.below(TOPICS.len());
        self.observe(topic).await;
        let recent = self.written[topic].notes.len().saturating_sub(4);
        let targets = self.written[topic].notes[recent..].to_vec();
        let mut events = Vec::new();
        for _ in 0..=self.random.below(4) {
            self.number += 1;
            if targets.is_empty() || self.random.below(5) == 0 {
                let large = if self.random.below(4) == 0 { 25_000 } else { 10 };
                events.push(new_event(&format!("\"{}{}\"", self.number, "x".repeat(large))));
            } else {
                let data = json!(format!("{}\n", self.number)).to_string().into();
                let target = Some(*self.random.pick(&targets));
                events.push(NewEvent { kind: EventType::append(), data, target });
            }
        }
        self.answers.push(self.hub.write(TOPICS[topic], Write::events(events)).await);
    }

    async fn connect(&mut self) {
        let topic = self.random.below(TOPICS.len());
        let folds = self.random.below(3) > 0;
        let (start, complete) = match self.random.below(6) {
            0 => (Start::Head, false),
            1 => (Start::Last(self.random.below(9) as u64), false),
            _ => (Start::Earliest, true),
        };
        let client = self.client(topic, folds.then(View::default), start).await;
        self.readers.push(Reader { client, topic, folds, complete, start });
    }

    async fn client(&mut self, topic: usize, view: Option<View>, start: Start) -> Client {
        let (wire, worker) = (*self.random.pick(&WIRES), self.random.below(self.hub.workers.len()));
        if wire == Wire::Ws && self.random.below(2) == 0 {
            let mut client = Client::ws(&self.hub, &self.truth, worker).await;
            client.subscribe_with(TOPICS[topic], start, view);
            return client;
        }
        let room = if self.random.below(2) == 0 { UNLIMITED } else { self.random.below(3_000) };
        let at = (worker, wire);
        Client::folding(Net::new(room), &self.hub, &self.truth, at, TOPICS[topic], (start, view)).await.unwrap()
    }

    /// The connection breaks wherever it is, and its reader comes back with what they hold.
    async fn come_back(&mut self, place: usize) {
        let reader = &mut self.readers[place];
        let Reader { client, topic, folds, complete, start } = reader;
        client.net.reset();
        client.read();
        let reading = client.readings[TOPICS[*topic]].clone();
        let (topic, folds, complete) = (*topic, *folds, *complete);
        // Who was told nothing yet asks for the same again.
        let start = reading.at.map_or(*start, Start::After);
        let client = self.client(topic, reading.view, start).await;
        self.readers[place] = Reader { client, topic, folds, complete, start };
    }

    async fn disturb(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let place = self.random.below(self.readers.len());
        let room = self.random.below(4_000);
        let client = &mut self.readers[place].client;
        match self.random.below(9) {
            0 | 1 => self.come_back(place).await,
            2 | 3 => client.net.stall(),
            4..=6 => client.net.make_room(room),
            7 => client.net.make_room(UNLIMITED),
            _ => client.read(),
        }
        if self.readers[place].client.net.closed() {
            self.come_back(place).await;
        }
    }

    async fn shake(&mut self) {
        let topic = self.random.below(TOPICS.len());
        let log = self.written[topic].record.log;
        self.observe(topic).await;
        match self.random.below(12) {
            0 => {
                if let Some(handle) = self.hub.directory.find_awake(&key(TOPICS[topic])) {
                    handle.addr.do_send(Sleep { consent: Box::new(|| panic!("{BOMB}")) });
                }
            }
            1 => self.hub.log.poison(log),
            2 => {
                let head = self.hub.log.bounds(log).await.unwrap().head;
                let seq = self.random.below(usize::try_from(head).unwrap() + 1) as u64;
                self.hub.trim(&self.written[topic].record, seq.saturating_sub(10));
            }
            3 if !self.written[topic].notes.is_empty() => {
                let target = *self.random.pick(&self.written[topic].notes);
                self.answers.push(self.hub.write(TOPICS[topic], What::Redact(target, Class::Relief).into()).await);
            }
            4 => self.hub.log.hold_reads(),
            5 => self.hub.log.hold_appends(),
            6..=8 => self.hub.log.release(),
            _ => (0..self.hub.workers.len()).for_each(|worker| self.hub.directory.sweep(worker)),
        }
    }

    async fn step(&mut self) {
        match self.random.below(20) {
            0 => self.connect().await,
            1..=8 => self.write().await,
            9..=14 => self.disturb().await,
            15..=17 => self.shake().await,
            _ => tokio::time::sleep(Duration::from_micros(self.random.below(800) as u64)).await,
        }
        self.readers.iter_mut().for_each(|reader| reader.client.read());
    }

    async fn settle(&mut self) {
        self.hub.log.release();
        for answer in self.answers.drain(..) {
            tokio::time::timeout(PATIENCE, answer)
                .await
                .expect("a writer waits for ever")
                .expect("every writer is answered")
                .ok();
        }
        for place in 0..self.readers.len() {
            self.readers[place].client.net.make_room(UNLIMITED);
        }
        let deadline = Instant::now() + PATIENCE;
        for place in 0..self.readers.len() {
            let topic = self.readers[place].topic;
            let head = self.hub.log.bounds(self.written[topic].record.log).await.unwrap().head;
            while self.readers[place].client.at(TOPICS[topic]).is_none_or(|at| at.seq < head) {
                let reader = &self.readers[place];
                let reading = &reader.client.readings[TOPICS[topic]];
                assert!(Instant::now() < deadline, "{:?} stands at {:?} of {head}", reader.client.wire, reading.at);
                if reader.client.net.closed() {
                    self.come_back(place).await;
                    self.readers[place].client.net.make_room(UNLIMITED);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        for topic in 0..TOPICS.len() {
            self.observe(topic).await;
            let oldest = self.hub.log.bounds(self.written[topic].record.log).await.unwrap().oldest;
            for reader in self.readers.iter().filter(|reader| reader.topic == topic && reader.folds) {
                check(reader, &self.written[topic], oldest);
            }
        }
        self.readers.iter().for_each(|reader| reader.client.net.end_input());
        self.hub.expect_nothing_left().await;
    }
}

fn check(reader: &Reader, written: &Written, oldest: Seq) {
    let view = reader.client.readings[TOPICS[reader.topic]].view.as_ref().expect("who folds has a view");
    let text = |target: Seq| -> String {
        let appends = written.events.values().filter(|(of, _)| *of == Some(target));
        appends.map(|(_, text)| text.as_str()).collect()
    };
    for (seq, seen) in &view.events {
        let redacted = written.redacted.contains(seq);
        let whole = if redacted { String::new() } else { text(*seq) };
        if *seq >= oldest && (seen.known || reader.complete) {
            assert_eq!((seen.text.as_str(), seen.redacted), (whole.as_str(), redacted), "{seq}");
        } else if !redacted {
            // Of what was trimmed while it was read, or began before the reader, a part: in order, and nothing twice.
            let mut tokens = whole.lines();
            let part = seen.text.lines().all(|token| tokens.any(|other| other == token));
            assert!(part, "{seq}: {:?} is no part of {whole:?}", seen.text);
        }
    }
    let kept = written.notes.iter().filter(|seq| **seq >= oldest);
    for seq in kept.filter(|_| reader.complete) {
        assert!(view.events.get(seq).is_some_and(|seen| seen.known), "{seq} was never told");
    }
}

#[test]
fn folding_readers_end_with_what_was_written() {
    seeded(|seed| {
        run(async move || {
            let mut chaos = Chaos::new(seed).await;
            for _ in 0..STEPS {
                chaos.step().await;
            }
            chaos.settle().await;
        });
    });
}
