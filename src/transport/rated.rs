//! What an answer says about the rate of what was asked for: three headers, on answers that are refused as on others.

use std::cell::Cell;
use std::rc::Rc;

use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{HttpMessage as _, HttpRequest};

use crate::admission::rates::Allowance;

/// How many there may be in 60 s.
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
/// How many may follow at once.
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
/// In how many seconds all of them may again.
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Left in a request's extensions: where its caller stands with the rate of what it asks for, once that is known.
#[derive(Debug, Clone, Default)]
pub struct Rated(pub Rc<Cell<Option<Allowance>>>);

/// Says where the caller of a request stands, if what it asked for has a rate.
pub(crate) fn put(headers: &mut HeaderMap, request: &HttpRequest) {
    let allowance = request.extensions().get::<Rated>().and_then(|rated| rated.0.get());
    let Some(Allowance { limit, remaining, reset_seconds }) = allowance else { return };
    headers.insert(LIMIT, limit.into());
    headers.insert(REMAINING, remaining.into());
    headers.insert(RESET, reset_seconds.into());
}
