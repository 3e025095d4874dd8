//! The log ports: where events are kept, and where topics are known.
//!
//! Everything behind these traits is asynchronous and takes batches, so that a shared engine
//! can stand behind them. Two things implement them: the in-memory log here and the SQLite
//! store of the server; both pass the contract suite in [`contract`]. This file never
//! decides an order: whoever appends does.

pub mod appender;
pub mod contract;
pub mod memory;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::cursor::{Incarnation, Mark};
use crate::event::{Event, Seq};
use crate::topic_key::{Scope, TopicKey, TopicKind};

/// A future that a port returns.
pub type PortFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// The log of one life of a topic. Never used again after the topic was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(pub i64);

/// Events to add to one log, all or none.
#[derive(Debug, Clone)]
pub struct Append {
    /// Which log.
    pub log: LogId,
    /// Consecutive seqs, starting just behind the log's head. Never empty.
    pub events: Arc<[Event]>,
}

/// Why an append was refused. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The first seq is not just behind the head: somebody else wrote, or the caller's head is old.
    #[error("the log's head is not where the append starts")]
    Conflict,
    /// The log was deleted.
    #[error("the log is gone")]
    Gone,
    /// The disk is full; the text is for the operator's log alone.
    #[error("the log's disk is full: {0}")]
    Full(String),
    /// The engine could not write; the text is for the operator's log alone.
    #[error("the log can't be written: {0}")]
    Unavailable(String),
}

/// The engine could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store can't answer: {why}")]
pub struct Unavailable {
    /// Whether it is for want of room on the disk: the operator can make some, and reading goes on.
    pub full: bool,
    /// What happened, for the operator's log alone.
    pub why: String,
}

impl<T: Into<String>> From<T> for Unavailable {
    /// For any reason but a full disk.
    fn from(why: T) -> Self {
        Self { full: false, why: why.into() }
    }
}

impl From<Unavailable> for AppendError {
    fn from(Unavailable { full, why }: Unavailable) -> Self {
        if full { Self::Full(why) } else { Self::Unavailable(why) }
    }
}

/// The ends of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Seq of the oldest event that is kept; head + 1 when none is.
    pub oldest: Seq,
    /// Seq of the newest event; 0 when there was never one.
    pub head: Seq,
    /// Whether the newest event is the hub's `closed`.
    pub closed: bool,
}

impl Bounds {
    /// The bounds of a log that never had an event.
    pub const EMPTY: Self = Self { oldest: 1, head: 0, closed: false };
}

/// How much of a log one read may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// At most this many events.
    pub events: usize,
    /// Stop behind the event that brings the sum of [`Event::size_bytes`] to this. One event is
    /// always returned when there is one.
    pub bytes: usize,
}

/// Part of a log: consecutive events that are kept, and the ends at the time of the read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Ascending, without holes. Starts at the first kept event behind the place asked for.
    pub events: Vec<Event>,
    /// The log's ends in the same snapshot.
    pub bounds: Bounds,
}

/// A store of logs. A log exists from [`Topics::create`] to [`Topics::delete`].
pub trait EventLog: Send + Sync + 'static {
    /// Appends each item, durably: when the future resolves to `Ok` for an item, its events
    /// survive a crash of the machine (fsync, or the engine's documented equal). Items are
    /// independent of each other; the answers are in the order of the items. Calls are carried
    /// out in the order in which they were made, whether or not their futures are polled.
    fn append(&self, items: Vec<Append>) -> PortFuture<Vec<Result<(), AppendError>>>;

    /// The ends of a log, ordered behind every append and delete that was called for before: who
    /// is told a head here can append behind it. A deleted log reads as an empty one.
    fn bounds(&self, log: LogId) -> PortFuture<Result<Bounds, Unavailable>>;

    /// Reads events behind `after`, ascending, from one snapshot. Sees only what is durable.
    /// A deleted log reads as an empty one.
    fn read(&self, log: LogId, after: Seq, limit: PageLimit) -> PortFuture<Result<Page, Unavailable>>;
}

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

/// Which topics a list holds.
#[derive(Debug, Clone)]
pub struct TopicQuery {
    /// Of this kind.
    pub kind: TopicKind,
    /// Whose ids are greater than this (byte order).
    pub after_id: Option<String>,
    /// `None`: all of the scope. `Some(sub)`: those that `sub` may read: made by them, shared with
    /// them as a member, or of visibility `team` or `public`.
    pub visible_to: Option<Arc<str>>,
    /// At most this many, ascending by id.
    pub limit: usize,
}

/// A store of topics: which exist, who made them, and which log is theirs.
pub trait Topics: Send + Sync + 'static {
    /// Creates a topic with an empty log, durably.
    fn create(&self, topic: NewTopic) -> PortFuture<Result<TopicRecord, CreateError>>;

    /// Finds a topic and the ends of its log, from one snapshot that holds every create and
    /// delete that was answered before.
    fn find(&self, key: &TopicKey) -> PortFuture<Result<Option<(TopicRecord, Bounds)>, Unavailable>>;

    /// Lists topics of a scope.
    fn list(&self, scope: &Scope, query: TopicQuery) -> PortFuture<Result<Vec<(TopicRecord, Bounds)>, Unavailable>>;

    /// Deletes a topic, durably; its events may go later, in slices, but are never read again. `false` when there was none.
    fn delete(&self, key: &TopicKey) -> PortFuture<Result<bool, Unavailable>>;
}
