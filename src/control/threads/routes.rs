//! The routes of threads.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use tambour_actors::cursor::Incarnation;
use tambour_actors::log::{Bounds, CreateError, TopicQuery, Topics as _, Unavailable};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::topic::now_ms;
use tambour_actors::topic::state::What;
use tambour_actors::topic_key::TopicKind;
use uuid::Uuid;

use super::model::{CreateThread, Thread};
use crate::admission::{Caller, gate, rights};
use crate::problem::Problem;
use crate::transport::body;
use crate::transport::publish::write;

/// Most threads in one list.
const LIMIT_MAX: usize = 500;
/// Threads in a list when nothing is asked for.
const LIMIT_DEFAULT: usize = 100;

/// `POST /v1/threads`
///
/// # Errors
/// What admission refuses, `body.*`, `name.invalid`, `topic.exists`, `store.unavailable`.
pub async fn create(caller: Caller, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    rights::check_create(&caller.principal).map_err(|refusal| caller.problem(refusal))?;
    let read = body::read(&request, payload, body::BODY_BYTES_MAX, caller.body_patience()).await;
    let asked: CreateThread = read.and_then(|body| body::parse(&body)).map_err(|refusal| caller.problem(refusal))?;
    let id = asked.id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let key = caller.thread(&id)?;
    let incarnation = Incarnation(getrandom::u64().map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        caller.problem(Code::Internal)
    })?);
    let topic = asked
        .topic(key, caller.principal.sub.clone(), now_ms(), incarnation)
        .map_err(|refusal| caller.problem(refusal))?;
    let record = caller.ground().store.create(topic).await.map_err(|error| match error {
        CreateError::Exists => {
            caller.problem(Refusal::new(Code::TopicExists, "a thread of this id exists; the first one stays"))
        }
        CreateError::Unavailable(error) => unavailable(&caller, &error),
    })?;
    Ok(HttpResponse::Created().json(Thread::show(&record, Bounds::EMPTY)))
}

/// The query of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    limit: Option<usize>,
    after: Option<String>,
}

/// `GET /v1/threads`: those that the caller may read.
///
/// # Errors
/// What admission refuses, `query.invalid`, `store.unavailable`.
pub async fn list(caller: Caller, query: web::Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(caller.problem(Refusal::new(Code::QueryInvalid, format!("limit is 1 to {LIMIT_MAX}"))));
    }
    let visible_to = (!caller.principal.role.administers()).then(|| caller.principal.sub.clone());
    let asked = TopicQuery { kind: TopicKind::Thread, after_id: query.after.clone(), visible_to, limit: limit + 1 };
    let listed = caller.ground().store.list(caller.scope(), asked).await;
    let listed = listed.map_err(|error| unavailable(&caller, &error))?;
    let threads: Vec<_> = listed.iter().take(limit).map(|(record, bounds)| Thread::show(record, *bounds)).collect();
    Ok(HttpResponse::Ok().json(json!({ "threads": threads, "has_more": listed.len() > limit })))
}

/// `GET /v1/threads/{id}`
///
/// # Errors
/// What admission refuses, `store.unavailable`.
pub async fn get(caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let key = caller.thread(&id)?;
    caller.grant(&key, Right::Read).await?;
    let found = caller.ground().store.find(&key).await.map_err(|error| unavailable(&caller, &error))?;
    let (record, bounds) = found.ok_or_else(|| caller.problem(Refusal::topic_unknown()))?;
    Ok(HttpResponse::Ok().json(Thread::show(&record, bounds)))
}

/// `DELETE /v1/threads/{id}`: its streams end with reason `deleted`.
///
/// # Errors
/// What admission refuses, `store.unavailable`.
pub async fn delete(caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let key = caller.thread(&id)?;
    caller.grant(&key, Right::Manage).await?;
    let deleted = caller.ground().directory.delete(&key).await.map_err(|error| unavailable(&caller, &error))?;
    if deleted { Ok(HttpResponse::NoContent().finish()) } else { Err(caller.problem(Refusal::topic_unknown())) }
}

/// `POST /v1/threads/{id}/close`: a last event, `closed`; then 409 to writers.
///
/// # Errors
/// What admission refuses, `topic.closed`, `store.unavailable`, `publish.unknown`.
pub async fn close(caller: Caller, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let key = caller.thread(&id)?;
    let grant = caller.grant(&key, Right::Manage).await?;
    let closed = write(&grant, What::Close.into()).await?;
    let id = grant.record.mark().at(closed.last).to_string();
    Ok(HttpResponse::Ok().json(json!({ "id": id, "seq": closed.last })))
}

fn unavailable(caller: &Caller, error: &Unavailable) -> Problem {
    caller.problem(gate::unavailable(error))
}
