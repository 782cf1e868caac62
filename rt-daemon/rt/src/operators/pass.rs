//! One tag after another: which operators run, and handing on what they sent.

use std::sync::Arc;

use crate::{
    clock::{Clock, Monotonic},
    executor::{StartError, ThreadSpec},
};

use super::{
    crew::{Crew, Team, Waits},
    slot::{OperatorCounts, Pushed, Sent, Slot, Tag, Verdict},
};

/// What lies around a flow: takes what leaves it.
pub trait Outside<M> {
    /// An operator sent this. Called in the order of declaration of the operators, on the thread that steps the flow.
    fn sent(&mut self, operator: u32, output: u32, tag: Tag, message: &M);

    /// An operator said something other than [`Verdict::Continue`]; it will not run again.
    fn ended(&mut self, operator: u32, verdict: Verdict);
}

/// A flow of operators. Lives on one thread, which is also the first of those that run them.
#[derive(Debug)]
pub struct Flow<M> {
    crew: Arc<Crew<M>>,
    team: Option<Team>,
    /// Per operator: tag of its next event.
    earliest: Box<[Tag]>,
}

impl<M: Clone + Send + 'static> Flow<M> {
    pub(super) fn new(crew: Arc<Crew<M>>, earliest: Box<[Tag]>) -> Self {
        Self { crew, team: None, earliest }
    }

    /// Threads that the plan has work for, the calling one included.
    pub fn threads(&self) -> usize {
        self.crew.graph.threads as usize
    }

    /// Starts the other threads; `specs` are theirs, in order, and there are [`threads`](Self::threads) less one. Returns what
    /// they asked for and did not get, and their kernel ids.
    ///
    /// # Errors
    /// [`StartError`] when one cannot be started.
    pub fn start_threads(
        &mut self,
        specs: &[ThreadSpec],
        waits: Waits,
    ) -> Result<Vec<rt_tuning::TuningError>, StartError> {
        let (team, refused) = Team::start(&self.crew, specs, waits)?;
        self.team = Some(team);
        Ok(refused)
    }

    /// Hands an event to an operator: `port` counts the edges that lead to it. False when the operator has ended, or there is no such port.
    ///
    /// # Real time
    /// No allocation, no system call. A full queue drops its oldest message.
    pub fn inject(&mut self, operator: u32, port: u32, tag: Tag, message: M) -> bool {
        let graph = &self.crew.graph;
        let Some(plan) = graph.operators.get(operator as usize).filter(|plan| port < plan.edges) else {
            return false;
        };
        let edge = (plan.first_edge + port) as usize;
        self.crew.note(edge);
        let slot = &mut self.crew.slot(operator as usize);
        push(&self.crew, &mut self.earliest, slot, edge, tag, message)
    }

    /// Is an event waiting?
    pub fn is_pending(&self) -> bool {
        self.earliest.iter().any(|tag| *tag != Tag::NEVER)
    }

    /// Finishes the earliest tag: every operator with an event of it runs, and what they send is handed on. False when nothing waits.
    ///
    /// # Real time
    /// On one thread: no allocation, no system call beyond those of the operators and of `outside`.
    pub fn step(&mut self, outside: &mut impl Outside<M>) -> bool {
        let tag = self.earliest.iter().copied().min().unwrap_or(Tag::NEVER);
        if tag == Tag::NEVER {
            return false;
        }
        if self.team.is_some() {
            for level in 0..self.crew.graph.levels {
                self.level(level, tag, outside);
            }
        } else {
            // Forward edges lead to later operators, so one pass in the order of declaration is enough.
            for number in 0..self.earliest.len() {
                if self.earliest[number] == tag {
                    // One lock for both: a hand-over costs two, this one and that of the reader.
                    let Self { crew, earliest, .. } = self;
                    let mut slot = crew.slot(number);
                    crew.run_in(&mut slot, number, tag, &Monotonic);
                    hand_on(crew, earliest, number, &mut slot, outside);
                }
            }
        }
        true
    }

    /// Steps until nothing waits, at most `most` times.
    pub fn run(&mut self, outside: &mut impl Outside<M>, most: usize) {
        for _ in 0..most {
            if !self.step(outside) {
                return;
            }
        }
    }

    /// The operators of one level, side by side.
    fn level(&mut self, level: u32, tag: Tag, outside: &mut impl Outside<M>) {
        let Self { crew, team, earliest } = self;
        let due = |number: usize| crew.graph.operators[number].level == level && earliest[number] == tag;
        if let Some(team) = team {
            team.go(crew, level, tag, due);
        }
        for number in 0..earliest.len() {
            if due(number) && crew.graph.operators[number].thread == 0 {
                crew.run(number, tag, &Monotonic);
            }
        }
        if let Some(team) = team {
            team.wait();
        }
        for number in 0..self.earliest.len() {
            if self.earliest[number] == tag && self.crew.graph.operators[number].level == level {
                self.hand_on(number, outside);
            }
        }
    }

    /// Hands on what an operator sent, and notes when it runs next.
    fn hand_on(&mut self, number: usize, outside: &mut impl Outside<M>) {
        let Self { crew, earliest, .. } = self;
        hand_on(crew, earliest, number, &mut crew.slot(number), outside);
    }

    /// What an operator did so far.
    pub fn counts(&self, operator: u32) -> OperatorCounts {
        if (operator as usize) < self.earliest.len() {
            self.crew.slot(operator as usize).counts
        } else {
            OperatorCounts::default()
        }
    }

    /// Tag for an event that comes from outside now.
    pub fn tag_now() -> Tag {
        Tag { time_ns: Monotonic.now_ns(), microstep: 0 }
    }
}

/// Hands on what the operator in `slot` sent, and notes when it runs next.
fn hand_on<M: Clone>(
    crew: &Crew<M>,
    earliest: &mut [Tag],
    number: usize,
    slot: &mut Slot<M>,
    outside: &mut impl Outside<M>,
) {
    while let Some(Sent { output, tag, message }) = slot.sent.pop_front() {
        outside.sent(number as u32, output, tag, &message);
        let mut readers = crew.graph.edges_of(output).peekable();
        let mut last = Some(message);
        while let Some(edge) = readers.next() {
            let copy = if readers.peek().is_some() { last.clone() } else { last.take() };
            let tag = if crew.graph.is_forward(number, edge) { tag } else { tag.next_microstep() };
            let reader = crew.graph.edges[edge].operator as usize;
            let Some(message) = copy else { continue };
            if reader == number {
                push(crew, earliest, slot, edge, tag, message);
            } else {
                push(crew, earliest, &mut crew.slot(reader), edge, tag, message);
            }
        }
    }
    earliest[number] = slot.earliest();
    if slot.verdict != Verdict::Continue && crew.first_time_ended(number) {
        outside.ended(number as u32, slot.verdict);
    }
}

/// Queues a message for the operator in `slot`, to which the edge leads. The count of the edge was raised before. False when the
/// operator has ended.
fn push<M>(
    crew: &Crew<M>,
    earliest: &mut [Tag],
    slot: &mut Slot<M>,
    edge: usize,
    tag: Tag,
    message: M,
) -> bool {
    let spec = crew.graph.edges[edge];
    let number = spec.operator as usize;
    let local = edge - crew.graph.operators[number].first_edge as usize;
    let pushed = slot.push(local, spec.limit, tag, message);
    if pushed != Pushed::Taken {
        crew.unnote(edge);
    }
    if pushed == Pushed::NotTaken {
        return false;
    }
    // A dropped message may have been the earliest one; a look at an operator without events costs little.
    earliest[number] = earliest[number].min(tag);
    true
}
