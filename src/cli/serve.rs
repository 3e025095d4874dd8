//! `tambour serve`: from arguments to settings to a hub, and the words that a first run is greeted with.
//!
//! This file never opens the log or a socket itself.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use crate::cli::{CliError, first_steps, signals};
use crate::config::layers::{Layers, Origin, SettingsError};
use crate::config::value::Secret;
use crate::config::{Auth, Settings};
use crate::development::{self, DevelopmentError};
use crate::hub::{BuildError, Hub};
use crate::identity::jwt::JwtVerifier;
use crate::identity::key::KeySource;
use crate::store::sqlite::OpenError;
use crate::store::sqlite::SqliteStore;
use crate::transport::tls::Certificates;

/// Where settings come from, beside variables.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SettingsArgs {
    /// A TOML file of settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port for clients; port 0 takes a free one [http.listen]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Address and port of /metrics [http.admin_listen]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<String>,
    /// A PEM file with the certificate of the client address, which then speaks TLS [tls.cert_file]
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// A PEM file with the certificate's key [tls.key_file]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Worker threads; 0 takes one per core [http.workers]
    #[arg(long, value_name = "N")]
    pub workers: Option<String>,
    /// The data directory [store.data_dir]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// auto, pretty or json [log.format]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Refuse what is only good for development [production]
    #[arg(long)]
    pub production: bool,
}

/// How the data directory is named.
const BY_DATA: &str = "with --data (store.data_dir)";

/// Arguments of `tambour serve`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

