//! What a session asks of admission. The server implements it; a session never reads a token itself.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use actix::Recipient;
use futures_util::future::LocalBoxFuture;

use crate::directory::TopicHandle;
use crate::entry::Entry;
use crate::event::Origin;
use crate::log::TopicRecord;
use crate::outlet::messages::ToSession;
use crate::principal::Principal;
use crate::refusal::Refusal;
use crate::review::Reviewed;
use crate::topic_key::TopicKind;

/// What somebody wants of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// See its events.
    Read,
    /// Append events.
    Write,
    /// Close or delete it.
    Manage,
}

/// A topic, by its name as a frame has it, and what the frame wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The name.
    pub topic: &'a str,
    /// What is wanted.
    pub right: Right,
}

/// Who a session is, and what its events say of their origin.
#[derive(Clone)]
pub struct Identity {
    /// Who.
    pub proved: Proved,
    /// Of what this session publishes.
    pub origin: Origin,
}

/// A principal, and what the proof keeps for as long as a session has it. Clones share what is kept.
#[derive(Clone)]
pub struct Proved {
    /// Who.
    pub principal: Arc<Principal>,
    /// Of a stream token: its one live stream. Its drop gives it back.
    pub lease: Option<Rc<dyn Lease>>,
}

/// What a proof keeps for as long as a session has it.
pub trait Lease {
    /// The session lives, and this is how it is told that it lost what it keeps. It may be told at once.
    fn begun(&self, session: &Recipient<ToSession>);
}

/// The answer to [`Gate::admit`].
pub enum Admission {
    /// Known at once.
    Now(Result<TopicHandle, Refusal>),
    /// The topic must be found first.
    Later(LocalBoxFuture<'static, Result<TopicHandle, Refusal>>),
}

/// An identity that a store or an issuer may have to be asked about.
pub type Proving<T> = LocalBoxFuture<'static, Result<T, Refusal>>;

/// Decides who may do what. One per worker.
pub trait Gate {
    /// A principal wants something of a topic, by its name in their scope.
    fn admit(self: Rc<Self>, principal: &Arc<Principal>, topic: &str, right: Right) -> Admission;

    /// Whether a principal still has a right on a topic whose record was changed.
    ///
    /// # Errors
    /// `permission.denied`, `kill_switch.blocked`.
    fn may(&self, principal: &Principal, record: &TopicRecord, right: Right) -> Result<(), Refusal>;

    /// A session renews, from an address: the token must be the same principal's. By the one that it lives by it goes on
    /// as it is.
    ///
    /// # Errors
    /// As for a first token; `auth.identity_changed` for somebody else's.
    fn renew(self: Rc<Self>, identity: &Identity, from: IpAddr, token: String) -> Proving<Identity>;

    /// What is left of an identity that was proved a moment ago: asked when a session begins, because it hears of
    /// [reviews](crate::review::Review) only from then on.
    ///
    /// # Errors
    /// Why it is over.
    fn review(&self, principal: &Arc<Principal>) -> Reviewed;

    /// Whether a session that was opened so may go on at all: asked when it begins, and behind every review.
    ///
    /// # Errors
    /// `kill_switch.blocked`.
    fn goes_on(&self, principal: &Principal, hold: &dyn Hold) -> Result<(), Refusal>;

    /// Whether topics of a kind may be read at all: asked behind every review.
    ///
    /// # Errors
    /// `kill_switch.blocked`.
    fn reads(&self, principal: &Principal, kind: TopicKind) -> Result<(), Refusal>;

    /// Whether an entry may be written at all, whatever the topic: asked right before it is sent.
    ///
    /// # Errors
    /// `kill_switch.blocked`.
    fn writes(&self, principal: &Principal, entry: &Entry) -> Result<(), Refusal>;

    /// The client of a session, at an address, was told that what it wanted of a topic is refused, whoever refused it: told
    /// once for each such answer. Refusals of [`Self::renew`] the gate knows itself.
    fn refused(&self, identity: &Identity, from: IpAddr, claim: Claim<'_>, refusal: &Refusal);
}

/// Proves the identity of a session that opened without a token.
pub trait Greeter {
    /// The client said `hello`.
    ///
    /// # Errors
    /// As for the same token and context in headers.
    fn hello(self: Rc<Self>, token: String, tenant_id: Option<String>, env: Option<String>) -> Proving<Identity>;
}

/// What a session holds of what is limited. Its drop gives it back.
pub trait Hold {
    /// Where the connection came from, as far as it is kept.
    fn from(&self) -> String;

    /// The same as an address to count by: of a network that is kept, the first.
    fn address(&self) -> IpAddr;

    /// By what the connection was opened: a number that means something to who made this.
    fn opened_by(&self) -> u8;
}
