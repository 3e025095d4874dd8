//! The file of issuers: who else may sign tokens, with which key, and for which tenants.
//!
//! An entry has the settings of `auth` that are about one issuer, by the same names and with the same limits; they are
//! read by the same table. Nothing here loads a key.

use std::path::{Path, PathBuf};

use tambour_actors::topic_key::Tenant;
use toml::{Table, Value};

use super::layers::{Layers, Origin, SettingsError};
use super::{Auth, KEYS, Settings};

/// Most entries of a file.
pub const ISSUERS_MAX: usize = 256;
/// In `tenants`: every tenant.
const ANY: &str = "*";
/// What an entry may say, beside its tenants.
const NAMES: &[&str] = &[
    "auth.issuer",
    "auth.audience",
    "auth.algorithm",
    "auth.secret_file",
    "auth.public_key_file",
    "auth.jwks_file",
    "auth.jwks_url",
    "auth.jwks_ca_file",
    "auth.envs",
    "auth.envs_claim_required",
    "auth.claim_sub",
    "auth.claim_email",
    "auth.claim_tenant_ids",
    "auth.claim_role_map",
    "auth.claim_permissions",
    "auth.claim_envs",
];

/// One issuer's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuerSettings {
    /// What the table calls `auth`.
    pub auth: Auth,
    /// The tenants that its tokens are good for; `None`: any.
    pub tenants: Option<Vec<Tenant>>,
}

/// Why a file of issuers is not accepted. Nothing of a value is repeated.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// The file can't be read.
    #[error("can't read auth.issuers_file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no TOML, or none of this form.
    #[error("auth.issuers_file {}: {what}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A value that the setting of that name does not accept.
    #[error("auth.issuers_file: {0}")]
    Value(#[from] SettingsError),
}

/// Reads a file of issuers. What an entry does not say is the default, but for the leeway, which is that of `auth`.
///
/// # Errors
/// The file is unreadable or no TOML; an entry has an unknown name, a value that is not accepted, or no tenants.
pub fn read(path: &Path, auth: &Auth) -> Result<Vec<IssuerSettings>, IssuersError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| IssuersError::Unreadable { path: path.to_owned(), source })?;
    parse(path, &text, auth)
}

fn parse(path: &Path, text: &str, auth: &Auth) -> Result<Vec<IssuerSettings>, IssuersError> {
    let form = |what: String| IssuersError::Form { path: path.to_owned(), what };
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| form(error.message().to_owned()))?;
    let entries = table.remove("issuer");
    if let Some((name, _)) = table.iter().next() {
        return Err(form(format!("there is no `{name}` in it: each issuer begins with [[issuer]]")));
    }
    let Some(Value::Array(entries)) = entries else {
        return Err(form("it has no issuer: each begins with [[issuer]]".to_owned()));
    };
    if entries.len() > ISSUERS_MAX {
        return Err(form(format!("it has more than {ISSUERS_MAX} issuers")));
    }
    let one = |(index, entry): (usize, Value)| match entry {
        Value::Table(entry) => of_entry(path, index + 1, entry, auth),
        _ => Err(form("each issuer is a table: [[issuer]]".to_owned())),
    };
    entries.into_iter().enumerate().map(one).collect()
}

fn of_entry(path: &Path, number: usize, mut entry: Table, auth: &Auth) -> Result<IssuerSettings, IssuersError> {
    let form = |what: &str| IssuersError::Form { path: path.to_owned(), what: format!("issuer {number}: {what}") };
    let tenants = entry.remove("tenants").as_ref().and_then(tenants);
    let tenants = tenants.ok_or_else(|| {
        form("tenants is missing, or no list of tenants that it may speak for (t_acme; [\"*\"] is every tenant)")
    })?;
    let mut layers = Layers::default();
    for (key, value) in entry {
        let name = KEYS.iter().map(|key| key.name).find(|name| name.strip_prefix("auth.") == Some(&key));
        let Some(name) = name.filter(|name| NAMES.contains(name)) else {
            let known: Vec<_> = NAMES.iter().filter_map(|name| name.strip_prefix("auth.")).collect();
            return Err(form(&format!("there is no `{key}`; an issuer has tenants, {}", known.join(", "))));
        };
        layers.value(name, value, Origin::Issuer(path.to_owned(), number));
    }
    let mut settings = Settings::resolve(&layers)?.auth;
    if settings.issuer.is_none() {
        return Err(form("issuer is missing: the `iss` by which its tokens are told"));
    }
    settings.leeway_seconds = auth.leeway_seconds;
    settings.jwks_refresh_seconds = auth.jwks_refresh_seconds;
    Ok(IssuerSettings { auth: settings, tenants })
}

