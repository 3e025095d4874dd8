//! What a session needs of a socket.
//!
//! A trait, so that a TLS stream can stand here too, and so that a test can be the network. An
//! implementation never blocks, and never buffers what it could not send, but for one record of a
//! socket that encrypts: what was encrypted can't be taken back.

use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;

/// A connected, non-blocking socket.
pub trait Socket: Send + 'static {
    /// Writes what is [unsent](Self::unsent), then what fits of the slices, in order. With nothing in the
    /// slices, 0 means that nothing is unsent any more.
    ///
    /// # Errors
    /// `WouldBlock` when nothing of the slices fits, or something is still unsent; anything else means that the
    /// connection is gone.
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Bytes that were accepted and wait here, not in the kernel, for room. While there are any the socket is full:
    /// it accepts nothing more.
    fn unsent(&self) -> usize {
        0
    }

    /// Reads what is there; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; anything else means that the connection is gone.
    fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Waits for something to read.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Waits for room to write.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Says that nothing more will be written; the peer still reads what was. What that takes may be
    /// [unsent](Self::unsent) behind this; then it is called again once nothing is.
    fn finish(&mut self);

    /// Makes the coming close discard what was not sent, so that a reader who accepts nothing
    /// holds no memory of the kernel.
    fn abandon(&mut self);
}

/// Most bytes that the kernel keeps unsent for one socket before it calls it full.
const UNSENT_BYTES_MAX: u32 = 256 * 1024;

/// Prepares a TCP socket for a session: no delay, and bounds on what the kernel keeps for it.
///
/// # Errors
/// When the kernel refuses an option.
pub fn tune(socket: &TcpStream, stall: Duration) -> io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
        socket.set_tcp_user_timeout(Some(stall))?;
    }
    Ok(())
}

impl Socket for TcpStream {
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => Self::try_write(self, one),
            many => self.try_write_vectored(many),
        }
    }

    fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, into)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn finish(&mut self) {
        // An error means that the peer is gone, which is as good.
        let _ = socket2::SockRef::from(&*self).shutdown(std::net::Shutdown::Write);
    }

    fn abandon(&mut self) {
        // Best effort: without it the kernel merely keeps the rest a little longer.
        let _ = socket2::SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }
}
