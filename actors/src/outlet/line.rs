//! A line: the socket of one session, as its outlet writes to it and its session reads from it.
//!
//! A line has cursors, never a queue: what it keeps is the rest of a frame that was cut, and the
//! hub's own small frames behind it. It never knows what the bytes mean.

use std::io::{self, IoSlice};

use actix::Recipient;

use super::messages::ToSession;
use super::own::Own;
use super::socket::Socket;
use crate::event::Seq;
use crate::frame::Wire;
use crate::topic::messages::Fold;

/// The timing of sessions, the same for all that begin under the same settings.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between WebSocket pings; a peer that gave no sign of life for two of them is cut.
    pub ws_ping_ms: u32,
    /// Between SSE comments.
    pub sse_comment_ms: u32,
    /// A reader that accepts nothing for so long is cut.
    pub stall_ms: u32,
}

impl Pace {
    /// Between two beats of what a client speaks.
    #[must_use]
    pub fn beat_ms(&self, wire: Wire) -> u32 {
        match wire {
            Wire::Ws => self.ws_ping_ms,
            Wire::Sse | Wire::SseUnnamed => self.sse_comment_ms,
        }
    }
}

/// One subscription of a line.
#[derive(Debug, Clone, Copy)]
pub struct Sub {
    /// The outlet's slot of the topic.
    pub topic: u32,
    /// The place among the readers of that slot.
    pub reader: u32,
    /// Which subscription of its session.
    pub ticket: u32,
    /// Every event up to here was written, or begun.
    pub cursor: Seq,
    /// Whether events may be written: the session has told the client where it starts.
    pub live: bool,
    /// How replays come.
    pub fold: Fold,
}

impl Sub {
    /// Its place in the composite id of its line: those are subscribed to first, in order.
    #[must_use]
    pub fn place(&self) -> Option<usize> {
        self.ticket.checked_sub(1).map(|place| place as usize)
    }
}

/// The socket of a session.
pub struct Line {
    /// Counts the uses of the slot.
    pub turn: u32,
    /// What the client speaks.
    pub wire: Wire,
    /// Set when the socket was full, also when all was accepted and some waits in it; nothing is written until it
    /// drained.
    pub blocked: bool,
    /// Set when the connection is gone or is being ended: no events any more.
    pub dead: bool,
    /// The topic slot for which a replay is under way.
    pub replaying: Option<u32>,
    /// Where to look first for a subscription that is behind.
    pub next: u32,
    /// When the peer last accepted a byte, or the line had nothing for it; worker time in ms.
    pub accepted_ms: u64,
    /// When the peer last sent a byte.
    pub heard_ms: u64,
    /// When the last ping or comment was written.
    pub beat_ms: u64,
    /// Between two of them.
    pub every_ms: u32,
    /// How long the peer may accept nothing.
    pub stall_ms: u32,
    /// When the session wants to be woken; `u64::MAX`: never.
    pub alarm_ms: u64,
    /// The subscriptions.
    pub subs: Vec<Sub>,
    /// Of a stream of several topics, or of the feed.
    pub own: Option<Box<Own>>,
    session: Recipient<ToSession>,
    socket: Box<dyn Socket>,
    rest: Vec<u8>,
}

impl Line {
    /// A line that begins now.
    #[must_use]
    pub fn new(
        socket: Box<dyn Socket>,
        wire: Wire,
        pace: Pace,
        session: Recipient<ToSession>,
        turn: u32,
        now_ms: u64,
    ) -> Self {
        Self {
            turn,
            wire,
            blocked: false,
            dead: false,
            replaying: None,
            next: 0,
            accepted_ms: now_ms,
            heard_ms: now_ms,
            beat_ms: now_ms,
            every_ms: pace.beat_ms(wire),
            stall_ms: pace.stall_ms,
            alarm_ms: u64::MAX,
            subs: Vec::new(),
            own: None,
            session,
            socket,
            rest: Vec::new(),
        }
    }

    /// The socket, for its session to read.
    pub fn socket(&mut self) -> &mut dyn Socket {
        &mut *self.socket
    }

    /// Tells the session something.
    pub fn tell(&self, message: ToSession) {
        self.session.do_send(message);
    }

