//! Any interleaving of what can happen to a feed, by seed, against a model of who may see what.
//!
//! The rule for changes that race with readers: an event is written to who may read its topic at some moment between its commit
//! and its writing, and to everybody who may at every such moment. So what a reader must have is what they may see by every
//! record of its topic since its commit; what they may have, what they may see by any.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tambour_actors::feed::view::{Sight, View};
use tambour_actors::frame::Wire;
use tambour_actors::log::contract::deed;
use tambour_actors::log::feed::{FeedItem, FeedLog as _, Position, Tap};
use tambour_actors::log::{Class, EventLog as _, LogId, Member, TopicChange, TopicRecord, Visibility};
use tambour_actors::principal::{ActorType, Granted, Permission, Principal, Proof};
use tambour_actors::topic::state::{Published, Start, What, Write};
use tokio::sync::oneshot;

use super::feed::{admin, member};
use super::feed_client::{FeedClient, Who};
use super::hub::{Hub, PATIENCE, Setup, key, new_event, run, scope};
use super::random::{Random, seeded};
use super::socket::UNLIMITED;

const STEPS: usize = 300;
/// The last of them is public for ever, and everybody's filter lets it pass.
const TOPICS: [&str; 4] = ["thread/a", "thread/b", "thread/c", "thread/open"];
const SUBS: [&str; 2] = ["bob", "eve"];

type Answer = oneshot::Receiver<Result<Published, tambour_actors::refusal::Refusal>>;

struct Chaos {
    hub: Hub,
    random: Random,
    records: HashMap<&'static str, TopicRecord>,
    clients: Vec<FeedClient>,
    tap: Arc<Tap>,
    truth: Vec<FeedItem>,
    answers: Vec<Answer>,
    number: u64,
}

fn readers() -> Vec<Who> {
    let some = Who { types: &["note", "thread.m*"], topics: &["thread/a", "thread/open"], ..admin() };
    let typed = Who { types: &["no*", "thread.deleted"], ..member("bob", &[]) };
    vec![admin(), member("bob", &[Permission::ThreadsRead]), member("eve", &[]), some, typed, admin()]
}

impl Chaos {
    async fn new(seed: u64) -> Self {
        let mut setup = Setup { workers: 1 + usize::try_from(seed % 3).unwrap(), ..Setup::default() };
        setup.limits.tail_events = 4;
        setup.limits.delivery_bytes = 700;
        let hub = Hub::start(setup).await;
        let tap = Arc::new(Tap::new(|| ()));
        hub.log.memory.tap(&scope(), &tap).await.unwrap();
        let mut clients = Vec::new();
        for (place, who) in readers().into_iter().enumerate() {
            let wire = if place % 2 == 0 { Wire::Sse } else { Wire::Ws };
            clients.push(FeedClient::open(&hub, who, place % hub.workers.len(), wire, Start::Earliest).await);
        }
        // From here on what retention takes is told as a gap: everybody stands before it.
        let deadline = Instant::now() + PATIENCE;
        while !clients.iter().all(|client| client.begun) {
            assert!(Instant::now() < deadline, "nobody begins");
            tokio::time::sleep(Duration::from_millis(1)).await;
            clients.iter_mut().for_each(FeedClient::read);
        }
        let mut chaos = Self {
            hub,
            random: Random(seed),
            records: HashMap::new(),
            clients,
            tap,
            truth: Vec::new(),
            answers: Vec::new(),
            number: 0,
        };
        for topic in TOPICS {
            chaos.records.insert(topic, chaos.hub.create(topic).await);
        }
        chaos
            .change("thread/open", TopicChange { visibility: Some(Visibility::Public), ..TopicChange::default() })
            .await;
        chaos
    }

    async fn change(&mut self, topic: &'static str, change: TopicChange) {
        let changed = self.hub.directory.change(&key(topic), change, deed()).await.unwrap();
        assert_eq!(changed.is_some(), self.records.contains_key(topic));
    }

