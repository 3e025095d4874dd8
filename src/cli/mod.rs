//! The command line: each subcommand a file. Never holds rules of the hub itself.

pub mod bench;
