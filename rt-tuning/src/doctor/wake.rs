//! How long a futex takes to wake a thread on another core: what every message to a parked node costs.
//!
//! ```text
//!   waker     sent = now; turn += 1; futex_wake ──► sleeper   woken = now; counts woken - sent; answered = turn
//! ```
//!
//! The waker waits for the answer before the next turn, so no wake-up is counted twice and a late one is not skipped.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    thread,
};

use rustix::{fs::Timespec, thread::futex};

use super::Histogram;
use crate::{TuningError, clock};

/// From one wake-up to the next: long enough for the sleeper's core to go idle.
const PAUSE_NS: u64 = 500_000;
/// So often the sleeper looks whether the waker still lives.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

#[derive(Default)]
struct Pair {
    turn: AtomicU32,
    answered: AtomicU32,
    sent: AtomicU64,
    over: AtomicBool,
}

/// Wakes a thread on `core` from one on `from` until `length_ns` have passed. `prepare` gives the calling thread its core
/// and its rights; its error ends the measurement.
pub(super) fn measure(
    core: usize,
    from: usize,
    length_ns: u64,
    stop: &AtomicBool,
    prepare: &(dyn Fn(usize) -> Result<(), TuningError> + Sync),
) -> Result<Histogram, TuningError> {
    let pair = Pair::default();
    thread::scope(|scope| {
        let sleeper = scope
            .spawn(|| prepare(core).map(|()| sleep(&pair)).inspect_err(|_| pair.over.store(true, SeqCst)));
        let waker = scope.spawn(|| {
            let ready = prepare(from);
            if ready.is_ok() {
                wake(&pair, length_ns, stop);
            }
            pair.over.store(true, SeqCst);
            ready
        });
        let panicked = |_| TuningError::new("wake-ups", "a thread panicked");
        waker.join().map_err(panicked)??;
        sleeper.join().map_err(panicked)?
    })
}

fn sleep(pair: &Pair) -> Histogram {
    let mut histogram = Histogram::default();
    let mut last = 0;
    while !pair.over.load(SeqCst) {
        let turn = pair.turn.load(SeqCst);
        if turn == last {
            // Interrupted, timed out or changed meanwhile: all are answered by looking again.
            futex::wait(&pair.turn, futex::Flags::PRIVATE, last, Some(&LOOK)).unwrap_or_default();
            continue;
        }
        let woken = clock::monotonic_ns();
        // The very first turn finds the sleeper anywhere between its start and its sleep.
        if last > 0 {
            histogram.add(woken.saturating_sub(pair.sent.load(SeqCst)));
        }
        last = turn;
        pair.answered.store(turn, SeqCst);
    }
    histogram
}

fn wake(pair: &Pair, length_ns: u64, stop: &AtomicBool) {
    let mut due = clock::monotonic_ns();
    let end = due.saturating_add(length_ns);
    let mut turn = 0;
    while due < end && !stop.load(Relaxed) && !pair.over.load(SeqCst) {
        due = clock::sleep_until(due + PAUSE_NS).max(due + PAUSE_NS);
        if pair.answered.load(SeqCst) != turn {
            continue;
        }
        turn += 1;
        pair.sent.store(clock::monotonic_ns(), SeqCst);
        pair.turn.store(turn, SeqCst);
        futex::wake(&pair.turn, futex::Flags::PRIVATE, 1).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_ups_are_counted_and_a_thread_that_cannot_start_ends_the_measurement() {
        let stop = AtomicBool::new(false);
        let counted = measure(0, 0, 50_000_000, &stop, &|_| Ok(())).unwrap();
        assert!(counted.count() > 0, "{counted:?}");
        for broken in [1, 2] {
            let refuse =
                |core| if core == broken { Err(TuningError::new("core", "refused")) } else { Ok(()) };
            let error = measure(1, 2, 1_000_000_000, &stop, &refuse).unwrap_err();
            assert_eq!(error.reason, "refused", "{broken}");
        }
    }
}
