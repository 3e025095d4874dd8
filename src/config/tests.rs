//! What each layer accepts, which one wins, what errors say, and that file and page are complete.

use std::ffi::OsString;
use std::path::Path;

use proptest::prelude::*;

use super::layers::{Layers, Origin, SettingsError};
use super::value::{LogFormat, Secret};
use super::{KEYS, Reload, Settings, print};

/// Settings of a file, variables and flags, or what the error says.
fn settle(file: &str, variables: &[(&str, &str)], flags: &[(&'static str, &str, &str)]) -> Result<Settings, String> {
    let all = || -> Result<Settings, SettingsError> {
        let mut layers = Layers::default();
        layers.toml(Path::new("t.toml"), file)?;
        layers.variables(variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))?;
        for (flag, name, value) in flags {
            layers.flag(flag, name, *value);
        }
        Settings::resolve(&layers)
    };
    all().map_err(|error| error.to_string())
}

#[track_caller]
fn check_file(file: &str, expected: Result<fn(&Settings) -> bool, &[&str]>) {
    check(settle(file, &[], &[]), file, expected);
}

#[track_caller]
fn check_variable(name: &str, value: &str, expected: Result<fn(&Settings) -> bool, &[&str]>) {
    check(settle("", &[(name, value)], &[]), name, expected);
}

#[track_caller]
fn check(got: Result<Settings, String>, input: &str, expected: Result<fn(&Settings) -> bool, &[&str]>) {
    match (got, expected) {
        (Ok(settings), Ok(holds)) => assert!(holds(&settings), "{input:?} gave {settings:?}"),
        (Err(error), Err(words)) => {
            for word in words {
                assert!(error.contains(word), "{input:?}: {error:?} does not say {word:?}");
            }
        }
        (got, expected) => panic!("{input:?} gave {got:?}, expected {:?}", expected.map(|_| "settings")),
    }
}

#[test]
fn a_file() {
    check_file("", Ok(|s| *s == Settings::default()));
    check_file("production = true", Ok(|s| s.production));
    check_file("[http]\nlisten = \"[::1]:0\"", Ok(|s| s.http.listen.port() == 0));
    check_file("http.workers = 3", Ok(|s| s.http.workers == 3));
    check_file("[http]\nworkers = 256", Ok(|s| s.http.workers == 256));
    check_file(
        "[http]\nallowed_origins = [\"https://a.b\"]",
        Ok(|s| s.http.allowed_origins[0].as_str() == "https://a.b"),
    );
    check_file("[auth]\nenvs = [\"dev\", \"stage\"]", Ok(|s| s.auth.envs.len() == 2));
    check_file("[auth]\nalgorithm = \"EdDSA\"", Ok(|s| !s.auth.algorithm.takes_secret()));
    check_file("[log]\nlevel = \"info,tambour=debug\"", Ok(|s| s.log.level.as_str() == "info,tambour=debug"));
}

#[test]
fn a_file_that_is_not_accepted() {
    let of = ["t.toml:2"];
    check_file("[http]\nworkers = 257", Err(&["http.workers", "t.toml:2", "from 0 to 256"]));
    check_file("[http]\nworkers = -1", Err(&["http.workers", "from 0 to 256"]));
    check_file("[http]\nworkers = \"2\"", Err(&["http.workers", "a whole number"]));
    check_file("[http]\nworkers = 2.0", Err(&["http.workers", "a whole number"]));
    check_file("\n[http]\nlisten = \"localhost\"", Err(&["http.listen", "t.toml:3", "127.0.0.1:8080"]));
    check_file("[http]\nlisten = 8080", Err(&["http.listen", "an IP address and a port"]));
    check_file("production = \"yes\"", Err(&["production", "t.toml:1", "true or false"]));
    check_file("[topic]\ntail_events = 0", Err(&["topic.tail_events", "from 1 to"]));
    check_file("[log]\nformat = \"xml\"", Err(&["log.format", "auto, pretty or json"]));
    check_file("[log]\nlevel = \"inof\"", Err(&["log.level", "info"]));
    check_file("[auth]\nalgorithm = \"none\"", Err(&["auth.algorithm", "HS256"]));
    check_file("[auth]\nenvs = [\"production\"]", Err(&["auth.envs", "dev, staging or prod"]));
    check_file("[auth]\nenvs = \"prod\"", Err(&["auth.envs", "a list"]));
    check_file("[auth]\nissuer = \"\"", Err(&["auth.issuer", "not empty"]));
    check_file("[http]\nallowed_origins = [\"*\"]", Err(&["http.allowed_origins", "https://chat.example"]));
    check_file("[http]\nallowed_origins = [\"https://a.b/\"]", Err(&["without a path"]));
    check_file("[http]\nlissen = \"x\"", Err(&["http.lissen", "`http.listen`", of[0]]));
    check_file("[htpp]\nlisten = \"x\"", Err(&["htpp.listen", "`http.listen`"]));
    check_file("[store]\nlisten = \"x\"", Err(&["store.listen", "`http.listen`"]));
    check_file("listen = \"x\"", Err(&["`listen`", "`http.listen`"]));
    check_file("http = 1", Err(&["there is no setting `http`"]));
    check_file("[production]\nlisten = 1", Err(&["production.listen"]));
    check_file("[http]\nlisten = ", Err(&["not TOML", "t.toml:2"]));
    check_file("[http]\nworkers = 1\nworkers = 2", Err(&["not TOML"]));
}

#[test]
fn variables() {
    check_variable("TAMBOUR__HTTP__LISTEN", "0.0.0.0:80", Ok(|s| s.http.listen.port() == 80));
    check_variable("TAMBOUR__PRODUCTION", "true", Ok(|s| s.production));
    check_variable("TAMBOUR__AUTH__ENVS", "dev, prod", Ok(|s| s.auth.envs.len() == 2));
    check_variable("TAMBOUR__AUTH__ENVS", "", Ok(|s| s.auth.envs.is_empty()));
    check_variable("TAMBOUR__STORE__DATA_DIR", "/x", Ok(|s| s.store.data_dir == Path::new("/x")));
    check_variable("TAMBOUR_PORT", "tcp://10.0.0.1:80", Ok(|s| *s == Settings::default()));
    check_variable("TAMBOUR_HTTP_LISTEN", "x", Ok(|s| *s == Settings::default()));
    check_variable("tambour__http__listen", "x", Ok(|s| *s == Settings::default()));
    check_variable("TAMBOUR__HTTP__LISTN", "x", Err(&["TAMBOUR__HTTP__LISTN", "`TAMBOUR__HTTP__LISTEN`"]));
    check_variable("TAMBOUR__http__listen", "x", Err(&["`TAMBOUR__HTTP__LISTEN`"]));
    check_variable("TAMBOUR__", "x", Err(&["there is no setting"]));
    check_variable("TAMBOUR__HTTP__WORKERS", "many", Err(&["http.workers", "from TAMBOUR__HTTP__WORKERS", "0 to 256"]));
    check_variable("TAMBOUR__HTTP__WORKERS", "", Err(&["http.workers"]));
    check_variable("TAMBOUR__PRODUCTION", "1", Err(&["true or false"]));
    check_variable("TAMBOUR__AUTH__SECRET", "", Err(&["auth.secret", "at least 32 bytes"]));
}

#[test]
fn the_upper_layer_wins() {
    let file = "[log]\nformat = \"json\"\n[http]\nworkers = 1";
    let both = settle(file, &[("TAMBOUR__HTTP__WORKERS", "2")], &[]).unwrap();
    assert_eq!((both.http.workers, both.log.format), (2, LogFormat::Json));
    let all = settle(file, &[("TAMBOUR__HTTP__WORKERS", "2")], &[("--workers", "http.workers", "3")]).unwrap();
    assert_eq!(all.http.workers, 3);
    let wrong = settle(file, &[], &[("--workers", "http.workers", "many")]).unwrap_err();
    assert!(wrong.contains("from --workers"), "{wrong}");
}

#[test]
fn every_variable_is_known() {
    for key in KEYS {
        let mut layers = Layers::default();
        layers.variables([(key.variable().into(), "x".into())]).unwrap();
        assert_eq!(layers.origin(key.name), Origin::Variable(key.variable()));
    }
}

#[test]
fn secrets_never_print() {
    let secret = "0123456789abcdef0123456789abcdef";
    let mut layers = Layers::default();
    layers.variables([("TAMBOUR__AUTH__SECRET".into(), secret.into())]).unwrap();
    let settings = Settings::resolve(&layers).unwrap();
    assert_eq!(settings.auth.secret.as_ref().map(Secret::expose), Some(secret));
    let effective = print::effective(&settings, &layers, None);
    assert!(effective.contains("secret = \"***\"  # TAMBOUR__AUTH__SECRET"), "{effective}");
    let kept = settings.auth.secret.clone().unwrap();
    assert_eq!((kept.to_string(), serde_json::to_string(&kept).unwrap()), ("***".into(), "\"***\"".into()));
    for text in [effective, format!("{settings:?} {layers:?}")] {
        assert!(!text.contains(secret), "{text}");
    }
    let misplaced = settle(&format!("[auth]\nsecret_file = [\"{secret}\"]"), &[], &[]).unwrap_err();
    assert!(!misplaced.contains(secret), "{misplaced}");
}

#[test]
fn effective_settings_can_be_read_back() {
    let file =
        "production = true\n[http]\nworkers = 7\nallowed_origins = [\"https://a.b\"]\n[auth]\nissuer = \"i\\\"\"";
    let mut layers = Layers::default();
    layers.toml(Path::new("t.toml"), file).unwrap();
    let settings = Settings::resolve(&layers).unwrap();
    let text = print::effective(&settings, &layers, None);
    assert!(text.contains("workers = 7  # t.toml:3") && text.contains("readers = 2  # default"), "{text}");
    assert_eq!(settle(&text, &[], &[]).unwrap(), settings);
}

#[test]
fn the_commented_file_is_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tambour.toml");
    let file = std::fs::read_to_string(&path).unwrap();
    assert_eq!(settle(&file, &[], &[]).unwrap(), Settings::default());
    assert!(file == print::default_file(), "write it again: tambour config --defaults > config/tambour.toml");
}

