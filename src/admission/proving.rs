//! From a token to a principal: the one way, for requests, `hello` and `auth` alike.
//!
//! Which kind of token it is decides where it is looked up; what it may be used for is checked before that. Nothing
//! here looks at a topic.

use std::rc::Rc;
use std::sync::Arc;

use tambour_actors::principal::{Permission, Principal, Proof};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::{self, Proved};
use tambour_actors::topic::now_ms;

use super::leases::Lease;
use super::refused::Known;
use super::terms::Terms;
use super::{Ground, rights};
use crate::identity::context::{ScopeGiven, Tier};
use crate::identity::subject::is_sub;
use crate::identity::{service_key, stream_tokens};

/// A token, and what it is shown for.
pub(super) struct Shown<'a> {
    /// The token.
    pub(super) token: &'a str,
    /// Tenant and env, as they are said beside it.
    pub(super) given: &'a ScopeGiven,
    /// For a stream or a long poll.
    pub(super) is_stream: bool,
    /// On whose behalf.
    pub(super) act_as: Option<&'a str>,
    /// Told who it is, as soon as that is proved, whatever is refused then.
    pub(super) known: &'a Known,
}

impl Ground {
    /// The principal that a token proves.
    ///
    /// # Errors
    /// `auth.*`, `context.*`.
    pub(super) async fn prove(&self, terms: &Terms, shown: &Shown<'_>) -> Result<Principal, Refusal> {
        let principal = match (Tier::of(shown.token), shown.is_stream) {
            (Tier::Main, _) => self.main(terms, shown).await?,
            (Tier::Stream, false) => {
                let detail = "a stream token opens streams and long polls: send a main token or a service key";
                return Err(Refusal::new(Code::TokenTier, detail));
            }
            (Tier::Key, true) => {
                let detail = "a service key opens no stream: make a stream token with it, POST /v1/stream-tokens";
                return Err(Refusal::new(Code::TokenTier, detail));
            }
            (Tier::Key, false) => self.key(terms, shown)?,
            (Tier::Stream, true) => self.stream(shown).await?,
        };
        if shown.given.agrees_with(&principal.scope).is_ok() {
            shown.known.is(&principal);
        }
        let reviewed = self.review_by(&principal, &terms.settings.roles)?;
        let mut principal = reviewed.map_or(principal, Arc::unwrap_or_clone);
        shown.given.agrees_with(&principal.scope)?;
        if let Some(sub) = shown.act_as {
            self.may_act(&principal, sub)?;
            principal.acts_for = Some(sub.into());
        }
        Ok(principal)
    }

    /// Whom a stream token proves. It is opened when everything else was checked: [`Self::lease`].
    async fn stream(&self, shown: &Shown<'_>) -> Result<Principal, Refusal> {
        let digest = stream_tokens::digest(shown.token);
        let digest =
            digest.ok_or_else(|| Refusal::new(Code::TokenInvalid, "this is not the form of a stream token"))?;
        Ok((*self.leases.find(digest).await?.principal).clone())
    }

    /// The last of all checks, for who comes with a stream token: the token is this stream's from now on. `None` for who
    /// comes with another.
    ///
    /// # Errors
    /// `auth.token_invalid` when it is gone meanwhile, `token.store_unavailable`.
    pub(super) async fn lease(&self, principal: &Principal) -> Result<Option<Rc<Lease>>, Refusal> {
        match &principal.proof {
            Proof::Stream(proof) => self.leases.open(proof.digest).await.map(Some),
            Proof::Main { .. } | Proof::Key(_) => Ok(None),
        }
    }

    /// The same for a session.
    ///
    /// # Errors
    /// As [`Self::lease`].
    pub(super) async fn proved(&self, principal: Arc<Principal>) -> Result<Proved, Refusal> {
        let lease = self.lease(&principal).await?.map(|lease| lease as Rc<dyn gate::Lease>);
        Ok(Proved { principal, lease })
    }

    async fn main(&self, terms: &Terms, shown: &Shown<'_>) -> Result<Principal, Refusal> {
        let claims = terms.verifier.verify_asking(shown.token, now_ms()).await?;
        claims.principal(&shown.given.scope()?, &terms.settings.roles)
    }

    /// A key has a tenant and an env of its own.
    fn key(&self, terms: &Terms, shown: &Shown<'_>) -> Result<Principal, Refusal> {
        self.standing.prove_key(&service_key::digest(shown.token), &terms.settings.roles, now_ms())
    }

    /// Whether a principal may act for somebody: a service key with the permission may, for who is not suspended.
    fn may_act(&self, principal: &Principal, sub: &str) -> Result<(), Refusal> {
        if !is_sub(sub) {
            return Err(Refusal::new(Code::RequestMalformed, "X-Act-As is somebody's sub"));
        }
        rights::require(principal, Permission::PrincipalsAct)?;
        if self.standing.is_suspended(&principal.scope, sub) {
            return Err(Refusal::new(Code::Suspended, "whom you act for is suspended in this tenant and env"));
        }
        Ok(())
    }
}
