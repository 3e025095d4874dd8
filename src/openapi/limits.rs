//! The documentation of what is in force.

use super::Doc;
use super::doc::{JSON, SERVICE, Typed};
use crate::control::limits::Limits;
use crate::routes::RouteSpec;

/// `GET /v1/limits`
pub fn show(_: &RouteSpec) -> Doc {
    Doc::new(SERVICE, "What is in force, and what the caller uses of it")
        .says("Of other principals, tenants and addresses nothing is told.")
        .answers(200, "Now.", [(JSON, Typed::of::<Limits>())])
}
