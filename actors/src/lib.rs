//! The hub without HTTP, SQL or JWT. In reading order:
//!
//! - [`topic_key`], [`cursor`], [`event`], [`principal`]: parsed values.
//! - [`refusal`]: the one table of everything that is refused. [`token_form`]: what is never said in one.
//! - [`frame`]: an event as bytes, encoded once.
//! - [`catalogue`]: well-known event types. [`system`]: those of `system/tenant`. [`deed`]: who did what they tell of.
//! - [`log`]: the ports behind which events and topics are kept.
//! - [`composite`]: where a reader of several topics stands.
//! - [`entry`]: what a client asks to be written, parsed once for every transport.
//! - [`meter`]: what a scope does, counted. [`lag`]: how far its readers are behind.
//! - [`topic`]: the actor that owns a log's order. [`feed`]: what happens in all of them. [`directory`]: finds and starts both.
//! - [`outlet`]: writes to the sockets of one worker. [`session`]: one connection.

pub mod catalogue;
pub mod composite;
pub mod cursor;
pub mod deed;
pub mod depth;
pub mod directory;
pub mod entry;
pub mod event;
pub mod feed;
pub mod frame;
pub mod lag;
pub mod log;
pub mod meter;
pub mod outlet;
pub mod principal;
pub mod refusal;
pub mod review;
pub mod session;
pub mod system;
pub mod token_form;
pub mod topic;
pub mod topic_key;
