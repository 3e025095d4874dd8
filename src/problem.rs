//! Refusals over HTTP: `application/problem+json` (RFC 9457), and the middleware that gives
//! every answer its ids and turns the framework's own errors into ours.
//!
//! Codes and statuses come from the one table in `tambour_actors::refusal`. No internal text
//! gets into an answer: what only the operator may know is logged here and left out.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::{JsonPayloadError, PayloadError, QueryPayloadError};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, ResponseError, Route, web};
use serde::Serialize;
use tambour_actors::refusal::{Code, Refusal};
use tracing::Instrument as _;

use crate::identity::context::{RequestContext, RequestIds};
use crate::transport::rated;

/// The media type of every refusal.
pub const CONTENT_TYPE: &str = "application/problem+json";
/// The response header with the request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The response header with the trace's id.
pub const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
/// Longest text of a parser that is passed on to the caller, in characters.
const PARSER_TEXT_MAX: usize = 200;

/// A refusal as the answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct Problem {
    /// What is refused.
    pub refusal: Refusal,
    /// The request's ids.
    pub ids: RequestIds,
    /// Whether it asked for a stream, over SSE or WebSocket: its connection is closed behind the answer, so that
    /// nothing pipelined behind the refused head is read as a request.
    pub is_stream: bool,
}

/// Left in a request's extensions by whoever reads its context and finds that it asks for a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamRequest;

/// What every refusal says, and how.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body<'a> {
    #[serde(flatten)]
    #[schema(ignore)]
    more: Option<&'a serde_json::Map<String, serde_json::Value>>,
    /// `urn:tambour:problem:` and the code.
    r#type: String,
    /// What the code says, in a few words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What the caller can do about it. Not to be programmed against.
    detail: &'a str,
    /// What to program against.
    code: &'static str,
    /// As in `X-Request-Id`.
    request_id: &'a str,
}

impl Problem {
    /// The answer to a request whose context was read.
    #[must_use]
    pub fn new(refusal: Refusal, context: &RequestContext) -> Self {
        Self { refusal, ids: context.ids.clone(), is_stream: context.takes_socket }
    }

    /// The answer to a request of which only the ids are known: those that [`render`] left in its extensions.
    #[must_use]
    pub fn at(refusal: Refusal, request: &HttpRequest) -> Self {
        let is_stream = request.extensions().get::<StreamRequest>().is_some();
        Self { refusal, ids: ids_of(request), is_stream }
    }

    /// How long to wait before it is tried again, in milliseconds, where that is known.
    pub(crate) fn wait_ms(&self) -> Option<u64> {
        self.refusal.more.as_ref()?.get("retry_after_ms")?.as_u64()
    }

