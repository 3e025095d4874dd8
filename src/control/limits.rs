//! `GET /v1/limits`: what is in force now, and what the caller uses of it.
//!
//! Nothing of other principals, tenants or addresses is told.

use actix_web::HttpResponse;
use actix_web::http::header;
use serde::Serialize;
use tambour_actors::depth::DATA_DEPTH_MAX;
use tambour_actors::event::{APPENDED_BYTES_MAX, BATCH_BYTES_MAX, BATCH_EVENTS_MAX, DATA_BYTES_MAX, TYPE_BYTES_MAX};
use tambour_actors::log::{MEMBERS_MAX, TITLE_BYTES_MAX};
use tambour_actors::session::request::LAST_MAX;
use utoipa::ToSchema;

use crate::admission::Caller;
use crate::admission::permit;
use crate::config::Settings;
use crate::control::stream_tokens::model::TOPICS_MAX;
use crate::identity::head;
use crate::transport::ndjson::LINE_BYTES_MAX;
use crate::transport::{page, read};

/// The handler.
pub async fn show(caller: Caller) -> HttpResponse {
    let (body_bytes, _) = caller.ground().bodies.held(&caller.principal);
    let limits = limits(caller.settings(), caller.used(), body_bytes);
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(limits)
}

/// What is in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct Limits {
    connections: ConnectionLimits,
    bodies: BodyLimits,
    requests: RequestLimits,
    threads: ThreadLimits,
    events: EventLimits,
    pages: PageLimits,
    session: SessionLimits,
    stream_tokens: StreamTokenLimits,
    rates: RateLimits,
}

/// How often something may be done in 60 s; 0 is no limit. Where the caller stands is in the `RateLimit-*` headers of what is rated.
#[derive(Debug, Serialize, ToSchema)]
pub struct RateLimits {
    /// Publishes of the caller.
    publish_per_minute: u64,
    /// Each other action of the caller's tenant in this env.
    action_per_minute: u64,
    /// Part of each of them, in percent, that the caller alone may use.
    principal_share_percent: u64,
    /// Actions with a rate of their own.
    actions: Vec<ActionLimit>,
    /// Tokens of the caller's address that are not accepted.
    bad_tokens_per_minute: u64,
}

/// The rate of one action.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActionLimit {
    action: &'static str,
    per_minute: u32,
}

/// How many connections there may be.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionLimits {
    /// Of the caller's address.
    ip: InUse,
    /// Of the caller.
    principal: InUse,
    /// Of the caller's tenant in this env.
    tenant: InUse,
    /// In all.
    all: AtMost,
}

/// How many bytes of bodies may be in hand at once.
#[derive(Debug, Serialize, ToSchema)]
pub struct BodyLimits {
    /// Of the caller.
    principal: InUse,
    /// In all.
    all: AtMost,
}

/// How many there may be, and how many there are.
#[derive(Debug, Serialize, ToSchema)]
pub struct InUse {
    max: usize,
    used: usize,
}

/// How many there may be.
#[derive(Debug, Serialize, ToSchema)]
pub struct AtMost {
    max: usize,
}

/// What a request may be.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestLimits {
    target_bytes_max: usize,
    headers_max: usize,
    headers_bytes_max: usize,
    body_bytes_max: usize,
    head_timeout_ms: u64,
    body_timeout_ms: u64,
    ndjson_idle_seconds: u64,
    keep_alive_seconds: u64,
}

/// What a topic may be.
#[derive(Debug, Serialize, ToSchema)]
pub struct ThreadLimits {
    title_bytes_max: usize,
    members_max: usize,
}

/// What an event may be, and what is published.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventLimits {
    data_bytes_max: usize,
    data_depth_max: usize,
    type_bytes_max: usize,
    line_bytes_max: usize,
    appended_bytes_max: usize,
    batch_events_max: usize,
    batch_bytes_max: usize,
    backlog_bytes_max: usize,
}

/// What a page may be.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageLimits {
    limit_max: usize,
    limit_default: usize,
    bytes_max: usize,
    last_max: u64,
    wait_seconds_max: u64,
}

