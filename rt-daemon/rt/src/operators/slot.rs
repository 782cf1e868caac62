//! One operator with its queues and what it has sent: everything that belongs to the thread that runs it.

use std::collections::VecDeque;

use crate::clock::Clock;

use super::{
    counts::{Cells, Shared},
    links::Links,
    sync::Arc,
};

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
    /// Who sends.
    pub(super) operator: u32,
    pub(super) out: &'a mut VecDeque<(u32, M)>,
    pub(super) room: usize,
    /// Lanes of this thread, when there are several.
    pub(super) links: Option<&'a mut Links<M>>,
    pub(super) shared: &'a Shared,
    pub(super) refused: &'a Cells,
    pub(super) tag: Tag,
}

impl<M> Sends<'_, M> {
    /// Sends on this output (numbered over the whole plan). Readers get it after this invocation.
    ///
    /// # Errors
    /// [`Full`] when a reader that loses nothing has no room, more was sent than the plan reserved, or the output is none of this
    /// operator's. Nobody gets it then.
    ///
    /// # Real time
    /// No allocation, no system call.
    #[inline]
    pub fn send(&mut self, output: u32, message: M) -> Result<(), Full> {
        // What follows looks outputs up by number, and takes what comes on one for a word of its operator.
        if self.shared.graph.owners.get(output as usize) != Some(&self.operator) {
            self.refused.refuse();
            return Err(Full);
        }
        if self.links.is_some() { self.send_together(output, message) } else { self.keep(output, message, 0) }
    }

    /// As [`send`](Self::send), on one of several threads.
    fn send_together(&mut self, output: u32, message: M) -> Result<(), Full> {
        let Some(links) = &mut self.links else { return Err(Full) };
        let gone = links.straight();
        match self.shared.straight(output) {
            Some(to) if self.out.len() + gone < self.room => {
                links.push_straight(to, output, message);
                Ok(())
            }
            _ => self.keep(output, message, gone),
        }
    }

    /// Keeps a message until the operator is done; `gone` were sent that are not here any more.
    #[inline]
    fn keep(&mut self, output: u32, message: M, gone: usize) -> Result<(), Full> {
        let edges = self.shared.graph.edges_of(output);
        if self.out.len() + gone >= self.room || edges.iter().any(|edge| self.shared.is_full(*edge)) {
            self.refused.refuse();
            return Err(Full);
        }
        for edge in edges {
            self.shared.add(*edge);
        }
        self.out.push_back((output, message));
        Ok(())
    }

    /// Logical time of the event that is being handled.
    pub fn tag(&self) -> Tag {
        self.tag
    }
}

/// What waits at an edge.
#[derive(Debug)]
struct Waiting<M> {
    tag: Tag,
    message: M,
}

/// In a line of its own, as all that changes in every step.
#[derive(Debug)]
#[repr(align(64))]
struct Queue<M>(VecDeque<Waiting<M>>);

/// One operator.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Slot<M> {
    /// `None`: it runs on another thread, and this is where its events wait for their tag.
    operator: Option<Box<dyn Operator<M>>>,
    /// One per edge that leads here, in the order of the inputs.
    queues: Box<[Queue<M>]>,
    /// Output and message.
    pub(super) sent: VecDeque<(u32, M)>,
    room: usize,
    pub(super) counts: Arc<Cells>,
    /// The last word of the operator; after anything but `Continue` it is not asked again.
    pub(super) verdict: Verdict,
    /// Has that been told?
    pub(super) told: bool,
}

impl<M> Slot<M> {
    /// `limits`: messages that wait, per edge. `room`: messages that are sent before they are handed on.
    #[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
    pub(super) fn new(
        operator: Option<Box<dyn Operator<M>>>,
        limits: &[u32],
        room: usize,
        counts: Arc<Cells>,
    ) -> Self {
        Self {
            operator,
            queues: limits.iter().map(|limit| Queue(VecDeque::with_capacity(*limit as usize))).collect(),
            sent: VecDeque::with_capacity(room),
            room,
            counts,
            verdict: Verdict::Continue,
            told: false,
        }
    }

