//! Everything that overrides tokens, in memory: found without a wait by every check. Plain values: no lock, no clock, no
//! store.
//!
//! Nothing that was said in one tenant and env is looked at for another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use tambour_actors::principal::{Digest, Granted, Principal, Proof, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::Scope;

use super::change::{Change, Order, Revocation, Revoked, State};
use super::kill_switch::KillSwitch;
use crate::config::Roles;
use crate::identity::service_key::ServiceKey;

/// What is said in one tenant and env.
#[derive(Debug, Default)]
struct Said {
    principals: HashMap<Arc<str>, Order>,
    revoked: HashMap<Revoked, Times>,
    /// Revocations that are not for ever, by the time when they may be forgotten.
    passing: BTreeSet<(i64, Role, Revoked)>,
    keys: BTreeMap<Arc<str>, ServiceKey>,
    kill_switch: Option<KillSwitch>,
}

/// Most revocations that one call forgets.
const FORGOTTEN_MAX: usize = 1_024;

/// When something was revoked the last time, and until when that is kept, by the role of who did it; in milliseconds since
/// 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times([Option<(i64, i64)>; 4]);

impl Times {
    const NEVER: Self = Self([None; 4]);

    /// The last time that it was done by somebody whose role is not below this one.
    fn last(self, least: Role) -> Option<i64> {
        self.0[least as usize..].iter().flatten().map(|(at_ms, _)| *at_ms).max()
    }
}

impl Said {
    /// What was said before by the same role is never weakened: not by a clock that went back, nor by a nearer expiry.
    fn revoke(&mut self, revoked: Revoked, revocation: &Revocation) {
        let (mut at_ms, mut until_ms) = (revocation.at_ms, revocation.kept_until_ms());
        let slot = &mut self.revoked.entry(revoked.clone()).or_insert(Times::NEVER).0[revocation.authority as usize];
        if let Some((before_at_ms, before_until_ms)) = *slot {
            self.passing.remove(&(before_until_ms, revocation.authority, revoked.clone()));
            (at_ms, until_ms) = (at_ms.max(before_at_ms), until_ms.max(before_until_ms));
        }
        *slot = Some((at_ms, until_ms));
        if until_ms < i64::MAX {
            self.passing.insert((until_ms, revocation.authority, revoked));
        }
    }

    /// Forgets some of the revocations whose tokens are over by themselves.
    fn forget(&mut self, now_ms: i64) {
        for _ in 0..FORGOTTEN_MAX {
            let Some(first) = self.passing.first().filter(|(until_ms, ..)| *until_ms < now_ms) else { return };
            let (until_ms, authority, revoked) = first.clone();
            self.passing.remove(&(until_ms, authority, revoked.clone()));
            if let Some(times) = self.revoked.get_mut(&revoked) {
                times.0[authority as usize] = None;
                if *times == Times::NEVER {
                    self.revoked.remove(&revoked);
                }
            }
        }
    }
}

/// How much is said in a tenant and env.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Orders about principals.
    pub principals: usize,
    /// Revocations.
    pub revoked: usize,
    /// Keys.
    pub keys: usize,
}

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    scopes: HashMap<Scope, Said>,
    /// Which key has or had a token.
    tokens: HashMap<Digest, (Scope, Arc<str>)>,
}

impl Table {
    /// Applies a change that is on disk.
    pub fn apply(&mut self, change: Change) {
        let said = self.scopes.entry(change.scope().clone()).or_default();
        match change {
            Change::PutKey(key) => {
                let (scope, id) = (key.scope.clone(), key.id.clone());
                let digests = [Some(key.digest), key.rotated.as_ref().map(|rotated| rotated.before)];
                let replaced = said.keys.insert(id.clone(), *key);
                self.forget(replaced.as_ref());
                for digest in digests.into_iter().flatten() {
                    self.tokens.insert(digest, (scope.clone(), id.clone()));
                }
            }
            Change::RemoveKey(_, id) => {
                let removed = said.keys.remove(&id);
                self.forget(removed.as_ref());
            }
            Change::PutPrincipal(_, sub, order) => drop(said.principals.insert(sub, order)),
            Change::RemovePrincipal(_, sub) => drop(said.principals.remove(&sub)),
            Change::Revoke(_, revoked, revocation) => said.revoke(revoked, &revocation),
            Change::PutKillSwitch(_, put) => said.kill_switch = Some(put),
        }
    }

    /// Forgets revocations of a scope that nobody needs any more, some at a time.
    pub fn forget_revocations(&mut self, scope: &Scope, now_ms: i64) {
        if let Some(said) = self.scopes.get_mut(scope) {
            said.forget(now_ms);
        }
    }

    /// The tokens of a key that is gone, or is another now.
    fn forget(&mut self, key: Option<&ServiceKey>) {
        let Some(key) = key else { return };
        self.tokens.remove(&key.digest);
        if let Some(rotated) = &key.rotated {
            self.tokens.remove(&rotated.before);
        }
    }

    /// The key that has or had a token.
    #[must_use]
    pub fn key_of(&self, token: &Digest) -> Option<&ServiceKey> {
        let (scope, id) = self.tokens.get(token)?;
        self.key(scope, id)
    }

    /// A key by its id.
    #[must_use]
    pub fn key(&self, scope: &Scope, id: &str) -> Option<&ServiceKey> {
        self.scopes.get(scope)?.keys.get(id)
    }

