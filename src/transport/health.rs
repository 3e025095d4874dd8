//! Liveness and readiness, for who starts and stops hubs. They ask for no token and tell nothing of tenants.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::admission::Ground;

/// `GET /healthz`: the process answers.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /readyz`: the hub takes work; 503 while it drains or can't write.
pub async fn readyz(request: HttpRequest) -> HttpResponse {
    let status = match request.app_data::<Arc<Ground>>() {
        Some(ground) if ground.draining.is_begun() => "draining",
        Some(ground) => match ground.store.stats() {
            stats if stats.full => "store_full",
            stats if stats.failing => "store_failing",
            _ => return HttpResponse::Ok().json(json!({ "status": "ready" })),
        },
        None => "starting",
    };
    HttpResponse::ServiceUnavailable().json(json!({ "status": status }))
}
