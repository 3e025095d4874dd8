//! What sessions ask of their outlet, and what it tells them. Both live on the same worker.

use std::sync::Arc;

use actix::Message;

use crate::directory::TopicHandle;
use crate::feed::view::View;
use crate::log::{Bounds, TopicRecord};
use crate::review::{Reading, Review, Survey};
use crate::topic::messages::{EndReason, LineId};
use crate::topic::state::{Start, Started};
use crate::topic_key::TopicKey;

/// From a session.
#[derive(Message)]
#[rtype(result = "()")]
pub enum FromSession {
    /// Start reading a topic; answered by [`ToSession::Subscribed`].
    Subscribe {
        /// Which session.
        line: LineId,
        /// Names this subscription among those of the session; never used again.
        ticket: u32,
        /// Which topic, as it was found and admitted.
        topic: TopicHandle,
        /// From where.
        start: Start,
        /// Whether replays come with appends folded.
        fold: bool,
        /// Of the feed: what the reader gets.
        view: Option<Box<View>>,
    },
    /// The client knows where it starts: events may follow.
    Go {
        /// Which session.
        line: LineId,
        /// Which subscription.
        ticket: u32,
    },
    /// Stop reading a topic.
    Unsubscribe {
        /// Which session.
        line: LineId,
        /// Which topic.
        key: TopicKey,
    },
    /// The socket was full and has room again.
    Drained {
        /// Which session.
        line: LineId,
    },
    /// The session is over: its line goes.
    Gone {
        /// Which session.
        line: LineId,
    },
}

/// To a session.
#[derive(Message)]
#[rtype(result = "()")]
pub enum ToSession {
    /// A reader is counted; the session tells the client, then says [`FromSession::Go`].
    Subscribed {
        /// In which topic, as it is known now.
        record: Arc<TopicRecord>,
        /// By which subscription.
        ticket: u32,
        /// Where the reader starts.
        started: Started,
        /// The ends of the log.
        bounds: Bounds,
    },
    /// No more events of a topic; the subscription is gone.
    Ended {
        /// Which topic.
        key: TopicKey,
        /// Which subscription.
        ticket: u32,
        /// Why.
        reason: EndReason,
    },
    /// A topic's record was changed.
    Changed {
        /// What it is now.
        record: Arc<TopicRecord>,
    },
    /// The socket is full: watch for it to drain.
    Blocked,
    /// The connection is gone.
    Broken,
    /// The peer accepted nothing, or gave no sign of life, for too long.
    Cut,
    /// The time that the session asked to be woken at.
    Alarm,
    /// Something was revoked or changed: is it about this one?
    Review(Review),
    /// Who is there?
    Survey {
        /// Who asks.
        survey: Arc<dyn Survey>,
        /// What the session reads.
        topics: Vec<Reading>,
    },
    /// Another stream of the same token goes on in its place.
    Replaced,
    /// The hub drains.
    Drain {
        /// When the client should come back.
        retry_after_ms: u64,
    },
}
