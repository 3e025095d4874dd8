//! One WS session that publishes: paced in ticks, or as fast as a window allows. Puts the
//! clock into every event, counts acks and how long each took. Never reads events.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::histogram::Histogram;
use super::readers::handshake::client_frame;
use super::scan::{self, AT_BASE, AT_DIGITS, Piece, Wire, topic_id};
use super::tls::Stream;
use super::{BenchError, ENV, TENANT};
use crate::proc_stat::now_ns;

/// How long the session waits for an ack that does not come.
const ACK_PATIENCE_NS: u64 = 10_000_000_000;
/// Longest sleep in a full-speed phase without a look at the slowest reader.
const LOOK: Duration = Duration::from_millis(1);
const SCRATCH_BYTES: usize = 64 * 1024;

/// `{"at":…,"pad":"…"}` of exactly `bytes` bytes, if that is enough for the clock at all.
pub(crate) fn data(bytes: usize) -> String {
    let bare = format!(r#"{{"at":{AT_BASE}}}"#);
    let padded = bare.len() + r#","pad":"""#.len();
    if bytes < padded { bare } else { format!(r#"{{"at":{AT_BASE},"pad":"{}"}}"#, "x".repeat(bytes - padded)) }
}

/// A publishing session.
pub(crate) struct Publisher {
    stream: Stream,
    poll: Poll,
    events: Events,
    /// A publish frame whose topic and clock are overwritten in every copy.
    template: Vec<u8>,
    topic_at: usize,
    clock_at: usize,
    out: Vec<u8>,
    written: usize,
    carry: Vec<u8>,
    /// When the publishes without an ack were made.
    unacked: VecDeque<u64>,
    welcomed: bool,
    /// Events published to each topic.
    pub(crate) sent: Vec<u64>,
    total: u64,
    /// Publish to ack.
    pub(crate) acks: Histogram,
}

impl Publisher {
    /// Connects and waits for `welcome`.
    ///
    /// # Errors
    /// When the hub refuses.
    pub(crate) fn connect(addr: SocketAddr, token: &str, topics: usize, bytes: usize) -> Result<Self, BenchError> {
        let socket = std::net::TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        let mut stream = Stream::over(socket)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut stream, Token(0), Interest::READABLE | Interest::WRITABLE)?;
        write!(
            stream,
            "GET /v1/ws HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\nX-Tenant-Id: {TENANT}\r\nX-Env: {ENV}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGFtYm91ci1iZW5jaC1rZQ==\r\n\
             Sec-WebSocket-Protocol: tambour.v1\r\n\r\n"
        )?;
        let mut publisher = Self::new(stream, poll, topics, bytes);
        let deadline = now_ns() + ACK_PATIENCE_NS;
        while !publisher.welcomed {
            publisher.turn(Some(Duration::from_millis(100)))?;
            if now_ns() > deadline {
                return Err(BenchError::Late("welcome to the publisher".into()));
            }
        }
        Ok(publisher)
    }

    fn new(stream: Stream, poll: Poll, topics: usize, bytes: usize) -> Self {
        let text =
            format!(r#"{{"t":"publish","topic":"thread/{}","type":"bench","data":{}}}"#, topic_id(0), data(bytes));
        let mut template = Vec::new();
        client_frame(&mut template, 0x81, text.as_bytes());
        let place = |mark: &[u8]| memchr::memmem::find(&template, mark).map_or(0, |at| at + mark.len());
        let (topic_at, clock_at) = (place(b"thread/b"), place(b"\"at\":"));
        Self {
            stream,
            poll,
            events: Events::with_capacity(8),
            template,
            topic_at,
            clock_at,
            out: Vec::new(),
            written: 0,
            carry: Vec::new(),
            unacked: VecDeque::new(),
            welcomed: false,
            sent: vec![0; topics],
            total: 0,
            acks: Histogram::default(),
        }
    }

    /// Publishes `per_tick` events at the start of each tick, their topics in turn by `pick`
    /// of the event's number, and waits for all acks.
    ///
    /// # Errors
    /// When a publish is refused or an ack does not come.
    pub(crate) fn paced(&mut self, pace: Pace, pick: impl Fn(u64) -> usize) -> Result<(), BenchError> {
        let start = now_ns();
        let first = self.total;
        for tick in 0..pace.ticks() {
            let due = start + tick * pace.tick_ns;
            while let Some(left) = due.checked_sub(now_ns()).filter(|left| *left > 0) {
                // The event loop sleeps in whole milliseconds; what remains is slept exactly.
                let whole = Duration::from_millis(left / 1_000_000);
                if whole.is_zero() {
                    std::thread::sleep(Duration::from_nanos(left));
                }
                self.turn(Some(whole))?;
            }
            while self.total - first < pace.events_by(tick) {
                self.push(pick(self.total));
            }
            self.flush()?;
        }
        self.drain()
    }

    /// Publishes to the first topic for `seconds`, whenever less than `window` events are
    /// published and not yet seen by the slowest reader, and waits for all acks.
    ///
    /// # Errors
    /// When a publish is refused or an ack does not come.
    pub(crate) fn full(&mut self, window: u64, seconds: f64, lowest: impl Fn() -> u64) -> Result<(), BenchError> {
        let end = now_ns() + (seconds * 1e9) as u64;
        while now_ns() < end {
            let seen = lowest();
            while self.total < seen.saturating_add(window) {
                self.push(0);
            }
            self.flush()?;
            self.turn(Some(LOOK))?;
        }
        self.drain()
    }

    fn push(&mut self, topic: usize) {
        let at = self.out.len();
        self.out.extend_from_slice(&self.template);
        let now = now_ns();
        write_digits(&mut self.out[at + self.topic_at..], topic as u64, 7);
        write_digits(&mut self.out[at + self.clock_at..], AT_BASE + now, AT_DIGITS);
        self.unacked.push_back(now);
        self.sent[topic] += 1;
        self.total += 1;
    }

    fn drain(&mut self) -> Result<(), BenchError> {
        let mut deadline = now_ns() + ACK_PATIENCE_NS;
        let mut left = self.unacked.len();
        while !self.unacked.is_empty() {
            self.flush()?;
            self.turn(Some(LOOK))?;
            if self.unacked.len() < left {
                (left, deadline) = (self.unacked.len(), now_ns() + ACK_PATIENCE_NS);
            }
            if now_ns() > deadline {
                return Err(BenchError::Late(format!("{left} acks")));
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BenchError> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    fn turn(&mut self, timeout: Option<Duration>) -> Result<(), BenchError> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        if self.events.is_empty() {
            return Ok(());
        }
        self.flush()?;
        let mut chunk = [0; SCRATCH_BYTES];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(BenchError::Refused("the hub ended the publisher's session".into())),
                Ok(count) => {
                    self.carry.extend_from_slice(&chunk[..count]);
                    self.consume()?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn consume(&mut self) -> Result<(), BenchError> {
        let carry = std::mem::take(&mut self.carry);
        let mut used = 0;
        if carry.starts_with(b"HTTP/") {
            let Some(end) = scan::head_end(&carry) else {
                self.carry = carry;
                return Ok(());
            };
            if scan::status(&carry) != 101 {
                return Err(BenchError::Refused(String::from_utf8_lossy(&carry).into_owned()));
            }
            used = end;
        }
        let now = now_ns();
        while let Some((piece, bytes)) = scan::next(Wire::Ws, &carry[used..])? {
            match piece {
                Piece::Text(text) if text.starts_with(b"{\"t\":\"published\"") => {
                    let sent = self.unacked.pop_front().ok_or_else(|| BenchError::Refused("an ack too many".into()))?;
                    self.acks.record(now - sent);
                }
                Piece::Text(text) if text.starts_with(b"{\"t\":\"welcome\"") => self.welcomed = true,
                Piece::Ping(payload) => client_frame(&mut self.out, 0x8a, payload),
                Piece::Text(other) => return Err(BenchError::Refused(String::from_utf8_lossy(other).into_owned())),
                Piece::Close(code) => return Err(BenchError::Refused(format!("close code {code}"))),
                Piece::Idle => {}
            }
            used += bytes;
        }
        self.carry = carry;
        self.carry.drain(..used);
        Ok(())
    }
}

/// Overwrites the first `digits` bytes with a number, zeros in front.
pub(crate) fn write_digits(text: &mut [u8], mut number: u64, digits: usize) {
    for place in text[..digits].iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// So many events a second, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Events a second.
    pub(crate) rate: f64,
    /// Length of a tick.
    pub(crate) tick_ns: u64,
    /// How long.
    pub(crate) seconds: f64,
}

impl Pace {
    /// One event a tick.
    pub(crate) fn single(rate: f64, seconds: f64) -> Self {
        Self { rate, tick_ns: (1e9 / rate) as u64, seconds }
    }

    /// How many ticks.
    pub(crate) fn ticks(&self) -> u64 {
        (self.seconds * 1e9 / self.tick_ns as f64).round() as u64
    }

    /// How many events there are when the `tick`th tick (from 0) is over.
    pub(crate) fn events_by(&self, tick: u64) -> u64 {
        ((tick + 1) as f64 * self.tick_ns as f64 * self.rate / 1e9).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_has_its_size() {
        for bytes in [40, 128, 256, 4096] {
            assert_eq!(data(bytes).len(), bytes);
        }
        assert_eq!(data(1).len(), data(25).len());
        assert_eq!(scan::published_ns(data(128).as_bytes()), Some(0));
    }

    #[test]
    fn digits() {
        let mut text = *b"....:";
        write_digits(&mut text, 42, 4);
        assert_eq!(&text, b"0042:");
    }

    #[test]
    fn a_pace_gives_its_rate() {
        for (pace, ticks, events) in [
            (Pace::single(30.0, 10.0), 300, 300),
            (Pace { rate: 3_000.0, tick_ns: 5_000_000, seconds: 2.0 }, 400, 6_000),
            (Pace { rate: 100.0, tick_ns: 3_000_000, seconds: 3.0 }, 1_000, 300),
        ] {
            assert_eq!((pace.ticks(), pace.events_by(pace.ticks() - 1)), (ticks, events));
            assert!(pace.events_by(0) <= events / ticks + 1);
        }
    }
}
