//! Text on its way into records, and bytes that wait.
//!
//! Nothing here encrypts or touches a socket.

use std::io::IoSlice;

/// Most text that goes into one record (RFC 8446, section 5.1).
pub(super) const RECORD_TEXT_MAX: usize = 16 * 1024;

/// Bytes that wait: a vector that is given back when it is read to its end.
#[derive(Default)]
pub(super) struct Waiting {
    /// All of them, also those that were taken.
    pub(super) bytes: Vec<u8>,
    from: usize,
}

impl Waiting {
    /// Those that were not taken.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.from..]
    }

    /// The first so many are done with.
    pub(super) fn take(&mut self, count: usize) {
        self.from += count;
        if self.from == self.bytes.len() {
            *self = Self::default();
        }
    }
}

/// Slices, cut and joined to the texts of records.
pub(super) struct Pieces<'a> {
    slices: std::slice::Iter<'a, IoSlice<'a>>,
    now: &'a [u8],
}

impl<'a> Pieces<'a> {
    /// All of these slices, in order.
    pub(super) fn of(slices: &'a [IoSlice<'a>]) -> Self {
        Self { slices: slices.iter(), now: &[] }
    }

    /// The text of the next record; empty at the end. Only a slice that shares its record is copied.
    pub(super) fn next<'b>(&mut self, gathered: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        gathered.clear();
        loop {
            let fits = self.now.len().min(RECORD_TEXT_MAX - gathered.len());
            let (piece, rest) = self.now.split_at(fits);
            self.now = rest;
            let last = self.slices.as_slice().is_empty();
            if gathered.is_empty() && (piece.len() == RECORD_TEXT_MAX || last) {
                return piece;
            }
            gathered.extend_from_slice(piece);
            if gathered.len() == RECORD_TEXT_MAX || last {
                return gathered;
            }
            if self.now.is_empty() {
                self.now = self.slices.next().map_or(&[], |slice| &**slice);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of the records that slices of these lengths become.
    #[track_caller]
    fn check(lengths: &[usize], expected: &[usize]) {
        let mut next = 0_u8;
        let slices: Vec<Vec<u8>> = lengths
            .iter()
            .map(|length| {
                let bytes = (0..*length).map(|_| {
                    next = next.wrapping_add(1);
                    next
                });
                bytes.collect()
            })
            .collect();
        let io_slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut pieces = Pieces::of(&io_slices);
        let (mut gathered, mut texts) = (Vec::new(), Vec::new());
        loop {
            let text = pieces.next(&mut gathered);
            if text.is_empty() {
                break;
            }
            texts.push(text.to_vec());
        }
        assert_eq!(texts.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{lengths:?}");
        assert_eq!(texts.concat(), slices.concat(), "{lengths:?}");
    }

    #[test]
    fn slices_become_the_texts_of_records() {
        const MAX: usize = RECORD_TEXT_MAX;
        check(&[], &[]);
        check(&[0], &[]);
        check(&[0, 0, 0], &[]);
        check(&[5], &[5]);
        check(&[MAX], &[MAX]);
        check(&[MAX + 1], &[MAX, 1]);
        check(&[3 * MAX], &[MAX, MAX, MAX]);
        check(&[1, 2, 3], &[6]);
        check(&[0, 1, 0, 2, 0], &[3]);
        check(&[MAX - 1, 2], &[MAX, 1]);
        check(&[1, MAX, 1], &[MAX, 2]);
        check(&[MAX, 1, MAX], &[MAX, MAX, 1]);
        check(&[2 * MAX + 5, 7], &[MAX, MAX, 12]);
        check(&[10; 5_000], &[MAX, MAX, MAX, 50_000 - 3 * MAX]);
    }

    #[test]
    fn what_waits_is_given_back() {
        let mut waiting = Waiting { bytes: b"hello".to_vec(), from: 0 };
        waiting.take(2);
        assert_eq!(waiting.rest(), b"llo");
        waiting.take(3);
        assert_eq!((waiting.rest().len(), waiting.bytes.capacity(), waiting.from), (0, 0, 0));
    }
}
