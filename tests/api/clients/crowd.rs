//! Readers and publishers at work at once, each on a thread of its own, and what they have to agree on in the end.
//!
//! It starts and stops no hub: tests do, while the crowd is at work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::ledger::Ledger;
use super::publish::{Pen, Quota, Writing, Written, publish};
use super::{Has, Head, Parting, Read, Reading, Way, read};
use crate::support::http::create;

/// Clients of some threads.
pub(crate) struct Crowd {
    threads: Vec<(&'static str, Head)>,
    readers: Vec<(Way, JoinHandle<Read>)>,
    publishers: Vec<(Pen, JoinHandle<Written>)>,
    acknowledged: Arc<AtomicU64>,
}

/// How connections of one way to read or publish ended.
pub(crate) struct Course {
    pub(crate) name: &'static str,
    partings: Vec<Parting>,
}

impl Course {
    /// How many ended so.
    pub(crate) fn count(&self, parting: Parting) -> usize {
        self.partings.iter().filter(|one| **one == parting).count()
    }
}

impl Crowd {
    /// Creates the threads.
    #[track_caller]
    pub(crate) fn new(hub: SocketAddr, threads: &[&'static str]) -> Self {
        threads.iter().for_each(|thread| drop(create(hub, "alice", thread)));
        Self {
            threads: threads.iter().map(|thread| (*thread, Head::unknown())).collect(),
            readers: Vec::new(),
            publishers: Vec::new(),
            acknowledged: Arc::default(),
        }
    }

    /// Reads all threads from their first event to their last.
    pub(crate) fn read(&mut self, way: Way, addr: SocketAddr) {
        for readings in way.share(&self.threads) {
            let sub = format!("reader-{}", self.readers.len());
            self.readers.push((way, std::thread::spawn(move || read(way, addr, &sub, readings))));
        }
    }

    /// Publishes to one of the threads, in turns.
    pub(crate) fn publish(&mut self, pen: Pen, addr: SocketAddr, quota: &Quota) {
        let n = self.publishers.len();
        let writing = Writing::new(self.threads[n % self.threads.len()].0, n, quota, &self.acknowledged);
        self.publishers.push((pen, std::thread::spawn(move || publish(pen, addr, &format!("writer-{n}"), writing))));
    }

    /// How many events were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until everything is written and read. Every event is there once, each publisher's in order and where it was
    /// acknowledged, and every reader has all of them. `hub`: where nothing breaks.
    #[track_caller]
    pub(crate) fn finish(self, hub: SocketAddr) -> Vec<Course> {
        let mut courses = Vec::new();
        let mut written = Vec::new();
        for (pen, publisher) in self.publishers {
            let Written { writing, partings } = publisher.join().expect("a publisher is content");
            written.push(writing);
            courses.push(Course { name: pen.name, partings });
        }
        let ledgers: Vec<(&str, Ledger)> =
            self.threads.iter().map(|(thread, _)| (*thread, Ledger::read(hub, thread))).collect();
        let of = |thread: &str| &ledgers.iter().find(|(name, _)| *name == thread).expect("one of the threads").1;
        written.iter().for_each(|writing| writing.check(of(&writing.thread)));
        for (thread, head) in &self.threads {
            head.is(of(thread).digests.len() as u64);
        }
        for (way, reader) in self.readers {
            let Read { readings, partings } = reader.join().expect("a reader is content");
            for Reading { thread, has, .. } in readings {
                let there = of(&thread);
                match has {
                    Has::All(digests) => {
                        assert!(digests == there.digests, "{}: {thread} is not what is there", way.name);
                    }
                    Has::Folded(stories) => {
                        assert_eq!(stories.difference(&there.stories), None, "{}: {thread}", way.name);
                    }
                }
            }
            courses.push(Course { name: way.name, partings });
        }
        courses
    }
}
