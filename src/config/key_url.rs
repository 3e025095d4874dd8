//! Where an issuer publishes its keys: an `https://` URL; `http://` only to this machine itself.
//!
//! Whoever can change the answer on its way can be anybody, so a URL that is not protected is refused before it is
//! ever asked.

use std::net::IpAddr;

use super::value::Text;

/// The URL of a JWKS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUrl(Box<str>);

impl KeyUrl {
    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the answer is protected on its way.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
}

/// The host of what is behind `://`; `None` when there is more than a host, a port and a path with a query.
fn host(rest: &str) -> Option<&str> {
    let (authority, _) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, port)) => (host, port),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port_is_one = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    (!host.is_empty() && port_is_one).then_some(host)
}

impl Text for KeyUrl {
    const WORDS: &'static str = "a URL such as https://issuer.example/.well-known/jwks.json; http:// only to localhost";

    fn parse(text: &str) -> Option<Self> {
        // A name and password in it would be in every log, and a fragment is never sent.
        if text.bytes().any(|b| !b.is_ascii_graphic() || matches!(b, b'@' | b'#' | b'\\')) {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let host = host(rest)?;
        let is_local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        match scheme {
            "https" => {}
            "http" if is_local => {}
            _ => return None,
        }
        text.parse::<ureq::http::Uri>().ok()?;
        Some(Self(text.into()))
    }

    fn print(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for good in [
            "https://issuer.example/.well-known/jwks.json",
            "https://issuer.example:8443/keys?a=b",
            "https://10.0.0.1/keys",
            "http://localhost:9000/keys",
            "http://127.0.0.1:9000/keys",
            "http://127.9.9.9/",
            "http://[::1]:9000/keys",
        ] {
            assert_eq!(KeyUrl::parse(good).map(|url| url.print()), Some(good.to_owned()));
        }
        for bad in [
            "",
            "issuer.example",
            "https://",
            "https:///keys",
            "http://issuer.example/keys",
            "http://10.0.0.1/keys",
            "http://localhost.evil.example/keys",
            "http://127.0.0.1.evil.example/keys",
            "http://127.0.0.1@evil.example/keys",
            "https://a:b@issuer.example/keys",
            "https://issuer.example/keys#x",
            "https://issuer.example:port/keys",
            "https://issuer.example:99999/keys",
            "http://[::1]evil.example/keys",
            "http://[::1/keys",
            "http://localhost\\@evil.example/",
            "https://issuer.example/ke ys",
            "HTTP://issuer.example/",
            "file:///etc/passwd",
            "ftp://localhost/keys",
        ] {
            assert_eq!(KeyUrl::parse(bad), None, "{bad}");
        }
    }
}
