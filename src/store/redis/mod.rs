//! Stream tokens in Redis, for several hubs that share them: one Redis, or one with replicas; not a Redis Cluster, whose
//! scripts may not touch keys of several slots.
//!
//! Redis ends tokens by itself, and keeps limits by scripts. A connection that broke is made anew by the next call, which
//! fails when that fails: nothing is kept in memory in its place.

mod notices;
mod scripts;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, RedisError, Script, ScriptInvocation};
use sha2::{Digest as _, Sha256};
use tambour_actors::log::{PortFuture, Unavailable};
use tambour_actors::principal::{Digest, Proof, Role};
use tambour_actors::topic_key::Scope;
use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use crate::identity::stream_tokens::{
    Held, IssueError, Kept, NOTICES_MAX, NewToken, Notice, Opened, Revoke, StreamId, StreamTokens, TokenRecord,
};
use scripts::{CHANNEL, PREFIX, REPLACED, REVOKED};

/// How long a connection may take, and an answer.
const PATIENCE: Duration = Duration::from_secs(1);

static ISSUE: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::ISSUE));
static FIND: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::FIND));
static OPEN: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::OPEN));
static KEEP: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::KEEP));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::RELEASE));
static REVOKE: LazyLock<Script> = LazyLock::new(|| Script::new(scripts::REVOKE));

/// Stream tokens in a Redis. Clones share its connection.
#[derive(Clone)]
pub struct RedisTokens(Arc<Inner>);

struct Inner {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl RedisTokens {
    /// The tokens in the Redis of a URL. It is connected to when it is first asked, so it may come later than the hub.
    ///
    /// # Errors
    /// The URL is not one of a Redis; the text does not repeat it.
    pub fn new(url: &str) -> Result<Self, String> {
        // The package's own words may repeat the URL, which has a password in it.
        let client = Client::open(url).map_err(|_| "tokens.redis_url is not the URL of a Redis".to_owned())?;
        Ok(Self(Arc::new(Inner { client, connection: Mutex::new(None) })))
    }

    /// Calls a script. The call is made again when its connection turns out to be broken.
    async fn call<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Unavailable> {
        for last in [false, true] {
            let mut connection = self.connection().await.map_err(|error| unavailable(&error))?;
            match script.invoke_async(&mut connection).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_io_error() || error.is_unrecoverable_error() => {
                    self.0.connection.lock().await.take();
                    if last || error.is_timeout() {
                        return Err(unavailable(&error));
                    }
                }
                Err(error) => return Err(unavailable(&error)),
            }
        }
        Err("there is no connection".into())
    }

    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        // Held while it connects, so that a hundred calls make one connection.
        let mut connection = self.0.connection.lock().await;
        if let Some(connection) = &*connection {
            return Ok(connection.clone());
        }
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let made = self.0.client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(connection.insert(made).clone())
    }
}

fn unavailable(error: &RedisError) -> Unavailable {
    error.to_string().into()
}

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

fn token_key(digest: &Digest) -> String {
    format!("{PREFIX}{}", hex(digest))
}

/// The set of tokens that are revoked together. Names of people stay out of keys.
fn set_key(kind: &str, scope: &Scope, name: &str) -> String {
    let text = format!("{kind}\0{}\0{}\0{name}", scope.tenant.as_str(), scope.env.as_str());
    format!("{PREFIX}{kind}:{}", hex(&Sha256::digest(text.as_bytes()).into()))
}

/// The sets that a token is in.
fn sets_of(record: &TokenRecord) -> Vec<String> {
    let principal = &record.principal;
    let of = |kind: &str, name: &str| set_key(kind, &principal.scope, name);
    let mut sets = vec![of("sub", &principal.sub)];
    if let Some(proof) = record.proof() {
        match &proof.parent {
            Proof::Key(_) => sets.push(of("key", proof.issuer.as_ref().unwrap_or(&principal.sub))),
            Proof::Main { jti: Some(jti), .. } => sets.push(of("jti", jti)),
            Proof::Main { jti: None, .. } | Proof::Stream(_) => {}
        }
    }
    sets
}

/// The names of the roles that are no higher, each between blanks.
fn roles_up_to(authority: Role) -> String {
    Role::ALL.iter().filter(|role| **role <= authority).fold(" ".to_owned(), |names, role| names + role.as_str() + " ")
}

fn read(digest: Digest, json: &str) -> Option<TokenRecord> {
    let record = TokenRecord::from_json(digest, json);
    if record.is_none() {
        tracing::error!("what is kept of a stream token can't be read");
    }
    record
}

fn stream_text(stream: StreamId) -> String {
    stream.0.simple().to_string()
}

