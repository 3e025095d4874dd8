//! The routes of the audit: entries by what they say, and whether their chain is whole.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use tambour_actors::log::Unavailable;

use super::export;
use super::model::{AuditHeadShown, AuditVerdict, ListQuery};
use crate::admission::{Caller, gate};
use crate::audit::chain::{Bad, Verifier};
use crate::audit::entry::shown;
use crate::problem::Problem;
use crate::store::sqlite::AuditQuery;

/// Entries that are verified at once: between two pages others are read for.
const PAGE: usize = 500;

fn unavailable(caller: &Caller, error: &Unavailable) -> Problem {
    caller.problem(gate::unavailable(error))
}

/// `GET /v1/audit`: the newest first.
///
/// # Errors
/// What admission refuses, `query.invalid`, `store.unavailable`.
pub async fn list(caller: Caller, query: web::Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let query = query.into_inner().list().map_err(|refusal| caller.problem(refusal))?;
    let limit = query.limit - 1;
    let page = caller.ground().store.audit(caller.scope(), query).await;
    let rows = page.map_err(|error| unavailable(&caller, &error))?.rows;
    let entries: Vec<_> = rows.iter().take(limit).map(|row| shown(&row.entry, &row.hash)).collect();
    let body = format!("{{\"entries\":[{}],\"has_more\":{}}}", entries.join(","), rows.len() > limit);
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}

/// `GET /v1/audit/verify`: up to the entry that is the newest when it begins.
///
/// # Errors
/// What admission refuses, `store.unavailable`.
pub async fn verify(caller: Caller) -> Result<HttpResponse, Problem> {
    let mut verifier = Verifier::new(caller.scope().clone());
    let bad = walk(&caller, &mut verifier).await.map_err(|error| unavailable(&caller, &error))?;
    let (first_bad, why) = bad.map(|bad| (bad.seq, bad.why)).unzip();
    let head = AuditHeadShown { seq: verifier.entries(), hash: verifier.hash() };
    let verdict = AuditVerdict { ok: first_bad.is_none(), entries: verifier.entries(), head, first_bad, why };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(verdict))
}

/// What is wrong first. Each page is a snapshot of its own; the end is that of the first.
async fn walk(caller: &Caller, verifier: &mut Verifier) -> Result<Option<Bad>, Unavailable> {
    let (mut after, mut end) = (i64::MIN, None);
    loop {
        let query = AuditQuery { after: Some(after), limit: PAGE, ..AuditQuery::default() };
        let page = caller.ground().store.audit(caller.scope(), query).await?;
        let (last, head) = end.get_or_insert((page.last, page.head));
        for row in page.rows.iter().filter(|row| row.seq <= *last) {
            if let Err(bad) = verifier.push(row) {
                return Ok(Some(bad));
            }
        }
        after = verifier.entries().cast_signed();
        if page.rows.len() < PAGE || after >= *last {
            return Ok(verifier.finish(head, None).err());
        }
    }
}

/// `GET /v1/audit/export`: every entry that is asked for, the oldest first, as a file.
///
/// # Errors
/// What admission refuses, `query.invalid`, `store.unavailable`.
pub async fn export(caller: Caller, query: web::Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let (format, query) = query.into_inner().file().map_err(|refusal| caller.problem(refusal))?;
    let file = export::File::open(caller.ground().store.clone(), caller.scope().clone(), format, query).await;
    Ok(file.map_err(|error| unavailable(&caller, &error))?.answer())
}
