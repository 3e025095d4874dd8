//! Parsed names: tenant, env, topic kind, topic id, and the key that binds all four.
//!
//! A value of these types is proof that its text has the right form. There is no topic key
//! without a tenant and an env, so nothing that is keyed by one can forget them. This file
//! never checks whether a tenant or a topic exists.

use std::cell::RefCell;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

/// Longest tenant id in bytes: `t_` and 62 more.
pub const TENANT_BYTES_MAX: usize = 64;
/// Longest topic id in bytes.
pub const TOPIC_ID_BYTES_MAX: usize = 128;

/// A text that does not have the form of the name it was parsed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not `^t_[a-z0-9_-]{1,62}$`, or the reserved `t_unknown`.
    #[error("a tenant id is t_ and 1 to 62 of a-z, 0-9, _ and -; t_unknown is refused")]
    Tenant,
    /// Not one of `dev`, `staging`, `stage`, `prod`.
    #[error("an env is dev, staging or prod")]
    Env,
    /// Not `[A-Za-z0-9_.:-]{1,128}`.
    #[error("a topic id is 1 to 128 of A-Z, a-z, 0-9, _ . : -")]
    TopicId,
    /// Not `thread/{id}`, `canvas/{id}` or `feed`.
    #[error("a topic is thread/{{id}}, canvas/{{id}} or feed")]
    Topic,
}

/// A tenant id, `^t_[a-z0-9_-]{1,62}$`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// Parses a tenant id.
    ///
    /// # Errors
    /// [`NameError::Tenant`] when the form is wrong or the tenant is `t_unknown`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let rest = text.strip_prefix("t_").ok_or(NameError::Tenant)?;
        let form = (1..=TENANT_BYTES_MAX - 2).contains(&rest.len())
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if !form || text == "t_unknown" {
            return Err(NameError::Tenant);
        }
        Ok(Self(shared(text)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How many texts a thread remembers.
const SHARED_MAX: usize = 64;

thread_local! {
    static SHARED: RefCell<[Option<Arc<str>>; SHARED_MAX]> = const { RefCell::new([const { None }; SHARED_MAX]) };
}

/// The text, shared with who parsed the same one lately: each session has its tenant in it, and most of a hub have the
/// same few.
fn shared(text: &str) -> Arc<str> {
    let slot = FxBuildHasher.hash_one(text) as usize % SHARED_MAX;
    SHARED.with_borrow_mut(|shared| match &shared[slot] {
        Some(known) if **known == *text => known.clone(),
        _ => shared[slot].insert(text.into()).clone(),
    })
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A deployment environment inside a tenant. There is no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Env {
    /// `dev`
    Dev,
    /// `staging` (`stage` is read as it)
    Staging,
    /// `prod`
    Prod,
}

impl Env {
    /// Parses `dev`, `staging`, `stage` or `prod`.
    ///
    /// # Errors
    /// [`NameError::Env`] for any other text.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text {
            "dev" => Ok(Self::Dev),
            "staging" | "stage" => Ok(Self::Staging),
            "prod" => Ok(Self::Prod),
            _ => Err(NameError::Env),
        }
    }

    /// The canonical name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }
}

impl fmt::Display for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where stored things belong: one tenant in one env. Every store function is given one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The tenant.
    pub tenant: Tenant,
    /// The env.
    pub env: Env,
}

/// What a topic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicKind {
    /// A conversation: an append-only log of events.
    Thread,
    /// A shared document. Its commands come later; its log is the same.
    Canvas,
    /// What happens to a tenant and env beside its topics: one log, written by the store with each change.
    System,
    /// Everything that happens in a tenant and env, in commit order. It has no log of its own.
    Feed,
}

/// The id of the one topic of [`TopicKind::System`].
const SYSTEM_ID: &str = "tenant";
/// The name of the feed on the wire.
pub const FEED: &str = "feed";

impl TopicKind {
    /// `thread`, `canvas`, `system` or `feed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Canvas => "canvas",
            Self::System => "system",
            Self::Feed => FEED,
        }
    }

    /// Parses a name of [`Self::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Thread, Self::Canvas, Self::System, Self::Feed].into_iter().find(|kind| kind.as_str() == text)
    }

    /// The field of an event's `routing` that names the topic: `thread_id`, `canvas_id`, `system_id`.
    #[must_use]
    pub fn routing_field(self) -> &'static str {
        match self {
            Self::Thread => "thread_id",
            Self::Canvas => "canvas_id",
            Self::System | Self::Feed => "system_id",
        }
    }
}

/// The full name of a topic: tenant, env, kind and id. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicKey(Arc<Parts>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Parts {
    tenant: Tenant,
    env: Env,
    kind: TopicKind,
    id: Box<str>,
}

