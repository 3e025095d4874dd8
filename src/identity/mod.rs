//! Who calls, from where, for whom. In reading order:
//!
//! - [`context`]: what a request says about itself, read in one place.
//! - [`source`]: where its headers come from.
//! - [`address`]: where it comes from.
//! - [`percent`]: the encoding of URLs, undone.
//! - [`web_origin`]: whether a browser's page may ask.
//! - [`key`]: the key that verifies tokens.
//! - [`jwt`]: the token, verified, and the principal it proves.
//! - [`stream_tokens`]: what opens a stream, and the port to where it is kept.
//!
//! Nothing here decides what a principal may do to a topic.

pub mod address;
pub mod context;
pub mod jwt;
pub mod key;
pub mod percent;
pub mod service_key;
pub mod source;
pub mod stream_tokens;
pub mod subject;
mod trace;
mod verified;
pub mod web_origin;

#[cfg(test)]
mod context_tests;
#[cfg(test)]
mod jwt_tests;
#[cfg(test)]
mod key_tests;
