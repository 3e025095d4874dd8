//! The documentation of publishing and reading.

use serde_json::{Value, json};
use tambour_actors::event::{APPENDED_BYTES_MAX, BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use tambour_actors::log::feed::FEED_ROWS_MAX;
use tambour_actors::refusal::Code;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};

use super::Doc;
use super::doc::{EVENTS, JSON, NDJSON, SSE, Typed};
use super::entries;
use super::event::EventPage;
use super::parameters;
use super::refusals::{ROOM, WRITE, WRITTEN};
use crate::routes::RouteSpec;
use crate::transport::places::{Place, Places};
use crate::transport::read::Reading;
use crate::transport::stream::Streaming;

/// `POST /v1/{threads,canvases}/{id}/events`
pub fn publish(route: &RouteSpec) -> Doc {
    let asked = Typed::told(entries::json())
        .with(entries::schemas())
        .example("message", "One event", json!({ "type": "chat_message", "data": { "text": "hello" } }))
        .example(
            "once",
            "One event that is written once, however often it is sent",
            json!({ "type": "note", "data": 1, "idempotency_key": "0f8e-1" }),
        )
        .example("array", "Two events, as one", json!([{ "type": "note", "data": 1 }, { "type": "note", "data": 2 }]))
        .example(
            "first",
            "Two events, if there are none yet",
            json!({ "events": [{ "type": "note", "data": 1 }, { "type": "note", "data": 2 }], "expect": "empty" }),
        )
        .example(
            "append",
            "More text for an event",
            json!({ "append": { "event_id": "GzUtezx6Zl28O70t.1", "data": " world" } }),
        );
    let words = format!(
        "JSON: an entry, or an array of 1 to {BATCH_EVENTS_MAX} that is appended as one, at most {} MiB. NDJSON: an entry a \
         line, each appended as it comes, without an end if you like. All appends to one event have at most {} KiB \
         together.",
        BATCH_BYTES_MAX / (1024 * 1024),
        APPENDED_BYTES_MAX / 1024
    );
    let one_or_more = OneOfBuilder::new().item(Ref::from_schema_name("Place")).item(Ref::from_schema_name("Places"));
    let written = Typed::told(one_or_more).and::<Place>().and::<Places>().example(
        "message",
        "Of one event",
        json!({ "id": "GzUtezx6Zl28O70t.1", "seq": 1 }),
    );
    Doc::of_kind(EVENTS, route, "Publish to a {}")
        .says(
            "Answers when everything is on disk. After `publish.unknown`, `store.unavailable` or a broken connection it \
             may have happened: send it again with its `idempotency_key`, or read before you repeat. Of a line that is \
             refused the answer has its number, `line`, and how many are written, `accepted`.",
        )
        .body(&words, [(JSON, asked), (NDJSON, lines()), ("application/ndjson", lines())])
        .answers(201, "Where it stands: one place for an entry, first and last for an array.", [(JSON, written)])
        .refuses(WRITE)
        .refuses(WRITTEN)
        .refuses(ROOM)
}

fn lines() -> Typed {
    let text = "{\"type\":\"message\",\"data\":{\"role\":\"assistant\",\"text\":\"\"}}\n{\"append\":{\"data\":\"Hel\"}}\n\
                {\"append\":{\"data\":\"lo\"}}\n";
    Typed::told(entries::lines()).example("tokens", "An event, and its text as it comes", text)
}

/// `DELETE /v1/{threads,canvases}/{id}/events/{event_id}`
pub fn redact(route: &RouteSpec) -> Doc {
    Doc::of_kind(EVENTS, route, "Take the data of an event of a {} away")
        .says(
            "Its place stays, with `data` null and `redacted` true; the text of its appends goes too, and a `redacted` event \
             tells readers. Who manages the topic may, and who sent the event. Again is as once.",
        )
        .answers(204, "It has no data.", [])
        .refuses(WRITE)
        .refuses(&[Code::CursorMalformed, Code::EventUnknown])
}

/// What whoever reads may ask, of topics and of the feed.
const READ: [&str; 10] =
    ["after", "before", "last_event_id", "last", "limit", "wait", "named", "token", "tenant_id", "env"];

