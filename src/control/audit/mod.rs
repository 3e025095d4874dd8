//! The audit as a resource: entries by what they say, whether their chain is whole, and all of it as a file.

mod export;
pub mod model;
pub mod routes;
