//! How fast a client may send: one moment for each session, moved on by each of its messages (GCRA).

/// A second, in microseconds.
const SECOND_US: u64 = 1_000_000;

/// When all that was let through so far would have been sent, had it come evenly; in microseconds of the worker's clock.
#[derive(Debug, Default)]
pub(super) struct Paced(u64);

impl Paced {
    /// Counts a message at a time of the worker's clock. As many as may come in a second may come at once. 0 is no limit.
    ///
    /// # Errors
    /// In how many milliseconds the next one is let through.
    pub(super) fn take(&mut self, now_ms: u64, per_second: u64) -> Result<(), u64> {
        let Some(each_us) = SECOND_US.checked_div(per_second) else { return Ok(()) };
        let now_us = now_ms * 1_000;
        let even_us = self.0.max(now_us);
        let early_us = (even_us - now_us).saturating_sub(SECOND_US - each_us);
        if early_us > 0 {
            return Err(early_us.div_ceil(1_000));
        }
        self.0 = even_us + each_us;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fifty_at_once_and_then_one_every_twentieth_of_a_second() {
        let mut paced = Paced::default();
        let now_ms = 5_000;
        assert!((0..50).all(|_| paced.take(now_ms, 50) == Ok(())));
        assert_eq!(paced.take(now_ms, 50), Err(20));
        assert_eq!(paced.take(now_ms + 19, 50), Err(1));
        assert_eq!(paced.take(now_ms + 20, 50), Ok(()), "who waits as told is let through");
        assert_eq!(paced.take(now_ms + 20, 50), Err(20));
        assert_eq!((0..60).filter(|_| paced.take(now_ms + 2_000, 50).is_ok()).count(), 50);
        assert!((0..1_000).all(|_| paced.take(now_ms, 0) == Ok(())), "0 is no limit");
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_the_burst_and_what_came_back(
            per_second in 1..100_u64, steps in prop::collection::vec(0..100_u64, 1..300),
        ) {
            let (mut paced, mut now_ms, mut passed) = (Paced::default(), 0, Vec::new());
            for step in steps {
                now_ms += step;
                match paced.take(now_ms, per_second) {
                    Ok(()) => passed.push(now_ms),
                    Err(wait_ms) => prop_assert!((1..=1_000).contains(&wait_ms)),
                }
            }
            for (from, first_ms) in passed.iter().enumerate() {
                let within = passed[from..].iter().filter(|at| **at < first_ms + 1_000).count() as u64;
                prop_assert!(within <= 2 * per_second);
            }
        }
    }
}
