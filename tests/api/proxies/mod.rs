//! A hub behind nginx and behind Caddy, as the files in `deploy/` set them up: every case runs behind both.
//!
//! It never looks at what a proxy is told, only at what a client sees. Both must be installed.

mod answers;
mod lines;
mod proxy;
mod restarts;
mod streams;

use tempfile::TempDir;

use crate::support::http::create;
use crate::support::process::{Process, own_host};

/// Makes a module of tests for each proxy out of functions that take its kind.
macro_rules! behind_both {
    ($($case:ident),+ $(,)?) => {
        mod behind_nginx {
            $(#[test]
            fn $case() {
                super::$case(super::Kind::Nginx);
            })+
        }
        mod behind_caddy {
            $(#[test]
            fn $case() {
                super::$case(super::Kind::Caddy);
            })+
        }
    };
}
use behind_both;

/// A hub with a thread `x` of alice's.
fn hub(variables: &[(&str, &str)]) -> (TempDir, Process) {
    let dir = TempDir::new().unwrap();
    let hub = Process::start(dir.path(), &format!("{}:0", own_host()), variables);
    create(hub.addr, "alice", "x");
    (dir, hub)
}
