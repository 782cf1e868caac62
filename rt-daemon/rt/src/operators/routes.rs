//! What follows from a plan for its threads: who tells whom, and what each operator waits for.
//!
//! ```text
//!   thread 0   a ──┬──────────► d          lanes: 0 ─► 1 for what b gets of a, 1 ─► 0 for what d gets of b;
//!                  └─► b ───────┘          d waits until thread 1 has said that b is done, c for nobody
//!   thread 1           b   c
//! ```
//!
//! Every thread goes through its operators in the order of declaration and waits only for operators that are declared before. So of
//! all that is not yet done, the operator that is declared first never waits: there is no circle.

use super::{lane::Word, plan::Graph};

/// Other threads that an operator reads from within a step, with the last operator there that it reads.
type Needs = Box<[(u32, u32)]>;

/// A message that may go to its operator without a queue: the last one of `sender`, on an output that nobody else here reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direct {
    /// Thread of the sender.
    pub(super) from: u32,
    pub(super) sender: u32,
    pub(super) output: u32,
    /// How it comes.
    pub(super) word: Word,
    /// Input of the reader.
    pub(super) input: u32,
}

/// Sets of threads are bits.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    /// Per operator: threads that may have work in a step in which it has.
    pub(super) reach: Box<[u32]>,
    /// Per operator: threads that have to be told at the beginning of a step in which it has work. Others notice it by what they get; but
    /// who waits for one of those before that would wait for ever.
    pub(super) early: Box<[u32]>,
    /// Per operator: what it waits for.
    pub(super) needs: Box<[Needs]>,
    /// Per operator: what it may get without a queue, when it waits for one thread only.
    pub(super) direct: Box<[Option<Direct>]>,
    /// Per output: the only thread to get what is sent on it, when that is another one, and no edge of it leads back or loses nothing.
    pub(super) straight: Box<[Option<u32>]>,
    /// Per operator: other threads that wait until it is done.
    pub(super) awaited: Box<[u32]>,
    /// Per output: other threads with readers that get what is sent on it within the step.
    pub(super) targets: Box<[u32]>,
    /// Per output: is there such a reader on the sender's thread?
    pub(super) stays: Box<[bool]>,
    /// Per output: does it lead back to anybody? Then the first thread keeps the message.
    pub(super) returns: Box<[bool]>,
    /// Per operator: does any of its outputs lead to another thread within the step?
    pub(super) leaves: Box<[bool]>,
    /// Per thread: its operators.
    pub(super) own: Box<[Box<[u32]>]>,
}

#[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
impl Routes {
    pub(super) fn new(graph: &Graph) -> Self {
        let needs: Box<[_]> = (0..graph.operators.len()).map(|operator| needs(graph, operator)).collect();
        let mut awaited: Box<[u32]> = needs.iter().map(|_| 0).collect();
        for (plan, needs) in graph.operators.iter().zip(&needs) {
            for (_, operator) in needs {
                awaited[*operator as usize] |= 1 << plan.thread;
            }
        }
        let operators = || 0..graph.operators.len() as u32;
        let outputs = || 0..graph.owners.len() as u32;
        let readers = |output| graph.edges_of(output).iter().map(|edge| &graph.edges[*edge]);
        let own = |thread| operators().filter(|operator| graph.thread_of(*operator) == thread).collect();
        let here = |output: u32| 1 << graph.thread_of(graph.owners[output as usize]);
        let is_left = |operator: u32| {
            let mut own = outputs().filter(|output| graph.owners[*output as usize] == operator);
            own.any(|output| threads(graph, output) & !here(output) != 0)
        };
        let reach = reach(graph);
        let early = reach.iter().map(|reach| early(graph, &needs, &awaited, *reach)).collect();
        let direct = (0u32..).zip(&needs).map(|(operator, needs)| direct(graph, operator, needs)).collect();
        Self {
            reach,
            direct,
            straight: outputs().map(|output| straight(graph, output)).collect(),
            early,
            needs,
            awaited,
            targets: outputs().map(|output| threads(graph, output) & !here(output)).collect(),
            stays: outputs().map(|output| threads(graph, output) & here(output) != 0).collect(),
            returns: outputs().map(|output| readers(output).any(|edge| !edge.is_forward)).collect(),
            leaves: operators().map(is_left).collect(),
            own: (0..graph.threads).map(own).collect(),
        }
    }

