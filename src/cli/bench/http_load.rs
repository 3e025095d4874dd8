//! Many HTTP requests over keep-alive connections, one in flight on each, at a rate or as fast
//! as answers come. Reads of an answer its status and its length; never its body.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use memchr::memmem;
use mio::{Events, Interest, Poll, Token};

use super::BenchError;
use super::histogram::Histogram;
use super::tls::Stream;
use super::{ENV, TENANT, scan, sockets};
use crate::proc_stat::now_ns;

/// How long the load waits when not one answer comes.
const PATIENCE_NS: u64 = 30_000_000_000;
const SCRATCH_BYTES: usize = 64 * 1024;

/// The bytes of a POST with a JSON body.
pub(crate) fn post(addr: SocketAddr, token: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\nX-Tenant-Id: {TENANT}\r\nX-Env: {ENV}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// 2xx answers.
    pub(crate) acks: u64,
    /// Request to answer; when paced, from the moment the request was due.
    pub(crate) latency: Histogram,
    /// First request to last answer.
    pub(crate) elapsed_ns: u64,
}

impl Answers {
    /// 2xx answers a second.
    pub(crate) fn acks_per_s(&self) -> f64 {
        self.acks as f64 * 1e9 / self.elapsed_ns.max(1) as f64
    }
}

struct Conn {
    stream: Stream,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    /// Since when its answer is waited for; `None` when idle.
    since: Option<u64>,
}

/// Connections that carry a load.
pub(crate) struct HttpLoad {
    poll: Poll,
    conns: Vec<Conn>,
    idle: VecDeque<usize>,
}

impl HttpLoad {
    /// Connects.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn connect(addr: SocketAddr, connections: usize) -> Result<Self, BenchError> {
        let poll = Poll::new()?;
        let mut conns = Vec::with_capacity(connections);
        for index in 0..connections {
            let mut stream = sockets::connect_nonblocking(addr)?;
            poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            conns.push(Conn { stream, out: Vec::new(), written: 0, input: Vec::new(), since: None });
        }
        Ok(Self { poll, conns, idle: (0..connections).collect() })
    }

    /// Sends what `next` writes into the buffer it is given, until it answers false, and
    /// waits for all answers. With a `rate` a request is due every 1/rate seconds, whether
    /// earlier ones are answered or not.
    ///
    /// # Errors
    /// [`BenchError::Refused`] at the first answer that is not 2xx.
    pub(crate) fn drive(
        &mut self,
        rate: Option<f64>,
        mut next: impl FnMut(&mut Vec<u8>) -> bool,
    ) -> Result<Answers, BenchError> {
        let mut answers = Answers::default();
        let mut events = Events::with_capacity(1024);
        let mut scratch = vec![0; SCRATCH_BYTES];
        let start = now_ns();
        let (mut issued, mut more, mut heard) = (0_u64, true, start);
        while more || self.idle.len() < self.conns.len() {
            let now = now_ns();
            let mut timeout = Duration::from_millis(100);
            while more && !self.idle.is_empty() {
                let due = rate.map_or(now, |rate| start + (issued as f64 * 1e9 / rate) as u64);
                if due > now {
                    timeout = Duration::from_millis((due - now) / 1_000_000);
                    if timeout.is_zero() {
                        std::thread::sleep(Duration::from_nanos(due - now));
                    }
                    break;
                }
                let Some(index) = self.idle.pop_front() else { break };
                let conn = &mut self.conns[index];
                more = next(&mut conn.out);
                if more {
                    issued += 1;
                    conn.since = Some(due);
                    conn.flush()?;
                } else {
                    self.idle.push_front(index);
                }
            }
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                let index = event.token().0;
                let conn = &mut self.conns[index];
                conn.flush()?;
                if conn.answered(&mut scratch)? {
                    heard = now_ns();
                    if let Some(since) = conn.since.take() {
                        answers.latency.record(heard.saturating_sub(since));
                    }
                    answers.acks += 1;
                    self.idle.push_back(index);
                }
            }
            if now.saturating_sub(heard) > PATIENCE_NS && self.idle.len() < self.conns.len() {
                return Err(BenchError::Late(format!("an answer, after {} of {issued}", answers.acks)));
            }
        }
        answers.elapsed_ns = heard - start;
        Ok(answers)
    }
}

