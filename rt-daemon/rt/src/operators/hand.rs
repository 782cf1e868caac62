//! One thread's part of a flow: its operators, and what it does in a step.
//!
//! 1. An operator belongs to one thread: nobody else can reach it, so it never runs twice at once.
//! 2. A thread goes through its operators in the order of declaration. Each waits until those that it reads from within the step are
//!    done, runs for all that has come with the tag, and what it sent is handed on at once.
//! 3. What is sent to one other thread and to nobody else goes into the lane while its operator runs. The reader takes it from there without a
//!    queue when it is all that the operator gets in the step. So on this way a message is moved twice.
//! 4. A thread that takes part takes all that its lanes bring in the step, and says when it is done. The next step begins when all
//!    have said so.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::clock::Monotonic;

use super::{
    counts::Shared,
    lane::{Step, What, Word},
    links::{Links, done},
    outbox::Outbox,
    plan::{Graph, OperatorPlan},
    routes::Direct,
    slot::{Pushed, Slot, Tag, Verdict},
};

/// The operators of one thread. On the first thread also those of the others, as the place where their events wait.
#[derive(Debug)]
pub(super) struct Desk<M> {
    pub(super) slots: Box<[Option<Slot<M>>]>,
    /// Per operator: tag of its next event here.
    pub(super) earliest: Box<[Tag]>,
}

impl<M> Desk<M> {
    #[inline]
    pub(super) fn slot(&mut self, number: usize) -> Option<&mut Slot<M>> {
        self.slots.get_mut(number)?.as_mut()
    }

    /// Queues a message for the operator that the edge leads to.
    #[inline]
    pub(super) fn queue(&mut self, graph: &Graph, edge: usize, tag: Tag, message: M) -> Pushed {
        let spec = &graph.edges[edge];
        let number = spec.operator as usize;
        let Some(Some(slot)) = self.slots.get_mut(number) else { return Pushed::NotTaken };
        let pushed = slot.push(spec.local as usize, spec.limit, tag, message);
        let earliest = &mut self.earliest[number];
        match pushed {
            Pushed::Taken => *earliest = tag.min(*earliest),
            // What was dropped may have been the earliest one.
            Pushed::Replaced => *earliest = slot.earliest(),
            Pushed::NotTaken => {}
        }
        pushed
    }

    /// Queues a message for all readers on this thread that get it within the step; the last of them gets the message itself.
    #[inline]
    pub(super) fn queue_all(&mut self, graph: &Graph, output: u32, thread: u32, tag: Tag, message: M)
    where
        M: Clone,
    {
        let is_here = |edge: &&usize| {
            let spec = &graph.edges[**edge];
            spec.is_forward && spec.thread == thread
        };
        let mut edges = graph.edges_of(output).iter().filter(is_here);
        let Some(mut edge) = edges.next() else { return };
        for next in edges {
            self.queue(graph, *edge, tag, message.clone());
            edge = next;
        }
        self.queue(graph, *edge, tag, message);
    }

    /// After a run, when what was sent is on its way.
    #[inline]
    pub(super) fn settle(&mut self, number: usize) {
        if let Some(Some(slot)) = self.slots.get(number) {
            self.earliest[number] = slot.earliest();
        }
    }

    /// Runs an operator for what waits with this tag, if anything does. [`settle`](Self::settle) follows.
    #[inline]
    pub(super) fn run(&mut self, number: usize, tag: Tag, shared: &Shared, links: Option<&mut Links<M>>) {
        if self.earliest[number] == tag {
            self.guarded(number, shared, |slot| slot.run(number, tag, shared, links, &Monotonic));
        }
    }

    /// Runs an operator for a message that is next in a lane. It goes from there to the operator, and nowhere between.
    #[inline]
    fn run_next(&mut self, number: usize, direct: Direct, tag: Tag, shared: &Shared, links: &mut Links<M>) {
        self.guarded(number, shared, |slot| {
            if let Some(message) = links.take_last(direct.from, done(direct.sender as usize)) {
                slot.handle(number, direct.input, tag, message, shared, Some(links), &Monotonic);
            }
        });
    }

    /// One that panics has failed; the others go on.
    #[inline]
    fn guarded(&mut self, number: usize, shared: &Shared, run: impl FnOnce(&mut Slot<M>)) {
        let Some(Some(slot)) = self.slots.get_mut(number) else { return };
        if catch_unwind(AssertUnwindSafe(|| run(slot))).is_err() {
            slot.verdict = Verdict::Fail;
        }
        if shared.graph.operators[number].holds {
            let edges = slot.sent.iter().flat_map(|(output, _)| shared.graph.edges_of(*output));
            edges
                .filter(|edge| shared.graph.edges[**edge].is_forward)
                .for_each(|edge| shared.is_handed_on(*edge));
        }
    }
}

