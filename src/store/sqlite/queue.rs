//! A bounded queue between the callers of the store and one of its threads.
//!
//! Whoever pushes never waits: a full, closed or dead queue refuses at once. Whoever takes
//! gets as much as a limit allows. It never looks at what is queued.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// What something queued counts for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weight {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// Something that can be queued.
pub(super) trait Weighted {
    fn weight(&self) -> Weight;

    /// Whether it is so short that it goes before what is not. Where the order is part of the promise nothing is.
    fn is_short(&self) -> bool {
        false
    }
}

/// A queue of at most `calls_max` things with at most `bytes_max` in them.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    calls_max: usize,
    bytes_max: usize,
}

struct State<T> {
    /// What is taken first.
    short: VecDeque<T>,
    waiting: VecDeque<T>,
    bytes: usize,
    /// Why nothing more is accepted.
    refuses: Option<&'static str>,
}

/// What a taker got.
pub(super) enum Taken<T> {
    /// At least one, in the order of the pushes; the short ones before the others.
    Some(Vec<T>),
    /// Nothing came in the time allowed.
    Nothing,
    /// The queue is closed and empty.
    End,
}

impl<T> State<T> {
    fn len(&self) -> usize {
        self.short.len() + self.waiting.len()
    }

    fn first(&self) -> Option<&T> {
        self.short.front().or(self.waiting.front())
    }
}

impl<T: Weighted> Queue<T> {
    pub(super) fn new(calls_max: usize, bytes_max: usize) -> Self {
        let state = State { short: VecDeque::new(), waiting: VecDeque::new(), bytes: 0, refuses: None };
        Self { state: Mutex::new(state), ready: Condvar::new(), calls_max, bytes_max }
    }

    /// Puts `item` at the end, or says why it can't be.
    pub(super) fn push(&self, item: T) -> Result<(), &'static str> {
        let bytes = item.weight().bytes;
        let mut state = self.state.lock();
        if let Some(why) = state.refuses {
            return Err(why);
        }
        // Something larger than the whole queue may still pass when it is alone.
        let full = state.bytes.saturating_add(bytes) > self.bytes_max && state.len() > 0;
        if full || state.len() >= self.calls_max {
            return Err("too much is waiting for the disk");
        }
        state.bytes += bytes;
        let line = if item.is_short() { &mut state.short } else { &mut state.waiting };
        line.push_back(item);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Takes from the front until `limit` is reached, at least one. Waits for the first one: for
    /// ever, or at most for `patience`.
    pub(super) fn take(&self, limit: Weight, patience: Option<Duration>) -> Taken<T> {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut state = self.state.lock();
        while state.len() == 0 {
            if state.refuses.is_some() {
                return Taken::End;
            }
            match until {
                None => self.ready.wait(&mut state),
                Some(until) => {
                    if self.ready.wait_until(&mut state, until).timed_out() && state.len() == 0 {
                        return Taken::Nothing;
                    }
                }
            }
        }
        let mut taken = Vec::new();
        let mut sum = Weight::default();
        while let Some(next) = state.first().map(T::weight) {
            let over = sum.events + next.events > limit.events || sum.bytes + next.bytes > limit.bytes;
            if over && !taken.is_empty() {
                break;
            }
            sum.events += next.events;
            sum.bytes += next.bytes;
            let first = if state.short.is_empty() { state.waiting.pop_front() } else { state.short.pop_front() };
            taken.extend(first);
        }
        state.bytes -= sum.bytes;
        Taken::Some(taken)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.state.lock().len()
    }

    /// Accepts nothing more; what waits is still taken.
    pub(super) fn close(&self) {
        self.state.lock().refuses.get_or_insert("the store is closed");
        self.ready.notify_all();
    }

    /// Accepts nothing more and drops what waits, so that nobody waits for a dead taker.
    pub(super) fn abandon(&self) {
        let dropped = {
            let mut state = self.state.lock();
            state.refuses.get_or_insert("the thread that serves this died; restart the hub");
            state.bytes = 0;
            (std::mem::take(&mut state.short), std::mem::take(&mut state.waiting))
        };
        drop(dropped);
        self.ready.notify_all();
    }
}

/// Tells the queue when the thread ends, however it ends: nobody waits for a dead writer.
pub(super) struct Obituary<'q, T: Weighted>(pub(super) &'q Queue<T>);

impl<T: Weighted> Drop for Obituary<'_, T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its number, and whether it is short.
    #[derive(Debug, PartialEq)]
    struct Thing(u32, bool);

    impl Weighted for Thing {
        fn weight(&self) -> Weight {
            Weight { events: 1, bytes: 10 }
        }

        fn is_short(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn what_is_short_does_not_wait_for_what_is_long() {
        let queue = Queue::new(5, usize::MAX);
        for (number, short) in [(1, false), (2, false), (3, true), (4, false), (5, true)] {
            assert_eq!(queue.push(Thing(number, short)), Ok(()));
        }
        assert!(queue.push(Thing(6, true)).is_err(), "both count");
        let mut taken = Vec::new();
        while queue.len() > 0 {
            let limit = Weight { events: 2, bytes: usize::MAX };
            let Taken::Some(some) = queue.take(limit, None) else { panic!("there is something") };
            assert!(some.len() <= 2);
            taken.extend(some.into_iter().map(|thing| thing.0));
        }
        assert_eq!(taken, [3, 5, 1, 2, 4]);
        queue.close();
        assert!(matches!(queue.take(Weight::default(), None), Taken::End));
    }
}
