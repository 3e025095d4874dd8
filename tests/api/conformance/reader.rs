//! One reader, over each way that a topic can be read: what is the same about them is said the same way.
//!
//! A reader checks what its transport promises beside the events: ids, names, frames, ends.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::http::{Ask, Connection};
use crate::support::sse::Stream;
use crate::support::ws::{Came, Ws};

/// A way to read, and to say where to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Sse,
    SseHeader,
    SseQuery,
    Ws,
    WsThread,
    Poll,
    /// Pages that wait.
    LongPoll,
    /// Pages from the end backwards, where everything is asked for.
    Backwards,
}

/// All of them.
pub(super) const WIRES: [Wire; 8] =
    [Wire::Sse, Wire::SseHeader, Wire::SseQuery, Wire::Ws, Wire::WsThread, Wire::Poll, Wire::LongPoll, Wire::Backwards];

/// A thread or a canvas.
#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) id: String,
}

impl Topic {
    /// Of a case on a wire. Each wire reads threads and canvases in turn.
    pub(super) fn of(wire: Wire, index: usize) -> Self {
        let of_wire = WIRES.iter().position(|known| *known == wire).unwrap();
        let (kind, plural) =
            if (of_wire + index).is_multiple_of(2) { ("thread", "threads") } else { ("canvas", "canvases") };
        Self { kind, plural, id: format!("{wire:?}-{index}") }
    }

    pub(super) fn path(&self, behind: &str) -> String {
        format!("/v1/{}/{}{behind}", self.plural, self.id)
    }

    fn name(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }
}

/// Where a reader begins.
#[derive(Debug, Clone)]
pub(super) enum Begin {
    Head,
    Last(u64),
    After(String),
}

impl Begin {
    fn query(&self, after: &str) -> Option<String> {
        match self {
            Self::Head => None,
            Self::Last(count) => Some(format!("last={count}")),
            Self::After(cursor) => Some(format!("{after}={cursor}")),
        }
    }

    fn is_cursor(&self) -> bool {
        matches!(self, Self::After(cursor) if cursor != "earliest")
    }
}

/// A topic's events as they come to one reader.
pub(super) enum Reader {
    Sse(Box<Stream>),
    Ws {
        ws: Ws,
        topic: String,
        sole: bool,
    },
    Poll(Poll),
    /// 204: everything was read before.
    Over,
}

/// Who asks for pages.
pub(super) struct Poll {
    addr: SocketAddr,
    path: String,
    /// Behind which cursor the next page starts.
    next: String,
    came: VecDeque<Value>,
    oldest: Value,
    newest: Value,
    waits: bool,
}

type Refused = (u16, String);

impl Reader {
    /// Starts to read, or says how that was refused.
    pub(super) fn open(addr: SocketAddr, wire: Wire, topic: &Topic, begin: &Begin) -> Result<Self, Refused> {
        let path = topic.path("/events");
        match wire {
            Wire::Sse => Self::sse(addr, &with_query(Ask::stream("bob", &path), begin.query("after"))),
            Wire::SseQuery => Self::sse(addr, &with_query(Ask::stream("bob", &path), begin.query("last_event_id"))),
            Wire::SseHeader => match begin {
                // The header wins over what an EventSource keeps asking for by its URL.
                Begin::After(cursor) if begin.is_cursor() => {
                    Self::sse(addr, &Ask::stream("bob", &path).query("after=earliest").with("last-event-id", cursor))
                }
                _ => Self::sse(addr, &with_query(Ask::stream("bob", &path), begin.query("after"))),
            },
            Wire::Ws => Self::ws(addr, topic, begin),
            Wire::WsThread => Self::ws_thread(addr, topic, begin),
            Wire::Poll => Poll::open(addr, path, begin, false).map(Self::Poll),
            Wire::LongPoll => Poll::open(addr, path, begin, true).map(Self::Poll),
            Wire::Backwards => Poll::backwards(addr, path, begin).map(Self::Poll),
        }
    }

    fn sse(addr: SocketAddr, ask: &Ask) -> Result<Self, Refused> {
        let mut connection = Connection::open(addr);
        connection.send(&ask.bytes());
        let status = connection.some();
        if status.starts_with(b"HTTP/1.1 200") {
            // Asked again, so that the stream is read from its first byte.
            return Ok(Self::Sse(Box::new(Stream::open(addr, ask))));
        }
        let answer = ask.send(addr);
        if answer.status == 204 {
            return Ok(Self::Over);
        }
        Err(answer.refusal())
    }

