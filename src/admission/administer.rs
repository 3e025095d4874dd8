//! How what is said of identities changes: decided, kept, applied, told to who is connected, in this order and by no other
//! way.
//!
//! A change that is not on disk is not in force, and one that is on disk is in force before anybody is answered.

use std::sync::Arc;

use tambour_actors::principal::Principal;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::review::{Review, Reviewed};
use tambour_actors::topic::messages::ToOutlet;
use tambour_actors::topic::now_ms;
use tracing::Instrument as _;

use super::standing::change::Change;
use super::standing::decide::Wish;
use super::{Ground, gate};

impl Ground {
    /// What is left of an identity by what is said of it now.
    ///
    /// # Errors
    /// `auth.token_revoked`, `auth.suspended`.
    pub fn review(&self, principal: &Principal) -> Reviewed {
        self.standing.review(principal, &self.terms().settings.roles)
    }

    /// Carries out a wish of somebody, and returns the change behind its commit. It goes on to its end when who asked
    /// for it leaves.
    ///
    /// # Errors
    /// What [`super::standing::decide::decide`] refuses; `auth.*` when who asks has no standing any more; `store.*`: nothing
    /// has changed then.
    pub async fn administer(self: &Arc<Self>, by: &Arc<Principal>, wish: Wish) -> Result<Change, Refusal> {
        let (ground, by) = (self.clone(), by.clone());
        let task = async move {
            let _turn = ground.standing.turn.lock().await;
            let by = ground.review(&by)?.unwrap_or(by);
            let change = ground.standing.decide(&by, wish, now_ms())?;
            let kept = ground.store.administer(change.clone()).await;
            kept.map_err(|error| gate::unavailable(&error))?;
            ground.standing.apply(change.clone());
            ground.ended(&change);
            Ok(change)
        };
        actix_rt::spawn(task.in_current_span()).await.unwrap_or_else(|error| {
            tracing::error!(%error, "an administrative change died");
            Err(Code::Internal.into())
        })
    }

    /// Something is over or is another now: everybody who is connected in its tenant and env is looked at again. Whatever
    /// else was made from it, and lives elsewhere, ends here too.
    fn ended(self: &Arc<Self>, change: &Change) {
        let (ground, scope) = (self.clone(), change.scope().clone());
        let review: Review = Arc::new(
            move |principal: &Arc<Principal>| {
                if principal.scope == scope { ground.review(principal) } else { Ok(None) }
            },
        );
        self.directory.outlets().send_all(|| ToOutlet::Review(review.clone()));
    }
}
