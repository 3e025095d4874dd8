//! An SSE reader: a stream's head, then its events one by one, then its end.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;
use tambour::cli::sse_parser::{SseEvent, SseParser};

use super::http::{Ask, Connection};

/// A stream that is being read.
pub(crate) struct Stream {
    /// The data of the first block.
    pub(crate) connected: Value,
    connection: Connection,
    /// Somebody on the way cut the stream into chunks, so that its end can be told from a connection that broke.
    chunked: bool,
    broken: bool,
    parser: SseParser,
    events: VecDeque<SseEvent>,
}

impl Stream {
    /// Opens a stream; what comes first is checked.
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr, ask: &Ask) -> Self {
        let mut connection = Connection::open(addr);
        connection.send(&ask.bytes());
        Self::over(connection)
    }

    /// Reads the stream that was asked for on a connection.
    #[track_caller]
    pub(crate) fn over(mut connection: Connection) -> Self {
        let head = connection.head();
        assert_eq!(head.status, 200, "{head:?} {}", String::from_utf8_lossy(&connection.some()));
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        let chunked = head.header("transfer-encoding") == Some("chunked");
        let parser = SseParser::new("");
        let (connected, events) = (Value::Null, VecDeque::new());
        let mut stream = Self { connected, connection, chunked, broken: false, parser, events };
        let first = stream.next().expect("a stream begins with `connected`");
        assert_eq!(first.name, "connected");
        stream.connected = serde_json::from_str(&first.data).unwrap();
        assert_eq!(stream.connected["cursor"], first.id);
        stream
    }

    /// The next event of the hub or of the log; `None` at the end of the stream.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<SseEvent> {
        while self.events.is_empty() {
            let bytes = self.bytes();
            if bytes.is_empty() {
                return None;
            }
            self.events.extend(self.parser.feed(&bytes).unwrap());
        }
        self.events.pop_front()
    }

    /// What comes next, comments too; nothing at the end of the stream.
    #[track_caller]
    fn bytes(&mut self) -> Vec<u8> {
        if !self.chunked {
            return self.connection.some();
        }
        let chunk = self.connection.read_chunk();
        self.broken = chunk.is_none();
        chunk.unwrap_or_default()
    }

    /// Reads on until so many comments have come; no event may come meanwhile.
    #[track_caller]
    pub(crate) fn comments(&mut self, count: usize) {
        let mut came = Vec::new();
        while String::from_utf8_lossy(&came).matches(": keep-alive\n\n").count() < count {
            let bytes = self.bytes();
            assert!(!bytes.is_empty(), "the stream goes on");
            came.extend(bytes);
        }
        let events = self.parser.feed(&came).unwrap();
        assert!(events.is_empty() && self.events.is_empty(), "{events:?}");
    }

    /// Whether the end was that of the connection, with something missing.
    pub(crate) fn broken(&self) -> bool {
        self.broken
    }

    /// The next one, as name and JSON.
    #[track_caller]
    pub(crate) fn named(&mut self) -> (String, Value) {
        let event = self.next().expect("the stream goes on");
        (event.name, serde_json::from_str(&event.data).unwrap())
    }

    /// The next one, an event of the log, as JSON. Its id and name are checked against it.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Value {
        let event = self.next().expect("the stream goes on");
        let json: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(json["id"], event.id, "{event:?}");
        assert_eq!(json["type"], event.name.trim_start_matches('_'), "{event:?}");
        json
    }

    /// The id to resume from.
    pub(crate) fn last_event_id(&self) -> &str {
        self.parser.last_event_id()
    }

    /// The last `retry`.
    pub(crate) fn retry_ms(&self) -> Option<u64> {
        self.parser.retry_ms()
    }

    /// The connection below.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
