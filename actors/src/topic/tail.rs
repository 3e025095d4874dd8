//! The newest events of a topic, already encoded, so that who is nearly up to date costs no read.
//!
//! The tail is a window that ends at the head: whole, without holes, bounded by count and bytes.

use std::collections::VecDeque;

use crate::event::Seq;
use crate::frame::Frame;

/// The newest frames of a topic.
#[derive(Debug)]
pub(super) struct Tail {
    frames: VecDeque<Frame>,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
}

impl Tail {
    /// An empty tail with its limits.
    #[must_use]
    pub(super) fn new(events_max: usize, bytes_max: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, events_max, bytes_max }
    }

    /// Adds the next frame.
    pub(super) fn push(&mut self, frame: Frame) {
        debug_assert!(self.frames.back().is_none_or(|last| last.seq + 1 == frame.seq));
        self.bytes += frame.size_bytes();
        self.frames.push_back(frame);
    }

    /// Lets go of the oldest frames above the limits. Frames behind `needed` are kept, because an
    /// outlet has still to be sent them, unless all together are above `bytes_max_needed`. The newest
    /// is always kept.
    pub(super) fn trim(&mut self, needed: Seq, bytes_max_needed: usize) {
        while self.frames.len() > 1 && (self.frames.len() > self.events_max || self.bytes > self.bytes_max) {
            let is_needed = self.frames.front().is_some_and(|front| front.seq > needed);
            if is_needed && self.bytes <= bytes_max_needed {
                break;
            }
            if let Some(old) = self.frames.pop_front() {
                self.bytes -= old.size_bytes();
            }
        }
        if self.frames.capacity() > 2 * self.frames.len().max(self.events_max / 8) {
            self.frames.shrink_to(self.frames.len());
        }
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    /// Lets go of the frames before `oldest`.
    pub(super) fn forget_before(&mut self, oldest: Seq) {
        while let Some(old) = self.frames.pop_front_if(|frame| frame.seq < oldest) {
            self.bytes -= old.size_bytes();
        }
    }

    /// How many frames there are, and their bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        assert_eq!(self.bytes, self.frames.iter().map(Frame::size_bytes).sum::<usize>());
        (self.frames.len(), self.bytes)
    }

    /// Frames behind `cursor` up to about `bytes` of one wire, at least one if there is one. They begin
    /// later than just behind `cursor` when that is not in the tail any more.
    #[must_use]
    pub(super) fn behind(&self, cursor: Seq, bytes: usize) -> Vec<Frame> {
        let Some(first) = self.frames.front().map(|frame| frame.seq) else { return Vec::new() };
        let skip = usize::try_from((cursor + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        let mut taken = 0;
        self.frames
            .iter()
            .skip(skip)
            .take_while(|frame| {
                let fits = taken == 0 || taken + frame.size_bytes() / 2 <= bytes;
                taken += frame.size_bytes() / 2;
                fits
            })
            .cloned()
            .collect()
    }
}
