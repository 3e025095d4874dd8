//! The documentation of routes that ask for no token.

use super::Doc;
use super::doc::{JSON, PUBLIC, Typed};
use crate::routes::RouteSpec;
use crate::transport::health::Health;
use tambour_actors::refusal::Code;
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// `GET /`
pub fn console(_: &RouteSpec) -> Doc {
    Doc::new(PUBLIC, "The console: a plain page that shows a thread live")
        .says("It holds no data: its token comes in the fragment of its URL, which no server sees.")
        .answers(200, "The page.", [("text/html", page())])
        .refuses(&[Code::OriginForbidden])
}

/// `GET /console/{file}`
pub fn console_file(_: &RouteSpec) -> Doc {
    Doc::new(PUBLIC, "The console's files")
        .answers(200, "The file.", [("text/javascript", page()), ("text/css", page())])
        .refuses(&[Code::RouteUnknown, Code::NameInvalid, Code::OriginForbidden])
}

fn page() -> Typed {
    Typed::told(ObjectBuilder::new().schema_type(Type::String))
}

/// `GET /healthz`
pub fn healthz(_: &RouteSpec) -> Doc {
    Doc::new(PUBLIC, "Whether the process answers").answers(200, "It does.", [(JSON, Typed::of::<Health>())])
}

/// `GET /readyz`
pub fn readyz(_: &RouteSpec) -> Doc {
    Doc::new(PUBLIC, "Whether the hub takes work").answers(200, "It does.", [(JSON, Typed::of::<Health>())]).answers(
        503,
        "It drains, or can't write.",
        [(JSON, Typed::of::<Health>())],
    )
}

/// `GET /openapi.json`
pub fn openapi(_: &RouteSpec) -> Doc {
    let document = ObjectBuilder::new().schema_type(Type::Object).required("openapi");
    Doc::new(PUBLIC, "This document").answers(200, "OpenAPI 3.1.", [(JSON, Typed::told(document))])
}
