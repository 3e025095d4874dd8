//! Rows to values and back: topics, the ends of a log. Events are read by `pages`.
//!
//! This file never starts a transaction; whoever calls decides which snapshot is read.

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row};
use serde::{Deserialize, Serialize};
use tambour_actors::cursor::Incarnation;
use tambour_actors::event::Seq;
use tambour_actors::log::{Bounds, LogId, Member, NewTopic, TopicQuery, TopicRecord, Visibility};
use tambour_actors::topic_key::{Env, Scope, Tenant, TopicKey, TopicKind};

/// The ends of a log: no row when it has no event, or is deleted. The whole is three index seeks.
pub(super) const BOUNDS: &str = "
    SELECT newest.seq, newest.type = 'closed', (SELECT min(seq) FROM events WHERE log = ?1)
    FROM events AS newest
    WHERE newest.log = ?1 AND NOT EXISTS (SELECT 1 FROM deleted_logs WHERE log = ?1)
    ORDER BY newest.seq DESC LIMIT 1";
const FIND: &str = "
    SELECT id, creator, title, visibility, members, incarnation, created_at_ms, topic FROM topics
    WHERE tenant = ?1 AND env = ?2 AND kind = ?3 AND topic = ?4";
const LIST: &str = "
    SELECT id, creator, title, visibility, members, incarnation, created_at_ms, topic FROM topics
    WHERE tenant = ?1 AND env = ?2 AND kind = ?3 AND topic > ?4 ORDER BY topic";

/// What SQLite calls a seq. A client can ask for any 64 bits; no log gets that far.
pub(super) fn sql_seq(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

pub(super) fn unreadable(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
}

pub(super) fn seq_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Seq> {
    Seq::try_from(row.get_ref(column)?.as_i64()?).map_err(|_| unreadable(column, "a negative seq"))
}

/// The ends of `log`.
pub(super) fn bounds(conn: &Connection, log: LogId) -> rusqlite::Result<Bounds> {
    let mut statement = conn.prepare_cached(BOUNDS)?;
    let found = statement
        .query_row([log.0], |row| Ok(Bounds { head: seq_at(row, 0)?, closed: row.get(1)?, oldest: seq_at(row, 2)? }))
        .optional()?;
    Ok(found.unwrap_or(Bounds::EMPTY))
}

/// A member as it stands in the `members` column.
#[derive(Serialize, Deserialize)]
struct MemberText<'t> {
    #[serde(borrow)]
    sub: std::borrow::Cow<'t, str>,
    write: bool,
}

/// The `members` column of a topic.
pub(super) fn members_text(members: &[Member]) -> Result<String, serde_json::Error> {
    let texts = members.iter().map(|member| MemberText { sub: (&*member.sub).into(), write: member.can_write });
    serde_json::to_string(&texts.collect::<Vec<_>>())
}

pub(super) fn members_of(text: &str) -> Result<Vec<Member>, serde_json::Error> {
    let texts: Vec<MemberText<'_>> = serde_json::from_str(text)?;
    Ok(texts.into_iter().map(|member| Member { sub: member.sub.into(), can_write: member.write }).collect())
}

fn record_of(scope: &Scope, kind: TopicKind, row: &Row<'_>) -> rusqlite::Result<TopicRecord> {
    let key = TopicKey::new(scope, kind, row.get_ref(7)?.as_str()?);
    let topic = NewTopic {
        key: key.map_err(|_| unreadable(7, "not a topic's id"))?,
        creator: row.get_ref(1)?.as_str()?.into(),
        title: row.get(2)?,
        visibility: Visibility::parse(row.get_ref(3)?.as_str()?).ok_or_else(|| unreadable(3, "not a visibility"))?,
        members: members_of(row.get_ref(4)?.as_str()?).map_err(|_| unreadable(4, "not a list of members"))?,
        incarnation: Incarnation(row.get::<_, i64>(5)?.cast_unsigned()),
        created_at_ms: row.get(6)?,
    };
    Ok(TopicRecord { log: LogId(row.get(0)?), topic })
}

/// The topic of that name.
pub(super) fn find(conn: &Connection, key: &TopicKey) -> rusqlite::Result<Option<TopicRecord>> {
    let mut statement = conn.prepare_cached(FIND)?;
    let name = (key.tenant().as_str(), key.env().as_str(), key.kind().as_str(), key.id());
    statement.query_row(name, |row| record_of(&key.scope(), key.kind(), row)).optional()
}

const OF_LOG: &str = "
    SELECT id, creator, title, visibility, members, incarnation, created_at_ms, topic, kind, tenant, env FROM topics
    WHERE id = ?1";
const OF_DELETED_LOG: &str = "
    SELECT log, creator, title, visibility, members, incarnation, created_at_ms, topic, kind, tenant, env
    FROM deleted_topics WHERE log = ?1";

/// Whether a topic that is gone is looked for, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// As it was at the end.
    Known,
    /// It is none.
    Unknown,
}

/// The topic that a log belongs to.
pub(super) fn of_log(conn: &Connection, log: LogId, gone: Gone) -> rusqlite::Result<Option<TopicRecord>> {
    let read = |row: &Row<'_>| {
        let kind = TopicKind::parse(row.get_ref(8)?.as_str()?).ok_or_else(|| unreadable(8, "not a kind of topic"))?;
        record_of(&scope_at(row, 9)?, kind, row)
    };
    let found = conn.prepare_cached(OF_LOG)?.query_row([log.0], read).optional()?;
    if found.is_some() || gone == Gone::Unknown {
        return Ok(found);
    }
    conn.prepare_cached(OF_DELETED_LOG)?.query_row([log.0], read).optional()
}

/// A tenant, and an env in the column behind it.
pub(super) fn scope_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Scope> {
    let tenant = Tenant::parse(row.get_ref(column)?.as_str()?).map_err(|_| unreadable(column, "not a tenant"))?;
    let env = Env::parse(row.get_ref(column + 1)?.as_str()?).map_err(|_| unreadable(column + 1, "not an env"))?;
    Ok(Scope { tenant, env })
}

/// The topics of `scope` that `query` asks for, ascending by id.
pub(super) fn list(conn: &Connection, scope: &Scope, query: &TopicQuery) -> rusqlite::Result<Vec<TopicRecord>> {
    let mut statement: CachedStatement<'_> = conn.prepare_cached(LIST)?;
    // No id is empty, so the empty text is before all of them.
    let after = query.after_id.as_deref().unwrap_or("");
    let mut rows = statement.query((scope.tenant.as_str(), scope.env.as_str(), query.kind.as_str(), after))?;
    let mut found = Vec::new();
    while found.len() < query.limit {
        let Some(row) = rows.next()? else { break };
        let record = record_of(scope, query.kind, row)?;
        let visible = query.visible_to.as_ref().is_none_or(|who| who.sees(&record.topic));
        if visible {
            found.push(record);
        }
    }
    Ok(found)
}
