//! Any interleaving of what can happen, by seed.

use std::collections::HashMap;
use std::time::{Duration, Instant};
use tambour_actors::log::contract::deed;

use serde_json::json;
use tambour_actors::cursor::{Cursor, Mark};
use tambour_actors::event::Seq;
use tambour_actors::frame::Wire;
use tambour_actors::log::{EventLog as _, PageLimit, TopicRecord};
use tambour_actors::refusal::Refusal;
use tambour_actors::topic::messages::Sleep;
use tambour_actors::topic::state::{Published, Start, What, Write};
use tokio::sync::oneshot;

use super::client::{Client, Truth};
use super::hub::{BOMB, Hub, PATIENCE, Setup, key, new_event, run};
use super::random::{Random, seeded};
use super::socket::UNLIMITED;

const STEPS: usize = 400;
const TOPICS: [&str; 5] = ["thread/a", "thread/b", "thread/c", "canvas/a", "thread/d"];

type Answer = oneshot::Receiver<Result<Published, Refusal>>;

struct Chaos {
    hub: Hub,
    truth: Truth,
    random: Random,
    clients: Vec<Client>,
    records: HashMap<&'static str, TopicRecord>,
    /// Cursors that were good at some time.
    cursors: Vec<Cursor>,
    writes: Vec<(TopicRecord, u64, Answer)>,
    number: u64,
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
        let cursors = vec![records["thread/d"].mark().at(1_000)];
        Self { hub, truth, random: Random(seed), clients: Vec::new(), records, cursors, writes: Vec::new(), number: 0 }
    }

    fn start(&mut self, topic: &str) -> Start {
        match self.random.below(6) {
            0 | 1 => Start::Head,
            2 => Start::Earliest,
            3 => Start::Last(self.random.below(12) as u64),
            4 => Start::After(*self.random.pick(&self.cursors)),
            _ => {
                let mark = self.records.get(topic).map(TopicRecord::mark);
                let mine = self.cursors.iter().rfind(|cursor| Some(cursor.mark) == mark);
                mine.map_or(Start::Earliest, |cursor| Start::After(*cursor))
            }
        }
    }

    async fn connect(&mut self) {
        let topic = *self.random.pick(&TOPICS);
        let start = self.start(topic);
        let worker = self.random.below(self.hub.workers.len());
        let client = match self.random.below(3) {
            0 => Client::of(&self.hub, &self.truth, worker, Wire::Sse, topic, start).await,
            1 => Client::of(&self.hub, &self.truth, worker, Wire::Ws, topic, start).await,
            _ => {
                let mut client = Client::ws(&self.hub, &self.truth, worker).await;
                for topic in TOPICS {
                    if self.random.below(3) > 0 && self.records.contains_key(topic) {
                        let start = self.start(topic);
                        client.subscribe(topic, start);
                        self.publish_behind(&mut client, topic);
                    }
                }
                Some(client)
            }
        };
        if let Some(client) = client.as_ref().filter(|_| self.random.below(2) == 0) {
            client.net.hold_records(1 + self.random.below(600));
        }
        self.clients.extend(client);
    }

    /// Mostly, what a client publishes comes right behind its subscribe.
    fn publish_behind(&mut self, client: &mut Client, topic: &str) {
        for _ in 0..self.random.below(3) {
            self.number += 1;
            client.publish_behind(topic, &json!({"n": self.number}));
        }
    }

    async fn write(&mut self) {
        let topic = *self.random.pick(&TOPICS);
        let Some(record) = self.records.get(topic).cloned() else { return };
        for _ in 0..=self.random.below(4) {
            self.number += 1;
            let padding = "x".repeat(self.random.below(3) * self.random.below(400));
            let data = format!("{{\"n\":{},\"p\":\"{padding}\"}}", self.number);
            let answer = self.hub.write(topic, Write::events(vec![new_event(&data)])).await;
            self.writes.push((record.clone(), self.number, answer));
        }
    }

    /// Something about a client's socket or subscriptions.
    fn disturb(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let place = self.random.below(self.clients.len());
        let what = self.random.below(13);
        let topic = *self.random.pick(&TOPICS);
        let start = self.start(topic);
        let exists = self.records.contains_key(topic);
        let room = self.random.below(900);
        let client = &mut self.clients[place];
        match what {
            0 => client.net.end_input(),
            1 => client.net.reset(),
            2..=4 => client.net.stall(),
            5..=7 => client.net.make_room(room),
            8 => client.net.make_room(UNLIMITED),
            9 | 10 if client.wire == Wire::Ws && exists => {
                client.read();
                let left = client.readings.contains_key(&format!("{topic} left"));
                if !client.readings.contains_key(topic) && !left && client.sole().is_none() {
                    client.subscribe(topic, start);
                } else if client.readings.contains_key(topic) && !left && client.sole().is_none() {
                    client.unsubscribe(topic);
                    client.subscribe(topic, start);
                    self.number += 1;
                    client.publish_behind(topic, &json!({"n": self.number}));
                }
            }
            11 if self.random.below(4) == 0 => client.net.arm_bomb(),
            _ => client.read(),
        }
    }

    /// Something about a topic.
    async fn shake(&mut self) {
        let topic = *self.random.pick(&TOPICS);
        let Some(record) = self.records.get(topic).cloned() else {
            self.records.insert(topic, self.hub.create(topic).await);
            return;
        };
        match self.random.below(9) {
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
            4 if self.random.below(4) == 0 => {
                drop(self.hub.write(topic, What::Close(deed()).into()).await);
            }
            5 => self.hub.log.hold_reads(),
            _ => (0..self.hub.workers.len()).for_each(|worker| self.hub.directory.sweep(worker)),
        }
    }

    async fn step(&mut self) {
        match self.random.below(20) {
            0..=2 => self.connect().await,
            3..=8 => self.write().await,
            9..=14 => self.disturb(),
            15 | 16 => self.shake().await,
            17 => self.hub.log.release(),
            _ => tokio::time::sleep(Duration::from_micros(self.random.below(800) as u64)).await,
        }
        for client in &mut self.clients {
            client.read();
            if let Some(at) = client.readings.values().filter_map(|reading| reading.at).last() {
                self.cursors.push(at);
            }
        }
        let excess = self.cursors.len().saturating_sub(200);
        self.cursors.drain(..excess);
        self.clients.retain(|client| !client.net.closed());
    }

    /// Everybody can read again: every reader reaches the head, and what was acknowledged is what they saw.
    async fn settle(&mut self) {
        self.hub.log.release();
        for (record, number, answer) in self.writes.drain(..) {
            let answer = tokio::time::timeout(PATIENCE, answer).await.expect("a writer waits for ever");
            let Ok(published) = answer.expect("every writer is answered") else { continue };
            let found = self.truth.data(record.mark().at(published.first));
            let expected = format!("{{\"n\":{number},");
            assert!(found.is_none_or(|data| data.starts_with(&expected)), "{number} is not what was seen");
        }
        self.clients.iter().for_each(|client| client.net.make_room(UNLIMITED));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut heads: HashMap<Mark, Seq> = HashMap::new();
            for record in self.records.values() {
                heads.insert(record.mark(), self.hub.log.bounds(record.log).await.unwrap().head);
            }
            let behind: Vec<String> = self
                .clients
                .iter_mut()
                .filter(|c| !c.net.closed())
                .filter_map(|client| behind(client, &heads))
                .collect();
            if behind.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "never reach the head: {behind:#?}, heads {heads:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for record in self.records.values() {
            let kept = self.hub.log.memory.read(record.log, 0, PageLimit { events: usize::MAX, bytes: usize::MAX });
            for event in kept.await.unwrap().events {
                let seen = self.truth.data(record.mark().at(event.seq));
                assert!(seen.is_none_or(|data| data.as_bytes() == &*event.data), "readers see what is kept");
            }
        }
        self.clients.iter().for_each(|client| client.net.end_input());
        self.hub.expect_nothing_left().await;
    }
}

/// What a client still waits for.
fn behind(client: &mut Client, heads: &HashMap<Mark, Seq>) -> Option<String> {
    if client.finished() {
        return None;
    }
    client.readings.iter().find_map(|(topic, reading)| {
        let there = reading.at.is_some_and(|at| heads.get(&at.mark) == Some(&at.seq));
        (!there).then(|| format!("{:?} on worker {}: {topic} at {reading:?}", client.wire, client.worker))
    })
}

#[test]
fn any_interleaving_gives_each_reader_every_event_once_and_in_order() {
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
