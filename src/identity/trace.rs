//! The ids of a request: its own, and that of the trace it is part of.
//!
//! Reading them never fails: an id that is not accepted is as good as none.

use tambour_actors::token_form::holds_token;
use uuid::Uuid;

use super::source::HeaderSource;

/// Longest request id in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// The ids of a request. They are echoed in its answer, are on its log lines, and travel in
/// `meta` of the events it causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIds {
    /// `X-Request-Id` if it is 1 to 128 visible ASCII and no token, else a new UUIDv7.
    pub request_id: Box<str>,
    /// The trace id of a valid `traceparent`, else the request id.
    pub trace_id: Box<str>,
}

impl RequestIds {
    /// Reads the ids of a request. A header that is given twice is not used.
    #[must_use]
    pub fn read(headers: &(impl HeaderSource + ?Sized)) -> Self {
        let request_id: Box<str> = once(headers, "x-request-id")
            .and_then(|value| sayable(value, REQUEST_ID_BYTES_MAX))
            .map_or_else(|| Uuid::now_v7().to_string().into(), Box::from);
        let trace_id = once(headers, "traceparent").and_then(trace_id).map_or_else(|| request_id.clone(), Box::from);
        Self { request_id, trace_id }
    }
}

fn once<'a>(headers: &'a (impl HeaderSource + ?Sized), name: &str) -> Option<&'a [u8]> {
    let mut values = headers.values(name);
    values.next().filter(|_| values.next().is_none())
}

/// The text, if it is 1 to `bytes_max` bytes of visible ASCII (0x21 to 0x7e) and no token: what may be on log lines, in
/// answers, and on events that others read.
pub(super) fn sayable(value: &[u8], bytes_max: usize) -> Option<&str> {
    let form = (1..=bytes_max).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    let text = if form { std::str::from_utf8(value).ok() } else { None };
    text.filter(|text| !holds_token(text))
}

/// The trace id of a W3C `traceparent`: `00-{32 hex}-{16 hex}-{2 hex}`, lower case. Later
/// versions may have more behind that; version `ff` and ids of zeros alone are not valid.
fn trace_id(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let id = |part: &str, length: usize| hex(part, length) && part.bytes().any(|b| b != b'0');
    let mut parts = text.splitn(5, '-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let form = hex(version, 2) && version != "ff" && id(trace, 32) && id(parent, 16) && hex(flags, 2);
    (form && (version != "00" || parts.next().is_none())).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparents() {
        const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
        for good in ["00-{}-b7ad6b7169203331-01", "00-{}-b7ad6b7169203331-00", "01-{}-b7ad6b7169203331-01-more"] {
            let text = good.replace("{}", TRACE);
            assert_eq!(trace_id(text.as_bytes()), Some(TRACE), "{text}");
        }
        for bad in [
            "",
            "00",
            "{}",
            "ff-{}-b7ad6b7169203331-01",
            "00-{}-0000000000000000-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-{}-b7ad6b7169203331-01-more",
            "00-{}-b7ad6b7169203331-01-",
            "00-{}-b7ad6b7169203331-1",
            "00-{}-b7ad6b7169203331",
            "00-{}0-b7ad6b7169203331-01",
            "0-{}-b7ad6b7169203331-01",
            "00-{}-B7AD6B7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            " 00-{}-b7ad6b7169203331-01",
            "00_{}_b7ad6b7169203331_01",
        ] {
            let text = bad.replace("{}", TRACE);
            assert_eq!(trace_id(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn request_ids() {
        let read = |headers: &[(&str, &str)]| RequestIds::read(headers);
        let kept = read(&[("x-request-id", "r-1")]);
        assert_eq!((&*kept.request_id, &*kept.trace_id), ("r-1", "r-1"));
        let longest = "x".repeat(128);
        assert_eq!(*read(&[("x-request-id", &longest)]).request_id, *longest);
        let token = format!("tst_{}", "A".repeat(43));
        for bad in ["", " ", "a b", "é", "a\"\n", &"x".repeat(129), &token, &format!("id-{token}")] {
            let made = read(&[("x-request-id", bad)]);
            assert_eq!(Uuid::parse_str(&made.request_id).map(|id| id.get_version_num()), Ok(7), "{bad:?}");
        }
        assert_ne!(*read(&[("x-request-id", "a"), ("x-request-id", "a")]).request_id, *"a");
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let traced = read(&[("traceparent", parent), ("x-request-id", "r")]);
        assert_eq!((&*traced.request_id, &*traced.trace_id), ("r", "0af7651916cd43dd8448eb211c80319c"));
    }
}
