//! Random numbers that a failure can be repeated with: a seed, printed where it is made.
//!
//! Never used for anything that must be hard to guess.

/// A generator (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    /// From `TAMBOUR_SEED`, else from the clock. The seed is printed; the test shows it when it fails.
    pub(crate) fn seeded(test: &str) -> Self {
        let given = std::env::var("TAMBOUR_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(1, |since| u64::try_from(since.as_nanos()).unwrap_or(1));
        let seed = given.unwrap_or_else(clock).max(1);
        println!("{test}: TAMBOUR_SEED={seed}");
        Self(seed)
    }

    /// From another generator's number.
    pub(crate) fn from(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}
