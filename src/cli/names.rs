//! Names in arguments, parsed where they come in, so that a wrong one is a usage error with the right form in it.
//!
//! Nothing here looks whether what is named exists.

use std::fmt;

use tambour_actors::principal::{Permission, Role};
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey, TopicKind};
use ureq::http::Uri;

use crate::identity::jwt::{KEY_SUB_PREFIX, SUB_BYTES_MAX};

pub(super) fn tenant(text: &str) -> Result<Tenant, String> {
    Tenant::parse(text).map_err(|error| error.to_string())
}

pub(super) fn env(text: &str) -> Result<Env, String> {
    Env::parse(text).map_err(|error| error.to_string())
}

pub(super) fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "a role is owner, admin, member or viewer".to_owned())
}

pub(super) fn permission(text: &str) -> Result<Permission, String> {
    let all = || Permission::ALL.iter().map(|permission| permission.as_str()).collect::<Vec<_>>().join(", ");
    Permission::parse(text).ok_or_else(|| format!("a permission is one of {}", all()))
}

/// The id of a service key, so that it can stand in a path.
pub(super) fn key_id(text: &str) -> Result<String, String> {
    let id = text.strip_prefix(KEY_SUB_PREFIX).filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'));
    id.filter(|id| !id.is_empty()).map(|_| text.to_owned()).ok_or_else(|| "a service key is key: and a UUID".to_owned())
}

pub(super) fn sub(text: &str) -> Result<String, String> {
    let form = (1..=SUB_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if form { Ok(text.to_owned()) } else { Err("it is 1 to 256 bytes without control characters".to_owned()) }
}

/// A topic as an argument: `thread/{id}` or `canvas/{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicName {
    /// The id inside its kind.
    pub id: String,
    kind: TopicKind,
}

impl TopicName {
    /// Where topics of its kind are: `/v1/threads`.
    #[must_use]
    pub fn collection(&self) -> &'static str {
        match self.kind {
            TopicKind::Thread => "/v1/threads",
            TopicKind::Canvas | TopicKind::System | TopicKind::Feed => "/v1/canvases",
        }
    }

    /// Where its events are: `/v1/threads/{id}/events`.
    #[must_use]
    pub fn events(&self) -> String {
        format!("{}/{}/events", self.collection(), self.id)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.id)
    }
}

pub(super) fn topic(text: &str) -> Result<TopicName, String> {
    let scope = Scope { tenant: tenant("t_demo")?, env: Env::Dev };
    let key = TopicKey::parse(&scope, text).map_err(|error| error.to_string())?;
    Ok(TopicName { id: key.id().to_owned(), kind: key.kind() })
}

/// The address of a hub; gives it without a slash at its end.
pub(super) fn hub_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let parsed: Option<Uri> = url.parse().ok();
    let plain = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    };
    if parsed.as_ref().is_some_and(plain) {
        Ok(url.to_owned())
    } else {
        Err("a hub's address is such as http://127.0.0.1:8080 or https://hub.example".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_in_full() {
        let events = |text: &str| topic(text).map(|topic| (topic.to_string(), topic.events()));
        for (name, path) in [("thread/a.b:c-1", "/v1/threads/a.b:c-1/events"), ("canvas/x", "/v1/canvases/x/events")] {
            assert_eq!(events(name), Ok((name.to_owned(), path.to_owned())));
        }
        for bad in ["welcome", "thread/", "thread/a/b", "thread/a b", "room/x", ""] {
            assert!(topic(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        for good in ["http://127.0.0.1:8080", "http://[::1]:1/", "https://hub.example", "http://proxy.example/hub/"] {
            assert_eq!(hub_url(good).as_deref(), Ok(good.trim_end_matches('/')));
        }
        for bad in ["", "not a url", "127.0.0.1:8080", "HTTPS://", "https://", "ftp://x", "http://", "http://x/?a=b"] {
            assert!(hub_url(bad).is_err(), "{bad}");
        }
    }
}
