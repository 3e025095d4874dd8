//! The embedded store: one SQLite file, one writer thread, a few readers, a checkpointer.
//!
//! Reading order: `schema` (the tables), `rows` and `pages` with `fold` (what is in them), `queue`, `command`, `writer` (group
//! commit) with `heads`, `conditions`, `once`, `insert`, `redact`, `topics`, `administer` (what is said of identities), `tokens` (stream tokens) and `audit`, carried out by `writing`, and in slices `trim` and `wipe` (deleted logs); `feeds`, `feed` and `taps` (commit order);
//! `readers`, `overdue` (retention), `checkpoint`, `stats`; `reserve` (which writes have room); beside a store `copy`, `seal`, `backup`, `restore`. An answer comes when the change is synced to the disk. Nothing here blocks the
//! thread that asks, and no SQL is anywhere else.

mod administer;
mod audit;
mod backup;
mod checkpoint;
mod command;
mod conditions;
mod copy;
mod endings;
mod failure;
mod feed;
mod feeds;
mod fold;
mod heads;
mod insert;
mod kill_switches;
mod once;
mod overdue;
mod pages;
mod ports;
mod queue;
mod readers;
mod recent;
mod redact;
mod reserve;
mod restore;
mod rows;
mod schema;
mod seal;
mod stats;
mod taps;
#[cfg(test)]
mod tests;
mod tokens;
mod topics;
mod trim;
mod verify;
mod wipe;
mod writer;
mod writing;

use std::fs::{File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::Connection;
use serde::Deserialize;
use tambour_actors::deed::Deed;
use tambour_actors::log::{LogId, PortFuture, Unavailable};
use tambour_actors::topic_key::Scope;
use tokio::sync::oneshot;

use crate::admission::standing::change::Change;
use crate::audit::entry::Happened;

pub use self::audit::{Action, AuditPage, AuditQuery};
pub use self::backup::backup;
use self::checkpoint::Gate;
use self::command::Command;
pub use self::copy::{Copied, CopyError, Progress};
pub use self::endings::Ending;
pub use self::overdue::{Keep, Keeps, Overdue};
use self::queue::Queue;
use self::readers::Question;
pub use self::reserve::Room;
pub use self::restore::{RestoreError, restore};
use self::schema::Role;
use self::stats::Counters;
pub use self::stats::StoreStats;
pub use self::verify::{Verified, verify};

/// The name of the database in its directory.
const FILE_NAME: &str = "tambour.db";
/// The file that an open store holds a lock on.
const LOCK_NAME: &str = "lock";
/// Most readers: each is a thread and a memory map.
pub const READERS_MAX: usize = 64;

/// How a question's answer gets back.
type Answer<T> = oneshot::Sender<Result<T, Unavailable>>;

/// Settings of the embedded store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// Threads that read, 1 to [`READERS_MAX`]; a value outside is brought to the nearer end.
    pub readers: usize,
    /// How much of the file each reader maps into memory, in bytes. 0 reads it by system calls.
    pub mmap_bytes: u64,
    /// Most calls that wait for the writer, and most that wait for the readers. One more is
    /// answered `Unavailable` at once.
    pub queue_max: usize,
    /// Most bytes of events that wait for the writer.
    pub queue_bytes_max: usize,
    /// How large the database may be. At its limit writers are answered as on a full disk, and readers go on.
    pub room: Room,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { readers: 2, mmap_bytes: 0, queue_max: 100_000, queue_bytes_max: 64 * 1024 * 1024, room: Room::default() }
    }
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, has the directory.
    #[error("the data directory {} is in use by another hub; stop that one or name another directory", .0.display())]
    Locked(PathBuf),
    /// The directory or the lock file could not be made or opened.
    #[error("the data directory {} can't be used: {source}", path.display())]
    Directory {
        /// Which path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A later Tambour wrote the file.
    #[error("the database has schema version {found}, and this Tambour knows {known}: run a newer one")]
    Newer {
        /// The file's version.
        found: i64,
        /// The newest known one.
        known: i64,
    },
    /// The file system can't hold a write-ahead log.
    #[error("the database can't use a write-ahead log here; is the directory on a network file system?")]
    NoWal,
    /// SQLite's own words.
    #[error("the database can't be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A thread of the store could not be started.
    #[error("a thread of the store can't be started: {0}")]
    Thread(std::io::Error),
}

