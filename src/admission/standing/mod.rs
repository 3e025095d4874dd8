//! Standing: what is in force beside what tokens say. Orders about principals, revocations, service keys, kill switches.
//!
//! The table in memory answers every check. It is loaded from the store when the hub starts and changes only behind a
//! commit, one change at a time, so that its order is that of the disk. Nothing here reads a token.

pub mod change;
pub mod decide;
pub mod kill_switch;
pub mod table;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use tambour_actors::catalogue;
use tambour_actors::entry::{Entry, EntryWhat};
use tambour_actors::principal::{Digest, Granted, Principal};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::review::Reviewed;
use tambour_actors::topic_key::Scope;
use tokio::sync::watch;

use crate::config::Roles;
use crate::identity::service_key::ServiceKey;
use change::{Change, Order, State};
use decide::Wish;
use kill_switch::{Doing, KillSwitch};
use table::Table;

/// The standing of everybody; one per hub.
#[derive(Debug, Default)]
pub struct Standing {
    table: RwLock<Table>,
    /// Whose turn it is to change something, from the decision until memory has what the disk has.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Of each tenant and env in which somebody waits to be told.
    changes: Mutex<HashMap<Scope, watch::Sender<()>>>,
    /// Whether something is switched off anywhere: while nothing is, nobody looks.
    has_kill_switch: AtomicBool,
}

/// What is said of a principal.
#[derive(Debug, Clone)]
pub struct Told {
    /// What is ordered of them.
    pub order: Option<Order>,
    /// When their tokens were revoked the last time, in milliseconds since 1970.
    pub revoked_at_ms: Option<i64>,
}

impl Standing {
    /// Everything that the store has, without the revocations that nobody needs any more.
    #[must_use]
    pub fn of(kept: Vec<Change>, now_ms: i64) -> Self {
        let mut table = Table::default();
        let is_needed = |change: &Change| match change {
            Change::Revoke(_, _, revocation) => revocation.kept_until_ms() >= now_ms,
            _ => true,
        };
        kept.into_iter().filter(is_needed).for_each(|change| table.apply(change));
        let has_kill_switch = table.has_kill_switch().into();
        Self { table: RwLock::new(table), has_kill_switch, ..Self::default() }
    }

    /// The principal that a service key's token proves. Whether it stands, [`Standing::review`] says.
    ///
    /// # Errors
    /// `auth.token_invalid`, `auth.token_expired`.
    pub fn prove_key(&self, token: &Digest, roles: &Roles, now_ms: i64) -> Result<Principal, Refusal> {
        let table = self.table.read();
        let key =
            table.key_of(token).ok_or_else(|| Refusal::new(Code::TokenInvalid, "there is no such service key"))?;
        key.principal(token, roles, now_ms)
    }

    /// What is left of an identity now: perhaps another role, or an earlier end.
    ///
    /// # Errors
    /// `auth.token_revoked`, `auth.suspended`.
    pub fn review(&self, principal: &Principal, roles: &Roles) -> Reviewed {
        let table = self.table.read();
        let expires_at_ms = table.good_until_ms(principal)?;
        let Granted { role, permissions } = table.judge(principal, roles)?;
        drop(table);
        if (role, permissions, expires_at_ms) == (principal.role, principal.permissions, principal.expires_at_ms) {
            return Ok(None);
        }
        Ok(Some(Arc::new(Principal { role, permissions, expires_at_ms, ..principal.clone() })))
    }

    /// Whether somebody is suspended, whatever role they have.
    #[must_use]
    pub fn is_suspended(&self, scope: &Scope, sub: &str) -> bool {
        self.table.read().order(scope, sub).is_some_and(|order| order.state == State::Suspended)
    }

    /// What a wish comes to.
    ///
    /// # Errors
    /// What [`decide::decide`] refuses.
    pub fn decide(&self, by: &Principal, wish: Wish, now_ms: i64) -> Result<Change, Refusal> {
        if matches!(wish, Wish::Revoke { .. }) {
            // So that what is not needed takes nobody's place.
            self.table.write().forget_revocations(&by.scope, now_ms);
        }
        decide::decide(&self.table.read(), by, wish, now_ms)
    }

    /// Applies a change that is on disk.
    pub(super) fn apply(&self, change: Change) {
        let scope = change.scope().clone();
        let is_kill_switch = matches!(change, Change::PutKillSwitch(..));
        let mut table = self.table.write();
        table.apply(change);
        if is_kill_switch {
            self.has_kill_switch.store(table.has_kill_switch(), Ordering::Release);
        }
        drop(table);
        if let Some(told) = self.changes.lock().get(&scope) {
            told.send_replace(());
        }
    }

    /// Tells of every change in a tenant and env from now on: for requests that wait for something else.
    #[must_use]
    pub fn changes(&self, scope: &Scope) -> watch::Receiver<()> {
        let mut changes = self.changes.lock();
        if changes.len() == changes.capacity() {
            // Before it grows, those in which nobody waits any more are forgotten.
            changes.retain(|_, told| told.receiver_count() > 0);
        }
        changes.entry(scope.clone()).or_default().subscribe()
    }

    /// A service key.
    #[must_use]
    pub fn key(&self, scope: &Scope, id: &str) -> Option<ServiceKey> {
        self.table.read().key(scope, id).cloned()
    }

    /// At most so many service keys, ascending by id, behind one.
    #[must_use]
    pub fn keys(&self, scope: &Scope, after: &str, limit: usize) -> Vec<ServiceKey> {
        self.table.read().keys(scope, after, limit)
    }

    /// What was said last of what is switched off.
    #[must_use]
    pub fn kill_switch(&self, scope: &Scope) -> Option<KillSwitch> {
        self.table.read().kill_switch(scope).cloned()
    }

    /// Whether what somebody is about to do is not switched off where they are.
    ///
    /// # Errors
    /// `kill_switch.blocked`.
    pub fn allows(&self, principal: &Principal, doing: Doing) -> Result<(), Refusal> {
        self.with_kill_switch(principal, |kill_switch| kill_switch.check(principal.actor_type, doing))
    }

    /// Whether what an entry starts is not started with a provider that is switched off. Of what starts nothing, and while
    /// no provider is switched off, nothing is parsed.
    ///
    /// # Errors
    /// `kill_switch.blocked`.
    pub fn allows_entry(&self, principal: &Principal, entry: &Entry) -> Result<(), Refusal> {
        let EntryWhat::Event(event) = &entry.what else { return Ok(()) };
        if !catalogue::names_provider(event.kind.as_str()) {
            return Ok(());
        }
        self.with_kill_switch(principal, |kill_switch| {
            if kill_switch.providers.is_empty() {
                return Ok(());
            }
            catalogue::providers(&event.data).iter().try_for_each(|provider| kill_switch.check_provider(provider))
        })
    }

    fn with_kill_switch(
        &self,
        principal: &Principal,
        check: impl FnOnce(&KillSwitch) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if !self.has_kill_switch.load(Ordering::Acquire) {
            return Ok(());
        }
        self.table.read().kill_switch(&principal.scope).map_or(Ok(()), check)
    }

    /// What is said of a principal.
    #[must_use]
    pub fn told(&self, scope: &Scope, sub: &Arc<str>) -> Told {
        let table = self.table.read();
        Told { order: table.order(scope, sub).cloned(), revoked_at_ms: table.revoked_at_ms(scope, sub) }
    }
}
