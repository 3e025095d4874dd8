//! SSE: the head of a stream, and where it starts.

use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, HttpResponseBuilder};
use tambour_actors::frame::Wire;
use tambour_actors::frame::control::{Control, sse_retry};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::request::start;
use tambour_actors::topic::state::Start;

use crate::admission::Ground;
use crate::problem::{Problem, REQUEST_ID, TRACE_ID, ids_of};

/// Where a stream starts, and the cursor as it was given. `Last-Event-ID` wins over the query, because a
/// browser that reconnects sends both: the query is that of its first request.
///
/// # Errors
/// `cursor.malformed`, `query.invalid`.
pub fn start_of(
    request: &HttpRequest,
    after: Option<&str>,
    last: Option<u64>,
) -> Result<(Start, Option<String>), Refusal> {
    let header = header_id(request)?;
    let (after, last) = if header.is_some() { (header, None) } else { (after, last) };
    let start = start(after, last, Start::Head)?;
    let requested = matches!(start, Start::After(_)).then(|| after.map(str::to_owned)).flatten();
    Ok((start, requested))
}

/// What an `EventSource` that comes back says; it says nothing when no block had an id.
///
/// # Errors
/// `cursor.malformed`: no text.
pub fn header_id(request: &HttpRequest) -> Result<Option<&str>, Refusal> {
    match request.headers().get("last-event-id").map(|id| id.to_str()) {
        None | Some(Ok("")) => Ok(None),
        Some(Ok(id)) => Ok(Some(id)),
        Some(Err(_)) => Err(Refusal::new(Code::CursorMalformed, "Last-Event-ID is not a cursor")),
    }
}

/// The head of a stream: never cached, never buffered by a proxy, ended by the end of the connection.
#[must_use]
pub fn head(request: &HttpRequest) -> HttpResponse {
    answer(request).finish()
}

fn answer(request: &HttpRequest) -> HttpResponseBuilder {
    let ids = ids_of(request);
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .insert_header((REQUEST_ID, &*ids.request_id))
        .insert_header((TRACE_ID, &*ids.trace_id))
        .force_close();
    answer
}

/// Middleware: a refusal that will pass (429, 503) is put into a stream that ends, when an `EventSource` comes
/// back, because on any status but 200 it gives up for good. So it should for `limit.bad_tokens`: it comes back with the
/// same token.
///
/// # Errors
/// What the inner service fails with.
pub async fn spare_event_sources<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let answer = next.call(request).await?;
    let problem = answer.response().error().and_then(|error| error.as_error::<Problem>());
    let problem = problem.filter(|problem| problem.is_stream);
    let wait_ms = problem.and_then(Problem::wait_ms);
    let code = problem.map(|problem| problem.refusal.code);
    let headers = answer.request().headers();
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_stream = answer.request().method() == Method::GET && accepts.contains("text/event-stream");
    let comes_back = is_stream && headers.contains_key("last-event-id") && !headers.contains_key(header::UPGRADE);
    match code.filter(|code| comes_back && matches!(code.status(), 429 | 503) && *code != Code::BadTokens) {
        None => Ok(answer.map_into_left_body()),
        Some(code) => {
            let ground = answer.request().app_data::<Arc<Ground>>();
            let retry_ms = ground.map_or(RETRY_MS, |ground| ground.terms().settings.session.sse_retry_ms);
            let unnamed = answer.request().query_string().split('&').any(|pair| pair == "named=false");
            let wire = if unnamed { Wire::SseUnnamed } else { Wire::Sse };
            // Who is told when to come comes no sooner.
            let mut body = sse_retry(retry_ms.max(wait_ms.unwrap_or_default()));
            let refused = Control::Refused { code: code.as_str(), status: code.status() };
            body.extend_from_slice(&refused.sse(wire, None));
            let told = self::answer(answer.request()).body(body);
            Ok(answer.into_response(told).map_into_right_body())
        }
    }
}

/// What a client is told to wait when there are no settings.
const RETRY_MS: u64 = 2_000;
