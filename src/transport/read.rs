//! `GET …/{id}/events` and `GET /v1/feed`: a stream for who accepts SSE, else a page, which may wait until there is something on it.
//!
//! Here is what may be asked for. What a page holds is in `page`, how it waits in `poll`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use tambour_actors::cursor::Cursor;
use tambour_actors::feed::view::Filter;
use tambour_actors::frame::Wire;
use tambour_actors::log::{EventLog as _, PageLimit};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::session::request;
use tambour_actors::session::{Wanted, Who};
use tambour_actors::topic::state::Start;
use tambour_actors::topic_key::{TopicKey, TopicKind};
use utoipa::IntoParams;

use super::page::{Asked, Span};
use super::{Ready, hand_over, page, poll, sse};
use crate::admission::{Grant, Named, gate};
use crate::openapi::shapes;
use crate::problem::Problem;

/// Most events of a page.
pub const LIMIT_MAX: usize = 500;
/// Events of a page when nothing is asked for.
pub const LIMIT_DEFAULT: usize = 100;
/// Longest wait of a page, in seconds.
pub const WAIT_SECONDS_MAX: u64 = 60;

/// The query of everything that reads a topic, or the feed. Unknown parameters are refused, so that a misspelt one
/// is not silently ignored; identity's own are looked at elsewhere.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Just behind this cursor, or at the oldest event that is kept: `earliest`.
    #[param(value_type = shapes::CursorOrEarliest, required = false)]
    after: Option<String>,
    /// Pages: the last events before this cursor.
    #[param(value_type = shapes::PageCursor, required = false)]
    before: Option<String>,
    /// Streams: as `Last-Event-ID`, which wins. It wins over `after` and `last`.
    #[param(value_type = shapes::CursorOrEarliest, required = false)]
    last_event_id: Option<String>,
    /// At so many events before the head.
    #[param(value_type = shapes::Last, required = false)]
    last: Option<u64>,
    /// Pages: how many events at most.
    #[param(value_type = shapes::PageLimit, required = false)]
    limit: Option<usize>,
    /// Pages: how long to wait for the first event, in seconds.
    #[param(value_type = shapes::Wait, required = false)]
    wait: Option<u64>,
    /// Whether appends come folded into the events that they belong to.
    #[param(value_type = bool, required = false)]
    fold: Option<bool>,
    /// Of the feed: of which types, with commas between them; one that ends in `*` means all that begin so.
    #[param(value_type = shapes::FeedTypes, required = false)]
    types: Option<String>,
    /// Of the feed: of which topics, with commas between them.
    #[param(value_type = shapes::FeedTopics, required = false)]
    topics: Option<String>,
    /// Streams over SSE: whether blocks have an `event` line; without one, all of them reach `onmessage`.
    named: Option<bool>,
    /// Of a stream request: a stream token; where `auth.allow_jwt_in_query` is set, another. A header wins.
    #[serde(rename = "token")]
    #[param(value_type = String, required = false)]
    _token: Option<String>,
    /// Where that is set: the tenant. It must agree with the header's in any case.
    #[serde(rename = "tenant_id")]
    #[param(value_type = shapes::Tenant, required = false)]
    _tenant_id: Option<String>,
    /// Where that is set: the env. It must agree with the header's in any case.
    #[serde(rename = "env")]
    #[param(value_type = shapes::Env, required = false)]
    _env: Option<String>,
}

fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::QueryInvalid, detail.into())
}

impl Reading {
    /// Where a stream starts, and the cursor as it was given.
    ///
    /// # Errors
    /// `cursor.malformed`, `query.invalid`.
    pub fn start(&self, request: &HttpRequest) -> Result<(Start, Option<String>), Refusal> {
        let of_pages = [
            (self.limit.is_some(), "limit is for pages; a stream has last"),
            (self.before.is_some(), "before is for pages; a stream goes forward"),
            (self.wait.is_some(), "wait is for pages; a stream waits by itself"),
        ];
        if let Some((_, detail)) = of_pages.iter().find(|(given, _)| *given) {
            return Err(invalid(*detail));
        }
        let after = self.last_event_id.as_deref().or(self.after.as_deref());
        sse::start_of(request, after, self.last)
    }