    /// At most so many keys, ascending by id, behind one.
    #[must_use]
    pub fn keys(&self, scope: &Scope, after: &str, limit: usize) -> Vec<ServiceKey> {
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let keys = self.scopes.get(scope).map(|said| said.keys.range::<str, _>(behind));
        keys.into_iter().flatten().take(limit).map(|(_, key)| key.clone()).collect()
    }

    /// What is ordered of somebody.
    #[must_use]
    pub fn order(&self, scope: &Scope, sub: &str) -> Option<&Order> {
        self.scopes.get(scope)?.principals.get(sub)
    }

    /// What was said last of what is switched off in a scope.
    #[must_use]
    pub fn kill_switch(&self, scope: &Scope) -> Option<&KillSwitch> {
        self.scopes.get(scope)?.kill_switch.as_ref()
    }

    /// Whether something is switched off in any scope.
    #[must_use]
    pub fn has_kill_switch(&self) -> bool {
        let is_on = |said: &Said| said.kill_switch.as_ref().is_some_and(|kill_switch| !kill_switch.is_idle());
        self.scopes.values().any(is_on)
    }

    /// When the tokens of somebody were revoked the last time, by whomever.
    #[must_use]
    pub fn revoked_at_ms(&self, scope: &Scope, sub: &Arc<str>) -> Option<i64> {
        self.scopes.get(scope)?.revoked.get(&Revoked::Sub(sub.clone()))?.last(Role::Viewer)
    }

    /// Whether something was revoked at any time, by whomever.
    #[must_use]
    pub fn has_revoked(&self, scope: &Scope, revoked: &Revoked) -> bool {
        self.scopes.get(scope).is_some_and(|said| said.revoked.contains_key(revoked))
    }

    /// How much is said in a scope.
    #[must_use]
    pub fn counts(&self, scope: &Scope) -> Counts {
        let counts = |said: &Said| Counts {
            principals: said.principals.len(),
            revoked: said.revoked.len(),
            keys: said.keys.len(),
        };
        self.scopes.get(scope).map_or(Counts { principals: 0, revoked: 0, keys: 0 }, counts)
    }

    /// Until when an identity is good, in milliseconds since 1970: what was made with a token of a service key is good as
    /// long as that token.
    ///
    /// # Errors
    /// `auth.token_revoked`.
    pub fn good_until_ms(&self, principal: &Principal) -> Result<i64, Refusal> {
        let said = self.scopes.get(&principal.scope);
        let of_key = match principal.key() {
            // A key that is not there was revoked, and so was a token that is none of its own any more.
            Some((id, token)) => said.and_then(|said| said.keys.get(id)).and_then(|key| key.good_until_ms(token)),
            None => Some(i64::MAX),
        };
        match of_key {
            Some(until_ms) if !said.is_some_and(|said| is_revoked(said, principal, &principal.proof)) => {
                Ok(principal.expires_at_ms.min(until_ms))
            }
            _ => Err(Refusal::new(Code::TokenRevoked, "this token was revoked")),
        }
    }

    /// What is left of an identity that is good: role and permission keys.
    ///
    /// # Errors
    /// `auth.suspended`.
    pub fn judge(&self, principal: &Principal, roles: &Roles) -> Result<Granted, Refusal> {
        let granted = principal.granted;
        let Some(said) = self.scopes.get(&principal.scope) else { return Ok(granted) };
        let order = said.principals.get(&principal.sub).filter(|order| granted.role <= order.authority);
        let issuer = match &principal.proof {
            Proof::Stream(proof) => proof.issuer.as_deref(),
            Proof::Main { .. } | Proof::Key(_) => None,
        };
        let of_issuer = issuer.and_then(|issuer| said.principals.get(issuer));
        // Whoever is suspended has nobody who acts for them, either.
        let acted_for = principal.acts_for.as_ref().and_then(|sub| said.principals.get(sub));
        if order.into_iter().chain(of_issuer).chain(acted_for).any(|order| order.state == State::Suspended) {
            return Err(Refusal::new(Code::Suspended, "you are suspended in this tenant and env"));
        }
        let Some(role) = order.and_then(|order| order.role) else { return Ok(granted) };
        Ok(match issuer {
            None => Granted { role, permissions: roles.permissions(role) },
            // Who is signed in by a key has never more than the key gave them.
            Some(_) if role >= granted.role => granted,
            Some(_) => Granted { role, permissions: roles.permissions(role).and(granted.permissions) },
        })
    }
}

/// Whether a token was revoked, or what it was made from. It is reached by who has no lower role than it gives.
fn is_revoked(said: &Said, principal: &Principal, proof: &Proof) -> bool {
    let last = |revoked: &Revoked| said.revoked.get(revoked).and_then(|times| times.last(principal.granted.role));
    let made_before = |issued_at_ms: i64| {
        last(&Revoked::Sub(principal.sub.clone())).is_some_and(|revoked_at_ms| issued_at_ms <= revoked_at_ms)
    };
    match proof {
        Proof::Main { jti, issued_at_ms } => {
            let by_id = jti.as_ref().is_some_and(|jti| last(&Revoked::Jti(jti.clone())).is_some());
            by_id || made_before(*issued_at_ms)
        }
        Proof::Key(_) => false,
        Proof::Stream(stream) => is_revoked(said, principal, &stream.parent) || made_before(stream.issued_at_ms),
    }
}
