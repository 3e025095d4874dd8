//! What is switched off in a tenant and env: shown to everybody there, and replaced by who may.

pub mod model;
pub mod routes;
