//! What a reader says before it only listens: the upgrade or the SSE request, and subscribe
//! frames. Never reads a socket.

use super::{Peer, Plan, Start, Through};
use crate::cli::bench::scan::{Wire, topic_id};
use crate::cli::bench::{ENV, TENANT};

/// Where a reader is on its way to its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The answer's head has not come.
    Head,
    /// The head has come, `welcome` or `connected` has not.
    Opening,
    /// Welcomed, and waiting for the command to subscribe.
    Welcomed,
    /// So many `subscribed` are to come.
    Subscribing(u16),
    /// Subscribed.
    Live,
    /// Ended by the other side.
    Ended,
}

/// What opens a connection's stream: a request's head, or for the floor the connection's
/// number in four bytes.
pub(crate) fn opening(plan: &Plan, connection: usize) -> Vec<u8> {
    let Peer::Hub(token) = &plan.peer else {
        return u32::try_from(connection).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    };
    let context =
        format!("Host: {}\r\nAuthorization: Bearer {token}\r\nX-Tenant-Id: {TENANT}\r\nX-Env: {ENV}\r\n", plan.addr);
    let head = match plan.wire {
        Wire::Ws => format!(
            "GET /v1/ws HTTP/1.1\r\n{context}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGFtYm91ci1iZW5jaC1rZQ==\r\nSec-WebSocket-Protocol: tambour.v1\r\n\r\n"
        ),
        Wire::Sse => {
            let path = match plan.through {
                Through::Thread => format!("/v1/threads/{}/events", topic_id(plan.topics_of(connection).start)),
                Through::Feed => "/v1/feed".to_owned(),
            };
            let start = match plan.start {
                Start::Head => String::new(),
                Start::Earliest => "?after=earliest".into(),
                Start::Last(count) => format!("?last={count}"),
            };
            format!("GET {path}{start} HTTP/1.1\r\n{context}Accept: text/event-stream\r\n\r\n")
        }
    };
    head.into_bytes()
}

/// The subscribe frames of a connection, one behind the other.
pub(crate) fn subscribes(plan: &Plan, connection: usize) -> Vec<u8> {
    let start = match plan.start {
        Start::Head => String::new(),
        Start::Earliest => r#","after":"earliest""#.into(),
        Start::Last(count) => format!(r#","last":{count}"#),
    };
    let mut frames = Vec::new();
    for topic in plan.topics_of(connection) {
        let topic = match plan.through {
            Through::Thread => format!("thread/{}", topic_id(topic)),
            Through::Feed => "feed".to_owned(),
        };
        let text = format!(r#"{{"t":"subscribe","topic":"{topic}"{start}}}"#);
        client_frame(&mut frames, 0x81, text.as_bytes());
    }
    frames
}

/// Appends a client's frame. The mask is zero: as valid as any other on a loopback socket
/// without a proxy, and it costs the generator nothing.
pub(crate) fn client_frame(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.push(first);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend(payload);
}