impl SettingsArgs {
    /// Lays file, variables and flags over each other.
    ///
    /// # Errors
    /// An unknown name, or a file that can't be read.
    pub fn layers(
        &self,
        variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<Layers, SettingsError> {
        let mut layers = Layers::default();
        if let Some(path) = &self.config {
            layers.file(path)?;
        }
        layers.variables(variables)?;
        for (flag, name, value) in [
            ("--listen", "http.listen", &self.listen),
            ("--admin-listen", "http.admin_listen", &self.admin_listen),
            ("--tls-cert", "tls.cert_file", &self.tls_cert),
            ("--tls-key", "tls.key_file", &self.tls_key),
            ("--workers", "http.workers", &self.workers),
            ("--data", "store.data_dir", &self.data),
            ("--log-format", "log.format", &self.log_format),
        ] {
            if let Some(value) = value {
                layers.flag(flag, name, value);
            }
        }
        if self.production {
            layers.flag("--production", "production", "true");
        }
        Ok(layers)
    }
}

/// Settings that a hub can start with.
#[derive(Debug)]
pub struct Prepared {
    /// The settings. Without a configured key `auth.secret` is the development secret.
    pub settings: Settings,
    /// Verifies tokens with the key of these settings.
    pub verifier: JwtVerifier,
    /// The development secret, when that is the key: the first page and its demo may sign with it.
    pub development: Option<Secret>,
}

/// Settles the settings and loads the key; the data directory and the development secret are
/// made when they are needed and missing.
///
/// # Errors
/// Settings that are not accepted, a certificate or key that can't be used, or in production no key.
pub fn prepare(
    args: &Args,
    variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> Result<Prepared, CliError> {
    let layers = args.settings.layers(variables)?;
    let mut settings = Settings::resolve(&layers)?;
    // The hub loads it again. Here it is only checked, before anything is made on the disk.
    Certificates::load(&settings.tls).map_err(|error| CliError::Usage(error.to_string()))?;
    let development = match needs_development_secret(&settings)? {
        true => Some(development::secret(&settings.store.data_dir).map_err(|error| no_secret(&error))?),
        false => None,
    };
    if development.is_some() {
        settings.auth.secret.clone_from(&development);
    }
    let verifier = JwtVerifier::from_settings(&settings).map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(Prepared { settings, verifier, development })
}

/// Settles the settings again for a hub that runs with others. What would not be accepted at a start is not
/// accepted here; a production hub takes no development secret, whatever the settings say now.
///
/// # Errors
/// As [`prepare`], but for a key that can't be used.
pub(super) fn wanted(
    args: &Args,
    variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    running: &Settings,
) -> Result<Settings, CliError> {
    let mut settings = Settings::resolve(&args.settings.layers(variables)?)?;
    let production = settings.production;
    settings.production |= running.production;
    if needs_development_secret(&settings)? {
        let data_dir = &running.store.data_dir;
        // Another secret would end every token that was given out.
        if running.auth.secret.is_some() && development::kept_secret(data_dir).is_ok_and(|kept| kept.is_none()) {
            let path = data_dir.join(development::SECRET_FILE);
            let words = "is gone: put it back, or restart the hub, which then makes a new one";
            return Err(CliError::Failed(format!("{} {words}", path.display())));
        }
        settings.auth.secret = Some(development::secret(data_dir).map_err(|error| no_secret(&error))?);
    }
    settings.production = production;
    Ok(settings)
}

fn no_secret(error: &DevelopmentError) -> CliError {
    CliError::Failed(match error {
        DevelopmentError::Io { .. } => format!("{error}; name another data directory {BY_DATA}, or make it yours"),
        _ => error.to_string(),
    })
}

fn not_built(error: &BuildError) -> CliError {
    CliError::Failed(match error {
        BuildError::Store(OpenError::Locked(_)) => format!("{error} {BY_DATA}"),
        BuildError::Store(OpenError::Directory { .. }) => format!("{error}; name another {BY_DATA}, or make it yours"),
        _ => error.to_string(),
    })
}

/// Whether these settings leave the hub to its development secret.
///
/// # Errors
/// In production: no key, or a key of which nothing says which envs it is good for. Elsewhere: an
/// algorithm that the development secret is not for.
pub fn needs_development_secret(settings: &Settings) -> Result<bool, CliError> {
    let auth = &settings.auth;
    let own = KeySource::of(auth).map_err(|error| CliError::Usage(error.to_string()))?.is_some();
    let usage = |text: &str| Err(CliError::Usage(text.to_owned()));
    let is_keyed = own || auth.issuers_file.is_some();
    if settings.production && !is_keyed {
        return usage(
            "production needs a key to verify tokens with: set auth.secret_file (TAMBOUR__AUTH__SECRET_FILE), or \
             auth.algorithm and auth.public_key_file or auth.jwks_url, and auth.envs; or auth.issuers_file",
        );
    }
    if settings.production && own && auth.envs.is_empty() && !auth.envs_claim_required {
        return usage(
            "production must know which envs the key is good for: set auth.envs (TAMBOUR__AUTH__ENVS=prod), or \
             auth.envs_claim_required = true when every token says it",
        );
    }
    if !is_keyed && auth.algorithm != crate::config::value::Algorithm::default() {
        return usage(
            "auth.algorithm is set and no key is: set auth.public_key_file, auth.jwks_url or auth.secret_file, or leave both to \
             the development secret",
        );
    }
    let own_names = Settings::default().auth;
    let paths = |auth: &Auth| {
        [&auth.claim_sub, &auth.claim_tenant_ids, &auth.claim_role_map, &auth.claim_envs].map(ToString::to_string)
    };
    if !is_keyed && paths(auth) != paths(&own_names) {
        return usage(
            "auth.claim_… is set and no key is: set the key of the issuer whose tokens are of that form, or leave both to the \
             development secret",
        );
    }
    Ok(!is_keyed)
}

/// Where the development secret of a data directory is, for people.
#[must_use]
pub fn development_origin(data_dir: &Path) -> Origin {
    Origin::Development(data_dir.join(development::SECRET_FILE))
}

/// Serves the hub until it is told to stop.
///
/// # Errors
/// Settings that are not accepted, or a hub that can't start.
pub fn run(args: &Args) -> Result<(), CliError> {
    let Prepared { settings, verifier, development } = prepare(args, std::env::vars_os())?;
    crate::telemetry::install_logs(&settings.log);
    let args = args.clone();
    actix_rt::System::new().block_on(async move {
        let (terminal, hangups) = (std::io::stderr().is_terminal(), signals::hangups());
        let is_demo = development.is_some();
        let data_dir = settings.store.data_dir.clone();
        let demo = async |store: &SqliteStore| {
            if !is_demo {
                return;
            }
            // A disk that is full keeps nobody from reading.
            if let Err(error) = development::demo(store).await {
                tracing::warn!(%error, "the demo's thread can't be made");
            }
        };
        let hub = Hub::build(settings, verifier, demo).await.map_err(|error| not_built(&error))?;
        let (admin, served) = (hub.admin_addr(), hub.at());
        let mut words =
            format!("metrics on http://{admin}/metrics\nlistening on {}://{}\n", served.scheme, served.addr);
        if is_demo {
            words.push_str(&first_steps::words(&first_steps::program(), served, &data_dir));
        }
        match super::print(&words) {
            // Who started the hub need not listen to it.
            Ok(()) | Err(CliError::OutputClosed) => {}
            Err(error) => return Err(error),
        }
        actix_rt::spawn(signals::reload_at(hangups, args, hub.reloader()));
        hub.run(signals::told_to_stop(terminal))
            .await
            .map_err(|error| CliError::Failed(format!("the server failed: {error}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    /// What arguments and variables give: the verdict on the development secret, or the error.
    #[track_caller]
    fn check(data: &Path, variables: &[(&str, &str)], production: bool, expected: Result<bool, &[&str]>) {
        let settings =
            SettingsArgs { data: Some(data.to_str().unwrap().to_owned()), production, ..SettingsArgs::default() };
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let got = prepare(&Args { settings }, variables).map(|prepared| {
            assert_eq!(prepared.development.is_some(), data.join(development::SECRET_FILE).exists());
            prepared.development.is_some()
        });
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected),
            (Err(error), Err(words)) => {
                assert_eq!(error.code(), 2, "{error}");
                for word in words {
                    assert!(error.to_string().contains(word), "{error} does not say {word}");
                }
                assert!(!data.exists(), "a refused start leaves nothing behind");
            }
            (got, expected) => panic!("gave {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn starts() {
        let dir = tempfile::tempdir().unwrap();
        let data = |name: &str| dir.path().join(name);
        let secret = ("TAMBOUR__AUTH__SECRET", SECRET);
        check(&data("first"), &[], false, Ok(true));
        check(&data("first"), &[], false, Ok(true));
        check(&data("keyed"), &[secret], false, Ok(false));
        check(&data("production"), &[secret, ("TAMBOUR__AUTH__ENVS", "prod")], true, Ok(false));
        check(&data("claims"), &[secret, ("TAMBOUR__AUTH__ENVS_CLAIM_REQUIRED", "true")], true, Ok(false));
        check(&data("x"), &[], true, Err(&["TAMBOUR__AUTH__SECRET_FILE", "auth.public_key_file", "auth.envs"]));
        check(&data("x"), &[secret], true, Err(&["TAMBOUR__AUTH__ENVS"]));
        check(&data("x"), &[("TAMBOUR__AUTH__SECRET", "short")], false, Err(&["at least 32"]));
        check(&data("x"), &[("TAMBOUR__AUTH__ALGORITHM", "RS256")], false, Err(&["auth.public_key_file"]));
        check(&data("x"), &[secret, ("TAMBOUR__AUTH__SECRET_FILE", "x")], false, Err(&["both set"]));
        check(&data("x"), &[("TAMBOUR__AUTH__CLAIM_SUB", "uid")], false, Err(&["auth.claim_", "no key is"]));
        check(&data("keyed"), &[secret, ("TAMBOUR__AUTH__CLAIM_SUB", "uid")], false, Ok(false));
        check(&data("x"), &[("TAMBOUR__HTTP__LISTN", "x")], false, Err(&["TAMBOUR__HTTP__LISTEN"]));
    }

    #[test]
    fn a_production_hub_does_not_take_the_secret_of_an_earlier_run() {
        let dir = tempfile::tempdir().unwrap();
        development::secret(dir.path()).unwrap();
        let data = Some(dir.path().to_str().unwrap().to_owned());
        let settings = SettingsArgs { data, production: true, ..SettingsArgs::default() };
        assert!(prepare(&Args { settings }, []).is_err());
    }

    #[test]
    fn a_reload_never_gives_a_production_hub_the_development_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        let reload = |text: &str, running: &Settings| {
            std::fs::write(&file, text).unwrap();
            let settings = SettingsArgs { config: Some(file.clone()), ..SettingsArgs::default() };
            wanted(&Args { settings }, [], running)
        };
        let mut running = Settings::default();
        running.store.data_dir = dir.path().join("data");
        // The directory that is used is that which the hub runs on, and not one that is only asked for.
        let with_secret = reload("store.data_dir = '/nowhere/at/all'", &running).unwrap();
        let secret = std::fs::read_to_string(running.store.data_dir.join(development::SECRET_FILE)).unwrap();
        assert_eq!(with_secret.auth.secret.unwrap().expose(), secret.trim());
        // A hub that has a secret does not change it for one that it makes up.
        running.auth.secret = reload("", &running).unwrap().auth.secret;
        let path = running.store.data_dir.join(development::SECRET_FILE);
        std::fs::remove_file(&path).unwrap();
        let error = reload("", &running).unwrap_err().to_string();
        assert!(error.contains("is gone") && !path.exists(), "{error}");
        running.production = true;
        assert!(reload("", &running).is_err());
        assert!(reload("production = false", &running).is_err());
        let keyed = format!("auth.secret = '{SECRET}'\nauth.envs = ['prod']");
        assert!(!reload(&keyed, &running).unwrap().production, "what is asked for; it stays true all the same");
    }

    #[test]
    fn every_flag_is_a_setting_and_wins() {
        let text = |value: &str| Some(value.to_owned());
        let args = SettingsArgs {
            config: None,
            listen: text("127.0.0.1:1"),
            admin_listen: text("127.0.0.1:2"),
            tls_cert: text("/c"),
            tls_key: text("/k"),
            workers: text("3"),
            data: text("/d"),
            log_format: text("json"),
            production: true,
        };
        let layers = args.layers([("TAMBOUR__HTTP__WORKERS".into(), "9".into())]).unwrap();
        let settings = Settings::resolve(&layers).unwrap();
        assert_eq!((settings.http.listen.port(), settings.http.admin_listen.port(), settings.http.workers), (1, 2, 3));
        assert_eq!((settings.store.data_dir.as_path(), settings.production), (Path::new("/d"), true));
        let tls = [&settings.tls.cert_file, &settings.tls.key_file].map(|file| file.as_deref().unwrap());
        assert_eq!(tls, [Path::new("/c"), Path::new("/k")]);
        assert_eq!(layers.origin("http.workers"), Origin::Flag("--workers"));
    }
}
