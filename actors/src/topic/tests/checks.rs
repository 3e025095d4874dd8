//! What must hold of a log and of the answers to its writers, whatever was written.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::*;

impl Model {
    /// The log is what the answers say.
    pub(super) fn check_log(&self) {
        let mut places: HashMap<&(String, Bytes), Vec<Seq>> = HashMap::new();
        let log: Vec<_> =
            self.written.iter().map(|(seq, (kind, data, _))| (*seq, (kind.clone(), data.clone()))).collect();
        log.iter().for_each(|(seq, event)| places.entry(event).or_default().push(*seq));
        let mut last_of = [0; SENDERS];
        let mut taken = HashSet::new();
        for sent in &self.sent {
            let Some(Ok(told)) = sent.answer else { continue };
            let there: Vec<_> =
                self.written.range(told.first..=told.last).map(|(_, (k, d, _))| (k.clone(), d.clone())).collect();
            assert_eq!(there, sent.events, "what was acknowledged is where it was said to be");
            if sent.once.is_none() {
                let place = match sent.expect {
                    None => told.first,
                    Some(Expect::Empty) => 1,
                    Some(Expect::At(cursor)) => cursor.seq + 1,
                };
                assert_eq!(told.first, place, "who expects is there next");
                assert!(told.first > last_of[sent.sender], "a sender's writes keep their order");
                assert!((told.first..=told.last).all(|seq| taken.insert(seq)), "no place is given twice");
                last_of[sent.sender] = told.last;
            }
        }
        for sent in self.sent.iter().filter(|sent| sent.once.is_none()) {
            // Closing and redacting have no text of their own.
            let own = || sent.events.iter().filter(|(kind, _)| kind == "note" || kind == "append");
            let times = own().map(|event| places.get(event).map_or(0, Vec::len)).max().unwrap_or(0);
            assert!(times <= 1, "nothing is written twice");
            let all = own().all(|event| places.contains_key(event));
            match sent.answer {
                Some(Ok(_)) => assert!(all, "what was acknowledged is in the log"),
                Some(Err(code)) => assert!(times == 0, "what was refused ({code:?}) is not in the log"),
                None => assert!(sent.lost && (times == 0 || all), "unknown is all or nothing"),
            }
        }
        self.check_keys(&places);
        self.check_repeats();
        self.check_chains(&places);
        self.check_appends();
    }

    fn check_keys(&self, places: &HashMap<&(String, Bytes), Vec<Seq>>) {
        let mut under: HashMap<_, BTreeSet<Seq>> = HashMap::new();
        for sent in &self.sent {
            let Some(once) = &sent.once else { continue };
            let seqs = places.get(&sent.events[0]).cloned().unwrap_or_default();
            assert!(!seqs.is_empty() || !matches!(sent.answer, Some(Ok(_))));
            under.entry((once.sub.clone(), once.key.clone())).or_default().extend(seqs);
        }
        for seqs in under.into_values().map(Vec::from_iter) {
            let time = |seq: &Seq| self.written[seq].2;
            let apart = seqs.windows(2).all(|pair| time(&pair[1]) - time(&pair[0]) >= IDEMPOTENCY_KEPT_MS);
            assert!(apart, "under one key within a day it is written once: {seqs:?}");
        }
    }

    /// Whoever repeats a write that was written is given its places, though the topic has moved on or was closed since.
    fn check_repeats(&self) {
        for (place, first) in self.sent.iter().enumerate().filter(|(_, first)| !first.recalled) {
            let (Some(once), Some(Ok(places))) = (&first.once, first.answer) else { continue };
            if self.now_ms - self.written[&places.first].2 >= IDEMPOTENCY_KEPT_MS {
                continue;
            }
            for later in self.sent[place + 1..].iter().filter(|later| later.once.as_ref() == Some(once)) {
                let moved_on = matches!(later.answer, Some(Err(Code::TopicClosed | Code::ExpectMismatch)));
                assert!(!moved_on, "a repeated write is refused: {:?}", later.answer);
                if let Some(Ok(other)) = later.answer {
                    let apart = self.written[&other.first].2.abs_diff(self.written[&places.first].2);
                    assert!(other == places || apart >= IDEMPOTENCY_KEPT_MS.unsigned_abs());
                }
            }
        }
    }

    fn check_chains(&self, places: &HashMap<&(String, Bytes), Vec<Seq>>) {
        let mut holes: HashMap<usize, usize> = HashMap::new();
        for sent in &self.sent {
            let Some((chain, link)) = sent.chain else { continue };
            let written = match sent.answer {
                Some(answer) => answer.is_ok(),
                None => sent.once.is_none() && places.contains_key(&sent.events[0]),
            };
            let unsure = sent.lost && sent.once.is_some();
            if !written && !unsure {
                holes.entry(chain).or_insert(link);
            }
            let behind = holes.get(&chain).is_some_and(|hole| *hole < link);
            assert!(!(written && behind && sent.once.is_none()), "nothing of a chain is written behind a hole in it");
        }
    }

    fn check_appends(&self) {
        let kept = now(self.log.read(self.record.log, 0, PageLimit { events: usize::MAX, bytes: usize::MAX })).unwrap();
        let mut sizes: HashMap<Seq, usize> = HashMap::new();
        for event in kept.events.iter().filter(|event| event.kind.as_str() == "append") {
            let target = &kept.events[usize::try_from(event.target.unwrap()).unwrap() - 1];
            assert!(target.seq < event.seq && target.kind.as_str() == "note");
            assert_eq!(target.origin.actor(), event.origin.actor());
            *sizes.entry(target.seq).or_default() += event.data.len();
        }
        assert!(sizes.values().all(|bytes| *bytes <= APPENDED_BYTES_MAX));
    }
}
