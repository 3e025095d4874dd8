//! Sockets of the load generator: sources that do not run out of ports, and the limit on open
//! files. Nothing else of a socket is tuned. Never speaks a protocol.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

/// Connections that share a source address: well below the 28,000 ports that it has.
const CONNECTIONS_PER_SOURCE: usize = 10_000;
/// Open files that are asked for: what the kernel allows one process at most.
const OPEN_FILES_MAX: u64 = 1 << 20;
/// Files that a process needs beside the connections of a run.
const FILES_BESIDE: u64 = 200;

/// Connects the `index`th socket of a run, from 127.0.0.1, then 127.0.0.2, and so on.
///
/// # Errors
/// What the kernel says.
pub(crate) fn connect(addr: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let source = 1 + u8::try_from(index / CONNECTIONS_PER_SOURCE).unwrap_or(u8::MAX - 1);
    let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, source), 0);
    socket.bind(&SocketAddr::V4(source).into())?;
    socket.connect(&addr.into())?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// The same, for an event loop.
///
/// # Errors
/// What the kernel says.
pub(crate) fn connect_nonblocking(addr: SocketAddr, index: usize) -> io::Result<mio::net::TcpStream> {
    let stream = connect(addr, index)?;
    stream.set_nonblocking(true)?;
    Ok(mio::net::TcpStream::from_std(stream))
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
