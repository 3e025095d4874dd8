//! The loop of one thread of readers: read a socket until it is empty, cut what came into
//! pieces, count. Never waits for one socket.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::handshake::{Stage, client_frame, opening, subscribes};
use super::{Command, Gauge, Peer, Plan, Seen, Through};
use crate::cli::bench::BenchError;
use crate::cli::bench::account::Account;
use crate::cli::bench::scan::{self, Piece, Shape, Wire};
use crate::cli::bench::sockets;
use crate::cli::bench::tls::Stream;
use crate::proc_stat::now_ns;

/// The read buffer of a thread: large enough for one read to empty most sockets, small
/// enough to stay in a core's cache.
const SCRATCH_BYTES: usize = 256 * 1024;
/// Connections that may be shaking hands at once in one thread.
const OPENING_MAX: usize = 256;
/// Longest time without a look at the commands.
const TURN: Duration = Duration::from_millis(10);
/// Shortest time between two searches for the slowest reader.
const LOWEST_EVERY_NS: u64 = 200_000;

struct Conn {
    stream: Stream,
    stage: Stage,
    /// The beginning of a piece whose rest has not come.
    carry: Vec<u8>,
}

/// One thread's connections and counts.
pub(super) struct Reading {
    plan: Arc<Plan>,
    gauge: Arc<Gauge>,
    poll: Poll,
    conns: Vec<Conn>,
    /// How many connections are this thread's; their numbers are `part`, `part + threads`, …
    mine: usize,
    part: usize,
    account: Account,
    shape: Shape,
    seen: Seen,
    scratch: Vec<u8>,
    sample_in: u32,
    ready: usize,
    total: u64,
    /// What `total` was when it was last taken.
    taken: u64,
    lowest_at_ns: u64,
}

impl Reading {
    /// A thread without connections.
    pub(super) fn new(plan: Arc<Plan>, part: usize, gauge: Arc<Gauge>) -> Result<Self, BenchError> {
        let mine = (plan.connections + plan.threads - 1 - part) / plan.threads;
        let base = if let Peer::Floor(base) = plan.peer { base } else { 0 };
        Ok(Self {
            poll: Poll::new()?,
            conns: Vec::with_capacity(mine),
            mine,
            part,
            account: Account::new(mine * plan.topics_per_socket, base),
            // The floor writes the events of threads, as long as those of the hub.
            shape: match (&plan.peer, plan.through) {
                (Peer::Hub(_), Through::Feed) => Shape::of_feed(plan.wire),
                _ => Shape::new(plan.wire),
            },
            seen: Seen::default(),
            scratch: vec![0; SCRATCH_BYTES],
            sample_in: 1,
            ready: 0,
            total: 0,
            taken: 0,
            lowest_at_ns: 0,
            plan,
            gauge,
        })
    }

