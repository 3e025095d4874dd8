//! Consecutive frames that are written together.
//!
//! A batch is made once and shared by all outlets: the first that needs the frames of a wire
//! as one buffer joins them for all. Between its frames is nothing that its readers miss.

use std::sync::OnceLock;
use std::time::Instant;

use super::{Frame, Wire};
use crate::event::Seq;

/// Frames that are all a reader gets of a stretch of a log.
#[derive(Debug)]
pub struct Batch {
    /// Who has everything up to here can go on with the batch.
    after: Seq,
    /// Who has the batch has everything up to here.
    last: Seq,
    /// Of folded frames: whether none that stands for something before `last` was left for later.
    folded: Option<bool>,
    frames: Vec<Frame>,
    ws: OnceLock<Joined>,
    sse: OnceLock<Joined>,
    unnamed: OnceLock<Joined>,
}

#[derive(Debug)]
struct Joined {
    bytes: Vec<u8>,
    /// Where each frame ends in `bytes`.
    ends: Vec<u32>,
}

impl Batch {
    /// Puts consecutive frames together. `None` when there are none.
    ///
    /// # Panics
    /// When the seqs have holes: whoever takes frames out of a log or a tail keeps them whole.
    #[must_use]
    pub fn new(frames: Vec<Frame>) -> Option<Self> {
        let first = frames.first()?.seq;
        assert!(frames.iter().zip(first..).all(|(frame, seq)| frame.seq == seq), "a batch has no holes");
        let last = first + frames.len() as Seq - 1;
        Some(Self::of(first - 1, last, None, frames))
    }

    /// Puts frames together that stand for everything behind `after` up to `last`, because what is between them was
    /// folded into them. There may be none. `whole`: nothing that lies in the stretch was folded into what follows it.
    ///
    /// # Panics
    /// When the frames do not ascend, or lie outside of the stretch.
    #[must_use]
    pub fn folded(after: Seq, last: Seq, whole: bool, frames: Vec<Frame>) -> Self {
        let ascend = frames.windows(2).all(|pair| pair[0].seq < pair[1].seq);
        let inside = frames.iter().all(|frame| frame.seq > after && frame.seq <= last);
        assert!(ascend && inside && after < last, "folded frames ascend inside their stretch");
        Self::of(after, last, Some(whole), frames)
    }

    /// Puts frames together that are all there is behind `after` up to `last`.
    ///
    /// # Panics
    /// When the frames do not ascend, or lie outside of the stretch.
    #[must_use]
    pub fn stretch(after: Seq, last: Seq, frames: Vec<Frame>) -> Self {
        Self { folded: None, ..Self::folded(after, last, true, frames) }
    }

    /// No frames, and nothing that could be gone on with: it tells that there is something up to `head`, which is to be asked
    /// for.
    #[must_use]
    pub fn of_head(head: Seq) -> Self {
        Self::of(head, head, None, Vec::new())
    }

    fn of(after: Seq, last: Seq, folded: Option<bool>, frames: Vec<Frame>) -> Self {
        Self { after, last, folded, frames, ws: OnceLock::new(), sse: OnceLock::new(), unnamed: OnceLock::new() }
    }

    /// The first seq that the batch stands for.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.after + 1
    }

    /// Where its last frame stands, if there is one.
    #[must_use]
    pub fn last_frame(&self) -> Option<Seq> {
        self.frames.last().map(|frame| frame.seq)
    }

    /// The last seq that the batch stands for.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.last
    }

    /// Whether the last frame closes the topic.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.closes)
    }

    /// `None`: every event as it was written. Else folded: whether who has all of it is owed nothing.
    #[must_use]
    pub fn folds(&self) -> Option<bool> {
        self.folded
    }

    /// When each event was taken by its topic, the oldest first, where that is known.
    #[must_use]
    pub fn taken(&self) -> impl ExactSizeIterator<Item = Option<Instant>> {
        self.frames.iter().map(|frame| frame.taken)
    }

    /// How many frames there are behind `cursor` up to `reached`.
    #[must_use]
    pub fn between(&self, cursor: Seq, reached: Seq) -> u64 {
        if cursor <= self.after && reached >= self.last {
            return self.frames.len() as u64;
        }
        (self.index(reached) - self.index(cursor)) as u64
    }

    /// The frames behind `cursor`.
    pub fn frames_behind(&self, cursor: Seq) -> impl Iterator<Item = &Frame> {
        self.frames[self.index(cursor)..].iter()
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
    /// [`Batch::behind`] gave: the last seq begun, and how many bytes of it are missing. Who accepted all has
    /// everything that the batch stands for.
    #[must_use]
    pub fn accepted(&self, wire: Wire, cursor: Seq, bytes: usize) -> (Seq, usize) {
        if bytes == self.behind(wire, cursor).len() {
            return (self.last, 0);
        }
        if bytes == 0 {
            return (cursor, 0);
        }
        let skip = self.index(cursor);
        if self.frames.len() == 1 {
            return (self.frames[0].seq, self.frames[0].wire(wire).len() - bytes);
        }
        let joined = self.joined(wire);
        let at = joined.start(skip) + bytes;
        let begun = joined.ends.partition_point(|end| (*end as usize) < at);
        (self.frames[begun].seq, joined.ends[begun] as usize - at)
    }

    fn index(&self, cursor: Seq) -> usize {
        debug_assert!(cursor >= self.after && cursor <= self.last);
        self.frames.partition_point(|frame| frame.seq <= cursor)
    }

    fn joined(&self, wire: Wire) -> &Joined {
        let cell = match wire {
            Wire::Ws => &self.ws,
            Wire::Sse => &self.sse,
            Wire::SseUnnamed => &self.unnamed,
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
        let ws_bytes = u32::try_from(ws.len()).unwrap();
        Frame { seq, closes: false, subject: None, taken: None, bytes, ws_bytes, name_bytes: 0 }
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

        /// The same with holes between the frames: a cut says where the reader stands, and the rest follows from there.
        #[test]
        fn holes_are_passed_over(
            gaps in prop::collection::vec((1_u64..4, 1_usize..9), 0..6), tail in 0_u64..3, cut in 0.0..=1.0_f64
        ) {
            let mut seq = 4;
            let mut frames = Vec::new();
            for (gap, size) in &gaps {
                seq += gap;
                frames.push(frame(seq, "", &"s".repeat(*size)));
            }
            let last = seq + tail + u64::from(gaps.is_empty());
            let batch = Batch::folded(4, last, true, frames);
            for (cursor, reached) in (4..=last).flat_map(|cursor| (cursor..=last).map(move |reached| (cursor, reached))) {
                let counted = batch.frames.iter().filter(|frame| frame.seq > cursor && frame.seq <= reached).count();
                prop_assert_eq!(batch.between(cursor, reached), counted as u64);
            }
            let bytes = batch.behind(Wire::Sse, 4).len();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let taken = (bytes as f64 * cut) as usize;
            let (reached, missing) = batch.accepted(Wire::Sse, 4, taken);
            prop_assert!(reached >= 4 && reached <= last);
            prop_assert_eq!(reached == last || taken < bytes, true);
            prop_assert_eq!(taken + missing + batch.behind(Wire::Sse, reached).len(), bytes);
        }
    }
}
