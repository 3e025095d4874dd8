//! Numbers by seed, so that whatever a test did can be done again.

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Runs a test with seeds, of which the one that fails is said: `TAMBOUR_SEED` repeats one, `TAMBOUR_SOAK=1` goes on for a
/// minute.
pub(crate) fn seeded(test: impl Fn(u64)) {
    /// Says which seed it was when the test fails.
    struct Seed(u64);
    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("repeat it with TAMBOUR_SEED={}", self.0);
            }
        }
    }
    let run = |seed| {
        let _seed = Seed(seed);
        test(seed);
    };
    if let Some(seed) = std::env::var("TAMBOUR_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return run(seed);
    }
    (0..12).for_each(run);
    if std::env::var_os("TAMBOUR_SOAK").is_some() {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let mut seed = u64::from(std::process::id()) << 20;
        while std::time::Instant::now() < until {
            seed += 1;
            run(seed);
        }
    }
}
