//! Latencies in logarithmic buckets: 32 to an octave, so a percentile is at most 3.2 % above
//! the truth and recording is an index and an increment. Never allocates after it is made.

/// Buckets to an octave.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Enough for every 64-bit value.
const BUCKETS: usize = ((64 - STEP_BITS as usize) + 1) * STEPS as usize;

/// Counts of values in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let octave = 63 - value.leading_zeros() - STEP_BITS;
    let step = (value >> octave) - STEPS;
    ((u64::from(octave) + 1) * STEPS + step) as usize
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let octave = bucket / STEPS - 1;
    let next = u128::from(STEPS + bucket % STEPS + 1) << octave;
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

impl Histogram {
    /// Counts one value.
    pub(crate) fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// Adds another's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// The value that `share` (0 to 1) of all values do not exceed, rounded up to its
    /// bucket's end and never above the maximum; `None` when nothing was recorded.
    pub(crate) fn percentile(&self, share: f64) -> Option<u64> {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(upper(index).min(self.max));
            }
        }
        None
    }

    /// The largest value, exactly; 0 when nothing was recorded.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// How many values were recorded.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Histogram::default().percentile(0.5), None);
    }

    #[test]
    fn small_values_are_exact() {
        let mut histogram = Histogram::default();
        (1..=20).for_each(|value| histogram.record(value));
        for (share, value) in [(0.0, 1), (0.05, 1), (0.5, 10), (0.99, 20), (1.0, 20)] {
            assert_eq!(histogram.percentile(share), Some(value), "{share}");
        }
    }

    #[test]
    fn the_extremes_have_buckets() {
        let mut histogram = Histogram::default();
        histogram.record(u64::MAX);
        histogram.record(0);
        assert_eq!((histogram.percentile(0.5), histogram.percentile(1.0)), (Some(0), Some(u64::MAX)));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_values_closely(value: u64) {
            let end = upper(bucket(value));
            prop_assert!(end >= value);
            prop_assert!((end - value) as f64 <= value as f64 / STEPS as f64);
            prop_assert!(bucket(value) == 0 || upper(bucket(value) - 1) < value);
        }

        #[test]
        fn percentiles_are_those_of_the_sorted_values(mut values in prop::collection::vec(0_u64..1 << 40, 1..300), share in 0.0_f64..=1.0) {
            let mut parts = [Histogram::default(), Histogram::default()];
            values.iter().enumerate().for_each(|(i, value)| parts[i % 2].record(*value));
            let [mut all, other] = parts;
            all.merge(&other);
            values.sort_unstable();
            let rank = ((values.len() as f64 * share).ceil() as usize).max(1);
            let truth = values[rank - 1];
            let found = all.percentile(share).unwrap();
            prop_assert!(found >= truth && found as f64 <= truth as f64 * 1.04, "{} for {}", found, truth);
            prop_assert_eq!(all.max(), *values.last().unwrap());
        }
    }
}
