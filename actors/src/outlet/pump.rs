//! The rule of delivery: write the frame whose seq is cursor + 1, skip what is at or below the cursor;
//! if something is missing or the socket is full, stay and read on from the log later. Who reads folded is given nothing live
//! before they have what a page owes them.
//!
//! Connecting, replaying, going live and catching up all come through here. Nothing here sends a
//! message or keeps a frame.

use std::cell::Cell;
use std::io::IoSlice;

use super::blocks;
use super::line::Line;
use super::seats::{Delivery, Seats};
use crate::frame::Batch;
use crate::topic::messages::Fold;

/// Most topics whose frames go into one write.
const SLICES_MAX: usize = 64;

/// What comes next for one subscription of a line.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// Which of the line's.
    pub(super) index: usize,
    pub(super) batch: &'a Batch,
    /// Counts the events of it that were written.
    pub(super) written: &'a Cell<u64>,
}

impl Part<'_> {
    /// So many events were written.
    pub(super) fn wrote(&self, events: u64) {
        self.written.set(self.written.get() + events);
    }
}

/// Writes to a line what the deliveries under way have for it: one write, over all of its topics.
pub(super) fn write_due(line: &mut Line, seats: &Seats, now_ms: u64) {
    if !line.open() {
        return;
    }
    match line.subs.len() {
        0 => {}
        1 => {
            if let Some(part) = due(line, 0, seats) {
                write_parts(line, &[part], now_ms);
            }
        }
        count => {
            let parts: Vec<_> = (0..count).filter_map(|index| due(line, index, seats)).take(SLICES_MAX).collect();
            write_parts(line, &parts, now_ms);
        }
    }
}

/// The delivery under way of a subscription's topic, if it has what comes next.
fn due<'a>(line: &Line, index: usize, seats: &'a Seats) -> Option<Part<'a>> {
    let sub = line.subs[index];
    let Delivery { batch, written, .. } = seats.get(sub.topic as usize)?.delivery.as_ref()?;
    let may = sub.live && sub.fold != Fold::Owed;
    (may && sub.cursor < batch.last() && sub.cursor + 1 >= batch.first()).then_some(Part { index, batch, written })
}

/// Writes parts.
pub(super) fn write_parts(line: &mut Line, parts: &[Part<'_>], now_ms: u64) {
    line.flush(now_ms);
    if !line.open() {
        return;
    }
    if let Some(own) = line.own.take_if(|own| own.sorts(&line.subs, parts)) {
        blocks::write(line, own, parts, now_ms);
        return;
    }
    let (wire, subs) = (line.wire, &line.subs);
    let accepted = match parts {
        [] => return,
        [Part { index, batch, .. }] => {
            let bytes = batch.behind(wire, subs[*index].cursor);
            // A page of which everything was folded into what follows it moves the cursor and nothing else.
            if bytes.is_empty() { 0 } else { line.write(&[IoSlice::new(bytes)], bytes.len(), now_ms) }
        }
        parts => {
            let behind = parts.iter().map(|part| part.batch.behind(wire, subs[part.index].cursor));
            let slices: Vec<_> = behind.map(IoSlice::new).collect();
            let bytes = slices.iter().map(|slice| slice.len()).sum();
            line.write(&slices, bytes, now_ms)
        }
    };
    settle(line, parts, accepted);
}

/// Moves the cursors over what was accepted, and keeps the rest of the frame that was cut.
fn settle(line: &mut Line, parts: &[Part<'_>], mut accepted: usize) {
    for part @ Part { index, batch, .. } in parts {
        let cursor = line.subs[*index].cursor;
        let bytes = batch.behind(line.wire, cursor);
        let taken = accepted.min(bytes.len());
        let (reached, missing) = batch.accepted(line.wire, cursor, taken);
        assert!(reached >= cursor && reached <= batch.last(), "a cursor moves forward, inside what was written");
        let sub = &mut line.subs[*index];
        if let Some(own) = &mut line.own {
            let told = if reached == batch.last() { batch.last_frame() } else { Some(reached) };
            own.told(sub, told.unwrap_or(0));
        }
        sub.cursor = reached;
        part.wrote(batch.between(cursor, reached));
        if let Some(whole) = batch.folds() {
            sub.fold = if whole && reached == batch.last() { Fold::Whole } else { Fold::Owed };
        }
        if missing > 0 {
            line.keep(&bytes[taken..taken + missing]);
        }
        accepted -= taken;
        if taken < bytes.len() {
            break;
        }
    }
}

/// The next subscription of a line, round-robin, that is behind what its topic has.
pub(super) fn next_behind(line: &Line, seats: &Seats) -> Option<usize> {
    let count = line.subs.len();
    (0..count).map(|step| (line.next as usize + step) % count).find(|index| {
        let sub = line.subs[*index];
        sub.live && seats.get(sub.topic as usize).is_some_and(|seat| sub.cursor < seat.head)
    })
}
