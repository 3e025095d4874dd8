//! Blocks of a line that reads several topics, each event under the line's own id, so that whoever comes back with the last
//! one goes on in all of them; and of a line that gets a part of the feed.
//!
//! The bytes of events are shared as everywhere; only the id lines, and the choice, are the line's own. What is put together here lives for
//! one write: of what the socket did not take, the rest of the cut block is kept and nothing else.

use std::cell::RefCell;
use std::io::IoSlice;

use super::line::Line;
use super::own::Own;
use crate::event::Seq;
use crate::frame::{Batch, Frame};
use crate::topic::messages::Fold;

/// About how many bytes are put together for one write.
const WRITE_BYTES_MAX: usize = 256 * 1024;

thread_local! {
    /// Where blocks are put together: one buffer for all lines of a worker.
    static BLOCKS: RefCell<Blocks> = RefCell::default();
}

#[derive(Default)]
struct Blocks {
    bytes: Vec<u8>,
    /// Where each block ends, and of which subscription's event it is.
    ends: Vec<(usize, usize, Seq)>,
}

/// Writes parts, each a subscription's index and a batch that has what comes next for it, to a line with something of its own.
pub(super) fn write<'a>(line: &mut Line, mut own: Box<Own>, parts: &[(usize, &'a Batch)], now_ms: u64) {
    let behind = |(index, batch): &(usize, &'a Batch)| {
        let (index, sub) = (*index, &line.subs[*index]);
        batch.frames_behind(sub.cursor).filter(|frame| own.has(sub, frame)).map(move |frame| (index, frame))
    };
    let frames: Vec<(usize, &Frame)> = parts.iter().flat_map(behind).collect();
    let mut frames = frames.into_iter();
    BLOCKS.with_borrow_mut(|blocks| {
        while line.open() && blocks.put_together(line, &mut own, &mut frames) {
            blocks.write(line, &mut own, now_ms);
        }
        blocks.bytes.shrink_to(2 * WRITE_BYTES_MAX);
    });
    for (index, batch) in parts {
        let sub = &mut line.subs[*index];
        let all = !batch.frames_behind(sub.cursor).any(|frame| own.has(sub, frame));
        if let Some(whole) = batch.folds() {
            sub.fold = if whole && all { Fold::Whole } else { Fold::Owed };
        }
        if all {
            // Behind the last block there may be holes.
            sub.cursor = batch.last();
        }
    }
    line.own = Some(own);
    for (index, _) in parts {
        // Of what was not taken, the id has still to be taken back.
        line.stand(*index, line.subs[*index].cursor);
    }
}

impl Blocks {
    /// Puts the next blocks together. `false`: there are none.
    fn put_together<'a>(
        &mut self,
        line: &Line,
        own: &mut Own,
        frames: &mut impl Iterator<Item = (usize, &'a Frame)>,
    ) -> bool {
        self.bytes.clear();
        self.ends.clear();
        while self.bytes.len() < WRITE_BYTES_MAX
            && let Some((index, frame)) = frames.next()
        {
            own.put(line, &line.subs[index], frame, &mut self.bytes);
            self.ends.push((self.bytes.len(), index, frame.seq));
        }
        !self.ends.is_empty()
    }

    fn write(&self, line: &mut Line, own: &mut Own, now_ms: u64) {
        let accepted = line.write(&[IoSlice::new(&self.bytes)], self.bytes.len(), now_ms);
        let mut began = 0;
        for (end, index, seq) in &self.ends {
            if accepted <= began {
                break;
            }
            own.told(&line.subs[*index], *seq);
            line.subs[*index].cursor = *seq;
            line.keep(&self.bytes[accepted.min(*end)..*end]);
            began = *end;
        }
    }
}
