//! Who sees what of the feed: what somebody may see, and what of that they asked for.
//!
//! Pure. Who may read a topic is decided by the one rule of [`VisibleTo`]; nothing here reads a token or a store.

use std::sync::Arc;

use crate::frame::Subject;
use crate::log::feed::FeedItem;
use crate::log::{TopicRecord, VisibleTo};
use crate::principal::{Permission, Permissions, Principal};
use crate::refusal::{Code, Refusal};
use crate::system::{Audience, SystemType};
use crate::topic_key::{Scope, TopicKey, TopicKind};

/// Most types, and most topics, that a filter names.
pub const FILTER_MAX: usize = 32;

/// What somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    sub: Arc<str>,
    /// Owners and admins see all.
    administers: bool,
    permissions: Permissions,
}

/// What somebody asked for. Both lists are for both to be met; an empty one is met by all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    types: Vec<TypePattern>,
    topics: Vec<TopicKey>,
}

/// An event type, or what types begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TypePattern {
    Exact(Box<str>),
    Prefix(Box<str>),
}

/// What a reader gets of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// What they may see.
    pub sight: Sight,
    /// What of that they asked for.
    pub filter: Arc<Filter>,
}

impl Sight {
    /// What a principal may see now.
    #[must_use]
    pub fn of(principal: &Principal) -> Self {
        let permissions = Permission::ALL.iter().copied().filter(|permission| principal.has(*permission));
        Self {
            sub: principal.sub.clone(),
            administers: principal.role.administers(),
            permissions: permissions.collect(),
        }
    }

    fn reads(&self, topic: &TopicRecord) -> bool {
        let team = self.permissions.contains(Permission::read(topic.topic.key.kind()));
        VisibleTo { sub: self.sub.clone(), team }.sees(&topic.topic)
    }

    /// Whether they may see an event.
    #[must_use]
    pub fn sees(&self, kind: &str, topic: &TopicRecord, about: Option<&TopicRecord>) -> bool {
        if self.administers {
            return true;
        }
        match topic.topic.key.kind() {
            TopicKind::Thread | TopicKind::Canvas => self.reads(topic),
            TopicKind::System => match SystemType::parse(kind).map(SystemType::audience) {
                Some(Audience::Readers) => about.is_some_and(|about| self.reads(about)),
                Some(Audience::Holders(permission)) => self.permissions.contains(permission),
                Some(Audience::All) => true,
                None => false,
            },
            TopicKind::Feed => false,
        }
    }
}

impl Filter {
    /// Parses a filter. A type is exact, or ends in `*` and means all that begin so; a topic is `thread/{id}`, `canvas/{id}` or
    /// `system/tenant`.
    ///
    /// # Errors
    /// `query.invalid` for more than [`FILTER_MAX`] of either, or for what can be no type or no topic.
    pub fn parse<T: AsRef<str>>(scope: &Scope, types: &[T], topics: &[T]) -> Result<Self, Refusal> {
        if types.len() > FILTER_MAX || topics.len() > FILTER_MAX {
            let detail = format!("a filter has at most {FILTER_MAX} types and {FILTER_MAX} topics");
            return Err(Refusal::new(Code::QueryInvalid, detail));
        }
        let topic = |name: &T| match name.as_ref() {
            name if name == TopicKey::system(scope).topic() => Ok(TopicKey::system(scope)),
            name => TopicKey::parse(scope, name).ok().filter(|key| key.kind() != TopicKind::Feed).ok_or_else(|| {
                let detail = "a topic of a filter is thread/{id}, canvas/{id} or system/tenant";
                Refusal::new(Code::QueryInvalid, detail)
            }),
        };
        Ok(Self {
            types: types.iter().map(|kind| TypePattern::parse(kind.as_ref())).collect::<Result<_, _>>()?,
            topics: topics.iter().map(topic).collect::<Result<_, _>>()?,
        })
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.types.is_empty() && self.topics.is_empty()
    }

    /// Whether an event passes. What `system/tenant` says about a topic passes with that topic, too.
    #[must_use]
    pub fn passes(&self, kind: &str, topic: &TopicRecord, about: Option<&TopicRecord>) -> bool {
        let is_named = |record: &TopicRecord| self.topics.contains(&record.topic.key);
        (self.types.is_empty() || self.types.iter().any(|pattern| pattern.fits(kind)))
            && (self.topics.is_empty() || is_named(topic) || about.is_some_and(is_named))
    }
}

impl TypePattern {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let (stem, is_prefix) = text.strip_suffix('*').map_or((text, false), |stem| (stem, true));
        let form = stem.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.');
        let is_type = stem.len() <= crate::event::TYPE_BYTES_MAX
            && form
            && stem.as_bytes().first().map_or(is_prefix, u8::is_ascii_lowercase);
        if !is_type {
            let detail = "a type of a filter is an event type, or the beginning of some and then *";
            return Err(Refusal::new(Code::QueryInvalid, detail));
        }
        Ok(if is_prefix { Self::Prefix(stem.into()) } else { Self::Exact(stem.into()) })
    }

    fn fits(&self, kind: &str) -> bool {
        match self {
            Self::Exact(exact) => kind == &**exact,
            Self::Prefix(prefix) => kind.starts_with(&**prefix),
        }
    }
}

impl View {
    /// What a principal gets of what they ask for.
    #[must_use]
    pub fn of(principal: &Principal, filter: Arc<Filter>) -> Self {
        Self { sight: Sight::of(principal), filter }
    }

    /// Whether it is everything: then nothing has to be looked at.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.sight.administers && self.filter.is_none()
    }

    fn has(&self, kind: &str, topic: &TopicRecord, about: Option<&TopicRecord>) -> bool {
        self.filter.passes(kind, topic, about) && self.sight.sees(kind, topic, about)
    }

    /// Whether an event is in it.
    #[must_use]
    pub fn has_item(&self, item: &FeedItem) -> bool {
        self.has(item.event.kind.as_str(), &item.topic, item.about.as_deref())
    }

    /// The same of what is encoded.
    #[must_use]
    pub fn has_subject(&self, subject: &Subject) -> bool {
        self.has(subject.kind.as_str(), &subject.topic, subject.about.as_deref())
    }
}

#[cfg(test)]
#[path = "tests/view.rs"]
mod tests;
