//! What a topic is told, and what it tells outlets.
//!
//! A topic never names the type of an outlet: it knows them as recipients of [`ToOutlet`], listed
//! in [`Outlets`]. One kind of message goes each way, so nothing overtakes.

use std::sync::Arc;

use actix::{Message, Recipient};
use parking_lot::RwLock;
use tokio::sync::oneshot;

use super::state::{OutletId, Published, Start, Started, Write};
use crate::cursor::Mark;
use crate::event::{Origin, Seq};
use crate::frame::Batch;
use crate::lag::LagQuestion;
use crate::log::{Bounds, TopicRecord};
use crate::refusal::{Code, Refusal};
use crate::review::{Review, Survey};
use crate::topic_key::TopicKey;

/// Counts the starts of topic actors, so that a late message of an old one is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life(pub u64);

/// Names a session's socket on its worker, and which use of its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LineId {
    /// The slot.
    pub slot: u32,
    /// Counts the uses of the slot.
    pub turn: u32,
}

/// What answers a writer. If it is dropped unused (the topic died), the writer is told that the
/// outcome is unknown, so nobody waits for ever.
pub struct Reply(Option<Answer>);

type Answer = Box<dyn FnOnce(Result<Published, Refusal>) + Send>;

impl Reply {
    /// A reply that calls `answer` exactly once.
    pub fn new(answer: impl FnOnce(Result<Published, Refusal>) + Send + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }

    /// Answers.
    pub fn send(mut self, result: Result<Published, Refusal>) {
        if let Some(answer) = self.0.take() {
            answer(result);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer(Err(Refusal::new(Code::PublishUnknown, "the topic was started again; read it before you repeat")));
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}

/// Append to the log. Sent with `try_send`: a full mailbox is `topic.busy`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Publish {
    /// What.
    pub write: Write,
    /// Who, and by which request.
    pub origin: Origin,
    /// Where the answer goes.
    pub reply: Reply,
}

/// What outlets ask of a topic.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum FromOutlet {
    /// A reader wants to start; answered by [`ToOutlet::Subscribed`]. Counts as one reader until
    /// detached.
    Subscribe {
        /// Whose reader.
        outlet: OutletId,
        /// Which session.
        line: LineId,
        /// Which of its subscriptions.
        ticket: u32,
        /// From where.
        start: Start,
    },
    /// Readers who were attached to an earlier life of the topic; answered by [`ToOutlet::Head`].
    Attach {
        /// Whose readers.
        outlet: OutletId,
        /// How many.
        readers: usize,
        /// What the outlet knows of.
        position: Seq,
    },
    /// Readers left.
    Detach {
        /// Whose.
        outlet: OutletId,
        /// How many.
        readers: usize,
    },
    /// A delivery is done with.
    Delivered {
        /// By whom.
        outlet: OutletId,
    },
    /// A reader is behind; answered by [`ToOutlet::Replayed`].
    Replay {
        /// Whose reader.
        outlet: OutletId,
        /// Which session.
        line: LineId,
        /// What they have.
        cursor: Seq,
        /// How much they want.
        bytes: usize,
        /// How.
        fold: Fold,
    },
}

/// How a reader is given what lies behind the head, and whether they may be given what is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Every event as it was written.
    No,
    /// With appends folded into what they were appended to. The reader is owed what a page had folded into what follows it:
    /// nothing but the next page may follow.
    Owed,
    /// The same; and the reader has everything up to their cursor, so that what is live may follow.
    Whole,
}

impl Fold {
    /// Of a reader who starts at `cursor`.
    #[must_use]
    pub fn starting(folds: bool, cursor: Seq, head: Seq) -> Self {
        match folds {
            false => Self::No,
            true if cursor < head => Self::Owed,
            true => Self::Whole,
        }
    }
}

/// Somebody polls: `reply` is used as soon as there is an event behind `after`, and dropped when the topic sleeps,
/// dies or is deleted.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Watch {
    /// What they have.
    pub after: Seq,
    /// Tells them to look.
    pub reply: oneshot::Sender<()>,
}

/// The topic's record was changed in the store.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Changed(pub Arc<TopicRecord>);

/// Retention took the events before this seq.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Trimmed(pub Seq);

/// Go to sleep if nothing is under way and `consent` still says yes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Sleep {
    /// Whether the directory still wants it; taken as the topic's removal.
    pub consent: Box<dyn FnOnce() -> bool + Send>,
}

/// The topic was deleted: stop. The directory tells the outlets.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Delete;

