//! One tag after another: which operators run, and handing on what they sent.

use crate::{
    clock::{Clock, Monotonic},
    executor::{StartError, ThreadSpec},
};

use super::{
    counts::Shared,
    crew::{Team, Waits},
    hand::{Desk, Hand},
    lane::{Step, What},
    links::done,
    plan::{Edge, Graph},
    slot::{OperatorCounts, Pushed, Slot, Tag, Verdict},
};

/// What lies around a flow: takes what leaves it.
pub trait Outside<M> {
    /// An operator sent this. Called in the order of declaration of the operators, on the thread that steps the flow.
    fn sent(&mut self, operator: u32, output: u32, tag: Tag, message: &M);

    /// Does anybody want what is sent on this output? Asked before each step; what nobody wants may not be told.
    fn wants(&mut self, _output: u32) -> bool {
        true
    }

    /// An operator said something other than [`Verdict::Continue`]; it will not run again.
    fn ended(&mut self, operator: u32, verdict: Verdict);
}

/// A flow of operators. Lives on one thread, which is also the first of those that run them.
#[derive(Debug)]
pub struct Flow<M> {
    pub(super) hand: Hand<M>,
    team: Option<Team>,
    /// Number of the last step.
    steps: u64,
    /// An operator ended in this step.
    ended: bool,
    /// A step was left before its end: what the threads are at is not known.
    broken: bool,
}

