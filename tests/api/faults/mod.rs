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
use crate::support::random::Random;
use crate::support::soak;

/// How much longer the long versions take.
const SOAK_TIMES: u32 = 10;

/// Settings by which a hub is small: what a reader of the whole log meets once, one that comes back meets often.
fn small(random: &mut Random) -> Vec<(&'static str, String)> {
    let one_of = |random: &mut Random, values: [u64; 3]| values[usize::try_from(random.below(3)).unwrap()].to_string();
    vec![
        ("TAMBOUR__TOPIC__TAIL_EVENTS", one_of(random, [1, 16, 256])),
        ("TAMBOUR__TOPIC__DELIVERY_BYTES", one_of(random, [1_024, 16_384, 262_144])),
        ("TAMBOUR__TOPIC__SLEEP_AFTER_SECONDS", one_of(random, [1, 2, 300])),
        ("TAMBOUR__HTTP__WORKERS", one_of(random, [1, 2, 3])),
    ]
}

/// What a bad network does to both directions, up to 2 to the power of `gap_bits` bytes apart.
fn bad(gap_bits: u64, pause_ms_max: u64, heal_after: Duration) -> Faults {
    Faults { kinds: BAD, gap_bits, pause_ms_max, heal_after: if soak() { SOAK_TIMES * heal_after } else { heal_after } }
}
