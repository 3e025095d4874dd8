//! The token: which issuer's it is, and what it proves.
//!
//! With more than one issuer the token's `iss` selects the one that verifies it, with that issuer's key and rules and no
//! others. No refusal repeats any of a token.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tambour_actors::refusal::{Code, Refusal};

pub use super::claims::Claims;
use super::claims::invalid;
use super::issuer::{Issuer, Unverified};
pub use super::key::KeyError;
use super::key::KeySource;
use crate::config::Settings;
use crate::config::issuers::{self, IssuerSettings};

/// Largest token in bytes; a larger one is refused before anything in it is looked at.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest `sub` in bytes.
pub const SUB_BYTES_MAX: usize = 256;
/// What the `sub` of every service key begins with, and no other.
pub const KEY_SUB_PREFIX: &str = "key:";

/// Verifies tokens with the keys of the configured issuers. Its `Debug` hides the keys.
#[derive(Debug)]
pub struct JwtVerifier {
    issuers: Vec<Issuer>,
    /// How often keys that are fetched are fetched again.
    refresh_every: Duration,
}

impl JwtVerifier {
    /// Loads the keys and the expectations of `auth`, and of the issuers in its file. Keys that are elsewhere are not fetched
    /// here: see [`JwtVerifier::refresh`].
    ///
    /// # Errors
    /// No key, two keys, one that can't be read, is weak, or does not fit the algorithm; issuers that can't be told apart; in
    /// production a key that is fetched without protection, or an issuer of which nothing says which envs its key is good
    /// for.
    pub fn from_settings(settings: &Settings) -> Result<Self, KeyError> {
        let auth = &settings.auth;
        let mut issuers = Vec::new();
        if auth.issuers_file.is_none() || KeySource::of(auth)?.is_some() {
            let own = IssuerSettings { auth: auth.clone(), tenants: None };
            issuers.push(Issuer::new(&own, settings.production)?);
        }
        if let Some(file) = &auth.issuers_file {
            if issuers.iter().any(|own| own.name().is_none()) {
                return Err(KeyError::Nameless);
            }
            for entry in issuers::read(file, auth)? {
                let name = entry.auth.issuer.clone().unwrap_or_default();
                if issuers.iter().any(|issuer| issuer.name() == Some(&name)) {
                    return Err(KeyError::SameIssuer(name));
                }
                if settings.production && entry.auth.envs.is_empty() && !entry.auth.envs_claim_required {
                    return Err(KeyError::NoEnvs(name));
                }
                let made = Issuer::new(&entry, settings.production);
                issuers.push(made.map_err(|error| KeyError::Of(name, Box::new(error)))?);
            }
        }
        Ok(Self { issuers, refresh_every: Duration::from_secs(auth.jwks_refresh_seconds) })
    }

    /// Takes over what another verifier has fetched from the same places, so that a reload loses no keys.
    pub fn take_over(&self, other: &Self) {
        for keys in self.issuers.iter().filter_map(Issuer::remote) {
            for others in other.issuers.iter().filter_map(Issuer::remote) {
                keys.take_over(others);
            }
        }
    }

    /// Begins to fetch the keys that it is time to fetch. Returns at once.
    pub fn refresh(&self, now: Instant) {
        for keys in self.issuers.iter().filter_map(Issuer::remote) {
            keys.refresh(now, self.refresh_every);
        }
    }

    /// Verifies a token: its size, form, algorithm, signature, then `iss`, `aud`, `nbf`, `exp`,
    /// then the claims that name the caller. Asks nobody.
    ///
    /// # Errors
    /// [`Code::TokenExpired`] for a token that is good but for its `exp`; [`Code::KeysUnavailable`] when the keys that it
    /// needs were never fetched; [`Code::TokenInvalid`] for everything else.
    pub fn verify(&self, token: &str, now_ms: i64) -> Result<Claims, Refusal> {
        self.look(token, now_ms).map_err(|unverified| match unverified {
            Unverified::Refused(refusal) | Unverified::KeyUnknown(_, refusal) => refusal,
        })
    }

    /// The same; when the token names a key that is not known, the issuer is asked for its keys first, if it is time for that.
    ///
    /// # Errors
    /// As [`JwtVerifier::verify`]; [`Code::SigningKeyUnknown`] when the issuer could not be asked: the token may be good, so it
    /// is not told that it is bad.
    pub async fn verify_asking(&self, token: &str, now_ms: i64) -> Result<Claims, Refusal> {
        match self.look(token, now_ms) {
            Ok(claims) => Ok(claims),
            Err(Unverified::Refused(refusal)) => Err(refusal),
            Err(Unverified::KeyUnknown(keys, _)) => {
                let wait = keys.ask_again(Instant::now()).await;
                self.look(token, now_ms).map_err(|unverified| match (unverified, wait) {
                    (Unverified::KeyUnknown(_, refusal), Some(wait)) if refusal.code == Code::TokenInvalid => {
                        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1_000);
                        let detail = "the key that the token names (kid) is not known, and its issuer can't be asked for \
                                      newer ones yet: try again";
                        Refusal::new(Code::SigningKeyUnknown, detail).with("retry_after_ms", wait_ms)
                    }
                    (Unverified::Refused(refusal) | Unverified::KeyUnknown(_, refusal), _) => refusal,
                })
            }
        }
    }

    fn look(&self, token: &str, now_ms: i64) -> Result<Claims, Unverified> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid("the token is larger than 8 KiB").into());
        }
        self.issuer_of(token)?.verify(token, now_ms)
    }

    /// The issuer that a token says to be of. What it says is checked once more, behind the signature.
    fn issuer_of(&self, token: &str) -> Result<&Issuer, Refusal> {
        if let [only] = &self.issuers[..] {
            return Ok(only);
        }
        let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims = claims.ok_or_else(|| invalid("a JWT has three parts of base64url, separated by dots"))?;
        let said: Said<'_> = serde_json::from_slice(&claims).map_err(|_| invalid("the claim iss is not one text"))?;
        let known = self.issuers.iter().find(|issuer| issuer.name() == Some(&said.iss));
        known.ok_or_else(|| invalid("the claim iss is no issuer that this hub believes"))
    }
}

/// What selects the issuer.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
}
