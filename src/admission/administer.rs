//! How what is said of identities changes: decided, kept, applied, told to who is connected, in this order and by no other
//! way.
//!
//! A change that is not on disk is not in force, and one that is on disk is in force before anybody is answered.

use std::sync::Arc;
use std::time::Duration;

use tambour_actors::deed::Deed;
use tambour_actors::principal::Principal;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::review::{Review, Reviewed};
use tambour_actors::topic::messages::ToOutlet;
use tambour_actors::topic::now_ms;
use tracing::Instrument as _;

use super::standing::change::Change;
use super::standing::decide::Wish;
use super::{Ground, gate};
use crate::config::Roles;
use crate::store::sqlite::Ending;

/// Between two tries to tell a store of stream tokens that some are over.
const AGAIN: Duration = Duration::from_secs(1);

impl Ground {
    /// What is left of an identity by what is said of it now.
    ///
    /// # Errors
    /// `auth.token_revoked`, `auth.token_expired` when what it was made with is over, `auth.suspended`.
    pub fn review(&self, principal: &Principal) -> Reviewed {
        self.review_by(principal, &self.terms().settings.roles)
    }

    /// The same by roles of settings that were in force when a request came.
    ///
    /// # Errors
    /// As [`Self::review`].
    pub(super) fn review_by(&self, principal: &Principal, roles: &Roles) -> Reviewed {
        let reviewed = self.standing.review(principal, roles)?;
        let ends =
            |left: &Arc<Principal>| left.expires_at_ms < principal.expires_at_ms && left.expires_at_ms <= now_ms();
        if reviewed.as_ref().is_some_and(ends) {
            return Err(Refusal::new(Code::TokenExpired, "what this token was made with is over"));
        }
        Ok(reviewed)
    }

    /// Carries out a wish of somebody, which is written down with the deed, and returns the change behind its commit. It goes on to its end when who asked
    /// for it leaves.
    ///
    /// # Errors
    /// What [`super::standing::decide::decide`] refuses; `auth.*` when who asks has no standing any more; `store.*`: nothing
    /// has changed then.
    pub async fn administer(
        self: &Arc<Self>,
        by: &Arc<Principal>,
        deed: Arc<Deed>,
        wish: Wish,
    ) -> Result<Change, Refusal> {
        let (ground, by) = (self.clone(), by.clone());
        let task = async move {
            let _turn = ground.standing.turn.lock().await;
            let by = ground.review(&by)?.unwrap_or(by);
            let change = ground.standing.decide(&by, wish, now_ms())?;
            let kept = ground
                .store
                .administer(
                    change.clone(),
                    Arc::new(Deed { role: by.role, class: change.class(by.role), ..(*deed).clone() }),
                )
                .await;
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
            move |_, principal: &Arc<Principal>| {
                if principal.scope == scope { ground.review(principal) } else { Ok(None) }
            },
        );
        self.directory.outlets().send_all(|| ToOutlet::Review(review.clone()));
        self.endings.notify_one();
    }

    /// Tells the store of stream tokens which of them are over, for as long as the hub runs: what was decided now, and what
    /// an earlier life of the hub was not rid of. Here they are over already, by the review of what they were made from;
    /// this is for the store, and for other hubs on it. Until it answers nobody opens a stream with one there either.
    pub async fn end_tokens(self: Arc<Self>) {
        let mut after = 0;
        loop {
            match self.store.endings(after).await {
                Err(_) => tokio::time::sleep(AGAIN).await,
                Ok(left) if left.is_empty() && after == 0 => self.endings.notified().await,
                Ok(left) => after = self.end_some(left).await,
            }
        }
    }

    /// Returns behind which one to go on: one that failed does not stand before the others.
    async fn end_some(&self, left: Vec<Ending>) -> i64 {
        for Ending { id, which } in left {
            if self.leases.revoke(which).await.is_err() || self.store.ended(id).await.is_err() {
                tokio::time::sleep(AGAIN).await;
                return id;
            }
        }
        0
    }
}
