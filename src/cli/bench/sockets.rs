//! Sockets of the load generator: sources that do not run out of ports, and the limit on open
//! files. Nothing else of a socket is tuned. Never speaks a protocol.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use super::tls::Stream;

/// Connections that share a source address: well below the 28,000 ports that it has.
const CONNECTIONS_PER_SOURCE: usize = 10_000;
/// Open files that are asked for: what the kernel allows one process at most.
const OPEN_FILES_MAX: u64 = 1 << 20;
/// Files that a process needs beside the connections of a run.
const FILES_BESIDE: u64 = 200;

/// Connections that this process has made.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// The source of a process's `made`th connection: 127.p.0.1, then 127.p.0.2 and so on, where p
/// is the process's. Ports that an earlier run, or another process, has just closed stay
/// taken for a minute; a run that shared their address could find none left.
fn source(process: u32, made: usize) -> Ipv4Addr {
    let [_, _, high, low] = u32::try_from(1 + made / CONNECTIONS_PER_SOURCE).unwrap_or(1).to_be_bytes();
    Ipv4Addr::new(127, (process % 255) as u8 + 1, high, low)
}

/// Connects a socket, from the next of this process's sources.
///
/// # Errors
/// What the kernel says.
pub(crate) fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let source = source(std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    socket.bind(&SocketAddr::V4(SocketAddrV4::new(source, 0)).into())?;
    socket.connect(&addr.into())?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// The same, for an event loop, with TLS where the peer speaks it.
///
/// # Errors
/// What the kernel says, or TLS.
pub(crate) fn connect_nonblocking(addr: SocketAddr) -> io::Result<Stream> {
    Stream::over(connect(addr)?)
}

/// Raises the limit on open files as far as it goes, for this process and those it starts.
pub(crate) fn raise_open_files() {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: Some(OPEN_FILES_MAX), maximum: Some(OPEN_FILES_MAX) };
    let enough = now.current.is_none_or(|files| files >= OPEN_FILES_MAX);
    if !enough && setrlimit(Resource::Nofile, raised).is_err() {
        // Not ours to raise beyond the hard limit; a failure here shows in `connections_max`.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    }
}

/// How many connections one process can hold under the limit in force.
pub(crate) fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(OPEN_FILES_MAX);
    usize::try_from(files.saturating_sub(FILES_BESIDE)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_change_before_their_ports_run_out() {
        for (process, made, expected) in [
            (0, 0, [127, 1, 0, 1]),
            (254, CONNECTIONS_PER_SOURCE - 1, [127, 255, 0, 1]),
            (256, CONNECTIONS_PER_SOURCE, [127, 2, 0, 2]),
            (256, 300 * CONNECTIONS_PER_SOURCE, [127, 2, 1, 45]),
        ] {
            assert_eq!(source(process, made), Ipv4Addr::from(expected));
        }
    }

    #[test]
    fn a_connection_comes_from_its_source() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(listener.accept().unwrap().1, stream.local_addr().unwrap());
        assert!(stream.local_addr().unwrap().ip().is_loopback() && stream.nodelay().unwrap());
    }
}
