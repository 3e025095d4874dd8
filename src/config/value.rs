//! Values of settings: how each type is read from TOML and from text, and how it is printed.
//!
//! Secrets never print. Nothing here knows a setting's name.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tambour_actors::principal::Permission;
use tambour_actors::topic_key::{Env, Tenant};
use toml::Value;

/// What a setting accepts beyond its type.
#[derive(Debug, Clone, Copy)]
pub enum Accepts {
    /// Whatever the type does.
    Any,
    /// Whole numbers from the first to the second, both included.
    Range(u64, u64),
}

/// A type that a setting can have.
pub trait Setting: Sized {
    /// What is accepted, in words: `a whole number from 1 to 64`.
    fn describe(accepts: &Accepts) -> String;
    /// Reads a TOML value; `None` when it is not accepted.
    fn from_toml(value: &Value, accepts: &Accepts) -> Option<Self>;
    /// Reads the text of a variable or a flag; `None` when it is not accepted.
    fn from_text(text: &str, accepts: &Accepts) -> Option<Self>;
    /// The value as TOML, secrets as `***`; `None` when it is not set.
    fn to_toml(&self) -> Option<Value>;
}

/// A secret text. It prints and serialises as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself. Its users keep it out of logs, errors and answers.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            fn describe(accepts: &Accepts) -> String {
                match accepts {
                    Accepts::Any => "a whole number".to_owned(),
                    Accepts::Range(min, max) => format!("a whole number from {min} to {max}"),
                }
            }

            fn from_toml(value: &Value, accepts: &Accepts) -> Option<Self> {
                within(u64::try_from(value.as_integer()?).ok()?, accepts)?.try_into().ok()
            }

            fn from_text(text: &str, accepts: &Accepts) -> Option<Self> {
                within(text.trim().parse().ok()?, accepts)?.try_into().ok()
            }

            fn to_toml(&self) -> Option<Value> {
                i64::try_from(*self).ok().map(Value::Integer)
            }
        }
    )+};
}

numbers!(u64, usize);

fn within(number: u64, accepts: &Accepts) -> Option<u64> {
    match accepts {
        Accepts::Any => Some(number),
        Accepts::Range(min, max) => (*min..=*max).contains(&number).then_some(number),
    }
}

impl Setting for bool {
    fn describe(_: &Accepts) -> String {
        "true or false".to_owned()
    }

    fn from_toml(value: &Value, _: &Accepts) -> Option<Self> {
        value.as_bool()
    }

    fn from_text(text: &str, _: &Accepts) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn to_toml(&self) -> Option<Value> {
        Some(Value::Boolean(*self))
    }
}

/// Types that are written as one text, in TOML as in a variable.
pub(super) trait Text: Sized {
    const WORDS: &'static str;
    fn parse(text: &str) -> Option<Self>;
    fn print(&self) -> String;
}

impl<T: Text> Setting for T {
    fn describe(_: &Accepts) -> String {
        Self::WORDS.to_owned()
    }

    fn from_toml(value: &Value, _: &Accepts) -> Option<Self> {
        Self::parse(value.as_str()?)
    }

    fn from_text(text: &str, _: &Accepts) -> Option<Self> {
        Self::parse(text)
    }

    fn to_toml(&self) -> Option<Value> {
        Some(Value::String(self.print()))
    }
}

/// Not set is `None`. There is no way to write "not set": leave the setting out.
impl<T: Text> Setting for Option<T> {
    fn describe(_: &Accepts) -> String {
        T::WORDS.to_owned()
    }

    fn from_toml(value: &Value, _: &Accepts) -> Option<Self> {
        T::parse(value.as_str()?).map(Some)
    }

    fn from_text(text: &str, _: &Accepts) -> Option<Self> {
        T::parse(text).map(Some)
    }

    fn to_toml(&self) -> Option<Value> {
        self.as_ref().map(|value| Value::String(value.print()))
    }
}