/// What a session may be.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionLimits {
    frame_bytes_max: usize,
    topics_max: usize,
    publishes_in_flight_max: usize,
    messages_per_second: u64,
    hello_timeout_ms: u64,
    ws_ping_seconds: u64,
    sse_comment_seconds: u64,
    stall_seconds: u64,
    sse_retry_ms: u64,
    expiry_warning_seconds: u64,
}

/// What a stream token may be.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamTokenLimits {
    ttl_seconds: u64,
    ttl_seconds_max: u64,
    outstanding_max: usize,
    outstanding_per_key_max: usize,
    life_max_seconds: u64,
    topics_max: usize,
}

fn limits(settings: &Settings, used: permit::Used, body_bytes: usize) -> Limits {
    let Settings { http, topic, session, limits, tokens, rates, .. } = settings;
    Limits {
        connections: ConnectionLimits {
            ip: InUse { max: limits.connections_per_ip_max, used: used.address },
            principal: InUse { max: limits.connections_per_principal_max, used: used.principal },
            tenant: InUse { max: limits.connections_per_tenant_max, used: used.tenant },
            all: AtMost { max: limits.connections_max },
        },
        bodies: BodyLimits {
            principal: InUse { max: limits.held_body_bytes_per_principal_max, used: body_bytes },
            all: AtMost { max: limits.held_body_bytes_max },
        },
        requests: RequestLimits {
            target_bytes_max: head::TARGET_BYTES_MAX,
            headers_max: head::HEADERS_MAX,
            headers_bytes_max: head::HEADERS_BYTES_MAX,
            body_bytes_max: http.body_bytes_max,
            head_timeout_ms: http.request_timeout_ms,
            body_timeout_ms: http.body_timeout_ms,
            ndjson_idle_seconds: http.ndjson_idle_seconds,
            keep_alive_seconds: http.keep_alive_seconds,
        },
        threads: ThreadLimits { title_bytes_max: TITLE_BYTES_MAX, members_max: MEMBERS_MAX },
        events: EventLimits {
            data_bytes_max: DATA_BYTES_MAX,
            data_depth_max: DATA_DEPTH_MAX,
            type_bytes_max: TYPE_BYTES_MAX,
            line_bytes_max: LINE_BYTES_MAX,
            appended_bytes_max: APPENDED_BYTES_MAX,
            batch_events_max: BATCH_EVENTS_MAX,
            batch_bytes_max: BATCH_BYTES_MAX.min(http.body_bytes_max),
            backlog_bytes_max: topic.backlog_bytes,
        },
        pages: PageLimits {
            limit_max: read::LIMIT_MAX,
            limit_default: read::LIMIT_DEFAULT,
            bytes_max: page::PAGE_BYTES_MAX,
            last_max: LAST_MAX,
            wait_seconds_max: read::WAIT_SECONDS_MAX,
        },
        session: SessionLimits {
            frame_bytes_max: session.frame_bytes_max,
            topics_max: session.topics_max,
            publishes_in_flight_max: session.publishes_in_flight_max,
            messages_per_second: session.messages_per_second,
            hello_timeout_ms: session.hello_timeout_ms,
            ws_ping_seconds: session.ws_ping_seconds,
            sse_comment_seconds: session.sse_comment_seconds,
            stall_seconds: session.stall_seconds,
            sse_retry_ms: session.sse_retry_ms,
            expiry_warning_seconds: session.expiry_warning_seconds,
        },
        stream_tokens: StreamTokenLimits {
            ttl_seconds: tokens.ttl_seconds.min(tokens.ttl_seconds_max),
            ttl_seconds_max: tokens.ttl_seconds_max,
            outstanding_max: tokens.outstanding_max,
            outstanding_per_key_max: tokens.outstanding_per_key_max,
            life_max_seconds: tokens.life_max_seconds,
            topics_max: TOPICS_MAX,
        },
        rates: RateLimits {
            publish_per_minute: rates.publish_per_minute,
            action_per_minute: rates.action_per_minute,
            principal_share_percent: rates.principal_share_percent,
            actions: rates
                .actions
                .iter()
                .map(|own| ActionLimit { action: own.action, per_minute: own.per_minute })
                .collect(),
            bad_tokens_per_minute: rates.bad_tokens_per_minute,
        },
    }
}
