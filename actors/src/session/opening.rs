//! What a session starts with: its connection, who the client is, where it begins, and its limits.
//!
//! Everything here was decided by admission; nothing here decides.

use std::rc::Rc;
use std::sync::Arc;

use actix::Recipient;
use uuid::Uuid;

use super::gate::{Gate, Greeter, Hold, Identity, Proved};
use crate::composite::Composite;
use crate::directory::TopicHandle;
use crate::feed::view::Filter;
use crate::frame::Wire;
use crate::outlet::line::Pace;
use crate::outlet::messages::ToSession;
use crate::outlet::socket::Socket;
use crate::topic::state::Start;

/// The limits of sessions, the same for all that begin under the same settings.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Most bytes of one WebSocket message.
    pub frame_bytes_max: usize,
    /// Most topics of one session.
    pub topics_max: usize,
    /// With so many publishes unanswered, a session stops reading.
    pub publishes_in_flight_max: usize,
    /// Most messages of a client in a second, on average and at once; 0: no limit.
    pub messages_per_second: u64,
    /// How long a client that opened without a token may wait with `hello`.
    pub hello_timeout_ms: u64,
    /// What SSE clients are told to wait before they connect again.
    pub sse_retry_ms: u64,
    /// How long before its end a client is told that its token expires.
    pub expiry_warning_ms: i64,
    /// Pings, comments, and how long a reader may accept nothing.
    pub pace: Pace,
}

/// What a session starts with.
pub struct Opening {
    /// What the client speaks.
    pub wire: Wire,
    /// The connection, taken over from HTTP.
    pub socket: Box<dyn Socket>,
    /// WebSocket bytes that came with the request.
    pub early: bytes::Bytes,
    /// What the client is greeted with.
    pub greeting: Box<Greeting>,
    /// Who, or who will find out from `hello`.
    pub who: Who,
    /// The topics that it reads from its start, and ends with: none, or one, or those of the composite id, in its order.
    pub topics: Vec<Wanted>,
    /// Of an SSE stream of several topics: where the client says that it stands, else before the first event of each.
    pub composite: Option<Box<Composite>>,
    /// Given back when the session ends.
    pub hold: Rc<dyn Hold>,
    /// Decides on topics.
    pub gate: Rc<dyn Gate>,
    /// Limits.
    pub limits: Arc<SessionLimits>,
}

/// The ids that a client is told first.
#[derive(Debug)]
pub struct Greeting {
    /// Of this connection, as a UUID of version 7 (RFC 9562, section 5.7), which says when it began.
    pub connection_id: Uuid,
    /// Of the request that opened it.
    pub request_id: Box<str>,
}

/// Whether the identity is known.
pub enum Who {
    /// It is.
    Known(Box<Identity>),
    /// It is, and the session only reads.
    Reader(Proved),
    /// The client says `hello` first.
    Unknown(Rc<dyn Greeter>),
}

impl Who {
    pub(super) fn proved(&self) -> Option<&Proved> {
        match self {
            Self::Known(identity) => Some(&identity.proved),
            Self::Reader(proved) => Some(proved),
            Self::Unknown(_) => None,
        }
    }

    pub(super) fn proved_mut(&mut self) -> Option<&mut Proved> {
        match self {
            Self::Known(identity) => Some(&mut identity.proved),
            Self::Reader(proved) => Some(proved),
            Self::Unknown(_) => None,
        }
    }

    /// Says by what the session can be told that it lost what its proof keeps.
    pub(super) fn begin(&self, session: &Recipient<ToSession>) {
        if let Some(lease) = self.proved().and_then(|proved| proved.lease.as_ref()) {
            lease.begun(session);
        }
    }
}

/// A topic that a session reads from its start.
pub struct Wanted {
    /// Which, admitted.
    pub topic: TopicHandle,
    /// From where.
    pub start: Start,
    /// The cursor as it was given.
    pub requested: Option<String>,
    /// Whether replays come with appends folded.
    pub fold: bool,
    /// Of the feed: what of it; `None`: all that the principal may see.
    pub filter: Option<Arc<Filter>>,
}