/// `GET /v1/{threads,canvases}/{id}/events`
pub fn read(route: &RouteSpec) -> Doc {
    let page = Typed::of::<EventPage>().example("newest", "The newest event", example());
    let stream = "event: connected\nid: GzUtezx6Zl28O70t.0\ndata: {\"connection_id\":\"01a2…\",…}\n\nretry: 2000\n\n";
    let stream = Typed::told(ObjectBuilder::new().schema_type(Type::String)).example("start", "How it begins", stream);
    Doc::of_kind(EVENTS, route, "Read a {}: a page, or live")
        .says(
            "With `Accept: text/event-stream` a stream that does not end by itself: first `connected`, then every event \
             from where the reader starts (`after`, `last`, `Last-Event-ID`; else the head), each with its cursor as `id` \
             and its JSON as `data`. `docs/protocol.md` has the hub's own blocks. To a reader who comes back with \
             `Last-Event-ID`, a refusal by 429 or 503 is told in a stream, as `refused`.\n\n\
             Else a page, ascending: `after`, `last` or `before`, which exclude each other; else the newest. With `wait` \
             it comes as soon as there is something on it, or empty.",
        )
        .query_of::<Reading>(&[&READ[..], &["fold"]].concat())
        .takes([parameters::last_event_id()])
        .answers(200, "A page, or a stream.", [(JSON, page), (SSE, stream)])
        .answers(204, "A stream from the cursor of `closed`: there is nothing to come.", [])
        .refuses(&[Code::CursorMalformed, Code::CursorGone, Code::Replaced])
}

/// `GET /v1/feed`
pub fn feed(_: &RouteSpec) -> Doc {
    let page = Typed::of::<EventPage>().example("newest", "The newest event", of_the_feed());
    let stream = "event: connected\nid: 7lgbJtXaKMN6JynI.158\ndata: {\"connection_id\":\"01a2…\",…}\n\nretry: 2000\n\n";
    let stream = Typed::told(ObjectBuilder::new().schema_type(Type::String)).example("start", "How it begins", stream);
    Doc::new(EVENTS, "Read everything that happens in a tenant and env: a page, or live")
        .says(format!(
            "The events of all topics that the caller may read, and what happened beside topics, in the order in which it was \
             committed. Read as a thread is; a place is an event's `feed_id`. A page looks at no more than {FEED_ROWS_MAX} \
             places, so it may have fewer events than `limit`, or none, where `has_more` is true: go on with its `cursor`. \
             `oldest` is the place from which on retention has taken nothing."
        ))
        .query_of::<Reading>(&[&READ[..], &["types", "topics"]].concat())
        .takes([parameters::last_event_id()])
        .answers(200, "A page, or a stream.", [(JSON, page), (SSE, stream)])
        .refuses(&[Code::CursorMalformed, Code::CursorGone, Code::Replaced, Code::StoreUnavailable])
}

/// `GET /v1/stream`
pub fn stream(_: &RouteSpec) -> Doc {
    let begins =
        "event: connected\nid: q7T-x2Lw~hVbY3k.12~A0o_dQ.3\ndata: {\"connection_id\":\"01a2…\",…}\n\nretry: 2000\n\n";
    let stream = Typed::told(ObjectBuilder::new().schema_type(Type::String)).example("start", "How it begins", begins);
    Doc::new(EVENTS, "Read several topics live, over one stream")
        .says(
            "Threads and canvases, as each by itself would be read with `Accept: text/event-stream`. The `id` of a block \
             says where the reader stands in all of them: `Last-Event-ID`, or `after`, goes on from there, if the same \
             topics are asked for. Events, `gap` and `subscription_ended` name their topic; the stream ends with the last.",
        )
        .query::<Streaming>()
        .takes([parameters::last_composite()])
        .answers(200, "A stream.", [(SSE, stream)])
        .answers(204, "A stream from the cursors of `closed` of every topic: there is nothing to come.", [])
        .refuses(&[Code::CursorMalformed])
}

fn of_the_feed() -> Value {
    let mut page = example();
    let place = "7lgbJtXaKMN6JynI.158";
    page["events"][0]["feed_id"] = place.into();
    for member in ["cursor", "newest"] {
        page[member] = place.into();
    }
    page["oldest"] = "7lgbJtXaKMN6JynI.0".into();
    page
}

fn example() -> Value {
    json!({
        "events": [{
            "v": 1, "id": "GzUtezx6Zl28O70t.3", "seq": 3, "type": "chat_message", "time": "2026-11-22T08:25:14.303Z",
            "routing": { "tenant_id": "t_demo", "env": "dev", "thread_id": "plan", "actor_id": "alice",
                "actor_type": "human" },
            "data": { "text": "hello" }, "meta": { "request_id": "01a2", "trace_id": "01a2" },
        }],
        "cursor": "GzUtezx6Zl28O70t.3", "has_more": false, "oldest": "GzUtezx6Zl28O70t.1",
        "newest": "GzUtezx6Zl28O70t.3",
    })
}
