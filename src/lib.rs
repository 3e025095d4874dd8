//! The server: the only place that knows HTTP, SQL, files and the environment.

pub mod cli;
pub mod config;
pub mod development;
pub mod identity;
pub mod problem;
pub mod telemetry;
