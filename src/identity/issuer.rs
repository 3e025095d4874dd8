//! One issuer: its keys, its algorithm, and what its tokens may say.
//!
//! A token chooses nothing about its own verification but which of the issuer's keys it names. Time arrives as an
//! argument.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;
use tambour_actors::refusal::{Code, Refusal};

use super::claims::{ClaimRules, Claims, Dates, invalid};
use super::key::{self, KeyError, Loaded};
use super::key_set::KeySet;
use super::remote_keys::RemoteKeys;
use super::strict::Strict;
use super::verified::Verified;
use crate::config::issuers::IssuerSettings;
use crate::config::value::Algorithm;

/// Verifies the tokens of one issuer.
#[derive(Debug)]
pub(super) struct Issuer {
    name: Option<String>,
    algorithm: Algorithm,
    keys: Keys,
    validation: Validation,
    rules: ClaimRules,
    leeway_ms: i64,
    /// Only for public keys: verifying with a secret is cheap.
    verified: Option<Verified<Proved>>,
}

#[derive(Debug)]
enum Keys {
    Here(Arc<KeySet>),
    There(Arc<RemoteKeys>),
}

/// What never changes about a token whose signature and form are good.
#[derive(Debug)]
struct Proved {
    claims: Claims,
    dates: Dates,
    /// Of the set of keys that it was verified with: with the set, what it proved is gone.
    generation: u64,
}

/// A token that was not verified.
#[derive(Debug)]
pub(super) enum Unverified {
    /// It is refused.
    Refused(Refusal),
    /// The keys that are known don't decide it: it is refused so unless the issuer, asked again, has another.
    KeyUnknown(Arc<RemoteKeys>, Refusal),
}

