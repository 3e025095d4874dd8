//! `tambour restore`: a data directory from a backup, for a hub that is started behind it.
//!
//! It touches no directory that a hub uses or that has a database.

use std::path::PathBuf;

use crate::cli::backup::{contents, tell};
use crate::cli::serve::SettingsArgs;
use crate::cli::{CliError, print};
use crate::config::Settings;
use crate::store::sqlite::{self, CopyError, OpenError, RestoreError};

/// Arguments of `tambour restore`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The backup
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// The data directory to make; without a database [store.data_dir]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// The hub's file of settings, if it has one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Restores the backup and says what is there.
///
/// # Errors
/// Settings that are not accepted; a backup that can't be read; a directory that is in use, has a database, or can't be
/// written.
pub fn run(args: &Args) -> Result<(), CliError> {
    let given = SettingsArgs { data: args.data.clone(), config: args.config.clone(), ..SettingsArgs::default() };
    let data_dir = Settings::resolve(&given.layers(std::env::vars_os())?)?.store.data_dir;
    let copied = sqlite::restore(&args.from, &data_dir, tell).map_err(|error| CliError::Failed(words(&error)))?;
    print(&format!(
        "{} has {}; who comes back with a cursor of before is told a gap (reset)\n",
        data_dir.display(),
        contents(copied)
    ))
}

fn words(error: &RestoreError) -> String {
    match error {
        RestoreError::Copy(CopyError::Store(OpenError::Locked(_))) => format!("{error} with --data (store.data_dir)"),
        RestoreError::Copy(CopyError::Missing(_)) => format!("{error}; name the backup with --from"),
        _ => error.to_string(),
    }
}
