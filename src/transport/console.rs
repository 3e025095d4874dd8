//! The console's files, in the binary, and the client that pages of others load. They hold no data: who looks at them
//! signs in behind them.
//!
//! What is built is built before: nothing here runs a build, and nothing is read from a disk.

pub mod sign_in;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use actix_web::http::header::{self, EntityTag, Header as _, HeaderName, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest as _, Sha256};
use tambour_actors::refusal::{Code, Refusal};

use crate::admission::Ground;
use crate::audit::entry::hex;
use crate::identity::source::HeaderSource;
use crate::problem::Problem;

/// A file in the binary.
pub struct File {
    /// Where it is served.
    pub path: &'static str,
    /// Its media type.
    kind: &'static str,
    bytes: &'static [u8],
    /// Whether pages of every origin may load it, from whatever name the hub goes by.
    is_for_all: bool,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

const IMAGE: &str = "image/svg+xml";

/// Every file.
pub const FILES: &[File] = &[
    File { path: "/", kind: HTML, bytes: include_bytes!("../../console/dist/index.html"), is_for_all: false },
    File {
        path: "/console/app.js",
        kind: SCRIPT,
        bytes: include_bytes!("../../console/dist/app.js"),
        is_for_all: false,
    },
    File {
        path: "/console/app.css",
        kind: STYLE,
        bytes: include_bytes!("../../console/dist/app.css"),
        is_for_all: false,
    },
    File {
        path: "/console/icon.svg",
        kind: IMAGE,
        bytes: include_bytes!("../../console/dist/icon.svg"),
        is_for_all: false,
    },
    File { path: "/client.js", kind: SCRIPT, bytes: include_bytes!("../../console/dist/client.js"), is_for_all: true },
];

/// Bytes of the SHA-256 of a file that are its tag: enough that no two versions share one.
const TAG_BYTES: usize = 16;

/// The tag of each file, made once.
static TAGS: LazyLock<Vec<EntityTag>> = LazyLock::new(|| {
    let tag = |file: &File| EntityTag::new_strong(hex(&Sha256::digest(file.bytes)[..TAG_BYTES]));
    FILES.iter().map(tag).collect()
});

/// What the page may load and reach: its own files and its own hub. No text becomes code or markup by itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What every file is served with. A browser asks each time whether it still has the right one, and mostly is told so.
const OF_ALL: [(HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "no-cache"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];
/// What the console's own are served with besides: no other page frames them, opens them with a handle, or loads them.
const OF_CONSOLE: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    (
        header::PERMISSIONS_POLICY,
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), \
         midi=(), payment=(), usb=()",
    ),
];
/// What a file for all is served with besides (Fetch, <https://fetch.spec.whatwg.org/#http-cors-protocol>).
const OF_SHARED: [(HeaderName, &str); 2] =
    [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (header::CROSS_ORIGIN_RESOURCE_POLICY, "cross-origin")];

/// The names of files in `/console/{file}`.
#[must_use]
pub fn names() -> Vec<&'static str> {
    FILES.iter().filter_map(|file| file.path.strip_prefix("/console/")).collect()
}

/// `GET /`
///
/// # Errors
/// `origin.forbidden`: see [`refuse_rebound`].
pub async fn index(request: HttpRequest) -> Result<HttpResponse, Problem> {
    show(&request, "/")
}

/// `GET /client.js`
///
/// # Errors
/// None: it is there, and for everybody.
pub async fn client(request: HttpRequest) -> Result<HttpResponse, Problem> {
    show(&request, "/client.js")
}

/// `GET /console/{file}`
///
/// # Errors
/// `route.unknown`; `origin.forbidden` as the page itself.
pub async fn file(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    show(&request, &format!("/console/{name}"))
}

/// A hub on its development secret shows its page to who names this machine alone: there the page signs in by itself, and
/// a name that somebody else points here (DNS rebinding) would be an origin of theirs.
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
    let (name, port) = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').unwrap_or_default(),
        None => host.find(':').map_or((host, ""), |colon| host.split_at(colon)),
    };
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    is_port && (name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()))
}

/// The file of a path, or 304 to who has it (RFC 9110, sections 13.1.2 and 15.4.5).
fn show(request: &HttpRequest, path: &str) -> Result<HttpResponse, Problem> {
    let found = FILES.iter().zip(&*TAGS).find(|(file, _)| file.path == path);
    if !found.is_some_and(|(file, _)| file.is_for_all) {
        refuse_rebound(request)?;
    }
    let (file, tag) = found.ok_or_else(|| Problem::at(Code::RouteUnknown.into(), request))?;
    let is_had = is_had(request, tag);
    let mut answer = if is_had { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header(header::ETag(tag.clone()));
    let besides: &[(HeaderName, &str)] = if file.is_for_all { &OF_SHARED } else { &OF_CONSOLE };
    for (name, value) in OF_ALL.iter().chain(besides) {
        answer.insert_header((name.clone(), *value));
    }
    Ok(if is_had { answer.finish() } else { answer.content_type(file.kind).body(file.bytes) })
}

/// Whether `If-None-Match` has the tag, compared weakly, or is `*`.
fn is_had(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|given| given.weak_eq(tag)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::test::TestRequest;

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
        for there in [
            "",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
            "[::1].evil.example:8080",
            "[::1]x",
            "[::1",
            "localhost:evil",
            "localhost:",
            "localhost:99999",
            "localhost:1:2",
        ] {
            assert!(!is(&[there]), "{there}");
        }
        assert!(!is(&[]) && !is(&["localhost", "evil.example"]));
    }

    #[test]
    fn who_has_a_file() {
        let tag = EntityTag::new_strong("a1".to_owned());
        let has = |lines: &[&str]| {
            let request = lines
                .iter()
                .fold(TestRequest::default(), |request, line| request.append_header((header::IF_NONE_MATCH, *line)));
            is_had(&request.to_http_request(), &tag)
        };
        for had in
            [&["\"a1\""][..], &["W/\"a1\""], &["*"], &["\"x\", W/\"a1\""], &["\"x\"", "\"a1\""], &["\"x,y\",\"a1\""]]
        {
            assert!(has(had), "{had:?}");
        }
        for other in [&[][..], &[""], &["a1"], &["\"A1\""], &["\"a\", \"1\""], &["\"x,a1,y\""], &["\"a1"], &["**"]] {
            assert!(!has(other), "{other:?}");
        }
    }

    #[test]
    fn every_file_has_a_path_and_a_tag_of_its_own() {
        let paths: BTreeSet<_> = FILES.iter().map(|file| file.path).collect();
        let tags: BTreeSet<_> = TAGS.iter().map(ToString::to_string).collect();
        assert_eq!((paths.len(), tags.len()), (FILES.len(), FILES.len()));
    }
}
