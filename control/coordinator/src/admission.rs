//! How often one address may connect.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

/// New connections from one address in [`WINDOW`]; loopback is exempt.
const MAX_NEW: usize = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered. More at once is an attack; then every stranger is refused until the oldest are forgotten.
const MAX_ADDRESSES: usize = 4096;

/// Counts new connections per address.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    seen: BTreeMap<IpAddr, VecDeque<Instant>>,
}

impl Rate {
    /// May this address connect once more? Counts the attempt if so.
    pub(crate) fn admit(&mut self, address: IpAddr, now: Instant) -> bool {
        if address.to_canonical().is_loopback() {
            return true;
        }
        let old = |at: &Instant| now.duration_since(*at) >= WINDOW;
        if self.seen.len() >= MAX_ADDRESSES {
            self.seen.retain(|_, times| times.back().is_some_and(|last| !old(last)));
        }
        if self.seen.len() >= MAX_ADDRESSES && !self.seen.contains_key(&address) {
            return false;
        }
        let times = self.seen.entry(address).or_default();
        while times.front().is_some_and(old) {
            times.pop_front();
        }
        let admitted = times.len() < MAX_NEW;
        if admitted {
            times.push_back(now);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_connect_twenty_times_in_a_minute_and_loopback_as_often_as_it_likes() {
        let mut rate = Rate::default();
        let (start, far, near) = (Instant::now(), IpAddr::from([10, 0, 0, 1]), IpAddr::from([127, 0, 0, 1]));
        for n in 0..MAX_NEW {
            assert!(rate.admit(far, start + Duration::from_secs(n as u64)));
        }
        assert!(!rate.admit(far, start + Duration::from_secs(59)));
        assert!(rate.admit(IpAddr::from([10, 0, 0, 2]), start + Duration::from_secs(59)));
        assert!(rate.admit(far, start + Duration::from_secs(60)), "the first attempt is a minute old");
        assert!(!rate.admit(far, start + Duration::from_secs(60)), "the second is not");
        assert!((0..1000).all(|_| rate.admit(near, start)));
        assert!((0..1000).all(|_| rate.admit("::ffff:127.0.0.1".parse().unwrap(), start)));
    }

    #[test]
    fn a_flood_of_addresses_does_not_fill_the_memory() {
        let mut rate = Rate::default();
        let start = Instant::now();
        let address = |n: u32| IpAddr::from(n.to_be_bytes().map(|byte| byte.wrapping_add(1)));
        for n in 0..10_000 {
            rate.admit(address(n), start);
        }
        assert_eq!(rate.seen.len(), MAX_ADDRESSES);
        assert!(rate.admit(address(20_000), start + WINDOW));
    }
}
