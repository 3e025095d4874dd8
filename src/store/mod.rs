//! Where events and topics are kept on disk, behind the ports of `tambour_actors::log`, and stream tokens, there or in a
//! Redis, behind the port of `identity::stream_tokens`.
//!
//! Nothing outside of this folder knows SQL or Redis, and nothing inside of it knows HTTP or an actor: the answers of a
//! store are futures. Those of the file need no runtime.

pub mod redis;
pub mod sqlite;
