//! What a line has of its own beside its subscriptions: the id under which it reads several topics, or its view of the feed.
//!
//! In one box, which most lines do without. Nothing here writes an event: [`super::pump`] does.

use super::line::{Line, Sub};
use super::pump::Part;
use crate::composite::Composite;
use crate::cursor::Mark;
use crate::feed::view::{Sight, View};
use crate::frame::{Frame, control};
use crate::log::Bounds;
use crate::log::feed::Position;
use crate::principal::Principal;
use crate::topic::state::GapReason;
use crate::topic_key::TopicKey;

/// What a line has of its own.
#[derive(Debug)]
pub enum Own {
    /// Of an SSE stream of several topics: the id under which its blocks are written.
    Several(Composite),
    /// Of a reader of the feed: what they get of it.
    Feed(FeedReading),
}

/// A reader of the feed.
#[derive(Debug)]
pub struct FeedReading {
    /// The outlet's slot of the feed.
    pub topic: usize,
    /// What they get.
    pub view: Box<View>,
    /// Where their client knows that it stands: its cursor may be further on, behind what it may not see.
    pub told: Position,
    /// How far retention has come, as far as their client knows.
    pub floor: Position,
}

impl FeedReading {
    fn is_of(&self, sub: &Sub) -> bool {
        sub.topic as usize == self.topic
    }

    /// Whether a frame of a subscription is written to this line.
    fn has(&self, sub: &Sub, frame: &Frame) -> bool {
        !self.is_of(sub) || frame.subject.as_ref().is_some_and(|subject| self.view.has_subject(subject))
    }
}

impl Own {
    /// Whether parts are put together for this line alone.
    #[must_use]
    pub(super) fn sorts(&self, subs: &[Sub], parts: &[Part<'_>]) -> bool {
        match self {
            Self::Several(_) => true,
            Self::Feed(reading) => {
                !reading.view.is_whole() && parts.iter().any(|part| reading.is_of(&subs[part.index]))
            }
        }
    }

    /// Whether a frame of a subscription is written to this line.
    #[must_use]
    pub(super) fn has(&self, sub: &Sub, frame: &Frame) -> bool {
        match self {
            Self::Several(_) => true,
            Self::Feed(reading) => reading.has(sub, frame),
        }
    }

    /// A frame as it is written to this line.
    pub(super) fn put(&mut self, line: &Line, sub: &Sub, frame: &Frame, out: &mut Vec<u8>) {
        match self {
            Self::Several(id) => {
                if let Some(place) = sub.place() {
                    id.advance(place, frame.seq);
                }
                let (before, behind) = frame.around_id(line.wire);
                out.extend_from_slice(before);
                out.extend_from_slice(b"id: ");
                id.write(out);
                out.extend_from_slice(behind);
            }
            Self::Feed(_) => out.extend_from_slice(frame.wire(line.wire)),
        }
    }

    /// The client was told of a frame at this place.
    pub(super) fn told(&mut self, sub: &Sub, place: Position) {
        if let Self::Feed(reading) = self
            && reading.is_of(sub)
        {
            reading.told = reading.told.max(place);
        }
    }
}

impl Line {
    /// The id of a stream of several topics.
    #[must_use]
    pub fn composite(&self) -> Option<&Composite> {
        match self.own.as_deref() {
            Some(Own::Several(id)) => Some(id),
            _ => None,
        }
    }

    /// The same, to be moved.
    pub fn composite_mut(&mut self) -> Option<&mut Composite> {
        match self.own.as_deref_mut() {
            Some(Own::Several(id)) => Some(id),
            _ => None,
        }
    }

    /// The line has left a slot: with the feed goes what it got of that.
    pub(super) fn leave(&mut self, slot: usize) {
        self.own.take_if(|own| matches!(&**own, Own::Feed(reading) if reading.topic == slot));
    }

    /// Retention has come so far in the feed: who stands before that, and did not know, may have missed something.
    pub(super) fn learn_floor(
        &mut self,
        slot: usize,
        index: usize,
        (key, mark): (&TopicKey, Mark),
        ends: Bounds,
        now_ms: u64,
    ) {
        let cursor = self.subs[index].cursor;
        let Some(Own::Feed(reading)) = self.own.as_deref_mut() else { return };
        if reading.topic != slot || ends.oldest <= reading.floor {
            return;
        }
        reading.floor = ends.oldest;
        if cursor < ends.oldest {
            let at = mark.at(cursor).to_string();
            let reason = GapReason::Trimmed.as_str();
            let frame = control::gap(self.wire, key, mark, reason, &at, ends, &at);
            reading.told = cursor;
            self.control(&frame, now_ms);
        }
    }

    /// What its reader may see is another from now on.
    pub fn see(&mut self, principal: &Principal) {
        if let Some(Own::Feed(reading)) = self.own.as_deref_mut() {
            reading.view.sight = Sight::of(principal);
        }
    }

    /// Which slot is the feed's, when the client stands further on in it than it was told.
    #[must_use]
    pub(super) fn is_ahead(&self) -> Option<usize> {
        let Some(Own::Feed(reading)) = self.own.as_deref() else { return None };
        let sub = self.subs.iter().find(|sub| reading.is_of(sub) && sub.live)?;
        (self.open() && sub.cursor > reading.told).then_some(reading.topic)
    }

    /// Tells the client where it stands in the feed, so that who comes back does not begin far behind.
    pub(super) fn tell_place(&mut self, mark: Mark, now_ms: u64) {
        let Some(Own::Feed(reading)) = self.own.as_deref_mut() else { return };
        let Some(sub) = self.subs.iter().find(|sub| reading.is_of(sub)) else { return };
        reading.told = sub.cursor;
        let frame = control::progress(self.wire, mark.at(sub.cursor));
        self.control(&frame, now_ms);
    }
}
