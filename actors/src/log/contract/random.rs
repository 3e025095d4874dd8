//! Random operations over many logs, checked against the plainest model there is.
//!
//! It never asks for anything that the ports leave open.

use super::deed;
use super::dice::Dice;
use super::model::{Kept, Model};
use super::targets::{append, redacted};
use super::{ALL, Append, AppendError, EventLog, LogId, NewTopic, PageLimit, Seq, Store, Topics};
use super::{CreateError, Event, Incarnation, Member, TopicKind, TopicQuery, Visibility};
use super::{event, home, item, new_topic, text_event, thread, wait};
use crate::log::{IDEMPOTENCY_KEPT_MS, Once, OnceWrite, PortFuture, Published, TopicChange, VisibleTo};

/// Operations of one run: a second or two on a disk that syncs slowly.
const OPERATIONS: usize = 1_500;
/// Names that topics are created under; few, so that they are deleted and created again.
const NAMES: usize = 12;
/// Calls that are under way before their answers are looked at.
const UNANSWERED_MAX: usize = 40;

/// Appends that were called for, with the answers they must get.
type Unanswered = Vec<(PortFuture<Vec<Result<(), AppendError>>>, Vec<Result<(), AppendError>>)>;

fn settle(unanswered: &mut Unanswered) {
    for (answer, expected) in unanswered.drain(..) {
        assert_eq!(wait(answer), expected);
    }
}

pub(super) fn agrees_with_a_model<L: EventLog, T: Topics>(store: &Store<L, T>) {
    let mut dice = Dice::seeded();
    let mut model = Model::default();
    let mut unanswered = Unanswered::new();
    let mut now_ms = event(0).time_ms;
    for _ in 0..OPERATIONS {
        if dice.below(20) == 0 {
            now_ms += dice.roll().cast_signed().rem_euclid(IDEMPOTENCY_KEPT_MS / 2);
        }
        match dice.below(100) {
            0..60 => {
                let count = dice.below(6);
                let items: Vec<Append> = (0..count).filter_map(|_| random_item(&mut dice, &model, now_ms)).collect();
                // Later items of a call start behind the earlier ones only when the dice fall so.
                let expected = items.iter().map(|item| model.append(item)).collect();
                unanswered.push((store.log.append(items), expected));
            }
            60..67 => create(store, &mut dice, &mut model),
            67..70 => change(store, &mut dice, &mut model),
            70..73 => {
                let name = format!("x{}", dice.below(NAMES));
                let gone = model.topics.remove(&name);
                if let Some(record) = &gone {
                    model.logs.remove(&record.log);
                    model.deleted.insert(record.log);
                }
                assert_eq!(wait(store.topics.delete(&thread(&name), deed())), Ok(gone.is_some()));
            }
            73..78 => {
                if let Some(log) = any_log(&mut dice, &model) {
                    assert_eq!(wait(store.log.bounds(log)), Ok(model.bounds(log)));
                }
            }
            78..81 => {
                // A trim is not ordered behind what was called for before.
                settle(&mut unanswered);
                if let Some(log) = any_log(&mut dice, &model) {
                    let oldest = dice.roll() % (model.bounds(log).head + 3);
                    assert_eq!(wait(store.log.trim(log, oldest)), Ok(model.trim(log, oldest)));
                }
            }
            81..95 => {
                settle(&mut unanswered);
                check_page(store, &mut dice, &model);
                check_key(store, &mut dice, &model, now_ms);
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
fn random_item(dice: &mut Dice, model: &Model, now_ms: i64) -> Option<Append> {
    let log = any_log(dice, model)?;
    let head = model.bounds(log).head;
    let first = if dice.below(10) == 0 { dice.roll() % (head + 3) } else { head + 1 };
    let count = 1 + dice.below(8) as Seq;
    let events: Vec<Event> =
        (first..first + count).map(|seq| Event { time_ms: now_ms, ..random_event(dice, seq, head) }).collect();
    let (mut once, mut next, mut keys) = (Vec::new(), first, vec!["k0", "k1", "k2", "k3"]);
    while dice.below(3) == 0 && next < first + count && !keys.is_empty() {
        let (from, key) = (next + dice.roll() % 3, keys.swap_remove(dice.below(keys.len())));
        let last = from + dice.roll() % 3;
        if last < first + count {
            let once_of = Once { sub: "alice".into(), key: key.into(), digest: [dice.below(3) as u8; 32] };
            once.push(OnceWrite { once: once_of, places: Published { first: from, last } });
        }
        next = last + 1;
    }
    Some(Append { once, ..item(log, events) })
}

fn random_event(dice: &mut Dice, seq: Seq, head: Seq) -> Event {
    // Among the newest, so that most are kept, and a little ahead.
    let target = (head + 2).saturating_sub(dice.below(12) as Seq);
    match dice.below(40) {
        0..8 => append(seq, target, &"é\\n".repeat(dice.below(20))),
        8 => append(seq, target, &"x".repeat(dice.below(60_000))),
        9 => redacted(seq, target),
        _ => {
            let kinds = ["chat_message", "token_chunk", "closed", "run.step"];
            let text = format!("{{\"n\":{seq},\"x\":\"{}\"}}", "é\u{1f980}\\\"".repeat(dice.below(40)));
            text_event(seq, dice.of::<&str>(&kinds), &text)
        }
    }
}

fn change<L: EventLog, T: Topics>(store: &Store<L, T>, dice: &mut Dice, model: &mut Model) {
    let name = format!("x{}", dice.below(NAMES));
    let member = Member { sub: (*dice.of(&["alice", "bob", "carol"])).into(), can_write: dice.below(2) == 0 };
    let change = TopicChange {
        title: (dice.below(2) == 0).then(|| (dice.below(2) == 0).then(|| format!("title {}", dice.below(9)))),
        visibility: (dice.below(2) == 0).then(|| *dice.of(&[Visibility::Private, Visibility::Team])),
        remove_member: (dice.below(2) == 0).then(|| "bob".into()),
        put_member: (dice.below(2) == 0).then_some(member),
    };
    let expected = model.topics.get_mut(&name).map(|record| {
        assert_eq!(change.apply(&mut record.topic), Ok(()));
        record.clone()
    });
    assert_eq!(wait(store.topics.change(&thread(&name), change, deed())), Ok(expected));
}

fn check_key<L: EventLog, T: Topics>(store: &Store<L, T>, dice: &mut Dice, model: &Model, now_ms: i64) {
    let Some(log) = any_log(dice, model) else { return };
    let key = *dice.of(&["k0", "k1", "k2", "k3"]);
    let expected = model.logs.get(&log).and_then(|kept| kept.recall("alice", key, now_ms));
    assert_eq!(wait(store.log.recall(log, "alice", key, now_ms)), Ok(expected), "{key} of {log:?}");
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
    let created = wait(store.topics.create(topic.clone(), deed()));
    if model.topics.contains_key(&name) {
        assert_eq!(created, Err(CreateError::Exists));
        return;
    }
    let record = created.expect("created");
    assert_eq!(record.topic, topic);
    assert!(!model.logs.contains_key(&record.log) && !model.deleted.contains(&record.log), "a log is used again");
    model.logs.insert(record.log, Kept::default());
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
    let query = TopicQuery {
        kind: TopicKind::Thread,
        after_id: Some(after),
        visible_to: Some(VisibleTo { sub: sub.into(), team: true }),
        limit,
    };
    assert_eq!(wait(store.topics.list(&home(), query)), Ok(expected));
}
