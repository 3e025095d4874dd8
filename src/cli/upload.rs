//! An upload of lines: each goes out as it comes from the input, and an answer may come before the last of them.
//!
//! The HTTP client reads an answer when a body has ended, and a hub refuses a line while more are to come. So the socket
//! is looked at between writes, and the body ends when there is something to read. An input that is quiet is
//! beaten through by blanks between lines, which are part of no line.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

// What ureq calls unversioned may change with it; this is the one file that uses it.
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// How long an input may be quiet before the connection is looked at all the same.
const BEAT: Duration = Duration::from_secs(2);
/// Between two looks at the socket.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a look takes when nothing has come.
const LOOK: Duration = Duration::from_millis(1);
/// The same when the hub takes no more: what it had to say has come before.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// How much of the input is taken at once, in bytes, and how many such pieces wait to be sent.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES: usize = 4;

/// Whether an answer has come. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Answered(Arc<AtomicBool>);

impl Answered {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The input as a body that ends when it ends, or when an answer has come.
pub(super) struct Lines {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
    between_lines: bool,
    beat: Duration,
    answered: Answered,
}

impl Lines {
    /// Reads the input on a thread of its own, because nobody can tell how long a read of it takes.
    pub(super) fn of(mut input: impl Read + Send + 'static, answered: Answered) -> Self {
        let (sender, pieces) = sync_channel(PIECES);
        std::thread::spawn(move || {
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                let read = match input.read(&mut piece) {
                    Ok(0) => return,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(read) => Ok(read),
                    Err(error) => Err(error),
                };
                let piece = read.map(|read| {
                    piece.truncate(read);
                    piece
                });
                // The upload is over when nobody takes it.
                if sender.send(piece).is_err() {
                    return;
                }
            }
        });
        Self { pieces, piece: io::Cursor::default(), between_lines: true, beat: BEAT, answered }
    }
}

impl Read for Lines {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.answered.is_set() || into.is_empty() {
                return Ok(0);
            }
            let read = self.piece.read(into)?;
            if read > 0 {
                self.between_lines = into[read - 1] == b'\n';
                return Ok(read);
            }
            match self.pieces.recv_timeout(self.beat) {
                Ok(piece) => self.piece = io::Cursor::new(piece?),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) if self.between_lines => {
                    into[0] = b' ';
                    return Ok(1);
                }
                // In the middle of a line nothing may be put.
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Makes connections that are looked at while they are written to.
#[derive(Debug)]
pub(super) struct Watching(pub(super) Answered);

/// A connection that is looked at while it is written to.
#[derive(Debug)]
pub(super) struct Watched<In> {
    inner: In,
    answered: Answered,
    looked: Instant,
}

impl<In: Transport> Connector<In> for Watching {
    type Out = Watched<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|inner| Watched { inner, answered: self.0.clone(), looked: Instant::now() }))
    }
}

impl<In: Transport> Watched<In> {
    fn look(&mut self, patience: Duration) {
        let timeout = NextTimeout { after: patience.into(), ..NextTimeout::default() };
        // Nothing to read is no error here, and one that is will show when the answer is read.
        if matches!(self.inner.maybe_await_input(timeout), Ok(true)) {
            self.answered.0.store(true, Ordering::Relaxed);
        }
        self.looked = Instant::now();
    }
}

impl<In: Transport> Transport for Watched<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.answered.is_set() {
            // Nobody reads it any more; what counts is the answer.
            return Ok(());
        }
        let sent = self.inner.transmit_output(amount, timeout);
        if sent.is_err() {
            self.look(LAST_LOOK);
        } else if self.looked.elapsed() >= LOOK_EVERY {
            self.look(LOOK);
        }
        if self.answered.is_set() { Ok(()) } else { sent }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        !self.answered.is_set() && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_input() {
        let input: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut body = Vec::new();
        Lines::of(io::Cursor::new(input.clone()), Answered::default()).read_to_end(&mut body).unwrap();
        assert!(body == input);
    }

    #[test]
    fn an_answer_ends_it() {
        let answered = Answered::default();
        let mut lines = Lines::of(io::repeat(b'\n'), answered.clone());
        assert_eq!(lines.read(&mut [0; 10]).unwrap(), 10);
        answered.0.store(true, Ordering::Relaxed);
        assert_eq!(lines.read(&mut [0; 10]).unwrap(), 0);
    }

    #[test]
    fn a_quiet_input_is_beaten_through_between_lines_alone() {
        let (mut far, near) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut lines = Lines { beat: Duration::ZERO, ..Lines::of(near, Answered::default()) };
        let mut buffer = [0; 10];
        assert_eq!((lines.read(&mut buffer).unwrap(), buffer[0]), (1, b' '));
        io::Write::write_all(&mut far, b"ab").unwrap();
        let mut got = Vec::new();
        while got.len() < 2 {
            let read = lines.read(&mut buffer).unwrap();
            got.extend(buffer[..read].iter().copied().filter(|byte| *byte != b' '));
        }
        // In the middle of a line: the next thing is its rest, however long that takes.
        let (asked, asks) = std::sync::mpsc::channel();
        let rest = std::thread::spawn(move || {
            asked.send(()).unwrap();
            let read = lines.read(&mut buffer).unwrap();
            buffer[..read].to_vec()
        });
        asks.recv().unwrap();
        io::Write::write_all(&mut far, b"c\n").unwrap();
        assert_eq!(rest.join().unwrap(), b"c\n");
    }
}
