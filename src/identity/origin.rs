//! What an event says of who caused it: members of JSON, without the braces around them.
//!
//! Nothing here is a client's word alone: who acts, and for whom, comes from the identity; the other keys were parsed.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use tambour_actors::event::Origin;
use tambour_actors::principal::Principal;

use super::context::ROUTING;
use super::trace::RequestIds;

/// The origin of what a request causes: the principal's, with its routing keys by their fields, and its ids.
pub(super) fn of<'a>(
    principal: &Principal,
    keys: impl Iterator<Item = (&'static str, &'a str)>,
    ids: &RequestIds,
) -> Origin {
    let mut meta = Members::default();
    meta.push("request_id", &ids.request_id).push("trace_id", &ids.trace_id);
    Origin { routing: routing(principal, keys), meta: meta.into_bytes() }
}

/// The origin of what a session causes whose identity is another now: who acts, and for whom, is the principal's; everything
/// else is still that of the request that opened it.
#[must_use]
pub fn renewed(before: &Origin, principal: &Principal) -> Origin {
    let members: Map<String, Value> =
        serde_json::from_slice(&[b"{", &before.routing[..], b"}"].concat()).unwrap_or_default();
    let keys = ROUTING.iter().filter_map(|(_, field)| Some((*field, members.get(*field)?.as_str()?)));
    Origin { routing: routing(principal, keys), meta: before.meta.clone() }
}

/// The ids of the request that an origin is of; `None` where it has none.
#[must_use]
pub fn ids(origin: &Origin) -> Option<RequestIds> {
    #[derive(Deserialize)]
    struct Ids {
        request_id: Box<str>,
        trace_id: Box<str>,
    }
    let Ids { request_id, trace_id } = serde_json::from_slice(&[b"{", &origin.meta[..], b"}"].concat()).ok()?;
    Some(RequestIds { request_id, trace_id })
}

fn routing<'a>(principal: &Principal, keys: impl Iterator<Item = (&'static str, &'a str)>) -> Bytes {
    let mut routing = Members::default();
    routing.push("actor_id", &principal.sub).push("actor_type", principal.actor_type.as_str());
    if let Some(acts_for) = &principal.acts_for {
        routing.push("acts_for", acts_for);
    }
    for (field, value) in keys {
        routing.push(field, value);
    }
    routing.into_bytes()
}

#[derive(Default)]
struct Members(String);

impl Members {
    fn push(&mut self, field: &str, value: &str) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        // A JSON string, with everything escaped that must be.
        self.0.push_str(&format!("\"{field}\":{}", Value::from(value)));
        self
    }

    /// Without room to spare: a session keeps it for as long as it lives.
    fn into_bytes(self) -> Bytes {
        Bytes::from(self.0.into_bytes().into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tambour_actors::principal::{ActorType, Granted, KeyToken, Permissions, Proof, Role};
    use tambour_actors::topic_key::{Env, Scope, Tenant};

    use super::*;

    fn principal(sub: &str, acts_for: Option<&str>) -> Principal {
        Principal {
            sub: sub.into(),
            scope: Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev },
            granted: Granted { role: Role::Member, permissions: Permissions::NONE },
            role: Role::Member,
            actor_type: ActorType::Human,
            read_only: false,
            permissions: Permissions::NONE,
            acts_for: acts_for.map(Arc::from),
            proof: Proof::Key(KeyToken(7)),
            expires_at_ms: 0,
        }
    }

    #[test]
    fn the_ids_are_read_as_they_were_written() {
        let written = RequestIds { request_id: "a\"b\\".into(), trace_id: "t".into() };
        let origin = of(&principal("alice", None), std::iter::empty(), &written);
        assert_eq!(ids(&origin), Some(written));
        assert_eq!(ids(&Origin { routing: origin.routing, meta: Bytes::new() }), None);
    }

    #[test]
    fn a_renewal_changes_who_acts_and_nothing_else() {
        let ids = RequestIds { request_id: "r".into(), trace_id: "t".into() };
        let keys = || [("project_id", "p\",\"acts_for\":\"x"), ("run_id", "r-1")].into_iter();
        let of = |acts_for: Option<&str>| of(&principal("a\"b", acts_for), keys(), &ids);
        for before in [None, Some("carol"), Some("d\\ave")] {
            for after in [None, Some("carol"), Some("d\\ave")] {
                assert_eq!(renewed(&of(before), &principal("a\"b", after)), of(after));
            }
        }
    }
}