    /// The same over a WebSocket, whose frames always say what they are.
    ///
    /// # Errors
    /// `cursor.malformed`, `query.invalid`.
    pub fn socket_start(&self, request: &HttpRequest) -> Result<(Start, Option<String>), Refusal> {
        if self.named.is_some() {
            return Err(invalid("named is for SSE"));
        }
        self.start(request)
    }

    /// What a stream over SSE speaks.
    #[must_use]
    pub fn wire(&self) -> Wire {
        if self.named.unwrap_or(true) { Wire::Sse } else { Wire::SseUnnamed }
    }

    /// Whether appends come folded into what they were appended to.
    #[must_use]
    pub fn folds(&self) -> bool {
        self.fold.unwrap_or(false)
    }

    /// Of the feed: what of it; `None`: what is read is a topic.
    ///
    /// # Errors
    /// `query.invalid` for what is asked of the feed alone, and for what the feed alone does not have.
    pub fn filter(&self, key: &TopicKey) -> Result<Option<Arc<Filter>>, Refusal> {
        if key.kind() != TopicKind::Feed {
            return match self.types.as_ref().or(self.topics.as_ref()) {
                Some(_) => Err(invalid("types and topics are for the feed alone")),
                None => Ok(None),
            };
        }
        if self.fold.is_some() {
            return Err(invalid("the feed is not read folded"));
        }
        let names = |list: &Option<String>| -> Vec<String> {
            list.iter().flat_map(|list| list.split(',')).map(str::to_owned).collect()
        };
        Filter::parse(&key.scope(), &names(&self.types), &names(&self.topics)).map(|filter| Some(Arc::new(filter)))
    }

    /// What a page is asked for, and how long it waits when there is nothing to give.
    fn page(&self, filter: Option<Arc<Filter>>) -> Result<(Asked, Duration), Refusal> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(invalid(format!("limit is 1 to {LIMIT_MAX}")));
        }
        if self.named.is_some() {
            return Err(invalid("named is for streams over SSE"));
        }
        if self.last_event_id.is_some() {
            return Err(invalid("last_event_id is for streams; a page has after"));
        }
        let wait = self.wait.unwrap_or(0);
        if wait > WAIT_SECONDS_MAX {
            return Err(invalid(format!("wait is 0 to {WAIT_SECONDS_MAX}, in seconds")));
        }
        let span = match &self.before {
            None if self.after.is_none() && self.last.is_none() => Span::Newest,
            None => Span::From(request::start(self.after.as_deref(), self.last, Start::Head)?),
            Some(_) if self.after.is_some() || self.last.is_some() => {
                return Err(invalid("before can't be given with after or last"));
            }
            Some(_) if wait > 0 => return Err(invalid("what is before a cursor does not come later: no wait")),
            Some(cursor) => Span::Before(
                Cursor::parse_place(cursor).map_err(|error| Refusal::new(Code::CursorMalformed, error.to_string()))?,
            ),
        };
        Ok((Asked { span, limit, fold: self.folds(), filter }, Duration::from_secs(wait)))
    }
}

/// The handler.
///
/// # Errors
/// What admission refuses, `cursor.malformed`, `cursor.gone`, `query.invalid`.
pub async fn read(
    named: Named,
    reading: web::Query<Reading>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let filter = reading.filter(&named.key).map_err(|refusal| named.problem(refusal))?;
    if named.caller.context.takes_socket {
        let (start, requested) = reading.start(&request).map_err(|refusal| named.problem(refusal))?;
        let grant = named.grant(Right::Read).await?;
        if filter.is_none() && behind_the_end(&grant, start).await? {
            return Ok(HttpResponse::NoContent().finish());
        }
        let topic = grant.topic().await?;
        let wanted = Wanted { topic, start, requested, fold: reading.folds(), filter };
        return stream(&grant, wanted, &reading, &request, payload).await;
    }
    let (asked, wait) = reading.page(filter).map_err(|refusal| named.problem(refusal))?;
    let grant = named.grant(Right::Read).await?;
    let page = if wait.is_zero() {
        page::read(&grant, &asked).await?
    } else {
        poll::read(&named, grant, asked, wait, &request).await?
    };
    Ok(page.answer())
}

async fn stream(
    grant: &Grant,
    wanted: Wanted,
    reading: &Reading,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let permit = grant.caller.permit()?;
    let who = Who::Reader(grant.caller.proved().await?);
    let ready = Ready { who, topics: vec![wanted], composite: None, wire: reading.wire(), hold: permit };
    hand_over(request, payload, sse::head(request), ready)
}

