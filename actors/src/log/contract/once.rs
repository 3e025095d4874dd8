//! Cases of the contract about keys: a write that has one happens once.

use super::deed;
use super::{
    ALL, Append, AppendError, Case, Event, EventLog, LogId, Seq, Store, Topics, event, events, item, thread, wait,
};
use crate::log::{IDEMPOTENCY_KEPT_MS, Once, OnceWrite, Published, Rejected, Remembered, Why};

fn once(sub: &str, key: &str, digest: u8) -> Once {
    Once { sub: sub.into(), key: key.into(), digest: [digest; 32] }
}

fn remembered(digest: u8, first: Seq, last: Seq) -> Remembered {
    Remembered { digest: [digest; 32], places: Published { first, last } }
}

/// An item with keyed writes: each with its first and last seq.
fn keyed(log: LogId, events: Vec<Event>, writes: &[(&Once, Seq, Seq)]) -> Append {
    let write = |(once, first, last): &(&Once, Seq, Seq)| OnceWrite {
        once: (*once).clone(),
        places: Published { first: *first, last: *last },
    };
    Append { once: writes.iter().map(write).collect(), ..item(log, events) }
}

fn repeated(seq: Seq, known: Remembered) -> Rejected {
    Rejected { seq, why: Why::Repeated(known) }
}

fn at(seq: Seq, time_ms: i64) -> Vec<Event> {
    vec![Event { time_ms, ..event(seq) }]
}

