//! Liveness and readiness, for who starts and stops hubs. They ask for no token and tell nothing of tenants.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::admission::Ground;
use crate::store::Stores;

/// `GET /healthz`: the process answers.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /readyz`: the hub takes work; 503 while it drains or can't write.
pub async fn readyz(ground: web::ReqData<Arc<Ground>>, stores: web::ReqData<Stores>) -> HttpResponse {
    let status = if ground.draining.load(Ordering::Relaxed) {
        "draining"
    } else if stores.sqlite.stats().failing {
        "store_failing"
    } else {
        return HttpResponse::Ok().json(json!({ "status": "ready" }));
    };
    HttpResponse::ServiceUnavailable().json(json!({ "status": status }))
}
