//! TLS on the client address: from a socket that was accepted to a connection whose handshake is done.
//!
//! A handshake has a deadline and happens before the HTTP service sees anything. One that fails or stalls costs its own
//! socket and nothing else.

pub mod certificates;
pub mod stream;
mod text;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use rustls::ServerConfig;
use tambour_actors::refusal::{Code, Refusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::identity::context::RequestIds;
use crate::problem::{CONTENT_TYPE, Problem};

pub use certificates::{Certificates, TlsError};
pub use stream::TlsStream;

/// Most bytes that are read of a client that does not speak TLS, so that it reads its answer.
const DISCARD_BYTES_MAX: u64 = 64 * 1024;

/// Shakes hands with a client.
///
/// # Errors
/// The client does not speak TLS (it is told so, in HTTP, if that is what it speaks), is not accepted, is gone, or is
/// not done within the time.
pub async fn accept(socket: TcpStream, config: Arc<ServerConfig>, within: Duration) -> io::Result<TlsStream> {
    // Small flights follow each other: none may wait for the last one's acknowledgement.
    socket.set_nodelay(true)?;
    let shaken = async {
        let mut first = [0];
        let there = socket.peek(&mut first).await?;
        // A handshake begins with 0x16, a request with its method.
        if there == 1 && first[0].is_ascii_uppercase() {
            tell_plain_http(socket).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "plain HTTP on an address that speaks TLS"));
        }
        let mut stream = TlsStream::new(socket, config)?;
        poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    };
    let shaken = tokio::time::timeout(within, shaken).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    shaken.inspect_err(|error| tracing::debug!(%error, "a TLS handshake failed"))
}

/// Answers a plain request with words, and waits for its sender to have read them.
async fn tell_plain_http(mut socket: TcpStream) -> io::Result<()> {
    let refusal = Refusal::new(Code::RequestMalformed, "this address speaks TLS: use https:// (or wss://)");
    let problem = Problem { refusal, ids: RequestIds::read(&HeaderMap::new()), is_stream: false };
    let (body, ids) = (problem.body(), &problem.ids);
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: {CONTENT_TYPE}\r\ncache-control: no-store\r\nconnection: close\r\n\
         x-request-id: {}\r\nx-trace-id: {}\r\ncontent-length: {}\r\n\r\n{body}",
        ids.request_id,
        ids.trace_id,
        body.len()
    );
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await?;
    tokio::io::copy(&mut socket.take(DISCARD_BYTES_MAX), &mut tokio::io::sink()).await.map(|_| ())
}
