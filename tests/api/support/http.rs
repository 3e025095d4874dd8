//! A small HTTP/1.1 client over a plain socket: whatever bytes a test wants, and what comes back as it came.
//!
//! It is lenient with nothing: an answer that is not framed as HTTP says fails the test.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::WITHIN;
use super::tls::Channel;
use super::token::{ENV, TENANT, token};

/// A request before it is bytes.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

impl Ask {
    /// A request without identity.
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: None }
    }

    /// A request by a member of the tests' tenant.
    pub(crate) fn by(sub: &str, method: &str, path: &str) -> Self {
        Self::new(method, path)
            .with("authorization", &format!("Bearer {}", token(sub, "member")))
            .with("x-tenant-id", TENANT)
            .with("x-env", ENV)
    }

    /// A request for an SSE stream.
    pub(crate) fn stream(sub: &str, path: &str) -> Self {
        Self::by(sub, "GET", path).with("accept", "text/event-stream")
    }

    /// Puts a header in the place of those of its name.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    /// Adds a header, also if there is one of its name.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes away the headers of a name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(given, _)| given != name);
        self
    }

    /// Whether there is a header.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given == name)
    }

    /// Asks to become a WebSocket.
    pub(crate) fn upgrade(self) -> Self {
        self.with("connection", "Upgrade")
            .with("upgrade", "websocket")
            .with("sec-websocket-version", "13")
            .with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// Sends JSON.
    pub(crate) fn json(mut self, body: impl std::fmt::Display) -> Self {
        self.body = Some(body.to_string());
        self.with("content-type", "application/json")
    }

    /// Sends lines, whose end is not known yet: the body follows in chunks.
    pub(crate) fn lines(self) -> Self {
        self.with("content-type", "application/x-ndjson").with("transfer-encoding", "chunked")
    }

    /// Adds to the query.
    pub(crate) fn query(mut self, pair: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(pair);
        self
    }

    /// The request as bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.has("host") {
            text.push_str("host: hub.test\r\n");
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(self.body.as_deref().unwrap_or_default());
        text.into_bytes()
    }

    /// Sends it on a connection of its own, and reads the answer to its end.
    #[track_caller]
    pub(crate) fn send(&self, addr: SocketAddr) -> Answer {
        let mut connection = Connection::open(addr);
        connection.send(&self.bytes());
        let answer = connection.answer();
        super::described::check(self, &answer);
        answer
    }
}

/// A status line, headers and a body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The one value of a header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} is there more than once: {self:?}");
        value
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Status and `code` of a refusal; everything that every refusal has is checked, and that it has no more.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (u16, String) {
        self.refusal_with(&[])
    }

    /// Why a page's cursor can't be honoured; everything that such a refusal has is checked.
    #[track_caller]
    pub(crate) fn gone(&self) -> String {
        assert_eq!(self.refusal_with(&["cursor", "newest", "oldest", "reason"]), (410, "cursor.gone".to_owned()));
        self.json()["reason"].as_str().unwrap().to_owned()
    }

    /// The same of a refusal with more members.
    #[track_caller]
    pub(crate) fn refusal_with(&self, more: &[&str]) -> (u16, String) {
        assert!(self.status >= 400, "not a refusal: {} {}", self.status, self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let problem = self.json();
        let fields: BTreeSet<&str> = problem.as_object().unwrap().keys().map(String::as_str).collect();
        let of_all = ["code", "detail", "request_id", "status", "title", "type"];
        assert_eq!(fields, of_all.iter().chain(more).copied().collect());
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["type"], format!("urn:tambour:problem:{code}"));
        assert!(!problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty());
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        assert!(self.header("x-trace-id").is_some());
        assert_eq!(self.header("www-authenticate").is_some(), self.status == 401, "{self:?}");
        (self.status, code)
    }
}

/// A chunk of a body as bytes.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A connection to a hub.
pub(crate) struct Connection {
    socket: Channel,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    #[track_caller]
    pub(crate) fn open(addr: SocketAddr) -> Self {
        Self::try_open(addr).unwrap()
    }

    /// Connects, if somebody listens.
    pub(crate) fn try_open(addr: SocketAddr) -> io::Result<Self> {
        TcpStream::connect_timeout(&addr, WITHIN).map(Self::over)
    }