/// At least one tenant, or `*` alone: every tenant. Outside `None`: no good list.
fn tenants(value: &Value) -> Option<Option<Vec<Tenant>>> {
    let names: Vec<&str> = value.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    match names[..] {
        [] => None,
        [ANY] => Some(None),
        _ => names.into_iter().map(|name| Tenant::parse(name).ok()).collect::<Option<_>>().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<IssuerSettings>, String> {
        parse(Path::new("i.toml"), text, &Settings::default().auth).map_err(|error| error.to_string())
    }

    #[test]
    fn files() {
        let good = of(
            "[[issuer]]\nissuer = 'https://a'\nalgorithm = 'RS256'\njwks_url = 'https://a/keys'\ntenants = ['t_a', 't_b']\n\
                       envs = ['prod']\nclaim_tenant_ids = '\"https://a/tenants\"'\n[[issuer]]\nissuer = 'b'\nsecret_file = 'x'\ntenants = ['*']",
        );
        let [a, b] = <[_; 2]>::try_from(good.unwrap()).unwrap();
        assert_eq!(a.auth.issuer.as_deref(), Some("https://a"));
        assert_eq!(a.auth.claim_tenant_ids.to_string(), "\"https://a/tenants\"");
        assert_eq!(a.tenants.unwrap().iter().map(Tenant::as_str).collect::<Vec<_>>(), ["t_a", "t_b"]);
        assert_eq!((b.tenants, b.auth.claim_sub.to_string()), (None, "sub".to_owned()));
        let tenants = "issuer = 'a'\ntenants = ['t_a']\n";
        for (bad, words) in [
            ("", "no issuer"),
            ("issuer = 1", "no issuer"),
            ("issuer = [1]", "is a table"),
            ("[", "i.toml"),
            ("[issuer]\nissuer = 'a'", "no issuer"),
            ("[[issuers]]", "`issuers`"),
            ("[[issuer]]\nissuer = 'a'", "tenants is missing"),
            ("[[issuer]]\nissuer = 'a'\ntenants = []", "tenants"),
            ("[[issuer]]\nissuer = 'a'\ntenants = 't_a'", "tenants"),
            ("[[issuer]]\nissuer = 'a'\ntenants = ['demo']", "tenants"),
            ("[[issuer]]\nissuer = 'a'\ntenants = ['*', 't_a']", "tenants"),
            ("[[issuer]]\ntenants = ['t_a']", "issuer is missing"),
            (&format!("[[issuer]]\n{tenants}secret = 'x'"), "no `secret`"),
            (&format!("[[issuer]]\n{tenants}leeway_seconds = 5"), "no `leeway_seconds`"),
            (&format!("[[issuer]]\n{tenants}algorithm = 'none'"), "auth.algorithm (from issuer 1 of i.toml)"),
            (&format!("[[issuer]]\n{tenants}jwks_url = 'http://a/keys'"), "auth.jwks_url"),
        ] {
            let error = of(bad).unwrap_err();
            assert!(error.contains(words), "{bad}: {error} does not say {words}");
        }
        let many = format!("[[issuer]]\n{tenants}").repeat(ISSUERS_MAX + 1);
        assert!(of(&many).unwrap_err().contains("more than 256"));
    }
}
