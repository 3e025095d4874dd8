//! A restore: a data directory from a backup.
//!
//! Every log and every feed gets a new incarnation: cursors that were told before the backup was restored may name events that are not in it,
//! or others that come instead, so each of their readers is told that the log was reset. Positions and keys of
//! writes stay, because what they stand for is there. It never touches a directory that has a database.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::copy::{self, Copied, CopyError, Look, Owner, Progress, of_file};
use super::{FILE_NAME, lock, schema, seal};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory has a database.
    #[error("{} has a database already; name an empty directory, or move that file and those beside it away", .0.display())]
    Taken(PathBuf),
    /// The backup can't be read, or the copy of it not be written.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl From<rusqlite::Error> for RestoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Copy(error.into())
    }
}

/// Restores the backup `from` into the data directory `dir`, which is made when it is missing and locked meanwhile.
///
/// # Errors
/// [`RestoreError`]; the directory has no database then.
pub fn restore(from: &Path, dir: &Path, told: impl FnMut(Progress) + Send + 'static) -> Result<Copied, RestoreError> {
    let mut source = copy::source(from, Owner::Anybody)?;
    seal::check(from)?;
    let _lock = lock(dir).map_err(CopyError::from)?;
    let path = dir.join(FILE_NAME);
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let taken = dir.join(format!("{FILE_NAME}{suffix}"));
        if fs::symlink_metadata(&taken).is_ok() {
            return Err(RestoreError::Taken(taken));
        }
    }
    let part = dir.join(format!("{FILE_NAME}.part"));
    // Of an earlier try: whoever made it had the lock.
    copy::remove(&part)?;
    let make = || {
        copy::write(&mut source, &part, told)?;
        schema::migrate(&part).map_err(CopyError::from)?;
        renew(&part)?;
        let copied = copy::look_through(&part, Look::Full)?;
        copy::sync(&part)?;
        fs::rename(&part, &path).map_err(of_file(&path))?;
        copy::sync(dir)?;
        Ok(copied)
    };
    make().inspect_err(|_| drop(copy::remove(&part)))
}

/// Gives every log another incarnation. When the connection ends, everything is in the one file.
fn renew(part: &Path) -> Result<(), RestoreError> {
    let mut conn = Connection::open(part)?;
    let transaction = conn.transaction()?;
    let of_topics = ("SELECT id, incarnation FROM topics", "UPDATE topics SET incarnation = ?2 WHERE id = ?1");
    let of_feeds = ("SELECT id, incarnation FROM feeds", "UPDATE feeds SET incarnation = ?2 WHERE id = ?1");
    for (known, change) in [of_topics, of_feeds] {
        let mut topics = transaction.prepare(known)?;
        let mut change = transaction.prepare(change)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        for topic in topics.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()? {
            let (log, before) = topic;
            let mut incarnation = before;
            while incarnation == before {
                incarnation = getrandom::u64().map_err(RestoreError::Random)?.cast_signed();
            }
            change.execute((log, incarnation))?;
        }
    }
    transaction.commit()?;
    conn.close().map_err(|(_, error)| error)?;
    Ok(())
}
