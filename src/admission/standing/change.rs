//! What is said of identities beside what their tokens say, and how it changes. Plain values: the store keeps them, the
//! table in memory applies them, and both by the same [`Change`].

use std::sync::Arc;

use tambour_actors::log::Class;
use tambour_actors::principal::Role;
use tambour_actors::topic_key::Scope;

use super::kill_switch::KillSwitch;
use crate::identity::service_key::ServiceKey;
use crate::identity::stream_tokens::Revoke;

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
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revoked {
    /// One main token, by its own id.
    Jti(Arc<str>),
    /// Every main token and stream token of somebody that was made so far.
    Sub(Arc<str>),
}

/// That it was revoked. It reaches tokens that give no higher role than that of who revoked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// The role of who revoked it.
    pub authority: Role,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Of one token: when that token expires, in milliseconds since 1970. Later the revocation is not needed. `None`: nobody
    /// said, so it is kept for ever.
    pub expires_at_ms: Option<i64>,
}

/// How long a revocation is kept behind the expiry of its token, in milliseconds. A token is good a little longer than its
/// `exp` (`auth.leeway_seconds`, 300 at most), and clocks differ.
pub const KEPT_BEHIND_MS: i64 = 3_600_000;
/// How far the clocks of hubs that share stream tokens may be apart, in milliseconds.
const CLOCKS_APART_MS: i64 = 30_000;

impl Revocation {
    /// When it may be forgotten, in milliseconds since 1970; `i64::MAX`: never.
    #[must_use]
    pub fn kept_until_ms(&self) -> i64 {
        self.expires_at_ms.map_or(i64::MAX, |expires_at_ms| expires_at_ms.saturating_add(KEPT_BEHIND_MS))
    }
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
    /// This is switched off from now on, and nothing else.
    PutKillSwitch(Scope, KillSwitch),
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
            | Self::Revoke(scope, ..)
            | Self::PutKillSwitch(scope, _) => scope,
        }
    }

    /// What it is for, by somebody of this role: all but making and rotating keys keeps somebody out, or less in, or takes
    /// that back.
    #[must_use]
    pub fn class(&self, by: Role) -> Class {
        match self {
            Self::PutKey(_) => Class::Ordinary,
            Self::RemoveKey(..)
            | Self::PutPrincipal(..)
            | Self::RemovePrincipal(..)
            | Self::Revoke(..)
            | Self::PutKillSwitch(..) => Class::Emergency(by),
        }
    }

    /// The stream tokens that are over with it, whoever holds them, on whatever hub. What is said of somebody reaches those
    /// that were made until then: who logs in later, while a store of tokens was away, is not meant.
    #[must_use]
    pub fn ends_tokens(&self) -> Option<Revoke> {
        let until = |at_ms: i64| at_ms.saturating_add(CLOCKS_APART_MS);
        match self {
            Self::RemoveKey(scope, id) => Some(Revoke::Key(scope.clone(), id.clone())),
            Self::Revoke(scope, Revoked::Jti(jti), by) => Some(Revoke::Jti(scope.clone(), jti.clone(), by.authority)),
            Self::Revoke(scope, Revoked::Sub(sub), by) => {
                Some(Revoke::Sub(scope.clone(), sub.clone(), by.authority, until(by.at_ms)))
            }
            Self::PutPrincipal(scope, sub, order) if order.state == State::Suspended => {
                Some(Revoke::Sub(scope.clone(), sub.clone(), order.authority, until(order.changed_at_ms)))
            }
            Self::PutKey(_) | Self::PutPrincipal(..) | Self::RemovePrincipal(..) | Self::PutKillSwitch(..) => None,
        }
    }
}
