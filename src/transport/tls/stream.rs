//! A TLS connection over a socket: bytes of the kernel in, text out, and the other way round, without ever waiting.
//!
//! rustls does the protocol and is given its buffers, so a connection keeps none of its own between two calls but for
//! what can't be put anywhere else: the rest of one record that the kernel did not take, the beginning of one that has
//! not come whole, text that nobody has read yet. One that is idle keeps nothing.

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};
use tambour_actors::outlet::socket::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::text::{Pieces, RECORD_TEXT_MAX, Waiting};

/// Most bytes of a record on the wire: its text, 2 KiB that TLS 1.2 allows around it, and the header.
const RECORD_BYTES_MAX: usize = RECORD_TEXT_MAX + 2_048 + 5;
/// Room to read into: a whole record behind the beginning of another. A client's handshake message is far smaller.
const INPUT_BYTES: usize = 2 * RECORD_BYTES_MAX;

thread_local! {
    /// What all connections of a thread read into, encrypt into, and gather slices in. What is kept is copied out.
    static INPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; INPUT_BYTES]);
    static OUTPUT: RefCell<Vec<u8>> = RefCell::new(vec![0; RECORD_BYTES_MAX]);
    static GATHERED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(RECORD_TEXT_MAX));
}

/// Where text goes: to who reads, and what does not fit there, to who reads next.
struct Text<'a> {
    into: &'a mut [u8],
    filled: usize,
}

/// A TLS connection. Dropping it closes the socket.
pub struct TlsStream {
    tcp: TcpStream,
    tls: UnbufferedServerConnection,
    /// Encrypted, and not taken by the kernel.
    outgoing: Waiting,
    /// Came, and is no whole record.
    incoming: Vec<u8>,
    /// Decrypted, and not read.
    text: Waiting,
    /// The peer sends nothing more.
    over: bool,
    /// The peer broke the protocol, or was refused: nothing goes on.
    broken: bool,
    said_goodbye: bool,
}

