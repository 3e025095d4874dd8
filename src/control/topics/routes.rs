//! The routes of threads and canvases.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use tambour_actors::cursor::Incarnation;
use tambour_actors::deed::Deed;
use tambour_actors::log::{
    Bounds, ChangeError, Class, CreateError, TopicChange, TopicQuery, TopicRecord, Topics as _, Unavailable, VisibleTo,
};
use tambour_actors::principal::{ActorType, Permission};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::topic::now_ms;
use tambour_actors::topic::state::What;
use tambour_actors::topic_key::TopicKind;
use utoipa::IntoParams;
use uuid::Uuid;

use super::model::{CanvasList, ChangeTopic, CreateTopic, Shown, Snapshot, ThreadList, members_full};
use crate::admission::{Caller, Kind, Named, gate, rights};
use crate::identity::subject::is_sub;
use crate::openapi::shapes;
use crate::problem::Problem;
use crate::transport::body;
use crate::transport::places::Place;
use crate::transport::publish::write;

/// Most topics in one list.
pub const LIMIT_MAX: usize = 500;
/// Topics in a list when nothing is asked for.
pub const LIMIT_DEFAULT: usize = 100;

/// `POST /v1/threads`, `POST /v1/canvases`
///
/// # Errors
/// What admission refuses, `body.*`, `name.invalid`, `topic.exists`, `store.unavailable`.
pub async fn create(of: Kind, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let caller = &of.caller;
    rights::check_create(&caller.principal, of.kind).map_err(|refusal| caller.problem(refusal))?;
    let read = body::read(caller, &request, payload, body::BODY_BYTES_MAX).await;
    let asked: CreateTopic = read.and_then(|body| body::parse(&body)).map_err(|refusal| caller.problem(refusal))?;
    // The body may have taken long.
    caller
        .current()
        .and_then(|principal| rights::check_create(&principal, of.kind))
        .map_err(|refusal| caller.problem(refusal))?;
    let id = asked.id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let key = of.key(&id)?;
    let creator = creator(caller, asked.creator.as_deref()).map_err(|refusal| caller.problem(refusal))?;
    let incarnation = Incarnation(getrandom::u64().map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        caller.problem(Code::Internal)
    })?);
    let topic = asked.topic(key, creator, now_ms(), incarnation).map_err(|refusal| caller.problem(refusal))?;
    let record = caller.ground().store.create(topic, caller.deed()).await.map_err(|error| match error {
        CreateError::Exists => {
            let detail = format!("a {} of this id exists; the first one stays", of.kind.as_str());
            caller.problem(Refusal::new(Code::TopicExists, detail))
        }
        CreateError::Unavailable(error) => unavailable(caller, &error),
    })?;
    Ok(HttpResponse::Created().json(Shown::of(&record, Bounds::EMPTY)))
}

/// Who has made a topic: its caller, or whom a service key names.
fn creator(caller: &Caller, named: Option<&str>) -> Result<Arc<str>, Refusal> {
    let principal = &caller.principal;
    match named {
        None => Ok(principal.sub.clone()),
        Some(_) if principal.actor_type == ActorType::Human => {
            Err(Refusal::new(Code::Forbidden, "only a service key says who has made a topic"))
        }
        Some(sub) if is_sub(sub) => Ok(sub.into()),
        Some(_) => Err(Refusal::new(Code::BodyInvalid, "creator is somebody's sub")),
    }
}

/// The query of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// How many at most.
    #[param(value_type = shapes::ListLimit, required = false)]
    limit: Option<usize>,
    /// The id behind which the list begins. There need be no topic of that id.
    after: Option<String>,
}

/// `GET /v1/threads`, `GET /v1/canvases`: those that the caller may read.
///
/// # Errors
/// What admission refuses, `query.invalid`, `store.unavailable`.
pub async fn list(of: Kind, query: web::Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let caller = &of.caller;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(caller.problem(Refusal::new(Code::QueryInvalid, format!("limit is 1 to {LIMIT_MAX}"))));
    }
    let visible_to = (!caller.principal.role.administers()).then(|| VisibleTo {
        sub: caller.principal.sub.clone(),
        team: caller.principal.has(Permission::read(of.kind)),
    });
    let asked = TopicQuery { kind: of.kind, after_id: query.after.clone(), visible_to, limit: limit + 1 };
    let listed = caller.ground().store.list(caller.scope(), asked).await;
    let listed = listed.map_err(|error| unavailable(caller, &error))?;
    let topics = listed.iter().take(limit).map(|(record, bounds)| Shown::of(record, *bounds));
    let (topics, has_more) = (topics.collect(), listed.len() > limit);
    Ok(match of.kind {
        TopicKind::Thread => HttpResponse::Ok().json(ThreadList { threads: topics, has_more }),
        TopicKind::Canvas | TopicKind::System | TopicKind::Feed => {
            HttpResponse::Ok().json(CanvasList { canvases: topics, has_more })
        }
    })
}

