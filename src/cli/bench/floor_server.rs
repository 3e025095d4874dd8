//! The floor: what the same deliveries cost when nothing is done but one `write` for each
//! subscriber and event. A bare loop in a process of its own; the event loop is used for
//! accepting and for sockets that are full. No protocol, no log, no identity.

use std::io::{BufRead as _, ErrorKind, Read as _, Write as _};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::BenchError;
use super::publisher::{Pace, write_digits};
use super::scan::{AT_BASE, AT_DIGITS, Wire, topic_id};
use crate::proc_stat::now_ns;

/// The seq in front of the floor's first: all its seqs have as many digits.
pub(crate) const SEQ_BASE: u64 = 1_000_000_000;
const SEQ_DIGITS: usize = 10;

/// What the floor writes, to whom, how fast.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FloorServerArgs {
    /// How the frames look.
    #[arg(long, value_enum)]
    pub(crate) wire: Wire,
    /// How many sockets.
    #[arg(long)]
    pub(crate) connections: usize,
    /// How many topics they are spread over.
    #[arg(long)]
    pub(crate) topics: usize,
    /// Consecutive topics of one socket.
    #[arg(long)]
    pub(crate) topics_per_socket: usize,
    /// Bytes of one frame, its header included.
    #[arg(long)]
    pub(crate) frame_bytes: usize,
    /// Events a second; as many as the sockets take when 0.
    #[arg(long)]
    pub(crate) rate: f64,
    /// Length of a tick in nanoseconds.
    #[arg(long)]
    pub(crate) tick_ns: u64,
}

/// Prints where it listens, accepts its subscribers, and for each line `go <seconds>` on
/// stdin runs that long and prints `done <events> <writes> <blocked>`. Ends with its stdin.
///
/// # Errors
/// When a socket fails.
pub(crate) fn run(args: &FloorServerArgs) -> Result<(), BenchError> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut floor = Floor::accept(args.clone(), &listener)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let seconds = line.strip_prefix("go ").and_then(|seconds| seconds.parse().ok());
        floor.go(seconds.ok_or_else(|| BenchError::Usage(format!("not a command: {line}")))?)?;
        println!("done {} {} {}", floor.events, floor.writes, floor.blocked);
    }
    Ok(())
}

struct Subscriber {
    stream: TcpStream,
    /// What of a frame the socket did not take.
    rest: Vec<u8>,
    /// How many events it was written, at full speed.
    written: u64,
}

struct Floor {
    args: FloorServerArgs,
    poll: Poll,
    ready: Events,
    subscribers: Vec<Subscriber>,
    frame: Frame,
    events: u64,
    writes: u64,
    blocked: u64,
}

impl Floor {
    fn accept(args: FloorServerArgs, listener: &std::net::TcpListener) -> Result<Self, BenchError> {
        let poll = Poll::new()?;
        let mut places: Vec<Option<Subscriber>> = (0..args.connections).map(|_| None).collect();
        for _ in 0..args.connections {
            let (mut stream, _) = listener.accept()?;
            let mut number = [0; 4];
            stream.read_exact(&mut number)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let number = u32::from_be_bytes(number) as usize;
            let place = places.get_mut(number).filter(|place| place.is_none());
            let place = place.ok_or_else(|| BenchError::Usage(format!("subscriber {number} is one too many")))?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
            *place = Some(Subscriber { stream, rest: Vec::new(), written: 0 });
        }
        let frame = Frame::new(args.wire, args.frame_bytes);
        let subscribers = places.into_iter().flatten().collect();
        Ok(Self {
            args,
            poll,
            ready: Events::with_capacity(1024),
            subscribers,
            frame,
            events: 0,
            writes: 0,
            blocked: 0,
        })
    }

    fn go(&mut self, seconds: f64) -> Result<(), BenchError> {
        if self.args.rate > 0.0 {
            self.paced(seconds)?;
        } else {
            self.full(seconds)?;
        }
        while self.subscribers.iter().any(|subscriber| !subscriber.rest.is_empty()) {
            self.wait(None)?;
        }
        Ok(())
    }

