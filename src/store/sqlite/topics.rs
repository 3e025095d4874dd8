//! Changes of topics: what the writer does to their table, inside of its transaction. A deleted topic's log is only noted:
//! `wipe` takes its events away.

use rusqlite::Connection;
use tambour_actors::log::{ChangeError, CreateError, LogId, Member, NewTopic, TopicChange, TopicRecord};
use tambour_actors::topic_key::TopicKey;

use super::rows;

const CREATE: &str = "
    INSERT INTO topics (tenant, env, kind, topic, creator, title, visibility, members, incarnation, created_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (tenant, env, kind, topic) DO NOTHING";

const REMEMBER: &str = "
    INSERT INTO deleted_topics (log, tenant, env, kind, topic, creator, title, visibility, members, incarnation, created_at_ms)
    SELECT id, tenant, env, kind, topic, creator, title, visibility, members, incarnation, created_at_ms FROM topics
    WHERE id = ?1";

fn members_text(members: &[Member]) -> rusqlite::Result<String> {
    rows::members_text(members).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

pub(super) fn create(conn: &Connection, topic: &NewTopic) -> rusqlite::Result<Result<TopicRecord, CreateError>> {
    let key = &topic.key;
    let inserted = conn.prepare_cached(CREATE)?.execute((
        key.tenant().as_str(),
        key.env().as_str(),
        key.kind().as_str(),
        key.id(),
        &*topic.creator,
        &topic.title,
        topic.visibility.as_str(),
        members_text(&topic.members)?,
        topic.incarnation.0.cast_signed(),
        topic.created_at_ms,
    ))?;
    if inserted == 0 {
        return Ok(Err(CreateError::Exists));
    }
    Ok(Ok(TopicRecord { log: LogId(conn.last_insert_rowid()), topic: topic.clone() }))
}

/// A topic that was changed.
pub(super) struct Changed {
    pub(super) before: NewTopic,
    pub(super) after: TopicRecord,
}

pub(super) fn change(
    conn: &Connection,
    key: &TopicKey,
    change: &TopicChange,
) -> rusqlite::Result<Result<Option<Changed>, ChangeError>> {
    let Some(mut record) = rows::find(conn, key)? else { return Ok(Ok(None)) };
    let before = record.topic.clone();
    if let Err(refused) = change.apply(&mut record.topic) {
        return Ok(Err(refused));
    }
    let topic = &record.topic;
    let members = members_text(&topic.members)?;
    conn.prepare_cached("UPDATE topics SET title = ?2, visibility = ?3, members = ?4 WHERE id = ?1")?.execute((
        record.log.0,
        &topic.title,
        topic.visibility.as_str(),
        members,
    ))?;
    Ok(Ok(Some(Changed { before, after: record })))
}

/// Takes a topic away. What rights there were stays known.
pub(super) fn delete(conn: &Connection, record: &TopicRecord) -> rusqlite::Result<()> {
    for sql in [REMEMBER, "DELETE FROM topics WHERE id = ?1", "INSERT INTO deleted_logs VALUES (?1)"] {
        conn.prepare_cached(sql)?.execute([record.log.0])?;
    }
    Ok(())
}
