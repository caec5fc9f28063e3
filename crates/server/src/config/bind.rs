//! Words of a `bind` line: which addresses they stand for.
//!
//! Sockets are made at start and handed to workers; they stay. `CONFIG SET bind` can therefore only
//! choose among the addresses that are listened on: connections that come to another one are turned
//! away when they are opened.

use std::net::IpAddr;

/// An address to listen on, or all of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindWord {
    host: Host,
    /// May be missing on this machine.
    is_optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    AnyV4,
    AnyV6,
    One(IpAddr),
}

impl BindWord {
    /// Reads one word: an address, `*` or `::*`, each with an optional `-` in front.
    pub fn parse(word: &[u8]) -> Option<Self> {
        let is_optional = word.first() == Some(&b'-');
        let host = match &word[usize::from(is_optional)..] {
            b"*" | b"0.0.0.0" => Host::AnyV4,
            b"::*" | b"::" => Host::AnyV6,
            address => Host::One(std::str::from_utf8(address).ok()?.parse().ok()?),
        };
        Some(Self { host, is_optional })
    }

    /// Every word of a value; `None` if one of them is no address.
    pub fn parse_all(value: &[u8]) -> Option<Vec<Self>> {
        value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).map(Self::parse).collect()
    }

    /// Whether a connection that came to `local` came to this address.
    pub fn admits(&self, local: IpAddr) -> bool {
        let local = local.to_canonical();
        match self.host {
            Host::AnyV4 => local.is_ipv4(),
            Host::AnyV6 => local.is_ipv6(),
            Host::One(address) => address == local,
        }
    }

    /// Whether a socket for this address also serves `other`, or need not.
    pub fn serves(&self, other: &Self) -> bool {
        let covers = match other.host {
            Host::One(address) => self.admits(address),
            any => self.host == any,
        };
        covers || other.is_optional
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> BindWord {
        BindWord::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn words_stand_for_addresses() {
        assert!(word("*").admits("10.0.0.1".parse().unwrap()));
        assert!(!word("*").admits("::1".parse().unwrap()));
        assert!(word("-::*").admits("::1".parse().unwrap()));
        assert!(word("127.0.0.1").admits("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!word("127.0.0.1").admits("127.0.0.2".parse().unwrap()));
        assert_eq!(BindWord::parse(b"999.999.999.999"), None);
        assert_eq!(BindWord::parse(b"-"), None);
        assert_eq!(BindWord::parse_all(b"").unwrap(), []);
        assert_eq!(BindWord::parse_all(b"127.0.0.1 -::1").unwrap().len(), 2);
    }

    #[test]
    fn wildcards_serve_what_they_cover() {
        assert!(word("*").serves(&word("127.0.0.1")));
        assert!(!word("*").serves(&word("::1")));
        assert!(word("*").serves(&word("-::1")));
        assert!(!word("127.0.0.1").serves(&word("*")));
        assert!(word("-::*").serves(&word("::*")));
    }
}
