//! Who calls: the principal that identity proved, and what they may do inside their tenant.
//!
//! This file never reads a token; it holds what one proved.

use std::fmt;
use std::sync::Arc;

use crate::topic_key::{Scope, TopicKey, TopicKind};

/// What a principal is inside their tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Reads what they may see; never writes.
    Viewer,
    /// Reads and writes.
    Member,
    /// Passes every right of the tenant.
    Admin,
    /// Passes every right of the tenant.
    Owner,
}

impl Role {
    /// Every role, from the lowest.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Member, Self::Admin, Self::Owner];

    /// Parses `owner`, `admin`, `member` or `viewer`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// The role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    /// Owner or admin.
    #[must_use]
    pub fn administers(self) -> bool {
        self >= Self::Admin
    }
}

/// What sends: a person, or a program with a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorType {
    /// A person, proved by a main token.
    Human,
    /// A program that acts by itself, proved by a service key.
    Agent,
    /// A program that is part of the tenant's own systems, proved by a service key.
    System,
}

impl ActorType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Human, Self::Agent, Self::System];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Agent => "agent",
            Self::System => "system",
        }
    }

    /// Parses a name on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

macro_rules! permissions {
    ($($(#[doc = $doc:literal])+ $name:ident = $key:literal;)+) => {
        /// A permission key: the right to one kind of thing, everywhere in a tenant and env.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Permission { $($(#[doc = $doc])+ $name),+ }

        impl Permission {
            /// Every key.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The key as it stands in tokens and settings.
            #[must_use]
            pub fn as_str(self) -> &'static str { match self { $(Self::$name => $key),+ } }

            /// What it lets its holder do.
            #[must_use]
            pub fn words(self) -> &'static str { match self { $(Self::$name => concat!($($doc),+)),+ } }
        }
    };
}

permissions! {
    /// Read threads that are shared with the team.
    ThreadsRead = "threads:read";
    /// Create threads, and write to those that are shared with the team or public.
    ThreadsWrite = "threads:write";
    /// Read canvases that are shared with the team.
    CanvasesRead = "canvases:read";
    /// Create canvases, and write to those that are shared with the team or public.
    CanvasesWrite = "canvases:write";
    /// See who is connected.
    SessionsRead = "sessions:read";
    /// End connections of others.
    SessionsWrite = "sessions:write";
    /// Make, list, rotate and revoke service keys.
    KeysWrite = "keys:write";
    /// Suspend principals, give them another role, revoke their tokens.
    PrincipalsWrite = "principals:write";
    /// Say on whose behalf something is done. Service keys only.
    PrincipalsAct = "principals:act";
    /// Read the feed: of what happens in the tenant, what one may see.
    FeedRead = "feed:read";
    /// Read and verify the audit log.
    AuditRead = "audit:read";
    /// Switch actions, agents or providers off and on again.
    KillSwitchesWrite = "kill_switches:write";
    /// Sign people in: make stream tokens that prove somebody else. Service keys only.
    PrincipalsSignIn = "principals:sign_in";
    /// See what is counted: connections, readers, events, deliveries.
    StatsRead = "stats:read";
}

impl Permission {
    /// Parses a key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.as_str() == text)
    }

    /// To read topics of a kind that are shared with the team.
    #[must_use]
    pub fn read(kind: TopicKind) -> Self {
        match kind {
            TopicKind::Thread => Self::ThreadsRead,
            TopicKind::Canvas => Self::CanvasesRead,
            TopicKind::Feed => Self::FeedRead,
            TopicKind::System => Self::AuditRead,
        }
    }

    /// To make topics of a kind, and to write to those that are shared; `None`: nobody does.
    #[must_use]
    pub fn write(kind: TopicKind) -> Option<Self> {
        match kind {
            TopicKind::Thread => Some(Self::ThreadsWrite),
            TopicKind::Canvas => Some(Self::CanvasesWrite),
            TopicKind::System | TopicKind::Feed => None,
        }
    }
}

/// A set of permission keys.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether a key is in it.
    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }

    /// Those of either set.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of it is in another set.
    #[must_use]
    pub fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// What is in it, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |set, permission| set | 1 << permission as u32))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}

/// SHA-256 of a token: what is kept in its place.
pub type Digest = [u8; 32];

