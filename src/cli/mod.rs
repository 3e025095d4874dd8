//! The command line: each subcommand a file.

pub mod create;
pub mod pretty;
pub mod publish;
pub mod remote;
pub mod sse_parser;
pub mod tail;
