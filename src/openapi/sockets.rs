//! The documentation of WebSocket upgrades.

use tambour_actors::refusal::Code;

use super::Doc;
use super::doc::SOCKETS;
use super::parameters;
use crate::routes::RouteSpec;
use crate::transport::read::Reading;

/// What is said of every upgrade.
const UPGRADE: &str = "An upgrade by RFC 6455 with `Sec-WebSocket-Version: 13`; anything else is refused. A browser, which \
    can't set headers, offers the subprotocols `tambour.v1, bearer.<token>`. The frames are in `docs/protocol.md`.";

/// `GET /v1/{threads,canvases}/{id}/ws`
pub fn topic(route: &RouteSpec) -> Doc {
    Doc::of_kind(SOCKETS, route, "One {} over a WebSocket")
        .says(format!("The session is subscribed at once, and ends with the topic. {UPGRADE}"))
        .query_of::<Reading>(&["after", "last_event_id", "last", "fold", "token", "tenant_id", "env"])
        .takes([parameters::last_event_id()])
        .answers(101, "The session begins.", [])
        .refuses(&[Code::CursorMalformed])
}

/// `GET /v1/ws`
pub fn open(_: &RouteSpec) -> Doc {
    Doc::new(SOCKETS, "Any topics over a WebSocket")
        .says(format!("Without a token in the upgrade, the first frame is `hello`. {UPGRADE}"))
        .answers(101, "The session begins.", [])
}