impl TopicKey {
    /// Builds a key from a parsed scope, a kind and the text of an id.
    ///
    /// # Errors
    /// [`NameError::TopicId`] when the id's form is wrong.
    pub fn new(scope: &Scope, kind: TopicKind, id: &str) -> Result<Self, NameError> {
        let form = (1..=TOPIC_ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'));
        if !form {
            return Err(NameError::TopicId);
        }
        Ok(Self::of(scope, kind, id))
    }

    /// The topic `system/tenant` of a scope.
    #[must_use]
    pub fn system(scope: &Scope) -> Self {
        Self::of(scope, TopicKind::System, SYSTEM_ID)
    }

    /// The feed of a scope.
    #[must_use]
    pub fn feed(scope: &Scope) -> Self {
        Self::of(scope, TopicKind::Feed, FEED)
    }

    fn of(scope: &Scope, kind: TopicKind, id: &str) -> Self {
        Self(Arc::new(Parts { tenant: scope.tenant.clone(), env: scope.env, kind, id: id.into() }))
    }

    /// Parses `thread/{id}`, `canvas/{id}` or `feed` inside a scope. `system/tenant` is read by the feed alone.
    ///
    /// # Errors
    /// [`NameError::Topic`] for another kind or no slash, [`NameError::TopicId`] for a bad id.
    pub fn parse(scope: &Scope, topic: &str) -> Result<Self, NameError> {
        if topic == FEED {
            return Ok(Self::feed(scope));
        }
        let (kind, id) = topic.split_once('/').ok_or(NameError::Topic)?;
        let kind = match kind {
            "thread" => TopicKind::Thread,
            "canvas" => TopicKind::Canvas,
            _ => return Err(NameError::Topic),
        };
        Self::new(scope, kind, id)
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    /// The env.
    #[must_use]
    pub fn env(&self) -> Env {
        self.0.env
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> TopicKind {
        self.0.kind
    }

    /// The id inside its kind.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The scope the topic lives in.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope { tenant: self.0.tenant.clone(), env: self.0.env }
    }

    /// The name clients use inside their scope: `thread/{id}`; of the feed `feed`.
    #[must_use]
    pub fn topic(&self) -> String {
        if self.0.kind == TopicKind::Feed {
            return FEED.to_owned();
        }
        format!("{}/{}", self.0.kind.as_str(), self.0.id)
    }

    /// A hash that is the same in every process and version (FNV-1a, 64 bits, over the four
    /// parts). It places topics on workers and marks cursors; it is no protection against
    /// chosen keys, so no map is keyed by it.
    #[must_use]
    pub fn stable_hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let parts = [self.0.tenant.as_str(), self.0.env.as_str(), self.0.kind.as_str(), &self.0.id];
        for part in parts {
            for byte in part.bytes().chain([b'/']) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        hash
    }
}

impl fmt::Debug for TopicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for TopicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.0.tenant, self.0.env, self.0.kind.as_str(), self.0.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev }
    }

    #[test]
    fn tenants() {
        for good in ["t_a", "t_demo", "t_0-9_x", &format!("t_{}", "a".repeat(62))] {
            assert!(Tenant::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "t_", "demo", "T_demo", "t_Demo", "t_a b", "t_unknown", &format!("t_{}", "a".repeat(63))] {
            assert_eq!(Tenant::parse(bad), Err(NameError::Tenant), "{bad}");
        }
    }

    #[test]
    fn envs() {
        assert_eq!(Env::parse("stage"), Ok(Env::Staging));
        for bad in ["", "Dev", "production", "test"] {
            assert_eq!(Env::parse(bad), Err(NameError::Env), "{bad}");
        }
    }

    #[test]
    fn topics() {
        for good in ["thread/x", "canvas/A.b:c-d_1", &format!("thread/{}", "x".repeat(128))] {
            assert_eq!(TopicKey::parse(&scope(), good).unwrap().topic(), good);
        }
        for bad in [
            "",
            "thread",
            "thread/",
            "room/x",
            "thread/a b",
            "thread/a/b",
            "thread/a\n",
            &format!("thread/{}", "x".repeat(129)),
        ] {
            assert!(TopicKey::parse(&scope(), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tenants_share_their_texts_and_are_never_mixed_up() {
        let first = Tenant::parse("t_demo").unwrap();
        assert!(Arc::ptr_eq(&first.0, &Tenant::parse("t_demo").unwrap().0));
        for n in 0..1_000 {
            let text = format!("t_{n}");
            assert_eq!(Tenant::parse(&text).unwrap().as_str(), text);
        }
        assert_eq!(first, Tenant::parse("t_demo").unwrap());
    }

    #[test]
    fn the_stable_hash_depends_on_every_part() {
        let other = Scope { tenant: Tenant::parse("t_other").unwrap(), env: Env::Dev };
        let staging = Scope { env: Env::Staging, ..scope() };
        let key = |s: &Scope, t: &str| TopicKey::parse(s, t).unwrap().stable_hash();
        let all = [
            key(&scope(), "thread/x"),
            key(&other, "thread/x"),
            key(&staging, "thread/x"),
            key(&scope(), "canvas/x"),
            key(&scope(), "thread/y"),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
        assert_eq!(key(&scope(), "thread/x"), key(&scope(), "thread/x"));
    }
}
