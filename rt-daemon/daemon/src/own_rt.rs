//! What the daemon does to itself in real-time mode: keep off the cores of real-time nodes, lock its memory, keep
//! the processor out of deep sleep.
//!
//! Everything is undone when the [`OwnSetup`] is dropped, but for the memory lock, which ends with the process.

use dora_protocol::dataflow::Dataflow;
use rt_tuning::{TuningError, latency::CpuDmaLatency, memory, sched};

use crate::{
    cores,
    options::RtMode,
    report::RtProblem,
    rt_check::{OWN, has_wishes},
};

/// Holds the set-up of this process while a dataflow runs.
pub(crate) struct OwnSetup {
    /// Keeps `/dev/cpu_dma_latency` open.
    latency: Option<CpuDmaLatency>,
    /// Cores to give back to this thread.
    restore: Option<Vec<usize>>,
    /// What was not granted.
    pub(crate) problems: Vec<RtProblem>,
}

impl OwnSetup {
    /// Sets up the calling thread and process. `allowed`: the cores of this thread until now.
    pub(crate) fn apply(dataflow: &Dataflow, rt: RtMode, allowed: &[usize]) -> Self {
        let mut own = Self { latency: None, restore: None, problems: Vec::new() };
        if rt == RtMode::Off {
            return own;
        }
        let housekeeping = cores::housekeeping(allowed, &cores::claimed(dataflow));
        if housekeeping != allowed && own.note(sched::set_affinity_current(&housekeeping)).is_some() {
            own.restore = Some(allowed.to_vec());
        }
        own.note(memory::lock_all());
        // Waking up from a deep sleep state takes longer than many a deadline.
        if has_wishes(dataflow) {
            own.latency = own.note(CpuDmaLatency::hold(0));
        }
        own
    }

    fn note<T>(&mut self, result: Result<T, TuningError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(TuningError { what, reason, fix }) => {
                self.problems.push(RtProblem { node: OWN.to_owned(), what, reason, fix });
                None
            }
        }
    }
}

impl Drop for OwnSetup {
    fn drop(&mut self) {
        self.latency = None;
        if let Some(cores) = self.restore.take() {
            // The thread stays on the housekeeping cores when this fails, which hurts nobody.
            drop(sched::set_affinity_current(&cores));
        }
    }
}
