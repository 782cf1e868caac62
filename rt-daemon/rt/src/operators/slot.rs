//! One operator with its queues and what it has sent: everything that one thread at a time may touch.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use crate::clock::Clock;

use super::plan::Graph;

/// Logical time: of two events the one with the smaller tag comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// Nanoseconds.
    pub time_ns: u64,
    /// Order within one time.
    pub microstep: u32,
}

impl Tag {
    /// No event is later.
    pub const NEVER: Self = Self { time_ns: u64::MAX, microstep: u32::MAX };

    /// The tag of an edge that leads back.
    pub fn next_microstep(self) -> Self {
        Self { microstep: self.microstep.saturating_add(1), ..self }
    }
}

/// What an operator is given.
#[derive(Debug)]
pub struct Arrived<M> {
    /// Number of the operator's input.
    pub input: u32,
    /// Its logical time.
    pub tag: Tag,
    /// What came.
    pub message: M,
}

/// What an operator wants after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next event.
    Continue,
    /// No more events; what waits for it is dropped.
    Finish,
    /// The whole dataflow shall end.
    StopAll,
    /// It cannot go on.
    Fail,
}

/// Code that reacts to events. One thread at a time runs it, to its end.
pub trait Operator<M>: Send {
    /// Handles one event.
    fn run(&mut self, event: Arrived<M>, sends: &mut Sends<'_, M>) -> Verdict;
}

impl<M> std::fmt::Debug for dyn Operator<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Operator")
    }
}

/// A reader inside the process cannot take more now; the message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a queue inside the runtime is full, and its policy is to lose nothing")]
pub struct Full;

/// Counters of one operator. Plain numbers; read them between steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperatorCounts {
    /// Invocations.
    pub runs: u64,
    /// Invocations that took longer than the budget.
    pub overruns: u64,
    /// The longest of those, nanoseconds.
    pub longest_ns: u64,
    /// Messages that a newer one pushed out of a queue.
    pub dropped: u64,
    /// Messages that were refused because a queue that loses nothing was full.
    pub refused: u64,
}

/// Takes what an operator sends during one invocation.
#[derive(Debug)]
pub struct Sends<'a, M> {
    pub(super) out: &'a mut VecDeque<Sent<M>>,
    pub(super) graph: &'a Graph,
    pub(super) waiting: &'a [AtomicU32],
    pub(super) refused: &'a mut u64,
    pub(super) tag: Tag,
}

/// Sent and not yet handed on.
#[derive(Debug)]
pub(super) struct Sent<M> {
    pub(super) output: u32,
    pub(super) tag: Tag,
    pub(super) message: M,
}

impl<M> Sends<'_, M> {
    /// Sends on this output (numbered over the whole plan). Readers get it after this invocation.
    ///
    /// # Errors
    /// [`Full`] when a reader that loses nothing has no room, or more was sent than the plan reserved. Nobody gets it then.
    ///
    /// # Real time
    /// No allocation, no system call.
    pub fn send(&mut self, output: u32, message: M) -> Result<(), Full> {
        let edges = self.graph.edges_of(output);
        // Only the sender of an edge raises its count, and its reader does not run meanwhile.
        let full = |edge: &usize| {
            let edge_spec = &self.graph.edges[*edge];
            edge_spec.keeps_all && self.waiting[*edge].load(Relaxed) >= edge_spec.limit
        };
        if self.out.len() == self.out.capacity() || edges.clone().any(|edge| full(&edge)) {
            *self.refused += 1;
            return Err(Full);
        }
        for edge in edges {
            add(&self.waiting[edge], 1);
        }
        self.out.push_back(Sent { output, tag: self.tag, message });
        Ok(())
    }

    /// Logical time of the event that is being handled.
    pub fn tag(&self) -> Tag {
        self.tag
    }
}

/// Raises a count. One thread at a time writes it: the sender of the edge, or its reader, which by the levels of the plan never
/// run at the same time. So a load and a store are enough, and cost a fraction of a read-modify-write.
pub(super) fn add(count: &AtomicU32, by: u32) {
    count.store(count.load(Relaxed).saturating_add(by), Relaxed);
}

/// Lowers a count, as [`add`] raises it.
pub(super) fn take(count: &AtomicU32, by: u32) {
    count.store(count.load(Relaxed).saturating_sub(by), Relaxed);
}

