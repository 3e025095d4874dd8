//! Pages of other origins (CORS, <https://fetch.spec.whatwg.org/#http-cors-protocol>): what a browser is told about the
//! origins in `http.allowed_origins`, and about no others.
//!
//! It decides nothing about a request: whether an origin may use the hub is [`crate::identity::web_origin`]'s to say. There
//! are no credentials that a browser sends by itself, so none are allowed.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::guard;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError as _, Route, web};

use crate::admission::Ground;
use crate::identity::web_origin;
use crate::problem::Problem;

/// What pages may read of an answer beside what every page may.
const EXPOSED: &str = "X-Request-Id, X-Trace-Id, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset";
/// What pages may send beside what every page may.
const TAKEN: &str = "Authorization, Content-Type, Last-Event-ID, Traceparent, X-Act-As, X-App-Id, X-Device-Id, X-Env, \
                     X-Project-Id, X-Request-Id, X-Run-Id, X-Step-Id, X-Surface-Id, X-Tenant-Id";
/// How long a browser may keep what it was told before a request, in seconds.
const KEPT_SECONDS: &str = "600";
const VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// The one origin that a request names, if it is on the list.
fn allowed(request: &HttpRequest) -> Option<HeaderValue> {
    let terms = request.app_data::<Arc<Ground>>()?.terms();
    let origin = web_origin::on_list(request.headers(), &terms.settings.http.allowed_origins)?;
    HeaderValue::from_bytes(origin).ok()
}

fn put(headers: &mut HeaderMap, pairs: &[(HeaderName, &'static str)]) {
    for (name, value) in pairs {
        headers.insert(name.clone(), HeaderValue::from_static(value));
    }
}

/// Middleware: lets pages of allowed origins read the answer, refused or not. Whatever the request says, its answer may be
/// another one for another `Origin`, and says so: a cache must not give one origin's to another (RFC 9110, section 12.5.5).
///
/// # Errors
/// What the inner service fails with.
pub async fn share<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let origin = allowed(request.request());
    let mut answer = next.call(request).await?;
    let headers = answer.headers_mut();
    if !headers.contains_key(header::VARY) {
        put(headers, &[(header::VARY, "Origin")]);
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        put(headers, &[(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)]);
    }
    Ok(answer)
}

/// What a browser asks before it sends a request of another origin's page. `allow`: the methods of the path.
pub fn preflight(allow: &'static str) -> Route {
    let asks = guard::fn_guard(|context| {
        let headers = &context.head().headers;
        headers.contains_key(header::ORIGIN) && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    });
    web::method(Method::OPTIONS).guard(asks).to(move |request: HttpRequest| async move {
        if allowed(&request).is_none() {
            return Problem::at(web_origin::refused(), &request).error_response();
        }
        let mut answer = HttpResponse::NoContent().finish();
        put(
            answer.headers_mut(),
            &[
                (header::ACCESS_CONTROL_ALLOW_METHODS, allow),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, TAKEN),
                (header::ACCESS_CONTROL_MAX_AGE, KEPT_SECONDS),
                (header::VARY, VARY),
            ],
        );
        answer
    })
}
