//! Stream tokens: the port to where they are kept, what is kept of one, and the text of one.
//!
//! A token is 256 random bits; what is kept is its SHA-256, so who reads the store opens nothing. Nothing here decides
//! who may have one, or knows a stream. Time arrives as an argument.

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
mod model;
mod record;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tambour_actors::log::{PortFuture, Unavailable};
use tambour_actors::principal::{Digest, Principal, Proof, Role, StreamProof};
use tambour_actors::topic_key::Scope;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::context::STREAM_TOKEN_PREFIX;
use crate::config::value::Secret;

/// Random bytes in a token.
const RANDOM_BYTES: usize = 32;
/// The same as base64url without padding.
const ENCODED_BYTES: usize = 43;
/// Notices that may wait to be heard. One more is dropped: who keeps a token finds out at the next keep.
pub const NOTICES_MAX: usize = 1_024;

/// A stream that holds a token: made for each opening, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub Uuid);

/// A stream and the token that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    /// Which token.
    pub digest: Digest,
    /// Which stream.
    pub stream: StreamId,
}

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Whom it proves. Its proof is a [`Proof::Stream`], and its expiry the end of the token's life whatever is done with
    /// it: its parent's expiry, or `tokens.life_max_seconds` behind its making.
    pub principal: Arc<Principal>,
    /// How long it lives when no stream holds it, in milliseconds.
    pub ttl_ms: i64,
    /// Whether it opens one stream and no other.
    pub single_use: bool,
}

impl TokenRecord {
    /// The proof that the token is; `None` of a principal that something else proved.
    #[must_use]
    pub fn proof(&self) -> Option<&Arc<StreamProof>> {
        match &self.principal.proof {
            Proof::Stream(proof) => Some(proof),
            Proof::Main { .. } | Proof::Key(_) => None,
        }
    }
}

/// What tokens of one parent have in common: by it those that were never opened are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parent(pub Digest);

impl Parent {
    /// The parent of what is made by a caller with their token: a service key by its id, a JWT by its `jti`, else by
    /// itself. A `jti` is its issuer's own, so two people whose issuers chose the same one are still two.
    #[must_use]
    pub fn of(caller: &Principal, token: &str) -> Self {
        let (kind, sub, name) = match &caller.proof {
            Proof::Key(_) => ("key", "", &*caller.sub),
            Proof::Main { jti: Some(jti), .. } => ("jti", &*caller.sub, &**jti),
            Proof::Main { jti: None, .. } | Proof::Stream(_) => ("jwt", "", token),
        };
        Self(digest_of(&format!("{kind}\0{sub}\0{name}")))
    }

    /// The parent of what a service key makes for a person: the key and the person together, so that nobody uses up what
    /// the key has for others.
    #[must_use]
    pub fn of_person(key: &str, person: &str) -> Self {
        Self(digest_of(&format!("person\0{key}\0{person}")))
    }

    /// All that a service key makes for whomever.
    #[must_use]
    pub fn of_people(key: &str) -> Self {
        Self(digest_of(&format!("people\0\0{key}")))
    }
}

/// A bound on tokens that were issued and never opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// By what they are counted.
    pub of: Parent,
    /// With so many, no more are issued.
    pub outstanding_max: usize,
}

/// A token that is to be kept.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// By what it is counted until it is opened.
    pub own: Bound,
    /// A wider bound that it is counted by as well.
    pub within: Option<Bound>,
    /// What it is good for; its digest is in the proof.
    pub record: TokenRecord,
}

/// Why a token was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// As many as there may be were never opened.
    #[error("too many tokens were never opened")]
    Outstanding,
    /// The store could not answer. The token may have been kept or not.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A token that a stream holds from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What it is good for.
    pub record: TokenRecord,
    /// Which stream held it before, and holds it no more.
    pub before: Option<StreamId>,
}

/// What became of a token that is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It lives on.
    Lives,
    /// Another stream holds it.
    Taken,
    /// It is not there any more.
    Gone,
}

/// Which tokens are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoke {
    /// Those that were made with a JWT of this id, in a scope, and give no higher role than this one.
    Jti(Scope, Arc<str>, Role),
    /// Those that were made with a service key of this id, for whomever.
    Key(Scope, Arc<str>),
    /// Those that prove this sub, in a scope, give no higher role than this one, and were made until then: in milliseconds
    /// since 1970, by the clock of whichever hub made them.
    Sub(Scope, Arc<str>, Role, i64),
    /// This one.
    Token(Digest),
}

impl Revoke {
    /// The highest role of the tokens that go, and until when those were made.
    #[must_use]
    pub fn reach(&self) -> (Role, i64) {
        match self {
            Self::Jti(_, _, authority) => (*authority, i64::MAX),
            Self::Sub(_, _, authority, made_until_ms) => (*authority, *made_until_ms),
            Self::Key(..) | Self::Token(_) => (Role::Owner, i64::MAX),
        }
    }
}

/// What another hub on the same store did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A stream there holds the token that this one held.
    Replaced(StreamId),
    /// It took a token away.
    Revoked(Digest),
}

