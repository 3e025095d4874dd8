//! What goes to every session of a hub: a look at its identity, because something was revoked or changed, and the
//! question who is there.
//!
//! This file never decides who may stay; whoever asks does.

use std::sync::Arc;

use uuid::Uuid;

use crate::cursor::Mark;
use crate::event::Seq;
use crate::frame::Wire;
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::topic_key::{Scope, TopicKey};

/// What is left of an identity: `Ok(None)`: all of it; a principal: that one from now on; a refusal: nothing.
pub type Reviewed = Result<Option<Arc<Principal>>, Refusal>;

/// Looks at the identity of every session, by its connection.
pub type Review = Arc<dyn Fn(Uuid, &Arc<Principal>) -> Reviewed + Send + Sync>;

/// Asks every session of a scope who it is. Its drop says that all have answered.
pub trait Survey: Send + Sync {
    /// Whose sessions are asked.
    fn scope(&self) -> &Scope;

    /// A session answers.
    fn seen(&self, seen: Seen);
}

/// A session as it is now.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which; when it began is in it.
    pub connection_id: Uuid,
    /// Who.
    pub principal: Arc<Principal>,
    /// Where it comes from, as far as that is kept.
    pub from: String,
    /// What its client speaks.
    pub wire: Wire,
    /// What it reads.
    pub topics: Vec<Reading>,
}

/// How far a session is with a topic.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Which topic.
    pub key: TopicKey,
    /// Of its log: what its cursors begin with.
    pub mark: Mark,
    /// Events up to here were written to its socket.
    pub cursor: Seq,
    /// The newest event that its worker knows of.
    pub head: Seq,
}
