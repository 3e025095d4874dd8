//! What the tests of a whole hub share: hubs, clients, tokens, and waiting with a deadline.
//!
//! The clients are the tests' own (and `tungstenite`), so that a mistake of the hub is not made twice.

pub(crate) mod authority;
pub(crate) mod described;
pub(crate) mod http;
pub(crate) mod hub;
pub(crate) mod jwks;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod raw_ws;
pub(crate) mod redis;
pub(crate) mod sse;
pub(crate) mod tls;
pub(crate) mod token;
pub(crate) mod ws;

use std::time::{Duration, Instant};

/// How long anything may take that must happen. Never how long something is waited for that must not.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

/// Looks again and again until there is something, and fails with `what` at the deadline.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < WITHIN, "not within {WITHIN:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the long versions of tests are asked for.
pub(crate) fn soak() -> bool {
    std::env::var_os("TAMBOUR_SOAK").is_some_and(|value| value == "1")
}