/// Where stream tokens are kept. Every call is one step: nobody sees half of it, on this hub or another.
///
/// A token lives until its time runs out, which is never later than the end of its record's principal. A call on one
/// that does not live does what a call on one does that never was; but while a stream holds it, that stream may still keep
/// it and give it back until that end. A hub that could not say in time that its streams live says it late; nobody else
/// comes by the token meanwhile, and what was taken away is gone for its stream, too.
pub trait StreamTokens: Send + Sync + 'static {
    /// Keeps a new token, for its TTL.
    ///
    /// # Errors
    /// [`IssueError::Outstanding`]: of one of its bounds as many as there may be are alive and were never opened. Nothing is
    /// counted then.
    fn issue(&self, token: NewToken, now_ms: i64) -> PortFuture<Result<(), IssueError>>;

    /// What a token is good for, if a stream may open it. Nothing changes by it.
    ///
    /// # Errors
    /// The store could not answer.
    fn find(&self, digest: Digest, now_ms: i64) -> PortFuture<Result<Option<TokenRecord>, Unavailable>>;

    /// Gives a token to a stream, which takes it from the one that holds it. From now on it lives for its TTL and
    /// `keep_ms`. One for a single use is given to the first stream alone. The same stream may ask again.
    ///
    /// # Errors
    /// The store could not answer.
    fn open(&self, held: Held, keep_ms: i64, now_ms: i64) -> PortFuture<Result<Option<Opened>, Unavailable>>;

    /// Streams live on, and so do their tokens: from now on for their TTL and `keep_ms`. The answers are in the order of
    /// what is asked.
    ///
    /// # Errors
    /// The store could not answer.
    fn keep(&self, held: Vec<Held>, keep_ms: i64, now_ms: i64) -> PortFuture<Result<Vec<Kept>, Unavailable>>;

    /// Streams are over: their tokens live for their TTL from now on, and those for a single use no more.
    ///
    /// # Errors
    /// The store could not answer.
    fn release(&self, held: Vec<Held>, now_ms: i64) -> PortFuture<Result<(), Unavailable>>;

    /// Takes tokens away, and tells which.
    ///
    /// # Errors
    /// The store could not answer.
    fn revoke(&self, which: Revoke, now_ms: i64) -> PortFuture<Result<Vec<Digest>, Unavailable>>;

    /// What other hubs do, for one who listens; `None` where there are no others. Some may be lost on the way.
    fn notices(&self) -> Option<mpsc::Receiver<Notice>>;
}

/// A new token and its SHA-256.
///
/// # Errors
/// The system gives no random numbers.
pub fn make() -> Result<(Secret, Digest), getrandom::Error> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random)?;
    let text = format!("{STREAM_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let digest = digest_of(&text);
    Ok((Secret::new(text), digest))
}

/// The SHA-256 of a text that has the form of a token; `None` of any other text, which was never one.
#[must_use]
pub fn digest(token: &str) -> Option<Digest> {
    let encoded = token.strip_prefix(STREAM_TOKEN_PREFIX).filter(|encoded| encoded.len() == ENCODED_BYTES)?;
    let random = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    (random.len() == RANDOM_BYTES).then(|| digest_of(token))
}

/// The SHA-256 of a text.
fn digest_of(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use tambour_actors::principal::{ActorType, Granted, KeyToken, Permissions, Role};
    use tambour_actors::topic_key::{Env, Tenant};

    use super::*;

    #[test]
    fn a_token_is_256_random_bits_and_only_its_digest_is_kept() {
        let (token, digest) = make().unwrap();
        let (other, _) = make().unwrap();
        assert_ne!(token.expose(), other.expose());
        assert_eq!(token.expose().len(), 4 + 43);
        assert_eq!(super::digest(token.expose()), Some(digest));
        assert_eq!(format!("{token:?} {token}"), "*** ***");
        let cut = &token.expose()[..46];
        for text in ["", "tst_", "tst_x", cut, &format!("{}A", token.expose()), &token.expose()[4..]] {
            assert_eq!(super::digest(text), None, "{text}");
        }
    }

    #[test]
    fn a_parent_is_a_key_or_a_jti_or_the_token_itself() {
        let of = |sub: &str, proof: Proof, token: &str| {
            let principal = Principal {
                sub: sub.into(),
                scope: Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev },
                granted: Granted { role: Role::Member, permissions: Permissions::NONE },
                role: Role::Member,
                actor_type: ActorType::Human,
                read_only: false,
                permissions: Permissions::NONE,
                acts_for: None,
                proof,
                expires_at_ms: 0,
            };
            Parent::of(&principal, token)
        };
        let main = |jti: Option<&str>| Proof::Main { jti: jti.map(Into::into), issued_at_ms: 0 };
        assert_eq!(of("alice", main(Some("j")), "a"), of("alice", main(Some("j")), "b"));
        assert_ne!(of("alice", main(Some("j")), "a"), of("bob", main(Some("j")), "a"));
        assert_ne!(of("alice", main(None), "a"), of("alice", main(None), "b"));
        let key = |token| Proof::Key(KeyToken(token));
        assert_eq!(of("key:1", key(1), "a"), of("key:1", key(2), "b"));
        assert_ne!(of("key:1", key(1), "a"), of("key:2", key(1), "a"));
    }
}
