//! Service keys, principals and revocations on the wire: what a client may ask for, and what it is shown. A token is in the
//! one answer that made it; a digest is in none.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tambour_actors::entry::present;
use tambour_actors::frame::time_text;
use tambour_actors::principal::{ActorType, Digest, Permission, Permissions, Role};
use tambour_actors::refusal::{Code, Refusal};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::admission::standing::Told;
use crate::admission::standing::change::{Revocation, Revoked, State};
use crate::admission::standing::decide::{NewKey, Wish};
use crate::identity::jwt::SUB_BYTES_MAX;
use crate::identity::service_key::{self, NAME_BYTES_MAX, ServiceKey};
use crate::identity::subject::is_sub;
use crate::openapi::shapes;

/// The body of a new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// For people.
    #[schema(value_type = shapes::KeyName)]
    name: String,
    #[schema(value_type = shapes::KeyActorType)]
    actor_type: String,
    #[schema(value_type = shapes::Role)]
    role: String,
    /// Beside those of the role.
    #[serde(default)]
    #[schema(value_type = Vec<shapes::Permission>)]
    permissions: Vec<String>,
    /// When it expires; never when it is missing.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::Time)]
    expires_at: Option<String>,
}

/// The body of what is ordered of a principal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPrincipal {
    #[schema(value_type = shapes::PrincipalState)]
    state: String,
    /// In place of the role and the permission keys that their tokens give. What their tokens give, when it is missing.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::Role)]
    role: Option<String>,
}

/// The body of a revocation: one of the two.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// The id of one main token.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::Jti)]
    jti: Option<String>,
    /// Whose tokens, all that were made so far.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::Sub)]
    sub: Option<String>,
    /// Of a `jti`: when the token expires, its `exp`. The revocation is kept until then and a little longer; without it, for
    /// ever.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::Time)]
    expires_at: Option<String>,
}

/// Longest id of a token in bytes.
pub const JTI_BYTES_MAX: usize = 1024;

fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::BodyInvalid, detail)
}

fn role(text: &str) -> Result<Role, Refusal> {
    Role::parse(text).ok_or_else(|| invalid("role is owner, admin, member or viewer"))
}

fn time_ms(text: &str) -> Result<i64, Refusal> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok();
    let ms = time.and_then(|time| i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
    ms.ok_or_else(|| invalid("expires_at is a time as in RFC 3339, 2026-11-22T08:25:14Z"))
}

impl CreateKey {
    /// The key that is asked for, with the digest of its token.
    ///
    /// # Errors
    /// `body.invalid`.
    pub fn wish(self, digest: Digest) -> Result<Wish, Refusal> {
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || self.name.chars().any(char::is_control) {
            return Err(invalid(format!("name has 1 to {NAME_BYTES_MAX} bytes and no control characters")));
        }
        let actor_type = ActorType::parse(&self.actor_type).filter(|kind| *kind != ActorType::Human);
        let permission =
            |key: &String| Permission::parse(key).ok_or_else(|| invalid("permissions has a key that there is not"));
        Ok(Wish::MakeKey(NewKey {
            id: service_key::new_id(),
            name: self.name,
            actor_type: actor_type.ok_or_else(|| invalid("actor_type is agent or system"))?,
            role: role(&self.role)?,
            permissions: self.permissions.iter().map(permission).collect::<Result<Permissions, _>>()?,
            expires_at_ms: self.expires_at.as_deref().map(time_ms).transpose()?,
            digest,
        }))
    }
}

impl PutPrincipal {
    /// What is asked for.
    ///
    /// # Errors
    /// `body.invalid`.
    pub fn wish(self, sub: Arc<str>) -> Result<Wish, Refusal> {
        let state = State::parse(&self.state).ok_or_else(|| invalid("state is active or suspended"))?;
        Ok(Wish::PutPrincipal { sub, state, role: self.role.as_deref().map(role).transpose()? })
    }
}

