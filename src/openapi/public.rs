//! The documentation of routes that ask for no token.

use super::Doc;
use super::doc::{JSON, PUBLIC, Typed};
use crate::routes::RouteSpec;
use crate::transport::console::sign_in::{BODY_BYTES_MAX, SignIn, SignedIn};
use crate::transport::health::Health;
use serde_json::json;
use tambour_actors::refusal::Code;
use utoipa::openapi::schema::{ObjectBuilder, Type};

/// `GET /`
pub fn console(_: &RouteSpec) -> Doc {
    Doc::new(PUBLIC, "The console")
        .says("It holds no data: it signs in, or asks for a token, which may be in the fragment of its URL, which no server sees.")
        .answers(200, "The page.", [("text/html", page())])
        .answers(304, HAD, [])
        .refuses(&[Code::OriginForbidden])
}

/// `GET /console/{file}`
pub fn console_file(_: &RouteSpec) -> Doc {
    Doc::new(PUBLIC, "The console's files")
        .answers(200, "The file.", [("text/javascript", page()), ("text/css", page()), ("image/svg+xml", page())])
        .answers(304, HAD, [])
        .refuses(&[Code::RouteUnknown, Code::NameInvalid, Code::OriginForbidden])
}

/// `GET /client.js`
pub fn client(_: &RouteSpec) -> Doc {
    Doc::new(PUBLIC, "The client for pages that have no build step")
        .says("`@tambour/client` as one ES module, which pages of every origin may load.")
        .answers(200, "The module.", [("text/javascript", page())])
        .answers(304, HAD, [])
}

/// `POST /console/sign-in`
pub fn sign_in(_: &RouteSpec) -> Doc {
    let asked = Typed::of::<SignIn>().example("named", "As somebody", json!({ "sub": "alice" }));
    let signed_in = Typed::of::<SignedIn<'_>>().example(
        "signed_in",
        "With a token that is none",
        json!({
            "token": "eyJ…", "tenant_id": "t_demo", "env": "dev", "sub": "ada", "role": "admin",
            "expires_at": "2026-11-22T14:25:14.000Z",
        }),
    );
    Doc::new(PUBLIC, "Sign the console in, at a development hub")
        .says(
            "For the hub's own page alone, on a hub that runs on its development secret and listens on this machine only. \
             Everywhere else nobody is signed in, and the page asks for a token.",
        )
        .optional_body(&format!("At most {} KiB.", BODY_BYTES_MAX / 1024), [(JSON, asked)])
        .answers(200, "Signed in, for an hour.", [(JSON, signed_in)])
        .answers(204, "This hub signs nobody in: ask for a token.", [])
        .refuses(&[Code::OriginForbidden, Code::RequestMalformed])
}

/// To who has the file.
const HAD: &str = "The file is the one that `If-None-Match` names.";

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
