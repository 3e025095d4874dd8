//! The routes of service keys. A token is in the answer that made it and nowhere else.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use tambour_actors::refusal::{Code, Refusal};
use utoipa::IntoParams;

use super::model::{CreateKey, KeyList, ShownKey, TokenOnce};
use crate::admission::Caller;
use crate::admission::standing::change::Change;
use crate::admission::standing::decide::Wish;
use crate::control::topics::routes::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::identity::service_key::NewToken;
use crate::openapi::shapes;
use crate::problem::Problem;
use crate::transport::body;

/// `POST /v1/keys`
///
/// # Errors
/// What admission refuses, `body.*`, `permission.denied`, `limit.authority`, `store.*`.
pub async fn create(caller: Caller, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let read = body::read(&caller, &request, payload, body::BODY_BYTES_MAX).await;
    let asked = read.and_then(|body| body::parse::<CreateKey>(&body)).map_err(|refusal| caller.problem(refusal))?;
    let token = NewToken::make().map_err(|refusal| caller.problem(refusal))?;
    let wish = asked.wish(token.digest).map_err(|refusal| caller.problem(refusal))?;
    with_token(&caller, HttpResponse::Created(), wish, &token).await
}

/// The query of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// How many at most.
    #[param(value_type = shapes::ListLimit, required = false)]
    limit: Option<usize>,
    /// The id behind which the list begins. There need be no key of that id.
    after: Option<String>,
}

/// `GET /v1/keys`: those of the caller's tenant and env.
///
/// # Errors
/// What admission refuses, `query.invalid`.
pub async fn list(caller: Caller, query: web::Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let limit = limit(query.limit).map_err(|refusal| caller.problem(refusal))?;
    let standing = &caller.ground().standing;
    let found = standing.keys(caller.scope(), query.after.as_deref().unwrap_or_default(), limit + 1);
    let keys = found.iter().take(limit).map(ShownKey::of).collect();
    Ok(HttpResponse::Ok().json(KeyList { keys, has_more: found.len() > limit }))
}

/// How many a list has at most.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, Refusal> {
    let limit = asked.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Refusal::new(Code::QueryInvalid, format!("limit is 1 to {LIMIT_MAX}")))
}

/// `POST /v1/keys/{key}/rotate`: another token; the one before is good for `keys.rotation_grace_seconds` more.
///
/// # Errors
/// What admission refuses, `key.unknown`, `permission.denied`, `store.*`.
pub async fn rotate(caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let token = NewToken::make().map_err(|refusal| caller.problem(refusal))?;
    let grace_ms = i64::try_from(caller.settings().keys.rotation_grace_seconds * 1_000).unwrap_or(i64::MAX);
    let wish = Wish::RotateKey { id: Arc::from(id.into_inner()), digest: token.digest, grace_ms };
    with_token(&caller, HttpResponse::Ok(), wish, &token).await
}

/// `DELETE /v1/keys/{key}`: at once.
///
/// # Errors
/// What admission refuses, `key.unknown`, `permission.denied`, `store.*`.
pub async fn revoke(caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let wish = Wish::RemoveKey { id: Arc::from(id.into_inner()) };
    let changed = caller.ground().administer(&caller.principal, caller.deed(), wish).await;
    changed.map_err(|refusal| caller.problem(refusal))?;
    Ok(HttpResponse::NoContent().finish())
}

async fn with_token(
    caller: &Caller,
    mut answer: actix_web::HttpResponseBuilder,
    wish: Wish,
    token: &NewToken,
) -> Result<HttpResponse, Problem> {
    let changed = caller.ground().administer(&caller.principal, caller.deed(), wish).await;
    match changed.map_err(|refusal| caller.problem(refusal))? {
        Change::PutKey(key) => {
            answer.insert_header((header::CACHE_CONTROL, "no-store"));
            Ok(answer.json(TokenOnce::of(&key, token.text.expose())))
        }
        _ => Err(caller.problem(Code::Internal)),
    }
}