    /// Connects, then reads until the commands' sender is dropped.
    pub(super) fn run(mut self, commands: &Receiver<Command>) -> Result<(), BenchError> {
        let mut events = Events::with_capacity(1024);
        loop {
            while self.conns.len() < self.mine && self.conns.len() - self.ready < OPENING_MAX {
                self.open()?;
            }
            self.turn(&mut events)?;
            match commands.try_recv() {
                Ok(Command::Subscribe) => self.subscribe_all()?,
                Ok(Command::Take(reached, answer)) => {
                    // The asker may have given up, which is its own affair.
                    let _ = answer.send(self.take(&reached));
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn number(&self, index: usize) -> usize {
        self.part + index * self.plan.threads
    }

    fn open(&mut self) -> Result<(), BenchError> {
        let index = self.conns.len();
        let number = self.number(index);
        let mut stream = sockets::connect_nonblocking(self.plan.addr)?;
        if self.plan.wire == Wire::Sse {
            self.seen.first_subscribe_ns.get_or_insert_with(now_ns);
        }
        stream.write_all(&opening(&self.plan, number))?;
        let stage = if matches!(self.plan.peer, Peer::Floor(_)) { Stage::Live } else { Stage::Head };
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        self.conns.push(Conn { stream, stage, carry: Vec::new() });
        if stage == Stage::Live {
            self.became_ready();
        }
        Ok(())
    }

    fn became_ready(&mut self) {
        self.ready += 1;
        self.gauge.ready.store(self.ready as u64, Ordering::Release);
    }

    fn turn(&mut self, events: &mut Events) -> Result<(), BenchError> {
        match self.poll.poll(events, Some(TURN)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        for event in &*events {
            self.read(event.token().0, event.is_read_closed(), &mut scratch)?;
        }
        self.scratch = scratch;
        self.total += std::mem::take(&mut self.account.delivered);
        self.gauge.delivered.store(self.total, Ordering::Release);
        let now = now_ns();
        if self.plan.topics == 1 && now > self.lowest_at_ns + LOWEST_EVERY_NS {
            self.lowest_at_ns = now;
            self.gauge.lowest.store(self.account.lowest(), Ordering::Release);
        }
        Ok(())
    }

    /// Reads a socket until it is empty. A read that does not fill the buffer has emptied it,
    /// so that there is no second system call to learn this, unless the end of the stream is next.
    fn read(&mut self, index: usize, closed: bool, scratch: &mut [u8]) -> Result<(), BenchError> {
        loop {
            let conn = &mut self.conns[index];
            let held = conn.carry.len();
            match conn.stream.read(&mut scratch[held..]) {
                Ok(0) => {
                    self.ended(index, "end of stream");
                    return Ok(());
                }
                Ok(count) => {
                    scratch[..held].copy_from_slice(&conn.carry);
                    conn.carry.clear();
                    let filled = held + count;
                    let used = self.consume(index, &scratch[..filled])?;
                    self.conns[index].carry.extend_from_slice(&scratch[used..filled]);
                    if filled < scratch.len() && !closed && self.conns[index].stream.short_is_all() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended(index, &error.to_string());
                    return Ok(());
                }
            }
        }
    }

    fn ended(&mut self, index: usize, why: &str) {
        let conn = &mut self.conns[index];
        if conn.stage != Stage::Ended {
            self.seen.oddity.get_or_insert_with(|| format!("a connection in stage {:?} ended: {why}", conn.stage));
            conn.stage = Stage::Ended;
            self.seen.ended += 1;
        }
    }

    /// Takes all complete pieces; answers how many bytes they were.
    fn consume(&mut self, index: usize, buf: &[u8]) -> Result<usize, BenchError> {
        let now = now_ns();
        let mut used = 0;
        if self.conns[index].stage == Stage::Head {
            let Some(end) = scan::head_end(buf) else { return Ok(0) };
            if !matches!(scan::status(buf), 101 | 200) {
                return Err(BenchError::Refused(String::from_utf8_lossy(buf).into_owned()));
            }
            self.conns[index].stage = Stage::Opening;
            used = end;
        }
        while let Some((piece, bytes)) = scan::next(self.plan.wire, &buf[used..])? {
            match piece {
                Piece::Text(text) => match self.shape.seq(text) {
                    Some(seq) => self.event(index, seq, text, bytes, now)?,
                    None => self.other(index, text)?,
                },
                Piece::Ping(payload) => {
                    let mut pong = Vec::new();
                    client_frame(&mut pong, 0x8a, payload);
                    self.conns[index].stream.write_all(&pong)?;
                }
                Piece::Idle => {}
                Piece::Close(code) => self.ended(index, &format!("close code {code}")),
            }
            used += bytes;
        }
        Ok(used)
    }

    #[inline]
    fn event(&mut self, index: usize, seq: u64, text: &[u8], bytes: usize, now: u64) -> Result<(), BenchError> {
        let width = self.plan.topics_per_socket;
        let mut reader = index * width;
        if width > 1 {
            let first = self.plan.topics_of(self.number(index)).start;
            let topic =
                self.shape.topic(text).and_then(|topic| topic.checked_sub(first)).filter(|place| *place < width);
            reader += topic.ok_or(BenchError::Foreign)?;
        }
        self.account.note(reader, seq);
        self.seen.event_bytes += bytes as u64;
        self.seen.last_delivery_ns = now;
        self.sample_in -= 1;
        if self.sample_in == 0 {
            self.sample_in = self.plan.sample_every;
            if let Some(at) = scan::published_ns(text) {
                self.seen.latency.record(now.saturating_sub(at));
            }
        }
        Ok(())
    }

    #[cold]
    fn other(&mut self, index: usize, text: &[u8]) -> Result<(), BenchError> {
        let starts = |ws: &[u8], sse: &[u8]| text.starts_with(if self.plan.wire == Wire::Ws { ws } else { sse });
        if starts(b"{\"t\":\"welcome\"", b"event: connected\n") {
            if self.plan.wire == Wire::Sse {
                self.conns[index].stage = Stage::Live;
                self.became_ready();
            } else if self.plan.on_command {
                self.conns[index].stage = Stage::Welcomed;
                self.became_ready();
            } else {
                self.subscribe(index)?;
            }
        } else if starts(b"{\"t\":\"subscribed\"", b"\0") {
            if let Stage::Subscribing(left) = self.conns[index].stage {
                self.conns[index].stage = if left > 1 { Stage::Subscribing(left - 1) } else { Stage::Live };
                if left == 1 && !self.plan.on_command {
                    self.became_ready();
                }
            }
        } else if starts(b"{\"t\":\"progress\"", b"retry: ") || starts(b"\0", b"id: ") {
            // Advice for a browser's EventSource, or where a reader of the feed stands.
        } else if starts(b"{\"t\":\"error\"", b"event: refused\n") {
            return Err(BenchError::Refused(String::from_utf8_lossy(text).into_owned()));
        } else {
            self.seen.oddity.get_or_insert_with(|| format!("unexpected: {}", String::from_utf8_lossy(text)));
        }
        Ok(())
    }

    fn subscribe(&mut self, index: usize) -> Result<(), BenchError> {
        let frames = subscribes(&self.plan, self.number(index));
        self.seen.first_subscribe_ns.get_or_insert_with(now_ns);
        let topics = self.plan.topics_of(self.number(index)).len();
        let conn = &mut self.conns[index];
        conn.stage = Stage::Subscribing(u16::try_from(topics).unwrap_or(u16::MAX));
        conn.stream.write_all(&frames)?;
        Ok(())
    }

    fn subscribe_all(&mut self) -> Result<(), BenchError> {
        for index in 0..self.conns.len() {
            self.subscribe(index)?;
        }
        Ok(())
    }

    fn take(&mut self, reached: &[u64]) -> Seen {
        let (plan, width) = (&self.plan, self.plan.topics_per_socket);
        let lost = self.account.lost(|reader| {
            let topic = plan.topics_of(self.part + reader / width * plan.threads).start + reader % width;
            reached.get(topic).copied().unwrap_or_default()
        });
        let mut seen = std::mem::take(&mut self.seen);
        seen.lost = lost;
        (seen.duplicated, seen.out_of_order) = (self.account.duplicated, self.account.out_of_order);
        seen.deliveries = self.total - self.taken;
        self.taken = self.total;
        self.seen.ended = seen.ended;
        self.account.reset_counts();
        seen
    }
}
