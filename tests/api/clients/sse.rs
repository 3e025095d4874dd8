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
pub(crate) const SSE: Way = Way { name: "SSE", visit: named, many: false };

fn named(addr: SocketAddr, sub: &str, readings: &mut [Reading]) -> Parting {
    thread(addr, sub, readings, "")
}

fn thread(addr: SocketAddr, sub: &str, readings: &mut [Reading], more: &str) -> Parting {
    let [reading] = readings else { panic!("one thread") };
    let ask = Ask::stream(sub, &format!("/v1/threads/{}/events?after=earliest{more}", reading.thread));
    visit(addr, ask, reading, more.is_empty())
}

/// One connection. `named`: events come under their types.
fn visit(addr: SocketAddr, ask: Ask, reading: &mut Reading, named: bool) -> Parting {
    let id = reading.cursor.clone().unwrap_or_default();
    let ask = if id.is_empty() { ask } else { ask.with("last-event-id", &id) };
    let Ok(mut connection) = Connection::try_open(addr) else { return Parting::Shut };
    if !connection.try_send(&ask.bytes()) {
        return Parting::Shut;
    }
    let Ok(head) = connection.try_head() else { return Parting::Shut };
    match (head.status, head.header("content-type")) {
        (200, Some("text/event-stream")) => {}
        (503, _) => return Parting::Shut,
        other => panic!("{other:?}"),
    }
    connection.patience(GLANCE);
    let mut stream = Stream { parser: SseParser::new(&id), reading, named, told: false };
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

struct Stream<'a> {
    parser: SseParser,
    reading: &'a mut Reading,
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
            self.reading.cursor = Some(self.parser.last_event_id().to_owned());
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
                assert_eq!((&*came.kind, &*came.id), (kind, event.id.as_str()), "{event:?}");
                assert!(self.named || name == "message", "{event:?}");
                self.reading.take(&came);
            }
        }
    }

    fn ended(self) -> Parting {
        if self.told {
            assert!(self.parser.retry_ms().is_some(), "whoever is sent away is told for how long");
            Parting::Told
        } else {
            Parting::Sudden
        }
    }
}