    /// The JSON of the answer.
    #[must_use]
    pub fn body(&self) -> String {
        let code = self.refusal.code;
        let body = Body {
            more: self.refusal.more.as_deref(),
            r#type: format!("urn:tambour:problem:{}", code.as_str()),
            title: code.title(),
            status: code.status(),
            detail: &self.refusal.detail,
            code: code.as_str(),
            request_id: &self.ids.request_id,
        };
        serde_json::to_string(&body).expect("texts and a number are JSON")
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        answer.content_type(CONTENT_TYPE).insert_header((header::CACHE_CONTROL, "no-store"));
        match self.refusal.code {
            // RFC 6750, section 3.1: without a token there is nothing to say about one.
            Code::TokenMissing | Code::HelloMissing => {
                answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            code if code.status() == 401 => {
                let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{}\"", code.title());
                answer.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            code if matches!(code.status(), 429 | 503) => {
                // Of a rate it is known. Nobody knows when a connection will be closed.
                let ms = self.wait_ms().unwrap_or(if code.status() == 503 { 1_000 } else { 5_000 });
                answer.insert_header((header::RETRY_AFTER, ms.div_ceil(1_000).max(1)));
            }
            _ => {}
        }
        if self.is_stream {
            answer.force_close();
        }
        let mut answer = answer.body(self.body());
        put_ids(answer.headers_mut(), &self.ids);
        answer
    }
}

/// The ids that [`render`] left in a request's extensions; read again where it is not installed.
#[must_use]
pub fn ids_of(request: &HttpRequest) -> RequestIds {
    let known = request.extensions().get::<RequestIds>().cloned();
    known.unwrap_or_else(|| RequestIds::read(request.headers()))
}

fn put_ids(headers: &mut HeaderMap, ids: &RequestIds) {
    for (name, id) in [(REQUEST_ID, &ids.request_id), (TRACE_ID, &ids.trace_id)] {
        // Both are visible ASCII by their types' rules.
        if let Ok(value) = HeaderValue::from_str(id) {
            headers.insert(name, value);
        }
    }
}

/// Middleware, the outermost: reads a request's ids once, leaves them in its extensions, puts them on the answer, turns
/// errors that are not [`Problem`]s into ones, and has refusals written down.
///
/// # Errors
/// What the inner service fails with, as a [`Problem`].
pub async fn render<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let ids = RequestIds::read(request.headers());
    request.extensions_mut().insert(ids.clone());
    // Whatever is logged while the request is handled bears its ids.
    let span = tracing::info_span!("request", request_id = %ids.request_id, trace_id = %ids.trace_id);
    let answer = match next.call(request).instrument(span).await {
        Ok(answer) => answer,
        Err(error) if error.as_error::<Problem>().is_some() => return Err(error),
        Err(error) => return Err(from_framework(&error, ids).into()),
    };
    let foreign = answer.response().error().filter(|error| error.as_error::<Problem>().is_none());
    let mut answer = match foreign.map(|error| from_framework(error, ids.clone())) {
        Some(problem) => answer.into_response(problem.error_response()).map_into_right_body(),
        None => answer.map_into_left_body(),
    };
    put_ids(answer.headers_mut(), &ids);
    let request = answer.request().clone();
    rated::put(answer.headers_mut(), &request);
    crate::admission::refused::note(&answer, &ids);
    Ok(answer)
}

/// An error of the framework as one of ours.
fn from_framework(error: &Error, ids: RequestIds) -> Problem {
    let refusal = if let Some(payload) = error.as_error::<PayloadError>() {
        from_payload(payload)
    } else if let Some(json) = error.as_error::<JsonPayloadError>() {
        from_json(json)
    } else {
        match error.as_response_error().status_code().as_u16() {
            404 => Code::RouteUnknown.into(),
            405 => Code::MethodNotAllowed.into(),
            413 => Code::BodyTooLarge.into(),
            415 => Code::BodyType.into(),
            400..=499 => Code::RequestMalformed.into(),
            _ => {
                tracing::error!(request_id = %ids.request_id, %error, "a handler failed");
                Refusal::new(Code::Internal, "the hub failed at this; its log has the request id")
            }
        }
    };
    Problem { refusal, ids, is_stream: false }
}

fn from_payload(error: &PayloadError) -> Refusal {
    match error {
        PayloadError::Overflow => Code::BodyTooLarge.into(),
        _ => Refusal::new(Code::RequestMalformed, "the body can't be read to its end"),
    }
}

fn from_json(error: &JsonPayloadError) -> Refusal {
    match error {
        JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => Code::BodyTooLarge.into(),
        JsonPayloadError::ContentType => Refusal::new(Code::BodyType, "send application/json"),
        JsonPayloadError::Payload(error) => from_payload(error),
        // What the parser says is about the caller's own body.
        JsonPayloadError::Deserialize(error) => Refusal::new(Code::BodyInvalid, shortened(&error.to_string())),
        _ => Code::BodyInvalid.into(),
    }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(PARSER_TEXT_MAX).collect()
}

