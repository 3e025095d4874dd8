//! Bodies: read to a limit that is checked before anything is kept, then parsed strictly.
//!
//! What is kept of a body is counted as it comes. Nothing is set aside because a client says that it will send it.

use std::ops::Deref;
use std::time::Duration;

use actix_web::{HttpRequest, web};
use futures_util::StreamExt as _;
use serde::Deserialize;
use tambour_actors::depth::{DATA_DEPTH_MAX, is_deeper};
use tambour_actors::entry::Object;
use tambour_actors::refusal::{Code, Refusal};
use tokio::time::{Instant, timeout_at};

use crate::admission::Caller;
use crate::admission::bodies::InHand;

/// Largest body where no route says otherwise, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Deepest nesting of a body: the deepest data, in an event of an array with conditions.
pub const BODY_DEPTH_MAX: usize = DATA_DEPTH_MAX + 3;

/// A body that was read, counted as long as it is there.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    in_hand: InHand,
}

impl Body {
    /// Lets go of the bytes, and stays counted: for what was made of them and is as large.
    #[must_use]
    pub fn parsed(self) -> InHand {
        self.in_hand
    }

    /// Keeps another piece. Memory is at most twice what has come, and never more than `most`.
    fn extend(&mut self, piece: &[u8], most: usize) -> Result<(), Refusal> {
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            let room = needed.max(2 * self.bytes.capacity()).min(most);
            self.in_hand.hold(room)?;
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

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

/// Reads a JSON body of at most `most` bytes, all of which must have come after `http.body_timeout_ms`.
///
/// # Errors
/// `body.type`, `body.too_large`, `body.late`, `limit.body_bytes_principal`, `limit.body_bytes`; `request.malformed` when it
/// breaks off.
pub async fn read(caller: &Caller, request: &HttpRequest, payload: web::Payload, most: usize) -> Result<Body, Refusal> {
    let mut body = Body { bytes: Vec::new(), in_hand: caller.body() };
    collect(request, payload, most, caller.body_patience(), |piece| body.extend(piece, most)).await?;
    Ok(body)
}

/// Reads a JSON body of at most `most` bytes, so few that they are not counted, of whoever sends it.
///
/// # Errors
/// `body.type`, `body.too_large`, `body.late`; `request.malformed` when it breaks off.
pub async fn read_small(
    request: &HttpRequest,
    payload: web::Payload,
    most: usize,
    within: Duration,
) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let keep = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    collect(request, payload, most, within, keep).await?;
    Ok(bytes)
}

/// Gives the pieces of a JSON body to `keep` as they come, as long as they are not more than `most` bytes.
async fn collect(
    request: &HttpRequest,
    mut payload: web::Payload,
    most: usize,
    within: Duration,
    mut keep: impl FnMut(&[u8]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if !is_of(request, "application/json") {
        return Err(Refusal::new(Code::BodyType, "send application/json, not compressed"));
    }
    let announced = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    let too_large = || Refusal::new(Code::BodyTooLarge, format!("a body here has at most {most} bytes"));
    let announced: usize = announced.unwrap_or(0);
    if announced > most {
        return Err(too_large());
    }
    let deadline = Instant::now() + within;
    let late = || Refusal::new(Code::BodyLate, "the body did not come in time");
    let mut length = 0;
    while let Some(chunk) = timeout_at(deadline, payload.next()).await.map_err(|_| late())? {
        let chunk = chunk.map_err(|_| Refusal::new(Code::RequestMalformed, "the body breaks off"))?;
        length += chunk.len();
        if length > most {
            return Err(too_large());
        }
        keep(&chunk)?;
    }
    Ok(())
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
