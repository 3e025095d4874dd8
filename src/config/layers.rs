//! Layers: where settings come from, and the errors that say which of them is wrong and why.
//!
//! This file never decides what a setting means; it finds the uppermost value of each name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::KEYS;
use super::value::{Accepts, Setting};

/// What the names of our variables begin with. `TAMBOUR_PORT`, as Kubernetes injects it, does not.
pub const PREFIX: &str = "TAMBOUR__";

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the default.
    Default,
    /// In a file, on a line (from 1).
    File(PathBuf, usize),
    /// In a variable of the environment.
    Variable(String),
    /// In a flag of the command line.
    Flag(&'static str),
    /// In an entry of the file of issuers, by its number from 1.
    Issuer(PathBuf, usize),
    /// In the development secret that the hub made for itself.
    Development(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
            Self::Issuer(path, number) => write!(f, "issuer {number} of {}", path.display()),
            Self::Development(path) => write!(f, "{} (made for development)", path.display()),
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("can't read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{origin}: not TOML: {message}")]
    NotToml {
        /// File and line.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// A name that no setting has.
    #[error(
        "{origin}: there is no setting `{name}`; did you mean `{nearest}`? (`tambour config --defaults` lists all)"
    )]
    Unknown {
        /// The name that was given.
        name: String,
        /// The known name that is most like it.
        nearest: String,
        /// Where it was given.
        origin: Origin,
    },
    /// A value that the setting does not accept.
    #[error("{name} (from {origin}) is not accepted: it must be {accepts}")]
    Value {
        /// The setting.
        name: &'static str,
        /// Where the value was given.
        origin: Origin,
        /// What is accepted.
        accepts: String,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Together(String),
}

/// A value as it was found: TOML from a file, text from elsewhere.
#[derive(Clone)]
enum Found {
    Toml(toml::Value),
    Text(String),
}

/// All layers put over each other: the uppermost value of each name, and its origin.
#[derive(Clone, Default)]
pub struct Layers(BTreeMap<&'static str, (Found, Origin)>);

/// Names and origins; a value may be a secret.
impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, (_, origin))| (name, origin))).finish()
    }
}

impl Layers {
    /// Lays a TOML file over what is there.
    ///
    /// # Errors
    /// The file is unreadable, no TOML, or names a setting that does not exist.
    pub fn file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
        self.toml(path, &text)
    }

    /// Lays the text of a TOML file over what is there. `path` only names it.
    ///
    /// # Errors
    /// As [`Layers::file`].
    pub fn toml(&mut self, path: &Path, text: &str) -> Result<(), SettingsError> {
        let at = |offset: usize| {
            let line = text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
            Origin::File(path.to_owned(), line)
        };
        let not_toml = |error: &toml::de::Error| SettingsError::NotToml {
            origin: at(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        };
        // Read twice: values without their places, places without their values.
        let values: toml::Table = text.parse().map_err(|error| not_toml(&error))?;
        let places = toml::de::DeTable::parse(text).map_err(|error| not_toml(&error))?;
        for (section, place) in places.get_ref() {
            let section_name: &str = section.get_ref();
            let origin = at(section.span().start);
            let (Some(keys), Some(inner)) = (values[section_name].as_table(), place.get_ref().as_table()) else {
                let name = known(section_name, &origin, |key| key.to_owned())?;
                self.0.insert(name, (Found::Toml(values[section_name].clone()), origin));
                continue;
            };
            for key in inner.keys() {
                let name = format!("{section_name}.{}", key.get_ref());
                let key_name: &str = key.get_ref();
                let origin = at(key.span().start);
                let name = known(&name, &origin, |key| key.to_owned())?;
                self.0.insert(name, (Found::Toml(keys[key_name].clone()), origin));
            }
        }
        Ok(())
    }

    /// Lays variables over what is there; those without our prefix are left alone.
    ///
    /// # Errors
    /// A variable of our prefix names no setting, or is not UTF-8.
    pub fn variables(
        &mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), SettingsError> {
        let spelling = |key: &str| format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"));
        for (variable, value) in variables {
            let Some(variable) = variable.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let origin = Origin::Variable(variable.to_owned());
            let name = known(variable, &origin, spelling)?;
            let Ok(value) = value.into_string() else {
                return Err(SettingsError::Value { name, origin, accepts: "UTF-8".to_owned() });
            };
            self.0.insert(name, (Found::Text(value), origin));
        }
        Ok(())
    }

    /// Lays a flag's value over what is there.
    ///
    /// # Panics
    /// There is no setting of that name: the flags are ours.
    pub fn flag(&mut self, flag: &'static str, name: &str, value: impl Into<String>) {
        let name = KEYS.iter().map(|key| key.name).find(|known| *known == name);
        let name = name.expect("a flag is for a setting");
        self.0.insert(name, (Found::Text(value.into()), Origin::Flag(flag)));
    }

    /// Lays one value of TOML over what is there.
    pub(super) fn value(&mut self, name: &'static str, value: toml::Value, origin: Origin) {
        self.0.insert(name, (Found::Toml(value), origin));
    }

    /// Where a setting's value comes from.
    #[must_use]
    pub fn origin(&self, name: &str) -> Origin {
        self.0.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// The value of a setting, checked; its default when no layer has it.
    pub(super) fn get<T: Setting>(
        &self,
        name: &'static str,
        default: impl FnOnce() -> T,
        accepts: &Accepts,
    ) -> Result<T, SettingsError> {
        let Some((found, origin)) = self.0.get(name) else { return Ok(default()) };
        let value = match found {
            Found::Toml(value) => T::from_toml(value, accepts),
            Found::Text(text) => T::from_text(text, accepts),
        };
        // The value itself is not repeated: it may be a secret in the wrong place.
        value.ok_or_else(|| SettingsError::Value { name, origin: origin.clone(), accepts: T::describe(accepts) })
    }
}

/// The setting that is spelled so, or an error that names the nearest one.
fn known(given: &str, origin: &Origin, spelling: impl Fn(&str) -> String) -> Result<&'static str, SettingsError> {
    let names = || KEYS.iter().map(|key| key.name);
    if let Some(name) = names().find(|name| spelling(name) == given) {
        return Ok(name);
    }
    // A key in the wrong section is as near as a misspelt one.
    let last = |text: &str| text.rsplit('.').next().unwrap_or_default().to_owned();
    let score = |name: &str| {
        let whole = strsim::normalized_damerau_levenshtein(&spelling(name).to_lowercase(), &given.to_lowercase());
        let key = strsim::normalized_damerau_levenshtein(&last(name), &last(&given.to_lowercase().replace("__", ".")));
        whole.max(key - 0.05)
    };
    let nearest = names().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or_default();
    Err(SettingsError::Unknown { name: given.to_owned(), nearest: spelling(nearest), origin: origin.clone() })
}
