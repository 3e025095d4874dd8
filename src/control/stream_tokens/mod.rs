//! Stream tokens as a resource: they are made, and that is all. What opens them is admission's business.

pub mod model;
pub mod routes;
