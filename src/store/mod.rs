//! Where events and topics are kept on disk, behind the ports of `tambour_actors::log`.
//!
//! Nothing outside of this folder knows SQL, and nothing inside of it knows HTTP, an actor or
//! a runtime: the answers of the store are futures that any executor can poll.

pub mod sqlite;
