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
}

/// A queue of at most `calls_max` things with at most `bytes_max` in them.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    calls_max: usize,
    bytes_max: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    bytes: usize,
    /// Why nothing more is accepted.
    refuses: Option<&'static str>,
}

/// What a taker got.
pub(super) enum Taken<T> {
    /// At least one, in the order of the pushes.
    Some(Vec<T>),
    /// Nothing came in the time allowed.
    Nothing,
    /// The queue is closed and empty.
    End,
}

impl<T: Weighted> Queue<T> {
    pub(super) fn new(calls_max: usize, bytes_max: usize) -> Self {
        let state = State { waiting: VecDeque::new(), bytes: 0, refuses: None };
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
        let full = state.bytes.saturating_add(bytes) > self.bytes_max && !state.waiting.is_empty();
        if full || state.waiting.len() >= self.calls_max {
            return Err("too much is waiting for the disk");
        }
        state.bytes += bytes;
        state.waiting.push_back(item);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Takes from the front until `limit` is reached, at least one. Waits for the first one: for
    /// ever, or at most for `patience`.
    pub(super) fn take(&self, limit: Weight, patience: Option<Duration>) -> Taken<T> {
        let until = patience.map(|patience| Instant::now() + patience);
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.refuses.is_some() {
                return Taken::End;
            }
            match until {
                None => self.ready.wait(&mut state),
                Some(until) => {
                    if self.ready.wait_until(&mut state, until).timed_out() && state.waiting.is_empty() {
                        return Taken::Nothing;
                    }
                }
            }
        }
        let mut taken = Vec::new();
        let mut sum = Weight::default();
        while let Some(next) = state.waiting.front().map(T::weight) {
            let over = sum.events + next.events > limit.events || sum.bytes + next.bytes > limit.bytes;
            if over && !taken.is_empty() {
                break;
            }
            sum.events += next.events;
            sum.bytes += next.bytes;
            taken.extend(state.waiting.pop_front());
        }
        state.bytes -= sum.bytes;
        Taken::Some(taken)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.state.lock().waiting.len()
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
            std::mem::take(&mut state.waiting)
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
