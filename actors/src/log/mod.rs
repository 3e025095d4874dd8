//! The log ports: where events are kept, and where topics are known.
//!
//! Everything behind these traits is asynchronous and takes batches, so that a shared engine
//! can stand behind them. Two things implement them: the in-memory log here and the SQLite
//! store of the server; both pass the contract suite in [`contract`]. This file never
//! decides an order: whoever appends does.

pub mod appender;
mod class;
pub mod contract;
pub mod feed;
pub mod memory;
mod topics;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub use class::Class;
pub use topics::{
    ChangeError, CreateError, MEMBERS_MAX, Member, NewTopic, TITLE_BYTES_MAX, TopicChange, TopicQuery, TopicRecord,
    Topics, Visibility, VisibleTo,
};

use crate::deed::Deed;
use crate::event::{Event, Seq};

/// A future that a port returns.
pub type PortFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// The log of one life of a topic. Never used again after the topic was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(pub i64);

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 64;
/// How long an idempotency key is remembered, in milliseconds.
pub const IDEMPOTENCY_KEPT_MS: i64 = 24 * 3_600 * 1_000;

/// What makes a write happen once: the writer's own key for it, and what it was used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Whose key: the principal's subject.
    pub sub: Arc<str>,
    /// The key; 1 to [`IDEMPOTENCY_KEY_BYTES_MAX`] bytes.
    pub key: Arc<str>,
    /// SHA-256 of what is written.
    pub digest: [u8; 32],
}

/// A write inside an append that happens at most once.
#[derive(Debug, Clone)]
pub struct OnceWrite {
    /// Its key.
    pub once: Once,
    /// Which of the append's events are its own.
    pub places: Published,
}

/// The first and last seq that a write was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Of its first event.
    pub first: Seq,
    /// Of its last event.
    pub last: Seq,
}

/// A write that was remembered by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// SHA-256 of what was written.
    pub digest: [u8; 32],
    /// Where it is.
    pub places: Published,
}

/// Events to add to one log, all or none.
///
/// Conditions are checked in this order, each against what is durable and what stands before it in the same
/// append without being rejected: the first seq; then, event by event, a key that was used within [`IDEMPOTENCY_KEPT_MS`] before
/// the event's time; the target of an `append` or a `redacted`. A `redacted` takes the data of its target and of all appends to that
/// away, in the same transaction. A key may be forgotten as soon as any write is later by that time.
#[derive(Debug, Clone)]
pub struct Append {
    /// Which log.
    pub log: LogId,
    /// Consecutive seqs, starting just behind the log's head. Never empty.
    pub events: Arc<[Event]>,
    /// Which of them must happen at most once; ascending, not overlapping, no key twice.
    pub once: Vec<OnceWrite>,
    /// Where the last of them is the hub's `closed`: whose deed that is. It is written down in the same transaction.
    pub closing: Option<Arc<Deed>>,
    /// What all of it is for.
    pub class: Class,
}

/// A write of an append whose condition does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its first event, or the one event whose target can't be meant.
    pub seq: Seq,
    /// Why.
    pub why: Why,
}

/// Why a write was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its key is remembered, from this write.
    Repeated(Remembered),
    /// No event that is kept has the target's seq, or it is an `append`, `redacted`, `closed`, or (for an append)
    /// was redacted.
    TargetUnknown,
    /// Somebody else sent the event that should get the text.
    TargetForbidden,
    /// Its appends would have more than [`crate::event::APPENDED_BYTES_MAX`].
    TargetFull,
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
    /// Conditions do not hold: all that were found, ascending by seq, at least one. The caller may append the rest.
    #[error("{} writes of the append are rejected", .0.len())]
    Rejected(Vec<Rejected>),
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

/// An event as a reader sees it who wants appends folded into what they were appended to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// Where it stands: at its own seq, or at that of its last append.
    pub at: Seq,
    /// The event. An `append` whose target is not kept is told as it is: whoever has the target adds the text.
    pub event: Event,
    /// The text of its appends, when there are any.
    pub text: Option<FoldedText>,
}

/// The text that was appended to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedText {
    /// A JSON string.
    pub text: Bytes,
    /// Of how many appends.
    pub appends: u64,
}

/// Part of a log with its appends folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedPage {
    /// Ascending by `at`, each behind the place asked for and not behind `upto`. May be empty.
    pub items: Vec<Folded>,
    /// How far the page reaches: who has it goes on behind this.
    pub upto: Seq,
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

    /// The same with appends folded. Every event that is kept is told once, at the place of its last append in the
    /// whole log, else at its own; an append is told only as that, while its target is kept. So an event before `after` is told
    /// again when text was appended behind `after`: whole, to take the place of what the reader has. And a reader has all
    /// text up to `upto` only when that is the head: till then what follows must be read folded, too.
    /// The limit counts the rows that were looked at, and the bytes that are given.
    fn read_folded(&self, log: LogId, after: Seq, limit: PageLimit) -> PortFuture<Result<FoldedPage, Unavailable>>;

    /// What a key was used for within [`IDEMPOTENCY_KEPT_MS`] before `now_ms`, from a snapshot that holds every append that
    /// was answered before.
    fn recall(
        &self,
        log: LogId,
        sub: &str,
        key: &str,
        now_ms: i64,
    ) -> PortFuture<Result<Option<Remembered>, Unavailable>>;

    /// Forgets the events before `oldest`, in slices that hold no append up for longer than a few milliseconds, and
    /// never the newest event. The answer is the ends behind it.
    fn trim(&self, log: LogId, oldest: Seq) -> PortFuture<Result<Bounds, Unavailable>>;
}
