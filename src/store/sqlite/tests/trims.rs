//! Trims in the file: in slices beside writers, and the room that they make is used again.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn pages(dir: &TempDir) -> i64 {
    raw(dir).pragma_query_value(None, "page_count", |row| row.get(0)).unwrap()
}

#[test]
fn room_that_was_made_is_used_again() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let logs: Vec<LogId> = (0..4).map(|n| create(&store, &format!("x{n}")).log).collect();
    let mut largest = Vec::new();
    for round in 0..6 {
        for step in 0..10 {
            // Interleaved, so that each page has events of all.
            let first = round * 500 + step * 50 + 1;
            logs.iter().for_each(|log| append(&store, *log, events(first..=first + 49, 300)).unwrap());
        }
        let head = (round + 1) * 500;
        for log in &logs {
            let bounds = Bounds { oldest: head - 9, head, closed: false };
            assert_eq!(wait(store.trim(*log, head - 9)), Ok(bounds));
        }
        largest.push(pages(&dir));
    }
    assert!(largest[5] <= largest[1] + largest[0] / 10, "{largest:?}");
    for log in logs {
        assert_eq!(wait(store.read(log, 0, ALL)).unwrap().events, *events(2_991..=3_000, 300));
    }
}

#[test]
fn a_trim_comes_to_its_end_under_load() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let (log, busy) = (create(&store, "x").log, create(&store, "busy").log);
    append(&store, log, events(1..=20_000, 50)).unwrap();
    let over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // Something waits for the writer all the time.
            let mut waiting = std::collections::VecDeque::new();
            let mut head = 0;
            while !over.load(Ordering::SeqCst) {
                head += 1;
                let events = events(head..=head, 50);
                waiting.push_back(store.append(vec![Append {
                    log: busy,
                    events,
                    once: Vec::new(),
                    closing: None,
                    class: Class::Ordinary,
                }]));
                if waiting.len() > 100 {
                    assert_eq!(wait(waiting.pop_front().unwrap()), [Ok(())]);
                }
            }
            waiting.into_iter().for_each(|answer| assert_eq!(wait(answer), [Ok(())]));
            head
        });
        assert_eq!(wait(store.trim(log, 19_990)).unwrap().oldest, 19_990);
        over.store(true, Ordering::SeqCst);
        writer.join().unwrap()
    });
    assert_eq!(wait(store.bounds(busy)).unwrap(), Bounds { oldest: 1, head: written, closed: false });
}

#[test]
fn small_trims_share_their_commits() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let logs: Vec<LogId> = (0..200).map(|n| create(&store, &format!("x{n}")).log).collect();
    for log in &logs {
        append(&store, *log, events(1..=5, 10)).unwrap();
    }
    let before = store.stats().commits;
    let trims: Vec<_> = logs.iter().map(|log| store.trim(*log, 4)).collect();
    for trim in trims {
        assert_eq!(wait(trim), Ok(Bounds { oldest: 4, head: 5, closed: false }));
    }
    assert!(store.stats().commits - before < 150, "{} commits", store.stats().commits - before);
}

#[test]
fn a_closed_store_answers_who_waits_for_a_trim() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let log = create(&store, "x").log;
    append(&store, log, events(1..=20_000, 10)).unwrap();
    let turn = store.0.gate.turn();
    let trim = store.trim(log, 20_000);
    std::thread::scope(|scope| {
        scope.spawn(|| store.close());
        drop(turn);
    });
    // It came to its end before, or it did not.
    let _ = wait(trim);
    let bounds = wait(open(&dir).bounds(log)).unwrap();
    assert!((1..=20_000).contains(&bounds.oldest) && bounds.head == 20_000);
}
