//! A network that breaks, a hub that goes and comes back, clients that are slow: everything that flows arrives once and in
//! order, and nobody else notices.
//!
//! The hub is the real binary. A failure is repeated with its seed; `TAMBOUR_SOAK=1` takes longer.

mod flow;
mod proxy;
mod restart;
mod slow_clients;

use std::time::Duration;

use self::proxy::{BAD, Faults};
use crate::support::soak;

/// How much longer the long versions take.
const SOAK_TIMES: u32 = 10;

/// What a bad network does to both directions, up to 2 to the power of `gap_bits` bytes apart.
fn bad(gap_bits: u64, pause_ms_max: u64, heal_after: Duration) -> Faults {
    Faults { kinds: BAD, gap_bits, pause_ms_max, heal_after: if soak() { SOAK_TIMES * heal_after } else { heal_after } }
}
