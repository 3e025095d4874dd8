//! What is said of identities beside what their tokens say, and how it changes. Plain values: the store keeps them, the
//! table in memory applies them, and both by the same [`Change`].

use std::sync::Arc;

use tambour_actors::principal::Role;
use tambour_actors::topic_key::Scope;

use crate::identity::service_key::ServiceKey;

/// Whether somebody may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They may.
    Active,
    /// They may not.
    Suspended,
}

impl State {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// Parses a name on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|state| state.as_str() == text)
    }
}

/// What is ordered of a principal. It reaches whoever has no higher role, by their own token, than who ordered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Whether they may come in.
    pub state: State,
    /// In place of the role and of the permission keys that their token gives.
    pub role: Option<Role>,
    /// The role of who ordered it.
    pub authority: Role,
    /// The `sub` of who ordered it.
    pub changed_by: Arc<str>,
    /// When, in milliseconds since 1970.
    pub changed_at_ms: i64,
}

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One main token, by its own id.
    Jti(Arc<str>),
    /// Every main token and stream token of somebody that was made so far.
    Sub(Arc<str>),
}

/// That it was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// The role of who revoked it: tokens of a `sub` are reached where they give no higher one.
    pub authority: Role,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// One change, as it is kept and as it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A key is there from now on, or is another.
    PutKey(Box<ServiceKey>),
    /// A key is gone.
    RemoveKey(Scope, Arc<str>),
    /// Something is ordered of somebody.
    PutPrincipal(Scope, Arc<str>, Order),
    /// Nothing is ordered of somebody any more.
    RemovePrincipal(Scope, Arc<str>),
    /// Something is revoked.
    Revoke(Scope, Revoked, Revocation),
}

impl Change {
    /// Where it applies.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        match self {
            Self::PutKey(key) => &key.scope,
            Self::RemoveKey(scope, _)
            | Self::PutPrincipal(scope, ..)
            | Self::RemovePrincipal(scope, _)
            | Self::Revoke(scope, ..) => scope,
        }
    }
}
