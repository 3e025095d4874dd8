//! `DELETE …/{id}/events/{event_id}`: an event loses its data, its place stays, and readers are told.
//!
//! Once is enough: who asks again is answered as the first, and no second event tells of it.

use actix_web::{HttpRequest, HttpResponse};
use tambour_actors::cursor::Cursor;
use tambour_actors::event::{Event, Seq};
use tambour_actors::log::{Class, EventLog as _, Once, PageLimit};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::Right;
use tambour_actors::topic::state::{What, Write};

use super::publish::write;
use crate::admission::{Grant, Named, gate, rights};
use crate::problem::Problem;

/// The handler. Who manages the topic may, and who sent the event, while they may write.
///
/// # Errors
/// What admission refuses, `cursor.malformed`, `event.unknown`, `permission.denied`, `topic.closed`, and what a write is
/// refused for.
pub async fn redact(named: Named, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let text = request.match_info().get("event_id").unwrap_or_default();
    let cursor = Cursor::parse(text);
    let cursor = cursor.map_err(|error| named.problem(Refusal::new(Code::CursorMalformed, error.to_string())))?;
    let grant = named.grant(Right::Read).await?;
    let principal = &grant.caller.principal;
    let manages = rights::check(principal, &grant.record.topic, Right::Manage).is_ok();
    if !manages {
        rights::check(principal, &grant.record.topic, Right::Write).map_err(|refusal| named.problem(refusal))?;
    }
    let event = if cursor.mark == grant.record.mark() { find(&grant, cursor.seq).await? } else { None };
    let event = event.ok_or_else(|| {
        let detail = "event_id names no event of this topic that is kept and has data of its own";
        named.problem(Refusal::new(Code::EventUnknown, detail))
    })?;
    let own = grant.caller.context.origin(principal).actor() == event.origin.actor();
    if !manages && !own {
        let detail = "only who sent an event, or manages the topic, may redact it";
        return Err(named.problem(Refusal::new(Code::Forbidden, detail)));
    }
    if !event.is_redacted() {
        let mut redaction = Write::from(What::Redact(event.seq, Class::taking_away(principal.role)));
        redaction.once = Some(once(event.seq));
        write(&grant, redaction).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Of two who redact the same event at the same time, one does it and both are told that it is done. The key is nobody's:
/// a subject is never empty.
fn once(seq: Seq) -> Once {
    Once { sub: "".into(), key: format!("redact.{seq}").into(), digest: [0; 32] }
}

/// An event that can be redacted.
async fn find(grant: &Grant, seq: Seq) -> Result<Option<Event>, Problem> {
    let Some(before) = seq.checked_sub(1) else { return Ok(None) };
    let page = grant.caller.ground().store.read(grant.record.log, before, PageLimit { events: 1, bytes: 1 }).await;
    let page = page.map_err(|error| grant.caller.problem(gate::unavailable(&error)))?;
    let is_meant = |event: &Event| event.seq == seq && !matches!(event.kind.as_str(), "append" | "redacted" | "closed");
    Ok(page.events.into_iter().next().filter(is_meant))
}
