//! Taking a socket over from the HTTP server, once the head of a streaming answer is sent. Whether the
//! socket speaks TLS makes no difference here.
//!
//! The server reads and writes through a [`Tap`]. The answer's body, when it is first polled, arms the
//! tap; the next complete flush gives the socket to the session and shows the server an end of file,
//! so that its buffers go. Bytes of a WebSocket that came with the request are taken from the payload at
//! that moment and not before.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Payload};
use actix_web::{Error, HttpResponse};
use futures_util::StreamExt as _;
use tambour_actors::frame::Wire;
use tambour_actors::outlet::socket::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::linger::Linger;
use super::tls::TlsStream;
use crate::problem::Problem;

type Taker = Box<dyn FnOnce(Stream)>;

/// A connection to a client.
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS, its handshake done.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// The socket, for its options.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.tcp(),
        }
    }

    /// As a session has it.
    #[must_use]
    pub fn into_socket(self) -> Box<dyn Socket> {
        match self {
            Self::Plain(socket) => Box::new(socket),
            Self::Tls(stream) => stream,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

/// What the tap and the handlers of its connection share.
#[derive(Default)]
struct Shared {
    armed: RefCell<Option<Taker>>,
    taken: Cell<bool>,
    /// The connection ends behind the answer that is being written.
    closing: Cell<bool>,
    /// That answer has left.
    closed: Cell<bool>,
    heads: Cell<Heads>,
    waker: RefCell<Option<Waker>>,
    /// The connection ends while its client may still be sending.
    lingers: Cell<bool>,
    /// The client has ended its side.
    ended: Cell<bool>,
    /// Of whom that concerns while they wait.
    waiting: RefCell<Option<Waker>>,
}

/// Counts what was read since the last answer began: complete request heads, and bytes behind the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Heads {
    complete: bool,
    behind: bool,
    /// Whether the last byte, carriage returns aside, ended a line.
    line_ended: bool,
}

impl Heads {
    fn read(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            if self.complete {
                self.behind = true;
                break;
            }
            match byte {
                b'\n' if self.line_ended => self.complete = true,
                b'\n' => self.line_ended = true,
                b'\r' => {}
                _ => self.line_ended = false,
            }
        }
        self
    }
}

/// The socket as the HTTP server sees it.
pub struct Tap {
    socket: Option<Stream>,
    shared: Rc<Shared>,
    linger: Option<Linger>,
}

impl Tap {
    /// A tap around a connected socket.
    #[must_use]
    pub fn new(socket: Stream) -> Self {
        Self { socket: Some(socket), shared: Rc::default(), linger: None }
    }

    /// For the handlers of this connection.
    #[must_use]
    pub fn take_over(&self) -> TakeOver {
        TakeOver(self.shared.clone())
    }

