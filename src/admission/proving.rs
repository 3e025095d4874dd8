//! From a token to a principal: the one way, for requests, `hello` and `auth` alike.
//!
//! Which kind of token it is decides where it is looked up; what it may be used for is checked before that. Nothing
//! here looks at a topic.

use tambour_actors::principal::Principal;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic::now_ms;

use super::Ground;
use super::terms::Terms;
use crate::identity::context::{ScopeGiven, Tier};

/// A token, and what it is shown for.
pub(super) struct Shown<'a> {
    /// The token.
    pub(super) token: &'a str,
    /// Tenant and env, as they are said beside it.
    pub(super) given: &'a ScopeGiven,
    /// For a stream or a long poll.
    pub(super) is_stream: bool,
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
            (Tier::Stream | Tier::Key, _) => return Err(Refusal::new(Code::TokenInvalid, "there is no such token")),
        };
        shown.given.agrees_with(&principal.scope)?;
        Ok(principal)
    }

    async fn main(&self, terms: &Terms, shown: &Shown<'_>) -> Result<Principal, Refusal> {
        let claims = terms.verifier.verify_asking(shown.token, now_ms()).await?;
        claims.principal(&shown.given.scope()?, &terms.settings.roles)
    }
}
