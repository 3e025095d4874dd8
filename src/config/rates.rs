//! The rate of one action, as a setting: `threads.create=20`.

use super::value::Text;
use crate::routes::{ROUTES, Rate};

/// Most of anything in 60 s.
const PER_MINUTE_MAX: u32 = 10_000_000;

/// How often an action may be done in 60 s, by a tenant in an env.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionRate {
    /// Which: a name in the table of routes.
    pub action: &'static str,
    /// How often; 0 is no limit.
    pub per_minute: u32,
}

impl Text for ActionRate {
    const WORDS: &'static str =
        "an action that is rated and how often it may be done in 60 s, such as threads.create=20";

    fn parse(text: &str) -> Option<Self> {
        let (name, per_minute) = text.split_once('=')?;
        let route = ROUTES.iter().find(|route| route.action == name && route.rate() == Some(Rate::Action))?;
        let per_minute = per_minute.parse().ok().filter(|count| *count <= PER_MINUTE_MAX)?;
        Some(Self { action: route.action, per_minute })
    }

    fn print(&self) -> String {
        format!("{}={}", self.action, self.per_minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for good in ["threads.create=20", "canvases.members.put=0", "limits.show=10000000"] {
            assert_eq!(ActionRate::parse(good).map(|rate| rate.print()), Some(good.to_owned()));
        }
        for bad in [
            "",
            "threads.create",
            "threads.create=",
            "threads.create=-1",
            "threads.create=x",
            "threads.create=10000001",
            "threads.nothing=1",
            "=1",
            "threads.publish=1",
            "stream.open=1",
            "health.live=1",
        ] {
            assert_eq!(ActionRate::parse(bad), None, "{bad}");
        }
    }
}
