//! One reader that replays a long log, at its own pace, as a plain blocking socket; and
//! readers that never read. What that does to others, and to the server's memory.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::account::Account;
use super::http_load::{HttpLoad, post};
use super::publisher::data;
use super::readers::handshake::{opening, subscribes};
use super::readers::{Peer, Plan, Start, Through};
use super::report::Row;
use super::scan::{self, Piece, Shape, Wire};
use super::{BenchError, setup, sockets};
use crate::proc_stat::{Memory, now_ns};

/// Threads that are published to beside a replay; the thread replayed is the one in front.
pub(crate) const TOPICS_BESIDE: usize = 64;
/// Connections that publish beside a replay.
const PUBLISHERS: usize = 64;
/// A replay that gets nothing for so long is over, and incomplete.
const SILENCE: Duration = Duration::from_secs(10);
/// How long stalled readers are left alone before memory is read.
const STALL: Duration = Duration::from_secs(5);
const SCRATCH_BYTES: usize = 256 * 1024;

/// The long log of a running hub.
#[derive(Debug, Clone)]
pub(crate) struct Long {
    /// The hub's address.
    pub(crate) addr: SocketAddr,
    /// The hub's process.
    pub(crate) pid: u32,
    /// A token to read and publish with.
    pub(crate) token: String,
    /// How it is read.
    pub(crate) wire: Wire,
    /// How many events it has.
    pub(crate) events: u64,
    /// Bytes of an event's data.
    pub(crate) bytes: usize,
}

/// What one replay was.
struct Replayed {
    account: Account,
    seconds: f64,
}

impl Replayed {
    fn describe(&self, row: &mut Row, events: u64) {
        row.set("deliveries", self.account.delivered as f64);
        row.set("lost", self.account.lost(|_| events) as f64);
        row.set("duplicated", self.account.duplicated as f64);
        row.set("out_of_order", self.account.out_of_order as f64);
        row.set("deliveries_per_s", self.account.delivered as f64 / self.seconds);
    }
}

impl Long {
    fn plan(&self) -> Plan {
        Plan {
            through: Through::Thread,
            addr: self.addr,
            wire: self.wire,
            peer: Peer::Hub(self.token.clone()),
            connections: 1,
            topics: 1,
            topics_per_socket: 1,
            start: Start::Earliest,
            on_command: false,
            sample_every: 1,
            threads: 1,
        }
    }

