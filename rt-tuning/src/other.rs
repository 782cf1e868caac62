//! Systems other than Linux: the same names, each answering "not available on this system". Only the clock works.

/// See the Linux module of this name.
pub mod sched {
    pub use crate::types::Policy;
    use crate::{TuningError, other::missing};

    /// Not available on this system.
    pub fn set_current(policy: Policy, priority: u8) -> Result<(), TuningError> {
        missing(format!("scheduling {policy:?} {priority}"))
    }

    /// Binds the calling thread to a single core where the system can.
    pub fn set_affinity_current(cores: &[usize]) -> Result<(), TuningError> {
        match *cores {
            [id] if core_affinity::set_for_current(core_affinity::CoreId { id }) => Ok(()),
            _ => missing(format!("affinity {cores:?}")),
        }
    }

    /// Cores that the calling thread may use.
    pub fn allowed_current() -> Vec<usize> {
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
    }
}

/// See the Linux module of this name.
pub mod memory {
    use crate::{TuningError, other::missing};

    /// Not available on this system.
    pub fn lock_all() -> Result<(), TuningError> {
        missing("memory lock")
    }

    /// Touches nothing here.
    pub fn prefault_stack(_bytes: usize) -> usize {
        0
    }

    /// Not available on this system.
    pub fn disable_thp() -> Result<(), TuningError> {
        missing("transparent huge pages off")
    }

    /// Touches nothing here.
    pub fn prefault_heap(_bytes: usize) {}

    /// The allocator has no such switch here.
    pub fn tune_malloc() -> bool {
        false
    }
}

/// See the Linux module of this name.
pub mod clock {
    use std::{
        sync::OnceLock,
        time::{Duration, Instant},
    };

    use crate::{TuningError, other::missing};

    /// Nanoseconds of a clock that never goes back, from the first call in this process.
    pub fn monotonic_ns() -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }

    /// Sleeps until [`monotonic_ns`] reaches `ns` and returns what it shows then.
    pub fn sleep_until(ns: u64) -> u64 {
        std::thread::sleep(Duration::from_nanos(ns.saturating_sub(monotonic_ns())));
        monotonic_ns()
    }

    /// Not available on this system.
    pub fn set_timer_slack(ns: u64) -> Result<(), TuningError> {
        missing(format!("timer slack {ns} ns"))
    }
}

/// See the Linux module of this name.
pub mod latency {
    use crate::{TuningError, other::missing};

    /// Cannot be made on this system.
    #[derive(Debug)]
    pub struct CpuDmaLatency(());

    impl CpuDmaLatency {
        /// Not available on this system.
        pub fn hold(us: i32) -> Result<Self, TuningError> {
            missing(format!("idle latency of the cores <= {us} us")).map(Self)
        }
    }
}

/// See the Linux module of this name.
pub mod readback {
    use std::io;

    pub use crate::types::{ProcessFacts, ThreadFacts};

    /// Not available on this system.
    pub fn threads(_pid: u32) -> io::Result<Vec<ThreadFacts>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Not available on this system.
    pub fn process(_pid: u32) -> io::Result<ProcessFacts> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// See the Linux module of this name.
pub mod throttle {
    use std::{io, time::Duration};

    pub use crate::types::Stops;
    use crate::{TuningError, other::missing};

    /// Not available on this system.
    pub fn runtime_ns_period_ns() -> io::Result<(Option<u64>, u64)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Not available on this system.
    pub fn measure(_core: usize, _how_long: Duration, _compete: bool) -> Result<Stops, TuningError> {
        missing("real-time throttling").map(|()| Stops::default())
    }
}

fn missing(what: impl Into<String>) -> Result<(), crate::TuningError> {
    Err(crate::TuningError::new(what, "not available on this system"))
}
