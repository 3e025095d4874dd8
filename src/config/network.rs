//! Networks as settings name them: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::net::{IpAddr, Ipv4Addr};

use super::value::Text;

/// An address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    ip: IpAddr,
    bits: u32,
}

/// The bits of an address at the left of a number, and how many there are.
fn left_bits(ip: IpAddr) -> (u128, u32) {
    match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, Ipv4Addr::BITS),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

impl Network {
    /// Whether an address is in it. An IPv4 address is the same one when it is written as IPv6.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let ((own, length), (given, given_length)) = (left_bits(self.ip), left_bits(ip));
        length == given_length && (own ^ given).checked_shr(128 - self.bits).is_none_or(|differs| differs == 0)
    }
}

impl std::str::FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or(Self::WORDS)
    }
}

impl Text for Network {
    const WORDS: &'static str = "an IP address, or a network such as 10.0.0.0/8 or 2001:db8::/32";

    fn parse(text: &str) -> Option<Self> {
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().ok()?;
        let (given, length) = left_bits(ip);
        let bits = match bits {
            None => length,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= length && !text.contains('+'))?,
        };
        // Bits behind the prefix, as in 10.0.0.7/8, are a slip: either the address or the length is not meant.
        if given.checked_shl(bits).is_some_and(|rest| rest != 0) {
            return None;
        }
        match ip.to_canonical() {
            mapped @ IpAddr::V4(_) if ip.is_ipv6() => Some(Self { ip: mapped, bits: bits.checked_sub(96)? }),
            ip => Some(Self { ip, bits }),
        }
    }

    fn print(&self) -> String {
        if self.bits == left_bits(self.ip).1 { self.ip.to_string() } else { format!("{}/{}", self.ip, self.bits) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, inside: &[&str], outside: &[&str]) {
        let network = Network::parse(text).unwrap();
        for ip in inside {
            assert!(network.contains(ip.parse().unwrap()), "{ip} is in {text}");
        }
        for ip in outside {
            assert!(!network.contains(ip.parse().unwrap()), "{ip} is not in {text}");
        }
        assert_eq!(Network::parse(&network.print()), Some(network));
    }

    #[test]
    fn networks() {
        check(
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["11.0.0.0", "9.255.255.255", "a00::"],
        );
        check("10.1.2.3", &["10.1.2.3"], &["10.1.2.2", "::"]);
        check("10.1.2.3/32", &["10.1.2.3"], &["10.1.2.2"]);
        check("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::", "2001:db8::1"]);
        check("172.16.0.0/12", &["172.16.0.1", "172.31.255.255"], &["172.32.0.0", "172.15.255.255"]);
        check("::1", &["::1"], &["::2", "127.0.0.1"]);
        check("::/0", &["::", "2001:db8::1"], &["1.2.3.4", "::ffff:1.2.3.4"]);
        check("2001:db8::/33", &["2001:db8:7fff::1"], &["2001:db8:8000::"]);
        check("::ffff:10.0.0.0/104", &["10.9.9.9"], &["11.0.0.0"]);
        for bad in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.7/8",
            "10.0.0/8",
            "::/129",
            "::1/64",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            " 10.0.0.1",
            "example.org",
            "::ffff:0:0/95",
            "0.0.0.1/0",
            "::1/0",
        ] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
