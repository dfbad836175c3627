//! Where a handler may live: any address but those that answer for the machine itself.
//!
//! Promises: link-local and metadata addresses are never connected to, whatever a name resolves to, and however an
//! address is spelled: it is judged as a number, after resolution.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside the link-local ranges: they hand out credentials to whoever asks.
const METADATA_V4: [Ipv4Addr; 2] = [
    // Alibaba Cloud.
    Ipv4Addr::new(100, 100, 100, 200),
    // Azure's wire server.
    Ipv4Addr::new(168, 63, 129, 16),
];
/// AWS over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Why an address is not called; none when it may be.
pub(super) fn denied(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => denied_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => denied_v4(v4),
            None if v6.is_unicast_link_local() => Some("a link-local address"),
            None if v6 == METADATA_V6 => Some("a metadata service"),
            None if v6.is_multicast() => Some("a multicast address"),
            None => None,
        },
    }
}

fn denied_v4(address: Ipv4Addr) -> Option<&'static str> {
    if address.is_link_local() {
        Some("a link-local address")
    } else if METADATA_V4.contains(&address) {
        Some("a metadata service")
    } else if address.is_multicast() || address.is_broadcast() {
        Some("a multicast address")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_for_the_machine_is_denied_in_every_spelling() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(denied(text.parse().expect("an address")).is_some(), "{text}");
        }
    }

    #[test]
    fn applications_live_anywhere_else() {
        for text in ["127.0.0.1", "10.0.0.7", "192.168.1.1", "8.8.8.8", "::1", "fd00::1"] {
            assert!(denied(text.parse().expect("an address")).is_none(), "{text}");
        }
    }
}
