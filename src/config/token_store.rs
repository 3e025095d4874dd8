//! Values of the settings of stream tokens: which store, and the URL of a Redis.
//!
//! A URL has a password in it, so it never prints. Nothing here connects.

use super::value::{Secret, Text};

/// Where stream tokens are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStore {
    /// In the data directory.
    Embedded,
    /// In a Redis.
    Redis,
}

impl Text for TokenStore {
    const WORDS: &'static str = "embedded or redis";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "embedded" => Some(Self::Embedded),
            "redis" => Some(Self::Redis),
            _ => None,
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "redis",
        }
        .to_owned()
    }
}

/// The URL of a Redis. It prints as `***`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl(Secret);

impl RedisUrl {
    /// The URL itself. Its users keep it out of logs, errors and answers.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl Text for RedisUrl {
    const WORDS: &'static str = "a URL such as redis://localhost:6379/0";

    fn parse(text: &str) -> Option<Self> {
        let host = text.strip_prefix("redis://")?;
        (!host.is_empty()).then(|| Self(Secret::new(text)))
    }

    fn print(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_never_prints() {
        let url = RedisUrl::parse("redis://:secret@localhost/0").unwrap();
        assert_eq!((url.print(), format!("{url:?}")), ("***".to_owned(), "RedisUrl(***)".to_owned()));
        assert_eq!(url.expose(), "redis://:secret@localhost/0");
        for text in ["", "redis://", "http://localhost", "rediss://localhost", "localhost:6379"] {
            assert!(RedisUrl::parse(text).is_none(), "{text}");
        }
    }
}
