//! How long to wait before the next attempt to reach the coordinator. Pure: the dice are an argument.
//!
//! 1 s, doubling, at most 30 s, each up to a quarter shorter or longer, so that a hundred daemons do not come back in the
//! same moment. There is no last attempt. A coordinator on this machine is asked for every second: that costs nothing there,
//! and whoever restarts it sees all dataflows again at once.

use std::{net::IpAddr, time::Duration};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// The pauses between attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    longest: Duration,
}

impl Backoff {
    /// For a coordinator at `address`.
    pub(super) fn new(address: IpAddr) -> Self {
        Self { failures: 0, longest: if address.is_loopback() { FIRST } else { LONGEST } }
    }

    /// The pause after one more failure. `dice` is anywhere in `0.0..1.0`.
    pub(super) fn after_failure(&mut self, dice: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        doubled.min(self.longest).mul_f64(0.75 + 0.5 * dice.clamp(0.0, 1.0))
    }

    /// The next failure is the first one again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How many attempts have failed since the last success.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

/// A number in `0.0..1.0` that differs from daemon to daemon and from call to call.
pub(super) fn dice() -> f64 {
    let random = uuid::Uuid::new_v4().as_u128() as u32;
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far() -> Backoff {
        Backoff::new([192, 0, 2, 1].into())
    }

    #[test]
    fn pauses_double_up_to_thirty_seconds_and_never_end() {
        let mut backoff = far();
        let seconds: Vec<u64> = (0..8).map(|_| backoff.after_failure(0.5).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30]);
        for _ in 0..100_000 {
            assert_eq!(backoff.after_failure(0.5), LONGEST);
        }
        backoff.reset();
        assert_eq!(backoff.after_failure(0.5), FIRST);
    }

    #[test]
    fn coordinator_on_this_machine_is_asked_for_every_second() {
        let mut backoff = Backoff::new([127, 0, 0, 1].into());
        assert!((0..100).all(|_| backoff.after_failure(0.5) == FIRST));
        assert_eq!(backoff.failures(), 100);
    }

    #[test]
    fn jitter_moves_a_pause_by_a_quarter_at_most() {
        for (dice, expected) in [(0.0, 750), (1.0, 1250), (-5.0, 750), (7.0, 1250)] {
            assert_eq!(far().after_failure(dice), Duration::from_millis(expected), "{dice}");
        }
        assert!((0..1000).all(|_| (0.0..=1.0).contains(&dice())));
    }
}