impl<L: EventLog, T: Topics> Store<L, T> {
    pub(super) const KEYS: &'static [Case<L, T>] = &[
        ("a_key_is_remembered_with_its_write", Self::a_key_is_remembered_with_its_write),
        ("keys_are_of_a_subject_and_a_log", Self::keys_are_of_a_subject_and_a_log),
        ("a_key_is_good_for_its_time", Self::a_key_is_good_for_its_time),
        ("what_is_not_kept_is_not_remembered", Self::what_is_not_kept_is_not_remembered),
        ("earlier_items_of_a_call_are_remembered", Self::earlier_items_of_a_call_are_remembered),
        ("every_repeated_write_of_an_item_is_told", Self::every_repeated_write_of_an_item_is_told),
        ("keys_go_with_their_log_and_stay_behind_a_trim", Self::keys_go_with_their_log_and_stay_behind_a_trim),
    ];

    fn recall(&self, log: LogId, sub: &str, key: &str, now_ms: i64) -> Option<Remembered> {
        wait(self.log.recall(log, sub, key, now_ms)).expect("recalled")
    }

    fn rejections(&self, item: Append) -> Vec<Rejected> {
        match self.append(vec![item]).remove(0) {
            Err(AppendError::Rejected(rejected)) => rejected,
            other => panic!("was to be rejected: {other:?}"),
        }
    }

    fn a_key_is_remembered_with_its_write(&self) {
        let log = self.create("x").log;
        let (key, now) = (once("alice", "k", 1), event(1).time_ms);
        assert_eq!(self.recall(log, "alice", "k", now), None);
        assert_eq!(self.append(vec![keyed(log, events(1..=4), &[(&key, 2, 3)])]), [Ok(())]);
        assert_eq!(self.recall(log, "alice", "k", now), Some(remembered(1, 2, 3)));
        // Whether it is the same write is for the caller to tell: the digest is the first one's.
        for digest in [1, 2] {
            let again = keyed(log, events(5..=6), &[(&once("alice", "k", digest), 5, 6)]);
            assert_eq!(self.rejections(again), [repeated(5, remembered(1, 2, 3))]);
        }
        assert_eq!(self.read(log, 0, ALL).events, events(1..=4));
        // The same events without the key are another write.
        self.append_all(log, events(5..=6));
    }

    fn keys_are_of_a_subject_and_a_log(&self) {
        let [a, b] = ["a", "b"].map(|id| self.create(id).log);
        let texts =
            [("alice", "k"), ("alic", "ek"), ("", "alicek"), ("Alice", "k"), ("alice", "K"), ("a\u{0}", "'\"é")];
        for (log, digest) in [(a, 1), (b, 2)] {
            for (seq, (sub, key)) in (1..).zip(texts) {
                let write = keyed(log, vec![event(seq)], &[(&once(sub, key, digest), seq, seq)]);
                assert_eq!(self.append(vec![write]), [Ok(())], "{sub} {key}");
            }
        }
        let now = event(1).time_ms;
        for (seq, (sub, key)) in (1..).zip(texts) {
            assert_eq!(self.recall(a, sub, key, now), Some(remembered(1, seq, seq)));
            assert_eq!(self.recall(b, sub, key, now), Some(remembered(2, seq, seq)));
        }
        assert_eq!(self.recall(a, "alice", "", now), None);
        assert_eq!(self.recall(LogId(4_711), "alice", "k", now), None);
    }

    fn a_key_is_good_for_its_time(&self) {
        let log = self.create("x").log;
        let (key, begin) = (once("alice", "k", 1), event(1).time_ms);
        assert_eq!(self.append(vec![keyed(log, at(1, begin), &[(&key, 1, 1)])]), [Ok(())]);
        let (last, over) = (begin + IDEMPOTENCY_KEPT_MS - 1, begin + IDEMPOTENCY_KEPT_MS);
        assert_eq!(self.recall(log, "alice", "k", last), Some(remembered(1, 1, 1)));
        assert_eq!(self.recall(log, "alice", "k", over), None);
        assert_eq!(
            self.rejections(keyed(log, at(2, last), &[(&key, 2, 2)])),
            [repeated(2, remembered(1, 1, 1))],
            "a repeated use does not make the time longer"
        );
        assert_eq!(self.append(vec![keyed(log, at(2, over), &[(&once("alice", "k", 9), 2, 2)])]), [Ok(())]);
        assert_eq!(self.recall(log, "alice", "k", over), Some(remembered(9, 2, 2)));
        // Many others do not take it away before its time.
        let many: Vec<_> = (0..200).map(|n| once("bob", &format!("k{n}"), 3)).collect();
        let writes: Vec<_> = (3..).zip(&many).map(|(seq, key)| (key, seq, seq)).collect();
        let late = over + IDEMPOTENCY_KEPT_MS - 1;
        let all = (3..=202).flat_map(|seq| at(seq, late)).collect();
        assert_eq!(self.append(vec![keyed(log, all, &writes)]), [Ok(())]);
        assert_eq!(self.recall(log, "alice", "k", late), Some(remembered(9, 2, 2)));
        assert_eq!(self.recall(log, "bob", "k199", late), Some(remembered(3, 202, 202)));
    }

    fn what_is_not_kept_is_not_remembered(&self) {
        let log = self.create("x").log;
        let [kept, rejected, conflict] = ["kept", "rejected", "conflict"].map(|key| once("alice", key, 1));
        let now = event(1).time_ms;
        assert_eq!(self.append(vec![keyed(log, events(1..=1), &[(&kept, 1, 1)])]), [Ok(())]);
        let both = keyed(log, events(2..=3), &[(&rejected, 2, 2), (&kept, 3, 3)]);
        assert_eq!(self.rejections(both), [repeated(3, remembered(1, 1, 1))]);
        let wrong = keyed(log, events(3..=3), &[(&conflict, 3, 3)]);
        assert_eq!(self.append(vec![wrong]), [Err(AppendError::Conflict)]);
        assert_eq!(self.recall(log, "alice", "rejected", now), None);
        assert_eq!(self.recall(log, "alice", "conflict", now), None);
        assert_eq!(self.append(vec![keyed(log, events(2..=2), &[(&rejected, 2, 2)])]), [Ok(())]);
    }

    fn earlier_items_of_a_call_are_remembered(&self) {
        let log = self.create("x").log;
        let other = self.create("y").log;
        let key = once("alice", "k", 1);
        let answers = self.append(vec![
            keyed(log, events(1..=1), &[(&key, 1, 1)]),
            keyed(log, events(2..=2), &[(&key, 2, 2)]),
            keyed(other, events(1..=1), &[(&key, 1, 1)]),
            item(log, events(2..=2)),
        ]);
        let again = Err(AppendError::Rejected(vec![repeated(2, remembered(1, 1, 1))]));
        assert_eq!(answers, [Ok(()), again, Ok(()), Ok(())]);
        // As are calls that nobody waited for.
        drop(self.log.append(vec![keyed(log, events(3..=3), &[(&once("alice", "l", 2), 3, 3)])]));
        let late = keyed(log, events(4..=4), &[(&once("alice", "l", 2), 4, 4)]);
        assert_eq!(self.rejections(late), [repeated(4, remembered(2, 3, 3))]);
    }

    fn every_repeated_write_of_an_item_is_told(&self) {
        let log = self.create("x").log;
        let keys: Vec<_> = (0..6).map(|n| once("alice", &format!("k{n}"), n)).collect();
        let first = keyed(log, events(1..=5), &[(&keys[0], 1, 1), (&keys[2], 2, 3), (&keys[4], 5, 5)]);
        assert_eq!(self.append(vec![first]), [Ok(())]);
        let writes = [(&keys[0], 6, 7), (&keys[1], 8, 8), (&keys[2], 10, 10), (&keys[3], 11, 12), (&keys[4], 13, 14)];
        assert_eq!(
            self.rejections(keyed(log, events(6..=15), &writes)),
            [repeated(6, remembered(0, 1, 1)), repeated(10, remembered(2, 2, 3)), repeated(13, remembered(4, 5, 5)),]
        );
        assert_eq!(self.read(log, 0, ALL).events, events(1..=5));
        let rest = keyed(log, events(6..=10), &[(&keys[1], 6, 6), (&keys[3], 8, 9)]);
        assert_eq!(self.append(vec![rest]), [Ok(())]);
        assert_eq!(self.recall(log, "alice", "k3", event(1).time_ms), Some(remembered(3, 8, 9)));
    }

    fn keys_go_with_their_log_and_stay_behind_a_trim(&self) {
        let log = self.create("x").log;
        let (key, now) = (once("alice", "k", 1), event(1).time_ms);
        assert_eq!(self.append(vec![keyed(log, events(1..=1), &[(&key, 1, 1)])]), [Ok(())]);
        self.append_all(log, events(2..=9));
        assert_eq!(wait(self.log.trim(log, 5)).map(|bounds| bounds.oldest), Ok(5));
        assert_eq!(self.recall(log, "alice", "k", now), Some(remembered(1, 1, 1)));
        assert_eq!(
            self.rejections(keyed(log, events(10..=10), &[(&key, 10, 10)])),
            [repeated(10, remembered(1, 1, 1))]
        );
        assert_eq!(wait(self.topics.delete(&thread("x"), deed())), Ok(true));
        assert_eq!(self.recall(log, "alice", "k", now), None);
        let anew = self.create("x").log;
        assert_eq!(self.recall(anew, "alice", "k", now), None);
        assert_eq!(self.append(vec![keyed(anew, events(1..=1), &[(&key, 1, 1)])]), [Ok(())]);
    }
}
