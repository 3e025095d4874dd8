//! Members of a topic: let in, given another right, taken out. Who reads live is asked anew by the ring.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use tambour_actors::log::TopicChange;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;

use super::model::{PutMember, is_sub};
use super::routes::{change, show};
use crate::admission::Named;
use crate::identity::jwt::SUB_BYTES_MAX;
use crate::identity::percent;
use crate::problem::Problem;
use crate::transport::body;

/// `PUT /v1/{threads,canvases}/{id}/members/{sub}`. A request without a body lets them write.
///
/// # Errors
/// What admission refuses, `name.invalid`, `body.*`, `store.unavailable`.
pub async fn put(named: Named, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let sub = sub(&request).map_err(|refusal| named.problem(refusal))?;
    let asked = if body::is_absent(&request) {
        Ok(PutMember::default())
    } else {
        let read = body::read(&request, payload, body::BODY_BYTES_MAX, named.caller.body_patience()).await;
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
    let sub = sub(&request).map_err(|refusal| named.problem(refusal))?;
    named.grant(Right::Manage).await?;
    change(&named, TopicChange { remove_member: Some(Arc::from(sub)), ..TopicChange::default() }).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The subject that the last segment of the path names. Taken from the path as it was sent, because the router
/// puts a character of its own in the place of bytes that are no text.
fn sub(request: &HttpRequest) -> Result<String, Refusal> {
    let segment = request.uri().path().rsplit('/').next().unwrap_or_default();
    let sub = percent::decoded(segment, false).filter(|sub| is_sub(sub));
    sub.ok_or_else(|| {
        let detail = format!("a member's sub is 1 to {SUB_BYTES_MAX} bytes of text without control characters");
        Refusal::new(Code::NameInvalid, detail)
    })
}