#[test]
fn the_page_names_every_setting() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `")).collect::<Vec<_>>();
    let expected = print::markdown_rows();
    assert_eq!(rows, expected, "the table of settings should be:\n{}", expected.join("\n"));
}

/// Another value than the default, of every setting.
fn other(name: &str, accepts: &str) -> String {
    match name {
        // The default is the most.
        "tokens.ttl_seconds_max" => "299".to_owned(),
        "tokens.store" => "redis".to_owned(),
        "tokens.redis_url" => "redis://other".to_owned(),
        _ if accepts.starts_with("a whole number") => {
            let default = KEYS.iter().find(|key| key.name == name).unwrap().default;
            (default().unwrap().as_integer().unwrap() + 1).to_string()
        }
        "http.allowed_origins" => "https://a.b".to_owned(),
        "http.trusted_proxies" => "10.0.0.0/8".to_owned(),
        "auth.algorithm" => "ES256".to_owned(),
        "auth.envs" => "dev".to_owned(),
        _ if name.starts_with("auth.claim_") => "other".to_owned(),
        "auth.jwks_url" => "https://issuer.example/keys".to_owned(),
        "roles.viewer" | "roles.member" => "keys:write".to_owned(),
        "rates.actions" => "threads.create=20".to_owned(),
        "stats.operator_tenants" => "t_ops".to_owned(),
        "log.format" => "json".to_owned(),
        "log.level" => "debug".to_owned(),
        _ if accepts == "true or false" => "true".to_owned(),
        _ if accepts.starts_with("an IP address and a port") => "127.0.0.1:1".to_owned(),
        _ => "/other".to_owned(),
    }
}

#[test]
fn a_reload_takes_what_is_live_and_keeps_the_rest() {
    let running = Settings::default();
    let mut kept = 0;
    for key in KEYS {
        let value = other(key.name, &(key.accepts)());
        let wanted = settle("", &[(&key.variable(), &value)], &[]).unwrap();
        let (taken, changes) = wanted.clone().over(&running);
        let [change] = &changes[..] else { panic!("{}: {changes:?}", key.name) };
        assert_eq!((change.name, change.reload), (key.name, key.reload));
        assert_eq!(taken, if key.reload == Reload::Live { wanted } else { running.clone() }, "{}", key.name);
        let said = change.to_string();
        assert!(said.starts_with(if key.reload == Reload::Live { "applied: " } else { "needs a restart: " }), "{said}");
        assert!(key.name != "auth.secret" || said == r#"applied: auth.secret is "***", was not set"#, "{said}");
        kept += usize::from(key.reload == Reload::Restart);
        // What runs already is no change, also when it was asked for before.
        assert_eq!(taken.clone().over(&taken), (taken, Vec::new()));
    }
    assert!(kept > 5 && kept < KEYS.len() / 2, "{kept} need a restart");
}

proptest! {
    #[test]
    fn no_file_and_no_variable_panics(file in "\\PC{0,80}", name in "TAMBOUR__\\PC{0,30}", value in "\\PC{0,30}") {
        let _ = settle(&file, &[], &[]);
        let _ = settle("", &[(&name.replace(['\0', '='], ""), &value)], &[]);
    }

    #[test]
    fn any_value_of_any_setting_is_taken_or_refused(key in 0..KEYS.len(), value in "\\PC{0,30}") {
        let _ = settle("", &[(&KEYS[key].variable(), &value)], &[]);
    }
}
