//! Blocks of a line that reads several topics: each event under the line's own id, so that whoever comes back with the last
//! one goes on in all of them.
//!
//! The bytes of events are shared as everywhere; only the id lines are the line's own. What is put together here lives for
//! one write: of what the socket did not take, the rest of the cut block is kept and nothing else.

use std::cell::RefCell;
use std::io::IoSlice;

use super::line::Line;
use crate::composite::Composite;
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

/// Writes parts, each a subscription's index and a batch that has what comes next for it, to a line with an id of its own.
pub(super) fn write<'a>(line: &mut Line, mut id: Box<Composite>, parts: &[(usize, &'a Batch)], now_ms: u64) {
    let behind = |(index, batch): &(usize, &'a Batch)| {
        let index = *index;
        batch.frames_behind(line.subs[index].cursor).map(move |frame| (index, frame))
    };
    let frames: Vec<(usize, &Frame)> = parts.iter().flat_map(behind).collect();
    let mut frames = frames.into_iter();
    BLOCKS.with_borrow_mut(|blocks| {
        while line.open() && blocks.put_together(line, &mut id, &mut frames) {
            blocks.write(line, now_ms);
        }
        blocks.bytes.shrink_to(2 * WRITE_BYTES_MAX);
    });
    line.composite = Some(id);
    for (index, batch) in parts {
        let sub = &mut line.subs[*index];
        let all = batch.frames_behind(sub.cursor).next().is_none();
        if let Some(whole) = batch.folds() {
            sub.fold = if whole && all { Fold::Whole } else { Fold::Owed };
        }
        // Behind the last block there may be holes. Of what was not taken, the id has still to be taken back.
        let cursor = if all { batch.last() } else { sub.cursor };
        line.stand(*index, cursor);
    }
}

impl Blocks {
    /// Puts the next blocks together. `false`: there are none.
    fn put_together<'a>(
        &mut self,
        line: &Line,
        id: &mut Composite,
        frames: &mut impl Iterator<Item = (usize, &'a Frame)>,
    ) -> bool {
        self.bytes.clear();
        self.ends.clear();
        while self.bytes.len() < WRITE_BYTES_MAX
            && let Some((index, frame)) = frames.next()
        {
            if let Some(place) = line.subs[index].place() {
                id.advance(place, frame.seq);
            }
            let (before, behind) = frame.around_id(line.wire);
            self.bytes.extend_from_slice(before);
            self.bytes.extend_from_slice(b"id: ");
            id.write(&mut self.bytes);
            self.bytes.extend_from_slice(behind);
            self.ends.push((self.bytes.len(), index, frame.seq));
        }
        !self.ends.is_empty()
    }

    fn write(&self, line: &mut Line, now_ms: u64) {
        let accepted = line.write(&[IoSlice::new(&self.bytes)], self.bytes.len(), now_ms);
        let mut began = 0;
        for (end, index, seq) in &self.ends {
            if accepted <= began {
                break;
            }
            line.subs[*index].cursor = *seq;
            line.keep(&self.bytes[accepted.min(*end)..*end]);
            began = *end;
        }
    }
}
