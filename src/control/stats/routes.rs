//! The route of live numbers.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use tambour_actors::topic_key::Tenant;

use super::model::Stats;
use super::samples::Samples;
use crate::admission::Caller;
use crate::admission::terms::Terms;
use crate::development::DEMO_TENANT;

/// `GET /v1/stats`
pub async fn show(caller: Caller, samples: web::Data<Samples>) -> HttpResponse {
    let sample = samples.latest().await;
    let scope = caller.scope();
    let with_hub = operates(&caller.ground().terms(), &scope.tenant);
    let stats = Stats::of(&sample, samples.started_ms, scope, with_hub);
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(stats)
}

/// Whether a tenant is told of the whole hub: numbers of all tell each how much the others do.
fn operates(terms: &Terms, tenant: &Tenant) -> bool {
    let of_demo = terms.is_development && tenant.as_str() == DEMO_TENANT;
    of_demo || terms.settings.stats.operator_tenants.contains(tenant)
}
