//! One upload of lines: as many as are asked for, on one connection, as fast as the hub takes them; and the answer, which
//! comes when all of them are on disk.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde::Deserialize;

use super::hub_process::Hub;
use super::publisher::data;
use super::setup::events_path;
use super::{BenchError, ENV, TENANT};
use crate::proc_stat::now_ns;

/// How long the hub may take to take more, and to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much is written at once, in bytes.
const BLOCK_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct Answer {
    count: Option<u64>,
}

/// Uploads events to the first thread: how long it took, in nanoseconds, from the first byte to the answer.
///
/// # Errors
/// When the hub refuses, or has not written all of them.
pub(crate) fn upload(hub: &Hub, events: u64, bytes: usize) -> Result<u64, BenchError> {
    let addr = hub.server.addr;
    let line = format!("{{\"type\":\"bench\",\"data\":{}}}\n", data(bytes));
    let lines_of_block = (BLOCK_BYTES / line.len()).max(1) as u64;
    let block = line.repeat(usize::try_from(lines_of_block).unwrap_or(1));
    let mut socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {}\r\nX-Tenant-Id: {TENANT}\r\nX-Env: {ENV}\r\n\
         Content-Type: application/x-ndjson\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        events_path(0),
        hub.token,
        line.len() as u64 * events
    );
    let began = now_ns();
    socket.write_all(head.as_bytes())?;
    let mut left = events;
    while left > 0 {
        let lines = left.min(lines_of_block);
        let written = socket.write_all(&block.as_bytes()[..line.len() * usize::try_from(lines).unwrap_or(0)]);
        if written.is_err() {
            // What the hub has to say about it is there to be read.
            break;
        }
        left -= lines;
    }
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    let took = now_ns() - began;
    let body = memchr::memmem::find(&answer, b"\r\n\r\n").map_or(&[][..], |end| &answer[end + 4..]);
    match serde_json::from_slice(body) {
        Ok(Answer { count: Some(count) }) if count == events => Ok(took),
        _ => Err(BenchError::Refused(String::from_utf8_lossy(&answer).into_owned())),
    }
}
