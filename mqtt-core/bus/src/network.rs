use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The IP addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The first of them; never an IPv4 address in IPv6 clothes.
    address: IpAddr,
    prefix: u8,
}

/// Text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network; write an address, or a block as in \"10.0.0.0/8\"")]
pub struct NetworkError(Box<str>);

impl Network {
    /// The network that an address is in; of its bits, as many tell.
    pub fn of(address: IpAddr, prefix: u8) -> Self {
        match (address, address.to_canonical()) {
            (IpAddr::V6(_), inner @ IpAddr::V4(_)) if prefix >= 96 => Self::of(inner, prefix - 96),
            (IpAddr::V4(address), _) => {
                let mask = u32::MAX.checked_shl(u32::from(32 - prefix.min(32))).unwrap_or(0);
                Self { address: Ipv4Addr::from_bits(address.to_bits() & mask).into(), prefix }
            }
            (IpAddr::V6(address), _) => {
                let mask = u128::MAX.checked_shl(u32::from(128 - prefix.min(128))).unwrap_or(0);
                Self { address: Ipv6Addr::from_bits(address.to_bits() & mask).into(), prefix }
            }
        }
    }

    /// What is one subscriber's: an IPv4 address, or the 64 bits within which an IPv6 host chooses its addresses.
    pub fn of_subscriber(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::of(address, if address.is_ipv4() { 32 } else { 64 })
    }

    /// The address, if it is only one.
    pub fn single(self) -> Option<IpAddr> {
        (self.prefix == bits(self.address)).then_some(self.address)
    }

    /// Of which IP version it is, and how many bits tell.
    pub fn shape(self) -> (bool, u8) {
        (self.address.is_ipv4(), self.prefix)
    }

    /// Whether the address is one of them; an IPv4 address in IPv6 clothes counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && Self::of(address, self.prefix) == *self
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads `10.0.0.0/8`, `fd00::/8` or a single address.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let parsed = || {
            let (address, prefix) =
                text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
            let address: IpAddr = address.parse().ok()?;
            let prefix = prefix.map_or(Some(bits(address)), |prefix| prefix.parse().ok())?;
            (prefix <= bits(address)).then(|| Self::of(address, prefix))
        };
        parsed().ok_or_else(|| NetworkError(text.into()))
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(address) => write!(f, "{address}"),
            None => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_begin_with_its_bits() {
        let cases = [
            ("10.0.0.0/8", "10.200.3.4", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "10.0.0.1", false),
            ("::/0", "2001:db8::1", true),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.9.9.9", true),
            ("::ffff:10.0.0.0/104", "11.0.0.1", false),
        ];
        for (network, address, expected) in cases {
            let found = network.parse::<Network>().unwrap().contains(address.parse().unwrap());
            assert_eq!(found, expected, "{network} {address}");
        }
    }

    #[test]
    fn a_network_is_the_same_however_it_is_written() {
        let text = |text: &str| text.parse::<Network>().unwrap().to_string();
        for (written, meant) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("2001:DB8::1/64", "2001:db8::/64"),
            ("10.1.2.3/0", "0.0.0.0/0"),
        ] {
            assert_eq!(text(written), meant);
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "localhost", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
