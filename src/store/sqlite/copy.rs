//! A copy of a database, made by the engine: what `backup` and `restore` have in common.
//!
//! The copy is written from one snapshot, beside whoever writes to the original, and holds what is there and nothing
//! of what was removed. It is not a copy before it was looked through and is on disk. Nothing here gives a file its
//! final name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::OpenError;
use super::schema;

/// How often it is told how far a copy came.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// Steps of the engine between two looks at the clock.
const STEPS_PER_LOOK: i32 = 10_000;
/// The engine's memory for pages, in KiB.
const CACHE_KIB: i64 = 16 * 1024;

/// Why a copy was not made, in words for an operator.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Where the copy is to be, there is something.
    #[error("{} is there already; nothing was written over it", .0.display())]
    Exists(PathBuf),
    /// Another copy is being made there, or one was interrupted.
    #[error("{} is there: another backup writes it, or one was interrupted; if none runs, remove it", .0.display())]
    Unfinished(PathBuf),
    /// There is nothing to copy.
    #[error("there is no database at {}", .0.display())]
    Missing(PathBuf),
    /// The file is something else.
    #[error("{} is not a database of Tambour", .0.display())]
    Foreign(PathBuf),
    /// The file is damaged.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found first.
        what: String,
    },
    /// The engine takes paths as text.
    #[error("the path {} is not UTF-8", .0.display())]
    NotText(PathBuf),
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What opening a store can fail with: the directory is in use, the schema is newer, the engine's own words.
    #[error(transparent)]
    Store(#[from] OpenError),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What is in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Its size.
    pub bytes: u64,
    /// Its topics.
    pub topics: u64,
    /// Their events.
    pub events: u64,
}

/// How far a copy came: bytes written, of about how many.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Written so far.
    pub written_bytes: u64,
    /// The size of the original; the copy may be smaller.
    pub source_bytes: u64,
}

/// How thoroughly a file is looked through.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    /// Its structure.
    Quick,
    /// And whether every index has what its table has.
    Full,
}

pub(super) fn of_file(path: &Path) -> impl FnOnce(io::Error) -> CopyError + use<> {
    let path = path.to_owned();
    move |source| CopyError::File { path, source }
}

/// Whose file it is that is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    /// A hub's, or our own: whoever is the last to leave it tidies up the files beside it, so that none is left that a hub
    /// which runs as somebody else can't write.
    Hub,
    /// Somebody's, perhaps on a disk that can't be written.
    Anybody,
}

/// Opens a database of ours to read it.
pub(super) fn source(path: &Path, owner: Owner) -> Result<Connection, CopyError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(CopyError::Missing(path.to_owned())),
        Err(error) => return Err(of_file(path)(error)),
        Ok(found) if !found.is_file() => return Err(CopyError::Foreign(path.to_owned())),
        Ok(_) => {}
    }
    let access = match owner {
        Owner::Hub => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Owner::Anybody => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let open = || {
        let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.busy_timeout(schema::BUSY_TIMEOUT)?;
        conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let version = schema::version(&conn)?;
        Ok((conn, version))
    };
    match open() {
        Ok((conn, 1..)) => Ok(conn),
        Ok((_, 0)) => Err(CopyError::Foreign(path.to_owned())),
        Err(OpenError::Sqlite(error)) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(CopyError::Foreign(path.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes a copy of what `source` shows now into `part`, which must not be there; for its owner alone to read.
pub(super) fn write(
    source: &mut Connection,
    part: &Path,
    mut told: impl FnMut(Progress) + Send + 'static,
) -> Result<(), CopyError> {
    // Absolute, so that no name can be taken for a URI.
    let path = std::path::absolute(part).map_err(of_file(part))?;
    let text = path.to_str().ok_or_else(|| CopyError::NotText(path.clone()))?.to_owned();
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(CopyError::Unfinished(path)),
        made => drop(made.map_err(of_file(&path))?),
    }
    let pages = |name| source.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let source_bytes = (pages("page_count")? * pages("page_size")?).cast_unsigned();
    let mut told_at = Instant::now();
    let watch = move || {
        if told_at.elapsed() >= TOLD_EVERY {
            told_at = Instant::now();
            let written_bytes = fs::metadata(&path).map_or(0, |part| part.len());
            told(Progress { written_bytes, source_bytes });
        }
        false
    };
    source.progress_handler(STEPS_PER_LOOK, Some(watch))?;
    let written = source.execute("VACUUM INTO ?1", [&text]);
    source.progress_handler(0, None::<fn() -> bool>)?;
    written?;
    Ok(())
}

/// Looks a copy through and counts what is in it.
pub(super) fn look_through(path: &Path, look: Look) -> Result<Copied, CopyError> {
    let conn = source(path, Owner::Hub)?;
    let damaged = |what: String| Err(CopyError::Damaged { path: path.to_owned(), what });
    let pragma = match look {
        Look::Quick => "PRAGMA quick_check(1)",
        Look::Full => "PRAGMA integrity_check(1)",
    };
    let found: String = conn.query_row(pragma, [], |row| row.get(0))?;
    if found != "ok" {
        return damaged(found);
    }
    let holes = "SELECT log FROM events GROUP BY log HAVING max(seq) - min(seq) + 1 <> count(*) LIMIT 1";
    let holes: Option<i64> = conn.query_row(holes, [], |row| row.get(0)).optional()?;
    if let Some(log) = holes {
        return damaged(format!("events of log {log} are missing"));
    }
    let count = |sql| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
    Ok(Copied {
        bytes: fs::metadata(path).map_err(of_file(path))?.len(),
        topics: count("SELECT count(*) FROM topics")?,
        events: count("SELECT count(*) FROM events WHERE log > 0 AND log NOT IN (SELECT log FROM deleted_logs)")?,
    })
}

/// Waits until a file, or the names in a directory, are on disk.
pub(super) fn sync(path: &Path) -> Result<(), CopyError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(of_file(path))
}

/// Removes what is left of a copy that was not finished.
pub(super) fn remove(part: &Path) -> Result<(), CopyError> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}{suffix}", part.display()));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of_file(&path)(error)),
            _ => {}
        }
    }
    Ok(())
}