/// Whether a reader has everything, `closed` too. An `EventSource` is told by 204 to stop.
pub(super) async fn behind_the_end(grant: &Grant, start: Start) -> Result<bool, Problem> {
    let Start::After(cursor) = start else { return Ok(false) };
    if cursor.mark != grant.record.mark() || cursor.floor > 0 {
        return Ok(false);
    }
    let end = grant.caller.ground().store.read(grant.record.log, cursor.seq, PageLimit { events: 1, bytes: 1 }).await;
    let end = end.map_err(|error| grant.caller.problem(gate::unavailable(&error)))?;
    Ok(end.bounds.closed && cursor.seq == end.bounds.head)
}

#[cfg(test)]
mod tests {
    use tambour_actors::topic_key::{Env, Scope, Tenant};

    use super::*;

    const CURSOR: &str = "AAAAAAAAAAAAAAAA.3";

    fn page(query: &str) -> Result<(Asked, Duration), Code> {
        let reading = web::Query::<Reading>::from_query(query).map_err(|_| Code::QueryInvalid)?;
        reading.page(None).map_err(|refusal| refusal.code)
    }

    #[test]
    fn what_a_page_may_be_asked_for() {
        let cursor = Cursor::parse(CURSOR).unwrap();
        for (query, span, limit, fold, seconds) in [
            (String::new(), Span::Newest, 100, false, 0),
            ("limit=500&wait=60".to_owned(), Span::Newest, 500, false, 60),
            ("wait=0&fold=false".to_owned(), Span::Newest, 100, false, 0),
            (format!("after={CURSOR}&wait=1"), Span::From(Start::After(cursor)), 100, false, 1),
            ("after=earliest&fold=true".to_owned(), Span::From(Start::Earliest), 100, true, 0),
            ("last=0&wait=30".to_owned(), Span::From(Start::Last(0)), 100, false, 30),
            (format!("before={CURSOR}&limit=1&fold=true"), Span::Before(cursor), 1, true, 0),
        ] {
            let asked = Asked { span, limit, fold, filter: None };
            assert_eq!(page(&query), Ok((asked, Duration::from_secs(seconds))), "{query}");
        }
    }

    #[test]
    fn what_is_for_the_feed_and_what_is_not() {
        let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
        let (feed, thread) = (TopicKey::feed(&scope), TopicKey::parse(&scope, "thread/x").unwrap());
        let filter = |key: &TopicKey, query: &str| {
            let reading = web::Query::<Reading>::from_query(query).unwrap();
            reading.filter(key).map(|filter| filter.map(|filter| filter.is_none())).map_err(|refusal| refusal.code)
        };
        assert_eq!(filter(&thread, "fold=true"), Ok(None));
        assert_eq!(filter(&feed, "limit=3"), Ok(Some(true)));
        for query in ["types=note", "types=note,thread.*", "topics=thread/x,system/tenant", "types=*&topics=canvas/y"] {
            assert_eq!(filter(&feed, query), Ok(Some(false)), "{query}");
            assert_eq!(filter(&thread, query), Err(Code::QueryInvalid), "{query}");
        }
        for query in ["fold=true", "fold=false", "types=", "types=note,", "topics=", "topics=feed", "types=Note"] {
            assert_eq!(filter(&feed, query), Err(Code::QueryInvalid), "{query}");
        }
    }

    #[test]
    fn what_can_t_be_asked_for() {
        for query in [
            "limit=0",
            "limit=501",
            "limit=x",
            "last=501",
            "wait=61",
            "wait=-1",
            "wait=1.5",
            "fold=1",
            "fold=yes",
            "named=false",
            "nonsense=1",
            "last_event_id=x",
            &format!("after={CURSOR}&last=1"),
            &format!("before={CURSOR}&after={CURSOR}"),
            &format!("before={CURSOR}&last=1"),
            &format!("before={CURSOR}&wait=1"),
        ] {
            assert_eq!(page(query).unwrap_err(), Code::QueryInvalid, "{query}");
        }
        for query in ["after=x", "before=x", "before=earliest", "before="] {
            assert_eq!(page(query).unwrap_err(), Code::CursorMalformed, "{query}");
        }
    }
}