/// A list: an array in TOML, separated by commas in a variable (an empty one is an empty list).
impl<T: Text> Setting for Vec<T> {
    fn describe(_: &Accepts) -> String {
        format!("a list, each {}", T::WORDS)
    }

    fn from_toml(value: &Value, _: &Accepts) -> Option<Self> {
        value.as_array()?.iter().map(|item| T::parse(item.as_str()?)).collect()
    }

    fn from_text(text: &str, _: &Accepts) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::new());
        }
        text.split(',').map(|item| T::parse(item.trim())).collect()
    }

    fn to_toml(&self) -> Option<Value> {
        Some(Value::Array(self.iter().map(|item| Value::String(item.print())).collect()))
    }
}

impl Text for Permission {
    const WORDS: &'static str = "a permission key such as threads:read";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn print(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Text for String {
    const WORDS: &'static str = "a text that is not empty";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn print(&self) -> String {
        self.clone()
    }
}

impl Text for Secret {
    const WORDS: &'static str = "a text of at least 32 bytes";

    fn parse(text: &str) -> Option<Self> {
        // Its length is checked where the key is made, for secrets from files too.
        (!text.is_empty()).then(|| Self::new(text))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Text for PathBuf {
    const WORDS: &'static str = "a path";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }

    fn print(&self) -> String {
        Path::display(self).to_string()
    }
}

impl Text for SocketAddr {
    const WORDS: &'static str = "an IP address and a port such as 127.0.0.1:8080 or [::1]:8080";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Text for Env {
    const WORDS: &'static str = "dev, staging or prod";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    fn print(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Text for Tenant {
    const WORDS: &'static str = "a tenant id such as t_acme";

    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    fn print(&self) -> String {
        self.as_str().to_owned()
    }
}

/// A web origin as a browser sends it: `https://chat.example`, without a path, lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(Box<str>);

impl WebOrigin {
    /// The origin as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Text for WebOrigin {
    const WORDS: &'static str = "an origin such as https://chat.example or http://localhost:5173, without a path";

    fn parse(text: &str) -> Option<Self> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let form = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b));
        form.then(|| Self(text.into()))
    }

    fn print(&self) -> String {
        self.0.to_string()
    }
}

/// The algorithm of a verifying key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Algorithm(pub jsonwebtoken::Algorithm);

impl Algorithm {
    /// Whether the key is a shared secret; else it is a public key.
    #[must_use]
    pub fn takes_secret(self) -> bool {
        self.0.family() == jsonwebtoken::AlgorithmFamily::Hmac
    }
}

impl Text for Algorithm {
    const WORDS: &'static str = "HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn print(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// [`LogFormat::Pretty`] on a terminal, else [`LogFormat::Json`].
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Text for LogFormat {
    const WORDS: &'static str = "auto, pretty or json";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "pretty" => Some(Self::Pretty),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Auto => "auto",
            Self::Pretty => "pretty",
            Self::Json => "json",
        }
        .to_owned()
    }
}

/// Which log lines are written: levels, separated by commas, each for all or for one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(Box<str>);

impl LogFilter {
    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info,actix_server=warn,actix_http=off,rustls=error".into())
    }
}

impl Text for LogFilter {
    const WORDS: &'static str = "off, error, warn, info, debug or trace, or a list such as info,tambour=debug";

    fn parse(text: &str) -> Option<Self> {
        // A bare word that is no level would be taken for a module's name, so that `inof` would
        // silence everything.
        let level = |text: &str| text.parse::<tracing_subscriber::filter::LevelFilter>().is_ok() && !text.is_empty();
        let form = text.split(',').all(|part| level(part.rsplit('=').next().unwrap_or_default().trim()));
        (form && tracing_subscriber::EnvFilter::try_new(text).is_ok()).then(|| Self(text.into()))
    }

    fn print(&self) -> String {
        self.0.to_string()
    }
}
