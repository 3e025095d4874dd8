//! Stream tokens in the database: what changes one goes through the writer, so that it is one step among all others and
//! on disk when it is answered; what only looks is a reader's.
//!
//! A row whose time has run out is no token for anybody but the stream that holds it, which may still be kept. It is removed
//! with later calls, some at a time: a held one when its end has come.

use rusqlite::{Connection, OptionalExtension as _, Params, Row};
use tambour_actors::log::{Class, PortFuture, Unavailable};
use tambour_actors::principal::{Digest, Proof, Role};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::SqliteStore;
use super::command::Command;
use super::readers::Question;
use crate::identity::stream_tokens::{
    Held, IssueError, Kept, NewToken, Notice, Opened, Revoke, StreamId, StreamTokens, TokenRecord,
};

/// Rows of each kind that one call removes.
const PURGED_ROWS_MAX: i64 = 64;

/// What the writer is asked to do with tokens.
pub(super) enum Ask {
    Issue { token: Box<NewToken>, now_ms: i64 },
    Open { held: Held, keep_ms: i64, now_ms: i64 },
    Keep { held: Vec<Held>, keep_ms: i64, now_ms: i64 },
    Release { held: Vec<Held>, now_ms: i64 },
    Revoke { which: Revoke, now_ms: i64 },
}

/// What it came to.
pub(super) enum Told {
    /// Whether there was room.
    Issued(bool),
    Opened(Option<Opened>),
    Kept(Vec<Kept>),
    Released,
    Revoked(Vec<Digest>),
}

impl Ask {
    /// What it is for: all but a new one change or remove rows that are there.
    pub(super) fn class(&self) -> Class {
        if matches!(self, Self::Issue { .. }) { Class::Ordinary } else { Class::Upkeep }
    }

    /// About how many rows it touches.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Keep { held, .. } | Self::Release { held, .. } => held.len().max(1),
            Self::Issue { .. } | Self::Open { .. } | Self::Revoke { .. } => 1,
        }
    }
}

/// Carries one call out, inside of the caller's transaction.
pub(super) fn carry_out(conn: &Connection, ask: &Ask) -> rusqlite::Result<Told> {
    match ask {
        Ask::Issue { token, now_ms } => {
            purge(conn, *now_ms)?;
            Ok(Told::Issued(issue(conn, token, *now_ms)?))
        }
        Ask::Open { held, keep_ms, now_ms } => Ok(Told::Opened(open(conn, *held, *keep_ms, *now_ms)?)),
        Ask::Keep { held, keep_ms, now_ms } => {
            purge(conn, *now_ms)?;
            let kept = held.iter().map(|held| keep(conn, *held, *keep_ms, *now_ms));
            Ok(Told::Kept(kept.collect::<rusqlite::Result<_>>()?))
        }
        Ask::Release { held, now_ms } => {
            held.iter().try_for_each(|held| release(conn, *held, *now_ms))?;
            Ok(Told::Released)
        }
        Ask::Revoke { which, now_ms } => Ok(Told::Revoked(revoke(conn, which, *now_ms)?)),
    }
}

/// What a token is good for, if a stream may open it.
pub(super) fn find(conn: &Connection, digest: Digest, now_ms: i64) -> rusqlite::Result<Option<TokenRecord>> {
    let mut find = conn.prepare_cached(
        "SELECT record FROM stream_tokens
         WHERE digest = ?1 AND expires_at_ms > ?2 AND NOT (single_use = 1 AND opened = 1)",
    )?;
    let json = find.query_row((digest, now_ms), |row| row.get::<_, String>(0)).optional()?;
    Ok(json.and_then(|json| read(digest, &json)))
}

/// A record that can't be read is of a hub of the future: it is no token here.
fn read(digest: Digest, json: &str) -> Option<TokenRecord> {
    let record = TokenRecord::from_json(digest, json);
    if record.is_none() {
        tracing::error!("what is kept of a stream token can't be read");
    }
    record
}

