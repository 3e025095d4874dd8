//! Threads and canvases: create, list, get, change, close, delete; who is a member.
//!
//! A handler serves both: which kind it is about is the route's to say.

pub mod members;
pub mod model;
pub mod routes;
