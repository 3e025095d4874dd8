//! The documentation of threads and canvases as resources. One function a handler: which kind a route is about, its
//! path says.

use serde_json::{Value, json};
use tambour_actors::refusal::Code;
use tambour_actors::topic_key::TopicKind;

use super::Doc;
use super::doc::{CANVASES, JSON, THREADS, Typed};
use super::refusals::WRITE;
use crate::control::topics::model::{
    CanvasList, ChangeTopic, CreateMember, CreateTopic, PutMember, Shown, Snapshot, ThreadList,
};
use crate::control::topics::routes::ListQuery;
use crate::routes::RouteSpec;
use crate::transport::body::BODY_BYTES_MAX;
use crate::transport::places::Place;

/// The kind that a route is about, and what several of it are called.
fn kind(route: &RouteSpec) -> (TopicKind, &'static str) {
    match route.kind() {
        Some(TopicKind::Canvas) => (TopicKind::Canvas, CANVASES),
        _ => (TopicKind::Thread, THREADS),
    }
}

/// The documentation of a route about threads or canvases: of `{}` in the summary, which of them.
fn doc(route: &RouteSpec, summary: &str) -> Doc {
    Doc::of_kind(kind(route).1, route, summary)
}

fn body_words() -> String {
    format!("At most {} KiB.", BODY_BYTES_MAX / 1024)
}

/// A topic, with an example.
fn shown(route: &RouteSpec) -> Typed {
    Typed::of::<Shown>().example("plan", "Just created", example(route))
}

fn example(route: &RouteSpec) -> Value {
    json!({
        "id": "plan", "topic": format!("{}/plan", kind(route).0.as_str()), "title": "The plan", "visibility": "team",
        "creator": "alice", "members": [{ "sub": "bob", "can": "read" }], "created_at": "2026-11-22T08:25:14.219Z",
        "closed": false, "cursor": "GzUtezx6Zl28O70t.0", "oldest": "GzUtezx6Zl28O70t.1",
        "newest": "GzUtezx6Zl28O70t.0",
    })
}

/// `POST /v1/{threads,canvases}`
pub fn create(route: &RouteSpec) -> Doc {
    let asked = Typed::of::<CreateTopic>()
        .and::<CreateMember>()
        .example("plain", "A name, and the rest as it is by default", json!({ "id": "plan" }))
        .example(
            "members",
            "Private, with somebody who only reads it",
            json!({ "title": "The plan", "visibility": "private", "members": [{ "sub": "bob", "can": "read" }] }),
        );
    doc(route, "Create a {}")
        .says("Whoever creates an id first has it; everybody else is refused. Nothing is ever created by use.")
        .body(&body_words(), [(JSON, asked)])
        .answers(201, "It is created.", [(JSON, shown(route))])
        .refuses(&[Code::Forbidden, Code::NameInvalid, Code::TopicExists, Code::StoreUnavailable])
}

/// `GET /v1/{threads,canvases}`
pub fn list(route: &RouteSpec) -> Doc {
    let (kind, tag) = kind(route);
    let list = match kind {
        TopicKind::Thread => Typed::of::<ThreadList>(),
        TopicKind::Canvas | TopicKind::System | TopicKind::Feed => Typed::of::<CanvasList>(),
    };
    let list = list.example("one", "One, and no more", json!({ tag: [example(route)], "has_more": false }));
    Doc::new(tag, format!("List {tag}"))
        .says("Those that the caller may read, ascending by id.")
        .query::<ListQuery>()
        .answers(200, "A part of the list.", [(JSON, list)])
        .refuses(&[Code::StoreUnavailable])
}

/// `GET /v1/{threads,canvases}/{id}`
pub fn get(route: &RouteSpec) -> Doc {
    doc(route, "Get a {}").answers(200, "As it is now.", [(JSON, shown(route))])
}

/// `GET /v1/{threads,canvases}/{id}/snapshot`
pub fn snapshot(route: &RouteSpec) -> Doc {
    doc(route, "Get a {} and how much of its log is kept").says("Both are of one moment.").answers(
        200,
        "As it is now.",
        [(JSON, Typed::of::<Snapshot>())],
    )
}

/// `PATCH /v1/{threads,canvases}/{id}`
pub fn change(route: &RouteSpec) -> Doc {
    let asked =
        Typed::of::<ChangeTopic>().example("title", "Another title", json!({ "title": "The new plan" })).example(
            "close-to-others",
            "No title, and for members only",
            json!({ "title": null, "visibility": "private" }),
        );
    doc(route, "Change a {}")
        .says("What is left out stays. Readers who may not read it any more are told, and their streams end.")
        .body(&body_words(), [(JSON, asked)])
        .answers(200, "As it is now.", [(JSON, shown(route))])
}

/// `DELETE /v1/{threads,canvases}/{id}`
pub fn delete(route: &RouteSpec) -> Doc {
    doc(route, "Delete a {}")
        .says("Its streams end with reason `deleted`. Another one of the same id has a log of its own.")
        .answers(204, "It is gone.", [])
}

/// `PUT /v1/{threads,canvases}/{id}/members/{sub}`
pub fn put_member(route: &RouteSpec) -> Doc {
    let asked = Typed::of::<PutMember>().example("reader", "Somebody who only reads", json!({ "can": "read" }));
    doc(route, "Let somebody into a {}, or give them another right")
        .optional_body(&format!("Without one they may write. {}", body_words()), [(JSON, asked)])
        .answers(200, "With its members now.", [(JSON, shown(route))])
}

/// `DELETE /v1/{threads,canvases}/{id}/members/{sub}`
pub fn remove_member(route: &RouteSpec) -> Doc {
    doc(route, "Take somebody out of a {}")
        .says("Also who is no member. Their streams end, if they may not read any more.")
        .answers(204, "They are no member.", [])
}

/// `POST /v1/{threads,canvases}/{id}/close`
pub fn close(route: &RouteSpec) -> Doc {
    doc(route, "Close a {}")
        .says("Its last event is `closed`; who writes later is refused. Streams get it, and end.")
        .answers(200, "Where `closed` stands.", [(JSON, Typed::of::<Place>())])
        .refuses(WRITE)
}
