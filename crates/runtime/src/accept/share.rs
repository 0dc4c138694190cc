//! How much of a limit is one's own, so that nobody takes all places: of the handshakes at once, an address; of the
//! connections, an organisation. A connection without a certificate counts as a handshake for as long as it lasts.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Most handshakes at once with one address, a quarter of [`super::MAX_HANDSHAKES`]: an organisation behind one
/// address that connects all its programs at once stays below, and a peer that stalls leaves room for the others.
pub const MAX_HANDSHAKES_PER_ADDRESS: usize = 128;
/// Most connections of one organisation's members at once, an eighth of [`super::MAX_CONNECTIONS`]: a program needs one
/// or two, and the operators are an organisation of their own.
pub const MAX_CONNECTIONS_PER_ORGANISATION: usize = 1024;
/// The part of an IPv6 address that names a network: whoever has one has all addresses in it.
const V6_NETWORK: u128 = !0 << 64;

/// What is taken, by whom. Has no more entries than there are shares.
#[derive(Debug)]
pub(super) struct Shares<K: Eq + Hash> {
    most: usize,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// One that somebody has taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Share<K: Eq + Hash> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    whose: K,
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// None is taken yet, and each may take as many as `most`.
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// Counts one more for `whose`; `None` if they have their share already.
    pub(super) fn take(&self, whose: K) -> Option<Share<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(whose.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { taken: Arc::clone(&self.taken), whose })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

/// What counts as one address.
pub(super) fn network(address: IpAddr) -> IpAddr {
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
        let (shares, address) = (Shares::new(MAX_HANDSHAKES_PER_ADDRESS), |text: &str| network(text.parse().unwrap()));
        let held: Vec<_> = (0..MAX_HANDSHAKES_PER_ADDRESS).map_while(|_| shares.take(address("192.0.2.1"))).collect();
        assert_eq!(held.len(), MAX_HANDSHAKES_PER_ADDRESS);
        for same in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert!(shares.take(address(same)).is_none(), "{same}");
        }
        assert!(shares.take(address("192.0.2.2")).is_some());
        drop(held);
        assert!(shares.take(address("192.0.2.1")).is_some());
        assert!(shares.taken.lock().unwrap().is_empty(), "nothing is kept of those who are gone");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let shares = Shares::new(MAX_HANDSHAKES_PER_ADDRESS);
        let held: Vec<_> = (0..MAX_HANDSHAKES_PER_ADDRESS as u128)
            .map_while(|host| shares.take(network(Ipv6Addr::from_bits((0x2001_0db8 << 96) | host).into())))
            .collect();
        assert_eq!(held.len(), MAX_HANDSHAKES_PER_ADDRESS);
        assert!(shares.take(network("2001:db8::ffff".parse().unwrap())).is_none());
        assert!(shares.take(network("2001:db8:0:1::1".parse().unwrap())).is_some());
    }
}
