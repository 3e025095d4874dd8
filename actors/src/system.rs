//! The events of `system/tenant`: their types, and who may see them. The store writes one in the transaction of each change.
//!
//! This file never writes an event.

use bytes::Bytes;
use serde_json::json;

use crate::log::{Member, NewTopic, TopicChange};
use crate::principal::Permission;
use crate::topic_key::TopicKind;

/// Who may see an event of `system/tenant`. Owners and admins see all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Who may read the topic that it is about.
    Readers,
    /// Who has this permission key.
    Holders(Permission),
    /// Whoever reads the feed.
    All,
}

macro_rules! system_types {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $audience:expr;)+) => {
        /// A type of an event of `system/tenant`. Nobody can publish one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum SystemType { $($(#[doc = $doc])+ $name),+ }

        impl SystemType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The type as it stands on events.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),+ } }

            /// What happened.
            #[must_use]
            pub fn words(self) -> &'static str { match self { $(Self::$name => concat!($($doc),+)),+ } }

            /// Who may see it.
            #[must_use]
            pub fn audience(self) -> Audience { match self { $(Self::$name => $audience),+ } }
        }
    };
}

system_types! {
    /// A thread was created.
    ThreadCreated = "thread.created", Audience::Readers;
    /// A thread's title or visibility was changed.
    ThreadChanged = "thread.changed", Audience::Readers;
    /// A thread was closed.
    ThreadClosed = "thread.closed", Audience::Readers;
    /// A thread was deleted.
    ThreadDeleted = "thread.deleted", Audience::Readers;
    /// Somebody was let into a thread, or may do something else there.
    ThreadMemberPut = "thread.member_put", Audience::Readers;
    /// Somebody was taken out of a thread.
    ThreadMemberRemoved = "thread.member_removed", Audience::Readers;
    /// A canvas was created.
    CanvasCreated = "canvas.created", Audience::Readers;
    /// A canvas's title or visibility was changed.
    CanvasChanged = "canvas.changed", Audience::Readers;
    /// A canvas was closed.
    CanvasClosed = "canvas.closed", Audience::Readers;
    /// A canvas was deleted.
    CanvasDeleted = "canvas.deleted", Audience::Readers;
    /// Somebody was let into a canvas, or may do something else there.
    CanvasMemberPut = "canvas.member_put", Audience::Readers;
    /// Somebody was taken out of a canvas.
    CanvasMemberRemoved = "canvas.member_removed", Audience::Readers;
    /// A service key was made.
    KeyCreated = "key.created", Audience::Holders(Permission::KeysWrite);
    /// A service key got another token.
    KeyRotated = "key.rotated", Audience::Holders(Permission::KeysWrite);
    /// A service key was revoked.
    KeyRevoked = "key.revoked", Audience::Holders(Permission::KeysWrite);
    /// Something else is ordered of a principal, or nothing any more.
    PrincipalChanged = "principal.changed", Audience::Holders(Permission::PrincipalsWrite);
    /// A token, or all tokens of somebody, were revoked.
    TokensRevoked = "tokens.revoked", Audience::Holders(Permission::PrincipalsWrite);
    /// Sessions of somebody were ended.
    SessionsEnded = "sessions.ended", Audience::Holders(Permission::SessionsRead);
    /// Something was switched off, or on again.
    KillSwitchChanged = "kill_switch.changed", Audience::All;
}

/// What can happen to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicDeed {
    /// It is there.
    Created,
    /// Its title or visibility is another.
    Changed,
    /// Nothing follows.
    Closed,
    /// It is gone.
    Deleted,
    /// Somebody is in it, or in another way.
    MemberPut,
    /// Somebody is out of it.
    MemberRemoved,
}

