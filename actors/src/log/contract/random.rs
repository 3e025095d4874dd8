//! Random operations over many logs, checked against the plainest model there is.
//!
//! The seed is written to stderr, and taken from `TAMBOUR_CONTRACT_SEED` when that is set. It never asks
//! for anything that the ports leave open.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

use super::{ALL, Append, AppendError, Bounds, EventLog, LogId, NewTopic, PageLimit, Seq, Store, Topics};
use super::{CreateError, Event, Incarnation, Member, TopicKind, TopicQuery, TopicRecord, Visibility};
use super::{home, item, new_topic, text_event, thread, wait};
use crate::log::PortFuture;

/// Operations of one run: a second or two on a disk that syncs slowly.
const OPERATIONS: usize = 1_500;
/// Names that topics are created under; few, so that they are deleted and created again.
const NAMES: usize = 12;
/// Calls that are under way before their answers are looked at.
const UNANSWERED_MAX: usize = 40;

/// Pseudo-random numbers that a seed determines (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end as u64).unwrap_or(0)
    }
}

/// What the store must hold when everything that was called for is done.
#[derive(Default)]
struct Model {
    topics: BTreeMap<String, TopicRecord>,
    logs: BTreeMap<LogId, Vec<Event>>,
    deleted: BTreeSet<LogId>,
}

impl Model {
    fn bounds(&self, log: LogId) -> Bounds {
        let Some(newest) = self.logs.get(&log).and_then(|events| events.last()) else { return Bounds::EMPTY };
        Bounds { oldest: 1, head: newest.seq, closed: newest.kind.as_str() == "closed" }
    }

    fn append(&mut self, item: &Append) -> Result<(), AppendError> {
        let events = self.logs.get_mut(&item.log).ok_or(AppendError::Gone)?;
        let head = events.len() as Seq;
        if (head + 1..).zip(item.events.iter()).any(|(seq, event)| event.seq != seq) {
            return Err(AppendError::Conflict);
        }
        events.extend(item.events.iter().cloned());
        Ok(())
    }

    fn page(&self, log: LogId, after: Seq, limit: PageLimit) -> Vec<Event> {
        let mut bytes = 0;
        let behind = self.logs.get(&log).into_iter().flatten().filter(|event| event.seq > after);
        let within = behind.take(limit.events).take_while(|event| {
            let fits = bytes == 0 || bytes < limit.bytes;
            bytes += event.size_bytes();
            fits
        });
        within.cloned().collect()
    }
}

/// Appends that were called for, with the answers they must get.
type Unanswered = Vec<(PortFuture<Vec<Result<(), AppendError>>>, Vec<Result<(), AppendError>>)>;

fn settle(unanswered: &mut Unanswered) {
    for (answer, expected) in unanswered.drain(..) {
        assert_eq!(wait(answer), expected);
    }
}

