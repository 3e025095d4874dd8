//! The keys that one issuer's tokens may be signed with, and how a JWKS (RFC 7517) becomes them.
//!
//! What can't be used is passed over: keys of another kind, use, algorithm or size. A token only names a key by its
//! `kid`, which is compared and never interpreted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::key::{RSA_BITS_MAX, RSA_BITS_MIN, checked, modulus_bits};
use crate::config::value::Algorithm;

/// Most keys of a JWKS.
pub const JWKS_KEYS_MAX: usize = 64;
/// Largest JWKS in bytes.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Longest `kid` in bytes.
const KID_BYTES_MAX: usize = 256;

/// Keys, of which a token names one.
pub(super) struct KeySet {
    /// Which set of its issuer it is: another one has another number.
    pub(super) generation: u64,
    keys: Vec<(Option<Box<str>>, DecodingKey)>,
    /// One key that was configured by itself: whatever a token calls it.
    is_one: bool,
}

/// Keys never print.
impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySet({} keys)", self.keys.len())
    }
}

/// The members of a key that are looked at (RFC 7517, section 4; RFC 7518, section 6; RFC 8037).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// The private part, which nobody publishes on purpose.
    d: Option<Value>,
}

impl KeySet {
    /// The one key that was configured.
    pub(super) fn one(key: DecodingKey) -> Self {
        Self { generation: 0, keys: vec![(None, key)], is_one: true }
    }

    /// The keys of a JWKS that an algorithm can use, in their order.
    ///
    /// # Errors
    /// In words: it is too large, no JSON, has no `keys`, or too many.
    pub(super) fn parse(jwks: &[u8], algorithm: Algorithm, generation: u64) -> Result<Self, &'static str> {
        if jwks.len() > JWKS_BYTES_MAX {
            return Err("it is larger than 256 KiB");
        }
        let document: Value = serde_json::from_slice(jwks).map_err(|_| "it is not JSON")?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or("it is no JWKS: it has no list `keys`")?;
        if keys.len() > JWKS_KEYS_MAX {
            return Err("it has more than 64 keys");
        }
        let keys = keys.iter().filter_map(|key| usable(key, algorithm)).collect();
        Ok(Self { generation, keys, is_one: false })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key that a token names. One that names none can only mean the only one.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&DecodingKey> {
        let only = || match &self.keys[..] {
            [(_, key)] => Some(key),
            _ => None,
        };
        match kid {
            _ if self.is_one => only(),
            None => only(),
            Some(kid) => self.keys.iter().find(|(name, _)| name.as_deref() == Some(kid)).map(|(_, key)| key),
        }
    }
}

/// The key, if it is a public one for verifying with this algorithm.
fn usable(key: &Value, algorithm: Algorithm) -> Option<(Option<Box<str>>, DecodingKey)> {
    let jwk = Jwk::deserialize(key).ok()?;
    let is_for_us = jwk.r#use.as_deref().is_none_or(|of| of == "sig")
        && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"))
        && jwk.alg.as_deref().is_none_or(|alg| alg == format!("{:?}", algorithm.0))
        && jwk.kid.as_deref().is_none_or(|kid| kid.len() <= KID_BYTES_MAX)
        && jwk.d.is_none();
    if !is_for_us {
        return None;
    }
    let crv = jwk.crv.as_deref();
    let made = match (algorithm.0, algorithm.0.family(), &*jwk.kty) {
        (_, AlgorithmFamily::Rsa, "RSA") => DecodingKey::from_rsa_components(jwk.n.as_deref()?, jwk.e.as_deref()?),
        (jsonwebtoken::Algorithm::ES256, _, "EC") if crv == Some("P-256") => {
            DecodingKey::from_ec_components(jwk.x.as_deref()?, jwk.y.as_deref()?)
        }
        (jsonwebtoken::Algorithm::ES384, _, "EC") if crv == Some("P-384") => {
            DecodingKey::from_ec_components(jwk.x.as_deref()?, jwk.y.as_deref()?)
        }
        (_, AlgorithmFamily::Ed, "OKP") if crv == Some("Ed25519") => DecodingKey::from_ed_components(jwk.x.as_deref()?),
        _ => return None,
    };
    let key = made.ok()?;
    if let Some(n) = jwk.n.as_deref().filter(|_| algorithm.0.family() == AlgorithmFamily::Rsa) {
        let bits = modulus_bits(&URL_SAFE_NO_PAD.decode(n).ok()?)?;
        // With an exponent of 1 every text would be its own signature.
        let exponent = URL_SAFE_NO_PAD.decode(jwk.e.as_deref()?).ok()?;
        let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) || !is_odd || modulus_bits(&exponent)? < 2 {
            return None;
        }
    }
    let key = checked(key, algorithm.0)?;
    Some((jwk.kid.map(String::into_boxed_str), key))
}