    /// Asks for everything from the start. On a WS `subscribe` goes out behind the upgrade's
    /// answer, without waiting for `welcome`.
    fn open(&self) -> Result<TcpStream, BenchError> {
        let plan = self.plan();
        let mut stream = sockets::connect(plan.addr)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.write_all(&opening(&plan, 0))?;
        let mut head = Vec::new();
        while scan::head_end(&head).is_none() {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !matches!(scan::status(&head), 101 | 200) {
            return Err(BenchError::Refused(String::from_utf8_lossy(&head).into_owned()));
        }
        if self.wire == Wire::Ws {
            stream.write_all(&subscribes(&plan, 0))?;
        }
        Ok(stream)
    }

    /// Reads the log to its end, not faster than `per_second` events a second.
    fn read(&self, per_second: f64) -> Result<Replayed, BenchError> {
        let start = now_ns();
        let mut stream = self.open()?;
        let mut account = Account::new(1, 0);
        let mut shape = Shape::new(self.wire);
        let (mut scratch, mut held) = (vec![0; SCRATCH_BYTES], 0);
        while account.delivered < self.events {
            let due = start + (account.delivered as f64 * 1e9 / per_second) as u64;
            std::thread::sleep(Duration::from_nanos(due.saturating_sub(now_ns())));
            let count = match stream.read(&mut scratch[held..]) {
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            let filled = held + count;
            let mut used = 0;
            while let Some((piece, bytes)) = scan::next(self.wire, &scratch[used..filled])? {
                if let Piece::Text(text) = piece
                    && let Some(seq) = shape.seq(text)
                {
                    account.note(0, seq);
                }
                used += bytes;
            }
            scratch.copy_within(used..filled, 0);
            held = filled - used;
        }
        Ok(Replayed { account, seconds: (now_ns() - start) as f64 / 1e9 })
    }
}

/// Publishes while one replay reads at half the speed it has alone.
///
/// # Errors
/// When the hub refuses.
pub(crate) fn beside_publishers(long: &Long, publish_rate: f64) -> Result<Row, BenchError> {
    let alone = long.read(f64::INFINITY)?;
    let speed = alone.account.delivered as f64 / alone.seconds;
    let over = AtomicBool::new(false);
    let (replayed, answers) = std::thread::scope(|scope| {
        let replay = scope.spawn(|| {
            let replayed = long.read(speed / 2.0);
            over.store(true, Ordering::Release);
            replayed
        });
        let answers = publish_until(long, publish_rate, &over);
        (replay.join().unwrap_or(Err(BenchError::ThreadPanicked)), answers)
    });
    let (replayed, answers) = (replayed?, answers?);
    let mut row = Row::new("resume-while-publishing", long.wire.as_str());
    replayed.describe(&mut row, long.events);
    row.set("alone_per_s", speed);
    row.set("rate", publish_rate);
    row.set("acks_per_s", answers.acks_per_s());
    row.latency("ack_p50_ms", answers.latency.percentile(0.5));
    row.latency("ack_p99_ms", answers.latency.percentile(0.99));
    row.latency("ack_max_ms", Some(answers.latency.max()));
    Ok(row)
}

fn publish_until(long: &Long, rate: f64, over: &AtomicBool) -> Result<super::http_load::Answers, BenchError> {
    let addr = long.addr;
    let body = format!(r#"{{"type":"bench","data":{}}}"#, data(long.bytes));
    let mut number = 0;
    HttpLoad::connect(addr, PUBLISHERS)?.drive(Some(rate), |out| {
        let path = setup::events_path(1 + number % TOPICS_BESIDE);
        number += 1;
        let more = !over.load(Ordering::Acquire);
        if more {
            out.extend(post(addr, &long.token, &path, &body));
        }
        more
    })
}

/// The server's memory during one replay of the whole log.
///
/// # Errors
/// When the hub refuses.
pub(crate) fn memory(long: &Long) -> Result<Row, BenchError> {
    let before = Memory::of(long.pid)?;
    let over = AtomicBool::new(false);
    let (replayed, peak) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| peak_until(long.pid, &over));
        let replayed = long.read(f64::INFINITY);
        over.store(true, Ordering::Release);
        (replayed, watch.join().unwrap_or_default())
    });
    let replayed = replayed?;
    let mut row = Row::new("replay-memory", long.wire.as_str());
    replayed.describe(&mut row, long.events);
    row.set("rss_growth_bytes", peak.growth(before).0);
    row.set("anon_growth_bytes", peak.growth(before).1);
    Ok(row)
}

fn peak_until(pid: u32, over: &AtomicBool) -> Memory {
    let mut peak = Memory::default();
    while !over.load(Ordering::Acquire) {
        peak = peak.max(Memory::of(pid).unwrap_or_default());
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}

/// The server's memory with readers that ask for the whole log and read nothing of it.
///
/// # Errors
/// When the hub refuses.
pub(crate) fn stalled(long: &Long, count: usize) -> Result<Row, BenchError> {
    let before = Memory::of(long.pid)?;
    let streams = (0..count).map(|_| long.open()).collect::<Result<Vec<_>, _>>()?;
    let over = AtomicBool::new(false);
    let peak = std::thread::scope(|scope| {
        let watch = scope.spawn(|| peak_until(long.pid, &over));
        std::thread::sleep(STALL);
        over.store(true, Ordering::Release);
        watch.join().unwrap_or_default()
    });
    let mut row = Row::new("stalled-memory", long.wire.as_str());
    row.set("subscribers", streams.len() as f64);
    row.set("rss_growth_bytes", peak.growth(before).0);
    row.set("anon_growth_bytes", peak.growth(before).1);
    Ok(row)
}
