//! WebSocket upgrades: the handshake, then the session. The one file that names `actix_web_actors`,
//! which is deprecated upstream and used for its handshake alone.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws::handshake_with_protocols;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tambour_actors::frame::Wire;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::{Identity, Right};
use tambour_actors::session::{Wanted, Who};

use super::read::Reading;
use super::{Ready, hand_over};
use crate::admission::{Caller, Ground, Handshake, Named};
use crate::identity::context::SUBPROTOCOL;
use crate::problem::Problem;
use crate::routes;

/// `GET /v1/ws`: a session of any topics. Without a token in the upgrade, its first frame is `hello`.
///
/// # Errors
/// What admission refuses; 400 for a request that is no upgrade.
pub async fn open(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let ground = request.app_data::<Arc<Ground>>().ok_or_else(|| Problem::at(Code::Internal.into(), &request))?;
    let route = routes::of(&request).ok_or_else(|| Problem::at(Code::Internal.into(), &request))?;
    let visitor = ground.visit(&request)?;
    let anonymous = visitor.context.token().is_err_and(|refusal| refusal.code == Code::TokenMissing);
    let (who, hold, head) = match &visitor.permit {
        Some(permit) if anonymous && visitor.context.is_upgrade => {
            let (permit, context, ground) = (permit.clone(), Rc::new(visitor.context), ground.clone());
            let head = handshake(&request)?;
            (Who::Unknown(Rc::new(Handshake { context, ground, permit: permit.clone() })), permit, head)
        }
        _ => {
            let caller = Caller::prove(ground, visitor, route).await?;
            let (head, permit) = (handshake(&request)?, caller.permit()?);
            (known(&caller).await?, permit, head)
        }
    };
    let ready = Ready { who, topics: Vec::new(), composite: None, wire: Wire::Ws, hold };
    hand_over(&request, payload, head, ready)
}

/// `GET /v1/{threads,canvases}/{id}/ws`: a session that is subscribed to one topic at once, and ends with it.
///
/// # Errors
/// What admission refuses; 400 for a request that is no upgrade.
pub async fn topic(
    named: Named,
    reading: web::Query<Reading>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (start, requested) = reading.socket_start(&request).map_err(|refusal| named.problem(refusal))?;
    let filter = reading.filter(&named.key).map_err(|refusal| named.problem(refusal))?;
    let topic = named.grant(Right::Read).await?.topic().await?;
    let head = handshake(&request)?;
    let topics = vec![Wanted { topic, start, requested, fold: reading.folds(), filter }];
    let hold = named.caller.permit()?;
    let who = known(&named.caller).await?;
    hand_over(&request, payload, head, Ready { who, topics, composite: None, wire: Wire::Ws, hold })
}

async fn known(caller: &Caller) -> Result<Who, Problem> {
    let origin = caller.context.origin(&caller.principal);
    Ok(Who::Known(Box::new(Identity { proved: caller.proved().await?, origin })))
}

/// The 101 of RFC 6455, section 4.2.2, with our subprotocol if it was offered.
fn handshake(request: &HttpRequest) -> Result<HttpResponse, Problem> {
    // What the package lets pass: the one version there is, and a key of 16 bytes (section 4.2.1).
    let header = |name: &str| {
        let mut values = request.headers().get_all(name).map(|value| value.as_bytes());
        values.next().filter(|_| values.next().is_none())
    };
    let key = header("sec-websocket-key").and_then(|key| STANDARD.decode(key).ok());
    if header("sec-websocket-version") != Some(b"13") || key.is_none_or(|key| key.len() != 16) {
        let detail = "not a WebSocket upgrade: Sec-WebSocket-Version is 13, Sec-WebSocket-Key 16 bytes in base64";
        let mut problem = Problem::at(Refusal::new(Code::RequestMalformed, detail), request);
        problem.is_stream = true;
        return Err(problem);
    }
    let mut head = handshake_with_protocols(request, &[SUBPROTOCOL]).map_err(|error| {
        let detail = format!("not a WebSocket upgrade: {error}");
        let mut problem = Problem::at(Refusal::new(Code::RequestMalformed, detail), request);
        problem.is_stream = true;
        problem
    })?;
    Ok(head.finish())
}
