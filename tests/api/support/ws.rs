//! A WebSocket client that is not the hub's own work: `tungstenite`, and JSON.

use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tungstenite::handshake::client::Request;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use super::WITHIN;
use super::http::Ask;
use super::tls::Channel;

/// A connection.
pub(crate) struct Ws {
    socket: WebSocket<Channel>,
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
        let socket = TcpStream::connect_timeout(&addr, WITHIN).unwrap();
        socket.set_read_timeout(Some(WITHIN)).unwrap();
        let mut request = Request::builder().uri(format!("ws://{addr}{}", ask.path));
        for (name, value) in ask.clone().with("host", &addr.to_string()).upgrade().headers {
            request = request.header(name, value);
        }
        let config = WebSocketConfig::default();
        let (socket, answer) =
            tungstenite::client::client_with_config(request.body(()).unwrap(), Channel::over(socket), Some(config))
                .unwrap();
        assert_eq!(answer.status(), 101);
        Self { socket }
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
        self.socket.send(Message::text(frame.to_string())).unwrap();
    }

    /// What comes next. Pings are answered on the way.
    #[track_caller]
    pub(crate) fn came(&mut self) -> Came {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Came::Frame(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(close)) => return Came::Closed(close.map_or(1005, |close| close.code.into())),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => panic!("the hub sent {other:?}"),
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing came")
                }
                Err(_) => return Came::Eof,
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
