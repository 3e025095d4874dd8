//! `tambour backup`: everything that is acknowledged, as one file, also while the hub runs.
//!
//! It asks the hub for nothing, reads the data directory and changes nothing in it.

use std::path::PathBuf;

use crate::cli::serve::SettingsArgs;
use crate::cli::{CliError, print};
use crate::config::Settings;
use crate::development::SECRET_FILE;
use crate::store::sqlite::{self, Copied, CopyError, OpenError, Progress};

/// Arguments of `tambour backup`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The hub's data directory [store.data_dir]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// The hub's file of settings, if it has one
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The file to write; it must not be there
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// Writes the backup and says what is in it.
///
/// # Errors
/// Settings that are not accepted; a data directory that can't be read; a file that is there, or can't be written.
pub fn run(args: &Args) -> Result<(), CliError> {
    let given = SettingsArgs { data: args.data.clone(), config: args.config.clone(), ..SettingsArgs::default() };
    let data_dir = Settings::resolve(&given.layers(std::env::vars_os())?)?.store.data_dir;
    let copied = sqlite::backup(&data_dir, &args.to, tell).map_err(|error| CliError::Failed(words(&error)))?;
    let secret = data_dir.join(SECRET_FILE);
    if secret.exists() {
        eprintln!(
            "{} is not in the backup: a hub that is restored elsewhere makes a new one, and tokens signed with this one \
             are not good there",
            secret.display()
        );
    }
    print(&format!("{} has {}\n", args.to.display(), contents(copied)))
}

fn words(error: &CopyError) -> String {
    match error {
        CopyError::Missing(_) => format!("{error}; name the hub's data directory with --data (store.data_dir)"),
        CopyError::Exists(_) => format!("{error}; name another file with --to"),
        CopyError::Store(OpenError::Sqlite(_)) => format!("{error}; run it as the user whose hub it is"),
        _ => error.to_string(),
    }
}

/// Says on standard error how far a copy came.
pub(super) fn tell(progress: Progress) {
    let Progress { written_bytes, source_bytes } = progress;
    eprintln!("{} of about {}", size(written_bytes), size(source_bytes));
}

/// What is in a copy, for people.
pub(super) fn contents(copied: Copied) -> String {
    let counted = |count, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let Copied { bytes, topics, events } = copied;
    format!("{} with {}, {}", counted(topics, "topic"), counted(events, "event"), size(bytes))
}

fn size(bytes: u64) -> String {
    let tenths = bytes * 10 / (1024 * 1024);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_for_people() {
        let copied = |bytes, topics, events| contents(Copied { bytes, topics, events });
        assert_eq!(copied(0, 0, 0), "0 topics with 0 events, 0.0 MiB");
        assert_eq!(copied(1024 * 1024 * 3 / 2, 1, 1), "1 topic with 1 event, 1.5 MiB");
        assert_eq!(copied(1 << 40, 2, 1_000_000), "2 topics with 1000000 events, 1048576.0 MiB");
    }
}
