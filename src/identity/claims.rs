//! What a verified token claims, wherever its issuer puts it, and the principal that it proves.
//!
//! Nothing here looks at a signature. A refusal names the claim by its configured path and repeats nothing of the
//! token.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tambour_actors::principal::{ActorType, Granted, Permission, Permissions, Principal, Proof, Role};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::jwt::{KEY_SUB_PREFIX, SUB_BYTES_MAX};
use crate::config::claim::ClaimPath;
use crate::config::{Auth, Roles};

/// Latest `exp` and `nbf`, in seconds since 1970: the end of the year 9999.
const DATE_SECONDS_MAX: f64 = 253_402_300_799.0;

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

/// Something that a token says tenant by tenant, or once for all of its tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PerTenant<T> {
    Each(BTreeMap<String, T>),
    All(T),
}

impl<T> PerTenant<T> {
    fn get(&self, tenant: &str) -> Option<&T> {
        match self {
            Self::Each(values) => values.get(tenant),
            Self::All(value) => Some(value),
        }
    }

    /// Reads an object by tenant, or one value; `None` when one of them has the wrong form.
    fn read(given: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Self> {
        match given {
            Value::Object(tenants) => {
                let values = tenants.iter().map(|(tenant, value)| Some((tenant.clone(), read(value)?)));
                values.collect::<Option<_>>().map(Self::Each)
            }
            value => read(value).map(Self::All),
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
    roles: PerTenant<Option<Role>>,
    permissions: PerTenant<Permissions>,
    envs: Envs,
}

/// When a token is good, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dates {
    /// Until then.
    pub(super) exp_ms: i64,
    /// From then.
    pub(super) nbf_ms: Option<i64>,
}

/// Where one issuer's tokens say what, and what they may say.
#[derive(Debug)]
pub(super) struct ClaimRules {
    sub: ClaimPath,
    email: ClaimPath,
    tenant_ids: ClaimPath,
    role_map: ClaimPath,
    permissions: ClaimPath,
    envs_claim: ClaimPath,
    envs: Envs,
    envs_claim_required: bool,
    /// The tenants that the issuer may speak for; `None`: any.
    tenants: Option<Vec<Tenant>>,
}

impl ClaimRules {
    /// The rules of an issuer's settings.
    pub(super) fn new(auth: &Auth, tenants: Option<Vec<Tenant>>) -> Self {
        Self {
            sub: auth.claim_sub.clone(),
            email: auth.claim_email.clone(),
            tenant_ids: auth.claim_tenant_ids.clone(),
            role_map: auth.claim_role_map.clone(),
            permissions: auth.claim_permissions.clone(),
            envs_claim: auth.claim_envs.clone(),
            envs: if auth.envs.is_empty() { Envs::ALL } else { Envs::of(auth.envs.iter().copied()) },
            envs_claim_required: auth.envs_claim_required,
            tenants,
        }
    }

    /// Reads the claims of a token whose signature is good.
    ///
    /// # Errors
    /// [`Code::TokenInvalid`], with the claim that is missing or of the wrong form.
    pub(super) fn read(&self, claims: &Value) -> Result<(Claims, Dates), Refusal> {
        let dates = dates(claims)?;
        let issued_at_ms = match claims.get("iat") {
            Some(iat) => date_ms(iat).ok_or_else(|| invalid("the claim iat is not a number"))?,
            None => 0,
        };
        let claims = Claims {
            sub: self.sub(claims)?,
            email: optional_text(claims, &self.email)?.map(str::to_owned),
            jti: optional_text(claims, &ClaimPath::named("jti"))?.map(Into::into),
            issued_at_ms,
            expires_at_ms: dates.exp_ms,
            tenant_ids: self.tenant_ids(claims)?,
            roles: self.roles(claims)?,
            permissions: self.permissions(claims)?,
            envs: self.envs(claims)?,
        };
        Ok((claims, dates))
    }

    fn sub(&self, claims: &Value) -> Result<Arc<str>, Refusal> {
        let path = &self.sub;
        let sub = optional_text(claims, path)?.ok_or_else(|| missing(path))?;
        if sub.is_empty() || sub.len() > SUB_BYTES_MAX || sub.chars().any(char::is_control) {
            return Err(wrong(path, "1 to 256 bytes without control characters"));
        }
        if sub.starts_with(KEY_SUB_PREFIX) {
            return Err(invalid(format!("the claim {path} begins with key:, which only service keys do")));
        }
        Ok(sub.into())
    }

    /// Those of its tenants that the issuer may speak for.
    fn tenant_ids(&self, claims: &Value) -> Result<Vec<String>, Refusal> {
        let path = &self.tenant_ids;
        let given = path.find(claims).ok_or_else(|| missing(path))?;
        let mut ids = texts(given).ok_or_else(|| wrong(path, "a text or a list of texts"))?;
        if let Some(tenants) = &self.tenants {
            ids.retain(|id| tenants.iter().any(|tenant| tenant.as_str() == id));
        }
        Ok(ids)
    }

    fn roles(&self, claims: &Value) -> Result<PerTenant<Option<Role>>, Refusal> {
        let path = &self.role_map;
        let given = path.find(claims).ok_or_else(|| missing(path))?;
        // Of several roles the highest counts; those that are none of ours are somebody else's.
        let role = |value: &Value| Some(texts(value)?.iter().filter_map(|role| Role::parse(role)).max());
        PerTenant::read(given, role)
            .ok_or_else(|| wrong(path, "an object of tenant and role, a role, or a list of roles"))
    }

    fn permissions(&self, claims: &Value) -> Result<PerTenant<Permissions>, Refusal> {
        let path = &self.permissions;
        // Keys that are none of ours are somebody else's, and passed over.
        let keys = |value: &Value| {
            let keys = value.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
            Some(keys.into_iter().filter_map(Permission::parse).collect())
        };
        match path.find(claims) {
            None | Some(Value::Null) => Ok(PerTenant::All(Permissions::NONE)),
            Some(given) => PerTenant::read(given, keys)
                .ok_or_else(|| wrong(path, "an object of tenant and list of keys, or a list of keys")),
        }
    }

    fn envs(&self, claims: &Value) -> Result<Envs, Refusal> {
        let path = &self.envs_claim;
        match path.find(claims) {
            Some(given) => {
                let envs = texts(given).ok_or_else(|| wrong(path, "a text or a list of texts"))?;
                Ok(self.envs.and(Envs::of(envs.iter().filter_map(|env| Env::parse(env).ok()))))
            }
            None if self.envs_claim_required => Err(missing(path)),
            None => Ok(self.envs),
        }
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
        let role = self.roles.get(tenant).copied().flatten().ok_or_else(refused)?;
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

/// A token that is not accepted, and why.
pub(super) fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::TokenInvalid, detail)
}

fn missing(path: &ClaimPath) -> Refusal {
    invalid(format!("the claim {path} is missing"))
}

fn wrong(path: &ClaimPath, form: &str) -> Refusal {
    invalid(format!("the claim {path} is not {form}"))
}

fn dates(claims: &Value) -> Result<Dates, Refusal> {
    let exp = claims.get("exp").ok_or_else(|| invalid("the claim exp is missing"))?;
    let exp_ms = date_ms(exp).ok_or_else(|| invalid("the claim exp is not a number of seconds since 1970"))?;
    let nbf = claims.get("nbf").map(|nbf| date_ms(nbf).ok_or(()));
    let nbf_ms = nbf.transpose().map_err(|()| invalid("the claim nbf is not a number of seconds since 1970"))?;
    Ok(Dates { exp_ms, nbf_ms })
}

/// A numeric date in milliseconds; `None` for anything but a number up to the year 9999.
fn date_ms(date: &Value) -> Option<i64> {
    let seconds = date.as_f64().filter(|seconds| seconds.is_finite() && *seconds <= DATE_SECONDS_MAX)?;
    Some((seconds * 1_000.0).floor() as i64)
}

fn optional_text<'a>(claims: &'a Value, path: &ClaimPath) -> Result<Option<&'a str>, Refusal> {
    match path.find(claims) {
        // Issuers write `null` for what they do not know; for a text that says nothing.
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(path, "a text")),
    }
}

/// One text, or a list of them.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}
