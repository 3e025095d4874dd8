//! The token: verified with the one configured key and algorithm, and what it claims.
//!
//! A token chooses nothing about its own verification, and no refusal repeats any of it. Time
//! arrives as an argument.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Validation};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tambour_actors::principal::{ActorType, Granted, Permission, Permissions, Principal, Proof, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::{Env, Scope};

use super::key;
pub use super::key::KeyError;
use super::verified::Verified;
use crate::config::{Roles, Settings};

/// Largest token in bytes; a larger one is refused before anything in it is looked at.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest `sub` in bytes.
pub const SUB_BYTES_MAX: usize = 256;
/// What the `sub` of every service key begins with, and no other.
pub const KEY_SUB_PREFIX: &str = "key:";
/// Latest `exp` and `nbf`, in seconds since 1970: the end of the year 9999.
const DATE_SECONDS_MAX: f64 = 253_402_300_799.0;

/// Verifies tokens against the configured key. Its `Debug` hides the key.
#[derive(Debug)]
pub struct JwtVerifier {
    key: DecodingKey,
    validation: Validation,
    issuer: Option<String>,
    envs: Envs,
    envs_claim_required: bool,
    leeway_ms: i64,
    /// Only for public keys: verifying with a secret is cheap.
    verified: Option<Verified<Proved>>,
}

/// What never changes about a token whose signature and form are good.
#[derive(Debug)]
struct Proved {
    claims: Claims,
    exp_ms: i64,
    nbf_ms: Option<i64>,
}

/// A set of envs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Envs {
    dev: bool,
    staging: bool,
    prod: bool,
}

impl Envs {
    const ALL: Self = Self { dev: true, staging: true, prod: true };

    fn of(envs: impl IntoIterator<Item = Env>) -> Self {
        let mut set = Self { dev: false, staging: false, prod: false };
        for env in envs {
            match env {
                Env::Dev => set.dev = true,
                Env::Staging => set.staging = true,
                Env::Prod => set.prod = true,
            }
        }
        set
    }

    fn and(self, other: Self) -> Self {
        Self { dev: self.dev && other.dev, staging: self.staging && other.staging, prod: self.prod && other.prod }
    }

    fn contains(self, env: Env) -> bool {
        match env {
            Env::Dev => self.dev,
            Env::Staging => self.staging,
            Env::Prod => self.prod,
        }
    }
}

/// What a verified token claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whom the token is about: 1 to [`SUB_BYTES_MAX`] bytes without control characters.
    pub sub: Arc<str>,
    /// Their address, as the issuer says.
    pub email: Option<String>,
    /// The token's own id.
    pub jti: Option<Arc<str>>,
    /// When it was made, in milliseconds since 1970; 0 when it does not say.
    pub issued_at_ms: i64,
    /// When sessions of this token end, in milliseconds since 1970: its `exp`, or the end of the
    /// leeway for a token that was verified within it.
    pub expires_at_ms: i64,
    tenant_ids: Vec<String>,
    role_map: BTreeMap<String, String>,
    permissions: BTreeMap<String, Permissions>,
    envs: Envs,
}

impl JwtVerifier {
    /// Loads the key and the expectations of `auth`.
    ///
    /// # Errors
    /// No key, two keys, one that can't be read, is weak, or does not fit the algorithm.
    pub fn from_settings(settings: &Settings) -> Result<Self, KeyError> {
        let auth = &settings.auth;
        let key = key::load(auth)?;
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
        let envs = if auth.envs.is_empty() { Envs::ALL } else { Envs::of(auth.envs.iter().copied()) };
        let leeway_ms = i64::try_from(auth.leeway_seconds * 1_000).unwrap_or(i64::MAX);
        Ok(Self {
            key,
            validation,
            issuer: auth.issuer.clone(),
            envs,
            envs_claim_required: auth.envs_claim_required,
            leeway_ms,
            verified: (!auth.algorithm.takes_secret()).then(Verified::new),
        })
    }

