//! Cases of the contract about events that are about another one: text that is appended, data that is taken away.

use bytes::Bytes;

use super::{
    ALL, AppendError, Case, Event, EventLog, LogId, Origin, Seq, Store, Topics, event, events, item, text_event,
};
use crate::event::{APPENDED_BYTES_MAX, DATA_BYTES_MAX};
use crate::log::{Rejected, Why};

fn by(actor: &str, event: Event) -> Event {
    let routing = Bytes::from(format!("\"actor_id\":{actor},\"actor_type\":\"human\""));
    Event { origin: Origin { routing, ..event.origin }, ..event }
}

/// More text for `target`, by who sends all others.
pub(super) fn append(seq: Seq, target: Seq, text: &str) -> Event {
    Event { target: Some(target), ..text_event(seq, "append", &format!("\"{text}\"")) }
}

pub(super) fn redacted(seq: Seq, target: Seq) -> Event {
    Event { target: Some(target), ..text_event(seq, "redacted", "{}") }
}

/// An event without its data.
pub(super) fn emptied(event: Event) -> Event {
    Event { data: Bytes::new(), ..event }
}

fn rejected(seq: Seq, why: Why) -> Rejected {
    Rejected { seq, why }
}

impl<L: EventLog, T: Topics> Store<L, T> {
    pub(super) const TARGETS: &'static [Case<L, T>] = &[
        ("text_goes_to_events_that_are_kept", Self::text_goes_to_events_that_are_kept),
        ("only_its_sender_appends_to_an_event", Self::only_its_sender_appends_to_an_event),
        ("the_text_of_an_event_has_a_limit", Self::the_text_of_an_event_has_a_limit),
        ("every_rejection_of_an_item_is_told", Self::every_rejection_of_an_item_is_told),
        ("an_item_is_read_in_its_order", Self::an_item_is_read_in_its_order),
        ("what_is_rejected_is_nobodys_target", Self::what_is_rejected_is_nobodys_target),
        ("redacted_data_is_gone_and_places_stay", Self::redacted_data_is_gone_and_places_stay),
    ];

    fn answer(&self, log: LogId, events: Vec<Event>) -> Result<(), AppendError> {
        self.append(vec![item(log, events)]).remove(0)
    }

    /// Each is refused when it is appended alone, and leaves nothing.
    fn refused(&self, log: LogId, why: Why, all: impl IntoIterator<Item = Event>) {
        let before = self.read(log, 0, ALL);
        for event in all {
            let expected = Err(AppendError::Rejected(vec![rejected(event.seq, why)]));
            assert_eq!(self.answer(log, vec![event.clone()]), expected, "{event:?}");
        }
        assert_eq!(self.read(log, 0, ALL), before);
    }

    fn text_goes_to_events_that_are_kept(&self) {
        let log = self.create("x").log;
        let other = self.create("y").log;
        self.append_all(other, events(1..=20));
        let closed = text_event(4, "closed", "{}");
        let all = vec![event(1), append(2, 1, "a"), redacted(3, 1), closed, event(5), append(6, 5, "é\\n"), event(7)];
        let kept = [vec![emptied(event(1)), emptied(append(2, 1, "a"))], all[2..].to_vec()].concat();
        self.append_all(log, all);
        assert_eq!(self.read(log, 0, ALL).events, kept, "targets come back with their events");
        // Not there, the event itself, ahead, an append, a redaction, `closed`, redacted.
        for target in [0, 8, 9, 20, u64::MAX, i64::MAX.cast_unsigned(), 2, 3, 4, 1, 6] {
            self.refused(log, Why::TargetUnknown, [append(8, target, "x")]);
        }
        for target in [0, 8, 9, u64::MAX, 2, 3, 4, 6] {
            self.refused(log, Why::TargetUnknown, [redacted(8, target)]);
        }
        self.append_all(log, vec![append(8, 7, ""), append(9, 5, "b"), append(10, 5, "c")]);
        assert_eq!(self.read(log, 7, ALL).events, [append(8, 7, ""), append(9, 5, "b"), append(10, 5, "c")]);
    }

    fn only_its_sender_appends_to_an_event(&self) {
        let log = self.create("x").log;
        let actors = ["\"alice\"", "\"al\\\"ice\\\\\"", "\"alice \"", "\"Alice\"", "\"é\""];
        let targets = (1..).zip(actors).map(|(seq, actor)| by(actor, event(seq)));
        self.append_all(log, targets.collect());
        let mut seq = 6;
        // Twice: the second time whatever a store remembers of the first is used.
        for _ in 0..2 {
            for (target, owner) in (1..).zip(actors) {
                for actor in actors {
                    let event = by(actor, append(seq, target, "x"));
                    if actor == owner {
                        self.append_all(log, vec![event]);
                        seq += 1;
                    } else {
                        self.refused(log, Why::TargetForbidden, [event]);
                    }
                }
            }
        }
        // Anybody whom the caller lets may redact.
        self.append_all(log, vec![by("\"é\"", redacted(seq, 1))]);
        self.refused(log, Why::TargetUnknown, [by("\"alice\"", append(seq + 1, 1, "x"))]);
    }

    fn the_text_of_an_event_has_a_limit(&self) {
        let log = self.create("x").log;
        self.append_all(log, events(1..=2));
        let whole = "x".repeat(DATA_BYTES_MAX - 2);
        let pieces = APPENDED_BYTES_MAX / DATA_BYTES_MAX;
        // The quotes count, and other events have limits of their own.
        let mut seq = 3;
        for _ in 1..pieces {
            self.append_all(log, vec![append(seq, 1, &whole), append(seq + 1, 2, "y")]);
            seq += 2;
        }
        let (rest, rest_and_one) = ("z".repeat(DATA_BYTES_MAX - 6), "z".repeat(DATA_BYTES_MAX - 1));
        self.refused(log, Why::TargetFull, [append(seq, 1, &rest_and_one)]);
        self.append_all(log, vec![append(seq, 1, &rest)]);
        self.refused(log, Why::TargetFull, [append(seq + 1, 1, "abc")]);
        self.append_all(log, vec![append(seq + 1, 1, "ab")]);
        self.refused(log, Why::TargetFull, [append(seq + 2, 1, "")]);
        self.append_all(log, vec![append(seq + 2, 2, "y")]);
        // Within one item likewise.
        let log = self.create("y").log;
        let mut all = vec![event(1)];
        all.extend((2..2 + pieces as Seq).map(|seq| append(seq, 1, &whole)));
        let first_too_many = append(2 + pieces as Seq, 1, "");
        let expected = rejected(first_too_many.seq, Why::TargetFull);
        let too_many = [all.clone(), vec![first_too_many]].concat();
        assert_eq!(self.answer(log, too_many), Err(AppendError::Rejected(vec![expected])));
        self.append_all(log, all);
    }

    fn every_rejection_of_an_item_is_told(&self) {
        let [log, other] = ["x", "y"].map(|id| self.create(id).log);
        self.append_all(log, vec![event(1), by("\"bob\"", event(2))]);
        let bad = vec![
            append(3, 9, "a"),
            event(4),
            append(5, 2, "b"),
            append(6, 1, "c"),
            redacted(7, 4_711),
            append(8, 2, "d"),
            event(9),
        ];
        let answers = self.append(vec![
            item(other, events(1..=1)),
            item(log, bad),
            item(log, vec![append(3, 1, "kept")]),
            item(other, events(2..=2)),
        ]);
        let expected = [
            rejected(3, Why::TargetUnknown),
            rejected(5, Why::TargetForbidden),
            rejected(7, Why::TargetUnknown),
            rejected(8, Why::TargetForbidden),
        ];
        assert_eq!(answers, [Ok(()), Err(AppendError::Rejected(expected.to_vec())), Ok(()), Ok(())]);
        assert_eq!(self.read(log, 2, ALL).events, [append(3, 1, "kept")]);
        assert_eq!(self.read(other, 0, ALL).events, events(1..=2));
    }

    fn an_item_is_read_in_its_order(&self) {
        let log = self.create("x").log;
        let all = vec![event(1), append(2, 1, "a"), event(3), append(4, 1, "b"), append(5, 3, "c"), redacted(6, 1)];
        self.append_all(log, all);
        let kept = [
            emptied(event(1)),
            emptied(append(2, 1, "a")),
            event(3),
            emptied(append(4, 1, "b")),
            append(5, 3, "c"),
            redacted(6, 1),
        ];
        assert_eq!(self.read(log, 0, ALL).events, kept);
        // Behind its redaction an event has no more text.
        let expected = Err(AppendError::Rejected(vec![rejected(8, Why::TargetUnknown)]));
        assert_eq!(self.answer(log, vec![redacted(7, 3), append(8, 3, "late")]), expected);
        self.append_all(log, vec![append(7, 3, "early")]);
        let ahead = Err(AppendError::Rejected(vec![rejected(8, Why::TargetUnknown), rejected(9, Why::TargetUnknown)]));
        assert_eq!(self.answer(log, vec![append(8, 9, "x"), append(9, 9, "y"), event(10)]), ahead);
    }

    fn what_is_rejected_is_nobodys_target(&self) {
        let log = self.create("x").log;
        self.append_all(log, vec![by("\"bob\"", event(1)), event(2)]);
        let whole = "x".repeat(DATA_BYTES_MAX - 2);
        // What may not be appended takes no room from what may.
        let mut all: Vec<_> = (3..11).map(|seq| by("\"mallory\"", append(seq, 2, &whole))).collect();
        let expected: Vec<_> = all.iter().map(|event| rejected(event.seq, Why::TargetForbidden)).collect();
        all.push(append(11, 2, &whole));
        all.push(redacted(12, 4_711));
        let expected = [expected, vec![rejected(12, Why::TargetUnknown)]].concat();
        assert_eq!(self.answer(log, all), Err(AppendError::Rejected(expected)));
        self.append_all(log, vec![append(3, 2, &whole)]);
    }

    fn redacted_data_is_gone_and_places_stay(&self) {
        let [log, other] = ["x", "y"].map(|id| self.create(id).log);
        let long = text_event(1, "chat_message", &format!("\"{}\"", "secret".repeat(5_000)));
        let all = vec![long, event(2), append(3, 1, "more"), append(4, 2, "stays"), event(5), append(6, 1, "still")];
        self.append_all(log, all.clone());
        self.append_all(other, all.clone());
        self.append_all(log, vec![redacted(7, 1)]);
        let kept: Vec<_> = all
            .iter()
            .cloned()
            .map(|event| if event.seq == 1 || event.target == Some(1) { emptied(event) } else { event })
            .collect();
        let page = self.read(log, 0, ALL);
        assert_eq!(page.events[..6], kept);
        assert_eq!(page.events[6], redacted(7, 1));
        assert!(page.events[0].is_redacted() && !page.events[1].is_redacted());
        assert_eq!(page.bounds, super::bounds(1, 7));
        assert_eq!(self.read(other, 0, ALL).events, all, "another log has events of its own");
        // Once more changes nothing, and the rest can go, too.
        self.append_all(log, vec![redacted(8, 1), redacted(9, 2)]);
        let page = self.read(log, 0, ALL).events;
        assert_eq!((&page[1], &page[3]), (&emptied(event(2)), &emptied(append(4, 2, "stays"))));
        assert_eq!(page[4], event(5));
    }
}
