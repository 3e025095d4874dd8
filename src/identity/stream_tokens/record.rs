//! What is kept of a token as JSON, the same in every store.
//!
//! Names and not numbers stand for what is in it, so that a hub of another version reads it, too. What can't be read is
//! no token: nothing here guesses.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tambour_actors::principal::{
    ActorType, Digest, Granted, KeyToken, Permission, Principal, Proof, Role, StreamProof,
};
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey};

use super::TokenRecord;

#[derive(Serialize, Deserialize)]
struct Kept {
    sub: String,
    tenant: String,
    env: String,
    role: String,
    actor_type: String,
    read_only: bool,
    permissions: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acts_for: Option<String>,
    parent: KeptParent,
    /// Of a service key as the parent: by which of its tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    issued_at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<String>>,
    ends_at_ms: i64,
    ttl_ms: i64,
    single_use: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptParent {
    Main {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        jti: Option<String>,
        issued_at_ms: i64,
    },
    Key,
}

impl TokenRecord {
    /// As it is kept; `None` of a principal that is not a stream token's.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        let (principal, proof) = (&*self.principal, self.proof()?);
        let (parent, key_token) = match &proof.parent {
            Proof::Main { jti, issued_at_ms } => {
                (KeptParent::Main { jti: jti.as_deref().map(str::to_owned), issued_at_ms: *issued_at_ms }, None)
            }
            Proof::Key(token) => (KeptParent::Key, Some(format!("{:016x}", token.0))),
            Proof::Stream(_) => return None,
        };
        let kept = Kept {
            sub: principal.sub.as_ref().to_owned(),
            tenant: principal.scope.tenant.as_str().to_owned(),
            env: principal.scope.env.as_str().to_owned(),
            role: principal.granted.role.as_str().to_owned(),
            actor_type: principal.actor_type.as_str().to_owned(),
            read_only: principal.read_only,
            permissions: principal
                .granted
                .permissions
                .iter()
                .map(|permission| permission.as_str().to_owned())
                .collect(),
            acts_for: principal.acts_for.as_deref().map(str::to_owned),
            parent,
            key_token,
            issuer: proof.issuer.as_deref().map(str::to_owned),
            issued_at_ms: proof.issued_at_ms,
            topics: proof.topics.as_ref().map(|topics| topics.iter().map(TopicKey::topic).collect()),
            ends_at_ms: principal.expires_at_ms,
            ttl_ms: self.ttl_ms,
            single_use: self.single_use,
        };
        serde_json::to_string(&kept).ok()
    }

    /// Reads what was kept of a token.
    #[must_use]
    pub fn from_json(digest: Digest, json: &str) -> Option<Self> {
        let kept: Kept = serde_json::from_str(json).ok()?;
        let scope = Scope { tenant: Tenant::parse(&kept.tenant).ok()?, env: Env::parse(&kept.env).ok()? };
        let topic = |topic: String| TopicKey::parse(&scope, &topic).ok();
        let topics = match kept.topics {
            Some(topics) => Some(topics.into_iter().map(topic).collect::<Option<_>>()?),
            None => None,
        };
        let parent = match kept.parent {
            KeptParent::Main { jti, issued_at_ms } => Proof::Main { jti: jti.map(Into::into), issued_at_ms },
            KeptParent::Key => Proof::Key(KeyToken(u64::from_str_radix(&kept.key_token?, 16).ok()?)),
        };
        // A key that this hub does not know gives nothing here. What is said of the principal beside their tokens is not
        // in it: that is looked at whenever the token is shown.
        let permissions = kept.permissions.iter().filter_map(|key| Permission::parse(key)).collect();
        let granted = Granted { role: Role::parse(&kept.role)?, permissions };
        let issuer = kept.issuer.map(Into::into);
        let proof = StreamProof { digest, parent, issuer, issued_at_ms: kept.issued_at_ms, topics };
        let principal = Principal {
            sub: kept.sub.into(),
            granted,
            role: granted.role,
            actor_type: ActorType::parse(&kept.actor_type)?,
            read_only: kept.read_only,
            permissions,
            acts_for: kept.acts_for.map(Into::into),
            proof: Proof::Stream(Arc::new(proof)),
            expires_at_ms: kept.ends_at_ms,
            scope,
        };
        Some(Self { principal: Arc::new(principal), ttl_ms: kept.ttl_ms, single_use: kept.single_use })
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract::{Made, record};
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let plain = record(&Made { digest: 7, ..Made::default() });
        let mut key = record(&Made { digest: 7, sub: "u\"\\\u{e9}", issuer: Some("key:k"), ..Made::default() });
        key.single_use = true;
        let mut with_topics = (*plain.principal).clone();
        let topics = ["thread/a", "canvas/b"].map(|topic| TopicKey::parse(&with_topics.scope, topic).unwrap());
        with_topics.proof = Proof::Stream(Arc::new(StreamProof {
            topics: Some(topics.to_vec()),
            ..StreamProof::clone(plain.proof().unwrap())
        }));
        with_topics.acts_for = Some("carol".into());
        let topics = TokenRecord { principal: Arc::new(with_topics), ttl_ms: 1, single_use: false };
        for record in [plain, key, topics] {
            let digest = record.proof().unwrap().digest;
            assert_eq!(TokenRecord::from_json(digest, &record.to_json().unwrap()), Some(record));
        }
    }

    #[test]
    fn what_can_t_be_read_is_no_token() {
        let json = record(&Made::default()).to_json().unwrap();
        for (from, to) in [("member", "emperor"), ("t_demo", "demo"), ("\"human\"", "\"cat\""), ("\"dev\"", "\"moon\"")]
        {
            assert!(json.contains(from));
            assert_eq!(TokenRecord::from_json([0; 32], &json.replace(from, to)), None, "{from}");
        }
    }
}
