//! Deadlines with a cause: what a message that came too late has to say for itself.
//!
//! Only nodes with a deadline, or where a chain ends, have a watch. A miss costs four system calls: two that read what the kernel
//! has counted for this thread, `sched_getcpu` where the C library has no vDSO for it, and at most once a second the one that calls
//! the daemon. A message in time costs a compare; the counters are read once a second beside that, so that a miss knows what
//! happened within the last second and not since the start.

use std::os::fd::OwnedFd;

use dora_protocol::{node_link::ChainWiring, policy::OnMiss};
use lockfree_ipc::{Miss, MissLog, OriginsView};
use rt_tuning::thread_cost::{ThreadCost, ThreadCounters};

/// The counters are read again when their last reading is older than this, nanoseconds.
const REFRESH_NS: u64 = 1_000_000_000;
/// The daemon is called at most this often, unless the dataflow shall stop; nanoseconds.
const CALL_NS: u64 = 1_000_000_000;

/// A chain that ends at an input of this node.
#[derive(Debug)]
pub(crate) struct ChainEnd {
    pub(super) input: u32,
    pub(super) origins: OriginsView,
    pub(super) within_ns: u64,
    pub(super) on_miss: OnMiss,
}

impl ChainEnd {
    pub(crate) fn new(wiring: &ChainWiring, origins: OriginsView) -> Self {
        let ChainWiring { input, within_ns, on_miss, .. } = *wiring;
        Self { input, origins, within_ns, on_miss }
    }
}

/// Accounts for the deadlines of one node.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(super) chains: Vec<ChainEnd>,
    log: MissLog,
    attention: OwnedFd,
    called_ns: u64,
    /// Of the thread that receives; opened at its first event.
    counters: Option<ThreadCounters>,
    before: ThreadCost,
    before_ns: u64,
}

impl Watch {
    pub(crate) fn new(log: MissLog, chains: Vec<ChainEnd>, attention: OwnedFd) -> Self {
        Self {
            chains,
            log,
            attention,
            called_ns: 0,
            counters: None,
            before: ThreadCost::default(),
            before_ns: 0,
        }
    }

    /// Before the node's first event, on the thread that takes it: opens what a miss will need. Allocates.
    pub(super) fn open(&mut self, now_ns: u64) {
        self.counters = Some(ThreadCounters::open());
        self.refresh(now_ns);
    }

    /// It is time to read the counters again.
    #[inline]
    pub(super) fn is_stale(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.before_ns) > REFRESH_NS
    }

    #[cold]
    pub(super) fn refresh(&mut self, now_ns: u64) {
        self.before = self.counters.as_ref().map(ThreadCounters::read).unwrap_or_default();
        self.before_ns = now_ns;
    }

    /// Completes the record of a miss and keeps it.
    #[cold]
    pub(super) fn missed(&mut self, miss: Miss, on_miss: OnMiss) {
        let now = self.counters.as_ref().map(ThreadCounters::read).unwrap_or_default();
        let cost = now.since(&self.before);
        self.log.record(&Miss {
            minor_faults: cost.minor_faults,
            major_faults: cost.major_faults,
            voluntary: cost.voluntary,
            involuntary: cost.involuntary,
            run_delay_ns: cost.run_delay_ns,
            window_ns: miss.taken_ns.saturating_sub(self.before_ns),
            cores: (now.core, self.before.core),
            ..miss
        });
        (self.before, self.before_ns) = (now, miss.taken_ns);
        if on_miss == OnMiss::Stop || miss.taken_ns.saturating_sub(self.called_ns) > CALL_NS {
            self.called_ns = miss.taken_ns;
            // Fails only when its counter is full: then the daemon has been called already.
            rustix::io::write(&self.attention, &1u64.to_ne_bytes()).ok();
        }
    }
}