    fn poll_socket<T>(
        &mut self,
        gone: T,
        poll: impl FnOnce(Pin<&mut Stream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.socket {
            Some(socket) => poll(Pin::new(socket)),
            None => Poll::Ready(Ok(gone)),
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.shared.closed.get() {
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        let read = self.poll_socket((), |socket| socket.poll_read(cx, into));
        if read.is_ready() {
            let heads = &self.shared.heads;
            heads.set(heads.get().read(&into.filled()[before..]));
            if into.filled().len() == before && into.remaining() > 0 {
                self.shared.ended.set(true);
                if let Some(waiting) = self.shared.waiting.borrow_mut().take() {
                    waiting.wake();
                }
            }
        }
        read
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.heads.set(Heads::default());
        if self.shared.closed.get() {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.poll_socket(bytes.len(), |socket| socket.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.poll_socket((), |socket| socket.poll_flush(cx));
        if !matches!(flushed, Poll::Ready(Ok(()))) {
            return flushed;
        }
        let taker = self.shared.armed.borrow_mut().take();
        if let Some(taker) = taker
            && let Some(socket) = self.socket.take()
        {
            self.shared.taken.set(true);
            taker(socket);
        }
        let taken = self.shared.taken.get();
        let closed = taken || self.shared.closing.get();
        if closed && !self.shared.closed.replace(true) {
            // The server is to see the end that it is shown, though nothing more may come from the client.
            cx.waker().wake_by_ref();
        }
        if closed && let Some(waker) = self.shared.waker.borrow_mut().take() {
            waker.wake();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match &mut this.socket {
            Some(socket) if this.shared.lingers.get() => this.linger.get_or_insert_default().poll(socket, cx),
            _ => this.poll_socket((), |socket| socket.poll_shutdown(cx)),
        }
    }
}

impl Drop for Tap {
    /// A connection that broke between the head and its flush has nobody to give the socket to. What was armed
    /// holds the shared part that it is kept in: left there, it would keep its permit for ever.
    fn drop(&mut self) {
        drop(self.shared.armed.borrow_mut().take());
    }
}

/// Lets a handler have the socket of its connection.
#[derive(Clone)]
pub struct TakeOver(Rc<Shared>);

impl TakeOver {
    /// Whether exactly one request's head was read since the last answer, and nothing behind it.
    #[must_use]
    pub fn quiet(&self) -> bool {
        let heads = self.0.heads.get();
        heads.complete && !heads.behind
    }

    /// The answer that is given now is the last, and the client may still be sending: the connection is closed in a
    /// way that lets the answer arrive.
    pub fn linger(&self) {
        self.0.lingers.set(true);
    }

    /// Resolves when the client ends its side of the connection, or the connection breaks: half a connection is none to
    /// who waits. Never without a connection.
    pub async fn ended(connection: Option<&Self>) {
        let ended = |cx: &mut Context<'_>| match connection {
            Some(Self(shared)) if shared.ended.get() => Poll::Ready(()),
            Some(Self(shared)) => {
                *shared.waiting.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Pending,
        };
        std::future::poll_fn(ended).await;
    }

    /// The answer that sends `head` and then gives the socket, and WebSocket bytes that came with the
    /// request, to `taker`.
    #[must_use]
    pub fn after(
        self,
        mut head: HttpResponse,
        wire: Wire,
        payload: Payload,
        taker: impl FnOnce(Stream, Bytes) + 'static,
    ) -> HttpResponse {
        let heads = self.0.clone();
        let take = move |socket: Stream| {
            // Something that came while the head was sent can't be told from frames of a client that would
            // not wait: for SSE there is none to expect.
            let early = early(payload);
            if wire == Wire::Ws || (!heads.heads.get().behind && early.is_empty()) {
                taker(socket, early);
            }
        };
        // The length of a stream is the end of its connection, so it is not cut into chunks either.
        head.head_mut().no_chunking(true);
        head.set_body(BoxBody::new(HandOver { shared: self.0, taker: Some(Box::new(take)) }))
    }
}

/// Middleware, the outermost: behind an answer that ends its connection no request is carried out
/// (RFC 9112, section 9.6). The server goes on with requests that it has read already, so a write that was
/// pipelined behind a refused stream would run, and its answer be lost.
///
/// # Errors
/// What the inner service fails with.
pub async fn close_behind<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let Some(TakeOver(shared)) = request.conn_data::<TakeOver>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    if shared.closing.get() {
        Closed(shared).await;
        let answer = HttpResponse::BadRequest().force_close().finish();
        return Ok(request.into_response(answer).map_into_right_body());
    }
    let answer = next.call(request).await;
    let closes = match &answer {
        Ok(answer) => answer.response().head().connection_type() == ConnectionType::Close,
        Err(error) => error.as_error::<Problem>().is_some_and(|problem| problem.is_stream),
    };
    if closes {
        shared.closing.set(true);
    }
    answer.map(ServiceResponse::map_into_left_body)
}

/// Resolves when the last answer of a connection has left.
struct Closed(Rc<Shared>);

impl Future for Closed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.closed.get() {
            return Poll::Ready(());
        }
        *self.0.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// What is there of a payload now.
fn early(mut payload: Payload) -> Bytes {
    let mut bytes = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(chunk))) = Pin::new(&mut payload.next()).poll(&mut cx) {
        bytes.extend_from_slice(&chunk);
    }
    bytes.into()
}

/// The body of a head behind which the socket is handed over.
struct HandOver {
    shared: Rc<Shared>,
    taker: Option<Taker>,
}

impl MessageBody for HandOver {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.shared.taken.get() {
            return Poll::Ready(None);
        }
        if let Some(taker) = self.taker.take() {
            *self.shared.armed.borrow_mut() = Some(taker);
        }
        *self.shared.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_head_and_nothing_behind_it() {
        let quiet = |pieces: &[&str]| {
            let heads = pieces.iter().fold(Heads::default(), |heads, piece| heads.read(piece.as_bytes()));
            heads.complete && !heads.behind
        };
        assert!(quiet(&["GET / HTTP/1.1\r\nA: b\r\n\r\n"]));
        assert!(quiet(&["GET / HTTP/1.1\r", "\nA: b\r\n\r", "\n"]));
        assert!(quiet(&["GET / HTTP/1.1\nA: b\n\n"]));
        assert!(!quiet(&["GET / HTTP/1.1\r\nA: b\r\n"]));
        assert!(!quiet(&["GET / HTTP/1.1\r\n\r\n", "x"]));
        assert!(!quiet(&["GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"]));
    }
}
