//! How late a timer wakes its thread: what cyclictest measures.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::Histogram;
use crate::clock;

/// What one thread saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Lateness {
    /// Ticks for which the thread slept.
    pub(super) slept: Histogram,
    /// Ticks that had passed before the thread looked.
    pub(super) passed: Histogram,
}

/// Sleeps until `start`, then until each of `ticks` further moments, `interval_ns` apart, and counts how late it woke.
///
/// A tick that has passed already was late as well: it is counted with the time since it was due, so that one long stop
/// weighs as much as it would in a loop of this rate. They are kept apart, because cyclictest counts such a stop once.
pub(super) fn measure(start: u64, interval_ns: u64, ticks: u64, stop: &AtomicBool) -> Lateness {
    let mut seen = Lateness::default();
    // One round that does not count brings code and stack into the caches.
    seen.slept.add(clock::sleep_until(start).saturating_sub(start));
    seen.slept = Histogram::default();
    let mut due = start;
    for _ in 0..ticks {
        if stop.load(Relaxed) {
            break;
        }
        due += interval_ns;
        let before = clock::monotonic_ns();
        if before > due {
            seen.passed.add(before - due);
        } else {
            seen.slept.add(clock::sleep_until(due).saturating_sub(due));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_that_passed_are_counted_as_missed_with_their_lateness() {
        let stop = AtomicBool::new(false);
        let start = clock::monotonic_ns().saturating_sub(1_000_000_000);
        let seen = measure(start, 1_000_000, 10, &stop);
        assert_eq!((seen.passed.count(), seen.slept.count()), (10, 0));
        assert!(seen.passed.summary().p50_ns > 900_000_000, "{seen:?}");
    }

    #[test]
    fn nothing_is_measured_after_a_stop() {
        assert_eq!(measure(0, 1, 10, &AtomicBool::new(true)).slept.count(), 0);
    }
}
