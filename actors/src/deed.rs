//! A deed: who does something administrative, by which request. Whatever changes what is there beside the events of topics
//! is given one, and the store writes it down in the transaction of the change.
//!
//! This file never decides whether it may be done.

use std::sync::Arc;

use crate::event::Origin;
use crate::log::Class;
use crate::principal::{ActorType, Role};
use crate::topic_key::Scope;

/// Who does something, by which request. What is done, the change itself says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Where.
    pub scope: Scope,
    /// The action of the route, as in the table of routes: `threads.create`.
    pub action: &'static str,
    /// Who: the `sub` of a principal.
    pub sub: Arc<str>,
    /// What they are.
    pub actor_type: ActorType,
    /// The role that they have here.
    pub role: Role,
    /// On whose behalf.
    pub acts_for: Option<Arc<str>>,
    /// The address of the client, as text; `None` where there is none.
    pub ip: Option<Arc<str>>,
    /// Of the request.
    pub request_id: Arc<str>,
    /// Of the trace that the request is part of.
    pub trace_id: Arc<str>,
    /// What events say that are written because of it.
    pub origin: Origin,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What the writes are for that it comes to. It is not written down.
    pub class: Class,
}

impl Deed {
    /// The same deed, for something else.
    #[must_use]
    pub fn in_class(&self, class: Class) -> Arc<Self> {
        Arc::new(Self { class, ..self.clone() })
    }
}
