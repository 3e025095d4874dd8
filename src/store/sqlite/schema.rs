//! The tables, their migrations, and how a connection to them is opened.
//!
//! The version of the schema is SQLite's `user_version`: a migration is one entry of
//! [`MIGRATIONS`], never edited after a release. This file never reads or writes a row.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{OpenError, StoreSettings};

/// Each brings the schema from the version of its index to the next.
///
/// Events stand in commit order: an append touches the last page of the table and one leaf of
/// the index per log, and the order of the whole store is there for nothing.
pub(super) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE topics (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        kind TEXT NOT NULL,
        topic TEXT NOT NULL,
        creator TEXT NOT NULL,
        title TEXT,
        visibility TEXT NOT NULL,
        members TEXT NOT NULL,
        incarnation INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL,
        UNIQUE (tenant, env, kind, topic)
    ) STRICT;
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        log INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        time_ms INTEGER NOT NULL,
        type TEXT NOT NULL,
        routing TEXT NOT NULL,
        meta TEXT NOT NULL,
        data TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_by_log ON events (log, seq);
    CREATE TABLE deleted_logs (log INTEGER PRIMARY KEY) STRICT;
    CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO numbers VALUES ('position_floor', 1);
",
    // The columns are NULL where nothing is said: `target` of an append and of a redaction is the event that it is about;
    // `log_bytes` and `appended_bytes` are sums up to the row, so that no question about them reads more than two rows.
    "
    ALTER TABLE events ADD COLUMN log_bytes INTEGER;
    ALTER TABLE events ADD COLUMN target INTEGER;
    ALTER TABLE events ADD COLUMN appended_bytes INTEGER;
    CREATE INDEX events_by_target ON events (log, target, seq) WHERE target IS NOT NULL;
    CREATE TABLE once (
        id INTEGER PRIMARY KEY,
        log INTEGER NOT NULL,
        sub TEXT NOT NULL,
        key TEXT NOT NULL,
        digest BLOB NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        time_ms INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX once_by_key ON once (log, sub, key);
    CREATE TABLE probe (filler BLOB NOT NULL) STRICT;
",
    // What is said of identities beside their tokens. Of a service key's tokens there are digests alone.
    "
    CREATE TABLE service_keys (
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        actor_type TEXT NOT NULL,
        role TEXT NOT NULL,
        permissions TEXT NOT NULL,
        expires_at_ms INTEGER,
        created_by TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL,
        digest BLOB NOT NULL,
        rotated_at_ms INTEGER,
        before BLOB,
        before_until_ms INTEGER,
        PRIMARY KEY (tenant, env, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE principals (
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        sub TEXT NOT NULL,
        state TEXT NOT NULL,
        role TEXT,
        authority TEXT NOT NULL,
        changed_by TEXT NOT NULL,
        changed_at_ms INTEGER NOT NULL,
        PRIMARY KEY (tenant, env, sub)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE revocations (
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        authority TEXT NOT NULL,
        revoked_at_ms INTEGER NOT NULL,
        PRIMARY KEY (tenant, env, kind, name, authority)
    ) STRICT, WITHOUT ROWID;
",
    // Stream tokens, by their SHA-256. `parent` is what they are counted by until they are opened; `jti` and `key` are what
    // they were made with, one of them or none.
    "
    CREATE TABLE stream_tokens (
        digest BLOB PRIMARY KEY,
        parent BLOB NOT NULL,
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        sub TEXT NOT NULL,
        jti TEXT,
        key TEXT,
        record TEXT NOT NULL,
        single_use INTEGER NOT NULL,
        ttl_ms INTEGER NOT NULL,
        ends_at_ms INTEGER NOT NULL,
        expires_at_ms INTEGER NOT NULL,
        opened INTEGER NOT NULL,
        stream BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX stream_tokens_outstanding ON stream_tokens (parent) WHERE opened = 0;
    CREATE INDEX stream_tokens_by_expiry ON stream_tokens (expires_at_ms);
    CREATE INDEX stream_tokens_by_sub ON stream_tokens (sub, tenant, env);
    CREATE INDEX stream_tokens_by_jti ON stream_tokens (jti, tenant, env) WHERE jti IS NOT NULL;
    CREATE INDEX stream_tokens_by_key ON stream_tokens (key, tenant, env) WHERE key IS NOT NULL;
",
    // Orders to end stream tokens, until they are carried out where those are kept. A later one of the same takes the place
    // of the one before, with another id. What was made with a service key did not say with which of its tokens.
    "
    ALTER TABLE revocations ADD COLUMN expires_at_ms INTEGER;
    CREATE INDEX revocations_by_expiry ON revocations (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
    CREATE TABLE endings (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        authority TEXT NOT NULL,
        made_until_ms INTEGER NOT NULL,
        UNIQUE (tenant, env, kind, name, authority)
    ) STRICT;
    DELETE FROM stream_tokens WHERE key IS NOT NULL;
",
    // What a stream holds is kept until its end, so that it may be kept late: what can go is found without a look at it.
    "
    DROP INDEX stream_tokens_by_expiry;
    CREATE INDEX stream_tokens_by_expiry ON stream_tokens (expires_at_ms) WHERE stream IS NULL;
    CREATE INDEX stream_tokens_by_end ON stream_tokens (ends_at_ms);
",
    // `within`: by what else they are counted until they are opened, or nothing.
    "
    ALTER TABLE stream_tokens ADD COLUMN within BLOB;
    CREATE INDEX stream_tokens_within ON stream_tokens (within, expires_at_ms) WHERE opened = 0 AND within IS NOT NULL;
",
    // What happened beside the events of topics. `about` is the log of the topic that an event of `system/tenant` is about,
    // and NULL on all others; such an event's log is a feed's id below zero. `floor` is the newest position that retention took.
    // Of a deleted topic its rights stay, for the events about it. The texts of `audit` are chained by their hashes.
    "
    ALTER TABLE events ADD COLUMN about INTEGER;
    CREATE TABLE feeds (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        incarnation INTEGER NOT NULL,
        floor INTEGER NOT NULL,
        UNIQUE (tenant, env)
    ) STRICT;
    CREATE TABLE deleted_topics (
        log INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        kind TEXT NOT NULL,
        topic TEXT NOT NULL,
        creator TEXT NOT NULL,
        title TEXT,
        visibility TEXT NOT NULL,
        members TEXT NOT NULL,
        incarnation INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE audit (
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        seq INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        resource TEXT NOT NULL,
        outcome TEXT NOT NULL,
        entry TEXT NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (tenant, env, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX audit_by_actor ON audit (tenant, env, actor, seq);
    CREATE INDEX audit_by_action ON audit (tenant, env, action, seq);
    CREATE INDEX audit_by_resource ON audit (tenant, env, resource, seq);
    CREATE INDEX audit_by_time ON audit (tenant, env, at_ms, seq);
    CREATE TABLE audit_heads (
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (tenant, env)
    ) STRICT, WITHOUT ROWID;
",
    // What is switched off, as JSON: it is read whole, when the hub starts.
    "
    CREATE TABLE kill_switches (
        tenant TEXT NOT NULL,
        env TEXT NOT NULL,
        body TEXT NOT NULL,
        changed_by TEXT NOT NULL,
        changed_at_ms INTEGER NOT NULL,
        PRIMARY KEY (tenant, env)
    ) STRICT, WITHOUT ROWID;
",
];

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Writer,
    Reader,
    Checkpointer,
}

/// How long a statement waits for a lock that another connection holds. Only a checkpoint that
/// another process started by hand can make one wait at all.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The writer's page cache: the index leaves of the busy logs must fit, or every event reads one.
const WRITER_CACHE_KIB: i64 = 32 * 1024;
/// A reader's page cache; what it reads comes through the memory map.
const READER_CACHE_KIB: i64 = 2 * 1024;

/// Makes or upgrades the file at `path`.
pub(super) fn migrate(path: &Path) -> Result<(), OpenError> {
    // The files beside it get the same mode from the engine.
    let made = File::options().create(true).truncate(false).write(true).mode(0o600).open(path);
    drop(made.map_err(|source| OpenError::Directory { path: path.to_owned(), source })?);
    let mut conn = Connection::open(path)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // Before the first table: it can't be changed once the file is in WAL mode.
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::NoWal);
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    let from = version(&conn)?;
    for (version, migration) in MIGRATIONS.iter().enumerate().skip(from) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "user_version", version as i64 + 1)?;
        tx.commit()?;
    }
    Ok(())
}

/// Which schema a file has; 0 is none.
pub(super) fn version(conn: &Connection) -> Result<usize, OpenError> {
    let found: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len();
    usize::try_from(found).ok().filter(|from| *from <= known).ok_or(OpenError::Newer { found, known: known as i64 })
}

/// Bytes of a page in a new file.
pub(super) const PAGE_BYTES: i64 = 4096;

/// Bytes of a page of this file.
pub(super) fn page_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    number(conn, "PRAGMA page_size")
}

/// How many pages of the file are in use, by the transaction that is under way as well.
pub(super) fn used_pages(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(number(conn, "PRAGMA page_count")?.saturating_sub(number(conn, "PRAGMA freelist_count")?))
}

fn number(conn: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    let number: i64 = conn.prepare_cached(pragma)?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

/// Limits how long the file gets, in pages, by what this connection writes; `None`: what the disk holds.
pub(super) fn limit(conn: &Connection, pages_max: Option<u64>) -> rusqlite::Result<()> {
    let pages = pages_max.unwrap_or(u64::MAX).clamp(1, u64::from(u32::MAX - 1)).cast_signed();
    conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
}

/// Opens a connection to a migrated file.
pub(super) fn connect(path: &Path, role: Role, settings: &StoreSettings) -> rusqlite::Result<Connection> {
    let access = match role {
        Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Role::Writer | Role::Checkpointer => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    match role {
        Role::Writer => {
            conn.pragma_update(None, "synchronous", "FULL")?;
            conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
            // What was redacted, trimmed or deleted is overwritten in the file. Always on, because a row that is moved
            // when others around it go must not be left behind where it was.
            conn.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
        }
        Role::Reader => {
            conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
            let bytes = i64::try_from(settings.mmap_bytes).unwrap_or(i64::MAX);
            conn.pragma_update_and_check(None, "mmap_size", bytes, |_| Ok(()))?;
        }
        Role::Checkpointer => {
            // FULL: the database file is synced before the WAL it came from is reused.
            conn.pragma_update(None, "synchronous", "FULL")?;
        }
    }
    // Nobody checkpoints on the way of a commit; `checkpoint` does, on its own thread.
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    Ok(conn)
}
