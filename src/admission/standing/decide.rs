//! Who may change what is said of identities, and how. Pure: what is wished for, by whom, and what is said now come in; the
//! change, or why it is refused, comes out.
//!
//! One rule is behind all of it: nobody gives, takes or changes what is above their own role.

use std::sync::Arc;

use tambour_actors::principal::{ActorType, Digest, Permission, Permissions, Principal, Role};
use tambour_actors::refusal::{Code, Refusal};

use super::change::{Change, Order, Revocation, Revoked, State};
use super::kill_switch::{Asked, Doing, KillSwitch};
use super::table::Table;
use crate::admission::rights;
use crate::identity::jwt::KEY_SUB_PREFIX;
use crate::identity::service_key::ServiceKey;

/// Most keys of a tenant in an env.
pub const KEYS_MAX: usize = 10_000;
/// Most principals of a tenant in an env of whom something is ordered.
pub const PRINCIPALS_MAX: usize = 100_000;
/// Most things that are revoked in a tenant and env.
pub const REVOCATIONS_MAX: usize = 100_000;

/// How far the clock of whoever says when a token expires may be ahead, in milliseconds.
const LEEWAY_MS: i64 = 30_000;

/// What somebody wishes for, in their own tenant and env.
#[derive(Debug, Clone)]
pub enum Wish {
    /// A key.
    MakeKey(NewKey),
    /// Another token for a key; the one before is good for so long.
    RotateKey {
        /// Which key.
        id: Arc<str>,
        /// Of the other token.
        digest: Digest,
        /// How long the token before is good still, in milliseconds.
        grace_ms: i64,
    },
    /// A key's end.
    RemoveKey {
        /// Which key.
        id: Arc<str>,
    },
    /// Somebody's state and role.
    PutPrincipal {
        /// Who.
        sub: Arc<str>,
        /// Whether they may come in.
        state: State,
        /// In place of what their token says.
        role: Option<Role>,
    },
    /// A token's end, or that of all tokens of somebody.
    Revoke {
        /// What.
        revoked: Revoked,
        /// Of one token: when it expires, in milliseconds since 1970, if that is known.
        expires_at_ms: Option<i64>,
    },
    /// That this is switched off, and nothing else.
    PutKillSwitch(Asked),
}

impl Wish {
    /// The permission that it needs.
    fn needs(&self) -> Permission {
        match self {
            Self::MakeKey(_) | Self::RotateKey { .. } | Self::RemoveKey { .. } => Permission::KeysWrite,
            Self::PutPrincipal { .. } | Self::Revoke { .. } => Permission::PrincipalsWrite,
            Self::PutKillSwitch(_) => Permission::KillSwitchesWrite,
        }
    }

    /// The action of its route.
    fn action(&self) -> &'static str {
        match self {
            Self::MakeKey(_) => "keys.create",
            Self::RotateKey { .. } => "keys.rotate",
            Self::RemoveKey { .. } => "keys.revoke",
            Self::PutPrincipal { .. } => "principals.put",
            Self::Revoke { .. } => "revocations.create",
            Self::PutKillSwitch(_) => "kill_switches.put",
        }
    }
}

/// A key that is wished for.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// An id that no key has.
    pub id: Arc<str>,
    /// For people.
    pub name: String,
    /// Agent or system.
    pub actor_type: ActorType,
    /// Its role.
    pub role: Role,
    /// Permission keys beside those of its role.
    pub permissions: Permissions,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// Of its token.
    pub digest: Digest,
}

fn forbidden(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::Forbidden, detail)
}

fn unknown_key() -> Refusal {
    Refusal::new(Code::KeyUnknown, "there is no such service key in this tenant and env")
}

fn within(count: usize, most: usize, what: &str) -> Result<(), Refusal> {
    if count < most {
        return Ok(());
    }
    let detail = format!("this tenant has as many {what} in this env as may be ({most})");
    Err(Refusal::new(Code::AuthorityLimit, detail))
}

/// Decides on a wish.
///
/// # Errors
/// `permission.denied`, `kill_switch.blocked`, `key.unknown`, `body.invalid`, `limit.authority`.
pub fn decide(table: &Table, by: &Principal, wish: Wish, now_ms: i64) -> Result<Change, Refusal> {
    let scope = &by.scope;
    // Looked at again: who had it when the request came may have waited for their turn.
    rights::require(by, wish.needs())?;
    if let Some(kill_switch) = table.kill_switch(scope) {
        kill_switch.check(by.actor_type, Doing { action: wish.action(), writes: true })?;
    }
    let key = |id: &str| table.key(scope, id).ok_or_else(unknown_key);
    // Whoever has a token that was replaced is perhaps who it was replaced because of.
    let own = by.key().and_then(|(id, token)| Some((table.key(scope, id)?, token)));
    if own.is_some_and(|(own, token)| !own.is_newest(token)) {
        return Err(forbidden("this token of the key was replaced: use the one that it has now"));
    }
    match wish {
        Wish::MakeKey(new) => make(table, by, new, now_ms),
        Wish::RotateKey { id, digest, grace_ms } => {
            let key = key(&id)?;
            // Whoever gets its token gets what it may.
            may_give(by, key.role, key.permissions)?;
            Ok(Change::PutKey(Box::new(key.rotated(digest, now_ms, now_ms.saturating_add(grace_ms)))))
        }
        Wish::RemoveKey { id } => {
            if key(&id)?.role > by.role {
                return Err(forbidden("the key has a higher role than you"));
            }
            Ok(Change::RemoveKey(scope.clone(), id))
        }
        Wish::PutPrincipal { sub, state, role } => order(table, by, sub, state, role, now_ms),
        Wish::Revoke { revoked, expires_at_ms } => revoke(table, by, revoked, expires_at_ms, now_ms),
        Wish::PutKillSwitch(asked) => {
            let put = KillSwitch::replaced(table.kill_switch(scope), asked, by, now_ms)?;
            Ok(Change::PutKillSwitch(scope.clone(), put))
        }
    }
}

