//! What makes the first run work without configuration: a secret of the hub's own, and tokens
//! signed with it.
//!
//! Nothing here is good for production: `production = true` refuses to start with it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use tambour_actors::cursor::Incarnation;
use tambour_actors::deed::Deed;
use tambour_actors::event::Origin;
use tambour_actors::log::{Class, CreateError, NewTopic, Topics, Unavailable, Visibility};
use tambour_actors::principal::{ActorType, Role};
use tambour_actors::topic::now_ms;
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey, TopicKind};
use uuid::Uuid;

use crate::config::Auth;
use crate::config::value::Secret;

/// The file in the data directory that keeps the secret.
pub const SECRET_FILE: &str = "development.secret";
/// Random bytes in the secret; it is written as hex.
const SECRET_RANDOM_BYTES: usize = 32;

/// Why there is no development secret.
#[derive(Debug, thiserror::Error)]
pub enum DevelopmentError {
    /// The file, or the directory it is in, can't be read or written.
    #[error("can't {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file has something else in it.
    #[error("{} is not a development secret (64 hex digits); remove it, and the hub makes a new one", .0.display())]
    Damaged(PathBuf),
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// The secret kept in a data directory, made there if there is none. The directory is made too.
///
/// Two processes that do this at the same time get the same secret, and neither ever sees half
/// of one. The file is readable by its owner alone (mode 0600).
///
/// # Errors
/// The directory or file can't be read or written, or has something else in it.
pub fn secret(data_dir: &Path) -> Result<Secret, DevelopmentError> {
    let path = data_dir.join(SECRET_FILE);
    if let Some(secret) = read(&path)? {
        return Ok(secret);
    }
    let at = |what, path: &Path| {
        let path = path.to_owned();
        move |source| DevelopmentError::Io { what, path, source }
    };
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.map_err(at("make the data directory", data_dir))?;
    let name = format!("{SECRET_FILE}.{}.new", hex(&random::<8>()?));
    let made = data_dir.join(name);
    let written = write(&made, &hex(&random::<SECRET_RANDOM_BYTES>()?)).map_err(at("write", &made));
    // A link, unlike a rename, never replaces the secret that another process was first with.
    let linked = written.and_then(|()| match fs::hard_link(&made, &path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(at("make", &path)(error)),
        _ => Ok(()),
    });
    let removed = fs::remove_file(&made);
    linked?;
    removed.map_err(at("remove", &made))?;
    File::open(data_dir).and_then(|dir| dir.sync_all()).map_err(at("sync", data_dir))?;
    read(&path)?.ok_or(DevelopmentError::Damaged(path))
}

/// The secret kept in a data directory, if there is one.
///
/// # Errors
/// The file can't be read, or has something else in it.
pub fn kept_secret(data_dir: &Path) -> Result<Option<Secret>, DevelopmentError> {
    read(&data_dir.join(SECRET_FILE))
}

fn read(path: &Path) -> Result<Option<Secret>, DevelopmentError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DevelopmentError::Io { what: "read", path: path.to_owned(), source }),
    };
    let text = text.trim();
    if text.len() == SECRET_RANDOM_BYTES * 2 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(Some(Secret::new(text)))
    } else {
        Err(DevelopmentError::Damaged(path.to_owned()))
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn random<const N: usize>() -> Result<[u8; N], DevelopmentError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(DevelopmentError::Random)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a development token says.
#[derive(Debug, Clone, Copy)]
pub struct TokenFor<'a> {
    /// The tenant it is good for.
    pub tenant: &'a Tenant,
    /// The env it is good for.
    pub env: Env,
    /// Whom it is about.
    pub sub: &'a str,
    /// The role in that tenant.
    pub role: Role,
    /// How long it is good, in seconds.
    pub ttl_seconds: u64,
    /// `iss`, when the hub asks for one.
    pub issuer: Option<&'a str>,
    /// `aud`, when the hub asks for one.
    pub audience: Option<&'a str>,
}

/// A JWT (HS256) signed with the development secret.
///
/// # Panics
/// Never: signing with a secret can't fail.
#[must_use]
pub fn token(secret: &Secret, token: &TokenFor<'_>, now_ms: i64) -> String {
    let now = now_ms / 1_000;
    let mut claims = json!({
        "sub": token.sub,
        "iat": now,
        "exp": now.saturating_add_unsigned(token.ttl_seconds),
        "tenant_ids": [token.tenant.as_str()],
        "role_map": {token.tenant.as_str(): token.role.as_str()},
        "envs": [token.env.as_str()],
    });
    for (claim, value) in [("iss", token.issuer), ("aud", token.audience)] {
        if let Some(value) = value {
            claims[claim] = json!(value);
        }
    }
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a secret signs any JSON object")
}

