//! What is said of identities beside their tokens: how a change of it is kept, inside the writer's transaction, and how all
//! of it is read when a hub starts.
//!
//! Nothing here decides whether a change may be made.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row};
use tambour_actors::principal::{ActorType, Digest, Permission, Permissions, Role};
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::rows::unreadable;
use super::{endings, kill_switches};
use crate::admission::standing::change::{Change, KEPT_BEHIND_MS, Order, Revocation, Revoked, State};
use crate::identity::service_key::{Rotated, ServiceKey};

const PUT_KEY: &str = "
    INSERT OR REPLACE INTO service_keys (tenant, env, id, name, actor_type, role, permissions, expires_at_ms, created_by,
        created_at_ms, digest, rotated_at_ms, before, before_until_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
const KEYS: &str = "
    SELECT tenant, env, id, name, actor_type, role, permissions, expires_at_ms, created_by, created_at_ms, digest,
        rotated_at_ms, before, before_until_ms FROM service_keys";
const PUT_PRINCIPAL: &str = "
    INSERT OR REPLACE INTO principals (tenant, env, sub, state, role, authority, changed_by, changed_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const PRINCIPALS: &str = "SELECT tenant, env, sub, state, role, authority, changed_by, changed_at_ms FROM principals";
/// A clock that went back revokes nothing less than before, nor does a nearer expiry: `max` of a NULL, for ever, is NULL.
const REVOKE: &str = "
    INSERT INTO revocations (tenant, env, kind, name, authority, revoked_at_ms, expires_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT DO UPDATE SET revoked_at_ms = max(revoked_at_ms, excluded.revoked_at_ms),
        expires_at_ms = max(expires_at_ms, excluded.expires_at_ms)";
const REVOCATIONS: &str = "SELECT tenant, env, kind, name, authority, revoked_at_ms, expires_at_ms FROM revocations";
/// Those whose tokens are over by themselves, some at a time.
const FORGET: &str = "
    DELETE FROM revocations WHERE (tenant, env, kind, name, authority) IN
    (SELECT tenant, env, kind, name, authority FROM revocations WHERE expires_at_ms < ?1 ORDER BY expires_at_ms LIMIT ?2)";
/// Revocations that one change forgets: more than it brings, so that they become fewer.
const FORGOTTEN_ROWS_MAX: i64 = 64;

/// Keeps a change, and with it the order to end stream tokens that it comes to.
pub(super) fn keep(conn: &Connection, change: &Change) -> rusqlite::Result<()> {
    let scope = change.scope();
    let (tenant, env) = (scope.tenant.as_str(), scope.env.as_str());
    match change {
        Change::PutKey(key) => put_key(conn, key)?,
        Change::RemoveKey(_, id) => {
            let mut remove =
                conn.prepare_cached("DELETE FROM service_keys WHERE tenant = ?1 AND env = ?2 AND id = ?3")?;
            remove.execute((tenant, env, &**id))?;
        }
        Change::PutPrincipal(_, sub, order) => {
            conn.prepare_cached(PUT_PRINCIPAL)?.execute((
                tenant,
                env,
                &**sub,
                order.state.as_str(),
                order.role.map(Role::as_str),
                order.authority.as_str(),
                &*order.changed_by,
                order.changed_at_ms,
            ))?;
        }
        Change::RemovePrincipal(_, sub) => {
            let mut remove =
                conn.prepare_cached("DELETE FROM principals WHERE tenant = ?1 AND env = ?2 AND sub = ?3")?;
            remove.execute((tenant, env, &**sub))?;
        }
        Change::Revoke(_, revoked, Revocation { authority, at_ms, expires_at_ms }) => {
            let mut forget = conn.prepare_cached(FORGET)?;
            forget.execute((at_ms.saturating_sub(KEPT_BEHIND_MS), FORGOTTEN_ROWS_MAX))?;
            let (kind, name) = match revoked {
                Revoked::Jti(jti) => ("jti", jti),
                Revoked::Sub(sub) => ("sub", sub),
            };
            let row = (tenant, env, kind, &**name, authority.as_str(), at_ms, expires_at_ms);
            conn.prepare_cached(REVOKE)?.execute(row)?;
        }
        Change::PutKillSwitch(scope, put) => kill_switches::put(conn, scope, put)?,
    }
    change.ends_tokens().map_or(Ok(()), |which| endings::add(conn, &which))
}

/// What is said of the same until now, as the change that made it; `None`: nothing, or a revocation, which takes nothing back.
pub(super) fn before(conn: &Connection, change: &Change) -> rusqlite::Result<Option<Change>> {
    let scope = change.scope();
    let (tenant, env) = (scope.tenant.as_str(), scope.env.as_str());
    let (known, read, id) = match change {
        Change::PutKillSwitch(..) => {
            let sql = format!("{} WHERE tenant = ?1 AND env = ?2", kill_switches::ALL);
            return conn.prepare_cached(&sql)?.query_row((tenant, env), kill_switches::read).optional();
        }
        Change::PutKey(put) => (KEYS, key as Read, &put.id),
        Change::RemoveKey(_, id) => (KEYS, key as Read, id),
        Change::PutPrincipal(_, sub, _) | Change::RemovePrincipal(_, sub) => (PRINCIPALS, principal as Read, sub),
        Change::Revoke(..) => return Ok(None),
    };
    let column = if known == KEYS { "id" } else { "sub" };
    let sql = format!("{known} WHERE tenant = ?1 AND env = ?2 AND {column} = ?3");
    let mut found = conn.prepare_cached(&sql)?;
    found.query_row((tenant, env, &**id), read).optional()
}

fn put_key(conn: &Connection, key: &ServiceKey) -> rusqlite::Result<()> {
    let permissions: Vec<_> = key.permissions.iter().map(Permission::as_str).collect();
    let rotated = key.rotated.as_ref();
    conn.prepare_cached(PUT_KEY)?.execute(rusqlite::params![
        key.scope.tenant.as_str(),
        key.scope.env.as_str(),
        &*key.id,
        key.name,
        key.actor_type.as_str(),
        key.role.as_str(),
        permissions.join(" "),
        key.expires_at_ms,
        &*key.created_by,
        key.created_at_ms,
        key.digest,
        rotated.map(|rotated| rotated.at_ms),
        rotated.map(|rotated| rotated.before),
        rotated.map(|rotated| rotated.before_until_ms),
    ])?;
    Ok(())
}

/// Reads a row as the change that makes it.
type Read = fn(&Row<'_>) -> rusqlite::Result<Change>;

/// Everything that is kept.
pub(super) fn kept(conn: &Connection) -> rusqlite::Result<Vec<Change>> {
    let mut all = Vec::new();
    let all_of = [
        (KEYS, key as Read),
        (PRINCIPALS, principal),
        (REVOCATIONS, revocation),
        (kill_switches::ALL, kill_switches::read),
    ];
    for (sql, read) in all_of {
        for change in conn.prepare_cached(sql)?.query_map([], read)? {
            all.push(change?);
        }
    }
    Ok(all)
}

pub(super) fn scope(row: &Row<'_>) -> rusqlite::Result<Scope> {
    let tenant = Tenant::parse(row.get_ref(0)?.as_str()?).map_err(|_| unreadable(0, "not a tenant"))?;
    let env = Env::parse(row.get_ref(1)?.as_str()?).map_err(|_| unreadable(1, "not an env"))?;
    Ok(Scope { tenant, env })
}

/// A column of one of a few texts.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize, parse: impl FnOnce(&str) -> Option<T>) -> rusqlite::Result<T> {
    parse(row.get_ref(column)?.as_str()?).ok_or_else(|| unreadable(column, "none of the texts that it can be"))
}

pub(super) fn shared(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<str>> {
    Ok(row.get_ref(column)?.as_str()?.into())
}

fn key(row: &Row<'_>) -> rusqlite::Result<Change> {
    let rotated = match row.get::<_, Option<Digest>>(12)? {
        Some(before) => Some(Rotated { at_ms: row.get(11)?, before, before_until_ms: row.get(13)? }),
        None => None,
    };
    // A permission that this hub does not know any more gives nothing.
    let permissions: Permissions = row.get_ref(6)?.as_str()?.split(' ').filter_map(Permission::parse).collect();
    Ok(Change::PutKey(Box::new(ServiceKey {
        id: shared(row, 2)?,
        scope: scope(row)?,
        name: row.get(3)?,
        actor_type: parsed(row, 4, ActorType::parse)?,
        role: parsed(row, 5, Role::parse)?,
        permissions,
        expires_at_ms: row.get(7)?,
        created_by: shared(row, 8)?,
        created_at_ms: row.get(9)?,
        digest: row.get(10)?,
        rotated,
    })))
}

fn principal(row: &Row<'_>) -> rusqlite::Result<Change> {
    let role: Option<String> = row.get(4)?;
    let role = role.map(|role| Role::parse(&role).ok_or_else(|| unreadable(4, "not a role"))).transpose()?;
    let order = Order {
        state: parsed(row, 3, State::parse)?,
        role,
        authority: parsed(row, 5, Role::parse)?,
        changed_by: shared(row, 6)?,
        changed_at_ms: row.get(7)?,
    };
    Ok(Change::PutPrincipal(scope(row)?, shared(row, 2)?, order))
}

fn revocation(row: &Row<'_>) -> rusqlite::Result<Change> {
    let name = shared(row, 3)?;
    let revoked = parsed(row, 2, |kind| match kind {
        "jti" => Some(Revoked::Jti(name)),
        "sub" => Some(Revoked::Sub(name)),
        _ => None,
    })?;
    let revocation =
        Revocation { authority: parsed(row, 4, Role::parse)?, at_ms: row.get(5)?, expires_at_ms: row.get(6)? };
    Ok(Change::Revoke(scope(row)?, revoked, revocation))
}
