//! The hub without HTTP, SQL or JWT. In reading order:
//!
//! - [`topic_key`], [`cursor`], [`event`], [`principal`]: parsed values.
//! - [`refusal`]: the one table of everything that is refused.
//! - [`log`]: the ports behind which events and topics are kept.

pub mod cursor;
pub mod event;
pub mod log;
pub mod principal;
pub mod refusal;
pub mod topic_key;
