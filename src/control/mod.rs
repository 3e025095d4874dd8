//! Topics, what is said of identities, what is switched off, what is counted, and stream tokens as resources. One folder a resource: its routes and its model. What is
//! stored, and where, is the ports' business.

pub mod audit;
pub mod authority;
pub mod kill_switch;
pub mod limits;
pub mod stats;
pub mod stream_tokens;
pub mod topics;
