//! What a reload does with each setting, and how a change is told.
//!
//! Nothing here changes a running hub; see the server's `reload` for that.

use std::fmt;

use toml::Value;

use super::value::Setting;

/// What a reload (SIGHUP) does with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// Its new value is taken: by requests, sessions and topics that begin from then on.
    Live,
    /// Its old value stays until the hub is started again.
    Restart,
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "on reload",
            Self::Restart => "at a restart",
        })
    }
}

/// A setting that differs from what the hub runs with. Secrets are `***`, as everywhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its name.
    pub name: &'static str,
    /// What becomes of it.
    pub reload: Reload,
    /// What the hub ran with; `None`: it was not set.
    pub old: Option<Value>,
    /// What is asked for.
    pub new: Option<Value>,
}

impl Change {
    /// Compares a setting with what runs. What needs a restart is put back.
    pub(super) fn of<T: Setting + PartialEq + Clone>(
        name: &'static str,
        reload: Reload,
        running: &T,
        wanted: &mut T,
    ) -> Option<Self> {
        if running == wanted {
            return None;
        }
        let change = Self { name, reload, old: running.to_toml(), new: wanted.to_toml() };
        if reload == Reload::Restart {
            wanted.clone_from(running);
        }
        Some(change)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Value>| value.as_ref().map_or_else(|| "not set".to_owned(), Value::to_string);
        let (name, old, new) = (self.name, text(&self.old), text(&self.new));
        match self.reload {
            Reload::Live => write!(f, "applied: {name} is {new}, was {old}"),
            Reload::Restart => write!(f, "needs a restart: {name} stays {old}, not {new}"),
        }
    }
}