impl TlsStream {
    /// A connection whose handshake is to come.
    ///
    /// # Errors
    /// When rustls does not accept the configuration.
    pub(super) fn new(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let tls = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self {
            tcp,
            tls,
            outgoing: Waiting::default(),
            incoming: Vec::new(),
            text: Waiting::default(),
            over: false,
            broken: false,
            said_goodbye: false,
        })
    }

    /// The socket below, for its options. Nobody reads or writes it but the connection.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Shakes hands. Text that came along is kept, and whatever the hub owes to the client is sent.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.flush()? {
                ready!(self.tcp.poll_write_ready(cx))?;
                continue;
            }
            if !self.tls.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if self.over {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
            match self.receive(&mut []) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.tcp.poll_read_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
                Ok(_) => {}
            }
        }
    }

    /// Lets rustls do all that it can with `input`, then `act`, if text may be sent now. How much of the input is
    /// used up, and what `act` gave.
    fn drive<T>(
        &mut self,
        input: &mut [u8],
        text: &mut Text<'_>,
        act: impl FnOnce(WriteTraffic<'_, ServerConnectionData>) -> T,
    ) -> (usize, io::Result<Option<T>>) {
        let mut used = 0;
        let error = loop {
            let UnbufferedStatus { mut discard, state } = self.tls.process_tls_records(&mut input[used..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        let fits = record.payload.len().min(text.into.len() - text.filled);
                        text.into[text.filled..text.filled + fits].copy_from_slice(&record.payload[..fits]);
                        text.filled += fits;
                        self.text.bytes.extend_from_slice(&record.payload[fits..]);
                        discard += record.discard;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(record)) => encode(record, &mut self.outgoing.bytes),
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                Ok(ConnectionState::PeerClosed) => self.over = true,
                Ok(ConnectionState::WriteTraffic(traffic)) => return (used + discard, Ok(Some(act(traffic)))),
                Ok(_) => return (used + discard, Ok(None)),
                Err(error) => {
                    used += discard;
                    break error;
                }
            }
            used += discard;
        };
        self.broken = true;
        // What went wrong is told to the peer: rustls has it ready, and must not be asked for more.
        while self.tls.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(alert)) = self.tls.process_tls_records(&mut input[used..]).state
        {
            encode(alert, &mut self.outgoing.bytes);
        }
        (used, Err(io::Error::new(ErrorKind::InvalidData, error)))
    }

    /// Does something while text may be sent. Whatever came and is not whole stays as it is.
    fn act<T>(&mut self, act: impl FnOnce(WriteTraffic<'_, ServerConnectionData>) -> T) -> io::Result<T> {
        if self.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        let (used, acted) = self.drive(&mut incoming, &mut Text { into: &mut [], filled: 0 }, act);
        incoming.drain(..used);
        self.incoming = incoming;
        acted?.ok_or_else(|| ErrorKind::BrokenPipe.into())
    }

    /// Reads the socket once. How much text that gave `into`; nothing may mean that only a part of a record came.
    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        INPUT.with_borrow_mut(|input| {
            let kept = self.incoming.len();
            if kept == input.len() {
                self.broken = true;
                return Err(io::Error::new(ErrorKind::InvalidData, "a message that is too long"));
            }
            let came = self.tcp.try_read(&mut input[kept..])?;
            if came == 0 {
                self.over = true;
                return Ok(0);
            }
            input[..kept].copy_from_slice(&self.incoming);
            let came = &mut input[..kept + came];
            let mut text = Text { into, filled: 0 };
            let (used, driven) = self.drive(came, &mut text, |_| ());
            self.incoming = came[used..].to_vec();
            // Alerts and the like go out now if they can, else with what is written next.
            let flushed = self.flush();
            match driven {
                // Text that came before what was wrong is good; the next read fails.
                Err(_) if text.filled > 0 => Ok(text.filled),
                Err(error) => Err(error),
                Ok(_) => flushed.map(|_| text.filled),
            }
        })
    }

    /// Writes what is encrypted. `true`: nothing of it waits any more.
    fn flush(&mut self) -> io::Result<bool> {
        while !self.outgoing.rest().is_empty() {
            match self.tcp.try_write(self.outgoing.rest()) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => self.outgoing.take(taken),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Encrypts a record's text and writes it; what the kernel does not take waits.
    fn write_record(&mut self, text: &[u8]) -> io::Result<()> {
        OUTPUT.with_borrow_mut(|output| {
            let record = loop {
                match self.act(|mut traffic| traffic.encrypt(text, output))? {
                    Ok(bytes) => break &output[..bytes],
                    Err(EncryptError::InsufficientSize(size)) if size.required_size > output.len() => {
                        output.resize(size.required_size, 0);
                    }
                    Err(error) => return Err(io::Error::new(ErrorKind::BrokenPipe, error.to_string())),
                }
            };
            let taken = if self.outgoing.rest().is_empty() {
                match self.tcp.try_write(record) {
                    Err(error) if error.kind() != ErrorKind::WouldBlock => {
                        // A record is lost, so none may follow.
                        self.broken = true;
                        return Err(error);
                    }
                    taken => taken.unwrap_or(0),
                }
            } else {
                0
            };
            self.outgoing.bytes.extend_from_slice(&record[taken..]);
            self.flush().map(|_| ())
        })
    }
}

/// Appends what rustls has to say.
fn encode(mut record: EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    let at = out.len();
    if let Err(EncodeError::InsufficientSize(size)) = record.encode(&mut []) {
        out.resize(at + size.required_size, 0);
        let encoded = record.encode(&mut out[at..]);
        debug_assert!(encoded.is_ok_and(|bytes| bytes == size.required_size));
    }
}

impl Socket for TlsStream {
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.flush()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut pieces = Pieces::of(slices);
        let mut written = 0;
        GATHERED.with_borrow_mut(|gathered| {
            while self.unsent() == 0 {
                let text = pieces.next(gathered);
                if text.is_empty() {
                    break;
                }
                match self.write_record(text) {
                    Ok(()) => written += text.len(),
                    Err(error) if written == 0 => return Err(error),
                    // The next write says it again.
                    Err(_) => break,
                }
            }
            Ok(written)
        })
    }

    fn unsent(&self) -> usize {
        self.outgoing.rest().len()
    }

    fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let waiting = self.text.rest();
            if !waiting.is_empty() {
                let read = waiting.len().min(into.len());
                into[..read].copy_from_slice(&waiting[..read]);
                self.text.take(read);
                return Ok(read);
            }
            if self.broken {
                return Err(ErrorKind::InvalidData.into());
            }
            if self.over {
                return Ok(0);
            }
            let read = self.receive(into)?;
            if read > 0 {
                return Ok(read);
            }
        }
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.text.rest().is_empty() || self.over || self.broken {
            return Poll::Ready(Ok(()));
        }
        self.tcp.poll_read_ready(cx)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_write_ready(cx)
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.said_goodbye, true) {
            OUTPUT.with_borrow_mut(|output| {
                if let Ok(Ok(bytes)) = self.act(|mut traffic| traffic.queue_close_notify(output)) {
                    self.outgoing.bytes.extend_from_slice(&output[..bytes]);
                }
            });
        }
        if !matches!(self.flush(), Ok(false)) {
            Socket::finish(&mut self.tcp);
        }
    }

    fn abandon(&mut self) {
        self.tcp.abandon();
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.try_read(into.initialize_unfilled()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.tcp.poll_read_ready(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
                Ok(read) => {
                    into.advance(read);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(&[IoSlice::new(bytes)]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.tcp.poll_write_ready(cx))?,
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.flush()? {
            ready!(self.tcp.poll_write_ready(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Never waits: a peer that takes nothing, not even a goodbye, has no use for one.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Socket::finish(&mut *self);
        Socket::finish(&mut self.tcp);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
