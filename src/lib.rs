//! The server: the only place that knows HTTP, SQL, files and the environment.

pub mod cli;
