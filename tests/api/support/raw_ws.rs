//! A WebSocket client that does what it should not: frames byte by byte.

use std::net::SocketAddr;

use serde_json::Value;

use super::http::{Ask, Connection};

/// Bits of a frame's first byte (RFC 6455, section 5.2).
pub(crate) const TEXT: u8 = 0x81;
/// A text that goes on.
pub(crate) const TEXT_BEGINS: u8 = 0x01;
/// More of it.
pub(crate) const MORE: u8 = 0x00;
/// The last of it.
pub(crate) const LAST: u8 = 0x80;
/// Bytes that are no text.
pub(crate) const BINARY: u8 = 0x82;
/// The end.
pub(crate) const CLOSE: u8 = 0x88;
/// A ping.
pub(crate) const PING: u8 = 0x89;
/// Its answer.
pub(crate) const PONG: u8 = 0x8a;

/// The header of a masked frame that announces so many bytes.
pub(crate) fn announce(first: u8, bytes: u64) -> Vec<u8> {
    let mut head = vec![first];
    match bytes {
        0..126 => head.push(0x80 | u8::try_from(bytes).unwrap()),
        126..65_536 => {
            head.push(0x80 | 126);
            head.extend(u16::try_from(bytes).unwrap().to_be_bytes());
        }
        _ => {
            head.push(0x80 | 127);
            head.extend(bytes.to_be_bytes());
        }
    }
    head.extend([7, 9, 11, 13]);
    head
}

/// A masked frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = announce(first, payload.len() as u64);
    frame.extend(payload.iter().zip([7, 9, 11, 13].iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A connection after its upgrade.
pub(crate) struct RawWs(pub(crate) Connection);

impl RawWs {
    /// Upgrades, with `behind` in the same segment.
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr, ask: &Ask, behind: &[u8]) -> Self {
        let mut connection = Connection::open(addr);
        connection.send(&[ask.clone().upgrade().bytes(), behind.to_vec()].concat());
        Self::over(connection)
    }

    /// On a connection on which the upgrade was asked for.
    #[track_caller]
    pub(crate) fn over(mut connection: Connection) -> Self {
        let head = connection.head();
        assert_eq!(head.status, 101, "{head:?}");
        assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Self(connection)
    }

    /// A session on `/v1/ws`, welcomed.
    #[track_caller]
    pub(crate) fn session(addr: SocketAddr, sub: &str) -> Self {
        let mut ws = Self::open(addr, &Ask::by(sub, "GET", "/v1/ws"), b"");
        assert_eq!(ws.json()["t"], "welcome");
        ws
    }

    /// Opcode and payload of the next frame of the hub, which must be whole and unmasked.
    #[track_caller]
    pub(crate) fn next(&mut self) -> (u8, Vec<u8>) {
        let head = self.0.exactly(2);
        assert_eq!((head[0] & 0xf0, head[1] & 0x80), (0x80, 0), "final, no extension, not masked");
        let length = match head[1] {
            126 => usize::from(u16::from_be_bytes(self.0.exactly(2).try_into().unwrap())),
            127 => usize::try_from(u64::from_be_bytes(self.0.exactly(8).try_into().unwrap())).unwrap(),
            short => usize::from(short),
        };
        (head[0] & 0x0f, self.0.exactly(length))
    }

    /// The next frame as JSON.
    #[track_caller]
    pub(crate) fn json(&mut self) -> Value {
        let (opcode, payload) = self.next();
        assert_eq!(opcode, 1, "{}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).unwrap()
    }

    /// The code of a close frame that comes next, behind which nothing comes.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> u16 {
        let (opcode, payload) = self.next();
        assert_eq!(opcode, 8, "{}", String::from_utf8_lossy(&payload));
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        self.0.finish();
        assert_eq!(self.0.rest(), b"", "nothing comes behind a close frame");
        code
    }
}
