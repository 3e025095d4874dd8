//! NDJSON to `POST …/{id}/events`: each line is appended as it arrives, and the answer comes at the end.
//!
//! In reading order: [`lines`] (bytes to entries), [`turn`] (entries to writes, answers to places), [`intake`] (one turn in
//! flight while the next lines are read). A line never waits for a later one, and nothing is written behind a line that
//! was refused. What is held of a body is bounded, however long the body is.

mod intake;
pub mod lines;
mod turn;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tambour_actors::refusal::Code;
use tambour_actors::session::gate::Right;
use tracing::Instrument as _;

use self::intake::Intake;
pub use self::lines::LINE_BYTES_MAX;
use super::body;
use super::places::{Place, Places};
use super::socket::TakeOver;
use crate::admission::Named;
use crate::problem::Problem;

/// Whether a request's body is lines.
#[must_use]
pub fn is_ndjson(request: &HttpRequest) -> bool {
    ["application/x-ndjson", "application/ndjson"].iter().any(|kind| body::is_of(request, kind))
}

/// The handler. The topic is looked for before the body is read. A client that leaves has written the lines that it sent
/// in whole, so the end of the connection does not end the intake.
///
/// The server hangs up right behind a chunk that is none (RFC 9112, section 7.1), so only what is known by then can be
/// answered: 400 if everything before it is written, else nothing.
///
/// # Errors
/// What admission refuses; what is wrong with a line, or what the topic refuses it for, with its number as `line` and
/// the number of those on disk as `accepted`.
pub async fn publish(named: Named, request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let caller = named.caller.clone();
    let taken = Outliving(Some(take_in(named, payload).in_current_span().boxed_local()));
    let answered = AssertUnwindSafe(taken).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("an intake of lines died");
        Err(caller.problem(Code::PublishUnknown))
    });
    if let Some(connection) = request.conn_data::<TakeOver>()
        && answered.as_ref().is_err_and(|problem| problem.is_stream)
    {
        connection.linger();
    }
    answered
}

/// Work that is done by a task of its own if who waits for it leaves. Until then it is part of who waits: what it says at
/// the end of a body it says before the server has seen the end of the connection.
struct Outliving<T: 'static>(Option<LocalBoxFuture<'static, T>>);

impl<T: 'static> Future for Outliving<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out meanwhile: what panics is not polled again.
        let Some(mut work) = self.0.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.0 = Some(work);
        }
        polled
    }
}

impl<T: 'static> Drop for Outliving<T> {
    fn drop(&mut self) {
        if let Some(work) = self.0.take() {
            actix_rt::spawn(work);
        }
    }
}

async fn take_in(named: Named, payload: web::Payload) -> Result<HttpResponse, Problem> {
    // What is still to come of the body is no request.
    let closing = |is_read: bool| move |problem: Problem| Problem { is_stream: !is_read, ..problem };
    // An upload may take as long as a stream, and the lines that came are written though its client left: so it is a
    // connection until then.
    let _permit = named.caller.occupy().map_err(|refusal| closing(false)(named.problem(refusal)))?;
    let grant = named.grant(Right::Write).await.map_err(closing(false))?;
    let mark = grant.record.mark();
    match Intake::new(grant, payload).run().await {
        Ok((count, first, last)) => {
            let (first, last) = (Place::of(mark, first), Place::of(mark, last));
            Ok(HttpResponse::Created().json(Places { count, first, last }))
        }
        Err(failed) => Err(closing(failed.is_read)(named.problem(failed.refusal))),
    }
}
