//! Everything that overrides tokens, in memory: found without a wait by every check. Plain values: no lock, no clock, no
//! store.
//!
//! Nothing that was said in one tenant and env is looked at for another.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use tambour_actors::principal::{Digest, Granted, Principal, Proof, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::Scope;

use super::change::{Change, Order, Revocation, Revoked, State};
use crate::config::Roles;
use crate::identity::service_key::ServiceKey;

/// What is said in one tenant and env.
#[derive(Debug, Default)]
struct Said {
    principals: HashMap<Arc<str>, Order>,
    revoked: HashMap<Revoked, Times>,
    keys: BTreeMap<Arc<str>, ServiceKey>,
}

/// When something was revoked the last time, by the role of who did it; in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times([Option<i64>; 4]);

impl Times {
    const NEVER: Self = Self([None; 4]);

    fn put(&mut self, Revocation { authority, at_ms }: Revocation) {
        let time = &mut self.0[authority as usize];
        *time = (*time).max(Some(at_ms));
    }

    /// The last time that it was done by somebody whose role is not below this one.
    fn last(self, least: Role) -> Option<i64> {
        self.0[least as usize..].iter().copied().max().flatten()
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
            Change::Revoke(_, revoked, revocation) => {
                said.revoked.entry(revoked).or_insert(Times::NEVER).put(revocation);
            }
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

    /// What is left of an identity: role and permission keys.
    ///
    /// # Errors
    /// `auth.token_revoked`, `auth.suspended`.
    pub fn judge(&self, principal: &Principal, roles: &Roles) -> Result<Granted, Refusal> {
        let said = self.scopes.get(&principal.scope);
        if is_revoked(said, principal, &principal.proof) {
            return Err(Refusal::new(Code::TokenRevoked, "this token was revoked"));
        }
        let Some(said) = said else { return Ok(principal.granted) };
        let granted = principal.granted;
        let order = said.principals.get(&principal.sub).filter(|order| granted.role <= order.authority);
        let issuer = match &principal.proof {
            Proof::Stream(proof) => proof.issuer.as_deref(),
            Proof::Main { .. } | Proof::Key => None,
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

/// Whether a proof is over, or what it was made from.
fn is_revoked(said: Option<&Said>, principal: &Principal, proof: &Proof) -> bool {
    let times = |revoked: &Revoked| said.and_then(|said| said.revoked.get(revoked)).copied().unwrap_or(Times::NEVER);
    let made_before = |issued_at_ms: i64| {
        let revoked_at_ms = times(&Revoked::Sub(principal.sub.clone())).last(principal.granted.role);
        revoked_at_ms.is_some_and(|revoked_at_ms| issued_at_ms <= revoked_at_ms)
    };
    // A key that is not there was revoked.
    let has_key = |id: &str| said.is_some_and(|said| said.keys.contains_key(id));
    match proof {
        Proof::Main { jti, issued_at_ms } => {
            let by_id = jti.as_ref().is_some_and(|jti| times(&Revoked::Jti(jti.clone())) != Times::NEVER);
            by_id || made_before(*issued_at_ms)
        }
        Proof::Key => !has_key(&principal.sub),
        Proof::Stream(stream) => {
            let parent = match &stream.issuer {
                Some(key) => !has_key(key),
                None => is_revoked(said, principal, &stream.parent),
            };
            parent || made_before(stream.issued_at_ms)
        }
    }
}
