//! From a token to a principal: the one way, for requests, `hello` and `auth` alike.
//!
//! Which kind of token it is decides where it is looked up; what it may be used for is checked before that. Nothing
//! here looks at a topic.

use tambour_actors::principal::{Permission, Principal};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic::now_ms;

use super::terms::Terms;
use super::{Ground, rights};
use crate::identity::context::{ScopeGiven, Tier};
use crate::identity::service_key;
use crate::identity::subject::is_sub;

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
}

impl Ground {
    /// The principal that a token proves.
    ///
    /// # Errors
    /// `auth.*`, `context.*`.
    pub(super) async fn prove(&self, terms: &Terms, shown: &Shown<'_>) -> Result<Principal, Refusal> {
        let principal = match (Tier::of(shown.token), shown.is_stream) {
            (Tier::Main, _) => self.main(terms, shown)?,
            (Tier::Stream, false) => {
                let detail = "a stream token opens streams and long polls: send a main token or a service key";
                return Err(Refusal::new(Code::TokenTier, detail));
            }
            (Tier::Key, true) => {
                let detail = "a service key opens no stream: make a stream token with it, POST /v1/stream-tokens";
                return Err(Refusal::new(Code::TokenTier, detail));
            }
            (Tier::Key, false) => self.key(terms, shown)?,
            (Tier::Stream, true) => return Err(Refusal::new(Code::TokenInvalid, "there is no such token")),
        };
        let reviewed = self.standing.review(&principal, &terms.settings.roles)?;
        let mut principal = reviewed.map_or(principal, std::sync::Arc::unwrap_or_clone);
        shown.given.agrees_with(&principal.scope)?;
        if let Some(sub) = shown.act_as {
            self.may_act(&principal, sub)?;
            principal.acts_for = Some(sub.into());
        }
        Ok(principal)
    }

    fn main(&self, terms: &Terms, shown: &Shown<'_>) -> Result<Principal, Refusal> {
        let claims = terms.verifier.verify(shown.token, now_ms())?;
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