    fn ws(addr: SocketAddr, topic: &Topic, begin: &Begin) -> Result<Self, Refused> {
        let topic = topic.name();
        let mut ws = Ws::session(addr, "bob");
        let mut frame = json!({ "t": "subscribe", "topic": topic, "ref": 7 });
        match begin {
            Begin::Head => {}
            Begin::Last(count) => frame["last"] = json!(count),
            Begin::After(cursor) => frame["after"] = json!(cursor),
        }
        ws.send(&frame);
        match ws.came() {
            Came::Frame(answer) if answer["t"] == "error" => {
                assert_eq!(answer["ref"], 7);
                let status = u16::try_from(answer["status"].as_u64().unwrap()).unwrap();
                Err((status, answer["code"].as_str().unwrap().to_owned()))
            }
            Came::Frame(answer) => {
                assert_eq!(
                    (&answer["t"], &answer["ref"], &answer["topic"]),
                    (&json!("subscribed"), &json!(7), &json!(topic))
                );
                Ok(Self::Ws { ws, topic, sole: false })
            }
            other => panic!("{other:?}"),
        }
    }

    fn ws_thread(addr: SocketAddr, topic: &Topic, begin: &Begin) -> Result<Self, Refused> {
        let ask = with_query(Ask::by("bob", "GET", &topic.path("/ws")), begin.query("after"));
        let mut connection = Connection::open(addr);
        connection.send(&ask.clone().upgrade().bytes());
        if !connection.some().starts_with(b"HTTP/1.1 101") {
            return Err(ask.upgrade().send(addr).refusal());
        }
        let mut ws = Ws::open(addr, &ask);
        ws.expect("welcome");
        ws.expect("subscribed");
        Ok(Self::Ws { ws, topic: topic.name(), sole: true })
    }

    /// Whether there was nothing to read any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// The next so many events: their seqs. Their ids, routing and order are checked.
    pub(super) fn take(&mut self, count: usize) -> Vec<u64> {
        let seqs = (0..count).map(|_| {
            let event = match self {
                Self::Sse(stream) => stream.event(),
                Self::Ws { ws, topic, .. } => {
                    let frame = ws.expect("event");
                    assert_eq!(frame["topic"], *topic);
                    frame["event"].clone()
                }
                Self::Poll(poll) => poll.event(),
                Self::Over => panic!("nothing can be read"),
            };
            let seq = event["seq"].as_u64().unwrap();
            assert!(event["id"].as_str().unwrap().ends_with(&format!(".{seq}")), "{event}");
            seq
        });
        seqs.collect()
    }

    /// The reader is told what it missed. A page says 410, and whoever asks begins anew.
    pub(super) fn gap(&mut self, addr: SocketAddr, reason: &str, requested: &str, what: &str) {
        let gap = match self {
            Self::Sse(stream) => {
                assert_eq!(stream.connected["cursor"], requested, "{what}: who drops now is told again");
                let (name, gap) = stream.named();
                assert_eq!(name, "gap", "{what}");
                gap
            }
            Self::Ws { ws, .. } => ws.expect("gap"),
            Self::Poll(poll) => return poll.gone(addr, reason, requested, what),
            Self::Over => panic!("{what}: nothing can be read"),
        };
        assert_eq!((&gap["reason"], &gap["requested"]), (&json!(reason), &json!(requested)), "{what}");
        let seq = |cursor: &Value| cursor.as_str().unwrap().split('.').nth(1).unwrap().parse::<u64>().unwrap();
        assert!(seq(&gap["oldest"]) <= seq(&gap["newest"]) + 1, "{what}: {gap}");
    }

    /// The reader's stream ends because the topic was closed.
    pub(super) fn closed(&mut self, what: &str) {
        match self {
            Self::Sse(stream) => assert_eq!(stream.next(), None, "{what}"),
            Self::Ws { ws, topic, sole } => {
                let ended = ws.expect("subscription_ended");
                assert_eq!((&ended["topic"], &ended["reason"]), (&json!(topic), &json!("closed")), "{what}");
                if *sole {
                    assert_eq!(ws.closed(), 1000, "{what}");
                }
            }
            Self::Poll(poll) => assert_eq!(poll.more(), 0, "{what}"),
            Self::Over => {}
        }
    }

    /// The reader's stream ends because the topic is gone.
    pub(super) fn deleted(&mut self, what: &str) {
        match self {
            Self::Sse(stream) => {
                let (name, ended) = stream.named();
                assert_eq!((name.as_str(), &ended["reason"]), ("subscription_ended", &json!("deleted")), "{what}");
                assert_eq!(stream.next(), None, "{what}");
            }
            Self::Ws { ws, topic, sole } => {
                let ended = ws.expect("subscription_ended");
                assert_eq!((&ended["topic"], &ended["reason"]), (&json!(topic), &json!("deleted")), "{what}");
                if *sole {
                    assert_eq!(ws.closed(), 4404, "{what}");
                }
            }
            Self::Poll(poll) => assert_eq!(poll.ask().refusal().0, 404, "{what}"),
            Self::Over => panic!("{what}: it was closed"),
        }
    }