    async fn write(&mut self) {
        let topic = *self.random.pick(&TOPICS);
        for _ in 0..=self.random.below(4) {
            self.number += 1;
            let padding = "x".repeat(self.random.below(3) * self.random.below(400));
            let data = format!("{{\"n\":{},\"p\":\"{padding}\"}}", self.number);
            let what = match self.random.below(12) {
                0 => What::Redact(1 + self.random.below(9) as u64, Class::Relief).into(),
                _ => Write::events(vec![new_event(&data)]),
            };
            self.answers.push(self.hub.write(topic, what).await);
        }
    }

    /// Something about who may see a topic, or whether it is there.
    async fn shake(&mut self) {
        let topic = TOPICS[self.random.below(3)];
        let Some(record) = self.records.get(topic).cloned() else {
            self.records.insert(topic, self.hub.create(topic).await);
            return;
        };
        let sub = *self.random.pick(&SUBS);
        let none = TopicChange::default();
        match self.random.below(9) {
            0 | 1 => {
                let visibility = Some(*self.random.pick(&[Visibility::Private, Visibility::Team, Visibility::Public]));
                self.change(topic, TopicChange { visibility, ..none }).await;
            }
            2 | 3 => {
                let put_member = Some(Member { sub: sub.into(), can_write: self.random.below(2) == 0 });
                self.change(topic, TopicChange { put_member, ..none }).await;
            }
            4 | 5 => self.change(topic, TopicChange { remove_member: Some(sub.into()), ..none }).await,
            6 => {
                let head = self.hub.log.bounds(record.log).await.unwrap().head;
                self.hub.trim(&record, self.random.below(usize::try_from(head).unwrap() + 1) as u64);
            }
            7 => {
                assert_eq!(self.hub.directory.delete(&key(topic), deed()).await, Ok(true));
                self.records.remove(topic);
            }
            _ => (0..self.hub.workers.len()).for_each(|worker| self.hub.directory.sweep(worker)),
        }
    }

    async fn disturb(&mut self) {
        let place = self.random.below(self.clients.len());
        let (what, room) = (self.random.below(10), self.random.below(900));
        let client = &mut self.clients[place];
        match what {
            0 => client.net.end_input(),
            1 => client.net.reset(),
            2..=4 => client.net.stall(),
            5 | 6 => client.net.make_room(room),
            7 => client.net.make_room(UNLIMITED),
            8 => self.hub.log.hold_reads(),
            _ if room < 200 => self.hub.log.poison_feeds(),
            _ => {}
        }
    }

    async fn step(&mut self) {
        match self.random.below(20) {
            0..=6 => self.write().await,
            7..=10 => self.shake().await,
            11..=15 => self.disturb().await,
            16 | 17 => self.hub.log.release(),
            _ => tokio::time::sleep(Duration::from_micros(self.random.below(800) as u64)).await,
        }
        self.learn().await;
    }

    /// Reads what came, and comes back where a connection ended.
    async fn learn(&mut self) {
        if let Some(tapped) = self.tap.take() {
            self.truth.extend(tapped.items.expect("the test asks often enough"));
        }
        for client in &mut self.clients {
            let closed = client.net.closed();
            client.read();
            if closed {
                client.resume(&self.hub).await;
            }
        }
    }

