//! Which address a request comes from: the peer's, or behind proxies that the operator trusts, what they say in
//! `X-Forwarded-For`.
//!
//! Anybody can write that header, so it is read from its end, and no further than the first address that no
//! trusted proxy has. `Forwarded` (RFC 7239) is not read: two headers that can disagree are one too many.

use std::net::{IpAddr, SocketAddr};

use super::source::HeaderSource;
use crate::config::network::Network;

/// The address that a request counts for. `peer` is who connected to the hub.
///
/// What a trusted proxy writes that is no address (`unknown`) counts for the proxy itself.
#[must_use]
pub fn client(peer: IpAddr, headers: &(impl HeaderSource + ?Sized), trusted: &[Network]) -> IpAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut client = peer;
    if !is_trusted(client) {
        return client;
    }
    // Several lines of it are one list, in their order.
    let lines: Vec<&[u8]> = headers.values("x-forwarded-for").collect();
    for item in lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
        let Some(ip) = address(item) else { return client };
        client = ip;
        if !is_trusted(client) {
            return client;
        }
    }
    client
}

/// An address, as some proxies write it also with a port or in brackets.
fn address(item: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(item).ok()?.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|addr| addr.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::config::layers::Layers;

    #[track_caller]
    fn check(peer: &str, lines: &[&str], expected: &str) {
        let mut layers = Layers::default();
        layers.flag("--x", "http.trusted_proxies", "10.0.0.0/8,192.0.2.7,2001:db8:ff::/48");
        let trusted = Settings::resolve(&layers).unwrap().http.trusted_proxies;
        let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let got = client(peer.parse().unwrap(), headers.as_slice(), &trusted);
        assert_eq!(got, expected.parse::<IpAddr>().unwrap(), "{peer} with {lines:?}");
    }

    #[test]
    fn who_is_believed() {
        // Not by a trusted proxy: whatever it says.
        check("203.0.113.9", &[], "203.0.113.9");
        check("203.0.113.9", &["198.51.100.1"], "203.0.113.9");
        check("203.0.113.9", &["10.0.0.1"], "203.0.113.9");
        // By one.
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("2001:db8:ff::1", &["2001:db8::5"], "2001:db8::5");
        // What the client itself wrote stands further left.
        check("10.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["10.9.9.9, 198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1");
        // Through a row of trusted ones.
        check("10.0.0.1", &["1.1.1.1, 198.51.100.1, 192.0.2.7,10.3.3.3"], "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1, 192.0.2.7", "10.3.3.3"], "198.51.100.1");
        check("10.0.0.1", &["10.7.7.7"], "10.7.7.7");
        check("10.0.0.1", &["10.8.8.8, 10.7.7.7"], "10.8.8.8");
        // Written with a port.
        check("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1");
        check("10.0.0.1", &["[2001:db8::5]:4711"], "2001:db8::5");
        check("10.0.0.1", &["[2001:db8::5]"], "2001:db8::5");
        // No address: it counts for the last one that is known.
        check("10.0.0.1", &["unknown"], "10.0.0.1");
        check("10.0.0.1", &[""], "10.0.0.1");
        check("10.0.0.1", &["1.1.1.1,"], "10.0.0.1");
        check("10.0.0.1", &["1.1.1.1, _hidden, 10.3.3.3"], "10.3.3.3");
        check("10.0.0.1", &["1.1.1.1, evil\u{fc}, 192.0.2.7"], "192.0.2.7");
    }
}