impl Conn {
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

    /// Reads what is there; whether a whole answer is.
    fn answered(&mut self, scratch: &mut [u8]) -> Result<bool, BenchError> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err(BenchError::Refused("the hub ended a keep-alive connection".into())),
                Ok(count) => {
                    self.input.extend_from_slice(&scratch[..count]);
                    if count < scratch.len() && self.stream.short_is_all() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let Some(bytes) = answer_bytes(&self.input)? else { return Ok(false) };
        if !(200..300).contains(&scan::status(&self.input)) {
            return Err(BenchError::Refused(String::from_utf8_lossy(&self.input).into_owned()));
        }
        self.input.drain(..bytes);
        Ok(self.since.is_some())
    }
}

/// How long the first answer is; `None` while it is incomplete.
fn answer_bytes(input: &[u8]) -> Result<Option<usize>, BenchError> {
    let Some(head) = scan::head_end(input) else { return Ok(None) };
    let name = b"content-length:";
    let lower = input[..head].to_ascii_lowercase();
    let length = match memmem::find(&lower, name) {
        Some(at) => {
            let digits = at + name.len() + lower[at + name.len()..].iter().take_while(|byte| **byte == b' ').count();
            scan::number(&lower, digits).map_or(0, |(length, _)| length as usize)
        }
        None if scan::status(input) == 204 => 0,
        None => return Err(BenchError::Refused("an answer without content-length".into())),
    };
    Ok((input.len() >= head + length).then_some(head + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_at_its_last_byte() {
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nx: y\r\n\r\nhello";
        for end in 0..answer.len() {
            assert!(answer_bytes(&answer[..end]).unwrap().is_none());
        }
        assert_eq!(answer_bytes(answer).unwrap(), Some(answer.len()));
        assert_eq!(answer_bytes(b"HTTP/1.1 204 No Content\r\n\r\nHTTP").unwrap(), Some(27));
        assert!(answer_bytes(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    /// A server of real sockets that answers each request with `status`, in pieces.
    fn server(status: &'static str, requests: usize) -> (SocketAddr, std::thread::JoinHandle<usize>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let (mut served, mut held) = (0, Vec::new());
            let mut chunk = [0; 1000];
            while let Ok(count @ 1..) = stream.read(&mut chunk) {
                held.extend_from_slice(&chunk[..count]);
                while let Some(end) = memmem::find(&held, b"BODY") {
                    held.drain(..end + 4);
                    served += 1;
                    for part in [format!("HTTP/1.1 {status} x\r\ncontent-len"), "gth: 2\r\n\r\n{".into(), "}".into()] {
                        stream.write_all(part.as_bytes()).unwrap();
                    }
                }
                if served == requests {
                    break;
                }
            }
            served
        });
        (addr, thread)
    }

    #[test]
    fn a_request_an_answer() {
        let (addr, thread) = server("201", 50);
        let mut load = HttpLoad::connect(addr, 1).unwrap();
        let mut left = 50;
        let answers = load.drive(None, |out| {
            out.extend(post(addr, "x", "/", "BODY"));
            left -= 1;
            left >= 0 || {
                out.clear();
                false
            }
        });
        assert_eq!(answers.unwrap().acks, 50);
        assert_eq!(thread.join().unwrap(), 50);
    }

    #[test]
    fn a_refusal_is_an_error_with_its_text() {
        let (addr, thread) = server("403", 1);
        let error = HttpLoad::connect(addr, 1).unwrap().drive(None, |out| {
            out.extend(post(addr, "x", "/", "BODY"));
            true
        });
        assert!(matches!(error, Err(BenchError::Refused(text)) if text.contains(" 403 ")));
        thread.join().unwrap();
    }
}