/// The embedded [`tambour_actors::log::EventLog`] and [`tambour_actors::log::Topics`]. Clones share the store; the last one to be dropped
/// closes it.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    commands: Arc<Queue<Command>>,
    questions: Arc<Queue<Question>>,
    counters: Arc<Counters>,
    gate: Arc<Gate>,
    room: Arc<Mutex<Room>>,
    /// The database file.
    path: PathBuf,
    running: Mutex<Option<Running>>,
}

/// What ends with the store.
struct Running {
    writer: Option<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
    checkpointer: Option<JoinHandle<()>>,
    lock: File,
}

/// A connection for each thread.
struct Connections {
    writing: Connection,
    reading: Vec<Connection>,
    copying: Connection,
}

impl SqliteStore {
    /// Opens the store in `dir`, which is made when it is missing and locked until the store is
    /// closed. Blocks while the file is migrated, or recovered after a crash.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left running.
    pub fn open(dir: &Path, settings: &StoreSettings) -> Result<Self, OpenError> {
        let lock = lock(dir)?;
        let path = dir.join(FILE_NAME);
        schema::migrate(&path)?;
        let counters = Arc::new(Counters::default());
        let gate = Arc::new(Gate::new());
        let mut writing = schema::connect(&path, Role::Writer, settings)?;
        let (seen_by, counted_by) = (Arc::clone(&gate), Arc::clone(&counters));
        writing.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            let pages = u64::try_from(pages).unwrap_or(0);
            counted_by.synced(pages);
            seen_by.grew_to(pages);
            Ok(())
        }))?;
        let readers = 0..settings.readers.clamp(1, READERS_MAX);
        let reading = readers.map(|_| schema::connect(&path, Role::Reader, settings));
        let reading = reading.collect::<rusqlite::Result<Vec<_>>>()?;
        let copying = schema::connect(&path, Role::Checkpointer, settings)?;
        let inner = Inner {
            commands: Arc::new(Queue::new(settings.queue_max, settings.queue_bytes_max)),
            questions: Arc::new(Queue::new(settings.queue_max, usize::MAX)),
            counters,
            gate,
            room: Arc::new(Mutex::new(settings.room)),
            path,
            running: Mutex::new(Some(Running { writer: None, readers: Vec::new(), checkpointer: None, lock })),
        };
        // When a thread can't be started, dropping `inner` ends the others.
        inner.start(Connections { writing, reading, copying }).map_err(OpenError::Thread)?;
        Ok(Self(Arc::new(inner)))
    }

    /// Finishes what is queued, ends the threads and gives the directory back. Later calls are
    /// answered `Unavailable`. Blocks until it is done; the second time there is nothing to do.
    pub fn close(&self) {
        self.0.close();
    }

    /// Looks at some logs behind `after` for events that are kept no longer; [`EventLog::trim`] takes them away.
    ///
    /// # Errors
    /// [`Unavailable`] when the store can't be read.
    pub fn overdue(&self, after: LogId, keeps: Keeps, now_ms: i64) -> PortFuture<Result<Overdue, Unavailable>> {
        Box::pin(self.0.question(|answer| Question::Overdue { after, keeps, now_ms, answer }).answer())
    }

    /// Keeps a change of what is said of identities, and writes it down.
    ///
    /// # Errors
    /// [`Unavailable`]; nothing of it is kept then.
    pub fn administer(&self, change: Change, by: Arc<Deed>) -> PortFuture<Result<(), Unavailable>> {
        Box::pin(self.0.command(|answer| Command::Administer { change, by, answer }).answer())
    }

    /// Writes down what happened, durably: the entry of the audit and the events of the feed.
    ///
    /// # Errors
    /// [`Unavailable`]; nothing of it is kept then.
    pub fn record(&self, by: Arc<Deed>, happened: Happened) -> PortFuture<Result<(), Unavailable>> {
        let happened = Box::new(happened);
        Box::pin(self.0.command(|answer| Command::Record { by, happened, answer }).answer())
    }

    /// Finds entries of the audit.
    ///
    /// # Errors
    /// [`Unavailable`] when the store can't be read.
    pub fn audit(&self, scope: &Scope, query: AuditQuery) -> PortFuture<Result<AuditPage, Unavailable>> {
        let scope = scope.clone();
        Box::pin(self.0.question(|answer| Question::Audit { scope, query, answer }).answer())
    }

    /// Everything that is said of identities, as the changes that make it.
    ///
    /// # Errors
    /// [`Unavailable`] when the store can't be read.
    pub fn standing(&self) -> PortFuture<Result<Vec<Change>, Unavailable>> {
        Box::pin(self.0.question(|answer| Question::Standing { answer }).answer())
    }

    /// How large the database may be from the next write on.
    pub fn limit(&self, room: Room) {
        *self.0.room.lock() = room;
    }

    /// How large the database file is, in bytes, without the log beside it; `None` when it can't be looked at.
    #[must_use]
    pub fn file_bytes(&self) -> Option<u64> {
        std::fs::metadata(&self.0.path).ok().map(|file| file.len())
    }

    /// What the store counted so far.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.0.counters.snapshot(self.0.commands.len(), self.0.questions.len())
    }
}

