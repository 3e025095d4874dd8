//! Whether a page in a browser may use the hub: the `Origin` it was loaded from.
//!
//! Only browsers send an `Origin`, so a request without one passes here; identity is checked
//! elsewhere.

use tambour_actors::refusal::{Code, Refusal};

use super::source::HeaderSource;
use crate::config::value::WebOrigin;

/// Lets a request pass that has no `Origin`, one on the list, or one of the host it was sent to.
///
/// Of the hub's own origin only host and port are compared: behind a proxy that ends TLS the
/// hub can't know the scheme.
///
/// # Errors
/// [`Code::OriginForbidden`] for any other origin, `null`, or more than one;
/// [`Code::RequestMalformed`] for more than one `Host`.
pub fn check(headers: &(impl HeaderSource + ?Sized), allowed: &[WebOrigin]) -> Result<(), Refusal> {
    let mut origins = headers.values("origin");
    let Some(origin) = origins.next() else { return Ok(()) };
    if origins.next().is_some() {
        return Err(refused());
    }
    if on_list(headers, allowed).is_some() {
        return Ok(());
    }
    let mut hosts = headers.values("host");
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Refusal::new(Code::RequestMalformed, "more than one Host header"));
    }
    let own = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    match (own, host) {
        (Some(own), Some(host)) if !own.is_empty() && own.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(refused()),
    }
}

/// The one origin that a request has, if it is on the list.
pub fn on_list<'a>(headers: &'a (impl HeaderSource + ?Sized), allowed: &[WebOrigin]) -> Option<&'a [u8]> {
    let mut origins = headers.values("origin");
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    allowed.iter().any(|known| known.as_str().as_bytes() == origin).then_some(origin)
}

/// The refusal of an origin that may not.
#[must_use]
pub fn refused() -> Refusal {
    Refusal::new(
        Code::OriginForbidden,
        "pages of this origin may not use the hub; its operator can add it to http.allowed_origins",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::config::layers::Layers;

    #[test]
    fn origins() {
        let mut layers = Layers::default();
        layers.flag("--x", "http.allowed_origins", "https://chat.example,http://localhost:5173");
        let allowed = Settings::resolve(&layers).unwrap().http.allowed_origins;
        let pass = |headers: &[(&str, &str)]| check(headers, &allowed).map_err(|refusal| refusal.code);
        let host = ("host", "hub.example:8080");
        assert_eq!(pass(&[host]), Ok(()));
        for good in [
            "https://chat.example",
            "http://localhost:5173",
            "http://hub.example:8080",
            "https://hub.example:8080",
            "https://HUB.example:8080",
        ] {
            assert_eq!(pass(&[host, ("origin", good)]), Ok(()), "{good}");
        }
        for bad in [
            "null",
            "",
            "https://",
            "https://evil.example",
            "https://chat.example.evil",
            "https://chat.example:8443",
            "http://chat.example",
            "https://hub.example",
            "hub.example:8080",
            "ftp://hub.example:8080",
            "https://hub.example:8080/",
            "https://a@hub.example:8080",
        ] {
            assert_eq!(pass(&[host, ("origin", bad)]), Err(Code::OriginForbidden), "{bad}");
        }
        let twice = [host, ("origin", "https://chat.example"), ("origin", "https://chat.example")];
        assert_eq!(pass(&twice), Err(Code::OriginForbidden));
        assert_eq!(pass(&[("origin", "http://hub.example")]), Err(Code::OriginForbidden));
        assert_eq!(pass(&[host, host, ("origin", "http://x")]), Err(Code::RequestMalformed));
    }
}
