//! Cases of the contract about pages in which appends are folded into what they were appended to.

use super::deed;
use std::collections::BTreeMap;

use super::dice::Dice;
use super::targets::{append, emptied, redacted};
use super::{ALL, Case, Event, EventLog, LogId, PageLimit, Seq, Store, Topics, bounds, event, item, thread, wait};
use crate::log::{Bounds, Folded, FoldedPage, FoldedText};

/// Topics of the random case, and what happens in each.
const ROUNDS: usize = 12;
const STEPS: usize = 150;

fn plain(event: Event) -> Folded {
    Folded { at: event.seq, event, text: None }
}

fn folded(at: Seq, event: Event, text: &str, appends: u64) -> Folded {
    let text = format!("\"{text}\"").into();
    Folded { at, event, text: Some(FoldedText { text, appends }) }
}

/// The text inside of a JSON string.
fn inner(json: &[u8]) -> &str {
    std::str::from_utf8(&json[1..json.len() - 1]).expect("UTF-8")
}

impl<L: EventLog, T: Topics> Store<L, T> {
    pub(super) const FOLDS: &'static [Case<L, T>] = &[
        ("an_event_is_told_at_its_last_append", Self::an_event_is_told_at_its_last_append),
        ("folded_pages_have_limits", Self::folded_pages_have_limits),
        ("what_is_redacted_has_no_text", Self::what_is_redacted_has_no_text),
        ("text_of_what_was_trimmed_is_told_as_it_is", Self::text_of_what_was_trimmed_is_told_as_it_is),
    ];

    fn folded(&self, log: LogId, after: Seq, limit: PageLimit) -> FoldedPage {
        wait(self.log.read_folded(log, after, limit)).expect("read")
    }

    /// Three answers that are written at the same time, and a word between.
    fn answers(&self) -> LogId {
        let log = self.create("x").log;
        let all = vec![
            event(1),
            event(2),
            append(3, 1, "a"),
            event(4),
            append(5, 2, "b\\n"),
            append(6, 1, "é"),
            event(7),
            append(8, 2, "\\ud83e"),
            append(9, 2, "\\udd80"),
        ];
        self.append_all(log, all);
        log
    }

    fn an_event_is_told_at_its_last_append(&self) {
        let log = self.answers();
        let all = [
            plain(event(4)),
            folded(6, event(1), "aé", 2),
            plain(event(7)),
            folded(9, event(2), "b\\n\\ud83e\\udd80", 3),
        ];
        // Whoever has the first append of an event gets it once more as a whole; what has no news is not told again.
        for (after, first) in [(0, 0), (1, 0), (3, 0), (4, 1), (5, 1), (6, 2), (7, 3), (8, 3), (9, 4), (10, 4)] {
            let page = self.folded(log, after, ALL);
            assert_eq!(page.items, all[first..], "behind {after}");
            assert_eq!((page.upto, page.bounds), (after.max(9), bounds(1, 9)));
        }
        self.append_all(log, vec![append(10, 1, "!")]);
        assert_eq!(self.folded(log, 9, ALL).items, [folded(10, event(1), "aé!", 3)]);
        let other = self.create("y").log;
        let empty = FoldedPage { items: Vec::new(), upto: 0, bounds: Bounds::EMPTY };
        assert_eq!(self.folded(other, 0, ALL), empty);
        assert_eq!(wait(self.topics.delete(&thread("x"), deed())), Ok(true));
        assert_eq!(self.folded(log, 0, ALL), empty);
    }

    fn folded_pages_have_limits(&self) {
        let log = self.answers();
        let whole = self.folded(log, 0, ALL).items;
        for events in 1..=10 {
            let (mut cursor, mut items) = (0, Vec::new());
            while cursor < 9 {
                let page = self.folded(log, cursor, PageLimit { events, bytes: usize::MAX });
                // Rows that are looked at count, told or not.
                assert_eq!(page.upto, (cursor + events as Seq).min(9));
                assert!(page.items.iter().all(|item| item.at > cursor && item.at <= page.upto));
                (cursor, items) = (page.upto, [items, page.items].concat());
            }
            assert_eq!(items, whole, "pages of {events}");
        }
        let size = |item: &Folded| item.event.size_bytes() + item.text.as_ref().map_or(0, |text| text.text.len());
        let two = size(&whole[0]) + size(&whole[1]);
        for (bytes, told, upto) in [(0, 1, 4), (1, 1, 4), (two - 1, 2, 6), (two, 2, 6), (two + 1, 3, 7)] {
            let page = self.folded(log, 0, PageLimit { events: usize::MAX, bytes });
            assert_eq!((page.items.len(), page.upto), (told, upto), "{bytes} bytes");
        }
    }

    fn what_is_redacted_has_no_text(&self) {
        let log = self.answers();
        self.append_all(log, vec![redacted(10, 1)]);
        let items = self.folded(log, 0, ALL).items;
        let gone = Folded { at: 6, ..plain(emptied(event(1))) };
        let other = folded(9, event(2), "b\\n\\ud83e\\udd80", 3);
        assert_eq!(items, [plain(event(4)), gone, plain(event(7)), other, plain(redacted(10, 1))]);
    }

    fn text_of_what_was_trimmed_is_told_as_it_is(&self) {
        let log = self.answers();
        assert_eq!(wait(self.log.trim(log, 2)), Ok(bounds(2, 9)));
        let answer = folded(9, event(2), "b\\n\\ud83e\\udd80", 3);
        let told = [plain(append(3, 1, "a")), plain(event(4)), plain(append(6, 1, "é")), plain(event(7)), answer];
        assert_eq!(self.folded(log, 0, ALL).items, told);
        // Who has the first of it adds the second, and has nothing twice.
        assert_eq!(self.folded(log, 3, ALL).items, told[1..]);
        assert_eq!(wait(self.log.trim(log, 8)), Ok(bounds(8, 9)));
        assert_eq!(self.folded(log, 0, ALL).items, [plain(append(8, 2, "\\ud83e")), plain(append(9, 2, "\\udd80"))]);
    }
}