    /// Over a socket that is connected.
    pub(crate) fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(WITHIN)).unwrap();
        socket.set_write_timeout(Some(WITHIN)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self::on(Channel::over(socket))
    }

    /// On a channel of the test's making.
    pub(crate) fn on(socket: Channel) -> Self {
        Self { socket, buffer: Vec::new() }
    }

    /// What it writes to and reads from.
    pub(crate) fn channel(&mut self) -> &mut Channel {
        &mut self.socket
    }

    /// Writes bytes, in one segment if they are few.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).and_then(|()| self.socket.flush()).unwrap();
    }

    /// Writes a chunk of a body (RFC 9112, section 7.1). An empty one is its end.
    #[track_caller]
    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        self.send(&chunk(bytes));
    }

    /// Writes bytes to a hub that may have hung up.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).and_then(|()| self.socket.flush()).is_ok()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) {
        self.socket.finish();
    }

    /// Whether something has come, or the end.
    pub(crate) fn readable(&self) -> bool {
        self.socket.tcp().set_nonblocking(true).unwrap();
        let peeked = self.socket.tcp().peek(&mut [0]);
        self.socket.tcp().set_nonblocking(false).unwrap();
        !self.buffer.is_empty() || !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Ends the connection as a client that crashed: by a reset, and what was not read yet is lost.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(self.socket.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// How long it waits for bytes, instead of [`WITHIN`].
    pub(crate) fn patience(&self, most: Duration) {
        self.socket.tcp().set_read_timeout(Some(most)).unwrap();
    }

    /// Reads what has come, at least a byte; 0 at the end. A reset is an end, and so is TLS that was cut off.
    fn try_fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16 * 1024];
        match self.socket.read(&mut piece) {
            Ok(read) => {
                self.buffer.extend_from_slice(&piece[..read]);
                Ok(read)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
                ) =>
            {
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Self::try_fill`], where the end comes too early.
    fn need(&mut self) -> io::Result<()> {
        match self.try_fill()? {
            0 => Err(io::Error::new(ErrorKind::UnexpectedEof, "it ends too early")),
            _ => Ok(()),
        }
    }

    /// What `read` gives, or the test fails with what came so far.
    #[track_caller]
    fn sure<T>(&mut self, read: impl FnOnce(&mut Self) -> io::Result<T>) -> T {
        match read(self) {
            Ok(read) => read,
            Err(error) => panic!("{error}, and so far: {}", String::from_utf8_lossy(&self.buffer)),
        }
    }

    /// The next bytes, at least one, or none at the end.
    pub(crate) fn try_some(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.try_fill()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// The next bytes, at least one, or none at the end.
    #[track_caller]
    pub(crate) fn some(&mut self) -> Vec<u8> {
        self.sure(Self::try_some)
    }

    fn try_exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < bytes {
            self.need()?;
        }
        let rest = self.buffer.split_off(bytes);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Exactly so many bytes.
    #[track_caller]
    pub(crate) fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        self.sure(|connection| connection.try_exactly(bytes))
    }

    fn try_rest(&mut self) -> io::Result<Vec<u8>> {
        while self.try_fill()? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Everything to the end.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.sure(Self::try_rest)
    }

    /// Status and headers, on a connection that may break. What is no HTTP fails the test all the same.
    #[track_caller]
    pub(crate) fn try_head(&mut self) -> io::Result<Answer> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.need()?;
        };
        let head = String::from_utf8(self.try_exactly(end + 4)?).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap();
        let status = status.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Ok(Answer { status: status.unwrap_or_else(|| panic!("{head}")), headers: headers.collect(), body: Vec::new() })
    }

    /// Status and headers.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Answer {
        self.sure(Self::try_head)
    }

    /// Status, headers and body, on a connection that may break.
    #[track_caller]
    pub(crate) fn try_answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.try_head()?;
        answer.body = match answer.header("content-length").map(|length| length.parse().unwrap()) {
            Some(length) => self.try_exactly(length)?,
            None if answer.header("transfer-encoding").is_some() => self.try_chunks()?,
            None if matches!(answer.status, 101 | 204 | 304) => Vec::new(),
            None => self.try_rest()?,
        };
        Ok(answer)
    }

    /// Status, headers and body.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        self.sure(Self::try_answer)
    }

    /// The next chunk of a body in chunks; the last one is empty. `None`: it was cut before that.
    #[track_caller]
    pub(crate) fn read_chunk(&mut self) -> Option<Vec<u8>> {
        self.try_chunk().ok()
    }

    #[track_caller]
    fn try_chunk(&mut self) -> io::Result<Vec<u8>> {
        let mut size = Vec::new();
        while !size.ends_with(b"\r\n") {
            size.extend(self.try_exactly(1)?);
        }
        let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim_end(), 16).unwrap();
        let chunk = self.try_exactly(size)?;
        assert_eq!(self.try_exactly(2)?, b"\r\n", "behind a chunk");
        Ok(chunk)
    }

    #[track_caller]
    fn try_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let chunk = self.try_chunk()?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }
}

/// Creates a thread as `sub`.
#[track_caller]
pub(crate) fn create(addr: SocketAddr, sub: &str, id: &str) -> Value {
    Ask::by(sub, "POST", "/v1/threads").json(serde_json::json!({ "id": id })).send(addr).ok(201)
}

/// Publishes one event, and returns its cursor and seq.
#[track_caller]
pub(crate) fn publish(addr: SocketAddr, sub: &str, id: &str, data: &Value) -> (String, u64) {
    let body = serde_json::json!({ "type": "note", "data": data });
    let path = format!("/v1/threads/{id}/events");
    let answer = Ask::by(sub, "POST", &path).json(body).send(addr).ok(201);
    (answer["id"].as_str().unwrap().to_owned(), answer["seq"].as_u64().unwrap())
}
