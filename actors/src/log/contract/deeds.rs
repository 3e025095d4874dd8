//! A deed, for tests that change a topic and are not about who does it.

use std::sync::Arc;

use bytes::Bytes;

use crate::deed::Deed;
use crate::event::Origin;
use crate::log::Class;
use crate::principal::{ActorType, Role};

/// A deed of somebody in the scope of these tests.
#[must_use]
pub fn deed() -> Arc<Deed> {
    let origin = Origin {
        routing: Bytes::from_static(br#""actor_id":"alice","actor_type":"human""#),
        meta: Bytes::from_static(br#""request_id":"r","trace_id":"t""#),
    };
    Arc::new(Deed {
        scope: super::home(),
        action: "tests",
        sub: "alice".into(),
        actor_type: ActorType::Human,
        role: Role::Owner,
        acts_for: None,
        ip: None,
        request_id: "r".into(),
        trace_id: "t".into(),
        origin,
        at_ms: 0,
        class: Class::Ordinary,
    })
}
