//! HTTP on the client address: the routes that stream, publish and read, and the hand-over of sockets
//! to sessions. Handlers are a few lines: admission decides, topics and sessions do.

pub mod body;
pub mod console;
pub mod cors;
mod feed;
pub mod health;
mod linger;
pub mod ndjson;
pub mod page;
pub mod places;
pub mod poll;
pub mod publish;
pub mod rated;
pub mod read;
pub mod redact;
pub mod socket;
pub mod sse;
pub mod stream;
pub mod tls;
pub mod ws;

use std::rc::Rc;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use tambour_actors::composite::Composite;
use tambour_actors::frame::Wire;
use tambour_actors::outlet::socket::tune;
use tambour_actors::outlet::worker::Worker;
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::session::gate::{Gate, Hold};
use tambour_actors::session::{Greeting, Opening, Wanted, Who, open};
use uuid::Uuid;

use crate::admission::Ground;
use crate::problem::{Problem, ids_of};
use socket::TakeOver;

/// What the handlers of one worker share.
pub struct Station {
    /// The worker.
    pub worker: Rc<Worker>,
    /// Admits what sessions ask for.
    pub gate: Rc<dyn Gate>,
    /// What admission stands on.
    pub ground: Arc<Ground>,
}

/// A session that is about to be opened: everything is checked, nothing was answered yet.
pub struct Ready {
    /// Who.
    pub who: Who,
    /// The topics it begins with.
    pub topics: Vec<Wanted>,
    /// Of a stream of several topics: where the client stands.
    pub composite: Option<Box<Composite>>,
    /// What the client speaks.
    pub wire: Wire,
    /// Room for it.
    pub hold: Rc<dyn Hold>,
}

/// Answers with `head`, then hands the socket of this request to a session.
///
/// # Errors
/// `request.stream_body` when something came behind the head of an SSE request; `internal` when
/// this connection can't be taken over.
pub fn hand_over(
    request: &HttpRequest,
    payload: actix_web::web::Payload,
    head: HttpResponse,
    ready: Ready,
) -> Result<HttpResponse, Problem> {
    let refused = |refusal: Refusal| Problem { refusal, ids: ids_of(request), is_stream: true };
    let station = request.app_data::<Rc<Station>>().ok_or_else(|| refused(Code::Internal.into()))?.clone();
    let take_over = request.conn_data::<TakeOver>().ok_or_else(|| refused(Code::Internal.into()))?.clone();
    if ready.wire.is_sse() && !take_over.quiet() {
        return Err(refused(Refusal::new(Code::StreamBody, "nothing may follow the head of a stream request")));
    }
    let ids = ids_of(request);
    let limits = station.ground.terms().session.clone();
    let stall = std::time::Duration::from_millis(limits.pace.stall_ms.into());
    Ok(take_over.after(head, ready.wire, payload, move |socket, early| {
        if let Err(error) = tune(socket.tcp(), stall) {
            tracing::debug!(%error, "a socket is gone before its session began");
            return;
        }
        let opening = Opening {
            wire: ready.wire,
            socket: socket.into_socket(),
            early,
            greeting: Box::new(Greeting { connection_id: Uuid::now_v7(), request_id: ids.request_id }),
            who: ready.who,
            topics: ready.topics,
            composite: ready.composite,
            hold: ready.hold,
            gate: station.gate.clone(),
            limits,
        };
        open(&station.worker, opening);
    }))
}
