//! Who calls, from where, for whom. In reading order:
//!
//! - [`context`]: what a request says about itself, read in one place.
//! - [`origin`]: what an event says of who caused it.
//! - [`source`]: where its headers come from. [`head`]: how large it may be.
//! - [`address`]: where it comes from.
//! - [`percent`]: the encoding of URLs, undone.
//! - [`web_origin`]: whether a browser's page may ask.
//! - [`key`], `key_set`: the keys that verify tokens; `remote_keys`, `fetch`: those that are fetched, and from whom
//!   ([`authorities`]).
//! - `issuer`: one issuer's tokens, verified; `strict`, [`claims`]: what they say, and the principal it proves.
//! - [`jwt`]: the token, and whose it is.
//! - [`service_key`]: what a program shows. [`subject`]: who somebody can be.
//! - [`stream_tokens`]: what opens a stream, and the port to where it is kept.
//!
//! Nothing here decides what a principal may do to a topic.

pub mod address;
pub mod authorities;
pub mod claims;
pub mod context;
mod fetch;
pub mod head;
mod issuer;
pub mod jwt;
pub mod key;
pub mod key_set;
pub mod origin;
pub mod percent;
mod remote_keys;
pub mod service_key;
pub mod source;
pub mod stream_tokens;
mod strict;
pub mod subject;
mod trace;
mod verified;
pub mod web_origin;

#[cfg(test)]
mod claims_tests;
#[cfg(test)]
mod context_tests;
#[cfg(test)]
mod issuers_tests;
#[cfg(test)]
mod jwt_tests;
#[cfg(test)]
mod key_tests;
