//! The server: the only place that knows HTTP, SQL, files and the environment. In reading order:
//!
//! - [`cli`]: arguments in, an exit code out. [`config`]: every setting.
//! - [`hub`]: puts a hub together from the rooms below; tests start the same value. [`reload`]: other settings while it runs.
//! - [`identity`]: who calls. [`admission`]: whether they may, in one order for every route.
//! - [`audit`]: what is written down of what was done and refused.
//! - [`routes`]: the one table of them. [`transport`]: HTTP, and the hand-over of its sockets to sessions. [`control`]: topics as resources.
//! - `proc_stat`: what a process costs. [`store`]: the log and the topics on disk. [`retention`]: what is kept no longer. [`problem`], [`telemetry`], [`development`].

pub mod admission;
pub mod audit;
pub mod cli;
pub mod config;
pub mod control;
pub mod development;
pub mod hub;
pub mod identity;
pub mod openapi;
pub mod problem;
mod proc_stat;
pub mod reload;
pub mod retention;
pub mod routes;
pub mod store;
pub mod telemetry;
pub mod transport;
