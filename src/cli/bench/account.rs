//! Who has received what: losses, duplicates and swaps of every reader, at the price of one
//! comparison for a delivery that is in order. Never knows about sockets or frames.

use std::collections::HashMap;

/// The counts of many readers. A reader is an index; seqs start at any number.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The highest seq of each reader.
    last: Vec<u64>,
    /// Seqs below `last` that have not come, in readers that have such. Empty in a good run.
    missing: HashMap<usize, Vec<u64>>,
    /// Deliveries that were new to their reader.
    pub(crate) delivered: u64,
    /// Deliveries of a seq that the reader had.
    pub(crate) duplicated: u64,
    /// Deliveries that came behind a higher seq.
    pub(crate) out_of_order: u64,
}

/// Most missing seqs that are remembered for one jump; the rest counts as lost for good.
const JUMP_MAX: u64 = 1 << 20;

impl Account {
    /// An account of `readers`, each of which has everything up to `base`.
    pub(crate) fn new(readers: usize, base: u64) -> Self {
        Self { last: vec![base; readers], ..Self::default() }
    }

    /// Counts one delivery.
    #[inline]
    pub(crate) fn note(&mut self, reader: usize, seq: u64) {
        if seq == self.last[reader] + 1 {
            self.last[reader] = seq;
            self.delivered += 1;
        } else {
            self.note_odd(reader, seq);
        }
    }

    #[cold]
    fn note_odd(&mut self, reader: usize, seq: u64) {
        let last = self.last[reader];
        if seq > last {
            let from = (last + 1).max(seq.saturating_sub(JUMP_MAX));
            self.missing.entry(reader).or_default().extend(from..seq);
            self.last[reader] = seq;
            self.delivered += 1;
            return;
        }
        let missing = self.missing.get_mut(&reader);
        let place = missing.and_then(|seqs| seqs.iter().position(|s| *s == seq).map(|at| seqs.swap_remove(at)));
        if place.is_some() {
            self.out_of_order += 1;
            self.delivered += 1;
        } else {
            self.duplicated += 1;
        }
    }

    /// Deliveries that never came, when `expected(reader)` is the seq each should have reached.
    pub(crate) fn lost(&self, expected: impl Fn(usize) -> u64) -> u64 {
        let behind = self.last.iter().enumerate().map(|(reader, last)| expected(reader).saturating_sub(*last));
        behind.sum::<u64>() + self.missing.values().map(|seqs| seqs.len() as u64).sum::<u64>()
    }

    /// The lowest of all readers' highest seqs; `u64::MAX` without readers.
    pub(crate) fn lowest(&self) -> u64 {
        self.last.iter().copied().min().unwrap_or(u64::MAX)
    }

    /// Starts the counts again; what the readers have stays.
    pub(crate) fn reset_counts(&mut self) {
        (self.delivered, self.duplicated, self.out_of_order) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (delivered, lost, duplicated, out of order) of one reader that should reach `expected`.
    fn check(seqs: &[u64], expected: u64, counts: (u64, u64, u64, u64)) {
        let mut account = Account::new(2, 0);
        seqs.iter().for_each(|seq| account.note(1, *seq));
        let lost = account.lost(|reader| if reader == 1 { expected } else { 0 });
        assert_eq!((account.delivered, lost, account.duplicated, account.out_of_order), counts, "{seqs:?}");
    }

    #[test]
    fn losses_duplicates_and_swaps() {
        check(&[], 0, (0, 0, 0, 0));
        check(&[], 3, (0, 3, 0, 0));
        check(&[1, 2, 3], 3, (3, 0, 0, 0));
        check(&[1, 2], 4, (2, 2, 0, 0));
        check(&[1, 3], 3, (2, 1, 0, 0));
        check(&[2, 3], 3, (2, 1, 0, 0));
        check(&[1, 3, 2], 3, (3, 0, 0, 1));
        check(&[1, 1, 2], 2, (2, 0, 1, 0));
        check(&[1, 2, 3, 1, 2, 3], 3, (3, 0, 3, 0));
        check(&[1, 4, 2, 2], 5, (3, 2, 1, 1));
        check(&[3, 2, 1, 4, 2], 4, (4, 0, 1, 2));
    }

    #[test]
    fn the_lowest_reader_is_what_counts() {
        let mut account = Account::new(3, 10);
        assert_eq!(account.lowest(), 10);
        (0..3).for_each(|reader| account.note(reader, 11));
        account.note(0, 12);
        assert_eq!(account.lowest(), 11);
        assert_eq!(account.lost(|_| 12), 2);
    }

    #[test]
    fn counts_start_again_and_places_stay() {
        let mut account = Account::new(1, 0);
        account.note(0, 1);
        account.reset_counts();
        account.note(0, 2);
        account.note(0, 1);
        assert_eq!((account.delivered, account.duplicated), (1, 1));
    }
}
