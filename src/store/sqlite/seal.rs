//! The seal of a backup: a checksum behind its last page, by which a file that was changed or cut since is found.
//!
//! The engine does not look behind the last page, so a sealed file is a database like any other. The seal proves
//! nothing about who made the file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::copy::{CopyError, of_file};

/// What stands before the checksum.
const MARK: &[u8; 8] = b"tambour\0";
/// The mark and the checksum.
const SEAL_BYTES: u64 = 8 + 32;

/// Seals a file.
pub(super) fn put(path: &Path) -> Result<(), CopyError> {
    let seal = || {
        let mut file = OpenOptions::new().read(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        let digest = digest(&mut file, bytes)?;
        file.write_all(&[&MARK[..], &digest].concat())
    };
    seal().map_err(of_file(path))
}

/// Checks that a file is as it was sealed.
pub(super) fn check(path: &Path) -> Result<(), CopyError> {
    let damaged = |what: &str| Err(CopyError::Damaged { path: path.to_owned(), what: what.to_owned() });
    let look = || {
        let mut file = File::open(path)?;
        let Some(bytes) = file.metadata()?.len().checked_sub(SEAL_BYTES) else { return Ok(None) };
        file.seek(SeekFrom::Start(bytes))?;
        let mut seal = Vec::new();
        file.read_to_end(&mut seal)?;
        file.seek(SeekFrom::Start(0))?;
        let Some(told) = seal.strip_prefix(MARK) else { return Ok(None) };
        Ok(Some(digest(&mut file, bytes)? == told))
    };
    match look().map_err(of_file(path))? {
        Some(true) => Ok(()),
        Some(false) => damaged("it was changed since it was written"),
        None => damaged("its end is missing, or it is no backup"),
    }
}

fn digest(file: &mut File, bytes: u64) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let hashed = io::copy(&mut file.take(bytes), &mut hasher)?;
    if hashed == bytes { Ok(hasher.finalize().into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
