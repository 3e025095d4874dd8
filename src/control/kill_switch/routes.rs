//! The routes of the kill switch. What it does to others is in `admission::standing::kill_switch`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use tambour_actors::refusal::Code;

use super::model::{PutKillSwitch, ShownKillSwitch};
use crate::admission::Caller;
use crate::admission::standing::change::Change;
use crate::problem::Problem;
use crate::transport::body;

/// `GET /v1/kill-switch`: also where nothing was ever switched off.
pub async fn show(caller: Caller) -> HttpResponse {
    let said = caller.ground().standing.kill_switch(caller.scope());
    let shown = said.as_ref().map(ShownKillSwitch::of).unwrap_or_default();
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(shown)
}

/// `PUT /v1/kill-switch`: on disk and in force before it is answered; live sessions are told in the same moment.
///
/// # Errors
/// What admission refuses, `body.*`, `permission.denied`, `kill_switch.blocked`, `store.*`.
pub async fn put(caller: Caller, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let read = body::read(&caller, &request, payload, body::BODY_BYTES_MAX).await;
    let asked = read.and_then(|body| body::parse::<PutKillSwitch>(&body)).and_then(PutKillSwitch::wish);
    let wish = asked.map_err(|refusal| caller.problem(refusal))?;
    let changed = caller.ground().administer(&caller.principal, caller.deed(), wish).await;
    match changed.map_err(|refusal| caller.problem(refusal))? {
        Change::PutKillSwitch(_, put) => Ok(HttpResponse::Ok().json(ShownKillSwitch::of(&put))),
        _ => Err(caller.problem(Code::Internal)),
    }
}
