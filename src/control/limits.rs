//! `GET /v1/limits`: what is in force now, and what the caller uses of it.
//!
//! Nothing of other principals, tenants or addresses is told.

use actix_web::HttpResponse;
use actix_web::http::header;
use serde_json::{Value, json};
use tambour_actors::event::{APPENDED_BYTES_MAX, BATCH_BYTES_MAX, BATCH_EVENTS_MAX, DATA_BYTES_MAX, TYPE_BYTES_MAX};
use tambour_actors::log::{MEMBERS_MAX, TITLE_BYTES_MAX};
use tambour_actors::session::request::LAST_MAX;

use crate::admission::Caller;
use crate::admission::permit::Used;
use crate::config::Settings;
use crate::transport::ndjson::LINE_BYTES_MAX;
use crate::transport::{page, read};

/// The handler.
pub async fn show(caller: Caller) -> HttpResponse {
    let limits = limits(caller.settings(), caller.used());
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(limits)
}

fn limits(settings: &Settings, used: Used) -> Value {
    let Settings { http, topic, session, limits, .. } = settings;
    json!({
        "connections": {
            "ip": { "max": limits.connections_per_ip_max, "used": used.address },
            "principal": { "max": limits.connections_per_principal_max, "used": used.principal },
            "tenant": { "max": limits.connections_per_tenant_max, "used": used.tenant },
            "all": { "max": limits.connections_max },
        },
        "requests": {
            "body_bytes_max": http.body_bytes_max,
            "head_timeout_ms": http.request_timeout_ms,
            "body_timeout_ms": http.body_timeout_ms,
            "ndjson_idle_seconds": http.ndjson_idle_seconds,
            "keep_alive_seconds": http.keep_alive_seconds,
        },
        "threads": { "title_bytes_max": TITLE_BYTES_MAX, "members_max": MEMBERS_MAX },
        "events": {
            "data_bytes_max": DATA_BYTES_MAX,
            "type_bytes_max": TYPE_BYTES_MAX,
            "line_bytes_max": LINE_BYTES_MAX,
            "appended_bytes_max": APPENDED_BYTES_MAX,
            "batch_events_max": BATCH_EVENTS_MAX,
            "batch_bytes_max": BATCH_BYTES_MAX.min(http.body_bytes_max),
            "backlog_bytes_max": topic.backlog_bytes,
        },
        "pages": {
            "limit_max": read::LIMIT_MAX,
            "limit_default": read::LIMIT_DEFAULT,
            "bytes_max": page::PAGE_BYTES_MAX,
            "last_max": LAST_MAX,
            "wait_seconds_max": read::WAIT_SECONDS_MAX,
        },
        "session": {
            "frame_bytes_max": session.frame_bytes_max,
            "topics_max": session.topics_max,
            "publishes_in_flight_max": session.publishes_in_flight_max,
            "hello_timeout_ms": session.hello_timeout_ms,
            "ws_ping_seconds": session.ws_ping_seconds,
            "sse_comment_seconds": session.sse_comment_seconds,
            "stall_seconds": session.stall_seconds,
            "sse_retry_ms": session.sse_retry_ms,
            "expiry_warning_seconds": session.expiry_warning_seconds,
        },
    })
}