/// The tenant of the demo.
pub const DEMO_TENANT: &str = "t_demo";
/// The env of the demo.
pub const DEMO_ENV: Env = Env::Dev;
/// The thread of the demo.
pub const DEMO_THREAD: &str = "welcome";

fn demo_scope() -> Scope {
    Scope { tenant: Tenant::parse(DEMO_TENANT).expect("a tenant's form"), env: DEMO_ENV }
}

/// Makes the demo thread, unless it is there.
///
/// # Errors
/// The store can't answer.
pub async fn demo(topics: &impl Topics) -> Result<(), Unavailable> {
    let topic = NewTopic {
        key: TopicKey::new(&demo_scope(), TopicKind::Thread, DEMO_THREAD).expect("an id's form"),
        creator: "tambour".into(),
        title: Some("Welcome to Tambour".to_owned()),
        visibility: Visibility::Team,
        members: Vec::new(),
        created_at_ms: now_ms(),
        incarnation: Incarnation(getrandom::u64().map_err(|error| Unavailable::from(error.to_string()))?),
    };
    let by = own_deed();
    match topics.create(topic, by).await {
        Ok(_) | Err(CreateError::Exists) => Ok(()),
        Err(CreateError::Unavailable(error)) => Err(error),
    }
}

/// What the hub does by itself when it begins.
fn own_deed() -> Arc<Deed> {
    let request_id: Arc<str> = Uuid::now_v7().to_string().into();
    let origin = Origin {
        routing: Bytes::from_static(br#""actor_id":"tambour","actor_type":"system""#),
        meta: Bytes::from(format!(r#""request_id":"{request_id}","trace_id":"{request_id}""#)),
    };
    Arc::new(Deed {
        scope: demo_scope(),
        action: "threads.create",
        sub: "tambour".into(),
        actor_type: ActorType::System,
        role: Role::Owner,
        acts_for: None,
        ip: None,
        trace_id: request_id.clone(),
        request_id,
        origin,
        at_ms: now_ms(),
        class: Class::Ordinary,
    })
}

/// A token in the demo's tenant and env: of whom, with which role, good for how many seconds.
#[must_use]
pub fn demo_token(secret: &Secret, auth: &Auth, (sub, role, ttl_seconds): (&str, Role, u64), now_ms: i64) -> String {
    let scope = demo_scope();
    let token = TokenFor {
        tenant: &scope.tenant,
        env: scope.env,
        sub,
        role,
        ttl_seconds,
        issuer: auth.issuer.as_deref(),
        audience: auth.audience.as_deref(),
    };
    self::token(secret, &token, now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::identity::jwt::JwtVerifier;

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let first = secret(&data).unwrap();
        assert_eq!(first.expose().len(), 64);
        assert_eq!(secret(&data).unwrap(), first);
        let files: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, [SECRET_FILE], "nothing else is left behind");
        assert_ne!(secret(dir.path()).unwrap(), first, "another directory has another secret");
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        secret(dir.path()).unwrap();
        assert_eq!(fs::metadata(dir.path().join(SECRET_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn many_at_once_get_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| secret(dir.path()).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|one| *one == secrets[0]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        for content in ["", "x", &"g".repeat(64), &"a".repeat(65)] {
            fs::write(dir.path().join(SECRET_FILE), content).unwrap();
            assert!(matches!(secret(dir.path()), Err(DevelopmentError::Damaged(_))), "{content}");
            assert_eq!(fs::read_to_string(dir.path().join(SECRET_FILE)).unwrap(), *content);
        }
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(matches!(secret(&dir.path().join("file/data")), Err(DevelopmentError::Io { .. })));
    }

    #[test]
    fn its_tokens_are_believed() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.auth.secret = Some(secret(dir.path()).unwrap());
        settings.auth.issuer = Some("here".to_owned());
        settings.auth.audience = Some("there".to_owned());
        let tenant = Tenant::parse("t_demo").unwrap();
        let asked = TokenFor {
            tenant: &tenant,
            env: Env::Staging,
            sub: "alice",
            role: Role::Admin,
            ttl_seconds: 60,
            issuer: settings.auth.issuer.as_deref(),
            audience: settings.auth.audience.as_deref(),
        };
        let now_ms = 1_800_000_000_000;
        let signed = token(settings.auth.secret.as_ref().unwrap(), &asked, now_ms);
        let claims = JwtVerifier::from_settings(&settings).unwrap().verify(&signed, now_ms).unwrap();
        let principal_in = |env| claims.principal(&Scope { tenant: tenant.clone(), env }, &settings.roles);
        let principal = principal_in(Env::Staging).unwrap();
        assert_eq!((&*principal.sub, principal.role, principal.expires_at_ms), ("alice", Role::Admin, now_ms + 60_000));
        assert!(principal_in(Env::Dev).is_err(), "the token is good for one env");
    }
}
