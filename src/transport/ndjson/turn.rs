//! Turns: the lines that go to the topic together, as writes joined by a chain, and what its answers mean for them.
//!
//! Lines without conditions are joined into one write; a line with a key or an expectation is a write of its own. Plain
//! values: sending is the intake's business.

use std::collections::VecDeque;
use std::sync::Arc;

use tambour_actors::cursor::Mark;
use tambour_actors::entry::EntryWhat;
use tambour_actors::event::{BATCH_EVENTS_MAX, NewEvent, Seq};
use tambour_actors::refusal::{Code, Refusal};
use tambour_actors::topic::state::{Chain, Published, Write};
use tambour_actors::topic::write::behind_a_refused_one;

use super::lines::{Bad, Line};

/// Most bytes of lines in one write.
const WRITE_BYTES_MAX: usize = 1024 * 1024;
/// Most writes in a turn: together they find room in the mailbox of a topic.
const WRITES_MAX: usize = 1_000;

/// Where a request stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// The first event that it wrote.
    pub(super) first: Option<Seq>,
    /// The last one.
    pub(super) last: Option<Seq>,
    /// The last that is no append: what is appended to when nothing else is said.
    pub(super) event: Option<Seq>,
    /// How many of its lines are on disk.
    pub(super) accepted: u64,
}

/// Writes, and how many lines each of them has.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) writes: Vec<Write>,
    lines: Vec<usize>,
}

/// What becomes of the lines behind those that were written.
#[derive(Debug)]
pub(super) enum Then {
    /// They are the next turn.
    Go,
    /// The same, and the first so many each by itself: one of them is refused, and which one is to be known.
    Split(usize),
    /// They are sent again in a while: nothing of them was written, for this reason.
    Wait(Refusal),
    /// The first of them is refused, and the request ends.
    Refuse(Refusal),
}

/// Puts the next turn together from the front of the queue. Of the first `split` lines each is a write of its own.
///
/// # Errors
/// The first line can't be written.
pub(super) fn form(
    queue: &VecDeque<Line>,
    mark: Mark,
    sub: &Arc<str>,
    place: Place,
    split: usize,
) -> Result<Turn, Bad> {
    let chain = Chain::default();
    let mut turn = Turn::default();
    let mut run = Run::default();
    let mut has_event = false;
    for (index, line) in queue.iter().enumerate() {
        let conditions = &line.entry.conditions;
        let waits = match &line.entry.what {
            EntryWhat::Append { event_id: None, .. } => has_event,
            _ => conditions.expect.is_some() && index > 0,
        };
        if waits || turn.writes.len() >= WRITES_MAX {
            break;
        }
        has_event |= matches!(line.entry.what, EntryWhat::Event(_));
        let alone = !conditions.is_none();
        if alone || index <= split || run.is_full(line) {
            run.end(&mut turn, &chain);
        }
        let added = if alone {
            line.entry.clone().write(mark, sub, place.event).map(|write| turn.push(write, 1, &chain))
        } else {
            line.entry.what.clone().resolve(mark, place.event).map(|event| run.push(event, line.bytes))
        };
        match added {
            Ok(()) => {}
            Err(refusal) if index == 0 => return Err(Bad { line: line.number, refusal }),
            Err(_) => break,
        }
    }
    run.end(&mut turn, &chain);
    Ok(turn)
}

/// Lines that become one write.
#[derive(Default)]
struct Run {
    events: Vec<NewEvent>,
    bytes: usize,
}

impl Run {
    fn is_full(&self, line: &Line) -> bool {
        self.events.len() >= BATCH_EVENTS_MAX || self.bytes + line.bytes > WRITE_BYTES_MAX
    }

    fn push(&mut self, event: NewEvent, bytes: usize) {
        self.events.push(event);
        self.bytes += bytes;
    }

    fn end(&mut self, turn: &mut Turn, chain: &Chain) {
        let Self { events, .. } = std::mem::take(self);
        if !events.is_empty() {
            let lines = events.len();
            turn.push(Write::events(events), lines, chain);
        }
    }
}

impl Turn {
    fn push(&mut self, mut write: Write, lines: usize, chain: &Chain) {
        write.chain = Some(chain.clone());
        self.writes.push(write);
        self.lines.push(lines);
    }

    /// Takes the lines that were written from the queue, and says what becomes of the others. `answers` are in the order of
    /// the writes; fewer when the rest was not sent.
    pub(super) fn judge(
        &self,
        answers: Vec<Result<Published, Refusal>>,
        queue: &mut VecDeque<Line>,
        place: &mut Place,
    ) -> Then {
        let broken_by =
            answers.iter().find_map(|answer| answer.as_ref().err().filter(|refusal| !is_behind(refusal)).cloned());
        for (answer, lines) in answers.into_iter().zip(&self.lines) {
            let refusal = match answer {
                Ok(published) => {
                    place.advance(published, queue.drain(..*lines));
                    continue;
                }
                Err(refusal) => refusal,
            };
            return match refusal.code {
                // What broke the chain may also be a write behind it, that came to the topic when this one waited there.
                _ if is_behind(&refusal) => Then::Wait(broken_by.unwrap_or(refusal)),
                Code::TopicBusy => Then::Wait(refusal),
                code if is_of_one_line(code) && *lines > 1 => Then::Split(*lines),
                _ => Then::Refuse(refusal),
            };
        }
        Then::Go
    }
}

/// Whether a write was not looked at, because one of its chain was not written.
fn is_behind(refusal: &Refusal) -> bool {
    *refusal == behind_a_refused_one()
}

/// Whether a write is refused for one of its events, and not as a whole.
fn is_of_one_line(code: Code) -> bool {
    matches!(code, Code::EventUnknown | Code::AppendForbidden | Code::AppendTooLarge)
}

impl Place {
    fn advance(&mut self, published: Published, lines: impl Iterator<Item = Line>) {
        let Published { first, last } = published;
        self.first = self.first.or(Some(first));
        self.last = Some(last);
        for (line, seq) in lines.zip(first..) {
            self.accepted += 1;
            if matches!(line.entry.what, EntryWhat::Event(_)) {
                self.event = Some(seq);
            }
        }
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