    /// Verifies a token: its size, form, algorithm, signature, then `iss`, `aud`, `nbf`, `exp`,
    /// then the claims that name the caller.
    ///
    /// # Errors
    /// [`Code::TokenExpired`] for a token that is good but for its `exp`; [`Code::TokenInvalid`]
    /// for everything else.
    pub fn verify(&self, token: &str, now_ms: i64) -> Result<Claims, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(invalid("the token is larger than 8 KiB"));
        }
        let known = self.verified.as_ref().and_then(|verified| verified.get(token));
        let proved = match known {
            Some(proved) => proved,
            None => {
                let proved = Arc::new(self.prove(token)?);
                if let Some(verified) = &self.verified {
                    verified.put(token, Arc::clone(&proved));
                }
                proved
            }
        };
        if proved.nbf_ms.is_some_and(|nbf_ms| nbf_ms > now_ms.saturating_add(self.leeway_ms)) {
            return Err(invalid("the token is not good yet (nbf)"));
        }
        let leeway_ends_ms = proved.exp_ms.saturating_add(self.leeway_ms);
        if now_ms >= leeway_ends_ms {
            return Err(Refusal::new(Code::TokenExpired, "the token has expired: get a new one"));
        }
        // A session opened within the leeway would end at once if it ended at `exp`.
        let expires_at_ms = if proved.exp_ms > now_ms { proved.exp_ms } else { leeway_ends_ms };
        Ok(Claims { expires_at_ms, ..proved.claims.clone() })
    }

    /// Everything that does not depend on the time.
    fn prove(&self, token: &str) -> Result<Proved, Refusal> {
        let decoded = jsonwebtoken::decode::<RawClaims>(token, &self.key, &self.validation)
            .map_err(|error| invalid(explain(error.kind())))?;
        if decoded.header.crit.is_some() {
            return Err(invalid("the token's header has crit, which asks for an extension that is not understood"));
        }
        let raw = decoded.claims;
        if self.issuer.is_some() && !matches!(raw.iss, Some(Value::String(_))) {
            return Err(invalid("the claim iss is not one text"));
        }
        let exp = raw.exp.as_ref().ok_or_else(|| invalid("the claim exp is missing"))?;
        let exp_ms = date_ms(exp).ok_or_else(|| invalid("the claim exp is not a number of seconds since 1970"))?;
        let nbf_ms = match &raw.nbf {
            Some(nbf) => {
                Some(date_ms(nbf).ok_or_else(|| invalid("the claim nbf is not a number of seconds since 1970"))?)
            }
            None => None,
        };
        Ok(Proved { claims: self.claims(raw, exp_ms)?, exp_ms, nbf_ms })
    }

    fn claims(&self, raw: RawClaims, exp_ms: i64) -> Result<Claims, Refusal> {
        let sub = optional_text(raw.sub, "the claim sub is not a text")?;
        let sub = sub.ok_or_else(|| invalid("the claim sub is missing"))?;
        if sub.is_empty() || sub.len() > SUB_BYTES_MAX || sub.chars().any(char::is_control) {
            return Err(invalid("the claim sub is 1 to 256 bytes without control characters"));
        }
        if sub.starts_with(KEY_SUB_PREFIX) {
            return Err(invalid("the claim sub begins with key:, which only service keys do"));
        }
        let issued_at_ms = match &raw.iat {
            Some(iat) => date_ms(iat).ok_or_else(|| invalid("the claim iat is not a number"))?,
            None => 0,
        };
        let permissions = permissions(raw.permissions)
            .ok_or_else(|| invalid("the claim permissions is not an object of tenant and list of keys"))?;
        let tenant_ids = raw.tenant_ids.ok_or_else(|| invalid("the claim tenant_ids is missing"))?;
        let tenant_ids = texts(tenant_ids).ok_or_else(|| invalid("the claim tenant_ids is not a list of texts"))?;
        let role_map = raw.role_map.ok_or_else(|| invalid("the claim role_map is missing"))?;
        let role_map = serde_json::from_value(role_map)
            .map_err(|_| invalid("the claim role_map is not an object of tenant and role"))?;
        let envs = match raw.envs {
            Some(envs) => {
                let envs = texts(envs).ok_or_else(|| invalid("the claim envs is not a list of texts"))?;
                self.envs.and(Envs::of(envs.iter().filter_map(|env| Env::parse(env).ok())))
            }
            None if self.envs_claim_required => return Err(invalid("the claim envs is missing")),
            None => self.envs,
        };
        Ok(Claims {
            sub: sub.into(),
            email: optional_text(raw.email, "the claim email is not a text")?,
            jti: optional_text(raw.jti, "the claim jti is not a text")?.map(Into::into),
            issued_at_ms,
            expires_at_ms: exp_ms,
            tenant_ids,
            role_map,
            permissions,
            envs,
        })
    }
}

