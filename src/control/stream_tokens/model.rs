//! What may be asked of a stream token, and what its maker gets. Pure; time is an argument.
//!
//! A token is never worth more than what it was made from: the same principal, or, of a service key, a person with at most
//! the key's role and permissions.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use tambour_actors::entry::{Object, present};
use tambour_actors::frame::time_text;
use tambour_actors::principal::{ActorType, Digest, Granted, Permission, Principal, Proof, Role, StreamProof};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic_key::TopicKey;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::ArrayBuilder;

use crate::admission::rights;
use crate::config::Settings;
use crate::config::value::Secret;
use crate::identity::jwt::KEY_SUB_PREFIX;
use crate::identity::stream_tokens::TokenRecord;
use crate::identity::subject::is_sub;
use crate::openapi::shapes;

/// Most topics that one token names.
pub const TOPICS_MAX: usize = 128;

/// The body that asks for a token.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskToken {
    /// The topics that it is for: all that its maker may read, when it is missing.
    #[serde(default, deserialize_with = "present")]
    #[schema(schema_with = topic_names)]
    topics: Option<Vec<String>>,
    /// `["read"]` when it is missing; with `write` a WebSocket that it opened may publish.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = shapes::StreamRights)]
    rights: Option<Vec<String>>,
    /// How long it lives without a stream, in seconds; `tokens.ttl_seconds` when it is missing.
    #[serde(default, deserialize_with = "whole")]
    #[schema(value_type = shapes::TokenTtl)]
    ttl_seconds: Option<u64>,
    /// It opens one stream, and is then worth nothing.
    #[serde(default)]
    single_use: bool,
    /// Of service keys: whom it is for.
    #[serde(default, deserialize_with = "present", rename = "for")]
    #[schema(value_type = AskFor)]
    of: Option<Object<AskFor>>,
}

/// A whole number, also one that is written `60.0`: JSON knows no other kind (RFC 8259, section 6).
fn whole<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    let number = serde_json::Number::deserialize(value)?;
    let rounded = number.as_f64().filter(|number| number.fract() == 0.0 && (0.0..1e15).contains(number));
    let whole = number.as_u64().or(rounded.map(|number| number as u64));
    whole.map(Some).ok_or_else(|| serde::de::Error::custom("ttl_seconds is a whole number"))
}

fn topic_names() -> ArrayBuilder {
    let name = Ref::from_schema_name(shapes::TopicOrFeed::name());
    ArrayBuilder::new().items(name).min_items(Some(1)).max_items(Some(TOPICS_MAX)).unique_items(true)
}

/// Whom a service key asks a token for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskFor {
    #[schema(value_type = shapes::Sub)]
    sub: String,
    /// At most the key's own.
    #[schema(value_type = shapes::Role)]
    role: String,
}

/// A new token, shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct Issued {
    /// The token.
    #[schema(value_type = shapes::StreamToken)]
    token: String,
    /// When it runs out, if no stream holds it by then.
    #[schema(value_type = shapes::Time)]
    expires_at: String,
    /// The same in seconds from now.
    expires_in: i64,
}

impl Issued {
    /// What is shown of a token.
    #[must_use]
    pub fn of(token: &Secret, expires_at_ms: i64, now_ms: i64) -> Self {
        Self {
            token: token.expose().to_owned(),
            expires_at: time_text(expires_at_ms),
            expires_in: expires_at_ms.saturating_sub(now_ms).max(0) / 1_000,
        }
    }
}

/// A token that may be made, as far as that can be told without looking at topics.
#[derive(Debug)]
pub struct Wanted {
    principal: Principal,
    proof: StreamProof,
    ttl_ms: i64,
    single_use: bool,
}

fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::BodyInvalid, detail.into())
}