impl From<Refusal> for Unverified {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Issuer {
    /// Loads the key and the expectations of an issuer.
    ///
    /// # Errors
    /// No key, two keys, one that can't be read, is weak, or does not fit the algorithm.
    pub(super) fn new(settings: &IssuerSettings, production: bool) -> Result<Self, KeyError> {
        let auth = &settings.auth;
        let keys = match key::load(auth)? {
            Loaded::Here(set) => Keys::Here(Arc::new(set)),
            Loaded::There(url) => Keys::There(Arc::new(RemoteKeys::new(auth, url, production)?)),
        };
        let mut validation = Validation::new(auth.algorithm.0);
        // Dates are checked here, against the caller's clock and with finer rules.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        if let Some(issuer) = &auth.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        if let Some(audience) = &auth.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        Ok(Self {
            name: auth.issuer.clone(),
            algorithm: auth.algorithm,
            keys,
            validation,
            rules: ClaimRules::new(auth, settings.tenants.clone()),
            leeway_ms: i64::try_from(auth.leeway_seconds * 1_000).unwrap_or(i64::MAX),
            verified: (!auth.algorithm.takes_secret()).then(Verified::new),
        })
    }

    /// The `iss` of its tokens; `None`: it is not looked at.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its keys, if they are fetched.
    pub(super) fn remote(&self) -> Option<&Arc<RemoteKeys>> {
        match &self.keys {
            Keys::Here(_) => None,
            Keys::There(remote) => Some(remote),
        }
    }

    /// Verifies a token: its form, algorithm, signature, then `iss`, `aud`, `nbf`, `exp`, then the claims that name the
    /// caller.
    ///
    /// # Errors
    /// [`Code::TokenExpired`] for a token that is good but for its `exp`; [`Code::KeysUnavailable`] when the issuer's keys
    /// were never fetched; [`Code::TokenInvalid`] for everything else.
    pub(super) fn verify(&self, token: &str, now_ms: i64) -> Result<Claims, Unverified> {
        let set = match &self.keys {
            Keys::Here(set) => set.clone(),
            Keys::There(remote) => remote.current().ok_or_else(|| {
                let detail = "the issuer's keys can't be fetched now; try again";
                Unverified::KeyUnknown(remote.clone(), Refusal::new(Code::KeysUnavailable, detail))
            })?,
        };
        let known = self.verified.as_ref().and_then(|verified| verified.get(token));
        let proved = match known.filter(|proved| proved.generation == set.generation) {
            Some(proved) => proved,
            None => {
                let proved = Arc::new(self.prove(token, &set)?);
                if let Some(verified) = &self.verified {
                    verified.put(token, Arc::clone(&proved));
                }
                proved
            }
        };
        let Dates { exp_ms, nbf_ms } = proved.dates;
        if nbf_ms.is_some_and(|nbf_ms| nbf_ms > now_ms.saturating_add(self.leeway_ms)) {
            return Err(invalid("the token is not good yet (nbf)").into());
        }
        let leeway_ends_ms = exp_ms.saturating_add(self.leeway_ms);
        if now_ms >= leeway_ends_ms {
            return Err(Refusal::new(Code::TokenExpired, "the token has expired: get a new one").into());
        }
        // A session opened within the leeway would end at once if it ended at `exp`.
        let expires_at_ms = if exp_ms > now_ms { exp_ms } else { leeway_ends_ms };
        let mut claims = proved.claims.clone();
        claims.expires_at_ms = expires_at_ms;
        Ok(claims)
    }

    /// Everything that does not depend on the time.
    fn prove(&self, token: &str, set: &KeySet) -> Result<Proved, Unverified> {
        let decoded =
            jsonwebtoken::decode::<Strict>(token, self.key(token, set)?, &self.validation).map_err(|e| refused(&e))?;
        if decoded.header.crit.is_some() {
            return Err(
                invalid("the token's header has crit, which asks for an extension that is not understood").into()
            );
        }
        let Strict(claims) = decoded.claims;
        if self.name.is_some() && !matches!(claims.get("iss"), Some(Value::String(_))) {
            return Err(invalid("the claim iss is not one text").into());
        }
        let (claims, dates) = self.rules.read(&claims)?;
        Ok(Proved { claims, dates, generation: set.generation })
    }

    /// The key that the token names, where it names a good one; its algorithm is looked at first.
    fn key<'a>(&self, token: &str, set: &'a KeySet) -> Result<&'a DecodingKey, Unverified> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| refused(&error))?;
        if header.alg != self.algorithm.0 {
            return Err(refused(&ErrorKind::InvalidAlgorithm.into()).into());
        }
        set.find(header.kid.as_deref()).ok_or_else(|| {
            let refusal = match header.kid {
                Some(_) => invalid("the key that the token names (kid) is none of its issuer's"),
                None => invalid("the token names no key (kid), and its issuer has more than one"),
            };
            match &self.keys {
                Keys::There(remote) if header.kid.is_some() => Unverified::KeyUnknown(remote.clone(), refusal),
                _ => Unverified::Refused(refusal),
            }
        })
    }
}

fn refused(error: &jsonwebtoken::errors::Error) -> Refusal {
    invalid(explain(error.kind()))
}

/// A sentence for each way in which a token fails, with nothing of the token in it.
fn explain(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidToken => "a JWT has three parts, separated by dots",
        ErrorKind::InvalidAlgorithm => "the token's algorithm is not the one that this hub's key is for",
        ErrorKind::InvalidSignature => "the signature is not of this hub's key",
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => "the claim iss is missing, or no text",
        ErrorKind::MissingRequiredClaim(_) => "the claim aud is missing, or neither a text nor a list of texts",
        ErrorKind::InvalidIssuer => "the claim iss is not the issuer that this hub believes",
        ErrorKind::InvalidAudience => "the claim aud does not name this hub's audience (auth.audience)",
        ErrorKind::Base64(_) => "a part of the token is not base64url without padding",
        ErrorKind::Json(_) | ErrorKind::Utf8(_) => "the token's header or claims are not JSON of the right form",
        _ => "the token can't be verified",
    }
}
