//! A socket in memory, in which the test is the network: it says how many bytes are accepted, what
//! comes in, and when the connection breaks. It never keeps a byte that it did not accept, unless it
//! holds records, as one that encrypts does.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tambour_actors::outlet::socket::Socket;

/// As much as a test ever writes.
pub(crate) const UNLIMITED: usize = usize::MAX;
/// Bytes that the goodbye of a socket with records takes.
const GOODBYE_BYTES: usize = 5;

#[derive(Default)]
struct State {
    out: Vec<u8>,
    room: usize,
    /// Bytes of a record; 0: no records.
    record: usize,
    /// What was accepted of a record and has not gone out.
    held: VecDeque<u8>,
    /// How much of the goodbye has not gone out, once it was said.
    goodbye: Option<usize>,
    input: VecDeque<u8>,
    input_ends: bool,
    broken: bool,
    bomb: bool,
    /// The first write in which this is stands still until the test lets it go on.
    still: Option<(&'static [u8], Receiver<()>)>,
    reading: Option<Waker>,
    writing: Option<Waker>,
    finished: bool,
    abandoned: bool,
    closed: bool,
    writes: usize,
}

impl State {
    fn wake(&mut self) {
        self.reading.take().into_iter().chain(self.writing.take()).for_each(Waker::wake);
    }

    /// Uses room for so many bytes at most; how many.
    fn leave(&mut self, bytes: usize) -> usize {
        let leaving = bytes.min(self.room);
        if self.room != UNLIMITED {
            self.room -= leaving;
        }
        leaving
    }

    /// Lets go out what is held.
    fn flush(&mut self) {
        let leaving = self.leave(self.held.len());
        self.out.extend(self.held.drain(..leaving));
        if let Some(left) = self.goodbye {
            self.goodbye = Some(left - self.leave(left));
            self.finished = self.goodbye == Some(0) && self.held.is_empty();
        }
    }

    fn unsent(&self) -> usize {
        self.held.len() + self.goodbye.unwrap_or(0)
    }

    /// Takes record by record, up to the first that does not go out whole.
    fn write_records(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush();
        if self.unsent() > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut taken = 0;
        for record in all.chunks(self.record) {
            taken += record.len();
            self.held.extend(record);
            self.flush();
            if !self.held.is_empty() {
                break;
            }
        }
        Ok(taken)
    }
}

/// The network's end of a socket.
#[derive(Clone, Default)]
pub(crate) struct Net(Arc<Mutex<State>>);

/// The hub's end.
pub(crate) struct TestSocket(Net);

impl Net {
    /// A connection that accepts `room` bytes before it is full.
    pub(crate) fn new(room: usize) -> Self {
        let net = Self::default();
        net.0.lock().room = room;
        net
    }

    pub(crate) fn socket(&self) -> TestSocket {
        TestSocket(self.clone())
    }

    /// What was accepted from `offset` on.
    pub(crate) fn accepted(&self, offset: usize) -> Vec<u8> {
        self.0.lock().out[offset..].to_vec()
    }

    /// Accepts `bytes` more from now on, and wakes whoever waits for that.
    pub(crate) fn make_room(&self, bytes: usize) {
        let mut state = self.0.lock();
        state.room = state.room.saturating_add(bytes);
        state.wake();
    }

    /// From now on the socket accepts whole records of so many bytes, and holds what does not go out of one.
    pub(crate) fn hold_records(&self, bytes: usize) {
        self.0.lock().record = bytes;
    }

    /// Whether something was accepted that has not gone out.
    pub(crate) fn holds(&self) -> bool {
        self.0.lock().unsent() > 0
    }

    /// Accepts nothing any more.
    pub(crate) fn stall(&self) {
        self.0.lock().room = 0;
    }

    /// The client sends.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let mut state = self.0.lock();
        state.input.extend(bytes);
        state.wake();
    }

    /// The client has said all it had to say.
    pub(crate) fn end_input(&self) {
        let mut state = self.0.lock();
        state.input_ends = true;
        state.wake();
    }

    /// The connection is reset: as with TCP, both directions are ready and both fail.
    pub(crate) fn reset(&self) {
        let mut state = self.0.lock();
        state.broken = true;
        state.wake();
    }

    /// The next write panics.
    pub(crate) fn arm_bomb(&self) {
        self.0.lock().bomb = true;
    }

    /// The first write in which this is, and the thread of its session with it, stands still until what is returned is
    /// dropped.
    pub(crate) fn stand_still_at(&self, bytes: &'static [u8]) -> Sender<()> {
        let (go_on, wait) = mpsc::channel();
        self.0.lock().still = Some((bytes, wait));
        go_on
    }

    /// The hub said that nothing more follows.
    pub(crate) fn finished(&self) -> bool {
        self.0.lock().finished
    }

    /// The hub gave up what was not sent.
    pub(crate) fn abandoned(&self) -> bool {
        self.0.lock().abandoned
    }

    /// The hub closed the socket.
    pub(crate) fn closed(&self) -> bool {
        self.0.lock().closed
    }

    /// How many writes were tried.
    pub(crate) fn writes(&self) -> usize {
        self.0.lock().writes
    }
}

impl Socket for TestSocket {
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let is_in = |bytes: &[u8]| slices.iter().any(|slice| slice.windows(bytes.len()).any(|part| part == bytes));
        let still = self.0.0.lock().still.take_if(|(bytes, _)| is_in(bytes));
        if let Some((_, wait)) = still {
            let _ = wait.recv();
        }
        let mut state = self.0.0.lock();
        state.writes += 1;
        assert!(!std::mem::take(&mut state.bomb), "{}", super::hub::BOMB);
        if state.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if state.record > 0 {
            return state.write_records(slices);
        }
        let before = state.room;
        for slice in slices {
            let taken = state.leave(slice.len());
            state.out.extend_from_slice(&slice[..taken]);
        }
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        match wanted.min(before) {
            0 if wanted > 0 => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    fn unsent(&self) -> usize {
        self.0.0.lock().unsent()
    }

    fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.0.lock();
        if state.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if state.input.is_empty() && !state.input_ends {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = into.len().min(state.input.len());
        for (place, byte) in into.iter_mut().zip(state.input.drain(..taken)) {
            *place = byte;
        }
        Ok(taken)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.0.lock();
        if state.broken || state.input_ends || !state.input.is_empty() {
            return Poll::Ready(Ok(()));
        }
        state.reading = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.0.lock();
        if state.broken || state.room > 0 {
            return Poll::Ready(Ok(()));
        }
        state.writing = Some(cx.waker().clone());
        Poll::Pending
    }

    fn finish(&mut self) {
        let mut state = self.0.0.lock();
        if state.record == 0 {
            state.finished = true;
        } else if !state.finished {
            state.goodbye.get_or_insert(GOODBYE_BYTES);
            state.flush();
        }
    }

    fn abandon(&mut self) {
        self.0.0.lock().abandoned = true;
    }
}

impl Drop for TestSocket {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.closed = true;
        // Like a runtime's driver: whoever waits for a socket that is gone is not woken.
        (state.reading, state.writing) = (None, None);
    }
}
