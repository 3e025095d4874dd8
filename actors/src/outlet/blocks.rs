//! Blocks of a line that reads several topics, each event under the line's own id, so that whoever comes back with the last
//! one goes on in all of them; and of a line that gets a part of the feed.
//!
//! The bytes of events are shared as everywhere; only the id lines, and the choice, are the line's own. What is put together here lives for
//! one write: of what the socket did not take, the rest of the cut block is kept and nothing else.

use std::cell::RefCell;
use std::io::IoSlice;

use super::line::Line;
use super::own::Own;
use super::pump::Part;
use crate::event::Seq;
use crate::frame::Frame;
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
    /// Where each block ends, and of which part's event it is.
    ends: Vec<(usize, usize, Seq)>,
}

/// Writes parts to a line with something of its own.
pub(super) fn write(line: &mut Line, mut own: Box<Own>, parts: &[Part<'_>], now_ms: u64) {
    let mut frames: Vec<(usize, &Frame)> = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let sub = &line.subs[part.index];
        let batch = part.batch;
        frames.extend(batch.frames_behind(sub.cursor).filter(|frame| own.has(sub, frame)).map(|frame| (place, frame)));
    }
    let mut frames = frames.into_iter();
    BLOCKS.with_borrow_mut(|blocks| {
        while line.open() && blocks.put_together(line, &mut own, parts, &mut frames) {
            blocks.write(line, &mut own, parts, now_ms);
        }
        blocks.bytes.shrink_to(2 * WRITE_BYTES_MAX);
    });
    for Part { index, batch, .. } in parts {
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
    for Part { index, .. } in parts {
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
        parts: &[Part<'_>],
        frames: &mut impl Iterator<Item = (usize, &'a Frame)>,
    ) -> bool {
        self.bytes.clear();
        self.ends.clear();
        while self.bytes.len() < WRITE_BYTES_MAX
            && let Some((place, frame)) = frames.next()
        {
            own.put(line, &line.subs[parts[place].index], frame, &mut self.bytes);
            self.ends.push((self.bytes.len(), place, frame.seq));
        }
        !self.ends.is_empty()
    }

    fn write(&self, line: &mut Line, own: &mut Own, parts: &[Part<'_>], now_ms: u64) {
        let accepted = line.write(&[IoSlice::new(&self.bytes)], self.bytes.len(), now_ms);
        let mut began = 0;
        for (end, place, seq) in &self.ends {
            if accepted <= began {
                break;
            }
            let part = &parts[*place];
            own.told(&line.subs[part.index], *seq);
            line.subs[part.index].cursor = *seq;
            part.wrote(1);
            line.keep(&self.bytes[accepted.min(*end)..*end]);
            began = *end;
        }
    }
}