fn issue(conn: &Connection, token: &NewToken, now_ms: i64) -> rusqlite::Result<bool> {
    let NewToken { own, within, record } = token;
    let (Some(proof), Some(json)) = (record.proof(), record.to_json()) else { return Ok(false) };
    for (bound, column) in within.iter().map(|within| (within, "within")).chain([(own, "parent")]) {
        let count =
            format!("SELECT count(*) FROM stream_tokens WHERE {column} = ?1 AND opened = 0 AND expires_at_ms > ?2");
        let outstanding: i64 = conn.prepare_cached(&count)?.query_row((bound.of.0, now_ms), |row| row.get(0))?;
        if usize::try_from(outstanding).unwrap_or(usize::MAX) >= bound.outstanding_max {
            return Ok(false);
        }
    }
    let principal = &record.principal;
    let (jti, key) = match &proof.parent {
        Proof::Key(_) => (None, Some(proof.issuer.as_ref().unwrap_or(&principal.sub))),
        Proof::Main { jti, .. } => (jti.as_deref(), None),
        Proof::Stream(_) => (None, None),
    };
    let ends_at_ms = principal.expires_at_ms;
    let mut insert = conn.prepare_cached(
        "INSERT INTO stream_tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, NULL, ?13)",
    )?;
    insert.execute((
        proof.digest,
        own.of.0,
        principal.scope.tenant.as_str(),
        principal.scope.env.as_str(),
        &*principal.sub,
        jti,
        key.map(|key| &**key),
        json,
        record.single_use,
        record.ttl_ms,
        ends_at_ms,
        now_ms.saturating_add(record.ttl_ms).min(ends_at_ms),
        within.map(|within| within.of.0),
    ))?;
    Ok(true)
}

fn open(conn: &Connection, held: Held, keep_ms: i64, now_ms: i64) -> rusqlite::Result<Option<Opened>> {
    let stream = held.stream.0.as_bytes();
    let mut find = conn.prepare_cached(
        "SELECT record, stream FROM stream_tokens
         WHERE digest = ?1 AND expires_at_ms > ?2 AND NOT (single_use = 1 AND opened = 1 AND stream IS NOT ?3)",
    )?;
    let found = find.query_row((held.digest, now_ms, stream), |row| Ok((row.get::<_, String>(0)?, stream_of(row, 1)?)));
    let Some((json, before)) = found.optional()? else { return Ok(None) };
    let Some(record) = read(held.digest, &json) else { return Ok(None) };
    let mut give = conn.prepare_cached(
        "UPDATE stream_tokens SET opened = 1, stream = ?2, expires_at_ms = min(?3 + ttl_ms, ends_at_ms) WHERE digest = ?1",
    )?;
    give.execute((held.digest, stream, now_ms.saturating_add(keep_ms)))?;
    Ok(Some(Opened { record, before: before.filter(|before| *before != held.stream) }))
}

