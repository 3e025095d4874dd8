//! The port of topics: which exist, who made them, who may see them, and which log is theirs.
//!
//! This file never decides who may do what: admission does, from what is recorded here.

use std::sync::Arc;

use super::{Bounds, LogId, PortFuture, Unavailable};
use crate::cursor::{Incarnation, Mark};
use crate::deed::Deed;
use crate::topic_key::{Scope, TopicKey, TopicKind};

/// Who may see and write a topic besides its creator and the tenant's admins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// The members.
    Private,
    /// Everybody of the tenant who reads threads. The default.
    Team,
    /// Every principal of the tenant.
    Public,
}

impl Visibility {
    /// Parses `private`, `team` or `public`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "private" => Some(Self::Private),
            "team" => Some(Self::Team),
            "public" => Some(Self::Public),
            _ => None,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Team => "team",
            Self::Public => "public",
        }
    }
}

/// A principal who was let into a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The principal's subject.
    pub sub: Arc<str>,
    /// Whether they may write, too.
    pub can_write: bool,
}

/// A topic as its creator asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its full name.
    pub key: TopicKey,
    /// Who made it.
    pub creator: Arc<str>,
    /// A title for people; at most [`TITLE_BYTES_MAX`].
    pub title: Option<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Who was let in; at most [`MEMBERS_MAX`], each subject once.
    pub members: Vec<Member>,
    /// When, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// Of the log that begins with it: 64 random bits.
    pub incarnation: Incarnation,
}

/// Longest title, in bytes.
pub const TITLE_BYTES_MAX: usize = 256;
/// Most members of one topic.
pub const MEMBERS_MAX: usize = 1_000;

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRecord {
    /// Its log.
    pub log: LogId,
    /// What its creator asked for.
    pub topic: NewTopic,
}

impl TopicRecord {
    /// The mark of its cursors.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark::new(&self.topic.key, self.topic.incarnation)
    }
}

/// Why a topic was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// The key is taken; the first writer wins.
    #[error("the topic exists")]
    Exists,
    /// The engine could not write.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What of a topic is to be changed. `None`: stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicChange {
    /// The title; `Some(None)`: none.
    pub title: Option<Option<String>>,
    /// Who may see it.
    pub visibility: Option<Visibility>,
    /// Who is let in, or may do something else from now on.
    pub put_member: Option<Member>,
    /// Who is not in it any more; no error when they were not.
    pub remove_member: Option<Arc<str>>,
}

impl TopicChange {
    /// Carries the change out on what is known of a topic: the one reading of it for every store.
    ///
    /// # Errors
    /// [`ChangeError::MembersFull`]; the topic is as before.
    pub fn apply(&self, topic: &mut NewTopic) -> Result<(), ChangeError> {
        if let Some(member) = &self.put_member {
            match topic.members.iter().position(|known| known.sub == member.sub) {
                Some(place) => topic.members[place].can_write = member.can_write,
                None if topic.members.len() >= MEMBERS_MAX => return Err(ChangeError::MembersFull),
                None => topic.members.push(member.clone()),
            }
        }
        if let Some(sub) = &self.remove_member {
            topic.members.retain(|member| member.sub != *sub);
        }
        if let Some(title) = &self.title {
            topic.title.clone_from(title);
        }
        if let Some(visibility) = self.visibility {
            topic.visibility = visibility;
        }
        Ok(())
    }
}

/// Why a topic was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It would have more than [`MEMBERS_MAX`] members.
    #[error("the topic has as many members as it may")]
    MembersFull,
    /// The engine could not write.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Somebody who may read some topics of a scope: those that they made, that they are a member of, that are public,
/// and perhaps those of the team.
#[derive(Debug, Clone)]
pub struct VisibleTo {
    /// Who.
    pub sub: Arc<str>,
    /// Whether topics of the team are among them.
    pub team: bool,
}

impl VisibleTo {
    /// Whether a topic is among them: the one reading of it for every store.
    #[must_use]
    pub fn sees(&self, topic: &NewTopic) -> bool {
        let shared = match topic.visibility {
            Visibility::Private => false,
            Visibility::Team => self.team,
            Visibility::Public => true,
        };
        shared || topic.creator == self.sub || topic.members.iter().any(|member| member.sub == self.sub)
    }
}

/// Which topics a list holds.
#[derive(Debug, Clone)]
pub struct TopicQuery {
    /// Of this kind.
    pub kind: TopicKind,
    /// Whose ids are greater than this (byte order).
    pub after_id: Option<String>,
    /// `None`: all of the scope. Else those that somebody may read.
    pub visible_to: Option<VisibleTo>,
    /// At most this many, ascending by id.
    pub limit: usize,
}

/// A store of topics: which exist, who made them, and which log is theirs. Whatever changes one is written down with the deed in
/// the same transaction: what can't be written down does not happen.
pub trait Topics: Send + Sync + 'static {
    /// Creates a topic with an empty log, durably.
    fn create(&self, topic: NewTopic, by: Arc<Deed>) -> PortFuture<Result<TopicRecord, CreateError>>;

    /// Finds a topic and the ends of its log, from one snapshot that holds every create and
    /// delete that was answered before.
    fn find(&self, key: &TopicKey) -> PortFuture<Result<Option<(TopicRecord, Bounds)>, Unavailable>>;

    /// Changes a topic, durably. `None` when there is none.
    fn change(
        &self,
        key: &TopicKey,
        change: TopicChange,
        by: Arc<Deed>,
    ) -> PortFuture<Result<Option<TopicRecord>, ChangeError>>;

    /// Lists topics of a scope.
    fn list(&self, scope: &Scope, query: TopicQuery) -> PortFuture<Result<Vec<(TopicRecord, Bounds)>, Unavailable>>;

    /// Deletes a topic, durably; its events may go later, in slices, but are never read again. `false` when there was none.
    fn delete(&self, key: &TopicKey, by: Arc<Deed>) -> PortFuture<Result<bool, Unavailable>>;
}
