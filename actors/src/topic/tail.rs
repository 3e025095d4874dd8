//! The newest events of a topic, already encoded, so that who is nearly up to date costs no read.
//!
//! The tail is a window that ends at the head: whole from where it starts, bounded by count and bytes. Between its frames there
//! may be holes where there is no event: places of the feed are not consecutive.

use std::collections::VecDeque;

use crate::event::Seq;
use crate::frame::{Batch, Frame};

/// The newest frames of a topic.
#[derive(Debug)]
pub(super) struct Tail {
    frames: VecDeque<Frame>,
    /// The tail stands for everything behind this…
    after: Seq,
    /// …up to this.
    head: Seq,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
}

impl Tail {
    /// An empty tail at the head, with its limits.
    #[must_use]
    pub(super) fn new(events_max: usize, bytes_max: usize, head: Seq) -> Self {
        Self { frames: VecDeque::new(), after: head, head, bytes: 0, events_max, bytes_max }
    }

    /// The head.
    #[must_use]
    pub(super) fn head(&self) -> Seq {
        self.head
    }

    /// Adds the next frame.
    pub(super) fn push(&mut self, frame: Frame) {
        debug_assert!(frame.seq > self.head);
        self.bytes += frame.size_bytes();
        self.head = frame.seq;
        self.frames.push_back(frame);
    }

    /// There is nothing more up to here.
    pub(super) fn reach(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    /// There is more up to here, which the tail does not have.
    pub(super) fn skip_to(&mut self, head: Seq) {
        debug_assert!(self.frames.is_empty());
        self.head = self.head.max(head);
        self.after = self.head;
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
                self.forget(&old);
            }
        }
        if self.frames.capacity() > 2 * self.frames.len().max(self.events_max / 8) {
            self.frames.shrink_to(self.frames.len());
        }
    }

    fn forget(&mut self, old: &Frame) {
        self.bytes -= old.size_bytes();
        self.after = old.seq;
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
        self.after = self.head;
    }

    /// Lets go of the frames before `oldest`.
    pub(super) fn forget_before(&mut self, oldest: Seq) {
        while let Some(old) = self.frames.pop_front_if(|frame| frame.seq < oldest) {
            self.forget(&old);
        }
    }

    /// How many frames there are, and their bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        assert_eq!(self.bytes, self.frames.iter().map(Frame::size_bytes).sum::<usize>());
        (self.frames.len(), self.bytes)
    }

    /// Behind what begins that which the tail has for who stands at `cursor`: later than that when it is not in the tail any
    /// more.
    #[must_use]
    pub(super) fn start(&self, cursor: Seq) -> Seq {
        cursor.max(self.after)
    }

    /// What the tail has behind `cursor`, up to about `bytes` of one wire, at least one frame if there is one.
    #[must_use]
    pub(super) fn behind(&self, cursor: Seq, bytes: usize) -> Option<Batch> {
        let after = self.start(cursor);
        if after >= self.head {
            return None;
        }
        let skip = self.frames.partition_point(|frame| frame.seq <= after);
        let mut taken = 0;
        let fits = |frame: &&Frame| {
            let fits = taken == 0 || taken + frame.size_bytes() / 2 <= bytes;
            taken += frame.size_bytes() / 2;
            fits
        };
        let frames: Vec<Frame> = self.frames.iter().skip(skip).take_while(fits).cloned().collect();
        let all = skip + frames.len() == self.frames.len();
        let last = frames.last().filter(|_| !all).map_or(self.head, |frame| frame.seq);
        Some(Batch::stretch(after, last, frames))
    }
}
