//! Live numbers: what a tenant and env does, and the whole hub. Who may read them, and how they are taken.

pub mod model;
pub mod routes;
pub mod samples;