/// All that one thread has.
#[derive(Debug)]
pub(super) struct Hand<M> {
    pub(super) shared: Shared,
    pub(super) thread: u32,
    pub(super) desk: Desk<M>,
    /// `None`: there is one thread.
    pub(super) links: Option<Links<M>>,
    /// Of the first thread.
    pub(super) outbox: Option<Outbox<M>>,
}

/// What to do with what comes from another thread.
struct Accept<'a, M> {
    shared: &'a Shared,
    thread: u32,
    tag: Tag,
    desk: &'a mut Desk<M>,
    outbox: Option<&'a mut Outbox<M>>,
}

impl<M: Clone> Accept<'_, M> {
    /// Waits for all that this operator reads in the step.
    #[inline]
    fn inputs(&mut self, number: usize, step: &Step, links: &mut Links<M>) -> Inputs {
        let graph = &self.shared.graph;
        if step.feeds(self.thread) && !links.until_fed(graph, |word, message| self.accept(word, message)) {
            return Inputs::Never;
        }
        if let Some(direct) = graph.routes.direct[number]
            && step.has(direct.from)
            && self.may_skip_queue(number, direct.output)
        {
            while !links.is_done(direct.from, done(direct.sender as usize)) {
                match links.await_next(direct.from) {
                    None => return Inputs::Never,
                    Some(word) if word == direct.word && self.desk.earliest[number] > step.tag => {
                        return Inputs::Next(direct);
                    }
                    Some(_) => {
                        if let Some((word, message)) = links.take(direct.from, graph) {
                            self.accept(word, message);
                        }
                    }
                }
            }
            return Inputs::Queued;
        }
        let mut needs = graph.routes.needs[number].iter().filter(|(from, _)| step.has(*from));
        let all = needs.all(|(from, last)| {
            links.until(*from, done(*last as usize), graph, |word, message| self.accept(word, message))
        });
        if all { Inputs::Queued } else { Inputs::Never }
    }

    /// May a message on this output go to its operator without a look at the queue?
    #[inline]
    fn may_skip_queue(&self, number: usize, output: u32) -> bool {
        (self.outbox.is_none() || !self.shared.is_kept(output))
            && self.desk.slots.get(number).and_then(Option::as_ref).is_some_and(Slot::is_willing)
    }

    #[inline]
    fn accept(&mut self, word: Word, message: Option<M>) {
        match (word.sent(), message) {
            (Some(output), Some(message)) => self.sent(output, message),
            (_, message) => self.other(word.what(), message),
        }
    }

    fn other(&mut self, what: What, message: Option<M>) {
        match (what, message) {
            (What::Fed(edge), Some(message)) => {
                // There is room: it had room on the first thread.
                self.desk.queue(&self.shared.graph, edge as usize, self.tag, message);
            }
            (What::Ended(operator, verdict), _) => {
                if let Some(outbox) = &mut self.outbox {
                    outbox.ended(operator as usize, verdict);
                }
            }
            _ => {}
        }
    }

    #[inline]
    fn sent(&mut self, output: u32, message: M) {
        let graph = &self.shared.graph;
        match self.outbox.as_deref_mut().filter(|_| self.shared.is_kept(output)) {
            Some(outbox) => {
                self.desk.queue_all(graph, output, self.thread, self.tag, message.clone());
                outbox.sent(graph.owners[output as usize] as usize, output, message);
            }
            None => self.desk.queue_all(graph, output, self.thread, self.tag, message),
        }
    }
}

/// How the wait for the inputs of an operator ended.
enum Inputs {
    /// The flow ends.
    Never,
    /// All that came waits in its queues.
    Queued,
    /// Its only message is the next one in a lane.
    Next(Direct),
}

impl<M: Clone> Hand<M> {
    /// Waits for all that this operator reads in the step, and runs it. False: the flow ends.
    #[inline]
    pub(super) fn run(&mut self, number: usize, step: &Step) -> bool {
        let Self { shared, thread, desk, links, outbox } = self;
        let Some(links) = links else {
            desk.run(number, step.tag, shared, None);
            return true;
        };
        let mut to = Accept { shared, thread: *thread, tag: step.tag, desk, outbox: outbox.as_mut() };
        match to.inputs(number, step, links) {
            Inputs::Never => return false,
            Inputs::Queued => desk.run(number, step.tag, shared, Some(links)),
            Inputs::Next(direct) => desk.run_next(number, direct, step.tag, shared, links),
        }
        true
    }

    /// Takes what has come from another thread. True when that thread has got so far.
    pub(super) fn look(&mut self, from: u32, until: u32, step: &Step) -> bool {
        let Self { shared, thread, desk, links: Some(links), outbox } = self else { return true };
        let graph = &shared.graph;
        let mut to = Accept { shared, thread: *thread, tag: step.tag, desk, outbox: outbox.as_mut() };
        while !links.is_done(from, until) {
            let Some((word, message)) = links.take(from, graph) else { return false };
            to.accept(word, message);
        }
        true
    }

