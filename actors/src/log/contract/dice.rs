//! Pseudo-random numbers that a seed determines.

use std::hash::{BuildHasher as _, RandomState};

/// SplitMix64.
pub(super) struct Dice(u64);

impl Dice {
    /// Dice of a new seed, or of `TAMBOUR_CONTRACT_SEED` when that is set; the seed is written to stderr.
    pub(super) fn seeded() -> Self {
        let given = std::env::var("TAMBOUR_CONTRACT_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        eprintln!("contract: TAMBOUR_CONTRACT_SEED={seed}");
        Self(seed)
    }

    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end as u64).unwrap_or(0)
    }

    /// One of these.
    pub(super) fn of<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}
