//! What the writer is asked, and how it answers. It never touches the file.

use std::sync::Arc;

use tambour_actors::deed::Deed;
use tambour_actors::event::{Event, Seq};
use tambour_actors::log::feed::{FeedEnds, Tap};
use tambour_actors::log::{
    Append, AppendError, Bounds, ChangeError, Class, CreateError, LogId, NewTopic, TopicChange, TopicRecord,
    Unavailable,
};
use tambour_actors::topic_key::{Scope, TopicKey};

use super::Answer;
use super::queue::{Weight, Weighted};
use super::tokens;
use crate::admission::standing::change::Change as StandingChange;
use crate::audit::entry::Happened;

/// What the writer is asked to do.
pub(super) enum Command {
    /// All of one class.
    Append {
        items: Vec<Append>,
        weight: Weight,
        class: Class,
        answer: Answer<Vec<Result<(), AppendError>>>,
    },
    Bounds {
        log: LogId,
        answer: Answer<Bounds>,
    },
    Create {
        topic: NewTopic,
        by: Arc<Deed>,
        answer: Answer<Result<TopicRecord, CreateError>>,
    },
    Change {
        key: TopicKey,
        change: TopicChange,
        by: Arc<Deed>,
        answer: Answer<Result<Option<TopicRecord>, ChangeError>>,
    },
    Delete {
        key: TopicKey,
        by: Arc<Deed>,
        answer: Answer<bool>,
    },
    /// Something is said of identities. What else belongs to the change is written in the same transaction.
    Administer {
        change: StandingChange,
        by: Arc<Deed>,
        answer: Answer<()>,
    },
    /// Stream tokens are over where they are kept.
    Ended {
        ending: i64,
        answer: Answer<()>,
    },
    /// Something happened that changes nothing else in the store: it is written down.
    Record {
        by: Arc<Deed>,
        happened: Box<Happened>,
        answer: Answer<()>,
    },
    /// There is to be a feed.
    Feed {
        scope: Scope,
        answer: Answer<()>,
    },
    /// Somebody wants to be told of commits.
    Tap {
        scope: Scope,
        tap: Arc<Tap>,
        answer: Answer<FeedEnds>,
    },
    Tokens {
        ask: tokens::Ask,
        answer: Answer<tokens::Told>,
    },
    /// Carried out in slices, beside the others.
    Trim(Trim),
    #[cfg(test)]
    Panic,
}

/// The events of a log before `oldest` are to go.
pub(super) struct Trim {
    pub(super) log: LogId,
    pub(super) oldest: Seq,
    pub(super) answer: Answer<Bounds>,
}

/// What a command came to, told when the transaction is on disk.
pub(super) enum Outcome {
    Appended(Vec<Result<(), AppendError>>),
    Bounds(Bounds),
    Created(Result<TopicRecord, CreateError>),
    Changed(Result<Option<TopicRecord>, ChangeError>),
    Deleted(bool),
    /// Of whatever has nothing to say but that it is done.
    Done,
    Tapped(FeedEnds),
    Tokens(tokens::Told),
}

impl Command {
    /// A call to append, weighed by the caller's thread.
    pub(super) fn append(items: Vec<Append>, class: Class, answer: Answer<Vec<Result<(), AppendError>>>) -> Self {
        let mut weight = Weight::default();
        for item in &items {
            weight.events += item.events.len();
            weight.bytes += item.events.iter().map(Event::size_bytes).sum::<usize>();
        }
        Self::Append { items, weight, class, answer }
    }

    /// What it is for.
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Append { class, .. } => *class,
            Self::Create { .. } => Class::Ordinary,
            Self::Change { by, .. }
            | Self::Delete { by, .. }
            | Self::Administer { by, .. }
            | Self::Record { by, .. } => by.class,
            Self::Tokens { ask, .. } => ask.class(),
            // A feed has one row for ever.
            Self::Bounds { .. } | Self::Ended { .. } | Self::Feed { .. } | Self::Tap { .. } | Self::Trim(_) => {
                Class::Upkeep
            }
            #[cfg(test)]
            Self::Panic => Class::Ordinary,
        }
    }

    pub(super) fn answer(self, outcome: Outcome) {
        // A caller who dropped the future does not hear the answer: that is theirs to decide.
        match (self, outcome) {
            (Self::Append { answer, .. }, Outcome::Appended(answers)) => drop(answer.send(Ok(answers))),
            (Self::Bounds { answer, .. }, Outcome::Bounds(bounds)) => drop(answer.send(Ok(bounds))),
            (Self::Create { answer, .. }, Outcome::Created(created)) => drop(answer.send(Ok(created))),
            (Self::Change { answer, .. }, Outcome::Changed(changed)) => drop(answer.send(Ok(changed))),
            (Self::Delete { answer, .. }, Outcome::Deleted(deleted)) => drop(answer.send(Ok(deleted))),
            (
                Self::Administer { answer, .. }
                | Self::Ended { answer, .. }
                | Self::Record { answer, .. }
                | Self::Feed { answer, .. },
                Outcome::Done,
            ) => drop(answer.send(Ok(()))),
            (Self::Tap { answer, .. }, Outcome::Tapped(ends)) => drop(answer.send(Ok(ends))),
            (Self::Tokens { answer, .. }, Outcome::Tokens(told)) => drop(answer.send(Ok(told))),
            _ => unreachable!("an outcome is made from its own command"),
        }
    }

    pub(super) fn refuse(self, why: &Unavailable) {
        let why = why.clone();
        match self {
            Self::Append { answer, .. } => drop(answer.send(Err(why))),
            Self::Bounds { answer, .. } | Self::Trim(Trim { answer, .. }) => drop(answer.send(Err(why))),
            Self::Create { answer, .. } => drop(answer.send(Err(why))),
            Self::Change { answer, .. } => drop(answer.send(Err(why))),
            Self::Delete { answer, .. } => drop(answer.send(Err(why))),
            Self::Administer { answer, .. }
            | Self::Ended { answer, .. }
            | Self::Record { answer, .. }
            | Self::Feed { answer, .. } => {
                drop(answer.send(Err(why)));
            }
            Self::Tap { answer, .. } => drop(answer.send(Err(why))),
            Self::Tokens { answer, .. } => drop(answer.send(Err(why))),
            #[cfg(test)]
            Self::Panic => {}
        }
    }
}

impl Weighted for Command {
    fn weight(&self) -> Weight {
        match self {
            Self::Append { weight, .. } => *weight,
            Self::Bounds { .. } | Self::Ended { .. } | Self::Trim(_) | Self::Feed { .. } | Self::Tap { .. } => {
                Weight { events: 1, bytes: 0 }
            }
            Self::Create { .. }
            | Self::Change { .. }
            | Self::Delete { .. }
            | Self::Administer { .. }
            | Self::Record { .. } => Weight { events: 1, bytes: 1_024 },
            Self::Tokens { ask, .. } => Weight { events: ask.rows(), bytes: 1_024 },
            #[cfg(test)]
            Self::Panic => Weight { events: 1, bytes: 0 },
        }
    }
}
