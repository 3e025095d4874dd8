//! Topics as resources, and stream tokens. One folder a resource: its routes and its model. What is stored, and where, is the
//! ports' business.

pub mod limits;
pub mod stream_tokens;
pub mod topics;
