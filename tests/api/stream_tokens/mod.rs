//! Stream tokens: made with a main token, shown in a URL, and what becomes of them.
//!
//! A [`Tab`] is what a browser's `EventSource` is: it knows one URL, and of what came only the last id.

mod ends;
mod issuing;
mod lives;
mod opening;
mod operator;
mod renewing;
mod shared;

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::http::{Answer, Ask};
use crate::support::sse::Stream;

const EVENTS: &str = "/v1/threads/x/events";

/// Asks for a token.
#[track_caller]
fn ask(addr: SocketAddr, sub: &str, body: &Value) -> Answer {
    Ask::by(sub, "POST", "/v1/stream-tokens").json(body).send(addr)
}

/// A new token.
#[track_caller]
fn issue(addr: SocketAddr, sub: &str, body: &Value) -> String {
    ask(addr, sub, body).ok(201)["token"].as_str().unwrap().to_owned()
}

/// A stream request with nothing but a URL.
fn url(path: &str, token: &str) -> Ask {
    Ask::new("GET", path).with("accept", "text/event-stream").query(&format!("token={token}"))
}

/// One `EventSource`.
struct Tab {
    addr: SocketAddr,
    url: Ask,
    last_event_id: String,
    stream: Stream,
}

impl Tab {
    #[track_caller]
    fn open(addr: SocketAddr, path: &str, token: &str) -> Self {
        let url = url(path, token);
        let stream = Stream::open(addr, &url);
        Self { addr, url, last_event_id: String::new(), stream }
    }

    /// The data of the next event of the log.
    #[track_caller]
    fn next(&mut self) -> Value {
        let event = self.stream.event();
        self.last_event_id = self.stream.last_event_id().to_owned();
        event["data"].clone()
    }

    /// What it asks when its connection has ended.
    fn again(&self) -> Ask {
        self.url.clone().with("last-event-id", &self.last_event_id)
    }

    /// Connects again, by itself.
    #[track_caller]
    fn reconnect(&mut self) {
        self.stream = Stream::open(self.addr, &self.again());
    }

    /// It is told that another one goes on in its place, not to come back for a day, and ends.
    #[track_caller]
    fn expect_replaced(&mut self) {
        assert_eq!(self.stream.named(), ("replaced".to_owned(), json!({})));
        assert_eq!(self.stream.retry_ms(), Some(86_400_000));
        assert!(self.stream.next().is_none(), "it ends");
    }
}