    /// One event more is published, and it is the next that comes.
    pub(super) fn nothing_more(&mut self, addr: SocketAddr, topic: &Topic, what: &str) {
        let ask = Ask::by("alice", "POST", &topic.path("/events")).json(json!({ "type": "note", "data": "the last" }));
        let seq = ask.send(addr).ok(201)["seq"].as_u64().unwrap();
        assert_eq!(self.take(1), [seq], "{what}: nothing came between");
    }
}

fn with_query(ask: Ask, query: Option<String>) -> Ask {
    match query {
        Some(query) => ask.query(&query),
        None => ask,
    }
}

impl Poll {
    fn open(addr: SocketAddr, path: String, begin: &Begin, waits: bool) -> Result<Self, Refused> {
        let (oldest, newest) = (Value::Null, Value::Null);
        let mut poll = Self { addr, path, next: String::new(), came: VecDeque::new(), oldest, newest, waits };
        match begin {
            // A page from the head is one behind the cursor that a page at the end gives.
            Begin::Head => {
                let page = Ask::by("bob", "GET", &poll.path).query("limit=1").send(addr).ok(200);
                page["cursor"].as_str().unwrap().clone_into(&mut poll.next);
            }
            Begin::Last(count) => {
                let answer = Ask::by("bob", "GET", &poll.path).query(&format!("last={count}")).send(addr);
                if answer.status >= 400 {
                    return Err(answer.refusal());
                }
                poll.keep(&answer.json());
            }
            Begin::After(cursor) => {
                cursor.clone_into(&mut poll.next);
                // Only whether it is refused: a poll of nothing would wait.
                let answer = Ask::by("bob", "GET", &poll.path).query(&format!("after={cursor}")).send(addr);
                if answer.status >= 400 && answer.status != 410 {
                    return Err(answer.refusal());
                }
            }
        }
        Ok(poll)
    }

    /// Reads what there is from the end to the oldest, then on as anybody.
    fn backwards(addr: SocketAddr, path: String, begin: &Begin) -> Result<Self, Refused> {
        let mut poll = Self::open(addr, path, begin, false)?;
        if !matches!(begin, Begin::After(cursor) if cursor == "earliest") {
            return Ok(poll);
        }
        let mut query = "limit=7".to_owned();
        let mut events = VecDeque::new();
        loop {
            let page = Ask::by("bob", "GET", &poll.path).query(&query).send(addr).ok(200);
            if events.is_empty() {
                page["cursor"].as_str().unwrap().clone_into(&mut poll.next);
            }
            let older = page["events"].as_array().unwrap();
            older.iter().rev().for_each(|event| events.push_front(event.clone()));
            let Some(first) = older.first() else { break };
            query = format!("limit=50&before={}", first["id"].as_str().unwrap());
        }
        poll.came = events;
        Ok(poll)
    }

    fn ask(&self) -> crate::support::http::Answer {
        let wait = if self.waits { "&wait=2" } else { "" };
        Ask::by("bob", "GET", &self.path).query(&format!("after={}{wait}", self.next)).send(self.addr)
    }

    fn keep(&mut self, page: &Value) {
        page["cursor"].as_str().unwrap().clone_into(&mut self.next);
        self.oldest = page["oldest"].clone();
        self.newest = page["newest"].clone();
        let events = page["events"].as_array().unwrap();
        if let Some(last) = events.last() {
            assert_eq!(last["id"], page["cursor"]);
        }
        assert_eq!(page["has_more"], page["cursor"] != page["newest"]);
        self.came.extend(events.iter().cloned());
    }

    /// Asks for another page: how many events it has.
    fn more(&mut self) -> usize {
        let page = self.ask().ok(200);
        self.keep(&page);
        page["events"].as_array().unwrap().len()
    }

    fn event(&mut self) -> Value {
        if self.came.is_empty() {
            assert!(self.more() > 0, "what is published is on the next page");
        }
        self.came.pop_front().unwrap()
    }

    fn gone(&mut self, addr: SocketAddr, reason: &str, requested: &str, what: &str) {
        assert_eq!(self.next, requested);
        let answer = self.ask();
        assert_eq!(answer.gone(), reason, "{what}");
        self.addr = addr;
        "earliest".clone_into(&mut self.next);
    }
}
