//! What the table of settings says of each: its name, words, default, and what a reload does with it. Never its value.

use super::layers::PREFIX;
use super::reload::Reload;

/// What the table knows about one setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name: `section.key`, or `production`.
    pub name: &'static str,
    /// What it does, in words; several lines.
    pub words: &'static [&'static str],
    /// What is accepted, in words.
    pub accepts: fn() -> String,
    /// The default as TOML; `None` for a setting that is absent by default.
    pub default: fn() -> Option<toml::Value>,
    /// What a reload does with it.
    pub reload: Reload,
}

impl Key {
    /// The variable that sets it: `TAMBOUR__SECTION__KEY`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", PREFIX, self.name.to_ascii_uppercase().replace('.', "__"))
    }
}
