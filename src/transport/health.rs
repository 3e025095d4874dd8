//! Liveness and readiness, for who starts and stops hubs. They ask for no token and tell nothing of tenants.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admission::Ground;

/// How the hub is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Health {
    /// In a word.
    pub status: Status,
}

/// How the hub is, in a word.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HealthStatus)]
pub enum Status {
    /// The process answers.
    Ok,
    /// It takes work.
    Ready,
    /// It is not there yet.
    Starting,
    /// It is going.
    Draining,
    /// It can't write for want of room on the disk.
    StoreFull,
    /// It can't write.
    StoreFailing,
}

/// `GET /healthz`: the process answers.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: Status::Ok })
}

/// `GET /readyz`: the hub takes work; 503 while it drains or can't write.
pub async fn readyz(request: HttpRequest) -> HttpResponse {
    let status = match request.app_data::<Arc<Ground>>() {
        Some(ground) if ground.draining.is_begun() => Status::Draining,
        Some(ground) => match ground.store.stats() {
            stats if stats.full => Status::StoreFull,
            stats if stats.failing => Status::StoreFailing,
            _ => return HttpResponse::Ok().json(Health { status: Status::Ready }),
        },
        None => Status::Starting,
    };
    HttpResponse::ServiceUnavailable().json(Health { status })
}
