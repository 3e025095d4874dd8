//! Cases of the contract about trimming: the oldest events go, the newest stays.

use super::deed;
use super::targets::append;
use super::{
    ALL, AppendError, Bounds, Case, EventLog, LogId, PageLimit, Seq, Store, TopicKind, TopicQuery, Topics, bounds,
    event, events, home, item, text_event, thread, wait,
};
use crate::log::{Rejected, Why};

impl<L: EventLog, T: Topics> Store<L, T> {
    pub(super) const TRIMS: &'static [Case<L, T>] = &[
        ("a_trim_takes_what_is_before", Self::a_trim_takes_what_is_before),
        ("the_newest_event_stays", Self::the_newest_event_stays),
        ("a_trim_of_nothing_changes_nothing", Self::a_trim_of_nothing_changes_nothing),
        ("what_was_trimmed_has_no_text", Self::what_was_trimmed_has_no_text),
        ("appends_go_on_beside_a_long_trim", Self::appends_go_on_beside_a_long_trim),
    ];

    fn trim(&self, log: LogId, oldest: Seq) -> Bounds {
        wait(self.log.trim(log, oldest)).expect("trimmed")
    }

    fn a_trim_takes_what_is_before(&self) {
        let log = self.create("x").log;
        let other = self.create("y").log;
        self.append_all(log, events(1..=10));
        self.append_all(other, events(1..=10));
        assert_eq!(self.trim(log, 4), bounds(4, 10));
        assert_eq!(self.bounds(log), bounds(4, 10));
        for after in [0, 1, 3] {
            assert_eq!(self.read(log, after, ALL).events, events(4..=10), "behind {after}");
        }
        assert_eq!(self.read(log, 4, PageLimit { events: 2, bytes: usize::MAX }).events, events(5..=6));
        assert_eq!(self.trim(log, 5), bounds(5, 10));
        self.append_all(log, events(11..=11));
        assert_eq!(self.append(vec![item(log, events(5..=5))]), [Err(AppendError::Conflict)]);
        let found = wait(self.topics.find(&thread("x"))).expect("found");
        assert_eq!(found.map(|(_, bounds)| bounds), Some(bounds(5, 11)));
        let query = TopicQuery { kind: TopicKind::Thread, after_id: None, visible_to: None, limit: 9 };
        let listed = wait(self.topics.list(&home(), query)).expect("listed");
        assert_eq!(listed.into_iter().map(|(_, bounds)| bounds).collect::<Vec<_>>(), [bounds(5, 11), bounds(1, 10)]);
    }

    fn the_newest_event_stays(&self) {
        let log = self.create("x").log;
        self.append_all(log, events(1..=5));
        for oldest in [5, 6, 7, i64::MAX.cast_unsigned(), u64::MAX] {
            assert_eq!(self.trim(log, oldest), bounds(5, 5), "{oldest}");
            assert_eq!(self.read(log, 0, ALL).events, events(5..=5));
        }
        self.append_all(log, vec![text_event(6, "closed", "{}")]);
        assert_eq!(self.trim(log, 9), Bounds { oldest: 6, head: 6, closed: true });
    }

    fn a_trim_of_nothing_changes_nothing(&self) {
        let log = self.create("x").log;
        assert_eq!(self.trim(log, 7), Bounds::EMPTY);
        self.append_all(log, events(1..=5));
        assert_eq!((self.trim(log, 0), self.trim(log, 1)), (bounds(1, 5), bounds(1, 5)));
        assert_eq!((self.trim(log, 3), self.trim(log, 2)), (bounds(3, 5), bounds(3, 5)));
        assert_eq!(self.trim(LogId(4_711), 3), Bounds::EMPTY);
        assert_eq!(wait(self.topics.delete(&thread("x"), deed())), Ok(true));
        assert_eq!(self.trim(log, 4), Bounds::EMPTY);
    }

    fn what_was_trimmed_has_no_text(&self) {
        let log = self.create("x").log;
        self.append_all(log, vec![event(1), append(2, 1, "a"), event(3), append(4, 3, "b")]);
        assert_eq!(self.trim(log, 2), bounds(2, 4));
        let refused = Err(AppendError::Rejected(vec![Rejected { seq: 5, why: Why::TargetUnknown }]));
        assert_eq!(self.append(vec![item(log, vec![append(5, 1, "late")])]), [refused]);
        self.append_all(log, vec![append(5, 3, "in time")]);
    }

    fn appends_go_on_beside_a_long_trim(&self) {
        let log = self.create("x").log;
        let other = self.create("y").log;
        self.append_all(log, events(1..=3_000));
        let trims: Vec<_> = [2_000, 2_500, 1].into_iter().map(|oldest| self.log.trim(log, oldest)).collect();
        for seq in 1..=20 {
            self.append_all(other, events(seq..=seq));
            self.append_all(log, events(3_000 + seq..=3_000 + seq));
            // Whatever is gone by now: what is kept has no hole.
            let page = self.read(log, 0, ALL);
            assert_eq!(page.events, events(page.bounds.oldest..=3_000 + seq));
        }
        for trim in trims {
            assert!((2_000..=2_500).contains(&wait(trim).expect("trimmed").oldest));
        }
        assert_eq!(self.bounds(log), bounds(2_500, 3_020));
        assert_eq!(self.read(other, 0, ALL).events, events(1..=20));
    }
}
