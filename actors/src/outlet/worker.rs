//! A worker: what one thread's sessions and outlet share.
//!
//! Lines live here so that an outlet can write to a socket that its session reads from. Both
//! run on the same thread and never at the same time; nobody keeps a borrow across a message.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use actix::Addr;
use slab::Slab;

use super::Outlet;
use super::line::Line;
use crate::directory::Directory;
use crate::topic::messages::LineId;

/// What a thread shares.
pub struct Worker {
    /// Which worker.
    pub index: usize,
    /// Finds topics.
    pub directory: Directory,
    pub(super) lines: RefCell<Slab<Line>>,
    pub(super) outlet: RefCell<Option<Addr<Outlet>>>,
    pub(super) lives: Cell<u32>,
    /// Set when the hub drains: what a session that begins only now is told to wait.
    pub(super) come_back_ms: Cell<Option<u64>>,
    turns: Cell<u32>,
    began: Instant,
    scratch: RefCell<Box<[u8]>>,
}

/// Most bytes of one read from a socket.
const SCRATCH_BYTES: usize = 64 * 1024;

impl Worker {
    /// A worker without an outlet; [`super::start`] gives it one.
    #[must_use]
    pub fn new(index: usize, directory: Directory) -> Rc<Self> {
        Rc::new(Self {
            index,
            directory,
            lines: RefCell::default(),
            outlet: RefCell::default(),
            lives: Cell::new(0),
            come_back_ms: Cell::new(None),
            turns: Cell::new(0),
            began: Instant::now(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
        })
    }

    /// Milliseconds since the worker began.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How many lines there are.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines.borrow().len()
    }

    /// Adds a line.
    pub fn add(&self, make: impl FnOnce(u32, u64) -> Line) -> LineId {
        let turn = self.turns.get().wrapping_add(1);
        self.turns.set(turn);
        let line = make(turn, self.now_ms());
        let slot = self.lines.borrow_mut().insert(line);
        LineId { slot: u32::try_from(slot).expect("fewer sockets than 4 billion"), turn }
    }

    /// When the hub drains, after what time a client that was admitted just before is to come back.
    #[must_use]
    pub fn come_back_ms(&self) -> Option<u64> {
        self.come_back_ms.get()
    }

    /// Removes a line that no outlet knows of.
    pub fn remove(&self, id: LineId) {
        let mut lines = self.lines.borrow_mut();
        if lines.get(id.slot as usize).is_some_and(|line| line.turn == id.turn) {
            lines.remove(id.slot as usize);
        }
    }

    /// Does something with a line, if it is still there.
    pub fn with<T>(&self, id: LineId, act: impl FnOnce(&mut Line) -> T) -> Option<T> {
        self.lines.borrow_mut().get_mut(id.slot as usize).filter(|line| line.turn == id.turn).map(act)
    }

    /// The buffer that all sessions of this thread read into; what is kept is copied out.
    pub fn scratch<T>(&self, act: impl FnOnce(&mut [u8]) -> T) -> T {
        act(&mut self.scratch.borrow_mut())
    }

    /// The outlet that writes for this worker now.
    #[must_use]
    pub fn outlet(&self) -> Option<Addr<Outlet>> {
        self.outlet.borrow().clone()
    }
}
