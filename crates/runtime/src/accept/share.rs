//! How many of the handshakes at once are one address's, so that nobody takes all places by being slow. A connection
//! without a certificate counts as a handshake for as long as it lasts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Most handshakes at once with one address, a quarter of [`super::MAX_HANDSHAKES`]: an organisation behind one
/// address that connects all its programs at once stays below, and a peer that stalls leaves room for the others.
pub const MAX_HANDSHAKES_PER_ADDRESS: usize = 128;
/// The part of an IPv6 address that names a network: whoever has one has all addresses in it.
const V6_NETWORK: u128 = !0 << 64;

/// The handshakes that run, by address. Has no more entries than there are handshakes.
#[derive(Debug, Clone, Default)]
pub(super) struct Shares(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One handshake of an address, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Shares,
    network: IpAddr,
}

impl Shares {
    /// Counts a handshake with `address`; `None` if it has its share already.
    pub(super) fn take(&self, address: IpAddr) -> Option<Share> {
        let network = network(address);
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = running.entry(network).or_default();
        if *count >= MAX_HANDSHAKES_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Share { shares: self.clone(), network })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut running = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.network);
            }
        }
    }
}

/// What counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & V6_NETWORK).into(),
        IpAddr::V4(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_no_more_and_the_others_have_theirs() {
        let (shares, address) = (Shares::default(), |text: &str| text.parse::<IpAddr>().unwrap());
        let held: Vec<_> = (0..MAX_HANDSHAKES_PER_ADDRESS).map_while(|_| shares.take(address("192.0.2.1"))).collect();
        assert_eq!(held.len(), MAX_HANDSHAKES_PER_ADDRESS);
        for same in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert!(shares.take(address(same)).is_none(), "{same}");
        }
        assert!(shares.take(address("192.0.2.2")).is_some());
        drop(held);
        assert!(shares.take(address("192.0.2.1")).is_some());
        assert!(shares.0.lock().unwrap().is_empty(), "nothing is kept of those who are gone");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let shares = Shares::default();
        let held: Vec<_> = (0..MAX_HANDSHAKES_PER_ADDRESS as u128)
            .map_while(|host| shares.take(Ipv6Addr::from_bits((0x2001_0db8 << 96) | host).into()))
            .collect();
        assert_eq!(held.len(), MAX_HANDSHAKES_PER_ADDRESS);
        assert!(shares.take("2001:db8::ffff".parse().unwrap()).is_none());
        assert!(shares.take("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}
