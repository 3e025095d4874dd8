//! Where headers come from: an abstract source, so that what reads them runs without a server.

use actix_web::http::header::HeaderMap;

/// The headers of one request.
pub trait HeaderSource {
    /// Every value of a header, in the order of the request. `name` is lower case.
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]>;
}

impl HeaderSource for HeaderMap {
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).map(|value| value.as_bytes())
    }
}

/// Pairs of lower-case name and value, for callers without an HTTP library.
impl HeaderSource for [(&str, &str)] {
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_bytes())
    }
}
