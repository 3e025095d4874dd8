//! What a change of a topic comes to: the entry, and what the feed tells of it. A change that changes nothing comes to nothing.
//!
//! Nothing here decides whether a change may be made.

use serde_json::{Map, Value, json};
use tambour_actors::event::Seq;
use tambour_actors::log::{Member, NewTopic, TopicChange, TopicRecord};
use tambour_actors::system::{self, TopicDeed, topic_event};

use super::entry::{Happened, SystemEvent};

fn about(record: &TopicRecord) -> Happened {
    Happened::done(record.topic.key.topic())
}

fn told(happened: &mut Happened, deed: TopicDeed, record: &TopicRecord, member: Option<&Member>) {
    if let Some((kind, data)) = topic_event(deed, &record.topic, member) {
        happened.events.push(SystemEvent { kind, data, about: Some(record.log) });
    }
}

/// What an entry says of a topic that comes or goes.
fn shown(topic: &NewTopic) -> Value {
    json!({ "title": topic.title, "visibility": topic.visibility.as_str(), "creator": &*topic.creator })
}

/// What somebody may do in a topic, by their membership.
fn shown_member(topic: &NewTopic, sub: &str) -> Value {
    let member = topic.members.iter().find(|member| *member.sub == *sub);
    let can = member.map(|member| if member.can_write { "write" } else { "read" });
    json!({ "sub": sub, "can": can })
}

/// It is there.
#[must_use]
pub fn created(record: &TopicRecord) -> Happened {
    let mut happened = about(record);
    let mut after = shown(&record.topic);
    if !record.topic.members.is_empty() {
        let members = record.topic.members.iter().map(|member| shown_member(&record.topic, &member.sub));
        after["members"] = members.collect::<Vec<_>>().into();
    }
    happened.after = Some(after);
    told(&mut happened, TopicDeed::Created, record, None);
    happened
}

/// It is gone; it had events up to `head`.
#[must_use]
pub fn deleted(record: &TopicRecord, head: Seq) -> Happened {
    let mut happened = about(record);
    happened.before = Some(shown(&record.topic));
    happened.count_snapshot = Some(json!({ "events": head, "members": record.topic.members.len() }));
    told(&mut happened, TopicDeed::Deleted, record, None);
    happened
}

/// Nothing follows `head`, the event that says so.
#[must_use]
pub fn closed(record: &TopicRecord, head: Seq) -> Happened {
    let mut happened = about(record);
    happened.before = Some(json!({ "closed": false }));
    happened.after = Some(json!({ "closed": true }));
    happened.count_snapshot = Some(json!({ "events": head }));
    told(&mut happened, TopicDeed::Closed, record, None);
    happened
}

/// What a change came to; `None`: everything is as before.
#[must_use]
pub fn changed(before: &NewTopic, after: &TopicRecord, change: &TopicChange) -> Option<Happened> {
    let mut happened = about(after);
    let (mut was, mut is) = (Map::new(), Map::new());
    let now = &after.topic;
    if before.title != now.title {
        was.insert("title".into(), json!(before.title));
        is.insert("title".into(), json!(now.title));
    }
    if before.visibility != now.visibility {
        was.insert("visibility".into(), before.visibility.as_str().into());
        is.insert("visibility".into(), now.visibility.as_str().into());
    }
    for (deed, member) in system::happened(before, change) {
        if let Some(Member { sub, .. }) = &member {
            was.insert("member".into(), shown_member(before, sub));
            is.insert("member".into(), shown_member(now, sub));
        }
        told(&mut happened, deed, after, member.as_ref());
    }
    if happened.events.is_empty() {
        return None;
    }
    (happened.before, happened.after) = (Some(was.into()), Some(is.into()));
    Some(happened)
}

#[cfg(test)]
mod tests {
    use tambour_actors::cursor::Incarnation;
    use tambour_actors::log::{LogId, Member, Visibility};
    use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey};

    use super::*;

    fn record() -> TopicRecord {
        let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
        let topic = NewTopic {
            key: TopicKey::parse(&scope, "thread/x").unwrap(),
            creator: "alice".into(),
            title: Some("X".into()),
            visibility: Visibility::Team,
            members: vec![Member { sub: "bob".into(), can_write: false }],
            created_at_ms: 0,
            incarnation: Incarnation(1),
        };
        TopicRecord { log: LogId(7), topic }
    }

    /// The types of the events, and what changed.
    fn came_to(change: &TopicChange) -> Option<(Vec<&'static str>, Value)> {
        let before = record().topic;
        let mut after = record();
        change.apply(&mut after.topic).unwrap();
        let happened = changed(&before, &after, change)?;
        let types = happened.events.iter().map(|event| event.kind.as_str()).collect();
        Some((types, json!([happened.before, happened.after])))
    }

    fn put(sub: &str, can_write: bool) -> TopicChange {
        TopicChange { put_member: Some(Member { sub: sub.into(), can_write }), ..TopicChange::default() }
    }

    #[test]
    fn a_change_that_changes_nothing_comes_to_nothing() {
        let same =
            TopicChange { title: Some(Some("X".into())), visibility: Some(Visibility::Team), ..TopicChange::default() };
        let nobody = TopicChange { remove_member: Some("carol".into()), ..TopicChange::default() };
        for nothing in [TopicChange::default(), same, nobody, put("bob", false)] {
            assert_eq!(came_to(&nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_change_says_what_it_changed_and_no_more() {
        let title = TopicChange { title: Some(None), visibility: Some(Visibility::Team), ..TopicChange::default() };
        assert_eq!(came_to(&title), Some((vec!["thread.changed"], json!([{ "title": "X" }, { "title": null }]))));
        let member = |could: Value, can: Value| json!([{ "member": { "sub": "bob", "can": could } }, { "member": { "sub": "bob", "can": can } }]);
        let put = came_to(&put("bob", true));
        assert_eq!(put, Some((vec!["thread.member_put"], member("read".into(), "write".into()))));
        let remove = TopicChange { remove_member: Some("bob".into()), ..TopicChange::default() };
        let removed = (vec!["thread.member_removed"], member("read".into(), Value::Null));
        assert_eq!(came_to(&remove), Some(removed));
    }
}
