//! The console's files, in the binary. They hold no data: the page brings its token in the fragment of its
//! URL, which no server sees.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use tambour_actors::refusal::{Code, Refusal};

use crate::admission::Ground;
use crate::identity::source::HeaderSource;
use crate::problem::Problem;

/// What the page may load and reach: its own files and its own hub.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`
///
/// # Errors
/// `origin.forbidden`: see [`refuse_rebound`].
pub async fn index(request: HttpRequest) -> Result<HttpResponse, Problem> {
    refuse_rebound(&request)?;
    Ok(show("text/html; charset=utf-8", include_str!("../../console/index.html")))
}

/// A hub on its development secret shows its page to who names this machine alone: the token in the page's URL is for
/// trying things out here, and a name that somebody else points here (DNS rebinding) would be an origin of theirs.
fn refuse_rebound(request: &HttpRequest) -> Result<(), Problem> {
    let is_development = request.app_data::<Arc<Ground>>().is_some_and(|ground| ground.terms().is_development);
    if !is_development || names_this_machine(request.headers()) {
        return Ok(());
    }
    let detail = "a hub without a key of its own shows this page under localhost, 127.0.0.1 or [::1] only";
    Err(Problem::at(Refusal::new(Code::OriginForbidden, detail), request))
}

/// Whether the one `Host` is `localhost` or a loopback address, with whatever port.
fn names_this_machine(headers: &(impl HeaderSource + ?Sized)) -> bool {
    let mut hosts = headers.values("host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// `GET /console/{file}`
///
/// # Errors
/// `route.unknown`; `origin.forbidden` as the page itself.
pub async fn file(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    refuse_rebound(&request)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        let is = |hosts: &[&str]| {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            names_this_machine(headers.as_slice())
        };
        for here in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "[::1]"] {
            assert!(is(&[here]), "{here}");
        }
        for there in ["", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"]
        {
            assert!(!is(&[there]), "{there}");
        }
        assert!(!is(&[]) && !is(&["localhost", "evil.example"]));
    }
}
