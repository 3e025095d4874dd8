//! `tambour config`: the effective settings and where each comes from.
//!
//! It makes nothing: neither the data directory nor the development secret.

use crate::cli::serve::{SettingsArgs, development_origin, needs_development_secret};
use crate::cli::{CliError, print};
use crate::config::Settings;
use crate::config::print::{default_file, effective};

/// Arguments of `tambour config`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Print the commented file of all defaults instead
    #[arg(long, exclusive = true)]
    pub defaults: bool,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// Prints the settings as TOML, secrets as `***`.
///
/// # Errors
/// Settings that are not accepted.
pub fn run(args: &Args) -> Result<(), CliError> {
    if args.defaults {
        return print(&default_file());
    }
    let layers = args.settings.layers(std::env::vars_os())?;
    let mut settings = Settings::resolve(&layers)?;
    // What would keep the hub from starting is printed behind the settings that cause it.
    let development = needs_development_secret(&settings);
    let origin = matches!(development, Ok(true)).then(|| development_origin(&settings.store.data_dir));
    if origin.is_some() {
        settings.auth.secret = Some(crate::config::value::Secret::new("***"));
    }
    print(&effective(&settings, &layers, origin.as_ref()))?;
    development.map(|_| ())
}