    /// Everybody can read again: everybody has what the model says.
    async fn settle(&mut self) {
        self.hub.log.release();
        for answer in self.answers.drain(..) {
            let _ = tokio::time::timeout(PATIENCE, answer).await.expect("a writer waits for ever");
        }
        self.hub.publish("thread/open", "\"the end\"").await.expect("published");
        let deadline = Instant::now() + PATIENCE;
        let ends = |client: &FeedClient| client.got.last().is_some_and(|(_, event)| event["data"] == "the end");
        loop {
            self.clients.iter().for_each(|client| client.net.make_room(UNLIMITED));
            self.learn().await;
            if self.clients.iter().all(ends) {
                break;
            }
            let at: Vec<_> = self.clients.iter().map(|client| (client.who.sub, client.at, ends(client))).collect();
            assert!(Instant::now() < deadline, "never reach the head: {at:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let model = Model::of(self).await;
        self.clients.iter().for_each(|client| model.check(client, &self.truth));
        self.clients.iter().for_each(|client| client.net.end_input());
        self.hub.expect_nothing_left().await;
    }
}

/// What happened, told from its end.
struct Model {
    /// What was known of a topic from which place on.
    versions: HashMap<LogId, Vec<(Position, Arc<TopicRecord>)>>,
    deleted: HashSet<LogId>,
    oldest: HashMap<LogId, u64>,
}

impl Model {
    async fn of(chaos: &Chaos) -> Self {
        let mut model = Self { versions: HashMap::new(), deleted: HashSet::new(), oldest: HashMap::new() };
        for item in &chaos.truth {
            let Some(about) = &item.about else { continue };
            model.versions.entry(about.log).or_default().push((item.position, about.clone()));
            if item.event.kind.as_str() == "thread.deleted" {
                model.deleted.insert(about.log);
            }
        }
        for record in chaos.records.values() {
            model.oldest.insert(record.log, chaos.hub.log.bounds(record.log).await.unwrap().oldest);
        }
        model
    }

    /// How often a reader may see an event since it was committed: at some moment, at every moment.
    fn sees(&self, view: &View, item: &FeedItem) -> (bool, bool) {
        let judged = item.about.as_ref().unwrap_or(&item.topic);
        let now = std::iter::once(judged);
        let later = self.versions.get(&judged.log).into_iter().flatten();
        let later = later.filter(|(position, _)| *position > item.position).map(|(_, record)| record);
        let sees: Vec<bool> = now
            .chain(later)
            .map(|record| match &item.about {
                Some(_) => view.has_item(&FeedItem { about: Some(record.clone()), ..item.clone() }),
                None => view.has_item(&FeedItem { topic: record.clone(), ..item.clone() }),
            })
            .collect();
        (sees.contains(&true), !sees.contains(&false))
    }

    fn check(&self, client: &FeedClient, truth: &[FeedItem]) {
        let view = view(&client.who);
        let got: HashMap<Position, &serde_json::Value> = client.got.iter().map(|(at, event)| (*at, event)).collect();
        let (mut known, mut lost) = (0, 0);
        for item in truth {
            let (may, must) = self.sees(&view, item);
            let gone = item.about.is_none() && self.deleted.contains(&item.topic.log);
            let trimmed = self.oldest.get(&item.topic.log).is_some_and(|oldest| item.event.seq < *oldest);
            match got.get(&item.position) {
                Some(event) => {
                    known += 1;
                    assert!(may, "{} sees what they never might: {event}", client.who.sub);
                    assert_eq!(
                        (&event["type"], &event["seq"]),
                        (&item.event.kind.as_str().into(), &item.event.seq.into())
                    );
                    let id = item.topic.mark().at(item.event.seq).to_string();
                    assert_eq!(event["id"], id.as_str(), "it is the topic's own event");
                }
                None if must && trimmed && !gone => lost += 1,
                None => assert!(!must || gone, "{} misses {item:?}", client.who.sub),
            }
        }
        assert_eq!(known, client.got.len(), "everything that came was committed");
        assert!(lost == 0 || !client.gaps.is_empty(), "{} misses what was trimmed, untold", client.who.sub);
        assert!(client.gaps.iter().all(|gap| gap["reason"] == "trimmed"), "{:?}", client.gaps);
    }
}

fn view(who: &Who) -> View {
    let (role, permissions) = who.rights;
    let principal = Principal {
        sub: who.sub.into(),
        scope: scope(),
        granted: Granted { role, permissions },
        role,
        actor_type: ActorType::Human,
        read_only: false,
        permissions,
        acts_for: None,
        proof: Proof::Main { jti: None, issued_at_ms: 0 },
        expires_at_ms: i64::MAX,
    };
    View { sight: Sight::of(&principal), filter: Arc::new(who.filter()) }
}

#[test]
fn everybody_gets_what_they_may_see_once_and_in_order() {
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
