//! Long polls: a page that waits until there is something on it.
//!
//! Who polls is a reader without a session: they ask the topic to be told of the next commit, and then read the log as
//! any page does. Nothing of a poll stays behind in the hub: not in the topic, which forgets who left, nor here.

use std::time::Duration;

use actix_web::HttpRequest;
use tambour_actors::refusal::Refusal;
use tambour_actors::session::gate::Right;
use tambour_actors::topic::messages::Watch;
use tambour_actors::topic::now_ms;
use tambour_actors::topic::state::Start;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::page::{self, Asked, Page, Span};
use super::socket::TakeOver;
use crate::admission::leases::Lease;
use crate::admission::{Caller, Grant, Named};
use crate::problem::Problem;

/// Reads a page, at the latest after `wait`. It comes empty when nothing was published, when the hub drains, or when
/// the client ended its side of the connection; at once, when the topic is closed. The caller's permit is held to the end.
///
/// # Errors
/// What a page is refused for, also while it waits: `topic.unknown` when the topic is deleted, `permission.denied` when the
/// caller may not read it any more, `auth.*` when they have no standing any more; `session.replaced` and `auth.token_revoked` when
/// their stream token is lost.
pub async fn read(
    named: &Named,
    mut grant: Grant,
    mut asked: Asked,
    wait: Duration,
    request: &HttpRequest,
) -> Result<Page, Problem> {
    let caller = &named.caller;
    let until = Instant::now() + wait;
    let draining = &caller.ground().draining;
    let connection = request.conn_data::<TakeOver>();
    let mut page = page::read(&grant, &asked).await?;
    let mut changes = caller.ground().standing.changes(&caller.principal.scope);
    // What was said before somebody listened.
    let mut end = end_of(caller, wait)?;
    // Behind everything that can be refused.
    let lease = caller.lease().await?;
    loop {
        if !page.is_bare || page.is_last {
            return Ok(page);
        }
        // From now on the same place is meant, wherever the head is.
        asked.span = Span::From(Start::After(page.cursor));
        let topic = grant.topic().await?;
        let (reply, told) = oneshot::channel();
        // Unbounded by itself, and bounded by the connections: each has one question.
        topic.addr.do_send(Watch { after: page.cursor.seq, reply });
        tokio::select! {
            // Told or dropped: either way it is looked at again, by whom it may be looked at now.
            _ = told => grant = named.grant(Right::Read).await?,
            // Of this tenant and env. The hub has the sender as long as somebody listens.
            _ = changes.changed() => {
                grant = named.grant(Right::Read).await?;
                end = end_of(caller, wait)?;
            }
            refusal = lost(lease.as_deref()) => return Err(caller.problem(refusal)),
            () = sleep_until(until.min(end)) => return Ok(page),
            () = draining.begun() => return Ok(page),
            () = TakeOver::ended(connection) => return Ok(page),
        }
        page = page::read(&grant, &asked).await?;
    }
}

/// When the caller's proof runs out, by what is said of it now; at the latest after `wait`.
fn end_of(caller: &Caller, wait: Duration) -> Result<Instant, Problem> {
    let current = caller.current().map_err(|refusal| caller.problem(refusal))?;
    let left_ms = u64::try_from(current.expires_at_ms.saturating_sub(now_ms())).unwrap_or(0);
    Ok(Instant::now() + wait.min(Duration::from_millis(left_ms)))
}

/// Waits until a stream token is lost; for ever without one.
async fn lost(lease: Option<&Lease>) -> Refusal {
    match lease {
        Some(lease) => lease.lost().await,
        None => std::future::pending().await,
    }
}
