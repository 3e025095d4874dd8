//! What a caller may still do: a request may take long from its proof to what it does, and more may come of it than its route
//! says.
//!
//! Nothing here looks at a topic.

use std::sync::Arc;

use tambour_actors::entry::Entry;
use tambour_actors::principal::Principal;
use tambour_actors::refusal::Refusal;

use super::Caller;
use super::standing::kill_switch::Doing;

impl Caller {
    /// Who the caller is by what is said of them now, if they may still do what they came for.
    ///
    /// # Errors
    /// `auth.token_revoked`, `auth.suspended`, `kill_switch.blocked`.
    pub fn current(&self) -> Result<Arc<Principal>, Refusal> {
        let principal = self.ground.review(&self.principal)?.unwrap_or_else(|| self.principal.clone());
        self.allows(self.route.doing())?;
        Ok(principal)
    }

    /// Whether something is not switched off that the caller does besides what their route is for.
    ///
    /// # Errors
    /// `kill_switch.blocked`.
    pub fn allows(&self, doing: Doing) -> Result<(), Refusal> {
        self.ground.standing.allows(&self.principal, doing)
    }

    /// The same of an entry that the caller publishes.
    ///
    /// # Errors
    /// `kill_switch.blocked`.
    pub fn allows_entry(&self, entry: &Entry) -> Result<(), Refusal> {
        self.ground.standing.allows_entry(&self.principal, entry)
    }
}
