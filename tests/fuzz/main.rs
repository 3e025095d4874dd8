//! Fuzzing: whatever a stranger can send is sent to what parses it, in many forms, most of them wrong.
//!
//! One target a parser, each with what must hold whatever comes: it does not panic, holds no more memory than it may, and
//! means the same however it is cut. A short run is part of every test run, a long one of `tests/run --soak`. Nothing
//! here opens a socket: that is `tests/api`.

mod claims;
mod cursors;
mod frames;
mod harness;
mod heads;
mod lines;
mod requests;
mod sse;
mod tokens;
