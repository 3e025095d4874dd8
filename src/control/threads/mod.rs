//! Threads: create, list, get, close, delete.

pub mod model;
pub mod routes;
