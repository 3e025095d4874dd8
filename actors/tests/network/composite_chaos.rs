//! Any interleaving of what can happen to topics and sockets, seen through streams of several topics that break at any byte
//! and come back with the id of their last complete block: each event of each topic exactly once and in order.

use std::collections::HashMap;
use std::time::{Duration, Instant};
use tambour_actors::log::contract::deed;

use tambour_actors::composite::put_in_order;
use tambour_actors::cursor::Mark;
use tambour_actors::event::{EventType, NewEvent, Seq};
use tambour_actors::frame::Wire;
use tambour_actors::log::{EventLog as _, TopicRecord};
use tambour_actors::refusal::Refusal;
use tambour_actors::topic::messages::Sleep;
use tambour_actors::topic::state::{Published, What, Write};
use tokio::sync::oneshot;

use super::client::{Client, Truth};
use super::hub::{BOMB, Hub, PATIENCE, Setup, key, new_event, run};
use super::random::{Random, seeded};
use super::socket::{Net, UNLIMITED};
use super::view::View;

const STEPS: usize = 350;
const TOPICS: [&str; 6] = ["thread/a", "thread/b", "canvas/a", "canvas/c", "thread/d", "thread/e"];

struct Reader {
    client: Client,
    topics: Vec<&'static str>,
    folds: bool,
}

struct Chaos {
    hub: Hub,
    truth: Truth,
    random: Random,
    records: HashMap<&'static str, TopicRecord>,
    readers: Vec<Reader>,
    answers: Vec<oneshot::Receiver<Result<Published, Refusal>>>,
    number: usize,
    came_back: usize,
}

impl Chaos {
    async fn new(seed: u64) -> Self {
        let mut setup = Setup { workers: 1 + usize::try_from(seed % 3).unwrap(), ..Setup::default() };
        setup.limits.tail_events = 4;
        setup.limits.delivery_bytes = 700;
        let hub = Hub::start(setup).await;
        let mut records = HashMap::new();
        for topic in TOPICS {
            records.insert(topic, hub.create(topic).await);
        }
        let truth = Truth::of(&hub);
        let (readers, answers) = (Vec::new(), Vec::new());
        Self { hub, truth, random: Random(seed), records, readers, answers, number: 0, came_back: 0 }
    }

    async fn write(&mut self) {
        let topic = *self.random.pick(&TOPICS);
        let Some(record) = self.records.get(topic) else { return };
        let head = self.hub.log.bounds(record.log).await.unwrap().head;
        let mut events = Vec::new();
        for _ in 0..=self.random.below(3) {
            self.number += 1;
            let padding = "x".repeat(self.random.below(3) * self.random.below(400));
            events.push(new_event(&format!("\"{} {padding}\"", self.number)));
        }
        if head > 0 && self.random.below(3) == 0 {
            let target = Some(1 + self.random.below(usize::try_from(head).unwrap()) as u64);
            events = vec![NewEvent { kind: EventType::append(), data: "\"a\"".into(), target }];
        }
        self.answers.push(self.hub.write(topic, Write::events(events)).await);
    }

    async fn connect(&mut self) {
        let mut topics: Vec<_> = TOPICS.into_iter().filter(|topic| self.records.contains_key(topic)).collect();
        while topics.len() > 1 && self.random.below(3) > 0 {
            topics.swap_remove(self.random.below(topics.len()));
        }
        if !topics.is_empty() {
            let folds = self.random.below(2) == 0;
            let reader = self.open(topics, folds, None, &HashMap::new()).await;
            self.readers.extend(reader);
        }
    }

    /// `None`: one of the topics is gone.
    async fn open(
        &mut self,
        topics: Vec<&'static str>,
        folds: bool,
        id: Option<String>,
        held: &HashMap<Mark, View>,
    ) -> Option<Reader> {
        let mut found = Vec::new();
        for topic in &topics {
            let handle = self.hub.find(topic).await?;
            let view = held.get(&handle.record.mark()).cloned().unwrap_or_default();
            found.push((handle, folds.then_some(view)));
        }
        assert!(put_in_order(&mut found, |(topic, _)| &topic.record.topic.key));
        let wire = if self.random.below(2) == 0 { Wire::Sse } else { Wire::SseUnnamed };
        let at = (self.random.below(self.hub.workers.len()), wire);
        let room = if self.random.below(2) == 0 { UNLIMITED } else { self.random.below(4_000) };
        let client = Client::stream(Net::new(room), &self.hub, &self.truth, at, found, id.as_deref()).await;
        Some(Reader { client, topics, folds })
    }