    /// Waits until another thread has got so far, or (`None`) is done with the step. False: the flow ends.
    pub(super) fn wait(&mut self, from: u32, until: Option<u32>, step: &Step) -> bool {
        let Self { shared, thread, desk, links: Some(links), outbox } = self else { return true };
        let graph = &shared.graph;
        let mut to = Accept { shared, thread: *thread, tag: step.tag, desk, outbox: outbox.as_mut() };
        let accept = |word, message| to.accept(word, message);
        match until {
            Some(until) => links.until(from, until, graph, accept),
            None => links.until_all(from, graph, accept),
        }
    }

    /// First thread: begins a step, and gives the other threads the events that waited here for its tag.
    #[expect(unsafe_code, reason = "knows that all steps before are over")]
    pub(super) fn announce(&mut self, number: u64, tag: Tag) -> Step {
        let Self { shared, desk, links, .. } = self;
        let graph = &shared.graph;
        let mut step = Step { number, tag, threads: 1, fed: 0 };
        for (operator, plan) in graph.operators.iter().enumerate() {
            if desk.earliest[operator] == tag {
                step.threads |= graph.routes.reach[operator];
                step.fed |= 1 << plan.thread | graph.routes.early[operator];
            }
        }
        step.fed &= !1;
        let Some(links) = links else { return step };
        // SAFETY: the first thread comes here when it has seen in the step before that all others were done, and by invariant 4 they
        // have taken everything; so has this one.
        unsafe { links.begin(step) };
        for (operator, plan) in graph.operators.iter().enumerate() {
            if plan.thread != 0 && desk.earliest[operator] == tag {
                feed(desk, operator, plan, tag, links);
            }
        }
        links.end(step.fed, What::AllFed);
        step
    }
}

/// Moves what waits for an operator of another thread there.
fn feed<M: Clone>(desk: &mut Desk<M>, operator: usize, plan: &OperatorPlan, tag: Tag, links: &mut Links<M>) {
    let Some(Some(slot)) = desk.slots.get_mut(operator) else { return };
    for (local, edge) in plan.edges().enumerate() {
        while let Some(message) = slot.take(local, tag) {
            links.push(plan.thread, What::Fed(edge as u32), Some(message));
        }
    }
    desk.earliest[operator] = slot.earliest();
}

/// The loop of a further thread.
#[expect(unsafe_code, reason = "knows that all steps before the one that it sees are over")]
pub(super) fn follow<M: Clone>(hand: &mut Hand<M>) {
    while let Some(links) = &mut hand.links
        && let Some(step) = links.next_step()
    {
        // SAFETY: the first thread began this step when it had seen that all others were done with those before (invariant 4), and a
        // chain of lanes leads from there to what was just read.
        unsafe { links.begin(step) };
        if !take_part(hand, &step) {
            return;
        }
    }
}

fn take_part<M: Clone>(hand: &mut Hand<M>, step: &Step) -> bool {
    for at in 0..hand.shared.graph.routes.own[hand.thread as usize].len() {
        let number = hand.shared.graph.routes.own[hand.thread as usize][at] as usize;
        if !hand.run(number, step) {
            return false;
        }
        hand_on(hand, number, step);
    }
    if let Some(links) = &mut hand.links {
        links.end(1, What::AllDone);
    }
    true
}

/// Hands on what an operator sent: to its readers here and on other threads, and to the first one what those outside want.
fn hand_on<M: Clone>(hand: &mut Hand<M>, number: usize, step: &Step) {
    let Hand { shared, thread, desk, links: Some(links), .. } = hand else { return };
    let graph = &shared.graph;
    while let Some((output, message)) = desk.slot(number).and_then(|slot| slot.sent.pop_front()) {
        let targets =
            graph.routes.targets[output as usize] & step.threads | u32::from(shared.is_kept(output));
        if graph.routes.stays[output as usize] {
            links.push_to(targets, What::Sent(output), &message);
            desk.queue_all(graph, output, *thread, step.tag, message);
        } else {
            links.give_to(targets, What::Sent(output), message);
        }
    }
    if let Some(slot) = desk.slot(number)
        && !slot.has_nothing_to_say()
    {
        slot.told = true;
        links.push(0, What::Ended(number as u32, slot.verdict), None);
        // Only events of this step wait here, and no one counts them.
        for local in 0..graph.operators[number].edges as usize {
            slot.clear(local);
        }
    }
    links.end(graph.routes.awaited[number] & step.threads, What::Done(number as u32));
    desk.settle(number);
}