    /// Bytes that wait behind a full socket.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.rest.len()
    }

    /// Moves a subscription to a place of its topic, and the line's id with it.
    pub fn stand(&mut self, index: usize, cursor: Seq) {
        let sub = &mut self.subs[index];
        sub.cursor = cursor;
        let place = sub.place();
        if let (Some(id), Some(place)) = (self.composite_mut(), place) {
            id.advance(place, cursor);
        }
    }

    /// Whether a new frame can be written now.
    #[must_use]
    pub fn open(&self) -> bool {
        !self.blocked && !self.dead
    }

    /// Writes slices; returns how much was accepted. A socket that took less than all, or could not send what it
    /// took, is blocked from then on, and its session watches for it to drain.
    pub fn write(&mut self, slices: &[IoSlice<'_>], bytes: usize, now_ms: u64) -> usize {
        debug_assert!(self.open() && self.rest.is_empty());
        let accepted = match self.socket.try_write(slices) {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock || error.kind() == io::ErrorKind::Interrupted => 0,
            Err(_) => {
                self.dead = true;
                self.tell(ToSession::Broken);
                return 0;
            }
        };
        // Until now the line had nothing that waited, so the peer's time to accept something begins here.
        self.accepted_ms = now_ms;
        if accepted < bytes || self.socket.unsent() > 0 {
            self.blocked = true;
            self.tell(ToSession::Blocked);
        }
        accepted
    }

    /// Keeps a copy of the rest of a cut frame: a slice would pin the buffer that all readers share.
    pub fn keep(&mut self, rest: &[u8]) {
        debug_assert!(self.blocked || rest.is_empty());
        self.rest.extend_from_slice(rest);
    }

    /// Writes one of the hub's own frames, or keeps it behind what waits.
    pub fn control(&mut self, frame: &[u8], now_ms: u64) {
        self.queue(frame);
        self.flush(now_ms);
    }

    /// Keeps one of the hub's own frames for the next [flush](Self::flush), so that many answers of one turn are
    /// one write.
    pub fn queue(&mut self, frame: &[u8]) {
        if !self.dead {
            self.rest.extend_from_slice(frame);
        }
    }

    /// Writes what was queued. Whoever writes events flushes first, so nothing overtakes.
    pub fn flush(&mut self, now_ms: u64) {
        if !self.open() || self.rest.is_empty() {
            return;
        }
        let queued = std::mem::take(&mut self.rest);
        let accepted = self.write(&[IoSlice::new(&queued)], queued.len(), now_ms);
        if !self.dead {
            self.rest.extend_from_slice(&queued[accepted..]);
        }
    }

    /// Stops a subscription at once and for good, before its outlet has taken it away: no ticket is 0, so a
    /// [`Go`](super::messages::FromSession::Go) that is on its way does not find it any more.
    pub fn mute(&mut self, ticket: u32) {
        for sub in self.subs.iter_mut().filter(|sub| sub.ticket == ticket) {
            (sub.live, sub.ticket) = (false, 0);
        }
    }

    /// Tells the peer that nothing follows. `true`: it is told, and all that waited is sent. `false`: the line is
    /// blocked, and this is to be called again when it has drained.
    pub fn finish(&mut self) -> bool {
        if !self.blocked {
            self.socket.finish();
            self.blocked = self.socket.unsent() > 0;
        }
        !self.blocked
    }

    /// The socket has room: writes what waits, here and in the socket. `true`: nothing waits any more.
    ///
    /// # Errors
    /// The connection is gone: such a socket is ready for ever.
    pub fn drain(&mut self, now_ms: u64) -> io::Result<bool> {
        loop {
            let unsent = self.socket.unsent();
            if self.rest.is_empty() && unsent == 0 {
                break;
            }
            match self.socket.try_write(&[IoSlice::new(&self.rest)]) {
                Ok(0) if !self.rest.is_empty() => {
                    self.dead = true;
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Ok(accepted) => {
                    self.accepted_ms = now_ms;
                    self.rest.drain(..accepted);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Part of what was encrypted may have gone: its reader has accepted something.
                    if self.socket.unsent() < unsent {
                        self.accepted_ms = now_ms;
                    }
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.dead = true;
                    return Err(error);
                }
            }
        }
        self.rest = Vec::new();
        self.blocked = false;
        self.accepted_ms = now_ms;
        Ok(true)
    }
}
