//! The routes of who is connected: everybody sees and ends their own sessions, and who has the permission those of their
//! tenant and env.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tambour_actors::frame::{Wire, time_text};
use tambour_actors::log::Class;
use tambour_actors::principal::{Permission, Principal};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::review::{Reading, Seen};
use tambour_actors::system::SystemType;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::keys::limit;
use super::roll::{self, Asked, Ends};
use crate::admission::{Caller, gate, rights};
use crate::audit::entry::Happened;
use crate::openapi::shapes;
use crate::problem::Problem;

/// The query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Whose. Without `sessions:read` one's own.
    #[param(value_type = shapes::Sub, required = false)]
    principal: Option<String>,
    /// How many at most.
    #[param(value_type = shapes::ListLimit, required = false)]
    limit: Option<usize>,
    /// The connection behind which the list begins.
    #[param(value_type = shapes::ConnectionId, required = false)]
    after: Option<String>,
}

/// The query of an end.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EndQuery {
    /// Whose.
    #[param(value_type = shapes::Sub)]
    principal: String,
}

/// Sessions, ascending by connection, which is the order in which they began.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionList {
    sessions: Vec<ShownSession>,
    /// Whether there are more behind the last.
    has_more: bool,
    /// Whether every worker of the hub has answered within a second. Sessions of those that have not are missing.
    complete: bool,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct ShownSession {
    #[schema(value_type = shapes::ConnectionId)]
    connection_id: String,
    #[schema(value_type = shapes::Sub)]
    sub: String,
    #[schema(value_type = shapes::ActorType)]
    actor_type: &'static str,
    #[schema(value_type = shapes::Role)]
    role: &'static str,
    #[schema(value_type = shapes::Time)]
    since: String,
    /// The address; of IPv6 its /64.
    from: String,
    #[schema(value_type = shapes::WireName)]
    wire: &'static str,
    /// What it reads.
    topics: Vec<ShownReading>,
}

/// How far a session is with a topic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reading)]
pub struct ShownReading {
    #[schema(value_type = shapes::TopicName)]
    topic: String,
    /// Events up to here were written to its socket.
    #[schema(value_type = shapes::Cursor)]
    cursor: String,
    /// The newest event.
    #[schema(value_type = shapes::Cursor)]
    head: String,
    /// How many events are between the two.
    lag: u64,
}

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ended {
    ended: usize,
}

/// `GET /v1/sessions`
///
/// # Errors
/// What admission refuses, `query.invalid`, `permission.denied`.
pub async fn list(caller: Caller, query: web::Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let ListQuery { principal: sub, limit: most, after } = query.into_inner();
    let limit = limit(most).map_err(|refusal| caller.problem(refusal))?;
    let after = after.as_deref().map(connection_id).transpose().map_err(|refusal| caller.problem(refusal))?;
    let own = &caller.principal.sub;
    let sub = sub.or_else(|| (!caller.principal.has(Permission::SessionsRead)).then(|| own.to_string()));
    if sub.as_deref() != Some(own) {
        rights::require(&caller.principal, Permission::SessionsRead).map_err(|refusal| caller.problem(refusal))?;
    }
    let asked = Asked { scope: caller.scope().clone(), sub, connection: None, after, limit: limit + 1 };
    let roll = roll::call(&caller.ground().directory, asked).await;
    let sessions = roll.seen.iter().take(limit).map(ShownSession::of).collect();
    let list = SessionList { sessions, has_more: roll.seen.len() > limit, complete: roll.complete };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(list))
}

/// `DELETE /v1/sessions?principal=`: they are told `session.ended`. It is written down before; when it can't be, nobody's ends.
///
/// # Errors
/// What admission refuses, `query.invalid`, `permission.denied`, `store.*`.
pub async fn end(caller: Caller, query: web::Query<EndQuery>) -> Result<HttpResponse, Problem> {
    let sub = &query.principal;
    if **sub != *caller.principal.sub {
        rights::require(&caller.principal, Permission::SessionsWrite).map_err(|refusal| caller.problem(refusal))?;
    }
    let told = (format!("sessions/{sub}"), json!({ "sub": sub }));
    let ended = carry_out(&caller, Ends::all(&caller.principal, sub), told).await?;
    Ok(HttpResponse::Ok().json(Ended { ended }))
}

