//! A close that lets the last answer arrive: a socket that is closed with unread bytes in it resets its connection, and
//! the client may lose an answer that it had not read yet (RFC 9112, section 9.6).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long the client may take to end its side in all, and how long it may be quiet meanwhile.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(5));
/// How much is read and dropped at once, in bytes.
const SCRATCH_BYTES: usize = 8 * 1024;

/// A close that is under way.
#[derive(Default)]
pub(super) struct Linger {
    /// When it ends at the latest, and when it ends if nothing more comes. None: our side is not ended yet.
    deadlines: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Linger {
    /// Ends our side, then reads and drops what still comes, until the client ends its side or takes too long.
    pub(super) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let quiet = |last: Instant| last.min(Instant::now() + PATIENCE.1);
        let (last, sleep) = match &mut self.deadlines {
            Some(deadlines) => deadlines,
            none => {
                ready!(Pin::new(&mut *socket).poll_shutdown(cx))?;
                let last = Instant::now() + PATIENCE.0;
                none.insert((last, Box::pin(sleep_until(quiet(last)))))
            }
        };
        let mut scratch = [0; SCRATCH_BYTES];
        loop {
            if sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut read = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut *socket).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            sleep.as_mut().reset(quiet(*last));
        }
    }
}
