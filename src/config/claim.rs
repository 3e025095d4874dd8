//! Where a claim is in a token: names with dots between them, from the outside in.
//!
//! `app_metadata.roles` is the member `roles` of the object `app_metadata`. A name that has a dot or a slash of its own,
//! as a URL has, stands in double quotes: `"https://example.com/tenants"`. In them `\"` and `\\` are the two
//! characters. This file never says what a claim means.

use serde_json::Value;

use super::value::Text;

/// Longest path in bytes.
const PATH_BYTES_MAX: usize = 512;
/// Most names in a path.
const NAMES_MAX: usize = 8;

/// A path to a claim: 1 to 8 names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<Box<str>>);

impl ClaimPath {
    /// The claim of one name, at the top of a token.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(vec![name.into()])
    }

    /// The claim, where the token has one. `null` is a value that is given.
    #[must_use]
    pub fn find<'a>(&self, claims: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(claims, |value, name| value.as_object()?.get(&**name))
    }
}

impl std::fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.print())
    }
}

impl Text for ClaimPath {
    const WORDS: &'static str = "a claim's name, or several with dots between them such as app_metadata.roles; a name with a \
                                 dot or a slash of its own stands in double quotes";

    fn parse(text: &str) -> Option<Self> {
        let mut names = Vec::new();
        let mut rest = (text.len() <= PATH_BYTES_MAX).then_some(text)?;
        loop {
            let (name, behind) = match rest.strip_prefix('"') {
                Some(quoted) => quoted_name(quoted)?,
                None => bare_name(rest)?,
            };
            names.push(name.into_boxed_str());
            match behind.strip_prefix('.') {
                Some(behind) if names.len() < NAMES_MAX => rest = behind,
                _ => return behind.is_empty().then_some(Self(names)),
            }
        }
    }

    fn print(&self) -> String {
        self.0.iter().map(|name| printed(name)).collect::<Vec<_>>().join(".")
    }
}

fn is_bare(character: char) -> bool {
    !matches!(character, '.' | '"' | '\\' | '/') && !character.is_control() && !character.is_whitespace()
}

/// A name up to a dot, and what is behind it.
fn bare_name(text: &str) -> Option<(String, &str)> {
    let end = text.find('.').unwrap_or(text.len());
    let (name, behind) = text.split_at(end);
    (!name.is_empty() && name.chars().all(is_bare)).then(|| (name.to_owned(), behind))
}

/// A name up to the closing quote, and what is behind it.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (!name.is_empty()).then(|| (name, &text[at + 1..])),
            '\\' => name.push(characters.next().map(|(_, next)| next).filter(|next| matches!(next, '"' | '\\'))?),
            other => name.push(other),
        }
    }
    None
}

fn printed(name: &str) -> String {
    if name.chars().all(is_bare) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn path(names: &[&str]) -> ClaimPath {
        ClaimPath(names.iter().map(|name| (*name).into()).collect())
    }

    #[test]
    fn paths() {
        for (text, names) in [
            ("sub", &["sub"][..]),
            ("app_metadata.roles", &["app_metadata", "roles"]),
            ("custom:tenant", &["custom:tenant"]),
            ("\"https://example.com/tenants\"", &["https://example.com/tenants"]),
            ("a.\"b.c\".d", &["a", "b.c", "d"]),
            (r#""a\"\\b""#, &["a\"\\b"]),
            ("日本", &["日本"]),
        ] {
            assert_eq!(ClaimPath::parse(text), Some(path(names)), "{text}");
        }
        let long = "a.".repeat(8) + "a";
        for bad in
            ["", ".", "a.", ".a", "a..b", "\"", "\"\"", "\"a", "\"a\"b", "a\"b\"", "a b", r#""a\b""#, r"a\b", &long]
        {
            assert_eq!(ClaimPath::parse(bad), None, "{bad}");
        }
        assert_eq!(ClaimPath::parse("https://example.com/tenants"), None, "a URL that somebody forgot to quote");
        assert_eq!(ClaimPath::parse(&"a".repeat(PATH_BYTES_MAX + 1)), None);
    }

    #[test]
    fn claims_are_found() {
        let claims = json!({"a": {"b": {"c": 1}, "d.e": null}, "a.b": 2, "list": [{"x": 1}]});
        assert_eq!(path(&["a", "b", "c"]).find(&claims), Some(&json!(1)));
        assert_eq!(path(&["a.b"]).find(&claims), Some(&json!(2)));
        assert_eq!(path(&["a", "d.e"]).find(&claims), Some(&json!(null)));
        for absent in [&["b"][..], &["a", "c"], &["a", "b", "c", "d"], &["list", "0"], &["list", "x"]] {
            assert_eq!(path(absent).find(&claims), None, "{absent:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(names in prop::collection::vec("\\PC{1,20}", 1..=NAMES_MAX)) {
            let path = ClaimPath(names.iter().map(|name| name.as_str().into()).collect());
            let text = path.print();
            if text.len() <= PATH_BYTES_MAX {
                prop_assert_eq!(ClaimPath::parse(&text), Some(path.clone()), "{}", text);
            }
            // And it leads where the names do.
            let claims = names.iter().rev().fold(json!("here"), |inner, name| json!({name: inner}));
            prop_assert_eq!(path.find(&claims), Some(&json!("here")));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            if let Some(path) = ClaimPath::parse(&text) {
                prop_assert_eq!(ClaimPath::parse(&path.print()), Some(path));
            }
        }
    }
}
