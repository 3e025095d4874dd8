//! Bodies: read to a limit that is checked before anything is kept, then parsed strictly.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::Deserialize;
use tambour_actors::depth::{DATA_DEPTH_MAX, is_deeper};
use tambour_actors::entry::Object;
use tambour_actors::refusal::{Code, Refusal};
use tokio::time::{Instant, timeout_at};

/// Largest body where no route says otherwise, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Deepest nesting of a body: the deepest data, in an event of an array with conditions.
pub const BODY_DEPTH_MAX: usize = DATA_DEPTH_MAX + 3;

/// Most bytes that are set aside because a client says that it will send them.
const RESERVED_BYTES_MAX: usize = 64 * 1024;

/// Whether a request says that its body is of this media type, and not encoded: nothing here decodes.
#[must_use]
pub fn is_of(request: &HttpRequest, kind: &str) -> bool {
    let encoding = request.headers().get("content-encoding");
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return false;
    }
    let given = request.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
}

/// Whether a request has no body at all (RFC 9112, section 6.3).
#[must_use]
pub fn is_absent(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let length = headers.get("content-length").is_none_or(|length| length.as_bytes() == b"0");
    length && !headers.contains_key("transfer-encoding")
}

/// Reads a JSON body of at most `most` bytes, all of which must have come after `patience`.
///
/// # Errors
/// `body.type`, `body.too_large`, `body.late`, `request.malformed` when it breaks off.
pub async fn read(
    request: &HttpRequest,
    mut payload: web::Payload,
    most: usize,
    patience: Duration,
) -> Result<Bytes, Refusal> {
    if !is_of(request, "application/json") {
        return Err(Refusal::new(Code::BodyType, "send application/json, not compressed"));
    }
    let announced = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    let too_large = || Refusal::new(Code::BodyTooLarge, format!("a body here has at most {most} bytes"));
    let announced: usize = announced.unwrap_or(0);
    if announced > most {
        return Err(too_large());
    }
    let deadline = Instant::now() + patience;
    let late = || Refusal::new(Code::BodyLate, "the body did not come in time");
    let mut body = BytesMut::with_capacity(announced.min(RESERVED_BYTES_MAX));
    while let Some(chunk) = timeout_at(deadline, payload.next()).await.map_err(|_| late())? {
        let chunk = chunk.map_err(|_| Refusal::new(Code::RequestMalformed, "the body breaks off"))?;
        if body.len() + chunk.len() > most {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Parses a body that is an object.
///
/// # Errors
/// `body.invalid`, with the place.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    parse_value(body).map(|Object(value)| value)
}

/// Parses a body of whatever form.
///
/// # Errors
/// `body.invalid`, with the place.
pub fn parse_value<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    if is_deeper(body, BODY_DEPTH_MAX) {
        return Err(Refusal::new(Code::BodyInvalid, format!("a body is nested at most {BODY_DEPTH_MAX} levels deep")));
    }
    serde_json::from_slice(body).map_err(|error| Refusal::new(Code::BodyInvalid, error.to_string()))
}