/// Which of a service key's tokens: the first 64 bits of its [`Digest`]. Enough to tell them apart, and nothing is looked up
/// by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyToken(pub u64);

impl KeyToken {
    /// Which token a digest is of.
    #[must_use]
    pub fn of(digest: &Digest) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *digest;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// What proved an identity: looked at again whenever something is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A main token.
    Main {
        /// The token's own id.
        jti: Option<Arc<str>>,
        /// When it was made, in milliseconds since 1970; 0 when it does not say.
        issued_at_ms: i64,
    },
    /// A service key, whose id is the principal's `sub`, by one of its tokens.
    Key(KeyToken),
    /// A stream token.
    Stream(Arc<StreamProof>),
}

/// A stream token as the proof of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamProof {
    /// Which token.
    pub digest: Digest,
    /// What the token was made from: a main token or a service key.
    pub parent: Proof,
    /// The service key's id, where it was made from one for somebody else.
    pub issuer: Option<Arc<str>>,
    /// When the stream token was made, in milliseconds since 1970.
    pub issued_at_ms: i64,
    /// The topics that it is for; `None`: all that the principal may read.
    pub topics: Option<Vec<TopicKey>>,
}

/// What a proof itself gives, whatever overrides it now: kept so that an override can be taken back from who is
/// connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The role.
    pub role: Role,
    /// The permission keys.
    pub permissions: Permissions,
}

/// A proved identity in one tenant and env.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The subject, unique inside the tenant. Of a service key its id, which begins with `key:`.
    pub sub: Arc<str>,
    /// Where the identity is good for.
    pub scope: Scope,
    /// What the proof gives. In force are `role` and `permissions`.
    pub granted: Granted,
    /// The role in that tenant.
    pub role: Role,
    /// What kind of sender.
    pub actor_type: ActorType,
    /// The proof was made for reading alone.
    pub read_only: bool,
    /// The permission keys of the role and of the token. Owners and admins pass without.
    pub permissions: Permissions,
    /// On whose behalf a service key acts.
    pub acts_for: Option<Arc<str>>,
    /// What proved it.
    pub proof: Proof,
    /// When the proof runs out, in milliseconds since 1970. Sessions end then.
    pub expires_at_ms: i64,
}

impl Principal {
    /// Whether a permission key is theirs: owners and admins pass every one of their tenant. To act for
    /// somebody else, and to sign somebody in, is a key's alone.
    #[must_use]
    pub fn has(&self, permission: Permission) -> bool {
        match permission {
            Permission::PrincipalsAct | Permission::PrincipalsSignIn => {
                self.permissions.contains(permission) && self.actor_type != ActorType::Human
            }
            _ => self.role.administers() || self.permissions.contains(permission),
        }
    }

    /// The service key behind the identity, and by which of its tokens: its own, or that of who made its stream token.
    #[must_use]
    pub fn key(&self) -> Option<(&str, KeyToken)> {
        let (proof, issuer) = match &self.proof {
            Proof::Stream(stream) => (&stream.parent, stream.issuer.as_deref()),
            proof => (proof, None),
        };
        match proof {
            Proof::Key(token) => Some((issuer.unwrap_or(&self.sub), *token)),
            Proof::Main { .. } | Proof::Stream(_) => None,
        }
    }

    /// Whether what proved the identity reaches a topic.
    #[must_use]
    pub fn reaches(&self, topic: &TopicKey) -> bool {
        match &self.proof {
            Proof::Stream(proof) => proof.topics.as_ref().is_none_or(|topics| topics.contains(topic)),
            Proof::Main { .. } | Proof::Key(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_permissions() {
        let some: Permissions = [Permission::ThreadsRead, Permission::KeysWrite].into_iter().collect();
        assert!(some.contains(Permission::KeysWrite) && !some.contains(Permission::ThreadsWrite));
        assert_eq!(some.iter().map(Permission::as_str).collect::<Vec<_>>(), ["threads:read", "keys:write"]);
        assert!(some.within(some.or(Permissions::NONE)) && !some.within(Permissions::NONE));
        assert!(Permission::ALL.len() <= 32);
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.as_str()), Some(*permission));
        }
        assert_eq!(Permission::parse("threads:delete"), None);
    }

    #[test]
    fn an_idle_session_keeps_a_small_principal() {
        assert!(size_of::<Principal>() <= 112, "{}", size_of::<Principal>());
    }
}
