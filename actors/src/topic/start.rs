//! Where a reader starts: the one reading of a cursor, for streams and pages alike.
//!
//! Plain values in, plain values out; nobody is told anything here.

use crate::cursor::{Cursor, Mark};
use crate::event::Seq;
use crate::log::Bounds;

/// Where a reader wants to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Behind the newest event.
    Head,
    /// Before the oldest that is kept.
    Earliest,
    /// That many events before the head.
    Last(u64),
    /// Behind the event of a cursor.
    After(Cursor),
}

/// Why a cursor can't be honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// What followed it is not kept any more.
    Trimmed,
    /// It is from another life of this topic.
    Reset,
    /// It is from another topic, or ahead of the head.
    Unknown,
}

impl GapReason {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Reset => "reset",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a reader does start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The reader has, or will never get, everything up to here.
    pub cursor: Seq,
    /// Why this is not where they asked to start.
    pub gap: Option<GapReason>,
}

/// Where a start lies in a log. The one reading of a cursor, for streams and pages alike.
#[must_use]
pub fn locate(start: Start, mark: Mark, bounds: Bounds) -> Started {
    let before_oldest = bounds.oldest - 1;
    let gap = |reason| Started { cursor: before_oldest, gap: Some(reason) };
    let at = |cursor| Started { cursor, gap: None };
    match start {
        Start::Head => at(bounds.head),
        Start::Earliest => at(before_oldest),
        Start::Last(count) => at(bounds.head.saturating_sub(count).max(before_oldest)),
        Start::After(cursor) if cursor.mark != mark && cursor.mark.same_topic(&mark) => gap(GapReason::Reset),
        // Only the feed gives out a cursor with a floor.
        Start::After(cursor) if cursor.mark != mark || cursor.seq > bounds.head || cursor.floor > 0 => {
            gap(GapReason::Unknown)
        }
        Start::After(cursor) if cursor.seq < before_oldest => gap(GapReason::Trimmed),
        Start::After(cursor) => at(cursor.seq),
    }
}
