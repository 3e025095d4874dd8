//! `tambour token`: a development token, alone on standard output.
//!
//! It signs with the development secret only; a hub with a configured key does not believe it.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tambour_actors::principal::Role;
use tambour_actors::topic_key::{Env, Tenant};

use crate::cli::names::{env, role, sub, tenant};
use crate::cli::serve::{SettingsArgs, needs_development_secret};
use crate::cli::{CliError, print};
use crate::config::Settings;
use crate::development::{self, TokenFor};

/// Longest time a development token is good, in seconds: a year.
const TTL_SECONDS_MAX: u64 = 365 * 86_400;

/// Arguments of `tambour token`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The hub's data directory; the development secret is made there if there is none
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// The hub's file of settings, if it has one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The tenant it is good for
    #[arg(long, default_value = "t_demo", value_parser = tenant)]
    pub tenant: Tenant,
    /// dev, staging or prod
    #[arg(long, default_value = "dev", value_parser = env)]
    pub env: Env,
    /// Whom it is about
    #[arg(long, value_parser = sub)]
    pub sub: String,
    /// owner, admin, member or viewer
    #[arg(long, default_value = "member", value_parser = role)]
    pub role: Role,
    /// How long it is good, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=TTL_SECONDS_MAX))]
    pub ttl: u64,
}

/// Prints a token and a line feed.
///
/// # Errors
/// The hub's settings are not accepted, name a key of their own, or its secret can't be read or made.
pub fn run(args: &Args) -> Result<(), CliError> {
    let given = SettingsArgs { data: args.data.clone(), config: args.config.clone(), ..SettingsArgs::default() };
    let settings = Settings::resolve(&given.layers(std::env::vars_os())?)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let signed = sign(args, &settings, i64::try_from(now.as_millis()).unwrap_or(i64::MAX))?;
    print(&format!("{signed}\n"))
}

fn sign(args: &Args, settings: &Settings, now_ms: i64) -> Result<String, CliError> {
    if !needs_development_secret(settings)? {
        let text = "this hub verifies tokens with a configured key, so it does not believe development tokens; get one \
                    from whoever has that key";
        return Err(CliError::Usage(text.to_owned()));
    }
    let secret = development::secret(&settings.store.data_dir).map_err(|error| CliError::Failed(error.to_string()))?;
    let asked = TokenFor {
        tenant: &args.tenant,
        env: args.env,
        sub: &args.sub,
        role: args.role,
        ttl_seconds: args.ttl,
        issuer: settings.auth.issuer.as_deref(),
        audience: settings.auth.audience.as_deref(),
    };
    Ok(development::token(&secret, &asked, now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Secret;
    use crate::identity::jwt::JwtVerifier;
    use clap::Parser;
    use tambour_actors::topic_key::Scope;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }

    fn parse(args: &str) -> Result<Args, clap::Error> {
        Alone::try_parse_from(["token"].into_iter().chain(args.split_whitespace())).map(|alone| alone.args)
    }

    #[test]
    fn a_token_for_a_hub() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.store.data_dir = dir.path().to_owned();
        let args = parse("--tenant t_x --env prod --sub bob --role viewer --ttl 5").unwrap();
        let signed = sign(&args, &settings, 1_000).unwrap();
        settings.auth.secret = Some(development::secret(dir.path()).unwrap());
        let claims = JwtVerifier::from_settings(&settings).unwrap().verify(&signed, 1_000).unwrap();
        let principal = claims.principal(&Scope { tenant: args.tenant, env: Env::Prod }, &settings.roles).unwrap();
        assert_eq!((&*principal.sub, principal.role, principal.expires_at_ms), ("bob", Role::Viewer, 6_000));
    }

    #[test]
    fn not_for_a_hub_with_a_key() {
        let mut settings = Settings::default();
        settings.auth.secret = Some(Secret::new("0123456789abcdef0123456789abcdef"));
        let error = sign(&parse("--sub bob").unwrap(), &settings, 0).unwrap_err();
        assert!(error.to_string().contains("configured key"), "{error}");
    }

    #[test]
    fn arguments() {
        assert!(parse("--sub a").is_ok());
        for bad in ["", "--sub a --tenant demo", "--sub a --env x", "--sub a --role root", "--sub a --ttl 0", "--sub="]
        {
            assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
