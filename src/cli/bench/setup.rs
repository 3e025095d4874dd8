//! What must be there before a measurement: threads, and events in them. Over HTTP, as any
//! client would. Never part of a measurement.

use super::BenchError;
use super::http_load::{HttpLoad, post};
use super::hub_process::Hub;
use super::publisher::data;
use super::scan::topic_id;

/// Connections that create and fill: enough for large group commits.
const CONNECTIONS: usize = 128;

/// Creates the first `count` threads of a run.
///
/// # Errors
/// When one is refused.
pub(crate) fn create_topics(hub: &Hub, count: usize) -> Result<(), BenchError> {
    let addr = hub.server.addr;
    let mut made = 0;
    HttpLoad::connect(addr, CONNECTIONS.min(count))?.drive(None, |out| {
        if made < count {
            let body = format!(r#"{{"id":"{}"}}"#, topic_id(made));
            out.extend(post(addr, &hub.token, "/v1/threads", &body));
            made += 1;
            return true;
        }
        false
    })?;
    Ok(())
}

/// The body of an array of `count` events.
pub(crate) fn array(count: usize, bytes: usize) -> String {
    let one = format!(r#"{{"type":"bench","data":{}}}"#, data(bytes));
    format!("[{}]", vec![one; count].join(","))
}

/// The path that events of a topic are posted to.
pub(crate) fn events_path(topic: usize) -> String {
    format!("/v1/threads/{}/events", topic_id(topic))
}

/// Appends `events` events to each of the first `topics` threads, in arrays of `chunk`, the
/// threads in turn, so that their events lie interleaved on the disk.
///
/// # Errors
/// When an array is refused.
pub(crate) fn fill(hub: &Hub, topics: usize, events: usize, chunk: usize, bytes: usize) -> Result<(), BenchError> {
    let addr = hub.server.addr;
    let (whole, rest) = (array(chunk, bytes), array(events % chunk, bytes));
    let rounds = events.div_ceil(chunk);
    let mut number = 0;
    HttpLoad::connect(addr, CONNECTIONS.min(topics))?.drive(None, |out| {
        let (round, topic) = (number / topics, number % topics);
        number += 1;
        if round < rounds {
            let body = if round < events / chunk { &whole } else { &rest };
            out.extend(post(addr, &hub.token, &events_path(topic), body));
        }
        round < rounds
    })?;
    Ok(())
}
