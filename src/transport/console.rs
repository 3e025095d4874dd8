//! The console's files, in the binary. They hold no data: the page brings its token in the fragment of its
//! URL, which no server sees.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use tambour_actors::refusal::Code;

use crate::problem::Problem;

/// What the page may load and reach: its own files and its own hub.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`
pub async fn index() -> HttpResponse {
    show("text/html; charset=utf-8", include_str!("../../console/index.html"))
}

/// `GET /console/{file}`
///
/// # Errors
/// `route.unknown`.
pub async fn file(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    match name.as_str() {
        "app.js" => Ok(show("text/javascript; charset=utf-8", include_str!("../../console/app.js"))),
        "style.css" => Ok(show("text/css; charset=utf-8", include_str!("../../console/style.css"))),
        _ => Err(Problem::at(Code::RouteUnknown.into(), &request)),
    }
}

fn show(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}
