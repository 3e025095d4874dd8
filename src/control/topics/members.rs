//! Members of a topic: let in, given another right, taken out. Who reads live is asked anew by the ring.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use tambour_actors::log::TopicChange;
use tambour_actors::session::gate::Right;

use super::model::PutMember;
use super::routes::{change, show};
use crate::admission::Named;
use crate::identity::subject;
use crate::problem::Problem;
use crate::transport::body;

/// `PUT /v1/{threads,canvases}/{id}/members/{sub}`. A request without a body lets them write.
///
/// # Errors
/// What admission refuses, `name.invalid`, `body.*`, `store.unavailable`.
pub async fn put(named: Named, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let sub = subject::last_in(request.uri().path()).map_err(|refusal| named.problem(refusal))?;
    let asked = if body::is_absent(&request) {
        Ok(PutMember::default())
    } else {
        let read = body::read(&named.caller, &request, payload, body::BODY_BYTES_MAX).await;
        read.and_then(|body| body::parse(&body))
    };
    let asked = asked.and_then(|asked| asked.change(&sub)).map_err(|refusal| named.problem(refusal))?;
    named.grant(Right::Manage).await?;
    change(&named, asked).await?;
    show(&named).await
}

/// `DELETE /v1/{threads,canvases}/{id}/members/{sub}`: also of somebody who is no member.
///
/// # Errors
/// What admission refuses, `name.invalid`, `store.unavailable`.
pub async fn delete(named: Named, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let sub = subject::last_in(request.uri().path()).map_err(|refusal| named.problem(refusal))?;
    named.grant(Right::Manage).await?;
    change(&named, TopicChange { remove_member: Some(Arc::from(sub)), ..TopicChange::default() }).await?;
    Ok(HttpResponse::NoContent().finish())
}
