//! Settings as text: the effective ones with their origins, and the commented default file.
//!
//! Secrets are `***` here, because [`super::value::Secret`] prints nothing else.

use super::layers::{Layers, Origin};
use super::{KEYS, Key, SECTIONS, Settings};

/// The effective settings as TOML; behind each, where it comes from.
#[must_use]
pub fn effective(settings: &Settings, layers: &Layers, secret: Option<&Origin>) -> String {
    let values = settings.values();
    write_file(|key, out| {
        let value = values.iter().find(|(name, _)| *name == key.name).and_then(|(_, value)| value.as_ref());
        let origin = match (key.name, secret) {
            ("auth.secret", Some(origin)) => origin.clone(),
            _ => layers.origin(key.name),
        };
        match value {
            Some(value) => out.push_str(&format!("{} = {value}  # {origin}; changes {}\n", short(key), key.reload)),
            None => out.push_str(&format!("# {} is not set; changes {}\n", short(key), key.reload)),
        }
    })
}

/// The commented file with every setting and its default.
#[must_use]
pub fn default_file() -> String {
    let head = "# Every setting of Tambour with its default. Over this file go variables such as\n\
                # TAMBOUR__HTTP__LISTEN, and over those flags. An unknown name is an error.\n\n";
    let file = write_file(|key, out| {
        for line in key.words {
            out.push_str(&format!("#{line}\n"));
        }
        out.push_str(&format!("# Takes {}. Changes {}.\n", (key.accepts)(), key.reload));
        match (key.default)() {
            Some(value) => out.push_str(&format!("{} = {value}\n\n", short(key))),
            None => out.push_str(&format!("# {} = \"\"\n\n", short(key))),
        }
    });
    format!("{head}{}\n", file.trim_end())
}

/// The table of settings for the documentation, one row each.
#[must_use]
pub fn markdown_rows() -> Vec<String> {
    let row = |key: &Key| {
        let default = (key.default)().map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"));
        let words: Vec<_> = key.words.iter().map(|line| line.trim()).collect();
        format!("| `{}` | {default} | {} | {} Takes {}. |", key.name, key.reload, words.join(" "), (key.accepts)())
    };
    KEYS.iter().map(row).collect()
}

/// Writes all settings, those without a section first, each section under its heading.
fn write_file(mut write: impl FnMut(&Key, &mut String)) -> String {
    let mut out = String::new();
    for key in KEYS.iter().filter(|key| !key.name.contains('.')) {
        write(key, &mut out);
    }
    for (section, words) in SECTIONS {
        out.push('\n');
        for line in *words {
            out.push_str(&format!("#{line}\n"));
        }
        out.push_str(&format!("[{section}]\n"));
        let inside = |key: &&Key| key.name.split_once('.').is_some_and(|(name, _)| name == *section);
        for key in KEYS.iter().filter(inside) {
            write(key, &mut out);
        }
    }
    out
}

/// The name inside its section.
fn short(key: &Key) -> &'static str {
    key.name.rsplit('.').next().unwrap_or(key.name)
}
