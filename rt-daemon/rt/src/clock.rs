//! Where a worker takes the time from: the real clock, or one that a test moves.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// A clock that never goes back.
pub trait Clock: Send {
    /// CLOCK_MONOTONIC nanoseconds, or what stands for them.
    fn now_ns(&self) -> u64;
}

/// The real one: a vDSO call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    fn now_ns(&self) -> u64 {
        lockfree_ipc::clock::monotonic_ns()
    }
}

/// One that stands still until it is set. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Manual(Arc<AtomicU64>);

impl Manual {
    /// Moves the time to `ns`; a moment before the present one is ignored.
    pub fn set(&self, ns: u64) {
        self.0.fetch_max(ns, Relaxed);
    }
}

impl Clock for Manual {
    fn now_ns(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
