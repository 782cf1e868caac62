//! Sleep on a word that other processes see; wake who sleeps there.
//!
//! The kernel compares the word and puts the caller to sleep in one step, so a change of the word followed by a
//! wake cannot fall between the two. Model tests replace the kernel by a mutex and a count.

use crate::sync::AtomicU32;

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Somebody rang, perhaps for nothing; or there was nothing to sleep for.
    Rung,
    /// The deadline passed.
    TimedOut,
    /// A signal handler ran on this thread.
    Signal,
}

#[cfg(not(loom))]
pub(crate) struct Futex;

#[cfg(not(loom))]
impl Futex {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Sleeps while `*word == expected`, at most until `deadline_ns` (CLOCK_MONOTONIC, absolute). Returns early on signals
    /// and for no reason at all: callers look again.
    pub(crate) fn wait(&self, word: &AtomicU32, expected: u32, deadline_ns: Option<u64>) -> Woken {
        use rustix::{fs::Timespec, io::Errno, thread::futex};
        let until = deadline_ns
            .map(|ns| Timespec { tv_sec: (ns / 1_000_000_000) as _, tv_nsec: (ns % 1_000_000_000) as _ });
        const ANY: core::num::NonZeroU32 = core::num::NonZeroU32::MAX;
        // No PRIVATE flag: the waker is another process.
        match futex::wait_bitset(word, futex::Flags::empty(), expected, until.as_ref(), ANY) {
            Err(Errno::TIMEDOUT) => Woken::TimedOut,
            Err(Errno::INTR) => Woken::Signal,
            _ => Woken::Rung,
        }
    }

    /// Wakes everyone who sleeps on `word`.
    pub(crate) fn wake(&self, word: &AtomicU32) {
        use rustix::thread::futex;
        // Cannot fail on a mapped, aligned word; nobody sleeping is no error.
        futex::wake(word, futex::Flags::empty(), i32::MAX as u32).ok();
    }
}

/// The kernel, for model tests: comparing and going to sleep is one step, under the mutex. A sleeper that nobody
/// wakes yields for ever, which the model reports.
#[cfg(loom)]
pub(crate) struct Futex {
    kernel: loom::sync::Mutex<()>,
    wakes: AtomicU32,
}

#[cfg(loom)]
impl Futex {
    pub(crate) fn new() -> Self {
        Self { kernel: loom::sync::Mutex::new(()), wakes: AtomicU32::new(0) }
    }

    pub(crate) fn wait(&self, word: &AtomicU32, expected: u32, _deadline_ns: Option<u64>) -> Woken {
        use crate::sync::Ordering::{AcqRel, Acquire, Relaxed};
        let before = {
            let _kernel = self.kernel.lock().unwrap();
            // An exchange, because the kernel compares the newest value; a model load may see an older one.
            if word.fetch_or(0, AcqRel) != expected {
                return Woken::Rung;
            }
            self.wakes.load(Relaxed)
        };
        while self.wakes.load(Acquire) == before {
            loom::thread::yield_now();
        }
        Woken::Rung
    }

    pub(crate) fn wake(&self, _word: &AtomicU32) {
        let _kernel = self.kernel.lock().unwrap();
        self.wakes.fetch_add(1, crate::sync::Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Futex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Futex")
    }
}
