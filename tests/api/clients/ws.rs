//! A WebSocket client that subscribes again behind what it has.
//!
//! It never reads what it did not subscribe to.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Event, GLANCE, Parting, Reading, Way};
use crate::support::http::Ask;
use crate::support::ws::{Came, Shut, Ws};

/// Many threads over one session.
pub(crate) const WS: Way = Way { name: "WS", visit: session, many: true, fold: false, named: true };
/// The same, with appends folded.
pub(crate) const WS_FOLDED: Way = Way { name: "WS, folded", fold: true, ..WS };
/// One thread, subscribed by the upgrade.
pub(crate) const WS_THREAD: Way = Way { name: "WS of a thread", visit: sole, many: false, ..WS };

/// A frame of the hub; most are events.
#[derive(Deserialize)]
struct Frame<'a> {
    t: &'a str,
    topic: Option<&'a str>,
    #[serde(borrow)]
    event: Option<Event<'a>>,
}

fn open(addr: SocketAddr, ask: &Ask) -> Option<Ws> {
    match Ws::try_open(addr, ask, GLANCE) {
        Ok(ws) => Some(ws),
        Err(Shut::Broken | Shut::Refused(503)) => None,
        Err(shut) => panic!("{shut:?}"),
    }
}

fn session(way: Way, addr: SocketAddr, sub: &str, readings: &mut [Reading]) -> Parting {
    let Some(mut ws) = open(addr, &Ask::by(sub, "GET", "/v1/ws")) else { return Parting::Shut };
    for (index, reading) in readings.iter().enumerate() {
        let mut subscribe = json!({ "t": "subscribe", "topic": reading.topic, "after": reading.after(), "ref": index });
        if way.fold {
            subscribe["fold"] = json!(true);
        }
        if !ws.try_send(&subscribe) {
            // What the hub says about its end is still read.
            break;
        }
    }
    follow(ws, readings)
}

fn sole(way: Way, addr: SocketAddr, sub: &str, readings: &mut [Reading]) -> Parting {
    let [reading] = readings else { panic!("one thread") };
    let mut ask = Ask::by(sub, "GET", &format!("/v1/threads/{}/ws?after={}", reading.thread, reading.after()));
    if way.fold {
        ask = ask.query("fold=true");
    }
    let Some(ws) = open(addr, &ask) else { return Parting::Shut };
    follow(ws, readings)
}

/// Reads until the connection ends or everything is there.
fn follow(mut ws: Ws, readings: &mut [Reading]) -> Parting {
    let mut told = false;
    while !readings.iter().all(Reading::done) {
        let text = match ws.try_text() {
            None => continue,
            Some(Ok(text)) => text,
            Some(Err(Came::Closed(code))) => {
                assert_eq!((told, code), (true, 1012), "no other end was asked for");
                return Parting::Told;
            }
            Some(Err(_)) => return Parting::Sudden,
        };
        assert!(!told, "nothing comes behind the goodbye: {text}");
        told = heard(&text, readings);
    }
    Parting::Done
}

/// Takes a frame: whether it was the goodbye.
fn heard(text: &str, readings: &mut [Reading]) -> bool {
    let frame: Frame<'_> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let reading = readings.iter_mut().find(|reading| frame.topic == Some(&*reading.topic));
    match (frame.t, reading, frame.event) {
        ("event", Some(reading), Some(event)) => reading.take(&event),
        ("subscribed", Some(reading), None) => {
            let subscribed: Value = serde_json::from_str(text).unwrap();
            assert_eq!(subscribed["resumed"], reading.cursor.is_some(), "{text}");
            assert!(reading.cursor.as_ref().is_none_or(|cursor| subscribed["cursor"] == **cursor), "{text}");
        }
        ("welcome", None, None) => {}
        ("reconnect", None, None) => return true,
        _ => panic!("{text}"),
    }
    false
}
