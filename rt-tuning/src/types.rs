//! Plain data that every system shares, re-exported by the modules that it belongs to.

/// A scheduling class with the figures that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// SCHED_FIFO: runs until it sleeps or a higher priority comes.
    Fifo,
    /// SCHED_RR: as FIFO, with a time slice among equals.
    Rr,
    /// SCHED_DEADLINE: earliest deadline first; the kernel admits it only if all deadlines can be met.
    Deadline {
        /// CPU time per period, in nanoseconds; at least 1024.
        runtime_ns: u64,
        /// From the start of a period to its deadline, in nanoseconds.
        deadline_ns: u64,
        /// Period in nanoseconds; 0 means equal to the deadline.
        period_ns: u64,
    },
    /// SCHED_OTHER: the ordinary scheduler.
    Other,
}

/// What one thread has, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadFacts {
    /// Thread id.
    pub tid: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// `OTHER`, `FIFO`, `RR`, `BATCH`, `IDLE`, `DEADLINE`, `EXT`, or the number of a class that is newer than this.
    pub policy: String,
    /// Real-time priority, 1 to 99; 0 for classes without.
    pub priority: u32,
    /// Cores it may run on, as a list: `0-1,3`.
    pub cpus: String,
    /// Page faults that needed no disk, since the thread began.
    pub minflt: u64,
    /// Page faults that did.
    pub majflt: u64,
    /// Context switches because it waited.
    pub voluntary: u64,
    /// Context switches because something else ran.
    pub involuntary: u64,
    /// Timer slack in nanoseconds; `None` when the reader lacks CAP_SYS_NICE. Linux 6.12 and later say 0 for
    /// real-time threads: their timers have no slack whatever was set.
    pub timer_slack_ns: Option<u64>,
}

/// What one process has, as the kernel tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Locked memory in KiB (`VmLck`).
    pub vm_lck_kb: u64,
    /// Resident memory in KiB (`VmRSS`).
    pub vm_rss_kb: u64,
    /// May it get transparent huge pages? `None` when the kernel does not say.
    pub thp_enabled: Option<bool>,
}

/// How a thread that never sleeps fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    /// From the first to the last look at the clock, in nanoseconds.
    pub wall_ns: u64,
    /// Of these, time that the spinner was not on its core (wall time less its CPU time), in nanoseconds.
    pub off_core_ns: u64,
    /// Gaps of a millisecond and more between two looks at the clock.
    pub stops: u32,
    /// Their sum, in nanoseconds.
    pub stopped_ns: u64,
    /// The longest, in nanoseconds.
    pub longest_ns: u64,
    /// CPU time that the ordinary competitor on the same core got meanwhile, in nanoseconds; 0 without one.
    pub competitor_ns: u64,
}

impl Stops {
    /// Share of the time that the spinner was off its core, in per cent.
    pub fn off_core_percent(&self) -> f64 {
        if self.wall_ns == 0 { 0.0 } else { self.off_core_ns as f64 * 100.0 / self.wall_ns as f64 }
    }
}