fn revoke(
    table: &Table,
    by: &Principal,
    revoked: Revoked,
    expires_at_ms: Option<i64>,
    now_ms: i64,
) -> Result<Change, Refusal> {
    let invalid = |detail: &'static str| Err(Refusal::new(Code::BodyInvalid, detail));
    if matches!(&revoked, Revoked::Sub(sub) if sub.starts_with(KEY_SUB_PREFIX)) {
        return invalid("a service key is revoked by DELETE /v1/keys/{key}");
    }
    if expires_at_ms.is_some() && matches!(revoked, Revoked::Sub(_)) {
        return invalid("expires_at is that of one token: say it with jti");
    }
    let revocation = Revocation { authority: by.role, at_ms: now_ms, expires_at_ms };
    // A token whose time has just run out is taken still, by a clock that is behind.
    if expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms.saturating_add(LEEWAY_MS) < now_ms) {
        return invalid("expires_at is in the past: the token is over by itself");
    }
    let scope = &by.scope;
    if !table.has_revoked(scope, &revoked) {
        within(table.counts(scope).revoked, REVOCATIONS_MAX, "revocations")?;
    }
    Ok(Change::Revoke(scope.clone(), revoked, revocation))
}

fn make(table: &Table, by: &Principal, new: NewKey, now_ms: i64) -> Result<Change, Refusal> {
    may_give(by, new.role, new.permissions)?;
    if new.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms) {
        return Err(Refusal::new(Code::BodyInvalid, "expires_at is in the past"));
    }
    // A key that made itself another would never end.
    let ends = table.key(&by.scope, &by.sub).and_then(|own| own.expires_at_ms);
    if ends.is_some_and(|ends| new.expires_at_ms.is_none_or(|expires_at_ms| expires_at_ms > ends)) {
        return Err(Refusal::new(Code::BodyInvalid, "a key makes no key that expires later than itself"));
    }
    within(table.counts(&by.scope).keys, KEYS_MAX, "service keys")?;
    let NewKey { id, name, actor_type, role, permissions, expires_at_ms, digest } = new;
    Ok(Change::PutKey(Box::new(ServiceKey {
        id,
        scope: by.scope.clone(),
        name,
        actor_type,
        role,
        permissions,
        expires_at_ms,
        created_by: by.sub.clone(),
        created_at_ms: now_ms,
        digest,
        rotated: None,
    })))
}

/// Nobody gives a key more than they have. To act for others and to sign them in no person has by themselves: whoever
/// administers may give it.
fn may_give(by: &Principal, role: Role, permissions: Permissions) -> Result<(), Refusal> {
    if role > by.role {
        return Err(forbidden("a key has no higher role than who makes or rotates it"));
    }
    let of_keys = |permission| matches!(permission, Permission::PrincipalsAct | Permission::PrincipalsSignIn);
    let has = |permission| by.has(permission) || (of_keys(permission) && by.role.administers());
    match permissions.iter().find(|permission| !has(*permission)) {
        None => Ok(()),
        Some(lacking) => {
            let key = lacking.as_str();
            Err(forbidden(format!("you give no key the permission {key}: you don't have it")).with("permission", key))
        }
    }
}

fn order(
    table: &Table,
    by: &Principal,
    sub: Arc<str>,
    state: State,
    role: Option<Role>,
    now_ms: i64,
) -> Result<Change, Refusal> {
    let scope = &by.scope;
    if role.is_some_and(|role| role > by.role) {
        return Err(forbidden("nobody gives a higher role than their own"));
    }
    if table.key(scope, &by.sub).is_some_and(|own| own.created_by == sub) {
        return Err(forbidden("a key orders nothing of who made it"));
    }
    let key = table.key(scope, &sub);
    if sub.starts_with(KEY_SUB_PREFIX) {
        if role.is_some() {
            return Err(Refusal::new(Code::BodyInvalid, "a service key has the role that it was made with"));
        }
        if key.ok_or_else(unknown_key)?.role > by.role {
            return Err(forbidden("the key has a higher role than you"));
        }
    }
    let before = table.order(scope, &sub);
    if before.is_some_and(|before| before.authority > by.role) {
        return Err(forbidden("what a higher role ordered of them, a lower one does not change"));
    }
    if state == State::Active && role.is_none() {
        return Ok(Change::RemovePrincipal(scope.clone(), sub));
    }
    if before.is_none() {
        within(table.counts(scope).principals, PRINCIPALS_MAX, "principals of whom something is ordered")?;
    }
    let changed_by = by.sub.clone();
    let order = Order { state, role, authority: by.role, changed_by, changed_at_ms: now_ms };
    Ok(Change::PutPrincipal(scope.clone(), sub, order))
}