pub(super) fn agrees_with_a_model<L: EventLog, T: Topics>(store: &Store<L, T>) {
    let given = std::env::var("TAMBOUR_CONTRACT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
    eprintln!("contract: TAMBOUR_CONTRACT_SEED={seed}");
    let mut dice = Dice(seed);
    let mut model = Model::default();
    let mut unanswered = Unanswered::new();
    for _ in 0..OPERATIONS {
        match dice.below(100) {
            0..60 => {
                let items: Vec<Append> = (0..dice.below(6)).filter_map(|_| random_item(&mut dice, &model)).collect();
                // Later items of a call start behind the earlier ones only when the dice fall so.
                let expected = items.iter().map(|item| model.append(item)).collect();
                unanswered.push((store.log.append(items), expected));
            }
            60..70 => create(store, &mut dice, &mut model),
            70..73 => {
                let name = format!("x{}", dice.below(NAMES));
                let gone = model.topics.remove(&name);
                if let Some(record) = &gone {
                    model.logs.remove(&record.log);
                    model.deleted.insert(record.log);
                }
                assert_eq!(wait(store.topics.delete(&thread(&name))), Ok(gone.is_some()));
            }
            73..80 => {
                if let Some(log) = any_log(&mut dice, &model) {
                    assert_eq!(wait(store.log.bounds(log)), Ok(model.bounds(log)));
                }
            }
            80..95 => {
                settle(&mut unanswered);
                check_page(store, &mut dice, &model);
            }
            _ => {
                settle(&mut unanswered);
                check_topics(store, &mut dice, &model);
            }
        }
        if unanswered.len() > UNANSWERED_MAX {
            settle(&mut unanswered);
        }
    }
    settle(&mut unanswered);
    for log in model.logs.keys().chain(&model.deleted) {
        let page = store.read(*log, 0, ALL);
        assert_eq!((page.events, page.bounds), (model.page(*log, 0, ALL), model.bounds(*log)));
    }
}

fn any_log(dice: &mut Dice, model: &Model) -> Option<LogId> {
    let among =
        if dice.below(10) == 0 { model.deleted.iter().collect() } else { model.logs.keys().collect::<Vec<_>>() };
    (!among.is_empty()).then(|| *among[dice.below(among.len())])
}

/// Mostly right, sometimes an item that must be refused.
fn random_item(dice: &mut Dice, model: &Model) -> Option<Append> {
    let log = any_log(dice, model)?;
    let head = model.bounds(log).head;
    let first = if dice.below(10) == 0 { dice.roll() % (head + 3) } else { head + 1 };
    let kinds = ["chat_message", "token_chunk", "closed", "run.step"];
    let events = (first..).take(1 + dice.below(8)).map(|seq| {
        let text = format!("{{\"n\":{seq},\"x\":\"{}\"}}", "é\u{1f980}\\\"".repeat(dice.below(40)));
        text_event(seq, kinds[dice.below(kinds.len())], &text)
    });
    Some(item(log, events.collect()))
}

fn create<L: EventLog, T: Topics>(store: &Store<L, T>, dice: &mut Dice, model: &mut Model) {
    let name = format!("x{}", dice.below(NAMES));
    let people = ["alice", "bob", "carol"];
    let visibility = [Visibility::Private, Visibility::Team, Visibility::Public][dice.below(3)];
    let members = people.iter().filter(|_| dice.below(3) == 0);
    let members = members.map(|sub| Member { sub: (*sub).into(), can_write: true }).collect();
    let creator = people[dice.below(people.len())].into();
    let incarnation = Incarnation(dice.roll());
    let topic = NewTopic { creator, visibility, members, incarnation, ..new_topic(thread(&name)) };
    let created = wait(store.topics.create(topic.clone()));
    if model.topics.contains_key(&name) {
        assert_eq!(created, Err(CreateError::Exists));
        return;
    }
    let record = created.expect("created");
    assert_eq!(record.topic, topic);
    assert!(!model.logs.contains_key(&record.log) && !model.deleted.contains(&record.log), "a log is used again");
    model.logs.insert(record.log, Vec::new());
    model.topics.insert(name, record);
}

fn check_page<L: EventLog, T: Topics>(store: &Store<L, T>, dice: &mut Dice, model: &Model) {
    let Some(log) = any_log(dice, model) else { return };
    let after = dice.roll() % (model.bounds(log).head + 2);
    let limit = PageLimit { events: 1 + dice.below(20), bytes: dice.below(4_000) };
    let page = store.read(log, after, limit);
    assert_eq!(page.events, model.page(log, after, limit), "{log:?} behind {after}, {limit:?}");
    assert_eq!(page.bounds, model.bounds(log));
}

fn check_topics<L: EventLog, T: Topics>(store: &Store<L, T>, dice: &mut Dice, model: &Model) {
    let name = format!("x{}", dice.below(NAMES));
    let expected = model.topics.get(&name).map(|record| (record.clone(), model.bounds(record.log)));
    assert_eq!(wait(store.topics.find(&thread(&name))), Ok(expected));
    let sub = "bob";
    let (after, limit) = (format!("x{}", dice.below(NAMES)), 1 + dice.below(NAMES));
    let expected: Vec<_> = model
        .topics
        .iter()
        .filter(|(name, record)| {
            let topic = &record.topic;
            let private = topic.visibility == Visibility::Private;
            **name > after && (!private || *topic.creator == *sub || topic.members.iter().any(|m| *m.sub == *sub))
        })
        .take(limit)
        .map(|(_, record)| (record.clone(), model.bounds(record.log)))
        .collect();
    let query = TopicQuery { kind: TopicKind::Thread, after_id: Some(after), visible_to: Some(sub.into()), limit };
    assert_eq!(wait(store.topics.list(&home(), query)), Ok(expected));
}
