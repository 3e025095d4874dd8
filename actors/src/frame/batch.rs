//! Consecutive frames that are written together.
//!
//! A batch is made once and shared by all outlets: the first that needs the frames of a wire
//! as one buffer joins them for all. It never holds frames with a hole between them.

use std::sync::OnceLock;

use super::{Frame, Wire};
use crate::event::Seq;

/// Frames with consecutive seqs, at least one.
#[derive(Debug)]
pub struct Batch {
    frames: Vec<Frame>,
    ws: OnceLock<Joined>,
    sse: OnceLock<Joined>,
}

#[derive(Debug)]
struct Joined {
    bytes: Vec<u8>,
    /// Where each frame ends in `bytes`.
    ends: Vec<u32>,
}

impl Batch {
    /// Puts frames together. `None` when there are none.
    ///
    /// # Panics
    /// When the seqs have holes: whoever takes frames out of a log or a tail keeps them whole.
    #[must_use]
    pub fn new(frames: Vec<Frame>) -> Option<Self> {
        let first = frames.first()?.seq;
        assert!(frames.iter().zip(first..).all(|(frame, seq)| frame.seq == seq), "a batch has no holes");
        Some(Self { frames, ws: OnceLock::new(), sse: OnceLock::new() })
    }

    /// Seq of the first frame.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.frames[0].seq
    }

    /// Seq of the last frame.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.frames[self.frames.len() - 1].seq
    }

    /// Whether the last frame closes the topic.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.frames[self.frames.len() - 1].closes
    }

    /// The bytes of all frames behind `cursor`, which must lie inside the batch or just before it.
    #[must_use]
    pub fn behind(&self, wire: Wire, cursor: Seq) -> &[u8] {
        let skip = self.index(cursor);
        if self.frames.len() == 1 {
            return if skip == 0 { self.frames[0].wire(wire) } else { &[] };
        }
        let joined = self.joined(wire);
        &joined.bytes[joined.start(skip)..]
    }

    /// Where a reader stands who stood at `cursor` and accepted the first `bytes` of what
    /// [`Batch::behind`] gave: the last seq begun, and how many bytes of it are missing.
    #[must_use]
    pub fn accepted(&self, wire: Wire, cursor: Seq, bytes: usize) -> (Seq, usize) {
        if bytes == 0 {
            return (cursor, 0);
        }
        let skip = self.index(cursor);
        if self.frames.len() == 1 {
            return (self.first(), self.frames[0].wire(wire).len() - bytes);
        }
        let joined = self.joined(wire);
        let at = joined.start(skip) + bytes;
        let begun = joined.ends.partition_point(|end| (*end as usize) < at);
        (self.first() + begun as Seq, joined.ends[begun] as usize - at)
    }

    fn index(&self, cursor: Seq) -> usize {
        debug_assert!(cursor + 1 >= self.first() && cursor <= self.last());
        usize::try_from(cursor + 1 - self.first()).unwrap_or(usize::MAX).min(self.frames.len())
    }

    fn joined(&self, wire: Wire) -> &Joined {
        let cell = match wire {
            Wire::Ws => &self.ws,
            Wire::Sse => &self.sse,
        };
        cell.get_or_init(|| {
            let mut joined = Joined {
                bytes: Vec::with_capacity(self.frames.iter().map(|f| f.wire(wire).len()).sum()),
                ends: Vec::with_capacity(self.frames.len()),
            };
            for frame in &self.frames {
                joined.bytes.extend_from_slice(frame.wire(wire));
                joined.ends.push(u32::try_from(joined.bytes.len()).expect("a batch is far below 4 GiB"));
            }
            joined
        })
    }
}

impl Joined {
    fn start(&self, index: usize) -> usize {
        if index == 0 { 0 } else { self.ends[index - 1] as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn frame(seq: Seq, ws: &str, sse: &str) -> Frame {
        let bytes = Bytes::from(format!("{ws}{sse}"));
        Frame { seq, closes: false, bytes, ws_bytes: u32::try_from(ws.len()).unwrap() }
    }

    proptest! {
        /// Whatever is accepted of whatever part, what was begun plus what is missing of it is exactly
        /// a prefix of whole frames.
        #[test]
        fn what_was_accepted_and_what_is_missing_make_whole_frames(
            sizes in prop::collection::vec((1_usize..9, 1_usize..9), 1..6), from in 0_usize..6, cut in 0.0..=1.0_f64
        ) {
            let from = from.min(sizes.len());
            let frames = sizes.iter().zip(5..).map(|((ws, sse), seq)| frame(seq, &"w".repeat(*ws), &"s".repeat(*sse)));
            let batch = Batch::new(frames.collect()).unwrap();
            let cursor = 4 + from as Seq;
            for (wire, size) in [(Wire::Ws, 0), (Wire::Sse, 1)] {
                let lens: Vec<usize> = sizes.iter().map(|s| if size == 0 { s.0 } else { s.1 }).collect();
                let bytes = batch.behind(wire, cursor);
                prop_assert_eq!(bytes.len(), lens[from..].iter().sum::<usize>());
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
                let taken = (bytes.len() as f64 * cut) as usize;
                let (begun, missing) = batch.accepted(wire, cursor, taken);
                let whole: usize = lens[from..usize::try_from(begun - 4).unwrap()].iter().sum();
                prop_assert_eq!(taken + missing, whole);
                prop_assert!(begun == cursor || missing < lens[usize::try_from(begun - 5).unwrap()]);
            }
        }
    }
}
