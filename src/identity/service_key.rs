//! Service keys: what is kept of one, how its token is made, and the principal that it proves.
//!
//! The token itself is never kept: it is in the answer to who had it made, and nowhere else. Time arrives as an
//! argument.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tambour_actors::principal::{ActorType, Digest, Granted, KeyToken, Permissions, Principal, Proof, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::Scope;
use uuid::Uuid;

use super::context::SERVICE_KEY_PREFIX;
use super::jwt::KEY_SUB_PREFIX;
use crate::config::Roles;
use crate::config::value::Secret;

/// Random bytes of a token.
const RANDOM_BYTES: usize = 32;
/// Longest name of a key in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// When a key without an expiry expires, in milliseconds since 1970: at the end of the year 9999.
const NEVER_MS: i64 = 253_402_300_799_000;

/// What is kept of a service key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKey {
    /// Its id, which is the `sub` of what it does: `key:` and a UUID of version 7.
    pub id: Arc<str>,
    /// Where it is good for.
    pub scope: Scope,
    /// For people: 1 to [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Agent or system.
    pub actor_type: ActorType,
    /// Its role.
    pub role: Role,
    /// Permission keys beside those of its role.
    pub permissions: Permissions,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// The `sub` of who had it made.
    pub created_by: Arc<str>,
    /// When, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// SHA-256 of its token.
    pub digest: Digest,
    /// The last time that it got another token.
    pub rotated: Option<Rotated>,
}

/// A key got another token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// SHA-256 of the token before.
    pub before: Digest,
    /// How long that one is good still, in milliseconds since 1970.
    pub before_until_ms: i64,
}

/// A token that was just made, and what is kept of it.
pub struct NewToken {
    /// The token: `tsk_` and 256 random bits as base64url.
    pub text: Secret,
    /// Its SHA-256.
    pub digest: Digest,
}

impl NewToken {
    /// Makes one.
    ///
    /// # Errors
    /// `internal`: the system gives no random numbers.
    pub fn make() -> Result<Self, Refusal> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| {
            tracing::error!(%error, "the system gives no random numbers");
            Refusal::from(Code::Internal)
        })?;
        let text = format!("{SERVICE_KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        Ok(Self { digest: digest(&text), text: Secret::new(text) })
    }
}

/// What is kept of a token, and what it is found by.
#[must_use]
pub fn digest(token: &str) -> Digest {
    Sha256::digest(token).into()
}

/// An id that no key has.
#[must_use]
pub fn new_id() -> Arc<str> {
    format!("{KEY_SUB_PREFIX}{}", Uuid::now_v7()).into()
}

impl ServiceKey {
    /// How long one of its tokens is good, and so is what was made with it, in milliseconds since 1970; `None` of a token
    /// that is over: a later rotation ended it.
    #[must_use]
    pub fn good_until_ms(&self, token: KeyToken) -> Option<i64> {
        let expires_at_ms = self.expires_at_ms.unwrap_or(NEVER_MS);
        if self.is_newest(token) {
            return Some(expires_at_ms);
        }
        let before = self.rotated.as_ref().filter(|rotated| KeyToken::of(&rotated.before) == token)?;
        Some(expires_at_ms.min(before.before_until_ms))
    }

    /// Whether it is the token that the key has now.
    #[must_use]
    pub fn is_newest(&self, token: KeyToken) -> bool {
        KeyToken::of(&self.digest) == token
    }

    /// The principal that one of its tokens proves.
    ///
    /// # Errors
    /// `auth.token_expired`: the key has expired, or the token was replaced and its time is over; `auth.token_invalid`: it
    /// is none of the key's.
    pub fn principal(&self, token: &Digest, roles: &Roles, now_ms: i64) -> Result<Principal, Refusal> {
        let token = KeyToken::of(token);
        let expires_at_ms = self.good_until_ms(token);
        let expires_at_ms =
            expires_at_ms.ok_or_else(|| Refusal::new(Code::TokenInvalid, "there is no such service key"))?;
        if now_ms >= expires_at_ms {
            return Err(Refusal::new(Code::TokenExpired, "the service key has expired, or has another token by now"));
        }
        let permissions = roles.permissions(self.role).or(self.permissions);
        Ok(Principal {
            sub: self.id.clone(),
            scope: self.scope.clone(),
            granted: Granted { role: self.role, permissions },
            role: self.role,
            actor_type: self.actor_type,
            read_only: false,
            permissions,
            acts_for: None,
            proof: Proof::Key(token),
            expires_at_ms,
        })
    }

    /// The same key with another token; the one that it has now is good until `before_until_ms`.
    #[must_use]
    pub fn rotated(&self, digest: Digest, now_ms: i64, before_until_ms: i64) -> Self {
        let rotated = Rotated { at_ms: now_ms, before: self.digest, before_until_ms };
        Self { digest, rotated: Some(rotated), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use tambour_actors::topic_key::{Env, Tenant};

    use super::*;
    use crate::config::Settings;

    fn key(token: &NewToken) -> ServiceKey {
        ServiceKey {
            id: new_id(),
            scope: Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev },
            name: "bot".to_owned(),
            actor_type: ActorType::Agent,
            role: Role::Viewer,
            permissions: Permissions::NONE,
            expires_at_ms: Some(1_000),
            created_by: "alice".into(),
            created_at_ms: 0,
            digest: token.digest,
            rotated: None,
        }
    }

    #[test]
    fn a_token_is_made_of_256_random_bits_and_never_prints() {
        let (one, other) = (NewToken::make().unwrap(), NewToken::make().unwrap());
        let text = one.text.expose();
        assert_eq!((text.len(), text.get(..4)), (47, Some("tsk_")));
        assert_eq!(URL_SAFE_NO_PAD.decode(&text[4..]).unwrap().len(), 32);
        assert_ne!((text, one.digest), (other.text.expose(), other.digest));
        assert_eq!(digest(text), one.digest);
        assert_eq!(format!("{:?}", one.text), "***");
    }

    #[test]
    fn which_token_is_good_when() {
        let roles = Settings::default().roles;
        let tokens = [(); 3].map(|()| NewToken::make().unwrap());
        let first = key(&tokens[0]);
        let second = first.rotated(tokens[1].digest, 100, 500);
        let third = second.rotated(tokens[2].digest, 200, 600);
        let good = |key: &ServiceKey, token: usize, now_ms| {
            let principal = key.principal(&tokens[token].digest, &roles, now_ms);
            principal.map(|principal| principal.expires_at_ms).map_err(|refusal| refusal.code)
        };
        assert_eq!((good(&first, 0, 999), good(&first, 0, 1_000)), (Ok(1_000), Err(Code::TokenExpired)));
        assert_eq!((good(&second, 1, 999), good(&second, 1, 1_000)), (Ok(1_000), Err(Code::TokenExpired)));
        assert_eq!((good(&second, 0, 499), good(&second, 0, 500)), (Ok(500), Err(Code::TokenExpired)));
        assert_eq!([0, 1, 2].map(|token| good(&third, token, 300)), [Err(Code::TokenInvalid), Ok(600), Ok(1_000)]);
        let never = ServiceKey { expires_at_ms: None, ..first };
        assert_eq!(good(&never, 0, NEVER_MS - 1), Ok(NEVER_MS));
    }
}