/// Makes the framework's extractors answer with [`Problem`]s, and bounds bodies.
pub fn extractors(config: &mut web::ServiceConfig, body_bytes_max: usize) {
    let json = web::JsonConfig::default()
        .limit(body_bytes_max)
        .error_handler(|error, request| Problem::at(from_json(&error), request).into());
    let query = web::QueryConfig::default().error_handler(|error, request| {
        let detail = match &error {
            QueryPayloadError::Deserialize(error) => shortened(&error.to_string()),
            _ => Code::QueryInvalid.title().to_owned(),
        };
        Problem::at(Refusal::new(Code::QueryInvalid, detail), request).into()
    });
    let path = web::PathConfig::default()
        .error_handler(|_, request| Problem::at(Refusal::from(Code::NameInvalid), request).into());
    config.app_data(json).app_data(query).app_data(path).app_data(web::PayloadConfig::new(body_bytes_max));
}

/// The answer where no route is: 404.
#[must_use]
pub fn route_unknown() -> Route {
    web::to(|request: HttpRequest| async move {
        let detail = "there is no such route; docs/protocol.md lists them";
        Problem::at(Refusal::new(Code::RouteUnknown, detail), &request).error_response()
    })
}

/// The answer where a route has no such method: 405, with those it has (`GET, POST`) in `Allow`.
#[must_use]
pub fn method_not_allowed(allow: &'static str) -> Route {
    web::to(move |request: HttpRequest| async move {
        let refusal = Refusal::new(Code::MethodNotAllowed, format!("this route takes {allow}"));
        let mut answer = Problem::at(refusal, &request).error_response();
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        answer
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, Responder};
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    fn problem(code: Code, is_stream: bool) -> Problem {
        let ids = RequestIds { request_id: "r1".into(), trace_id: "t1".into() };
        Problem { refusal: code.into(), ids, is_stream }
    }

    #[test]
    fn every_code_renders() {
        for code in Code::ALL {
            let problem = problem(*code, false);
            let answer = problem.error_response();
            let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(answer.status().as_u16(), code.status(), "{code:?}");
            assert_eq!(header("content-type"), Some(CONTENT_TYPE));
            assert_eq!(header("cache-control"), Some("no-store"));
            assert_eq!((header("x-request-id"), header("x-trace-id")), (Some("r1"), Some("t1")));
            assert_eq!(header("retry-after").is_some(), matches!(code.status(), 429 | 503), "{code:?}");
            assert_eq!(header("www-authenticate").is_some(), code.status() == 401, "{code:?}");
            let body: Value = serde_json::from_str(&problem.body()).unwrap();
            assert_eq!(body["type"], format!("urn:tambour:problem:{}", code.as_str()));
            assert_eq!(body["status"], code.status());
            assert_eq!((&body["code"], &body["request_id"]), (&Value::from(code.as_str()), &Value::from("r1")));
            assert!(body["title"].is_string() && body["detail"].is_string());
            assert_eq!(body.as_object().unwrap().len(), 6);
        }
    }

    #[test]
    fn challenges() {
        let challenge = |code| {
            let answer = problem(code, false).error_response();
            answer.headers().get("www-authenticate").unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(challenge(Code::TokenMissing), "Bearer");
        let expired = challenge(Code::TokenExpired);
        assert_eq!(expired, r#"Bearer error="invalid_token", error_description="Token expired""#);
    }

    #[test]
    fn a_refused_stream_is_closed() {
        assert!(!problem(Code::Forbidden, true).error_response().head().keep_alive());
        assert!(problem(Code::Forbidden, false).error_response().head().keep_alive());
    }

    #[derive(Deserialize)]
    struct Input {
        n: u32,
    }

    async fn json(input: web::Json<Input>) -> impl Responder {
        input.n.to_string()
    }

    async fn bytes(body: web::Bytes) -> impl Responder {
        body.len().to_string()
    }

    async fn query(input: web::Query<Input>) -> impl Responder {
        input.n.to_string()
    }

    async fn path(input: web::Path<u32>) -> impl Responder {
        input.to_string()
    }

    async fn broken() -> Result<&'static str, Error> {
        Err(actix_web::error::ErrorInternalServerError("INTERNAL TEXT"))
    }

    async fn refused(request: HttpRequest) -> Result<&'static str, Problem> {
        Err(Problem::at(Refusal::topic_unknown(), &request))
    }

    /// A request to an app of every extractor gives a status and a code (`""`: no problem).
    async fn check(method: Method, uri: &str, body: &'static str, expected: (u16, &str)) {
        let app = App::new()
            .wrap(from_fn(render))
            .configure(|config| extractors(config, 32))
            .route("/json", web::post().to(json))
            .route("/bytes", web::post().to(bytes))
            .route("/query", web::get().to(query))
            .route("/path/{n}", web::get().to(path))
            .route("/broken", web::get().to(broken))
            .route("/refused", web::get().to(refused))
            .service(web::resource("/methods").get(broken).default_service(method_not_allowed("GET")))
            .default_service(route_unknown());
        let app = init_service(app).await;
        let kind = if body.starts_with('<') { "text/html" } else { "application/json" };
        let request = TestRequest::with_uri(uri).method(method).insert_header(("x-request-id", "r9"));
        let request = request.insert_header(("content-type", kind)).set_payload(body).to_request();
        let answer = call_service(&app, request).await;
        assert_eq!(answer.status().as_u16(), expected.0, "{uri} {body}");
        assert_eq!(answer.headers().get_all("x-request-id").map(|id| id.as_bytes()).collect::<Vec<_>>(), [b"r9"]);
        assert_eq!(answer.headers().get("x-trace-id").unwrap(), "r9");
        let is_problem = answer.headers().get("content-type").is_some_and(|kind| kind == CONTENT_TYPE);
        assert_eq!(answer.headers().get("allow").is_some(), expected.0 == 405);
        let body = read_body(answer).await;
        assert!(!String::from_utf8_lossy(&body).contains("INTERNAL TEXT"));
        assert_eq!(is_problem, !expected.1.is_empty(), "{uri}");
        if is_problem {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&body["code"], &body["request_id"]), (&Value::from(expected.1), &Value::from("r9")), "{uri}");
        }
    }

    #[actix_web::test]
    async fn the_errors_of_the_framework_are_ours() {
        const LONG: &str = "{\"n\": 1, \"more\": \"than the limit takes\"}";
        check(Method::POST, "/json", "{\"n\":1}", (200, "")).await;
        check(Method::POST, "/json", "{\"n\":}", (400, "body.invalid")).await;
        check(Method::POST, "/json", "{\"n\":-1}", (400, "body.invalid")).await;
        check(Method::POST, "/json", "", (400, "body.invalid")).await;
        check(Method::POST, "/json", "<n>1</n>", (415, "body.type")).await;
        check(Method::POST, "/json", LONG, (413, "body.too_large")).await;
        check(Method::POST, "/bytes", "{}", (200, "")).await;
        check(Method::POST, "/bytes", LONG, (413, "body.too_large")).await;
        check(Method::GET, "/query?n=1", "", (200, "")).await;
        check(Method::GET, "/query?n=x", "", (400, "query.invalid")).await;
        check(Method::GET, "/query", "", (400, "query.invalid")).await;
        check(Method::GET, "/path/7", "", (200, "")).await;
        check(Method::GET, "/path/x", "", (400, "name.invalid")).await;
        check(Method::GET, "/broken", "", (500, "internal")).await;
        check(Method::GET, "/refused", "", (404, "topic.unknown")).await;
        check(Method::GET, "/nowhere", "", (404, "route.unknown")).await;
        check(Method::DELETE, "/methods", "", (405, "route.method")).await;
    }
}
