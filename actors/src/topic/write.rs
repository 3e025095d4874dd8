//! What a writer asks of a topic: events, under which conditions, and what they are told when those do not hold.
//!
//! Plain values; when a condition is looked at is the state's business.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::cursor::{Cursor, Mark};
use crate::deed::Deed;
use crate::event::{APPENDED_BYTES_MAX, NewEvent, Seq};
use crate::log::{AppendError, Bounds, Class, Once, Published, Remembered, Why};
use crate::refusal::{Code, Refusal};

/// What a writer asks for.
#[derive(Debug)]
pub struct Write {
    /// What is to be written.
    pub what: What,
    /// Only if it was not written before.
    pub once: Option<Once>,
    /// Only if nobody wrote meanwhile.
    pub expect: Option<Expect>,
    /// Only if all before it of the same chain were written.
    pub chain: Option<Chain>,
    /// When the topic took it; the topic says so.
    pub taken: Option<Instant>,
}

/// What is to be written.
#[derive(Debug)]
pub enum What {
    /// These events, appended as one. Never empty.
    Events(Vec<NewEvent>),
    /// The data of this event is taken away, and readers are told.
    Redact(Seq, Class),
    /// The topic's last event, and whose deed it is.
    Close(Arc<Deed>),
}

/// Where a writer expects the topic to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No event was ever written.
    Empty,
    /// The newest event is this one.
    At(Cursor),
}

/// Joins writes of one sender: behind one that was not written, those that follow are refused, so that nothing of a
/// request is written behind a hole in it. A write that goes in whatever way without having been written (refused, in a
/// mailbox that was full, or lost with its topic) breaks its chain.
#[derive(Debug, Clone, Default)]
pub struct Chain(Arc<AtomicBool>);

impl Chain {
    /// Whether a write of the chain was not written.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn tear(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl From<What> for Write {
    fn from(what: What) -> Self {
        Self { what, once: None, expect: None, chain: None, taken: None }
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if let Some(chain) = self.chain.take() {
            chain.tear();
        }
    }
}

impl Write {
    /// Events without a condition.
    #[must_use]
    pub fn events(events: Vec<NewEvent>) -> Self {
        What::Events(events).into()
    }

    /// What the write counts for while it waits, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match &self.what {
            What::Events(events) => events.iter().map(|e| e.data.len() + e.kind.as_str().len()).sum(),
            What::Redact(..) | What::Close(_) => 0,
        }
    }

    /// What it is for: events only ever add.
    pub(super) fn class(&self) -> Class {
        match &self.what {
            What::Events(_) => Class::Ordinary,
            What::Redact(_, class) => *class,
            What::Close(by) => by.class,
        }
    }

    /// Whether it would be the topic's last event.
    pub(super) fn closes(&self) -> bool {
        matches!(self.what, What::Close(_))
    }

    /// Whether it is a link of this chain.
    pub(super) fn is_of(&self, chain: &Chain) -> bool {
        self.chain.as_ref().is_some_and(|own| Arc::ptr_eq(&own.0, &chain.0))
    }

    /// It is written: the chain holds.
    pub(super) fn fulfil(&mut self) {
        self.chain = None;
    }

    /// What the writer is told whose key is remembered.
    ///
    /// # Errors
    /// `idempotency.mismatch`.
    pub(super) fn repeated(&self, remembered: Remembered) -> Result<Published, Refusal> {
        self.once.as_ref().map_or(Ok(remembered.places), |once| once.repeats(remembered))
    }
}

impl Once {
    /// What the writer is told whose key is remembered.
    ///
    /// # Errors
    /// `idempotency.mismatch`.
    pub fn repeats(&self, remembered: Remembered) -> Result<Published, Refusal> {
        if self.digest == remembered.digest {
            return Ok(remembered.places);
        }
        Err(Refusal::new(Code::IdempotencyMismatch, "this idempotency_key was used for something else"))
    }
}

impl Expect {
    /// Whether the topic is there.
    ///
    /// # Errors
    /// `expect.mismatch`, with the `head`.
    pub fn check(self, mark: Mark, bounds: Bounds) -> Result<(), Refusal> {
        let holds = match self {
            Self::Empty => bounds.head == 0,
            Self::At(cursor) => cursor == mark.at(bounds.head),
        };
        if holds {
            return Ok(());
        }
        let head = mark.at(bounds.head).to_string();
        Err(Refusal::new(Code::ExpectMismatch, "the topic is not where it was expected to be").with("head", head))
    }
}

/// The refusal behind a broken chain; its sender looks at the one that broke it. Nothing was written.
#[must_use]
pub fn behind_a_refused_one() -> Refusal {
    Refusal::new(Code::PublishUnknown, "not written: what stands before it was refused")
}

/// The refusal at a closed topic.
pub(super) fn closed() -> Refusal {
    Refusal::new(Code::TopicClosed, "nothing can be written behind the closed event")
}

/// The refusal of a write that the log rejected for its target.
pub(super) fn rejected(why: Why) -> Refusal {
    match why {
        Why::TargetForbidden => Refusal::new(Code::AppendForbidden, "only who sent an event appends to it"),
        Why::TargetFull => {
            let detail = format!("all appends to an event together have at most {APPENDED_BYTES_MAX} bytes");
            Refusal::new(Code::AppendTooLarge, detail)
        }
        // A repeated write is answered by its key, before its targets are looked at.
        Why::TargetUnknown | Why::Repeated(_) => {
            Refusal::new(Code::EventUnknown, "event_id names no event of this topic that is kept and can have text")
        }
    }
}

/// The refusal of everything in an append that failed.
pub(super) fn failed(error: &AppendError) -> Refusal {
    match error {
        AppendError::Gone => Refusal::topic_unknown(),
        AppendError::Conflict => {
            Refusal::new(Code::PublishUnknown, "the topic was started again meanwhile; read it before you repeat")
        }
        AppendError::Full(_) => Refusal::store_full(),
        AppendError::Unavailable(_) | AppendError::Rejected(_) => {
            Refusal::new(Code::StoreUnavailable, "the log can't be written now; read the topic before you repeat")
        }
    }
}
