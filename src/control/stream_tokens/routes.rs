//! The route that makes stream tokens.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use tambour_actors::refusal::Code;
use tambour_actors::session::gate::Right;
use tambour_actors::topic::now_ms;

use super::model::{AskToken, Issued};
use crate::admission::{Caller, rights};
use crate::identity::stream_tokens::{self, Bound, NewToken, Parent, TokenRecord};
use crate::problem::Problem;
use crate::transport::body;

/// `POST /v1/stream-tokens`: a token that opens streams as its maker, or, of a service key, as whom the key says.
///
/// # Errors
/// What admission refuses, `body.*`, `name.invalid`, `topic.unknown`, `permission.denied`, `token.outstanding`,
/// `token.store_unavailable`.
pub async fn create(caller: Caller, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let refused = |refusal| caller.problem(refusal);
    let asked = if body::is_absent(&request) {
        body::parse::<AskToken>(b"{}")
    } else {
        let read = body::read(&caller, &request, payload, body::BODY_BYTES_MAX).await;
        read.and_then(|body| body::parse(&body))
    };
    let asked = asked.map_err(refused)?;
    let now_ms = now_ms();
    let (token, digest) = stream_tokens::make().map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        caller.problem(Code::Internal)
    })?;
    let settings = caller.settings();
    let wanted = asked.wanted(&caller.principal, settings, now_ms).map_err(refused)?;
    let record = wanted.record(digest);
    for key in wanted.topics() {
        // Both: who asks, and, where it is for somebody else, they too.
        let grant = caller.grant(key, Right::Read).await?;
        rights::check(&record.principal, &grant.record.topic, Right::Read).map_err(refused)?;
    }
    let shown = caller.context.token().map_err(refused)?.text.expose();
    let (own, within) = bounds(&caller, &record, shown);
    let expires_at_ms = now_ms.saturating_add(record.ttl_ms).min(record.principal.expires_at_ms);
    caller.ground().leases.issue(NewToken { own, within, record }).await.map_err(refused)?;
    let issued = Issued::of(&token, expires_at_ms, now_ms);
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(issued))
}

/// By what a token is counted until it is opened. What a service key makes for people is counted by each of them, and all
/// of it by a wider bound: one person who comes again and again without opening anything is no matter of the others.
fn bounds(caller: &Caller, record: &TokenRecord, shown: &str) -> (Bound, Option<Bound>) {
    let tokens = &caller.settings().tokens;
    let own = |of| Bound { of, outstanding_max: tokens.outstanding_max };
    match record.proof().and_then(|proof| proof.issuer.as_deref()) {
        Some(key) => {
            let all = Bound { of: Parent::of_people(key), outstanding_max: tokens.outstanding_per_key_max };
            (own(Parent::of_person(key, &record.principal.sub)), Some(all))
        }
        None => (own(Parent::of(&caller.principal, shown)), None),
    }
}
