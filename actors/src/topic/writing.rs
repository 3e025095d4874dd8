//! What becomes of a write: it waits, is placed, refused or recalled, is durable or sorted out, and is answered once.
//!
//! The half of the topic's state that writers see. Conditions are looked at against what is durable; whatever depends on
//! what is being placed waits for it. Nothing here overtakes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::placing::{Placed, Put, Recall, Verdict, Waiting};
use super::state::{Effect, TopicState};
use super::write::{Chain, Write, behind_a_refused_one, closed, failed, rejected};
use crate::event::{Event, Origin};
use crate::log::{AppendError, Rejected, Remembered, Unavailable, Why};
use crate::refusal::{Code, Refusal};

impl<R> TopicState<R> {
    /// A writer wants to append. Answered once the events are durable, or refused.
    pub fn write(&mut self, write: Write, origin: Origin, now_ms: i64, reply: R, effects: &mut Vec<Effect<R>>) {
        // A write with a key may have happened before the topic was closed: it waits until that can be known.
        if self.closing && write.once.is_none() {
            effects.push(Effect::Answer(reply, Err(closed())));
            return;
        }
        let bytes = write.size_bytes();
        if !self.waiting.is_empty() && self.waiting_bytes + bytes > self.limits.backlog_bytes {
            let refusal = Refusal::new(Code::TopicBusy, "the topic has as much waiting as it takes; try again");
            effects.push(Effect::Answer(reply, Err(refusal)));
            return;
        }
        self.closing |= write.closes();
        self.waiting.push_back(Waiting { write, origin, bytes, reply });
        self.waiting_bytes += bytes;
        self.append_waiting(now_ms, effects);
    }

    /// The append in flight was answered.
    pub fn appended(&mut self, result: Result<(), AppendError>, now_ms: i64, effects: &mut Vec<Effect<R>>) {
        let Some((events, writes)) = self.in_flight.take() else {
            debug_assert!(false, "an answer without an append");
            return;
        };
        match result {
            Ok(()) => self.commit(&events, writes, effects),
            Err(AppendError::Rejected(rejections)) if about(&events, &rejections) => {
                self.sort_out(writes, &rejections, effects);
            }
            Err(error) => {
                let refusal = failed(&error);
                let answer = |(waiting, _): Put<R>| Effect::Answer(waiting.reply, Err(refusal.clone()));
                effects.extend(writes.into_iter().map(answer));
            }
        }
        self.append_waiting(now_ms, effects);
    }

    /// What the key of a write was used for was looked up.
    pub fn recalled(
        &mut self,
        recall: Recall<R>,
        found: &Result<Option<Remembered>, Unavailable>,
        now_ms: i64,
        effects: &mut Vec<Effect<R>>,
    ) {
        let Recall { mut write, once, refusal, reply } = recall;
        self.recalls -= 1;
        if let Some(place) = self.doubts.iter().position(|doubt| write.is_of(doubt)) {
            self.doubts.swap_remove(place);
        }
        let answer = match found {
            Ok(Some(remembered)) => once.repeats(*remembered),
            Ok(None) => Err(refusal),
            Err(_) => Err(Code::StoreUnavailable.into()),
        };
        if answer.is_ok() {
            write.fulfil();
        }
        // Its chain holds or is broken before those behind it are looked at.
        drop(write);
        effects.push(Effect::Answer(reply, answer));
        self.append_waiting(now_ms, effects);
    }

    /// Answers the writes of an append whose conditions do not hold; the others go in front of the line again.
    fn sort_out(&mut self, writes: Vec<Put<R>>, rejections: &[Rejected], effects: &mut Vec<Effect<R>>) {
        let mut rejections = rejections.iter().peekable();
        let mut kept = VecDeque::with_capacity(writes.len() + self.waiting.len());
        for (mut waiting, places) in writes {
            while rejections.next_if(|rejected| rejected.seq < places.first).is_some() {}
            let answer = match rejections.next_if(|rejected| rejected.seq <= places.last).map(|rejected| rejected.why) {
                None => {
                    self.waiting_bytes += waiting.bytes;
                    kept.push_back(waiting);
                    continue;
                }
                Some(Why::Repeated(remembered)) => waiting.write.repeated(remembered),
                Some(why) => Err(rejected(why)),
            };
            if answer.is_ok() {
                waiting.write.fulfil();
            }
            effects.push(Effect::Answer(waiting.reply, answer));
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
    }

    fn append_waiting(&mut self, now_ms: i64, effects: &mut Vec<Effect<R>>) {
        if self.in_flight.is_some() {
            return;
        }
        let mut placed = Placed::default();
        while let Some(first) = self.waiting.front() {
            let verdict = self.verdict(&first.write, &placed);
            if matches!(verdict, Verdict::Later) {
                break;
            }
            let Some(waiting) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= waiting.bytes;
            match verdict {
                Verdict::Place | Verdict::Later => placed.place(waiting, self.bounds.head, now_ms),
                Verdict::Refuse(refusal) => effects.push(Effect::Answer(waiting.reply, Err(refusal))),
                Verdict::Recall(once, refusal) => {
                    let Waiting { write, reply, .. } = waiting;
                    self.recalls += 1;
                    self.doubts.extend(write.chain.clone());
                    effects.push(Effect::Recall(Box::new(Recall { write, once, refusal, reply })));
                }
            }
        }
        if !placed.events.is_empty() {
            let once = placed.once();
            let class = placed.class();
            let closing = placed.closing;
            let events: Arc<[Event]> = placed.events.into();
            self.in_flight = Some((events.clone(), placed.writes));
            effects.push(Effect::Append(events, once, closing, class));
        }
        if self.closing {
            // Whoever wanted to close it may have been refused.
            let in_flight = self.in_flight.iter().flat_map(|(_, writes)| writes).any(|(put, _)| put.write.closes());
            self.closing = self.bounds.closed || in_flight || self.waiting.iter().any(|put| put.write.closes());
        }
    }

    /// What becomes of a write, when what is placed goes before it. Conditions are looked at against what is durable:
    /// nobody is told of a head that could still be lost.
    fn verdict(&self, write: &Write, placed: &Placed<R>) -> Verdict {
        if write.chain.as_ref().is_some_and(Chain::is_broken) {
            return Verdict::Refuse(behind_a_refused_one());
        }
        if self.doubts.iter().any(|doubt| write.is_of(doubt)) {
            return Verdict::Later;
        }
        let refusal = match write.expect {
            _ if self.bounds.closed || placed.closing.is_some() => Some(closed()),
            None => None,
            Some(_) if !placed.events.is_empty() => return Verdict::Later,
            Some(expect) => expect.check(self.record.mark(), self.bounds).err(),
        };
        match (refusal, &write.once) {
            (None, Some(once)) if placed.has_key(once) => Verdict::Later,
            (None, _) if !placed.is_for(write.class()) => Verdict::Later,
            (None, _) => Verdict::Place,
            (Some(refusal), None) => Verdict::Refuse(refusal),
            (Some(_), Some(_)) if !placed.events.is_empty() => Verdict::Later,
            (Some(refusal), Some(once)) => Verdict::Recall(once.clone(), refusal),
        }
    }
}

/// Whether a log's rejections are about what it was asked to append: else it would be asked for the same for ever.
fn about(events: &[Event], rejections: &[Rejected]) -> bool {
    let inside = |rejected: &Rejected| events.iter().any(|event| event.seq == rejected.seq);
    rejections.first().is_some_and(inside)
}