    /// Takes the operator out, for another thread. What waits stays here.
    pub(super) fn leave(&mut self) -> Option<Box<dyn Operator<M>>> {
        self.operator.take()
    }

    /// Queues a message; the oldest makes room when there is none.
    #[inline]
    pub(super) fn push(&mut self, local: usize, limit: u32, tag: Tag, message: M) -> Pushed {
        if self.verdict != Verdict::Continue {
            return Pushed::NotTaken;
        }
        let queue = &mut self.queues[local].0;
        let mut pushed = Pushed::Taken;
        if queue.len() >= limit as usize {
            drop(queue.pop_front());
            self.counts.drop_one();
            pushed = Pushed::Replaced;
        }
        queue.push_back(Waiting { tag, message });
        pushed
    }

    /// Tag of the next event; `NEVER` when nothing waits.
    #[inline]
    pub(super) fn earliest(&self) -> Tag {
        self.queues.iter().filter_map(|queue| Some(queue.0.front()?.tag)).min().unwrap_or(Tag::NEVER)
    }

    /// How many events of this edge have this tag and nothing in front of them.
    pub(super) fn due(&self, local: usize, tag: Tag) -> u32 {
        self.queues[local].0.iter().take_while(|waiting| waiting.tag == tag).count() as u32
    }

    /// Takes the next event of this edge, if it has this tag.
    #[inline]
    pub(super) fn take(&mut self, local: usize, tag: Tag) -> Option<M> {
        let queue = &mut self.queues.get_mut(local)?.0;
        if queue.front()?.tag != tag {
            return None;
        }
        queue.pop_front().map(|waiting| waiting.message)
    }

    /// Runs the operator for everything that waits with this tag, edge by edge.
    #[inline]
    pub(super) fn run(
        &mut self,
        number: usize,
        tag: Tag,
        shared: &Shared,
        mut links: Option<&mut Links<M>>,
        clock: &impl Clock,
    ) {
        let spec = &shared.graph.operators[number];
        for local in 0..self.queues.len() {
            while self.verdict == Verdict::Continue
                && let Some(message) = self.take(local, tag)
            {
                let input = shared.graph.edges[spec.first_edge as usize + local].input;
                self.handle(number, input, tag, message, shared, links.as_deref_mut(), clock);
            }
        }
    }

    /// Runs the operator for one message.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "an event that is not copied")]
    pub(super) fn handle(
        &mut self,
        number: usize,
        input: u32,
        tag: Tag,
        message: M,
        shared: &Shared,
        links: Option<&mut Links<M>>,
        clock: &impl Clock,
    ) {
        let Self { operator: Some(operator), sent: out, room, counts, .. } = self else { return };
        let spec = &shared.graph.operators[number];
        let begin = spec.budget_ns.map(|_| clock.now_ns());
        let mut sends =
            Sends { operator: number as u32, out, room: *room, links, shared, refused: counts, tag };
        self.verdict = operator.run(Arrived { input, tag, message }, &mut sends);
        self.counts.ran();
        if let (Some(begin), Some(budget)) = (begin, spec.budget_ns) {
            self.counts.took(clock.now_ns().saturating_sub(begin), budget);
        }
    }

    /// Does the operator run here, and still take events?
    #[inline]
    pub(super) fn is_willing(&self) -> bool {
        self.verdict == Verdict::Continue && self.operator.is_some()
    }

    /// Is it still there, or was its end told?
    #[inline]
    pub(super) fn has_nothing_to_say(&self) -> bool {
        self.verdict == Verdict::Continue || self.told
    }

    /// Drops everything that waits at an edge, and says how much that was.
    pub(super) fn clear(&mut self, local: usize) -> u32 {
        let queue = &mut self.queues[local].0;
        let len = queue.len() as u32;
        queue.clear();
        len
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
