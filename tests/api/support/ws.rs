//! A WebSocket client that is not the hub's own work: `tungstenite`, and JSON.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::handshake::client::Request;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{HandshakeError, Message, Utf8Bytes, WebSocket};

use super::WITHIN;
use super::http::Ask;
use super::tls::Channel;

/// A connection.
pub(crate) struct Ws {
    socket: WebSocket<Channel>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Shut {
    /// It broke, or nobody listens.
    Broken,
    /// The upgrade was refused with this status.
    Refused(u16),
}

/// What came.
#[derive(Debug, PartialEq)]
pub(crate) enum Came {
    /// A frame of the protocol.
    Frame(Value),
    /// A close frame with this code.
    Closed(u16),
    /// The end without one.
    Eof,
}

impl Ws {
    /// Upgrades with the headers of a request.
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr, ask: &Ask) -> Self {
        match Self::try_open(addr, ask, WITHIN) {
            Ok(ws) => ws,
            Err(shut) => panic!("{shut:?}"),
        }
    }

    /// Upgrades on a connection that may break, and from then on waits at most `patience` for bytes.
    pub(crate) fn try_open(addr: SocketAddr, ask: &Ask, patience: Duration) -> Result<Self, Shut> {
        let broken = |_| Shut::Broken;
        let socket = TcpStream::connect_timeout(&addr, WITHIN).map_err(broken)?;
        socket.set_read_timeout(Some(WITHIN)).map_err(broken)?;
        let mut request = Request::builder().uri(format!("ws://{addr}{}", ask.path));
        for (name, value) in ask.clone().with("host", &addr.to_string()).upgrade().headers {
            request = request.header(name, value);
        }
        let config = WebSocketConfig::default();
        match tungstenite::client::client_with_config(request.body(()).unwrap(), Channel::over(socket), Some(config)) {
            Ok((socket, answer)) => {
                assert_eq!(answer.status(), 101);
                socket.get_ref().tcp().set_read_timeout(Some(patience)).map_err(broken)?;
                Ok(Self { socket })
            }
            Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(Shut::Refused(answer.status().as_u16()))
            }
            Err(_) => Err(Shut::Broken),
        }
    }

    /// `/v1/ws` as a member, welcomed.
    #[track_caller]
    pub(crate) fn session(addr: SocketAddr, sub: &str) -> Self {
        let mut ws = Self::open(addr, &Ask::by(sub, "GET", "/v1/ws"));
        ws.expect("welcome");
        ws
    }

    /// Sends a frame.
    #[track_caller]
    pub(crate) fn send(&mut self, frame: &Value) {
        assert!(self.try_send(frame), "the hub has hung up");
    }

    /// Sends a frame to a hub that may have hung up.
    pub(crate) fn try_send(&mut self, frame: &Value) -> bool {
        self.try_send_text(frame.to_string())
    }

    /// Sends a text to a hub that may have hung up.
    pub(crate) fn try_send_text(&mut self, text: String) -> bool {
        self.socket.send(Message::text(text)).is_ok()
    }

    /// What comes next. Pings are answered on the way.
    #[track_caller]
    pub(crate) fn came(&mut self) -> Came {
        self.try_came().expect("nothing came")
    }

    /// What comes next, or `None` when the patience is at its end.
    #[track_caller]
    pub(crate) fn try_came(&mut self) -> Option<Came> {
        let came = self.try_text()?;
        Some(came.map_or_else(|end| end, |text| Came::Frame(serde_json::from_str(&text).unwrap())))
    }

    /// The text that comes next, or how the connection ended; `None` when the patience is at its end.
    #[track_caller]
    pub(crate) fn try_text(&mut self) -> Option<Result<Utf8Bytes, Came>> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(Ok(text)),
                Ok(Message::Close(close)) => {
                    return Some(Err(Came::Closed(close.map_or(1005, |close| close.code.into()))));
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => panic!("the hub sent {other:?}"),
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
                Err(_) => return Some(Err(Came::Eof)),
            }
        }
    }

    /// Waits until the hub has pinged so many times; nothing else may come meanwhile. Each is answered.
    #[track_caller]
    pub(crate) fn pings(&mut self, count: usize) {
        for _ in 0..count {
            let came = self.socket.read().unwrap();
            assert!(came.is_ping(), "{came:?}");
            self.socket.flush().unwrap();
        }
    }

    /// The next frame, of which `t` is known.
    #[track_caller]
    pub(crate) fn expect(&mut self, t: &str) -> Value {
        match self.came() {
            Came::Frame(frame) => {
                assert_eq!(frame["t"], t, "{frame}");
                frame
            }
            other => panic!("{t} was to come, and not {other:?}"),
        }
    }

    /// The next frame, an event of the log.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Value {
        self.expect("event")["event"].take()
    }

    /// The next frame, an error: its code.
    #[track_caller]
    pub(crate) fn error(&mut self) -> String {
        self.expect("error")["code"].as_str().unwrap().to_owned()
    }

    /// The next thing, a close frame: its code.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> u16 {
        match self.came() {
            Came::Closed(code) => code,
            other => panic!("a close was to come, and not {other:?}"),
        }
    }

    /// Subscribes, and returns the answer.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, topic: &str, start: &Value) -> Value {
        let mut frame = json!({"t": "subscribe", "topic": topic});
        for (name, value) in start.as_object().unwrap() {
            frame[name] = value.clone();
        }
        self.send(&frame);
        self.expect("subscribed")
    }
}