impl Inner {
    fn start(&self, connections: Connections) -> std::io::Result<()> {
        let mut running = self.running.lock();
        let Some(running) = running.as_mut() else { return Ok(()) };
        let Connections { writing, reading, copying } = connections;
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let gate = Arc::clone(&self.gate);
        let counters = Arc::clone(&self.counters);
        running.checkpointer = Some(named("checkpointer").spawn(move || checkpoint::run(&copying, &gate, &counters))?);
        for conn in reading {
            let questions = Arc::clone(&self.questions);
            running.readers.push(named("log-reader").spawn(move || readers::run(&conn, &questions))?);
        }
        let shared = writer::Shared {
            commands: Arc::clone(&self.commands),
            counters: Arc::clone(&self.counters),
            gate: Arc::clone(&self.gate),
            room: Arc::clone(&self.room),
        };
        running.writer = Some(named("log-writer").spawn(move || writer::run(&writing, &shared))?);
        Ok(())
    }

    fn close(&self) {
        // Locked to the end: a second caller returns when the first is done.
        let mut running = self.running.lock();
        let Some(Running { writer, readers, checkpointer, lock }) = running.take() else { return };
        let join = |thread: JoinHandle<()>| {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!(thread = name, "a thread of the store had panicked");
            }
        };
        self.commands.close();
        writer.into_iter().for_each(join);
        self.questions.close();
        readers.into_iter().for_each(join);
        // Last, because SQLite moves the rest of the write-ahead log when the last connection
        // that can write is closed.
        self.gate.stop();
        checkpointer.into_iter().for_each(join);
        drop(lock);
    }

    fn command<T: Send + 'static>(&self, make: impl FnOnce(Answer<T>) -> Command) -> Asked<T> {
        let (answer, asked) = oneshot::channel();
        Asked::new(self.commands.push(make(answer)), asked)
    }

    fn question<T: Send + 'static>(&self, make: impl FnOnce(Answer<T>) -> Question) -> Asked<T> {
        let (answer, asked) = oneshot::channel();
        Asked::new(self.questions.push(make(answer)), asked)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// A question that was queued, or refused: the answer is still to come either way.
struct Asked<T>(Result<oneshot::Receiver<Result<T, Unavailable>>, &'static str>);

impl<T> Asked<T> {
    fn new(pushed: Result<(), &'static str>, answer: oneshot::Receiver<Result<T, Unavailable>>) -> Self {
        Self(pushed.map(|()| answer))
    }

    async fn answer(self) -> Result<T, Unavailable> {
        match self.0 {
            Ok(answer) => answer.await.unwrap_or_else(|_| Err("the store did not answer".into())),
            Err(why) => Err(why.into()),
        }
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let refused = |path: &Path, source| OpenError::Directory { path: path.to_owned(), source };
    // It has every tenant's events in it: for its owner alone, where it is made here.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| refused(dir, error))?;
    let path = dir.join(LOCK_NAME);
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(|error| refused(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(refused(&path, error)),
    }
}