    fn paced(&mut self, seconds: f64) -> Result<(), BenchError> {
        let pace = Pace { rate: self.args.rate, tick_ns: self.args.tick_ns, seconds };
        let (start, first) = (now_ns(), self.events);
        for tick in 0..pace.ticks() {
            while let Some(left) = (start + tick * pace.tick_ns).checked_sub(now_ns()).filter(|left| *left > 0) {
                if left < 1_000_000 {
                    std::thread::sleep(Duration::from_nanos(left));
                } else {
                    self.wait(Some(Duration::from_millis(left / 1_000_000)))?;
                }
            }
            while self.events - first < pace.events_by(tick) {
                self.event()?;
            }
        }
        Ok(())
    }

    /// One event to all subscribers of its topic; topics take turns.
    fn event(&mut self) -> Result<(), BenchError> {
        let topics = self.args.topics as u64;
        let topic = (self.events % topics) as usize;
        self.frame.set(topic, SEQ_BASE + 1 + self.events / topics, now_ns());
        self.events += 1;
        let chunks = self.args.topics.div_ceil(self.args.topics_per_socket);
        let mut index = topic / self.args.topics_per_socket;
        while let Some(subscriber) = self.subscribers.get_mut(index) {
            index += chunks;
            self.writes += 1;
            if subscriber.rest.is_empty() {
                self.blocked += u64::from(!subscriber.write(&self.frame.bytes)?);
            } else {
                subscriber.rest.extend_from_slice(&self.frame.bytes);
            }
        }
        Ok(())
    }