fn stream_of(text: &str) -> Option<StreamId> {
    Uuid::try_parse(text).ok().map(StreamId)
}

impl StreamTokens for RedisTokens {
    fn issue(&self, token: NewToken, now_ms: i64) -> PortFuture<Result<(), IssueError>> {
        let this = self.clone();
        Box::pin(async move {
            let NewToken { own, within, record } = &token;
            let (Some(proof), Some(json)) = (record.proof(), record.to_json()) else {
                return Err(Unavailable::from("not a stream token").into());
            };
            let mut script = ISSUE.prepare_invoke();
            // Where there is no wider bound, it is the same once more.
            let bounds = [*own, within.unwrap_or(*own)];
            script.key(token_key(&proof.digest));
            for bound in bounds {
                script.key(format!("{PREFIX}outstanding:{}", hex(&bound.of.0)));
            }
            for set in sets_of(record) {
                script.key(set);
            }
            script.arg(bounds[0].outstanding_max).arg(hex(&proof.digest)).arg(json).arg(u8::from(record.single_use));
            script.arg(record.ttl_ms).arg(record.principal.expires_at_ms).arg(now_ms).arg(PREFIX);
            script.arg(bounds[1].outstanding_max);
            if this.call::<bool>(&script).await? { Ok(()) } else { Err(IssueError::Outstanding) }
        })
    }

    fn find(&self, digest: Digest, _: i64) -> PortFuture<Result<Option<TokenRecord>, Unavailable>> {
        let this = self.clone();
        Box::pin(async move {
            let found: Option<String> = this.call(&FIND.key(token_key(&digest))).await?;
            Ok(found.and_then(|json| read(digest, &json)))
        })
    }

    fn open(&self, held: Held, keep_ms: i64, now_ms: i64) -> PortFuture<Result<Option<Opened>, Unavailable>> {
        let this = self.clone();
        Box::pin(async move {
            let mut script = OPEN.prepare_invoke();
            script.key(token_key(&held.digest)).arg(stream_text(held.stream)).arg(hex(&held.digest));
            script.arg(keep_ms).arg(now_ms).arg(CHANNEL).arg(REPLACED);
            let opened: Option<(String, String)> = this.call(&script).await?;
            Ok(opened.and_then(|(json, before)| {
                Some(Opened { record: read(held.digest, &json)?, before: stream_of(&before) })
            }))
        })
    }

    fn keep(&self, held: Vec<Held>, keep_ms: i64, now_ms: i64) -> PortFuture<Result<Vec<Kept>, Unavailable>> {
        let this = self.clone();
        Box::pin(async move {
            if held.is_empty() {
                return Ok(Vec::new());
            }
            let mut script = KEEP.prepare_invoke();
            script.arg(keep_ms).arg(now_ms);
            for held in &held {
                script.key(token_key(&held.digest)).arg(stream_text(held.stream));
            }
            let kept: Vec<u8> = this.call(&script).await?;
            let kept = kept.into_iter().map(|kept| match kept {
                0 => Kept::Gone,
                1 => Kept::Lives,
                _ => Kept::Taken,
            });
            Ok(kept.collect())
        })
    }

    fn release(&self, held: Vec<Held>, now_ms: i64) -> PortFuture<Result<(), Unavailable>> {
        let this = self.clone();
        Box::pin(async move {
            let mut script = RELEASE.prepare_invoke();
            script.arg(now_ms);
            for held in &held {
                script.key(token_key(&held.digest)).arg(stream_text(held.stream));
            }
            this.call::<u8>(&script).await.map(drop)
        })
    }

    fn revoke(&self, which: Revoke, _: i64) -> PortFuture<Result<Vec<Digest>, Unavailable>> {
        let this = self.clone();
        Box::pin(async move {
            let mut script = REVOKE.prepare_invoke();
            let (authority, made_until_ms) = which.reach();
            script.arg(PREFIX).arg(CHANNEL).arg(REVOKED).arg(roles_up_to(authority)).arg(made_until_ms);
            match &which {
                Revoke::Token(digest) => script.arg(hex(digest)),
                Revoke::Sub(scope, sub, ..) => script.key(set_key("sub", scope, sub)),
                Revoke::Jti(scope, jti, _) => script.key(set_key("jti", scope, jti)),
                Revoke::Key(scope, key) => script.key(set_key("key", scope, key)),
            };
            let gone: Vec<String> = this.call(&script).await?;
            Ok(gone.iter().filter_map(|digest| from_hex(digest)).collect())
        })
    }

    fn notices(&self) -> Option<mpsc::Receiver<Notice>> {
        let (heard, notices) = mpsc::channel(NOTICES_MAX);
        tokio::spawn(notices::listen(self.0.client.clone(), heard));
        Some(notices)
    }
}
