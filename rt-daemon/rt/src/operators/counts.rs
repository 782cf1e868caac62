//! What the threads of a flow share beside their lanes: the plan, and numbers of which one thread at a time writes each.
//!
//! So a load and a store are enough, and cost a fraction of a read-modify-write. Each lies in a line of its own: a thread that
//! counts must not take the line away from one that counts something else.

use super::{
    plan::Graph,
    slot::OperatorCounts,
    sync::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// Messages that were sent on an edge that loses nothing, and not yet taken.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Waiting(AtomicU32);

/// Is what is sent on an output wanted outside?
#[derive(Debug)]
#[repr(align(128))]
struct Wanted(AtomicBool);

/// What all threads look at. Each has its own copy of the plan: in memory that another thread writes beside, reading would cost as
/// much as a hand-over.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) graph: Graph,
    /// Per edge. Only its sender raises it. What goes forward is taken in the same step, so the sender lowers it, too; what leads
    /// back waits on the first thread, which lowers it between two steps, or when the sender is done with this one.
    waiting: std::sync::Arc<[Waiting]>,
    /// Per output. The first thread writes it between two steps.
    wanted: std::sync::Arc<[Wanted]>,
}

impl Shared {
    #[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
    pub(super) fn new(graph: Graph) -> Self {
        let waiting = graph.edges.iter().map(|_| Waiting::default()).collect();
        let wanted = graph.owners.iter().map(|_| Wanted(AtomicBool::new(true))).collect();
        Self { graph, waiting, wanted }
    }

    /// Has the first thread to get what is sent on this output, whoever else reads it?
    #[inline]
    pub(super) fn is_kept(&self, output: u32) -> bool {
        self.graph.routes.returns[output as usize] || self.wanted[output as usize].0.load(Relaxed)
    }

    /// The only thread to get what is sent on this output, when it is another one and nothing has to be looked at before.
    #[inline]
    pub(super) fn straight(&self, output: u32) -> Option<u32> {
        let to = (*self.graph.routes.straight.get(output as usize)?)?;
        (!self.wanted[output as usize].0.load(Relaxed)).then_some(to)
    }

    /// Asks what is wanted outside.
    #[inline]
    pub(super) fn ask(&self, mut wants: impl FnMut(u32) -> bool) {
        for (output, wanted) in (0u32..).zip(self.wanted.iter()) {
            let now = wants(output);
            // Only a change takes the line away from the threads that look at it.
            if wanted.0.load(Relaxed) != now {
                wanted.0.store(now, Relaxed);
            }
        }
    }

    /// Must the sender not send on this edge?
    #[inline]
    pub(super) fn is_full(&self, edge: usize) -> bool {
        let spec = &self.graph.edges[edge];
        spec.keeps_all && self.waiting[edge].0.load(Relaxed) >= spec.limit
    }

    /// One more was sent.
    #[inline]
    pub(super) fn add(&self, edge: usize) {
        if self.graph.edges[edge].keeps_all {
            let count = &self.waiting[edge].0;
            count.store(count.load(Relaxed).saturating_add(1), Relaxed);
        }
    }

    /// So many were taken from a counted edge, or dropped.
    pub(super) fn take(&self, edge: usize, by: u32) {
        let count = &self.waiting[edge].0;
        count.store(count.load(Relaxed).saturating_sub(by), Relaxed);
    }

    /// All that was sent on a forward edge in this step is on its way, and will be taken before the next.
    #[inline]
    pub(super) fn is_handed_on(&self, edge: usize) {
        if self.graph.edges[edge].keeps_all {
            self.waiting[edge].0.store(0, Relaxed);
        }
    }
}

/// Counters of one operator, written by the thread that it is on.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Cells {
    runs: AtomicU64,
    overruns: AtomicU64,
    longest_ns: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
}

#[inline]
fn add(count: &AtomicU64, by: u64) {
    count.store(count.load(Relaxed).wrapping_add(by), Relaxed);
}

impl Cells {
    #[inline]
    pub(super) fn ran(&self) {
        add(&self.runs, 1);
    }

    pub(super) fn took(&self, took_ns: u64, budget_ns: u64) {
        if took_ns > budget_ns {
            add(&self.overruns, 1);
        }
        self.longest_ns.store(self.longest_ns.load(Relaxed).max(took_ns), Relaxed);
    }

    pub(super) fn drop_one(&self) {
        add(&self.dropped, 1);
    }

    pub(super) fn refuse(&self) {
        add(&self.refused, 1);
    }

    pub(super) fn read(&self) -> OperatorCounts {
        OperatorCounts {
            runs: self.runs.load(Relaxed),
            overruns: self.overruns.load(Relaxed),
            longest_ns: self.longest_ns.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}