    /// One topic: its events in turn to each subscriber whose socket is not full.
    fn full(&mut self, seconds: f64) -> Result<(), BenchError> {
        let end = now_ns() + (seconds * 1e9) as u64;
        loop {
            let now = now_ns();
            if now >= end {
                return Ok(());
            }
            let mut blocked = 0;
            for subscriber in &mut self.subscribers {
                if !subscriber.rest.is_empty() {
                    blocked += 1;
                    continue;
                }
                subscriber.written += 1;
                self.frame.set(0, SEQ_BASE + subscriber.written, now);
                self.events = self.events.max(subscriber.written);
                self.writes += 1;
                self.blocked += u64::from(!subscriber.write(&self.frame.bytes)?);
            }
            if blocked == self.subscribers.len() {
                self.wait(Some(Duration::from_millis(10)))?;
            } else if blocked > 0 {
                self.wait(Some(Duration::ZERO))?;
            }
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<(), BenchError> {
        match self.poll.poll(&mut self.ready, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &self.ready {
            let subscriber = &mut self.subscribers[event.token().0];
            if event.is_writable() && !subscriber.rest.is_empty() {
                let rest = std::mem::take(&mut subscriber.rest);
                subscriber.write(&rest)?;
            }
        }
        Ok(())
    }
}

impl Subscriber {
    /// Writes, and keeps what the socket did not take; whether it took all.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<bool> {
        let taken = match self.stream.write(bytes) {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if taken < bytes.len() {
            self.rest.extend_from_slice(&bytes[taken..]);
        }
        Ok(taken == bytes.len())
    }
}

/// An event as bytes; its topic, seq and clock are overwritten in place.
struct Frame {
    bytes: Vec<u8>,
    topics_at: Vec<usize>,
    seqs_at: Vec<usize>,
    clock_at: usize,
}

impl Frame {
    /// A frame of `bytes` bytes, or the shortest there is.
    fn new(wire: Wire, bytes: usize) -> Self {
        let bare = Self::build(wire, 0).len();
        let mut built = Self::build(wire, bytes.saturating_sub(bare));
        if built.len() > bytes {
            // The longer text made the header longer.
            let over = built.len() - bytes;
            built = Self::build(wire, bytes.saturating_sub(bare).saturating_sub(over));
        }
        let places =
            |mark: &[u8]| memchr::memmem::find_iter(&built, mark).map(|at| at + mark.len()).collect::<Vec<_>>();
        let clock_at = places(b"\"at\":")[0];
        let seqs_at = [places(b"AAAAAAAAAAAAAAAA."), places(b"\"seq\":")].concat();
        Self { topics_at: places(b"thread/b"), seqs_at, clock_at, bytes: built }
    }

    fn build(wire: Wire, pad: usize) -> Vec<u8> {
        let id = format!("AAAAAAAAAAAAAAAA.{}", SEQ_BASE + 1);
        let event = format!(
            r#"{{"v":1,"id":"{id}","seq":{},"type":"bench","data":{{"at":{AT_BASE},"pad":"{}"}}}}"#,
            SEQ_BASE + 1,
            "x".repeat(pad)
        );
        if wire == Wire::Sse {
            return format!("event: bench\nid: {id}\ndata: {event}\n\n").into_bytes();
        }
        let text = format!(r#"{{"t":"event","topic":"thread/{}","event":{event}}}"#, topic_id(0));
        let mut frame = vec![0x81];
        match u16::try_from(text.len()) {
            Ok(length @ 0..=125) => frame.push(length as u8),
            Ok(length) => {
                frame.push(126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(127);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        frame.extend(text.into_bytes());
        frame
    }

    fn set(&mut self, topic: usize, seq: u64, now_ns: u64) {
        for at in &self.topics_at {
            write_digits(&mut self.bytes[*at..], topic as u64, 7);
        }
        for at in &self.seqs_at {
            write_digits(&mut self.bytes[*at..], seq, SEQ_DIGITS);
        }
        write_digits(&mut self.bytes[self.clock_at..], AT_BASE + now_ns, AT_DIGITS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::readers::{Peer, Plan, Readers, Start, Through};
    use crate::cli::bench::scan::{self, Piece, Shape};

    #[test]
    fn a_frame_has_its_size_and_reads_as_an_event() {
        for wire in [Wire::Ws, Wire::Sse] {
            for bytes in [250, 400, 5_000, 65_540, 65_560] {
                let mut frame = Frame::new(wire, bytes);
                frame.set(42, SEQ_BASE + 7, 99);
                assert!(frame.bytes.len().abs_diff(bytes) <= 8, "{wire:?} {bytes}: {}", frame.bytes.len());
                let (piece, used) = scan::next(wire, &frame.bytes).unwrap().unwrap();
                let Piece::Text(text) = piece else { panic!("{piece:?}") };
                let mut shape = Shape::new(wire);
                assert_eq!((shape.seq(text), used), (Some(SEQ_BASE + 7), frame.bytes.len()));
                assert_eq!(scan::published_ns(text), Some(99));
                assert!(wire == Wire::Sse || shape.topic(text) == Some(42));
            }
        }
    }

    /// The floor and readers of it in one process, over real sockets.
    fn check(wire: Wire, rate: f64, topics: usize, topics_per_socket: usize, connections: usize) {
        let args = FloorServerArgs {
            wire,
            connections,
            topics,
            topics_per_socket,
            frame_bytes: 400,
            rate,
            tick_ns: 1_000_000,
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let floor = std::thread::spawn(move || {
            let mut floor = Floor::accept(args, &listener).unwrap();
            floor.go(0.05).unwrap();
            (floor.events, floor.writes)
        });
        let peer = Peer::Floor(SEQ_BASE);
        let plan = Plan {
            through: Through::Thread,
            addr,
            wire,
            peer,
            connections,
            topics,
            topics_per_socket,
            start: Start::Head,
            on_command: false,
            sample_every: 1,
            threads: 2,
        };
        let mut readers = Readers::connect(plan).unwrap();
        let (events, writes) = floor.join().unwrap();
        readers.wait_delivered(writes).unwrap();
        let seen = readers.take(Vec::new()).unwrap();
        assert_eq!((seen.deliveries, seen.lost, seen.duplicated, seen.out_of_order), (writes, 0, 0, 0));
        assert_eq!((seen.latency.total(), seen.event_bytes), (writes, writes * 400));
        assert!(events > 0 && writes >= events);
    }

    #[test]
    fn readers_get_what_the_floor_writes() {
        check(Wire::Ws, 1_000.0, 1, 1, 7);
        check(Wire::Sse, 1_000.0, 1, 1, 7);
        check(Wire::Ws, 5_000.0, 10, 4, 9);
        check(Wire::Sse, 5_000.0, 10, 1, 30);
        check(Wire::Ws, 0.0, 1, 1, 20);
        check(Wire::Sse, 0.0, 1, 1, 20);
    }
}