impl Revoke {
    /// What is asked for.
    ///
    /// # Errors
    /// `body.invalid`.
    pub fn wish(self) -> Result<Wish, Refusal> {
        let revoked = match (self.jti, self.sub) {
            (Some(jti), None) if (1..=JTI_BYTES_MAX).contains(&jti.len()) => Revoked::Jti(jti.into()),
            (Some(_), None) => return Err(invalid(format!("jti has 1 to {JTI_BYTES_MAX} bytes"))),
            (None, Some(sub)) if is_sub(&sub) => Revoked::Sub(sub.into()),
            (None, Some(_)) => {
                return Err(invalid(format!("sub has 1 to {SUB_BYTES_MAX} bytes and no control characters")));
            }
            _ => return Err(invalid("say jti or sub, and not both")),
        };
        Ok(Wish::Revoke { revoked, expires_at_ms: self.expires_at.as_deref().map(time_ms).transpose()? })
    }
}

/// A service key as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub struct ShownKey {
    /// Also the `sub` of what it does.
    #[schema(value_type = shapes::KeyId)]
    id: String,
    #[schema(value_type = shapes::KeyName)]
    name: String,
    #[schema(value_type = shapes::Tenant)]
    tenant_id: String,
    #[schema(value_type = shapes::Env)]
    env: &'static str,
    #[schema(value_type = shapes::KeyActorType)]
    actor_type: &'static str,
    #[schema(value_type = shapes::Role)]
    role: &'static str,
    /// Beside those of the role.
    #[schema(value_type = Vec<shapes::Permission>)]
    permissions: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Time)]
    expires_at: Option<String>,
    /// Who had it made.
    #[schema(value_type = shapes::Sub)]
    created_by: String,
    #[schema(value_type = shapes::Time)]
    created_at: String,
    /// When it got the token that it has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Time)]
    rotated_at: Option<String>,
    /// How long the token that it had before is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Time)]
    token_before_until: Option<String>,
}

/// A service key with its token, which is told this once.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyWithToken)]
pub struct TokenOnce<'a> {
    #[serde(flatten)]
    key: ShownKey,
    /// To be kept where secrets are: nobody can show it again.
    #[schema(value_type = shapes::KeyToken)]
    token: &'a str,
}

impl<'a> TokenOnce<'a> {
    /// A key and the token that was just made for it.
    #[must_use]
    pub fn of(key: &ServiceKey, token: &'a str) -> Self {
        Self { key: ShownKey::of(key), token }
    }
}

/// Service keys, ascending by id.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyList {
    /// The keys.
    pub keys: Vec<ShownKey>,
    /// Whether there are more behind the last.
    pub has_more: bool,
}

impl ShownKey {
    /// Shows a key.
    #[must_use]
    pub fn of(key: &ServiceKey) -> Self {
        let rotated = key.rotated.as_ref();
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            tenant_id: key.scope.tenant.as_str().to_owned(),
            env: key.scope.env.as_str(),
            actor_type: key.actor_type.as_str(),
            role: key.role.as_str(),
            permissions: key.permissions.iter().map(Permission::as_str).collect(),
            expires_at: key.expires_at_ms.map(time_text),
            created_by: key.created_by.to_string(),
            created_at: time_text(key.created_at_ms),
            rotated_at: rotated.map(|rotated| time_text(rotated.at_ms)),
            token_before_until: rotated.map(|rotated| time_text(rotated.before_until_ms)),
        }
    }
}

/// What is said of a principal beside their tokens.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Principal)]
pub struct ShownPrincipal {
    #[schema(value_type = shapes::Sub)]
    sub: String,
    /// Of whom nothing is said: `active`.
    #[schema(value_type = shapes::PrincipalState)]
    state: &'static str,
    /// In place of what their tokens give.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Role)]
    role: Option<&'static str>,
    /// It reaches them where their tokens give no higher role than this: that of who said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Role)]
    authority: Option<&'static str>,
    /// Who said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Sub)]
    changed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Time)]
    changed_at: Option<String>,
    /// Tokens that were made up to then are revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Time)]
    revoked_at: Option<String>,
}

impl ShownPrincipal {
    /// Shows what is said.
    #[must_use]
    pub fn of(sub: &str, told: &Told) -> Self {
        let order = told.order.as_ref();
        Self {
            sub: sub.to_owned(),
            state: order.map_or(State::Active, |order| order.state).as_str(),
            role: order.and_then(|order| order.role).map(Role::as_str),
            authority: order.map(|order| order.authority.as_str()),
            changed_by: order.map(|order| order.changed_by.to_string()),
            changed_at: order.map(|order| time_text(order.changed_at_ms)),
            revoked_at: told.revoked_at_ms.map(time_text),
        }
    }
}

