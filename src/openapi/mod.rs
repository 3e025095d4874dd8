//! What the HTTP interface is, for machines: an OpenAPI 3.1 document made from the table of routes.
//!
//! A route brings its [`Doc`]; method, path, action and what its access can refuse come from the table, limits from
//! the constants that are checked, schemas from the types that are written and read. Nothing here decides about a
//! request, and nothing is said twice: `openapi.json` at the top of the repository is this document, and a test says so.

pub mod audit;
pub mod authority;
mod doc;
mod entries;
pub mod event;
pub mod events;
pub mod kill_switches;
pub mod limits;
mod parameters;
pub mod public;
mod refusals;
pub mod shapes;
pub mod sockets;
pub mod stats;
pub mod stream_tokens;
pub mod topics;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use utoipa::openapi::path::{PathItem, Paths};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Server};

pub use doc::Doc;

use refusals::Refusals;

use crate::routes::ROUTES;

/// What is said first.
const WORDS: &str = "An actor-based realtime hub: threads and canvases are logs of events that are read over SSE, \
    WebSocket and JSON pages, each from where the reader was. Whoever calls proves who they are with a JWT and says \
    in which tenant and env they act, or with a service key, which has both. Every refusal is `application/problem+json`; `code` is what to program against. \
    Each operation lists every status that it answers with, and every code. Beside them the server says 404 \
    `route.unknown` and 405 `route.method` where there is no such operation, and 408 to a head that does not come.";

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let mut paths = Paths::new();
    let mut refusals = Refusals::default();
    let mut components = parameters::components(ComponentsBuilder::new().schemas_from_iter(shapes::all()));
    for route in ROUTES {
        let doc = (route.doc)(route);
        components = components.schemas_from_iter(doc.schemas().iter().cloned());
        let path: &mut PathItem = paths.paths.entry(route.path.to_owned()).or_default();
        let place = match (route.method)().as_str() {
            "GET" => &mut path.get,
            "POST" => &mut path.post,
            "PUT" => &mut path.put,
            "PATCH" => &mut path.patch,
            "DELETE" => &mut path.delete,
            method => panic!("say here where a {method} goes"),
        };
        *place = Some(doc.operation(route, &mut refusals));
    }
    let components = refusals.components(components);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(
        "A JWT with `sub`, `exp`, `tenant_ids`, `role_map`; `tambour token --sub alice` makes one for development. Or a \
         service key, `tsk_…`, which opens no stream.",
    ));
    let components = components.security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    let licence = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0"));
    let info = InfoBuilder::new()
        .title("Tambour")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(WORDS))
        .license(Some(licence.build()));
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some(doc::TAGS.map(|(name, words)| TagBuilder::new().name(name).description(Some(words)).build())))
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

/// The document as text: JSON, with a line feed at its end.
#[must_use]
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let text = document().to_pretty_json().expect("texts and numbers are JSON");
        text + "\n"
    });
    &TEXT
}

/// `GET /openapi.json`
pub async fn show() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text())
}
