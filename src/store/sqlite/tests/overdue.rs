//! What is kept no longer: by count, age and bytes, against a plain reading of the same events.

use std::ops::Range;
use tambour_actors::log::contract::deed;

use proptest::collection::vec;

use super::*;

/// Looks at everything and trims what is found, until nothing is. What was found, in that order.
fn trim_all(store: &SqliteStore, keeps: Keeps, now_ms: i64) -> Vec<(String, Range<u64>)> {
    let (mut after, mut found) = (LogId(0), Vec::new());
    loop {
        let overdue = wait(store.overdue(after, keeps, now_ms)).unwrap();
        for (key, log, gone) in overdue.logs {
            assert!(gone.start < gone.end, "{gone:?}");
            assert_eq!(wait(store.trim(log, gone.end)).unwrap().oldest, gone.end, "the newest is never overdue");
            found.push((key.id().to_owned(), gone));
        }
        match overdue.next {
            _ if overdue.more => {}
            Some(last) => after = last,
            None => return found,
        }
    }
}

fn threads(keep: Keep) -> Keeps {
    Keeps { thread: keep, canvas: Keep::ALL }
}

fn timed(seqs: std::ops::RangeInclusive<u64>, time_ms: i64) -> Arc<[Event]> {
    events(seqs, 10).iter().map(|event| Event { time_ms, ..event.clone() }).collect()
}

#[test]
fn by_count_the_newest_stay() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let log = create(&store, "x").log;
    create(&store, "empty");
    let canvas = TopicKey::new(&key("x").scope(), TopicKind::Canvas, "x").unwrap();
    let canvas = wait(store.create(NewTopic { key: canvas, ..new_topic("x") }, deed())).unwrap().log;
    append(&store, log, events(1..=10, 10)).unwrap();
    append(&store, canvas, events(1..=10, 10)).unwrap();
    let keep = |count_max| Keep { count_max, ..Keep::ALL };
    for count_max in [0, 11, 10] {
        assert_eq!(trim_all(&store, threads(keep(count_max)), 0), []);
    }
    assert_eq!(trim_all(&store, threads(keep(3)), 0), [("x".to_owned(), 1..8)]);
    assert_eq!(wait(store.bounds(canvas)).unwrap().oldest, 1);
    let both = Keeps { thread: keep(1), canvas: keep(9) };
    assert_eq!(trim_all(&store, both, 0), [("x".to_owned(), 8..10), ("x".to_owned(), 1..2)]);
    assert_eq!(trim_all(&store, both, 0), []);
    append(&store, log, events(11..=12, 10)).unwrap();
    assert_eq!(trim_all(&store, both, 0), [("x".to_owned(), 10..12)]);
}

#[test]
fn by_age_what_is_old_goes_and_a_wrong_clock_takes_nothing() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let keeps = threads(Keep { age_ms: 1_000, ..Keep::ALL });
    let log = create(&store, "x").log;
    append(&store, log, timed(1..=3_000, 5_000)).unwrap();
    append(&store, log, timed(3_001..=3_001, 5_500)).unwrap();
    assert_eq!(trim_all(&store, keeps, 6_000), [], "what is as old as it may be stays");
    // More than one look's worth.
    let gone: u64 = trim_all(&store, keeps, 6_001).iter().map(|(_, gone)| gone.end - gone.start).sum();
    assert_eq!((gone, wait(store.bounds(log)).unwrap().oldest), (3_000, 3_001));
    // The newest stays however old.
    assert_eq!(trim_all(&store, keeps, 1_000_000), []);
    let log = create(&store, "y").log;
    append(&store, log, timed(1..=5, 9_000)).unwrap();
    append(&store, log, timed(6..=9, 10)).unwrap();
    append(&store, log, timed(10..=10, 9_100)).unwrap();
    assert_eq!(trim_all(&store, keeps, 9_500), [], "behind a young one nothing is looked at");
    assert_eq!(trim_all(&store, keeps, 10_050), [("y".to_owned(), 1..10)]);
}

#[test]
fn by_bytes_as_much_stays_as_there_is_room_for() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let cases = (vec(0_usize..400, 1..40), vec(0_u64..9_000, 1..4), vec(0_usize..40, 0..3));
    let mut runner = TestRunner::new(Config { failure_persistence: None, cases: 40, ..Config::default() });
    let held = runner.run(&cases, |(sizes, limits, redacted)| {
        let log = create(&store, "x").log;
        let all: Vec<Event> = (1..).zip(&sizes).map(|(seq, size)| events(seq..=seq, *size)[0].clone()).collect();
        append(&store, log, all.clone().into()).unwrap();
        let mut head = all.len() as u64;
        // What was redacted counts as what it was.
        for target in redacted.iter().filter(|place| **place < all.len()) {
            let kind = EventType::redacted();
            let about = Event { kind, target: Some(*target as u64 + 1), ..events(head + 1..=head + 1, 0)[0].clone() };
            append(&store, log, [about].into()).unwrap();
            head += 1;
        }
        let sizes: Vec<u64> =
            (1..=head).map(|seq| all.get(seq as usize - 1).map_or(20, |event| event.size_bytes() as u64)).collect();
        let last = wait(store.read(log, head - 1, ALL)).unwrap().events[0].size_bytes() as u64;
        let size = |seq: u64| if seq > all.len() as u64 { last } else { sizes[seq as usize - 1] };
        for limit in limits {
            let mut oldest = wait(store.bounds(log)).unwrap().oldest;
            // Of the oldest itself nobody knows any more what it was before it was redacted.
            let now = wait(store.read(log, oldest - 1, ALL)).unwrap().events[0].size_bytes() as u64;
            let fits = now + (oldest + 1..=head).map(size).sum::<u64>() <= limit;
            while !fits && oldest < head && limit > 0 && (oldest..=head).map(size).sum::<u64>() > limit {
                oldest += 1;
            }
            trim_all(&store, threads(Keep { bytes_max: limit, ..Keep::ALL }), 0);
            let bounds = wait(store.bounds(log)).unwrap();
            assert_eq!((bounds.oldest, bounds.head), (oldest, head), "{limit} bytes of {sizes:?}");
        }
        assert_eq!(wait(store.delete(&key("x"), deed())), Ok(true));
        Ok(())
    });
    held.unwrap();
}

#[test]
fn every_topic_is_looked_at() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let logs: Vec<LogId> = (0..200).map(|n| create(&store, &format!("x{n}")).log).collect();
    for log in logs.iter().step_by(3) {
        append(&store, *log, events(1..=3, 10)).unwrap();
    }
    assert_eq!(wait(store.delete(&key("x0"), deed())), Ok(true));
    let found = trim_all(&store, threads(Keep { count_max: 1, ..Keep::ALL }), 0);
    let expected: Vec<_> = (3..200).step_by(3).map(|n| (format!("x{n}"), 1..3)).collect();
    assert_eq!(found, expected);
}