    /// Entries that a lane between these threads has room for; none when there is nothing to tell.
    pub(super) fn room(&self, graph: &Graph, from: u32, to: u32) -> usize {
        let bit = 1 << to;
        let own = || self.own[from as usize].iter().map(|operator| *operator as usize);
        let is_sent = |operator: usize| {
            let outputs = graph.owners.iter().zip(&self.targets);
            // The first thread may be told of any, for those outside.
            outputs.into_iter().any(|(owner, to)| *owner as usize == operator && (to | 1) & bit != 0)
        };
        let sent: usize = own().filter(|o| is_sent(*o)).map(|o| graph.operators[o].room as usize).sum();
        let words = own().filter(|operator| self.awaited[*operator] & bit != 0).count();
        let fed = graph.edges.iter().filter(|edge| from == 0 && !edge.is_forward && edge.thread == to);
        let fed: usize = fed.map(|edge| edge.limit as usize).sum();
        // To the first thread: each operator may end, and all of them are done.
        let ends = if to == 0 { own().count() + 1 } else { 0 };
        sent + words + fed + ends
    }
}

/// The thread of an operator, and those of all that is reached from it within a step.
#[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
fn reach(graph: &Graph) -> Box<[u32]> {
    let mut reach: Box<[u32]> = graph.operators.iter().map(|plan| 1 << plan.thread).collect();
    // Edges are in the order of their readers: from the last to the first, each reader is complete before its senders look.
    for edge in graph.edges.iter().rev().filter(|edge| edge.is_forward) {
        if let Some(sender) = edge.sender {
            reach[sender as usize] |= reach[edge.operator as usize];
        }
    }
    reach
}

#[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
fn needs(graph: &Graph, operator: usize) -> Needs {
    let plan = &graph.operators[operator];
    let forward = graph.edges[plan.edges()].iter().filter(|edge| edge.is_forward);
    let senders = || forward.clone().filter_map(|edge| edge.sender);
    let last_on = |thread| senders().filter(|sender| graph.thread_of(*sender) == thread).max();
    let others = (0..graph.threads).filter(|thread| *thread != plan.thread);
    others.filter_map(|thread| Some((thread, last_on(thread)?))).collect()
}

/// Of the threads in `reach`, those that somebody may wait for before they are sure to get a word of the step.
fn early(graph: &Graph, needs: &[Needs], awaited: &[u32], reach: u32) -> u32 {
    let own = |thread: u32| {
        let numbers =
            (0..graph.operators.len()).filter(move |number| graph.operators[*number].thread == thread);
        numbers.map(|number| (number as u32, number))
    };
    let is_late = |thread: &u32| {
        let waited_for = own(*thread).find(|(_, at)| awaited[*at] != 0);
        let words = own(*thread).flat_map(|(_, at)| &needs[at]).filter(|(from, _)| reach & (1 << from) != 0);
        // Without any word its own events tell it.
        let first = words.map(|(_, operator)| *operator).min();
        waited_for.is_some_and(|(waited_for, _)| first.is_none_or(|first| waited_for < first))
    };
    let others = (1..graph.threads).filter(|thread| reach & (1 << thread) != 0);
    others.filter(is_late).fold(0, |bits, thread| bits | 1 << thread)
}

/// The operator waits for one thread: the output by which the last sender there reaches it.
fn direct(graph: &Graph, operator: u32, needs: &[(u32, u32)]) -> Option<Direct> {
    let &[(from, sender)] = needs else { return None };
    let here = graph.thread_of(operator);
    (0u32..).zip(&graph.owners).filter(|(_, owner)| **owner == sender).find_map(|(output, _)| {
        let edges = graph.edges_of(output).iter().map(|edge| &graph.edges[*edge]);
        let mut edges = edges.filter(|edge| edge.is_forward && edge.thread == here);
        let edge = edges.next().filter(|edge| edge.operator == operator)?;
        let word = Word::last_sent(output);
        edges.next().is_none().then_some(Direct { from, sender, output, word, input: edge.input })
    })
}

fn straight(graph: &Graph, output: u32) -> Option<u32> {
    let here = graph.thread_of(graph.owners[output as usize]);
    let mut edges = graph.edges_of(output).iter().map(|edge| &graph.edges[*edge]);
    let to = edges.clone().next()?.thread;
    edges.all(|edge| edge.is_forward && !edge.keeps_all && edge.thread == to && to != here).then_some(to)
}

/// Threads with readers of an output within the step.
fn threads(graph: &Graph, output: u32) -> u32 {
    let edges = graph.edges_of(output).iter().map(|edge| &graph.edges[*edge]);
    let forward = edges.filter(|edge| edge.is_forward);
    forward.fold(0, |bits, edge| bits | 1 << edge.thread)
}
