//! Whose a connection is, and how many one may have: of the handshakes at once, an address; of the connections, an
//! organisation. A connection without a certificate counts for its address for as long as it lasts.

use std::net::{IpAddr, Ipv6Addr};

/// Most handshakes at once with one address, a quarter of [`super::MAX_HANDSHAKES`]: an organisation behind one
/// address that connects all its programs at once stays below, and a peer that stalls leaves room for the others.
pub const MAX_HANDSHAKES_PER_ADDRESS: usize = 128;
/// The part of all connections that are one organisation's at most: a program needs one or two, and the operators are an
/// organisation of their own.
pub const MAX_ORGANISATIONS_PART: usize = 8;
/// The part of an IPv6 address that names a network: whoever has one has all addresses in it.
const V6_NETWORK: u128 = !0 << 64;

/// What counts as one address.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & V6_NETWORK).into(),
        IpAddr::V4(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_however_it_is_written_and_a_network_of_ipv6_is_one() {
        let address = |text: &str| network(text.parse().unwrap());
        assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
    }
}
