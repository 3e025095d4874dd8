//! A backup: one file with everything that is acknowledged when it begins, taken while a hub runs or while none does.
//!
//! It never changes the data directory, and never writes over a file.

use std::fs;
use std::path::{Path, PathBuf};

use super::FILE_NAME;
use super::copy::{self, Copied, CopyError, Look, Owner, Progress, of_file};
use super::seal;

/// Writes a backup of the data directory `dir` to the file `to`. Until it is finished it is called `to.part`.
///
/// While it runs, the write-ahead log of a running hub can't start anew: it grows by what is written meanwhile.
///
/// # Errors
/// [`CopyError`]; there is no file `to` then.
pub fn backup(dir: &Path, to: &Path, told: impl FnMut(Progress) + Send + 'static) -> Result<Copied, CopyError> {
    let mut source = copy::source(&dir.join(FILE_NAME), Owner::Hub)?;
    let part = part_of(to);
    refuse_taken(to)?;
    let make = || {
        copy::write(&mut source, &part, told)?;
        drop(source);
        let copied = copy::look_through(&part, Look::Quick)?;
        seal::put(&part)?;
        copy::sync(&part)?;
        refuse_taken(to)?;
        fs::rename(&part, to).map_err(of_file(to))?;
        copy::sync(directory_of(to))?;
        Ok(copied)
    };
    make().inspect_err(|error| {
        // What somebody else began is theirs.
        if !matches!(error, CopyError::Unfinished(_)) {
            drop(copy::remove(&part));
        }
    })
}

fn part_of(to: &Path) -> PathBuf {
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

fn directory_of(to: &Path) -> &Path {
    to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refuse_taken(to: &Path) -> Result<(), CopyError> {
    // Also a link that leads nowhere.
    if fs::symlink_metadata(to).is_ok() { Err(CopyError::Exists(to.to_owned())) } else { Ok(()) }
}