impl SystemType {
    /// The type for what happened to a topic of a kind; `None` for kinds that are no resource.
    #[must_use]
    pub fn of_topic(kind: TopicKind, deed: TopicDeed) -> Option<Self> {
        let (thread, canvas) = match deed {
            TopicDeed::Created => (Self::ThreadCreated, Self::CanvasCreated),
            TopicDeed::Changed => (Self::ThreadChanged, Self::CanvasChanged),
            TopicDeed::Closed => (Self::ThreadClosed, Self::CanvasClosed),
            TopicDeed::Deleted => (Self::ThreadDeleted, Self::CanvasDeleted),
            TopicDeed::MemberPut => (Self::ThreadMemberPut, Self::CanvasMemberPut),
            TopicDeed::MemberRemoved => (Self::ThreadMemberRemoved, Self::CanvasMemberRemoved),
        };
        match kind {
            TopicKind::Thread => Some(thread),
            TopicKind::Canvas => Some(canvas),
            TopicKind::System | TopicKind::Feed => None,
        }
    }

    /// Parses a type as it stands on events.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    /// Whether it may change who sees a topic.
    #[must_use]
    pub fn moves_rights(self) -> bool {
        !matches!(self, Self::ThreadCreated | Self::CanvasCreated | Self::ThreadClosed | Self::CanvasClosed)
            && self.audience() == Audience::Readers
    }
}

/// What `system/tenant` says of what happened to a topic: the one wording of it for every store. `topic` is what it is behind that, of
/// one that was deleted what it was; `member` is whom it is about. `None` for what is no resource.
#[must_use]
pub fn topic_event(deed: TopicDeed, topic: &NewTopic, member: Option<&Member>) -> Option<(SystemType, Bytes)> {
    let kind = SystemType::of_topic(topic.key.kind(), deed)?;
    let mut data = json!({ "topic": topic.key.topic() });
    match (deed, member) {
        (TopicDeed::MemberPut, Some(member)) => {
            data["sub"] = (*member.sub).into();
            data["can"] = if member.can_write { "write" } else { "read" }.into();
        }
        (TopicDeed::MemberRemoved, Some(member)) => data["sub"] = (*member.sub).into(),
        _ => {
            if let Some(title) = &topic.title {
                data["title"] = title.as_str().into();
            }
            data["visibility"] = topic.visibility.as_str().into();
            data["creator"] = (*topic.creator).into();
            if deed == TopicDeed::Created && !topic.members.is_empty() {
                // Who they are is in the thread itself, and in the audit: a list of a thousand is no event.
                data["members"] = topic.members.len().into();
            }
        }
    }
    Some((kind, data.to_string().into()))
}

/// What a change made of a topic that was this before it, in the order in which it is told. What changes nothing is not told: the
/// same title, a member who can do the same, nobody who leaves.
#[must_use]
pub fn happened(before: &NewTopic, change: &TopicChange) -> Vec<(TopicDeed, Option<Member>)> {
    let known = |sub: &str| before.members.iter().find(|member| *member.sub == *sub);
    let title = change.title.as_ref().is_some_and(|title| *title != before.title);
    let visibility = change.visibility.is_some_and(|visibility| visibility != before.visibility);
    let put = change.put_member.as_ref().filter(|member| known(&member.sub) != Some(*member)).cloned();
    let is_put = |sub: &str| change.put_member.as_ref().filter(|member| *member.sub == *sub);
    let removed = change.remove_member.as_ref().and_then(|sub| is_put(sub).or_else(|| known(sub))).cloned();
    let mut told = Vec::new();
    if title || visibility {
        told.push((TopicDeed::Changed, None));
    }
    told.extend(put.map(|member| (TopicDeed::MemberPut, Some(member))));
    told.extend(removed.map(|member| (TopicDeed::MemberRemoved, Some(member))));
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventType, TypeError};

    #[test]
    fn every_type_is_reserved_and_reads_back() {
        for kind in SystemType::ALL {
            assert_eq!(SystemType::parse(kind.as_str()), Some(*kind));
            assert!(EventType::stored(kind.as_str()).is_ok());
            assert_eq!(EventType::parse(kind.as_str()), Err(TypeError::Reserved));
        }
    }
}