impl<M: Clone + Send + 'static> Flow<M> {
    #[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
    pub(super) fn new(graph: Graph, slots: Box<[Option<Slot<M>>]>) -> Self {
        let earliest = slots.iter().map(|_| Tag::NEVER).collect();
        let (shared, desk) = (Shared::new(graph), Desk { slots, earliest });
        let hand = Hand { shared, thread: 0, desk, links: None, outbox: None };
        Self { hand, team: None, steps: 0, ended: false, broken: false }
    }

    fn graph(&self) -> &Graph {
        &self.hand.shared.graph
    }

    /// Threads that the plan has work for, the calling one included.
    pub fn threads(&self) -> usize {
        self.graph().threads as usize
    }

    /// Starts the other threads and gives them their operators; `specs` are theirs, in order, and there are [`threads`](Self::threads)
    /// less one. Returns what they asked for and did not get. Once is enough: later calls do nothing.
    ///
    /// # Errors
    /// [`StartError`] when one cannot be started. The flow goes on with the calling thread then.
    pub fn start_threads(
        &mut self,
        specs: &[ThreadSpec],
        waits: Waits,
    ) -> Result<Vec<rt_tuning::TuningError>, StartError> {
        if self.team.is_some() || self.threads() < 2 {
            return Ok(Vec::new());
        }
        let (team, refused) = Team::start(&mut self.hand, specs, waits)?;
        self.team = Some(team);
        Ok(refused)
    }

    /// Hands an event to an operator: `port` counts the edges that lead to it. False when the operator has ended, when there is no such
    /// port, or when an operator feeds it.
    ///
    /// # Real time
    /// No allocation, no system call. A full queue drops its oldest message.
    pub fn inject(&mut self, operator: u32, port: u32, tag: Tag, message: M) -> bool {
        let graph = &self.hand.shared.graph;
        let Some(plan) = graph.operators.get(operator as usize).filter(|plan| port < plan.edges) else {
            return false;
        };
        let edge = (plan.first_edge + port) as usize;
        let is_ours = graph.edges[edge].sender.is_none();
        is_ours && self.hand.desk.queue(graph, edge, tag, message) != Pushed::NotTaken
    }

    /// Is an event waiting?
    pub fn is_pending(&self) -> bool {
        !self.broken && self.hand.desk.earliest.iter().any(|tag| *tag != Tag::NEVER)
    }

    /// Finishes the earliest tag: every operator with an event of it runs, and what they send is handed on. False when nothing waits.
    ///
    /// When `outside` panics while there are several threads, or one of them was lost, that was the last step.
    ///
    /// # Real time
    /// On one thread, and on several that spin: no allocation, no system call beyond those of the operators and of `outside`.
    pub fn step(&mut self, outside: &mut impl Outside<M>) -> bool {
        let tag = self.hand.desk.earliest.iter().copied().min().unwrap_or(Tag::NEVER);
        if tag == Tag::NEVER || self.broken {
            return false;
        }
        self.release(tag);
        if self.hand.links.is_some() {
            self.broken = true;
            self.broken = self.step_together(tag, outside).is_none();
            if self.broken {
                self.fail_all(outside);
            }
        } else {
            self.step_alone(tag, outside);
        }
        if std::mem::take(&mut self.ended) {
            self.forget();
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

    /// Forward edges lead to later operators, so one pass in the order of declaration is enough.
    fn step_alone(&mut self, tag: Tag, outside: &mut impl Outside<M>) {
        for number in 0..self.hand.desk.slots.len() {
            if self.hand.desk.earliest[number] == tag {
                self.hand.desk.run(number, tag, &self.hand.shared, None);
                self.tell_own(number, tag, outside, |_| true);
                self.hand.desk.settle(number);
            }
        }
    }

    /// The part of the first thread in a step of several. `None`: the others have ended.
    fn step_together(&mut self, tag: Tag, outside: &mut impl Outside<M>) -> Option<()> {
        self.steps += 1;
        self.hand.shared.ask(|output| outside.wants(output));
        let step = self.hand.announce(self.steps, tag);
        // Operators before this one have been told outside.
        let mut told = 0;
        for at in 0..self.graph().routes.own[0].len() {
            let number = self.graph().routes.own[0][at] as usize;
            if !self.hand.run(number, &step) {
                return None;
            }
            self.pass_on(number, &step);
            self.hand.desk.settle(number);
            told = self.tell(told, number, &step, outside);
            if told == number {
                let is_here = |edge: &Edge| !edge.is_forward || edge.thread == 0;
                self.tell_own(number, tag, outside, is_here);
                told += 1;
            } else {
                self.put_by(number, tag);
            }
        }
        for number in told..self.hand.desk.slots.len() {
            let thread = self.graph().thread_of(number as u32);
            if thread != 0 && step.has(thread) && !self.hand.wait(thread, Some(done(number)), &step) {
                return None;
            }
            self.tell_one(number, tag, outside);
        }
        let mut others = (1..self.graph().threads).filter(|thread| step.has(*thread));
        others.all(|thread| self.hand.wait(thread, None, &step)).then_some(())
    }

    /// To the readers on other threads, before anything else. What nobody else gets leaves its sender for good.
    fn pass_on(&mut self, number: usize, step: &Step) {
        let Hand { shared, desk, links: Some(links), .. } = &mut self.hand else { return };
        let routes = &shared.graph.routes;
        if routes.leaves[number]
            && let Some(slot) = desk.slot(number)
        {
            for _ in 0..slot.sent.len() {
                let Some((output, message)) = slot.sent.pop_front() else { break };
                let targets = routes.targets[output as usize] & step.threads;
                if routes.stays[output as usize] || shared.is_kept(output) {
                    links.push_to(targets, What::Sent(output), &message);
                    slot.sent.push_back((output, message));
                } else {
                    links.give_to(targets, What::Sent(output), message);
                }
            }
        }
        links.end(routes.awaited[number] & step.threads, What::Done(number as u32));
    }

    /// Tells of all operators from `told` to `until` that are done, in order, and returns the first that is not.
    fn tell(&mut self, told: usize, until: usize, step: &Step, outside: &mut impl Outside<M>) -> usize {
        for number in told..until {
            let thread = self.graph().thread_of(number as u32);
            if thread != 0 && step.has(thread) && !self.hand.look(thread, done(number), step) {
                return number;
            }
            self.tell_one(number, step.tag, outside);
        }
        until
    }

    /// What an operator of this thread sent, straight from its slot: outside, and to the readers that `wanted` says.
    fn tell_own(
        &mut self,
        number: usize,
        tag: Tag,
        outside: &mut impl Outside<M>,
        wanted: impl Fn(&Edge) -> bool,
    ) {
        while let Some((output, message)) = self.hand.desk.slot(number).and_then(|slot| slot.sent.pop_front())
        {
            outside.sent(number as u32, output, tag, &message);
            self.deliver(output, tag, message, &wanted);
        }
        self.tell_end(number, outside);
    }

    /// Keeps what an operator of this thread sent until it can be told; its readers here get it now.
    fn put_by(&mut self, number: usize, tag: Tag) {
        while let Some((output, message)) = self.hand.desk.slot(number).and_then(|slot| slot.sent.pop_front())
        {
            let Hand { shared, desk, outbox, .. } = &mut self.hand;
            match outbox.as_mut().filter(|_| shared.is_kept(output)) {
                Some(outbox) => {
                    desk.queue_all(&shared.graph, output, 0, tag, message.clone());
                    outbox.sent(number, output, message);
                }
                None => desk.queue_all(&shared.graph, output, 0, tag, message),
            }
        }
    }

    /// What was kept of an operator: outside, and to the readers that it leads back to.
    fn tell_one(&mut self, number: usize, tag: Tag, outside: &mut impl Outside<M>) {
        // First, because one that has ended takes nothing any more, not even from itself.
        if let Some(verdict) = self.hand.outbox.as_mut().and_then(|outbox| outbox.end(number))
            && let Some(slot) = self.hand.desk.slot(number)
        {
            slot.verdict = verdict;
        }
        while let Some((output, message)) = self.hand.outbox.as_mut().and_then(|outbox| outbox.next(number)) {
            outside.sent(number as u32, output, tag, &message);
            self.deliver(output, tag, message, |edge| !edge.is_forward);
        }
        self.tell_end(number, outside);
    }

    fn tell_end(&mut self, number: usize, outside: &mut impl Outside<M>) {
        if let Some(slot) = self.hand.desk.slot(number)
            && !slot.has_nothing_to_say()
        {
            slot.told = true;
            self.ended = true;
            outside.ended(number as u32, slot.verdict);
        }
    }

    /// Queues a message here for all readers of its output that are wanted; the last of them gets the message itself.
    #[inline]
    fn deliver(&mut self, output: u32, tag: Tag, message: M, wanted: impl Fn(&Edge) -> bool) {
        let Hand { shared, desk, .. } = &mut self.hand;
        let graph = &shared.graph;
        let is_wanted = |edge: &&usize| wanted(&graph.edges[**edge]);
        let mut edges = graph.edges_of(output).iter().filter(is_wanted).peekable();
        let mut last = Some(message);
        while let Some(edge) = edges.next() {
            let copy = if edges.peek().is_some() { last.clone() } else { last.take() };
            let Some(message) = copy else { continue };
            let spec = &graph.edges[*edge];
            let tag = if spec.is_forward { tag } else { tag.next_microstep() };
            if desk.queue(graph, *edge, tag, message) != Pushed::Taken && spec.is_counted() {
                shared.take(*edge, 1);
            }
        }
    }

    /// What operators are about to take does not wait any more. Said before any of them runs, so that what they may send does not depend
    /// on which of them is faster.
    fn release(&mut self, tag: Tag) {
        let Hand { shared, desk, .. } = &mut self.hand;
        for (number, plan) in shared.graph.operators.iter().enumerate() {
            let Some(slot) =
                desk.slots[number].as_ref().filter(|_| plan.counts && desk.earliest[number] == tag)
            else {
                continue;
            };
            for (local, edge) in plan.edges().enumerate() {
                if shared.graph.edges[edge].is_counted() {
                    shared.take(edge, slot.due(local, tag));
                }
            }
        }
    }

    /// Drops what waits for operators that have ended.
    fn forget(&mut self) {
        let Hand { shared, desk, .. } = &mut self.hand;
        for (number, plan) in shared.graph.operators.iter().enumerate() {
            let Some(slot) = desk.slots[number].as_mut().filter(|slot| slot.told) else { continue };
            for (local, edge) in plan.edges().enumerate() {
                let dropped = slot.clear(local);
                if shared.graph.edges[edge].is_counted() {
                    shared.take(edge, dropped);
                }
            }
            desk.earliest[number] = Tag::NEVER;
        }
    }

    /// The other threads have ended, and their operators with them.
    fn fail_all(&mut self, outside: &mut impl Outside<M>) {
        for number in 0..self.hand.desk.slots.len() {
            if self.graph().thread_of(number as u32) != 0
                && let Some(slot) = self.hand.desk.slot(number)
                && slot.verdict == Verdict::Continue
            {
                slot.verdict = Verdict::Fail;
                self.tell_end(number, outside);
            }
        }
    }

    /// What an operator did so far.
    pub fn counts(&self, operator: u32) -> OperatorCounts {
        let here = self.hand.desk.slots.get(operator as usize).and_then(Option::as_ref);
        let away = self.team.as_ref().and_then(|team| team.counts(operator));
        let [here, away] = [here.map(|slot| slot.counts.read()), away].map(Option::unwrap_or_default);
        OperatorCounts {
            runs: here.runs + away.runs,
            overruns: here.overruns + away.overruns,
            longest_ns: here.longest_ns.max(away.longest_ns),
            dropped: here.dropped + away.dropped,
            refused: here.refused + away.refused,
        }
    }

    /// Tag for an event that comes from outside now.
    pub fn tag_now() -> Tag {
        Tag { time_ns: Monotonic.now_ns(), microstep: 0 }
    }
}