    /// The connection breaks wherever it is, and its reader comes back with the last id.
    async fn come_back(&mut self, place: usize) {
        let Reader { mut client, topics, folds } = self.readers.swap_remove(place);
        client.net.reset();
        client.read();
        let mut held = HashMap::new();
        for reading in client.readings.values() {
            if let (Some(at), Some(view)) = (reading.at, &reading.view) {
                held.insert(at.mark, view.clone());
            }
        }
        self.came_back += usize::from(client.last_id.is_some());
        let reader = self.open(topics, folds, client.last_id.take(), &held).await;
        self.readers.extend(reader);
    }

    async fn disturb(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let place = self.random.below(self.readers.len());
        let room = self.random.below(3_000);
        let client = &mut self.readers[place].client;
        match self.random.below(12) {
            0..=2 => self.come_back(place).await,
            3 | 4 => client.net.stall(),
            5..=8 => client.net.make_room(room),
            9 => client.net.make_room(UNLIMITED),
            10 if self.random.below(5) == 0 => client.net.arm_bomb(),
            _ => client.read(),
        }
    }

    async fn shake(&mut self) {
        let topic = *self.random.pick(&TOPICS);
        let Some(record) = self.records.get(topic).cloned() else {
            self.records.insert(topic, self.hub.create(topic).await);
            return;
        };
        match self.random.below(12) {
            0 => {
                if let Some(handle) = self.hub.directory.find_awake(&key(topic)) {
                    handle.addr.do_send(Sleep { consent: Box::new(|| panic!("{BOMB}")) });
                }
            }
            1 => self.hub.log.poison(record.log),
            2 => {
                let head = self.hub.log.bounds(record.log).await.unwrap().head;
                let seq = self.random.below(usize::try_from(head).unwrap() + 1) as u64;
                self.hub.trim(&record, seq);
            }
            3 if self.random.below(3) == 0 => {
                assert_eq!(self.hub.directory.delete(&key(topic), deed()).await, Ok(true));
                self.records.remove(topic);
            }
            4 if self.random.below(5) == 0 => drop(self.hub.write(topic, What::Close(deed()).into()).await),
            5 => self.hub.log.hold_reads(),
            6..=8 => self.hub.log.release(),
            _ => (0..self.hub.workers.len()).for_each(|worker| self.hub.directory.sweep(worker)),
        }
    }

    async fn step(&mut self) {
        match self.random.below(20) {
            0 | 1 => self.connect().await,
            2..=8 => self.write().await,
            9..=14 => self.disturb().await,
            15..=17 => self.shake().await,
            _ => tokio::time::sleep(Duration::from_micros(self.random.below(800) as u64)).await,
        }
        for place in (0..self.readers.len()).rev() {
            let client = &mut self.readers[place].client;
            client.read();
            if client.net.finished() {
                client.net.end_input();
                self.readers.swap_remove(place);
            } else if client.net.closed() {
                self.come_back(place).await;
            }
        }
    }

    async fn settle(&mut self) {
        self.hub.log.release();
        for answer in self.answers.drain(..) {
            let answer = tokio::time::timeout(PATIENCE, answer).await.expect("a writer waits for ever");
            let _ = answer.expect("every writer is answered");
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut heads: HashMap<Mark, Seq> = HashMap::new();
            for record in self.records.values() {
                heads.insert(record.mark(), self.hub.log.bounds(record.log).await.unwrap().head);
            }
            let mut behind = None;
            for place in (0..self.readers.len()).rev() {
                let client = &mut self.readers[place].client;
                client.net.make_room(UNLIMITED);
                client.read();
                let there = |at: tambour_actors::cursor::Cursor| heads.get(&at.mark) == Some(&at.seq);
                if client.net.finished() {
                    continue;
                } else if client.net.closed() {
                    self.come_back(place).await;
                    behind = Some("one that came back".to_owned());
                } else if let Some(late) = client.readings.iter().find(|(_, r)| !r.at.is_some_and(there)) {
                    behind = Some(format!("{late:?}"));
                }
            }
            if behind.is_none() {
                break;
            }
            assert!(Instant::now() < deadline, "never reaches the head: {behind:?}, heads {heads:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(self.came_back > 0, "somebody came back");
        self.readers.iter().for_each(|reader| reader.client.net.end_input());
        self.hub.expect_nothing_left().await;
    }
}

#[test]
fn any_interleaving_gives_a_stream_of_several_topics_every_event_once_and_in_order() {
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
