//! What a change of what is said of identities comes to: the entry, and what the feed tells of it.
//!
//! Of tokens there is nothing in it, not even their digests; of the id of a token the first characters.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tambour_actors::frame::time_text;
use tambour_actors::principal::{Permission, Role};
use tambour_actors::system::SystemType;

use super::entry::Happened;
use crate::admission::standing::change::{Change, Order, Revocation, Revoked};
use crate::admission::standing::kill_switch::KillSwitch;
use crate::identity::service_key::ServiceKey;

/// Characters of a token's id that are shown.
const JTI_CHARS: usize = 8;

fn key_shown(key: &ServiceKey) -> Value {
    let permissions: Vec<_> = key.permissions.iter().map(Permission::as_str).collect();
    json!({
        "name": key.name,
        "type": key.actor_type.as_str(),
        "role": key.role.as_str(),
        "permissions": permissions,
        "expires_at": key.expires_at_ms.map(time_text),
        "rotated_at": key.rotated.as_ref().map(|rotated| time_text(rotated.at_ms)),
    })
}

fn key_told(key: &ServiceKey) -> Value {
    json!({ "key": &*key.id, "name": key.name, "role": key.role.as_str() })
}

fn order_shown(order: &Order) -> Value {
    json!({ "state": order.state.as_str(), "role": order.role.map(|role| role.as_str()) })
}

fn principal(sub: &str, before: Option<&Order>, after: Option<&Order>) -> Option<Happened> {
    let order = |order: Option<&Order>| order.map_or_else(|| json!({ "state": "active", "role": null }), order_shown);
    let said = |order: &Order| (order.state, order.role, order.authority);
    if before.map(said) == after.map(said) {
        return None;
    }
    let mut happened = Happened::done(format!("principal/{sub}"));
    (happened.before, happened.after) = (Some(order(before)), Some(order(after)));
    let mut told = json!({ "sub": sub, "state": after.map_or("active", |after| after.state.as_str()) });
    if let Some(role) = after.and_then(|after| after.role) {
        told["role"] = role.as_str().into();
    }
    Some(happened.told(SystemType::PrincipalChanged, &told, None))
}

fn revoked(what: &Revoked, revocation: &Revocation) -> Happened {
    let (resource, told) = match what {
        Revoked::Jti(jti) => {
            let begin: String = jti.chars().take(JTI_CHARS).collect();
            (format!("token/{begin}"), json!({ "jti": begin }))
        }
        Revoked::Sub(sub) => (format!("principal/{sub}"), json!({ "sub": &**sub })),
    };
    let mut happened = Happened::done(resource);
    let mut after = json!({ "tokens": "revoked" });
    if let Some(expires_at_ms) = revocation.expires_at_ms {
        after["expires_at"] = time_text(expires_at_ms).into();
    }
    happened.after = Some(after);
    happened.told(SystemType::TokensRevoked, &told, None)
}

fn switch_shown(switch: Option<&KillSwitch>) -> Value {
    let names = |entries: Option<&BTreeMap<Arc<str>, Role>>| -> Vec<String> {
        entries.into_iter().flatten().map(|(entry, _)| entry.to_string()).collect()
    };
    json!({
        "disabled_actions": names(switch.map(|switch| &switch.actions)),
        "disable_autonomy": switch.is_some_and(|switch| switch.autonomy.is_some()),
        "disable_providers": names(switch.map(|switch| &switch.providers)),
        "reason": switch.and_then(|switch| switch.reason.as_deref()),
    })
}

fn switched(before: Option<&KillSwitch>, after: &KillSwitch) -> Option<Happened> {
    let said = |switch: &KillSwitch| (switch.actions.clone(), switch.autonomy, switch.providers.clone());
    let (old, new) = (switch_shown(before), switch_shown(Some(after)));
    // Whose word it is counts, too: a lower role can't lift it any more.
    if old == new && before.is_none_or(|before| said(before) == said(after)) {
        return None;
    }
    let mut happened = Happened::done("kill_switch".to_owned());
    (happened.before, happened.after) = (Some(old), Some(new.clone()));
    Some(happened.told(SystemType::KillSwitchChanged, &new, None))
}

/// What a change comes to where `before` was said of the same until now; `None`: nothing is another than before.
#[must_use]
pub fn changed(before: Option<&Change>, change: &Change) -> Option<Happened> {
    match (before, change) {
        (before, Change::PutKey(key)) => {
            let mut happened = Happened::done(format!("key/{}", key.id));
            happened.after = Some(key_shown(key));
            let mut kind = SystemType::KeyCreated;
            if let Some(Change::PutKey(before)) = before {
                happened.before = Some(key_shown(before));
                kind = SystemType::KeyRotated;
            }
            Some(happened.told(kind, &key_told(key), None))
        }
        (Some(Change::PutKey(before)), Change::RemoveKey(..)) => {
            let mut happened = Happened::done(format!("key/{}", before.id));
            happened.before = Some(key_shown(before));
            Some(happened.told(SystemType::KeyRevoked, &key_told(before), None))
        }
        (_, Change::RemoveKey(..)) => None,
        (Some(Change::PutPrincipal(_, _, before)), Change::PutPrincipal(_, sub, after)) => {
            principal(sub, Some(before), Some(after))
        }
        (_, Change::PutPrincipal(_, sub, after)) => principal(sub, None, Some(after)),
        (Some(Change::PutPrincipal(_, _, before)), Change::RemovePrincipal(_, sub)) => {
            principal(sub, Some(before), None)
        }
        (_, Change::RemovePrincipal(..)) => None,
        (_, Change::Revoke(_, what, revocation)) => Some(revoked(what, revocation)),
        (Some(Change::PutKillSwitch(_, before)), Change::PutKillSwitch(_, after)) => switched(Some(before), after),
        (_, Change::PutKillSwitch(_, after)) => switched(None, after),
    }
}