fn stream_of(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<StreamId>> {
    let bytes: Option<[u8; 16]> = row.get(index)?;
    Ok(bytes.map(|bytes| StreamId(Uuid::from_bytes(bytes))))
}

fn keep(conn: &Connection, held: Held, keep_ms: i64, now_ms: i64) -> rusqlite::Result<Kept> {
    let mut keep = conn.prepare_cached(
        "UPDATE stream_tokens SET expires_at_ms = min(?3 + ttl_ms, ends_at_ms)
         WHERE digest = ?1 AND stream = ?2 AND ends_at_ms > ?4",
    )?;
    let lives = keep.execute((held.digest, held.stream.0.as_bytes(), now_ms.saturating_add(keep_ms), now_ms))?;
    if lives > 0 {
        return Ok(Kept::Lives);
    }
    let mut find = conn.prepare_cached(
        "SELECT 1 FROM stream_tokens
         WHERE digest = ?1 AND CASE WHEN stream IS NULL THEN expires_at_ms ELSE ends_at_ms END > ?2",
    )?;
    Ok(if find.exists((held.digest, now_ms))? { Kept::Taken } else { Kept::Gone })
}

fn release(conn: &Connection, held: Held, now_ms: i64) -> rusqlite::Result<()> {
    let stream = held.stream.0.as_bytes();
    let mut used =
        conn.prepare_cached("DELETE FROM stream_tokens WHERE digest = ?1 AND stream = ?2 AND single_use = 1")?;
    if used.execute((held.digest, stream))? > 0 {
        return Ok(());
    }
    let mut release = conn.prepare_cached(
        "UPDATE stream_tokens SET stream = NULL, expires_at_ms = min(?3 + ttl_ms, ends_at_ms)
         WHERE digest = ?1 AND stream = ?2 AND ends_at_ms > ?3",
    )?;
    release.execute((held.digest, stream, now_ms))?;
    Ok(())
}

fn revoke(conn: &Connection, which: &Revoke, now_ms: i64) -> rusqlite::Result<Vec<Digest>> {
    let (of, scope, name) = match which {
        Revoke::Token(digest) => return remove(conn, "digest = ?1", [digest], now_ms),
        Revoke::Sub(scope, sub, ..) => ("sub", scope, sub),
        Revoke::Jti(scope, jti, _) => ("jti", scope, jti),
        Revoke::Key(scope, key) => ("key", scope, key),
    };
    let (authority, made_until_ms) = which.reach();
    let roles: Vec<_> = Role::ALL.iter().filter(|role| **role <= authority).map(|role| role.as_str()).collect();
    // Role and time are those of the record: there is no second place where they could be others.
    let of = format!(
        "{of} = ?1 AND tenant = ?2 AND env = ?3 AND instr(?4, ' ' || (record ->> 'role') || ' ') > 0
         AND record ->> 'issued_at_ms' <= ?5"
    );
    let roles = format!(" {} ", roles.join(" "));
    remove(conn, &of, (&**name, scope.tenant.as_str(), scope.env.as_str(), roles, made_until_ms), now_ms)
}

fn remove(conn: &Connection, of: &str, params: impl Params, now_ms: i64) -> rusqlite::Result<Vec<Digest>> {
    let sql = format!(
        "DELETE FROM stream_tokens WHERE {of}
         RETURNING digest, CASE WHEN stream IS NULL THEN expires_at_ms ELSE ends_at_ms END"
    );
    let mut remove = conn.prepare_cached(&sql)?;
    let gone = remove.query_map(params, |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    let gone = gone.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut gone: Vec<Digest> =
        gone.into_iter().filter(|(_, kept_until_ms)| *kept_until_ms > now_ms).map(|(digest, _)| digest).collect();
    gone.sort_unstable();
    Ok(gone)
}

fn purge(conn: &Connection, now_ms: i64) -> rusqlite::Result<()> {
    for gone in
        ["stream IS NULL AND expires_at_ms <= ?1 ORDER BY expires_at_ms", "ends_at_ms <= ?1 ORDER BY ends_at_ms"]
    {
        let mut purge = conn.prepare_cached(&format!(
            "DELETE FROM stream_tokens WHERE digest IN (SELECT digest FROM stream_tokens WHERE {gone} LIMIT ?2)"
        ))?;
        purge.execute((now_ms, PURGED_ROWS_MAX))?;
    }
    Ok(())
}

impl SqliteStore {
    /// Asks the writer, and takes from the answer what was asked for.
    fn tokens<T: Send + 'static>(
        &self,
        ask: Ask,
        take: impl FnOnce(Told) -> Option<T> + Send + 'static,
    ) -> PortFuture<Result<T, Unavailable>> {
        let asked = self.0.command(|answer| Command::Tokens { ask, answer });
        Box::pin(async move { take(asked.answer().await?).ok_or_else(|| "the answer is to another question".into()) })
    }
}

impl StreamTokens for SqliteStore {
    fn issue(&self, token: NewToken, now_ms: i64) -> PortFuture<Result<(), IssueError>> {
        let issued = self.tokens(Ask::Issue { token: Box::new(token), now_ms }, |told| match told {
            Told::Issued(issued) => Some(issued),
            _ => None,
        });
        Box::pin(async move { if issued.await? { Ok(()) } else { Err(IssueError::Outstanding) } })
    }

    fn find(&self, digest: Digest, now_ms: i64) -> PortFuture<Result<Option<TokenRecord>, Unavailable>> {
        Box::pin(self.0.question(|answer| Question::Token { digest, now_ms, answer }).answer())
    }

    fn open(&self, held: Held, keep_ms: i64, now_ms: i64) -> PortFuture<Result<Option<Opened>, Unavailable>> {
        self.tokens(Ask::Open { held, keep_ms, now_ms }, |told| match told {
            Told::Opened(opened) => Some(opened),
            _ => None,
        })
    }

    fn keep(&self, held: Vec<Held>, keep_ms: i64, now_ms: i64) -> PortFuture<Result<Vec<Kept>, Unavailable>> {
        self.tokens(Ask::Keep { held, keep_ms, now_ms }, |told| match told {
            Told::Kept(kept) => Some(kept),
            _ => None,
        })
    }

    fn release(&self, held: Vec<Held>, now_ms: i64) -> PortFuture<Result<(), Unavailable>> {
        self.tokens(Ask::Release { held, now_ms }, |told| matches!(told, Told::Released).then_some(()))
    }

    fn revoke(&self, which: Revoke, now_ms: i64) -> PortFuture<Result<Vec<Digest>, Unavailable>> {
        self.tokens(Ask::Revoke { which, now_ms }, |told| match told {
            Told::Revoked(gone) => Some(gone),
            _ => None,
        })
    }

    fn notices(&self) -> Option<mpsc::Receiver<Notice>> {
        None
    }
}