/// What was revoked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revocation)]
pub struct ShownRevocation {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Jti)]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Sub)]
    sub: Option<String>,
    /// Of a `sub`: tokens that were made up to then are revoked.
    #[schema(value_type = shapes::Time)]
    revoked_at: String,
    /// It reaches tokens that give no higher role than this: that of who revoked them.
    #[schema(value_type = shapes::Role)]
    authority: &'static str,
    /// Of a `jti`: when the token expires. Missing: the revocation is kept for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = shapes::Time)]
    expires_at: Option<String>,
}

impl ShownRevocation {
    /// Shows it.
    #[must_use]
    pub fn of(revoked: &Revoked, revocation: &Revocation) -> Self {
        let (jti, sub) = match revoked {
            Revoked::Jti(jti) => (Some(jti.to_string()), None),
            Revoked::Sub(sub) => (None, Some(sub.to_string())),
        };
        Self {
            jti,
            sub,
            revoked_at: time_text(revocation.at_ms),
            authority: revocation.authority.as_str(),
            expires_at: revocation.expires_at_ms.map(time_text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: for<'a> Deserialize<'a>, R>(body: &str, parse: impl FnOnce(T) -> Result<R, Refusal>, good: bool) {
        let parsed: Result<T, _> = serde_json::from_str(body);
        let got = parsed.map_err(|_| Code::BodyInvalid).and_then(|asked| parse(asked).map_err(|refusal| refusal.code));
        assert_eq!(got.map(drop), if good { Ok(()) } else { Err(Code::BodyInvalid) }, "{body}");
    }

    #[test]
    fn bodies() {
        let key = |body: &str, good| check::<CreateKey, _>(body, |asked| asked.wish([0; 32]), good);
        key(r#"{"name":"bot","actor_type":"agent","role":"member"}"#, true);
        key(r#"{"name":"bot","actor_type":"system","role":"viewer","permissions":["keys:write"]}"#, true);
        key(r#"{"name":"bot","actor_type":"agent","role":"member","expires_at":"2026-11-22T08:25:14+02:00"}"#, true);
        for bad in [
            r#"{"name":"","actor_type":"agent","role":"member"}"#,
            r#"{"name":"a\nb","actor_type":"agent","role":"member"}"#,
            r#"{"name":"bot","actor_type":"human","role":"member"}"#,
            r#"{"name":"bot","actor_type":"agent","role":"root"}"#,
            r#"{"name":"bot","actor_type":"agent"}"#,
            r#"{"name":"bot","actor_type":"agent","role":"member","permissions":["threads:own"]}"#,
            r#"{"name":"bot","actor_type":"agent","role":"member","expires_at":null}"#,
            r#"{"name":"bot","actor_type":"agent","role":"member","expires_at":"tomorrow"}"#,
            r#"{"name":"bot","actor_type":"agent","role":"member","token":"tsk_mine"}"#,
        ] {
            key(bad, false);
        }
        let put = |body: &str, good| check::<PutPrincipal, _>(body, |asked| asked.wish("x".into()), good);
        put(r#"{"state":"active"}"#, true);
        put(r#"{"state":"suspended","role":"viewer"}"#, true);
        for bad in
            ["{}", r#"{"state":"gone"}"#, r#"{"state":"active","role":"root"}"#, r#"{"state":"active","role":null}"#]
        {
            put(bad, false);
        }
        let revoke = |body: &str, good| check::<Revoke, _>(body, Revoke::wish, good);
        revoke(r#"{"jti":"a"}"#, true);
        revoke(r#"{"sub":"a"}"#, true);
        revoke(r#"{"jti":"a","expires_at":"2026-11-22T08:25:14Z"}"#, true);
        revoke(r#"{"jti":"a","expires_at":1795330000}"#, false);
        for bad in ["{}", r#"{"jti":"a","sub":"a"}"#, r#"{"jti":""}"#, r#"{"sub":""}"#, r#"{"sub":null}"#] {
            revoke(bad, false);
        }
    }
}