/// `DELETE /v1/sessions/{connection_id}`: the same of one session. Who may not know of it is told what is told of one that is
/// not there.
///
/// # Errors
/// What admission refuses, `session.unknown`, `session.unsure`, `permission.denied`, `store.*`.
pub async fn end_one(caller: Caller, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let refused = |refusal| caller.problem(refusal);
    let connection = Uuid::try_parse(&name).map_err(|_| refused(Code::SessionUnknown.into()))?;
    let seen = roll::find(&caller.ground().directory, caller.scope(), connection).await.map_err(refused)?;
    let of = &seen.principal;
    may_end(&caller.principal, of).map_err(refused)?;
    let told = (
        format!("sessions/{}/{connection}", of.sub),
        json!({ "sub": &*of.sub, "connection_id": connection.to_string() }),
    );
    carry_out(&caller, Ends::one(&caller.principal, &of.sub, connection), told).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Whether somebody may end a session of somebody in their tenant and env. One that they could not find in the list is
/// unknown to them.
///
/// # Errors
/// `session.unknown`, `permission.denied`.
fn may_end(by: &Principal, of: &Principal) -> Result<(), Refusal> {
    let writes = by.has(Permission::SessionsWrite);
    if by.sub == of.sub || (writes && of.role <= by.role) {
        return Ok(());
    }
    if !by.has(Permission::SessionsRead) {
        return Err(Code::SessionUnknown.into());
    }
    rights::require(by, Permission::SessionsWrite)?;
    Err(Refusal::new(Code::Forbidden, "who has a higher role than yours is not yours to end"))
}

/// Ends sessions: written down, with what the feed tells, and then done. Where there are none nothing is written.
async fn carry_out(caller: &Caller, ends: Ends, (resource, mut told): (String, Value)) -> Result<usize, Problem> {
    let directory = &caller.ground().directory;
    // Who ends the same sessions in the same moment finds them ended, and writes nothing down.
    let _turn = caller.ground().dismissing.lock().await;
    let (count, complete) = roll::count(directory, &ends).await;
    if (count, complete) == (0, true) {
        return Ok(0);
    }
    told["count"] = count.into();
    let mut happened = Happened::done(resource);
    happened.affected_count = count as u64;
    let happened = happened.told(SystemType::SessionsEnded, &told, None);
    let role = caller.principal.role;
    // To end what others have open is a permission, whatever the role.
    let class = if ends.are_own() { Class::taking_away(role) } else { Class::Emergency(role) };
    let written = caller.ground().store.record(caller.deed().in_class(class), happened).await;
    written.map_err(|error| caller.problem(gate::unavailable(&error)))?;
    Ok(roll::dismiss(directory, ends).await)
}

fn connection_id(text: &str) -> Result<Uuid, Refusal> {
    Uuid::try_parse(text).map_err(|_| Refusal::new(Code::QueryInvalid, "after is the connection_id of a session"))
}

impl ShownSession {
    fn of(seen: &Seen) -> Self {
        let (seconds, nanos) = seen.connection_id.get_timestamp().map_or((0, 0), |since| since.to_unix());
        let since_ms = i64::try_from(seconds * 1_000 + u64::from(nanos / 1_000_000)).unwrap_or(i64::MAX);
        let reading = |reading: &Reading| ShownReading {
            topic: reading.key.topic(),
            cursor: reading.mark.at(reading.cursor).to_string(),
            head: reading.mark.at(reading.head).to_string(),
            lag: reading.head - reading.cursor,
        };
        Self {
            connection_id: seen.connection_id.to_string(),
            sub: seen.principal.sub.to_string(),
            actor_type: seen.principal.actor_type.as_str(),
            role: seen.principal.role.as_str(),
            since: time_text(since_ms),
            from: seen.from.clone(),
            wire: match seen.wire {
                Wire::Ws => "websocket",
                Wire::Sse | Wire::SseUnnamed => "sse",
            },
            topics: seen.topics.iter().map(reading).collect(),
        }
    }
}