/// What waits at an edge.
#[derive(Debug)]
struct Waiting<M> {
    tag: Tag,
    message: M,
}

/// One operator.
#[derive(Debug)]
pub(super) struct Slot<M> {
    pub(super) operator: Box<dyn Operator<M>>,
    /// One per edge that leads here, in the order of the inputs.
    queues: Box<[VecDeque<Waiting<M>>]>,
    pub(super) sent: VecDeque<Sent<M>>,
    pub(super) counts: OperatorCounts,
    /// The last word of the operator; after anything but `Continue` it is not asked again.
    pub(super) verdict: Verdict,
}

impl<M> Slot<M> {
    /// `limits`: messages that wait, per edge. `room`: messages that are sent before they are handed on.
    #[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
    pub(super) fn new(operator: Box<dyn Operator<M>>, limits: &[u32], room: usize) -> Self {
        Self {
            operator,
            queues: limits.iter().map(|limit| VecDeque::with_capacity(*limit as usize)).collect(),
            sent: VecDeque::with_capacity(room),
            counts: OperatorCounts::default(),
            verdict: Verdict::Continue,
        }
    }

    /// Queues a message; the oldest makes room when there is none. False when the message itself was dropped.
    pub(super) fn push(&mut self, local: usize, limit: u32, tag: Tag, message: M) -> Pushed {
        if self.verdict != Verdict::Continue {
            return Pushed::NotTaken;
        }
        let queue = &mut self.queues[local];
        let mut pushed = Pushed::Taken;
        if queue.len() >= limit as usize || queue.len() == queue.capacity() {
            drop(queue.pop_front());
            self.counts.dropped += 1;
            pushed = Pushed::Replaced;
        }
        queue.push_back(Waiting { tag, message });
        pushed
    }

    /// Tag of the next event, and its queue.
    fn next(&self) -> Option<(Tag, usize)> {
        let fronts = self.queues.iter().enumerate().filter_map(|(at, queue)| Some((queue.front()?.tag, at)));
        fronts.min()
    }

    /// Tag of the next event; `NEVER` when nothing waits.
    pub(super) fn earliest(&self) -> Tag {
        self.next().map_or(Tag::NEVER, |(tag, _)| tag)
    }

    /// Runs the operator for everything that waits with this tag.
    pub(super) fn run(
        &mut self,
        number: usize,
        tag: Tag,
        graph: &Graph,
        waiting: &[AtomicU32],
        clock: &impl Clock,
    ) {
        let spec = &graph.operators[number];
        while self.verdict == Verdict::Continue
            && let Some((next, local)) = self.next()
            && next == tag
            && let Some(Waiting { message, .. }) = self.queues[local].pop_front()
        {
            let edge = spec.first_edge as usize + local;
            take(&waiting[edge], 1);
            let begin = spec.budget_ns.map(|_| clock.now_ns());
            let mut sends =
                Sends { out: &mut self.sent, graph, waiting, refused: &mut self.counts.refused, tag };
            let event = Arrived { input: graph.edges[edge].input, tag, message };
            self.verdict = self.operator.run(event, &mut sends);
            self.counts.runs += 1;
            if let (Some(begin), Some(budget)) = (begin, spec.budget_ns) {
                let took = clock.now_ns().saturating_sub(begin);
                self.counts.overruns += u64::from(took > budget);
                self.counts.longest_ns = self.counts.longest_ns.max(took);
            }
        }
        if self.verdict != Verdict::Continue {
            self.forget(spec.first_edge as usize, waiting);
        }
    }

    /// The operator panicked: it is in an unknown state and must not run again. What it has sent is sent.
    pub(super) fn fail(&mut self, number: usize, graph: &Graph, waiting: &[AtomicU32]) {
        self.verdict = Verdict::Fail;
        self.forget(graph.operators[number].first_edge as usize, waiting);
    }

    /// Drops everything that waits.
    fn forget(&mut self, first_edge: usize, waiting: &[AtomicU32]) {
        for (local, queue) in self.queues.iter_mut().enumerate() {
            take(&waiting[first_edge + local], queue.len() as u32);
            queue.clear();
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Taken,
    /// Taken, and the oldest one dropped.
    Replaced,
    /// The operator has finished.
    NotTaken,
}
