//! Verifying the audits in a file: of a hub that runs, or of one that is stopped. It changes nothing.

use std::path::Path;

use rusqlite::Connection;
use tambour_actors::topic_key::{Env, Scope, Tenant};

use super::audit::{self, AuditPage, AuditQuery};
use super::copy::{CopyError, Owner, source};
use super::{FILE_NAME, schema};
use crate::audit::chain::{Bad, Expected, Verifier};

/// Entries that are read at once.
const PAGE: usize = 500;

/// What was found of one tenant and env.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The tenant, as it is in the file.
    pub tenant: String,
    /// The env, likewise.
    pub env: String,
    /// How many entries are good.
    pub entries: u64,
    /// The hash of the last of them.
    pub hash: String,
    /// What is wrong first; `None`: nothing.
    pub bad: Option<Bad>,
}

/// Verifies the audits in a data directory, and looks for an entry that is expected where there is one chain or where a tenant
/// and env are named.
///
/// # Errors
/// [`CopyError`]: the file can't be read.
pub fn verify(dir: &Path, only: Option<&Scope>, expected: Option<&Expected>) -> Result<Vec<Verified>, CopyError> {
    let conn = source(&dir.join(FILE_NAME), Owner::Hub)?;
    // It reads, and tidies up the files beside it when it is the last to leave.
    conn.pragma_update(None, "query_only", true)?;
    if schema::version(&conn)? < schema::MIGRATIONS.len() {
        return Err(CopyError::Damaged {
            path: dir.join(FILE_NAME),
            what: "it is of an older Tambour: start a hub on it first".into(),
        });
    }
    let named = match only {
        Some(scope) => vec![(scope.tenant.to_string(), scope.env.to_string())],
        None => audit::scopes(&conn)?,
    };
    named.into_iter().map(|(tenant, env)| one(&conn, tenant, env, expected)).collect()
}

fn one(conn: &Connection, tenant: String, env: String, expected: Option<&Expected>) -> Result<Verified, CopyError> {
    let (Ok(parsed), Ok(parsed_env)) = (Tenant::parse(&tenant), Env::parse(&env)) else {
        let bad = Bad { seq: 1, why: "this is no tenant and env".into() };
        return Ok(Verified { tenant, env, entries: 0, hash: String::new(), bad: Some(bad) });
    };
    let scope = Scope { tenant: parsed, env: parsed_env };
    let mut verifier = Verifier::new(scope.clone());
    // What a hub writes meanwhile is not looked at.
    let read = conn.unchecked_transaction()?;
    let mut walk = || -> Result<Option<Bad>, CopyError> {
        loop {
            let after = Some(begin(&verifier));
            let page = audit::page(&read, &scope, &AuditQuery { after, limit: PAGE, ..AuditQuery::default() })?;
            if let Err(bad) = push(&mut verifier, &page, expected) {
                return Ok(Some(bad));
            }
            if page.rows.len() < PAGE {
                return Ok(verifier.finish(&page.head, expected).err());
            }
        }
    };
    let bad = walk()?;
    Ok(Verified { tenant, env, entries: verifier.entries(), hash: verifier.hash(), bad })
}

/// Behind which row the next page begins. No entry has a seq below 1; a row that has one is found first.
fn begin(verifier: &Verifier) -> i64 {
    match verifier.entries() {
        0 => i64::MIN,
        seq => seq.cast_signed(),
    }
}

fn push(verifier: &mut Verifier, page: &AuditPage, expected: Option<&Expected>) -> Result<(), Bad> {
    page.rows.iter().try_for_each(|row| {
        verifier.push(row)?;
        verifier.expect(expected)
    })
}
