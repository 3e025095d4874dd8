//! How what is said of identities changes: decided, kept, applied, told to who is connected, in this order and by no other
//! way.
//!
//! A change that is not on disk is not in force, and one that is on disk is in force before anybody is answered.

use std::sync::Arc;
use std::time::Duration;

use tambour_actors::deed::Deed;
use tambour_actors::principal::{Principal, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::review::{Review, Reviewed};
use tambour_actors::topic::messages::ToOutlet;
use tambour_actors::topic::now_ms;
use tracing::Instrument as _;

use super::standing::change::{Change, Revoked, State};
use super::standing::decide::Wish;
use super::{Ground, gate};
use crate::identity::stream_tokens::Revoke;

/// Between two tries to tell a store of stream tokens that some are over.
const AGAIN: Duration = Duration::from_secs(1);

impl Ground {
    /// What is left of an identity by what is said of it now.
    ///
    /// # Errors
    /// `auth.token_revoked`, `auth.suspended`.
    pub fn review(&self, principal: &Principal) -> Reviewed {
        self.standing.review(principal, &self.terms().settings.roles)
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
            let kept =
                ground.store.administer(change.clone(), Arc::new(Deed { role: by.role, ..(*deed).clone() })).await;
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
        if let Some(which) = tokens_of(change) {
            let leases = self.leases.clone();
            // Here they are over already, by the review of what they were made from: the rest is for the store, and for
            // other hubs on it. Until it answers nobody opens a stream with one there either.
            actix_rt::spawn(async move {
                while leases.revoke(which.clone()).await.is_err() {
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
    }
}

/// The stream tokens that a change ends, whoever holds them. What an admin says reaches nobody whose own token says
/// `owner`, and the store does not know whose does: there it is left to the review.
fn tokens_of(change: &Change) -> Option<Revoke> {
    let ends_all = |authority: Role| authority == Role::Owner;
    match change {
        Change::RemoveKey(scope, id) => Some(Revoke::Key(scope.clone(), id.clone())),
        Change::Revoke(scope, Revoked::Jti(jti), _) => Some(Revoke::Jti(scope.clone(), jti.clone())),
        Change::Revoke(scope, Revoked::Sub(sub), revocation) if ends_all(revocation.authority) => {
            Some(Revoke::Sub(scope.clone(), sub.clone()))
        }
        Change::PutPrincipal(scope, sub, order) if order.state == State::Suspended && ends_all(order.authority) => {
            Some(Revoke::Sub(scope.clone(), sub.clone()))
        }
        _ => None,
    }
}
