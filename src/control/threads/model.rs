//! Threads on the wire: what a client may ask for, and what it is shown.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tambour_actors::cursor::Incarnation;
use tambour_actors::frame::time_text;
use tambour_actors::log::{Bounds, MEMBERS_MAX, Member, NewTopic, TITLE_BYTES_MAX, TopicRecord, Visibility};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::TopicKey;

use crate::identity::jwt::SUB_BYTES_MAX;

/// The body of a create.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateThread {
    /// The id; made when it is missing.
    pub id: Option<String>,
    title: Option<String>,
    visibility: Option<String>,
    #[serde(default)]
    members: Vec<CreateMember>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateMember {
    sub: String,
    can: Option<String>,
}

impl CreateThread {
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
        let invalid = |detail: String| Refusal::new(Code::BodyInvalid, detail);
        if self.title.as_ref().is_some_and(|title| title.len() > TITLE_BYTES_MAX || title.chars().any(char::is_control))
        {
            return Err(invalid(format!("title has at most {TITLE_BYTES_MAX} bytes and no control characters")));
        }
        let visibility = match self.visibility.as_deref() {
            None => Visibility::Team,
            Some(text) => {
                Visibility::parse(text).ok_or_else(|| invalid("visibility is private, team or public".to_owned()))?
            }
        };
        if self.members.len() > MEMBERS_MAX {
            return Err(invalid(format!("a thread has at most {MEMBERS_MAX} members")));
        }
        let mut seen = HashSet::new();
        let members = self.members.into_iter().map(|member| {
            let form = (1..=SUB_BYTES_MAX).contains(&member.sub.len()) && !member.sub.chars().any(char::is_control);
            if !form || !seen.insert(member.sub.clone()) {
                return Err(invalid(format!("a member's sub has 1 to {SUB_BYTES_MAX} bytes, and comes once")));
            }
            let can_write = match member.can.as_deref() {
                None | Some("write") => true,
                Some("read") => false,
                Some(_) => return Err(invalid("a member can read or write".to_owned())),
            };
            Ok(Member { sub: member.sub.into(), can_write })
        });
        let members = members.collect::<Result<_, _>>()?;
        Ok(NewTopic { key, creator, title: self.title, visibility, members, created_at_ms, incarnation })
    }
}

/// A thread as clients see it.
#[derive(Debug, Serialize)]
pub struct Thread {
    id: String,
    topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    visibility: &'static str,
    creator: String,
    members: Vec<ThreadMember>,
    created_at: String,
    closed: bool,
    /// The head: a reader who starts behind it gets all that is still to come.
    cursor: String,
    oldest: String,
    newest: String,
}

#[derive(Debug, Serialize)]
struct ThreadMember {
    sub: String,
    can: &'static str,
}

impl Thread {
    /// Shows a record.
    #[must_use]
    pub fn show(record: &TopicRecord, bounds: Bounds) -> Self {
        let (topic, mark) = (&record.topic, record.mark());
        let member = |member: &Member| ThreadMember {
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
