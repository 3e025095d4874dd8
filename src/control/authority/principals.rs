//! The routes of what is said of principals, and of revocations.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use tambour_actors::refusal::Code;

use super::model::{PutPrincipal, Revoke, ShownPrincipal, ShownRevocation};
use crate::admission::Caller;
use crate::admission::standing::change::Change;
use crate::identity::subject;
use crate::problem::Problem;
use crate::transport::body;

/// `GET /v1/principals/{sub}`: also of somebody of whom nothing is said.
///
/// # Errors
/// What admission refuses, `name.invalid`.
pub async fn get(caller: Caller, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let sub: Arc<str> = sub(&caller, &request)?;
    Ok(show(&caller, &sub))
}

/// `PUT /v1/principals/{sub}`: in force, for who is connected too, before it is answered.
///
/// # Errors
/// What admission refuses, `name.invalid`, `body.*`, `permission.denied`, `key.unknown`, `limit.authority`, `store.*`.
pub async fn put(caller: Caller, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let sub = sub(&caller, &request)?;
    let read = body::read(&caller, &request, payload, body::BODY_BYTES_MAX).await;
    let asked = read.and_then(|body| body::parse::<PutPrincipal>(&body)).and_then(|asked| asked.wish(sub.clone()));
    let wish = asked.map_err(|refusal| caller.problem(refusal))?;
    let changed = caller.ground().administer(&caller.principal, caller.deed(), wish).await;
    changed.map_err(|refusal| caller.problem(refusal))?;
    Ok(show(&caller, &sub))
}

/// `POST /v1/revocations`
///
/// # Errors
/// What admission refuses, `body.*`, `limit.authority`, `store.*`.
pub async fn revoke(caller: Caller, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let read = body::read(&caller, &request, payload, body::BODY_BYTES_MAX).await;
    let asked = read.and_then(|body| body::parse::<Revoke>(&body)).and_then(Revoke::wish);
    let wish = asked.map_err(|refusal| caller.problem(refusal))?;
    let changed = caller.ground().administer(&caller.principal, caller.deed(), wish).await;
    match changed.map_err(|refusal| caller.problem(refusal))? {
        Change::Revoke(_, revoked, revocation) => {
            Ok(HttpResponse::Created().json(ShownRevocation::of(&revoked, &revocation)))
        }
        _ => Err(caller.problem(Code::Internal)),
    }
}

fn sub(caller: &Caller, request: &HttpRequest) -> Result<Arc<str>, Problem> {
    let sub = subject::last_in(request.uri().path()).map_err(|refusal| caller.problem(refusal))?;
    Ok(sub.into())
}

fn show(caller: &Caller, sub: &Arc<str>) -> HttpResponse {
    let told = caller.ground().standing.told(caller.scope(), sub);
    HttpResponse::Ok().json(ShownPrincipal::of(sub, &told))
}