fn ms(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

impl AskToken {
    /// What is asked for, if its maker may have it.
    ///
    /// # Errors
    /// `body.invalid`, `name.invalid`; `permission.denied` for somebody else's, or more than the maker's own.
    pub fn wanted(self, maker: &Principal, settings: &Settings, now_ms: i64) -> Result<Wanted, Refusal> {
        let tokens = &settings.tokens;
        let ttl_max = tokens.ttl_seconds_max;
        let ttl_seconds = self.ttl_seconds.unwrap_or(tokens.ttl_seconds.min(ttl_max));
        if !(1..=ttl_max).contains(&ttl_seconds) {
            return Err(invalid(format!("ttl_seconds is 1 to {ttl_max}")));
        }
        let read_only = read_only(self.rights.as_deref())? || maker.read_only;
        let topics = self.topics.map(|topics| keys(&topics, maker)).transpose()?;
        let (person, issuer) = match self.of {
            Some(Object(of)) => (of.person(maker, settings)?, Some(maker.sub.clone())),
            None => (maker.clone(), None),
        };
        let ends_at_ms = maker.expires_at_ms.min(now_ms.saturating_add(ms(tokens.life_max_seconds)));
        Ok(Wanted {
            proof: StreamProof { digest: [0; 32], parent: maker.proof.clone(), issuer, issued_at_ms: now_ms, topics },
            principal: Principal { read_only, expires_at_ms: ends_at_ms, ..person },
            ttl_ms: ms(ttl_seconds),
            single_use: self.single_use,
        })
    }
}

impl AskFor {
    /// The person that a service key speaks of.
    fn person(self, key: &Principal, settings: &Settings) -> Result<Principal, Refusal> {
        if key.actor_type == ActorType::Human || !matches!(key.proof, Proof::Key(_)) {
            return Err(Refusal::new(Code::Forbidden, "for is for service keys: people make tokens for themselves"));
        }
        rights::require(key, Permission::PrincipalsSignIn)?;
        if !is_sub(&self.sub) || self.sub.starts_with(KEY_SUB_PREFIX) {
            return Err(invalid("for.sub is 1 to 256 bytes without control characters, and does not begin with key:"));
        }
        let role = Role::parse(&self.role).ok_or_else(|| invalid("for.role is owner, admin, member or viewer"))?;
        if role > key.role {
            return Err(Refusal::new(Code::Forbidden, "for.role is more than the service key's own"));
        }
        let of_role = settings.roles.permissions(role);
        let permissions = of_role.iter().filter(|permission| key.has(*permission)).collect();
        Ok(Principal {
            sub: self.sub.as_str().into(),
            granted: Granted { role, permissions },
            role,
            actor_type: ActorType::Human,
            permissions,
            acts_for: None,
            ..key.clone()
        })
    }
}

/// Whether the rights that are asked for are for reading alone.
fn read_only(rights: Option<&[String]>) -> Result<bool, Refusal> {
    let Some(rights) = rights else { return Ok(true) };
    let rights: Vec<&str> = rights.iter().map(String::as_str).collect();
    match rights[..] {
        ["read"] => Ok(true),
        ["read", "write"] | ["write", "read"] => Ok(false),
        _ => Err(invalid("rights is [\"read\"] or [\"read\", \"write\"]")),
    }
}

fn keys(topics: &[String], maker: &Principal) -> Result<Vec<TopicKey>, Refusal> {
    if !(1..=TOPICS_MAX).contains(&topics.len()) {
        return Err(invalid(format!("topics has 1 to {TOPICS_MAX} topics")));
    }
    let key = |topic: &String| TopicKey::parse(&maker.scope, topic);
    let keys: Result<Vec<_>, _> = topics.iter().map(key).collect();
    let keys = keys.map_err(|error| Refusal::new(Code::NameInvalid, error.to_string()))?;
    if keys.iter().enumerate().any(|(index, key)| keys[..index].contains(key)) {
        return Err(invalid("topics names a topic twice"));
    }
    Ok(keys)
}

impl Wanted {
    /// The topics that it names.
    pub fn topics(&self) -> impl Iterator<Item = &TopicKey> {
        self.proof.topics.iter().flatten()
    }

    /// What is kept of it.
    #[must_use]
    pub fn record(&self, digest: Digest) -> TokenRecord {
        let proof = Proof::Stream(Arc::new(StreamProof { digest, ..self.proof.clone() }));
        let principal = Arc::new(Principal { proof, ..self.principal.clone() });
        TokenRecord { principal, ttl_ms: self.ttl_ms, single_use: self.single_use }
    }
}

#[cfg(test)]
mod tests;