impl Claims {
    /// The principal that the token proves in a tenant and env. Their permission keys are those of their role, and those
    /// that the token gives there.
    ///
    /// # Errors
    /// [`Code::TenantMismatch`] when the token is not good for the tenant or the env, or gives no
    /// role there. All three answer alike: they tell nothing about tenants that exist.
    pub fn principal(&self, scope: &Scope, roles: &Roles) -> Result<Principal, Refusal> {
        let refused = || Refusal::new(Code::TenantMismatch, "this token is not good for this tenant and env");
        let tenant = scope.tenant.as_str();
        if !self.tenant_ids.iter().any(|id| id == tenant) || !self.envs.contains(scope.env) {
            return Err(refused());
        }
        let role = self.role_map.get(tenant).and_then(|role| Role::parse(role)).ok_or_else(refused)?;
        let permissions = roles.permissions(role).or(self.permissions.get(tenant).copied().unwrap_or_default());
        Ok(Principal {
            sub: self.sub.clone(),
            scope: scope.clone(),
            granted: Granted { role, permissions },
            role,
            actor_type: ActorType::Human,
            read_only: false,
            permissions,
            acts_for: None,
            proof: Proof::Main { jti: self.jti.clone(), issued_at_ms: self.issued_at_ms },
            expires_at_ms: self.expires_at_ms,
        })
    }
}

/// Claims before their types are looked at, so that a refusal can name the one that is wrong. A
/// claim that is there twice is an error of the form.
#[derive(Deserialize)]
struct RawClaims {
    #[serde(default, deserialize_with = "given")]
    sub: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    email: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    jti: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    iss: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    exp: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    nbf: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    iat: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    tenant_ids: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    role_map: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    permissions: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    envs: Option<Value>,
}

/// `null` is a value that is given, and wrong; not an absent one.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn invalid(detail: &'static str) -> Refusal {
    Refusal::new(Code::TokenInvalid, detail)
}

/// A numeric date in milliseconds; `None` for anything but a number up to the year 9999.
fn date_ms(date: &Value) -> Option<i64> {
    let seconds = date.as_f64().filter(|seconds| seconds.is_finite() && *seconds <= DATE_SECONDS_MAX)?;
    Some((seconds * 1_000.0).floor() as i64)
}

fn optional_text(value: Option<Value>, otherwise: &'static str) -> Result<Option<String>, Refusal> {
    match value {
        // Issuers write `null` for what they do not know; for a text that says nothing.
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(otherwise)),
    }
}

/// Keys that are none of ours are somebody else's, and passed over.
fn permissions(value: Option<Value>) -> Option<BTreeMap<String, Permissions>> {
    let given: BTreeMap<String, Vec<String>> = match value {
        None | Some(Value::Null) => return Some(BTreeMap::new()),
        Some(value) => serde_json::from_value(value).ok()?,
    };
    let known = |keys: Vec<String>| keys.iter().filter_map(|key| Permission::parse(key)).collect();
    Some(given.into_iter().map(|(tenant, keys)| (tenant, known(keys))).collect())
}

fn texts(value: Value) -> Option<Vec<String>> {
    serde_json::from_value(value).ok()
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
