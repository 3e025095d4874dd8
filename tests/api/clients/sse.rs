//! An EventSource, with threads instead of a browser: `Last-Event-ID`, and the URL of its first request for ever.
//!
//! It never thinks of a cursor of its own: it has what the parser of the stream has.

use std::io::ErrorKind;
use std::net::SocketAddr;

use serde_json::Value;
use tambour::cli::sse_parser::{SseEvent, SseParser};

use super::{Event, GLANCE, Parting, Reading, Way};
use crate::support::http::{Ask, Connection};

/// One thread over SSE.
pub(crate) const SSE: Way = Way { name: "SSE", visit, many: false, fold: false, named: true };
/// The same, with appends folded.
pub(crate) const SSE_FOLDED: Way = Way { name: "SSE, folded", fold: true, ..SSE };

fn visit(way: Way, addr: SocketAddr, sub: &str, readings: &mut [Reading]) -> Parting {
    let [reading] = readings else { panic!("one thread") };
    let id = reading.cursor.clone().unwrap_or_default();
    let Ok(mut connection) = Connection::try_open(addr) else { return Parting::Shut };
    if !connection.try_send(&ask(way, sub, &reading.thread, &id).bytes()) {
        return Parting::Shut;
    }
    let Ok(head) = connection.try_head() else { return Parting::Shut };
    match (head.status, head.header("content-type")) {
        (200, Some("text/event-stream")) => {}
        (503, _) => return Parting::Shut,
        other => panic!("{other:?}"),
    }
    connection.patience(GLANCE);
    let mut stream = Stream { parser: SseParser::new(&id), reading, named: way.named, told: false };
    while !stream.reading.done() {
        match connection.try_some() {
            Ok(bytes) if bytes.is_empty() => return stream.ended(),
            Ok(bytes) => stream.came(&bytes),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return stream.ended(),
        }
    }
    Parting::Done
}

fn ask(way: Way, sub: &str, thread: &str, id: &str) -> Ask {
    let mut ask = Ask::stream(sub, &format!("/v1/threads/{thread}/events?after=earliest"));
    if way.fold {
        ask = ask.query("fold=true");
    }
    if !way.named {
        ask = ask.query("named=false");
    }
    if id.is_empty() { ask } else { ask.with("last-event-id", id) }
}

struct Stream<'a> {
    parser: SseParser,
    reading: &'a mut Reading,
    /// Events come under their types.
    named: bool,
    /// The hub said that it goes.
    told: bool,
}

impl Stream<'_> {
    fn came(&mut self, bytes: &[u8]) {
        for event in self.parser.feed(bytes).unwrap() {
            assert!(!self.told, "nothing comes behind the goodbye: {event:?}");
            self.take(&event);
        }
        // What counts is the id of the last whole block, also when it was no event of the log.
        if !self.parser.last_event_id().is_empty() {
            self.reading.reach(self.parser.last_event_id());
        }
    }

    fn take(&mut self, event: &SseEvent) {
        match event.name.as_str() {
            "connected" => {
                let connected: Value = serde_json::from_str(&event.data).unwrap();
                let asked = self.reading.cursor.as_ref();
                assert_eq!(connected["cursor"], event.id);
                assert!(asked.is_none_or(|asked| *asked == event.id), "asked for {asked:?}: {event:?}");
            }
            "reconnect" | "refused" => self.told = true,
            name => {
                let came: Event<'_> = serde_json::from_str(&event.data).unwrap_or_else(|e| panic!("{e}: {event:?}"));
                let kind = if self.named { name.trim_start_matches('_') } else { &came.kind };
                assert_eq!((&*came.kind, came.place()), (kind, event.id.as_str()), "{event:?}");
                assert!(self.named || name == "message", "{event:?}");
                self.reading.take(&came);
            }
        }
    }

    /// Whoever is sent away is told for how long, unless that was cut off, too.
    fn ended(self) -> Parting {
        if self.told && self.parser.retry_ms().is_some() { Parting::Told } else { Parting::Sudden }
    }
}
