//! What a thread asked of the kernel and the allocator.
#![expect(unsafe_code, reason = "getrusage has no safe wrapper")]

use bench_support::Metrics;
use rt_tuning::alloc_guard;

/// Names of the metrics, each a number per message: calls into the allocator, page faults, sleeps in the kernel.
pub const NAMES: [&str; 3] = ["allocator", "faults", "sleeps"];

/// Counters of the calling thread, which must be marked for [`alloc_guard`].
#[derive(Clone, Copy, Debug)]
pub struct Usage([u64; 3]);

impl Usage {
    /// The counters as they are.
    pub fn now() -> Self {
        // SAFETY: plain integers, for which zeros are valid.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: writes one `rusage` to a place that is one. Cannot fail with these arguments.
        unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) };
        let faults = (usage.ru_minflt + usage.ru_majflt) as u64;
        Self([alloc_guard::of_this_thread().calls(), faults, usage.ru_nvcsw as u64])
    }

    /// What was added since, per message, under [`NAMES`].
    pub fn per_message(self, messages: u64) -> Metrics {
        let added = Self::now().0.into_iter().zip(self.0).map(|(now, then)| (now - then) as f64);
        NAMES.into_iter().zip(added).map(|(name, n)| (name.to_owned(), n / messages.max(1) as f64)).collect()
    }
}
