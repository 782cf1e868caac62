//! What the kernel has counted for the calling thread: page faults, switches, time in the run queue, its core.
//!
//! Opened once, read without allocating: one `getrusage` (0.3 µs) and one `pread` (0.7 µs) of `/proc/thread-self/schedstat`,
//! whose second number is the time that the thread was ready and did not run (Documentation/scheduler/sched-stats.rst).
#![expect(unsafe_code, reason = "getrusage of one thread is only in libc")]

use std::{fs::File, os::unix::fs::FileExt};

/// Counters of one thread since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadCost {
    /// Page faults served without disk.
    pub minor_faults: u64,
    /// Page faults that read from disk.
    pub major_faults: u64,
    /// Times it went to sleep.
    pub voluntary: u64,
    /// Times it was pushed off its core.
    pub involuntary: u64,
    /// Nanoseconds it was ready to run and did not; 0 where the kernel does not count that.
    pub run_delay_ns: u64,
    /// Core it runs on.
    pub core: u32,
}

impl ThreadCost {
    /// What was added since `before`; the core is that of `self`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            minor_faults: self.minor_faults.saturating_sub(before.minor_faults),
            major_faults: self.major_faults.saturating_sub(before.major_faults),
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
            run_delay_ns: self.run_delay_ns.saturating_sub(before.run_delay_ns),
            core: self.core,
        }
    }
}

/// Reads the counters of the thread that opened it.
#[derive(Debug)]
pub struct ThreadCounters {
    schedstat: Option<File>,
}

impl ThreadCounters {
    /// For the calling thread. Allocates; what the kernel does not offer stays 0.
    pub fn open() -> Self {
        Self { schedstat: File::open("/proc/thread-self/schedstat").ok() }
    }

    /// The counters now. Two system calls, no allocation. On another thread than the one that opened it, run-queue time is that
    /// of the one, and everything else that of the other.
    pub fn read(&self) -> ThreadCost {
        // SAFETY: plain data, for which zeros are valid.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: writes one `rusage` to a place that is one. With valid arguments it cannot fail; zeros would say nothing.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
        let count = |n: libc::c_long| u64::try_from(n).unwrap_or(0);
        ThreadCost {
            minor_faults: count(usage.ru_minflt),
            major_faults: count(usage.ru_majflt),
            voluntary: count(usage.ru_nvcsw),
            involuntary: count(usage.ru_nivcsw),
            run_delay_ns: self.run_delay_ns(),
            // Failing means a kernel without the call: core 0 for all.
            // SAFETY: no arguments.
            core: u32::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(0),
        }
    }

    fn run_delay_ns(&self) -> u64 {
        let mut text = [0; 64];
        let Some(Ok(len)) = self.schedstat.as_ref().map(|file| file.read_at(&mut text, 0)) else { return 0 };
        let number = text[..len].split(|b| *b == b' ').nth(1);
        number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_is_counted_as_a_voluntary_switch_and_touching_memory_as_a_fault() {
        let counters = ThreadCounters::open();
        let before = counters.read();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let fresh = std::hint::black_box(vec![1u8; 8 << 20]);
        let cost = counters.read().since(&before);
        assert!(cost.voluntary >= 1, "{cost:?}");
        assert!(cost.minor_faults >= 1, "{cost:?}, {} bytes", fresh.len());
    }
}
