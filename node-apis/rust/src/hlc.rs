//! Hybrid logical clock of one node: wall-clock time that never stands still and never runs behind what was seen.
//!
//! One atomic word holds the last stamp (`uhlc`'s NTP64: seconds in the upper half, fraction in the lower). Wall-clock
//! time is CLOCK_MONOTONIC plus an offset that is sampled at most once a second, so that a message costs no clock
//! read beside the one it makes anyway.
//!
//! 1. Stamps of one clock grow strictly: the next one is `max(now, last + 1)`.
//! 2. A stamp from elsewhere moves the clock forward by at most [`MAX_AHEAD`]; one from farther ahead is garbage
//!    or another machine's broken clock, and is ignored.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use lockfree_ipc::clock::monotonic_ns;

/// The offset between the clocks is sampled anew when it is older than this, nanoseconds.
const OFFSET_AGE_NS: u64 = 1_000_000_000;

/// Farthest that a stamp from elsewhere may lie ahead of our wall clock: half a second, as NTP64.
const MAX_AHEAD: u64 = 1 << 31;

/// The clock. Any thread, no lock.
#[derive(Debug)]
pub(crate) struct Hlc {
    /// Last stamp given out.
    last: AtomicU64,
    /// Largest stamp seen from elsewhere. Written by the thread that receives: a plain store.
    seen: AtomicU64,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, nanoseconds.
    offset: AtomicI64,
    /// CLOCK_MONOTONIC of the last sample of `offset`.
    sampled_ns: AtomicU64,
    id: uhlc::ID,
}

impl Hlc {
    /// A clock with this identity. An identity of zeros, which `uhlc` does not allow, becomes a random one.
    pub(crate) fn new(id: [u8; 16]) -> Self {
        let random = || uhlc::ID::try_from(uuid::Uuid::new_v4().into_bytes());
        let one = std::num::NonZeroU128::MIN;
        let id = uhlc::ID::try_from(id).or_else(|_| random()).unwrap_or_else(|_| one.into());
        let now = monotonic_ns();
        Self {
            last: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            offset: AtomicI64::new(sample_offset(now)),
            sampled_ns: AtomicU64::new(now),
            id,
        }
    }

    /// The next stamp, NTP64.
    pub(crate) fn new_timestamp(&self) -> u64 {
        self.new_timestamp_at(monotonic_ns())
    }

    /// The next stamp, for a caller that has just read CLOCK_MONOTONIC.
    ///
    /// # Real time
    /// One compare-exchange; CLOCK_REALTIME (no system call) once a second.
    #[inline]
    pub(crate) fn new_timestamp_at(&self, now_ns: u64) -> u64 {
        let now = self.wall(now_ns).max(self.seen.load(Relaxed).wrapping_add(1));
        let mut last = self.last.load(Relaxed);
        loop {
            let next = now.max(last.wrapping_add(1));
            match self.last.compare_exchange_weak(last, next, Relaxed, Relaxed) {
                Ok(_) => return next,
                Err(seen) => last = seen,
            }
        }
    }

    /// Notes a stamp from elsewhere, so that later ones of this clock are larger. `now_ns` is CLOCK_MONOTONIC. For the one
    /// thread that receives.
    ///
    /// # Real time
    /// A load and a store, no locked instruction.
    #[inline]
    pub(crate) fn update_at(&self, now_ns: u64, stamp: u64) {
        if stamp > self.seen.load(Relaxed) && stamp <= self.wall(now_ns).saturating_add(MAX_AHEAD) {
            self.seen.store(stamp, Relaxed);
        }
    }

    /// Identity of this clock.
    pub(crate) fn id(&self) -> uhlc::ID {
        self.id
    }

    #[inline]
    fn wall(&self, now_ns: u64) -> u64 {
        if now_ns.saturating_sub(self.sampled_ns.load(Relaxed)) > OFFSET_AGE_NS {
            self.offset.store(sample_offset(now_ns), Relaxed);
            self.sampled_ns.store(now_ns, Relaxed);
        }
        ntp64(now_ns.wrapping_add_signed(self.offset.load(Relaxed)))
    }
}

fn sample_offset(monotonic: u64) -> i64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
    wall.wrapping_sub(monotonic) as i64
}

/// Nanoseconds since 1970 as NTP64.
fn ntp64(ns: u64) -> u64 {
    let (seconds, rest) = (ns / 1_000_000_000, ns % 1_000_000_000);
    (seconds << 32) | ((rest << 32) / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_of_one_clock_grow_strictly_even_at_the_same_instant() {
        let hlc = Hlc::new([1; 16]);
        let now = monotonic_ns();
        let stamps: Vec<u64> = (0..1000).map(|_| hlc.new_timestamp_at(now)).collect();
        assert!(stamps.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn a_stamp_from_elsewhere_moves_the_clock_unless_it_is_absurd() {
        let hlc = Hlc::new([1; 16]);
        let now = monotonic_ns();
        let near = hlc.new_timestamp_at(now) + (1 << 30);
        hlc.update_at(now, near);
        assert_eq!(hlc.new_timestamp_at(now), near + 1);
        hlc.update_at(now, u64::MAX);
        assert_eq!(hlc.new_timestamp_at(now), near + 2);
    }

    #[test]
    fn stamps_are_wall_clock_time_as_uhlc_reads_it() {
        let stamp = uhlc::NTP64(Hlc::new([0; 16]).new_timestamp());
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(ntp64(1_500_000_000), (1 << 32) | (1 << 31));
        assert!(stamp.to_duration().as_secs().abs_diff(wall.as_secs()) <= 1);
    }
}
