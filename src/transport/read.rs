//! `GET /v1/threads/{id}/events`: a stream for who accepts SSE, else a page.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use tambour_actors::event::Seq;
use tambour_actors::frame::{FrameEncoder, Wire};
use tambour_actors::log::{EventLog as _, Page, PageLimit};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::session::request;
use tambour_actors::session::{Wanted, Who};
use tambour_actors::topic::state::{Start, locate};

use super::{Ready, hand_over, sse};
use crate::admission::{Caller, Grant};
use crate::problem::Problem;

/// Most events of a page.
pub const LIMIT_MAX: u64 = 500;
/// Events of a page when nothing is asked for.
pub const LIMIT_DEFAULT: u64 = 100;
/// Most bytes of events in a page; one event is always given.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The query of everything that reads a topic. Unknown parameters are refused, so that a misspelt one
/// is not silently ignored; identity's own are looked at elsewhere.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    after: Option<String>,
    last_event_id: Option<String>,
    last: Option<u64>,
    limit: Option<u64>,
    #[serde(rename = "token")]
    _token: Option<String>,
    #[serde(rename = "tenant_id")]
    _tenant_id: Option<String>,
    #[serde(rename = "env")]
    _env: Option<String>,
}

impl Reading {
    /// Where a stream starts, and the cursor as it was given.
    ///
    /// # Errors
    /// `cursor.malformed`, `query.invalid`.
    pub fn start(&self, request: &HttpRequest) -> Result<(Start, Option<String>), Refusal> {
        if self.limit.is_some() {
            return Err(Refusal::new(Code::QueryInvalid, "limit is for pages; a stream has last"));
        }
        let after = self.last_event_id.as_deref().or(self.after.as_deref());
        sse::start_of(request, after, self.last)
    }

    /// Where a page starts, and how many events it has at most.
    fn page(&self) -> Result<(Start, u64), Refusal> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Refusal::new(Code::QueryInvalid, format!("limit is 1 to {LIMIT_MAX}")));
        }
        if self.last_event_id.is_some() {
            return Err(Refusal::new(Code::QueryInvalid, "last_event_id is for streams; a page has after"));
        }
        let start = request::start(self.after.as_deref(), self.last, Start::Last(limit))?;
        Ok((start, limit))
    }
}

/// The handler.
///
/// # Errors
/// What admission refuses, `cursor.malformed`, `cursor.gone`, `query.invalid`.
pub async fn read(
    caller: Caller,
    id: web::Path<String>,
    reading: web::Query<Reading>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let key = caller.thread(&id)?;
    if caller.context.is_stream {
        let start = reading.start(&request).map_err(|refusal| caller.problem(refusal))?;
        let grant = caller.grant(&key, Right::Read).await?;
        stream(&grant, start, &request, payload).await
    } else {
        let asked = reading.page().map_err(|refusal| caller.problem(refusal))?;
        let grant = caller.grant(&key, Right::Read).await?;
        page(&grant, asked).await
    }
}

async fn stream(
    grant: &Grant,
    (start, requested): (Start, Option<String>),
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    if behind_the_end(grant, start).await? {
        return Ok(HttpResponse::NoContent().finish());
    }
    let topic = Some(Wanted { topic: grant.topic().await?, start, requested, fold: false });
    let who = Who::Reader(grant.caller.principal.clone());
    let ready = Ready { who, topic, wire: Wire::Sse, permit: grant.caller.permit()? };
    hand_over(request, payload, sse::head(request), ready)
}

/// Whether a reader has everything, `closed` too. An `EventSource` is told by 204 to stop.
async fn behind_the_end(grant: &Grant, start: Start) -> Result<bool, Problem> {
    let Start::After(cursor) = start else { return Ok(false) };
    if cursor.mark != grant.record.mark() {
        return Ok(false);
    }
    let end = read_log(grant, cursor.seq, PageLimit { events: 1, bytes: 1 }).await?;
    Ok(end.bounds.closed && cursor.seq == end.bounds.head)
}

async fn read_log(grant: &Grant, after: Seq, limit: PageLimit) -> Result<Page, Problem> {
    grant.caller.ground().store.read(grant.record.log, after, limit).await.map_err(|error| {
        tracing::error!(%error, "a page can't be read");
        grant.caller.problem(Refusal::new(Code::StoreUnavailable, "the log can't be read now; try again"))
    })
}

async fn page(grant: &Grant, (start, limit): (Start, u64)) -> Result<HttpResponse, Problem> {
    // The ends of the log first, because they say where the page starts; a commit between the two reads
    // can only add events behind.
    let ends = read_log(grant, Seq::MAX, PageLimit { events: 1, bytes: 1 }).await?.bounds;
    let mark = grant.record.mark();
    let started = locate(start, mark, ends);
    if let Some(reason) = started.gap {
        let detail = format!(
            "this cursor can't be honoured ({}); what is kept is {} to {}: start again with after=earliest",
            reason.as_str(),
            ends.oldest,
            ends.head
        );
        return Err(grant.caller.problem(Refusal::new(Code::CursorGone, detail)));
    }
    let events = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = read_log(grant, started.cursor, PageLimit { events, bytes: PAGE_BYTES_MAX }).await?;
    let encoder = FrameEncoder::new(&grant.record.topic.key, mark);
    let cursor = page.events.last().map_or(started.cursor, |event| event.seq);
    let mut json = b"{\"events\":[".to_vec();
    for (index, event) in page.events.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        encoder.write_json(event, &mut json);
    }
    let bounds = page.bounds;
    json.extend_from_slice(
        format!(
            "],\"cursor\":\"{}\",\"has_more\":{},\"oldest\":\"{}\",\"newest\":\"{}\"}}",
            mark.at(cursor),
            cursor < bounds.head,
            mark.at(bounds.oldest),
            mark.at(bounds.head)
        )
        .as_bytes(),
    );
    Ok(HttpResponse::Ok().content_type("application/json").insert_header(("cache-control", "no-store")).body(json))
}
