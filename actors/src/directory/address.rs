//! Where a topic, or the feed, is reached: whoever reads does not know the difference.
//!
//! Only a topic can be written to.

use actix::dev::ToEnvelope;
use actix::{Addr, Handler, Message};

use crate::feed::FeedActor;
use crate::topic::TopicActor;

/// The address of whoever owns an order of events.
#[derive(Clone)]
pub enum Address {
    /// Of a topic.
    Topic(Addr<TopicActor>),
    /// Of a feed.
    Feed(Addr<FeedActor>),
}

impl Address {
    /// Sends what both understand: what outlets ask, who polls, that it may sleep.
    pub fn do_send<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        TopicActor: Handler<M>,
        FeedActor: Handler<M>,
        <TopicActor as actix::Actor>::Context: ToEnvelope<TopicActor, M>,
        <FeedActor as actix::Actor>::Context: ToEnvelope<FeedActor, M>,
    {
        match self {
            Self::Topic(addr) => addr.do_send(message),
            Self::Feed(addr) => addr.do_send(message),
        }
    }

    /// Whether it lives.
    #[must_use]
    pub fn connected(&self) -> bool {
        match self {
            Self::Topic(addr) => addr.connected(),
            Self::Feed(addr) => addr.connected(),
        }
    }

    /// The topic, if it is one.
    #[must_use]
    pub fn topic(&self) -> Option<&Addr<TopicActor>> {
        match self {
            Self::Topic(addr) => Some(addr),
            Self::Feed(_) => None,
        }
    }
}
