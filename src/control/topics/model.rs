//! Topics on the wire: what a client may ask for, and what it is shown.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use tambour_actors::cursor::Incarnation;
use tambour_actors::entry::{Object, present};
use tambour_actors::frame::time_text;
use tambour_actors::log::{
    Bounds, MEMBERS_MAX, Member, NewTopic, TITLE_BYTES_MAX, TopicChange, TopicRecord, Visibility,
};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::TopicKey;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::ArrayBuilder;

use crate::identity::jwt::SUB_BYTES_MAX;
use crate::identity::subject::is_sub;
use crate::openapi::shapes;

/// The body of a create.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTopic {
    /// The id; made when it is missing.
    #[schema(value_type = Option<shapes::TopicId>)]
    pub id: Option<String>,
    #[schema(value_type = Option<shapes::Title>)]
    title: Option<String>,
    /// `team` when it is missing.
    #[schema(value_type = Option<shapes::Visibility>)]
    visibility: Option<String>,
    /// Who has made it: service keys alone say it of others.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::Sub)]
    pub creator: Option<String>,
    /// Each subject once.
    #[serde(default)]
    #[schema(schema_with = create_members)]
    members: Vec<Object<CreateMember>>,
}

fn create_members() -> ArrayBuilder {
    ArrayBuilder::new().items(Ref::from_schema_name(CreateMember::name())).max_items(Some(MEMBERS_MAX))
}

/// A member from the beginning.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMember {
    #[schema(value_type = shapes::Sub)]
    sub: String,
    /// `write` when it is missing.
    #[schema(value_type = Option<shapes::Can>)]
    can: Option<String>,
}

/// The body of a change: what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTopic {
    /// `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<shapes::Title>)]
    title: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::Visibility)]
    visibility: Option<String>,
}

/// The body of a member.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMember {
    /// `write` when it is missing.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::Can)]
    can: Option<String>,
}

/// Tells a member that is `null` from one that is not there.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::BodyInvalid, detail.into())
}

fn title(title: Option<String>) -> Result<Option<String>, Refusal> {
    if title.as_ref().is_some_and(|title| title.len() > TITLE_BYTES_MAX || title.chars().any(char::is_control)) {
        return Err(invalid(format!("title has at most {TITLE_BYTES_MAX} bytes and no control characters")));
    }
    Ok(title)
}

fn visibility(text: &str) -> Result<Visibility, Refusal> {
    Visibility::parse(text).ok_or_else(|| invalid("visibility is private, team or public"))
}

fn member(sub: &str, can: Option<&str>) -> Result<Member, Refusal> {
    let can_write = match can {
        None | Some("write") => true,
        Some("read") => false,
        Some(_) => return Err(invalid("a member can read or write")),
    };
    Ok(Member { sub: sub.into(), can_write })
}

/// What is said of a topic that would have more members than it may.
#[must_use]
pub fn members_full() -> Refusal {
    invalid(format!("a topic has at most {MEMBERS_MAX} members"))
}

impl CreateTopic {
    /// The topic that is asked for.
    ///
    /// # Errors
    /// `body.invalid`.
    pub fn topic(
        self,
        key: TopicKey,
        creator: Arc<str>,
        created_at_ms: i64,
        incarnation: Incarnation,
    ) -> Result<NewTopic, Refusal> {
        let title = title(self.title)?;
        let visibility = self.visibility.as_deref().map_or(Ok(Visibility::Team), visibility)?;
        if self.members.len() > MEMBERS_MAX {
            return Err(members_full());
        }
        let mut seen = HashSet::new();
        let members = self.members.iter().map(|Object(asked)| {
            if !is_sub(&asked.sub) || !seen.insert(&asked.sub) {
                return Err(invalid(format!("a member's sub has 1 to {SUB_BYTES_MAX} bytes, and comes once")));
            }
            member(&asked.sub, asked.can.as_deref())
        });
        let members = members.collect::<Result<_, _>>()?;
        Ok(NewTopic { key, creator, title, visibility, members, created_at_ms, incarnation })
    }
}

impl ChangeTopic {
    /// The change that is asked for.
    ///
    /// # Errors
    /// `body.invalid`.
    pub fn change(self) -> Result<TopicChange, Refusal> {
        let title = self.title.map(title).transpose()?;
        let visibility = self.visibility.as_deref().map(visibility).transpose()?;
        Ok(TopicChange { title, visibility, ..TopicChange::default() })
    }
}

