//! SSE: the head of a stream, and where it starts.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::request::start;
use tambour_actors::topic::state::Start;

use crate::problem::TRACE_ID;
use crate::problem::{REQUEST_ID, ids_of};

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
    let header = match request.headers().get("last-event-id").map(|id| id.to_str()) {
        None => None,
        Some(Ok("")) => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return Err(Refusal::new(Code::CursorMalformed, "Last-Event-ID is not a cursor")),
    };
    let (after, last) = if header.is_some() { (header, None) } else { (after, last) };
    let start = start(after, last, Start::Head)?;
    let requested = matches!(start, Start::After(_)).then(|| after.map(str::to_owned)).flatten();
    Ok((start, requested))
}

/// The head of a stream: never cached, never buffered by a proxy, ended by the end of the connection.
#[must_use]
pub fn head(request: &HttpRequest) -> HttpResponse {
    let ids = ids_of(request);
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .insert_header((REQUEST_ID, &*ids.request_id))
        .insert_header((TRACE_ID, &*ids.trace_id))
        .force_close()
        .finish()
}