/// `GET /v1/{threads,canvases}/{id}`
///
/// # Errors
/// What admission refuses, `store.unavailable`.
pub async fn get(named: Named) -> Result<HttpResponse, Problem> {
    named.grant(Right::Read).await?;
    show(&named).await
}

/// `GET /v1/{threads,canvases}/{id}/snapshot`: the topic and the ends of its log, from one moment.
///
/// # Errors
/// What admission refuses, `store.unavailable`.
pub async fn snapshot(named: Named) -> Result<HttpResponse, Problem> {
    named.grant(Right::Read).await?;
    let (record, bounds) = found(&named).await?;
    Ok(HttpResponse::Ok().json(Snapshot::of(&record, bounds)))
}

/// `PATCH /v1/{threads,canvases}/{id}`: its title, who may see it.
///
/// # Errors
/// What admission refuses, `body.*`, `store.unavailable`.
pub async fn patch(named: Named, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let read = body::read(&named.caller, &request, payload, body::BODY_BYTES_MAX).await;
    let asked = read.and_then(|body| body::parse::<ChangeTopic>(&body)).and_then(ChangeTopic::change);
    let asked = asked.map_err(|refusal| named.problem(refusal))?;
    named.grant(Right::Manage).await?;
    if asked != TopicChange::default() {
        change(&named, asked).await?;
    }
    show(&named).await
}

/// `DELETE /v1/{threads,canvases}/{id}`: its streams end with reason `deleted`.
///
/// # Errors
/// What admission refuses, `store.unavailable`.
pub async fn delete(named: Named) -> Result<HttpResponse, Problem> {
    named.grant(Right::Manage).await?;
    let deleted = named.caller.ground().directory.delete(&named.key, taking_away(&named.caller)).await;
    let deleted = deleted.map_err(|error| unavailable(&named.caller, &error))?;
    if deleted { Ok(HttpResponse::NoContent().finish()) } else { Err(named.problem(Refusal::topic_unknown())) }
}

/// `POST /v1/{threads,canvases}/{id}/close`: a last event, `closed`; then 409 to writers.
///
/// # Errors
/// What admission refuses, `topic.closed`, `store.unavailable`, `publish.unknown`.
pub async fn close(named: Named) -> Result<HttpResponse, Problem> {
    let grant = named.grant(Right::Manage).await?;
    let closed = write(&grant, What::Close(taking_away(&grant.caller)).into()).await?;
    Ok(HttpResponse::Ok().json(Place::of(grant.record.mark(), closed.last)))
}

/// The deed of who takes something away.
fn taking_away(caller: &Caller) -> Arc<Deed> {
    caller.deed().in_class(Class::taking_away(caller.principal.role))
}

/// Carries out a change that the caller may make.
pub(super) async fn change(named: &Named, change: TopicChange) -> Result<(), Problem> {
    let is_removal = TopicChange { remove_member: None, ..change.clone() } == TopicChange::default();
    let by = if is_removal { taking_away(&named.caller) } else { named.caller.deed() };
    match named.caller.ground().directory.change(&named.key, change, by).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(named.problem(Refusal::topic_unknown())),
        Err(ChangeError::MembersFull) => Err(named.problem(members_full())),
        Err(ChangeError::Unavailable(error)) => Err(unavailable(&named.caller, &error)),
    }
}

/// The topic as it is now.
pub(super) async fn show(named: &Named) -> Result<HttpResponse, Problem> {
    let (record, bounds) = found(named).await?;
    Ok(HttpResponse::Ok().json(Shown::of(&record, bounds)))
}

async fn found(named: &Named) -> Result<(TopicRecord, Bounds), Problem> {
    let found = named.caller.ground().store.find(&named.key).await;
    let found = found.map_err(|error| unavailable(&named.caller, &error))?;
    found.ok_or_else(|| named.problem(Refusal::topic_unknown()))
}

fn unavailable(caller: &Caller, error: &Unavailable) -> Problem {
    caller.problem(gate::unavailable(error))
}
