//! Where a reader of the feed starts: the one reading of a cursor of it, for streams and pages alike.
//!
//! Plain values in, plain values out. Unlike in a topic, what is gone is gone from anywhere between: nothing says where what is
//! kept begins, so who may have missed something is told so, and goes on from where they are. Who was told how far retention has
//! come, and began from before that all the same, has missed nothing until it comes further.

use crate::cursor::Mark;
use crate::log::feed::FeedEnds;
use crate::topic::state::{GapReason, Start, Started};

/// Where a start lies in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    /// Here.
    At(Started),
    /// Before so many of the newest events: the store is asked where that is.
    Last(u64),
}

/// Where a start lies in a feed with these ends.
#[must_use]
pub fn locate(start: Start, mark: Mark, ends: FeedEnds) -> Located {
    let gap = |cursor, reason| Located::At(Started { cursor, gap: Some(reason) });
    let at = |cursor| Located::At(Started { cursor, gap: None });
    match start {
        Start::Head | Start::Last(0) => at(ends.head),
        Start::Earliest => at(0),
        Start::Last(count) => Located::Last(count),
        Start::After(cursor) if cursor.mark != mark && cursor.mark.same_topic(&mark) => gap(0, GapReason::Reset),
        Start::After(cursor) if cursor.mark != mark || cursor.seq.max(cursor.floor) > ends.head => {
            gap(0, GapReason::Unknown)
        }
        Start::After(cursor) if cursor.seq.max(cursor.floor) < ends.floor => gap(cursor.seq, GapReason::Trimmed),
        Start::After(cursor) => at(cursor.seq),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Incarnation;
    use crate::topic_key::{Env, Scope, Tenant, TopicKey};

    #[test]
    fn every_start_has_a_place() {
        let scope = Scope { tenant: Tenant::parse("t_demo").unwrap(), env: Env::Dev };
        let key = TopicKey::feed(&scope);
        let mark = Mark::new(&key, Incarnation(7));
        let thread = Mark::new(&TopicKey::parse(&scope, "thread/x").unwrap(), Incarnation(7));
        let ends = FeedEnds { floor: 20, head: 90, incarnation: Incarnation(7) };
        let check = |start, cursor, gap| assert_eq!(locate(start, mark, ends), Located::At(Started { cursor, gap }));
        check(Start::Head, 90, None);
        check(Start::Last(0), 90, None);
        check(Start::Earliest, 0, None);
        check(Start::After(mark.at(90)), 90, None);
        check(Start::After(mark.at(20)), 20, None);
        check(Start::After(mark.at(19)), 19, Some(GapReason::Trimmed));
        check(Start::After(mark.at(0)), 0, Some(GapReason::Trimmed));
        check(Start::After(mark.at(91)), 0, Some(GapReason::Unknown));
        check(Start::After(mark.at(5).knowing(20)), 5, None);
        check(Start::After(mark.at(5).knowing(19)), 5, Some(GapReason::Trimmed));
        check(Start::After(mark.at(5).knowing(90)), 5, None);
        check(Start::After(mark.at(5).knowing(91)), 0, Some(GapReason::Unknown));
        check(Start::After(mark.at(25).knowing(20)), 25, None);
        check(Start::After(mark.of_another_life().at(5)), 0, Some(GapReason::Reset));
        check(Start::After(thread.at(5)), 0, Some(GapReason::Unknown));
        assert_eq!(locate(Start::Last(3), mark, ends), Located::Last(3));
    }
}
