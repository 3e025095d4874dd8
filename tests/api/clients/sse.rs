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
pub(crate) const SSE: Way = Way { name: "SSE", visit: one, many: false, fold: false, named: true };
/// The same, of which a page hears everything by `onmessage`.
pub(crate) const SSE_UNNAMED: Way = Way { name: "SSE without names", named: false, ..SSE };
/// The same, with appends folded.
pub(crate) const SSE_FOLDED: Way = Way { name: "SSE, folded", fold: true, ..SSE };
/// Several threads over one stream.
pub(crate) const COMPOSITE: Way = Way { name: "SSE of several threads", visit: several, many: true, ..SSE };
/// The same, with appends folded.
pub(crate) const COMPOSITE_FOLDED: Way = Way { name: "SSE of several threads, folded", fold: true, ..COMPOSITE };

fn one(way: Way, addr: SocketAddr, sub: &str, readings: &mut [Reading]) -> Parting {
    let path = format!("/v1/threads/{}/events?after=earliest", readings[0].thread);
    visit(way, addr, Ask::stream(sub, &path), readings)
}

fn several(way: Way, addr: SocketAddr, sub: &str, readings: &mut [Reading]) -> Parting {
    let topics: Vec<&str> = readings.iter().map(|reading| reading.topic.as_str()).collect();
    let path = format!("/v1/stream?after=earliest&topics={}", topics.join(","));
    visit(way, addr, Ask::stream(sub, &path), readings)
}

fn visit(way: Way, addr: SocketAddr, mut ask: Ask, readings: &mut [Reading]) -> Parting {
    let Ok(mut connection) = Connection::try_open(addr) else { return Parting::Shut };
    if way.fold {
        ask = ask.query("fold=true");
    }
    if !way.named {
        ask = ask.query("named=false");
    }
    let id = readings[0].last_event_id.clone();
    if !id.is_empty() {
        ask = ask.with("last-event-id", &id);
    }
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
    let mut stream = Stream { way, parser: SseParser::new(&id), readings, told: false };
    while !stream.readings.iter().all(Reading::done) {
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
    way: Way,
    parser: SseParser,
    /// One, or those of a composite id.
    readings: &'a mut [Reading],
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
        self.parser.last_event_id().clone_into(&mut self.readings[0].last_event_id);
    }

    fn take(&mut self, event: &SseEvent) {
        // Without names, what is the hub's own says so by its `t`.
        let own = if self.way.named {
            ["connected", "reconnect", "refused"].contains(&&*event.name).then(|| event.name.clone())
        } else {
            assert_eq!(event.name, "message", "{event:?}");
            event.data.contains(r#""t":""#).then(|| json(event)["t"].as_str().unwrap().to_owned())
        };
        match own.as_deref() {
            Some("connected") => {
                let asked = &self.readings[0].last_event_id;
                assert_eq!(json(event)["cursor"], event.id);
                assert!(asked.is_empty() || *asked == event.id, "asked for {asked}: {event:?}");
            }
            Some("reconnect" | "refused") => self.told = true,
            Some(_) => panic!("{event:?}"),
            None => self.log(event),
        }
    }

    /// An event of a log.
    fn log(&mut self, event: &SseEvent) {
        let came: Event<'_> = serde_json::from_str(&event.data).unwrap_or_else(|error| panic!("{error}: {event:?}"));
        assert!(!self.way.named || came.kind == event.name.trim_start_matches('_'), "{event:?}");
        let reading = self.readings.iter_mut().find(|reading| came.routing.thread_id == reading.thread);
        reading.unwrap_or_else(|| panic!("nobody asked for this: {event:?}")).take(&came);
        assert!(self.way.many || came.place() == event.id, "{event:?}");
    }

    /// Whoever is sent away is told for how long, unless that was cut off, too.
    fn ended(self) -> Parting {
        if self.told && self.parser.retry_ms().is_some() { Parting::Told } else { Parting::Sudden }
    }
}

#[track_caller]
fn json(event: &SseEvent) -> Value {
    serde_json::from_str(&event.data).unwrap_or_else(|error| panic!("{error}: {event:?}"))
}