impl PutMember {
    /// The change that is asked for.
    ///
    /// # Errors
    /// `body.invalid`.
    pub fn change(&self, sub: &str) -> Result<TopicChange, Refusal> {
        let put_member = Some(member(sub, self.can.as_deref())?);
        Ok(TopicChange { put_member, ..TopicChange::default() })
    }
}

/// A topic as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Topic)]
pub struct Shown {
    #[schema(value_type = shapes::TopicId)]
    id: String,
    /// As WebSocket frames and events name it.
    #[schema(value_type = shapes::TopicName)]
    topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Title)]
    title: Option<String>,
    #[schema(value_type = shapes::Visibility)]
    visibility: &'static str,
    /// Who made it.
    #[schema(value_type = shapes::Sub)]
    creator: String,
    members: Vec<ShownMember>,
    #[schema(value_type = shapes::Time)]
    created_at: String,
    /// Whether nothing can be written to it any more.
    closed: bool,
    /// The head: a reader who starts behind it gets all that is still to come.
    #[schema(value_type = shapes::Cursor)]
    cursor: String,
    /// The oldest event that is kept; behind `newest` where there is none.
    #[schema(value_type = shapes::Cursor)]
    oldest: String,
    /// The newest event; in an empty topic the place before the first.
    #[schema(value_type = shapes::Cursor)]
    newest: String,
}

/// A member as clients see them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
pub struct ShownMember {
    #[schema(value_type = shapes::Sub)]
    sub: String,
    #[schema(value_type = shapes::Can)]
    can: &'static str,
}

/// Threads, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub struct ThreadList {
    /// The threads.
    pub threads: Vec<Shown>,
    /// Whether there are more behind the last.
    pub has_more: bool,
}

/// Canvases, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub struct CanvasList {
    /// The canvases.
    pub canvases: Vec<Shown>,
    /// Whether there are more behind the last.
    pub has_more: bool,
}

/// A topic, and how much of its log is kept, from one moment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Snapshot {
    #[serde(flatten)]
    topic: Shown,
    /// How many events are kept.
    count: u64,
}

impl Shown {
    /// Shows a record.
    #[must_use]
    pub fn of(record: &TopicRecord, bounds: Bounds) -> Self {
        let (topic, mark) = (&record.topic, record.mark());
        let member = |member: &Member| ShownMember {
            sub: member.sub.to_string(),
            can: if member.can_write { "write" } else { "read" },
        };
        Self {
            id: topic.key.id().to_owned(),
            topic: topic.key.topic(),
            title: topic.title.clone(),
            visibility: topic.visibility.as_str(),
            creator: topic.creator.to_string(),
            members: topic.members.iter().map(member).collect(),
            created_at: time_text(topic.created_at_ms),
            closed: bounds.closed,
            cursor: mark.at(bounds.head).to_string(),
            oldest: mark.at(bounds.oldest).to_string(),
            newest: mark.at(bounds.head).to_string(),
        }
    }
}

impl Snapshot {
    /// Shows a record and what is kept of its log.
    #[must_use]
    pub fn of(record: &TopicRecord, bounds: Bounds) -> Self {
        Self { topic: Shown::of(record, bounds), count: bounds.head + 1 - bounds.oldest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &Result<TopicChange, Code>) {
        let asked: Result<ChangeTopic, _> = serde_json::from_str(body);
        let got = asked.map_err(|_| Code::BodyInvalid).and_then(|asked| asked.change().map_err(|refusal| refusal.code));
        assert_eq!(got, *expected, "{body}");
    }

    #[test]
    fn changes() {
        let none = TopicChange::default;
        check("{}", &Ok(none()));
        check(r#"{"title":"a"}"#, &Ok(TopicChange { title: Some(Some("a".to_owned())), ..none() }));
        check(r#"{"title":null}"#, &Ok(TopicChange { title: Some(None), ..none() }));
        check(r#"{"visibility":"private"}"#, &Ok(TopicChange { visibility: Some(Visibility::Private), ..none() }));
        let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(257));
        for bad in [
            r#"{"visibility":null}"#,
            r#"{"visibility":"secret"}"#,
            r#"{"title":1}"#,
            r#"{"title":"a\nb"}"#,
            r#"{"members":[]}"#,
            r#"{"title":"a","title":"b"}"#,
            &long,
        ] {
            check(bad, &Err(Code::BodyInvalid));
        }
    }
}