/// Why a topic has no more events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Its `closed` event was the last.
    Closed,
    /// It was deleted.
    Deleted,
    /// The reader may not read it any more.
    Forbidden,
}

impl EndReason {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Deleted => "deleted",
            Self::Forbidden => "forbidden",
        }
    }
}

/// What a reader who was behind gets.
#[derive(Debug)]
pub enum Replayed {
    /// These frames; the first may lie further on than asked for when the log was trimmed.
    Frames(Arc<Batch>),
    /// Nothing is there to be had: nothing is missing, or all that was is trimmed.
    UpToDate,
    /// The log can't be read now.
    Unavailable,
}

/// What topics, the directory for them, and the hub tell an outlet.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ToOutlet {
    /// New events; answered by [`FromOutlet::Delivered`].
    Deliver {
        /// Of which topic.
        key: TopicKey,
        /// Of which life.
        life: Life,
        /// Which.
        batch: Arc<Batch>,
    },
    /// A reader is counted, and starts here.
    Subscribed {
        /// In which topic, as it is known now: it may have been changed since the reader was admitted.
        record: Arc<TopicRecord>,
        /// Of which life.
        life: Life,
        /// Which session.
        line: LineId,
        /// Which of its subscriptions.
        ticket: u32,
        /// Where they start.
        started: Started,
        /// The ends of the log.
        bounds: Bounds,
    },
    /// The answer to an attach.
    Head {
        /// Of which topic.
        key: TopicKey,
        /// Of which life.
        life: Life,
        /// The newest seq.
        head: Seq,
    },
    /// The answer to a replay.
    Replayed {
        /// Of which topic.
        key: TopicKey,
        /// Of which life.
        life: Life,
        /// Which session.
        line: LineId,
        /// Behind what it was asked for.
        after: Seq,
        /// What.
        replayed: Replayed,
        /// The ends of the log.
        bounds: Bounds,
    },
    /// A topic sleeps: nothing comes from this life of it.
    Asleep {
        /// Which topic.
        key: TopicKey,
        /// Which life.
        life: Life,
    },
    /// A topic died: whatever was asked of this life of it is lost.
    Lost {
        /// Which topic.
        key: TopicKey,
        /// Which life.
        life: Life,
    },
    /// A topic is awake: who has readers attaches again.
    Awake {
        /// Which topic.
        key: TopicKey,
        /// Which life.
        life: Life,
    },
    /// A topic was deleted; it may have been asleep.
    Deleted {
        /// Which topic.
        key: TopicKey,
        /// Of its cursors: a topic made anew under the same name has another.
        mark: Mark,
    },
    /// A topic's record was changed: who reads it may have to be asked anew whether they may.
    Changed {
        /// What it is now.
        record: Arc<TopicRecord>,
    },
    /// Every session looks at its identity again.
    Review(Review),
    /// Every session of a scope says who it is.
    Survey(Arc<dyn Survey>),
    /// How far are the outlet's readers behind?
    Lag(Arc<LagQuestion>),
    /// The hub drains: every session tells its client to come back, and ends.
    Drain {
        /// Clients come back spread over this time.
        spread_ms: u64,
    },
}

/// The outlets of all workers, by the worker's index.
#[derive(Clone, Default)]
pub struct Outlets(Arc<RwLock<Vec<Seat>>>);

type Seat = Option<(OutletId, Recipient<ToOutlet>)>;

impl Outlets {
    /// Puts an outlet in its worker's place, for one that died too.
    pub fn seat(&self, outlet: OutletId, recipient: Recipient<ToOutlet>) {
        let mut seats = self.0.write();
        if seats.len() <= outlet.worker {
            seats.resize_with(outlet.worker + 1, || None);
        }
        seats[outlet.worker] = Some((outlet, recipient));
    }

    /// Sends to one outlet, if that life of it still lives.
    pub fn send(&self, outlet: OutletId, message: ToOutlet) {
        if let Some(Some((id, recipient))) = self.0.read().get(outlet.worker)
            && *id == outlet
        {
            recipient.do_send(message);
        }
    }

    /// Whether that life of an outlet still lives.
    #[must_use]
    pub fn has(&self, outlet: OutletId) -> bool {
        let seats = self.0.read();
        let seat = seats.get(outlet.worker).and_then(Option::as_ref);
        seat.is_some_and(|(id, recipient)| *id == outlet && recipient.connected())
    }

    /// Sends to every outlet.
    pub fn send_all(&self, message: impl Fn() -> ToOutlet) {
        for (_, recipient) in self.0.read().iter().flatten() {
            recipient.do_send(message());
        }
    }
}