/// What a reader has, by the rule that clients are told.
#[derive(Default)]
struct Reader {
    cursor: Seq,
    /// By event: its text, and the append that it goes up to.
    texts: BTreeMap<Seq, (String, Seq)>,
    /// Whether everything up to the cursor was told, so that it may go on live.
    whole: bool,
}

impl Reader {
    fn take_event(&mut self, event: &Event, text: &str, until: Seq) {
        match event.kind.as_str() {
            "append" if event.is_redacted() => {}
            "append" => {
                let target = event.target.expect("an append has a target");
                let (text, until) = self.texts.entry(target).or_default();
                if event.seq > *until {
                    text.push_str(inner(&event.data));
                    *until = event.seq;
                }
            }
            "redacted" => {
                self.texts.insert(event.target.expect("it has a target"), (String::new(), event.seq));
            }
            _ => {
                self.texts.insert(event.seq, (text.to_owned(), until));
            }
        }
    }

    /// What is not kept any more leaves a gap: the reader begins anew with what is.
    fn begin(&mut self, bounds: Bounds) {
        if bounds.oldest > self.cursor + 1 {
            self.texts.clear();
            self.cursor = bounds.oldest - 1;
        }
    }

    fn read<L: EventLog, T: Topics>(&mut self, store: &Store<L, T>, log: LogId, dice: &mut Dice) {
        let limit = PageLimit { events: 1 + dice.below(12), bytes: dice.below(3_000) };
        if self.whole && dice.below(2) == 0 {
            let page = store.read(log, self.cursor, limit);
            self.begin(page.bounds);
            for event in &page.events {
                assert_eq!(event.seq, self.cursor + 1);
                self.cursor = event.seq;
                self.take_event(event, "", event.seq);
            }
        } else {
            let page = store.folded(log, self.cursor, limit);
            self.begin(page.bounds);
            for item in &page.items {
                let text = item.text.as_ref().map_or("", |text| inner(&text.text));
                self.take_event(&item.event, text, item.at);
            }
            self.cursor = self.cursor.max(page.upto);
            self.whole = self.cursor == page.bounds.head;
        }
    }
}

/// Whatever is written and trimmed while somebody reads, folded or live: their text of an event is what was appended to it.
pub(super) fn folded_replay_is_the_concatenation<L: EventLog, T: Topics>(store: &Store<L, T>) {
    let mut dice = Dice::seeded();
    for round in 0..ROUNDS {
        let log = store.create(&format!("x{round}")).log;
        let mut texts: BTreeMap<Seq, String> = BTreeMap::new();
        let (mut head, mut reader) = (0, Reader::default());
        for _ in 0..STEPS {
            let known: Vec<Seq> = texts.keys().copied().collect();
            match dice.below(20) {
                0..11 if known.is_empty() || dice.below(4) == 0 => {
                    head += 1;
                    store.append_all(log, vec![event(head)]);
                    texts.insert(head, String::new());
                }
                0..11 => {
                    let mut all = Vec::new();
                    for _ in 0..=dice.below(5) {
                        head += 1;
                        let (target, text) = (*dice.of(&known), format!("{head}é "));
                        texts.entry(target).or_default().push_str(&text);
                        all.push(append(head, target, &text));
                    }
                    assert_eq!(wait(store.log.append(vec![item(log, all)])), [Ok(())]);
                }
                11 => {
                    let oldest = wait(store.log.trim(log, dice.roll() % (head + 2))).expect("trimmed").oldest;
                    texts.retain(|seq, _| *seq >= oldest);
                }
                12 if !known.is_empty() && dice.below(3) == 0 => {
                    head += 1;
                    let target = *dice.of(&known);
                    store.append_all(log, vec![redacted(head, target)]);
                    texts.remove(&target);
                }
                _ => reader.read(store, log, &mut dice),
            }
        }
        while reader.cursor < head {
            reader.read(store, log, &mut dice);
        }
        for (seq, text) in &texts {
            assert_eq!(reader.texts.get(seq).map(|(text, _)| text), Some(text), "event {seq} of {log:?}");
        }
    }
}
