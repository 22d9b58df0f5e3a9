//! The address of a request's sender, as rate limits count it.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// One IPv4 address, or a /64 of IPv6: a single household or machine has as much to itself, and
/// would otherwise have 2⁶⁴ new starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(IpAddr);

impl Address {
    /// Those who share one place: requests without an address, and newcomers when there are too many to tell
    /// apart.
    pub const OTHERS: Self = Self(IpAddr::V6(Ipv6Addr::UNSPECIFIED));

    /// Returns whether it is this machine's own.
    pub(crate) fn is_loopback(self) -> bool {
        self.0.is_loopback()
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        // A listener on [::] sees IPv4 as ::ffff:1.2.3.4; cut to /64 all of these would be the
        // same.
        Self(match ip.to_canonical() {
            loopback if loopback.is_loopback() => loopback,
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            v4 => v4,
        })
    }
}

/// The reverse proxies that are trusted to name a request's sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

/// The text is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} must be an address or a network, such as 127.0.0.1 or 10.0.0.0/8")]
pub struct BadProxy(String);

impl FromStr for Proxies {
    type Err = BadProxy;

    /// Reads addresses and networks, separated by commas.
    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
        let parse = |part: &str| {
            part.parse::<IpNet>()
                .or_else(|_| part.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| BadProxy(part.to_owned()))
        };
        parts.map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Proxies {
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Who sent a request that came from `peer` with these `X-Forwarded-For` headers (in order). Each proxy adds
    /// at the end whom it heard from, so the list is read from there as long as trusted proxies vouch for it;
    /// what stands further in front may be invented.
    pub fn sender<'a>(
        &self,
        peer: Option<IpAddr>,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Address {
        let Some(mut sender) = peer else {
            return Address::OTHERS;
        };
        let mut hops = forwarded.flat_map(|header| header.split(',')).rev();
        while self.trusts(sender) {
            let Some(before) = hops.next().and_then(|hop| hop_address(hop.trim())) else {
                break;
            };
            sender = before;
        }
        sender.into()
    }
}

/// Reads an address to which some proxies add the port.
fn hop_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    bare.unwrap_or(text)
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|a| a.ip()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_household_is_one_address() {
        assert_eq!(address("2001:db8:1:2::7"), address("2001:db8:1:2:ffff::1"));
        assert_ne!(address("2001:db8:1:2::7"), address("2001:db8:1:3::7"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("::ffff:192.0.2.1"), address("::ffff:192.0.2.2"));
    }

    #[test]
    fn only_what_trusted_proxies_vouch_for_counts() {
        let proxies: Proxies = "10.0.0.0/8, 192.0.2.1,2001:db8::/32".parse().unwrap();
        let peer = |text: &str| Some(text.parse().unwrap());
        let cases: &[(&str, &[&str], &str)] = &[
            // A stranger's header is not believed.
            ("198.51.100.7", &["203.0.113.9"], "198.51.100.7"),
            ("10.1.1.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.1.1.1", &["203.0.113.9"], "203.0.113.9"),
            ("2001:db8::5", &["[2001:db9::1]:443"], "2001:db9::1"),
            ("192.0.2.1", &["203.0.113.9:4711"], "203.0.113.9"),
            // The sender invents two hops, the outer proxy adds the sender, the inner one the outer.
            (
                "10.1.1.1",
                &["1.1.1.1, 10.9.9.9, 203.0.113.9, 10.2.2.2"],
                "203.0.113.9",
            ),
            (
                "10.1.1.1",
                &["1.1.1.1", "203.0.113.9", "10.2.2.2"],
                "203.0.113.9",
            ),
            // Without a header that can be read, the sender is the last known address.
            ("10.1.1.1", &[], "10.1.1.1"),
            ("10.1.1.1", &["203.0.113.9, unknown"], "10.1.1.1"),
            ("10.1.1.1", &["203.0.113.9, x, 10.2.2.2"], "10.2.2.2"),
            ("10.1.1.1", &[""], "10.1.1.1"),
        ];
        for (from, headers, expected) in cases {
            let sender = proxies.sender(peer(from), headers.iter().copied());
            assert_eq!(sender, address(expected), "{from} {headers:?}");
        }
        let nobody = Proxies::default().sender(peer("10.1.1.1"), ["203.0.113.9"].into_iter());
        assert_eq!(nobody, address("10.1.1.1"));
        assert_eq!(
            proxies.sender(None, ["203.0.113.9"].into_iter()),
            Address::OTHERS
        );
    }

    #[test]
    fn what_is_no_network_is_named() {
        for bad in ["10.0.0.0/33", "localhost", "10.0.0", "1.2.3.4:80"] {
            let error = format!("127.0.0.1,{bad}").parse::<Proxies>().unwrap_err();
            assert!(error.to_string().contains(bad));
        }
        assert_eq!("".parse(), Ok(Proxies::default()));
    }
}
