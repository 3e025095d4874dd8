//! Who calls: the principal that identity proved, and what their role lets them do.
//!
//! This file never reads a token; it holds what one proved.

use std::sync::Arc;

use crate::topic_key::Scope;

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
    /// Parses `owner`, `admin`, `member` or `viewer`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "owner" => Some(Self::Owner),
            "admin" => Some(Self::Admin),
            "member" => Some(Self::Member),
            "viewer" => Some(Self::Viewer),
            _ => None,
        }
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
    /// A person, proved by a JWT.
    Human,
}

impl ActorType {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
        }
    }
}

/// A proved identity in one tenant and env.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The subject, unique inside the tenant.
    pub sub: Arc<str>,
    /// Where the identity is good for.
    pub scope: Scope,
    /// The role in that tenant.
    pub role: Role,
    /// What kind of sender.
    pub actor_type: ActorType,
    /// When the proof runs out, in milliseconds since 1970. Sessions end then.
    pub expires_at_ms: i64,
}
