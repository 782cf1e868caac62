//! The clock of everything real-time, and sleeping until a point on it.

use std::num::NonZeroU64;

use rustix::{
    fs::Timespec,
    io::Errno,
    thread::clock_nanosleep_absolute,
    time::{ClockId, clock_gettime},
};

use crate::TuningError;

const SECOND: u64 = 1_000_000_000;

/// CLOCK_MONOTONIC in nanoseconds. A vDSO call, no system call where the clock source is the TSC or an architected
/// timer.
#[inline]
pub fn monotonic_ns() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// CPU time that the calling thread has used, in nanoseconds. A system call.
pub fn thread_cpu_ns() -> u64 {
    nanoseconds(ClockId::ThreadCPUTime)
}

fn nanoseconds(id: ClockId) -> u64 {
    let t = clock_gettime(id);
    (t.tv_sec as u64).wrapping_mul(SECOND).wrapping_add(t.tv_nsec as u64)
}

/// Sleeps until CLOCK_MONOTONIC reaches `ns` and returns what it shows then. A moment that has passed does not sleep.
/// Signals do not shorten it, and repeated use does not drift: the next moment is computed from the plan, not from now.
///
/// # Real time
/// One system call, no allocation.
pub fn sleep_until(ns: u64) -> u64 {
    let until = Timespec { tv_sec: (ns / SECOND) as _, tv_nsec: (ns % SECOND) as _ };
    // A moment beyond the range of time_t (INVAL) cannot be reached in the life of the machine.
    while clock_nanosleep_absolute(ClockId::Monotonic, &until) == Err(Errno::INTR) {}
    monotonic_ns()
}

/// Sets by how much the kernel may delay timers of the calling thread to join them with others (50 000 ns unless
/// told). 0 restores the default; the smallest slack is 1. FIFO, RR and DEADLINE threads have none anyway.
///
/// # Errors
/// What `prctl` says; no right is needed.
pub fn set_timer_slack(ns: u64) -> Result<(), TuningError> {
    rustix::thread::set_current_timer_slack(NonZeroU64::new(ns))
        .map_err(|error| TuningError::new(format!("timer slack {ns} ns"), error.to_string()))
}
