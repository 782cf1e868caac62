//! The plan of a flow: which edge leads where, and which thread runs which operator.
//!
//! Names end above: operators, inputs and outputs are numbers here. All arrays are made once and not resized.

use std::ops::Range;

use super::{
    lane::MOST_THREADS,
    pass::Flow,
    routes::Routes,
    slot::{Operator, Slot},
    sync::Arc,
};

/// Messages that one operator can send before they are handed on, beyond what its readers have room for.
const SPARE_SENDS: usize = 256;

/// One edge that leads to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Number of the operator's input; several edges may lead to one.
    pub input: u32,
    /// Messages that wait here, at least 1.
    pub limit: u32,
    /// A message beyond that is refused (true) or pushes out the oldest.
    pub keeps_all: bool,
}

/// A reader of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Number of the operator.
    pub operator: u32,
    /// Which of its ports.
    pub port: u32,
}

/// One operator as the plan sees it. Its number is the order in which it was added.
#[derive(Debug)]
pub struct OperatorSpec<M> {
    /// What runs.
    pub operator: Box<dyn Operator<M>>,
    /// Edges that lead to it, in the order of its inputs.
    pub ports: Vec<Port>,
    /// An invocation that takes longer is an overrun, nanoseconds; `None` = no clock is read.
    pub budget_ns: Option<u64>,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// A reader that was not added.
    #[error("output {output} is read by port {port} of operator {operator}, which the plan does not have")]
    UnknownReader {
        /// Number of the output.
        output: u32,
        /// Number of the operator.
        operator: u32,
        /// Number of the port.
        port: u32,
    },
    /// An output of an operator that was not added.
    #[error("output {output} belongs to operator {operator}, which the plan does not have")]
    UnknownOperator {
        /// Number of the output.
        output: u32,
        /// Number of the operator.
        operator: u32,
    },
    /// Two outputs lead to one port: each edge has a port of its own.
    #[error("port {port} of operator {operator} is fed twice")]
    FedTwice {
        /// Number of the operator.
        operator: u32,
        /// Number of the port.
        port: u32,
    },
}

/// An edge, numbered over all operators.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) operator: u32,
    pub(super) input: u32,
    pub(super) limit: u32,
    pub(super) keeps_all: bool,
    /// Which of its operator's edges it is.
    pub(super) local: u32,
    /// Thread of its operator.
    pub(super) thread: u32,
    /// Does it lead to an operator that comes later, so that its messages keep their tag?
    pub(super) is_forward: bool,
    /// `None`: it is fed from outside.
    pub(super) sender: Option<u32>,
}

impl Edge {
    /// Does it lead back and lose nothing? Then messages wait here from one step to the next, and the sender has to know how many.
    #[inline]
    pub(super) fn is_counted(&self) -> bool {
        self.keeps_all && !self.is_forward && self.sender.is_some()
    }
}

#[derive(Clone, Debug)]
pub(super) struct OperatorPlan {
    pub(super) first_edge: u32,
    pub(super) edges: u32,
    pub(super) budget_ns: Option<u64>,
    pub(super) thread: u32,
    /// Messages that it can send in one step.
    pub(super) room: u32,
    /// Is any edge to it [counted](Edge::is_counted)?
    pub(super) counts: bool,
    /// Does any edge that leads forward from it lose nothing?
    pub(super) holds: bool,
}

impl OperatorPlan {
    #[inline]
    pub(super) fn edges(&self) -> Range<usize> {
        self.first_edge as usize..(self.first_edge + self.edges) as usize
    }
}

/// What does not change once the flow runs.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub(super) operators: Box<[OperatorPlan]>,
    pub(super) edges: Box<[Edge]>,
    /// Per output: its edges in `readers`.
    outputs: Box<[Range<usize>]>,
    /// Per output: its operator.
    pub(super) owners: Box<[u32]>,
    readers: Box<[usize]>,
    pub(super) threads: u32,
    pub(super) routes: Routes,
}

impl Graph {
    /// Edges of an output; none for a number that the plan does not have.
    #[inline]
    pub(super) fn edges_of(&self, output: u32) -> &[usize] {
        let range = self.outputs.get(output as usize).cloned().unwrap_or_default();
        &self.readers[range]
    }

    #[inline]
    pub(super) fn thread_of(&self, operator: u32) -> u32 {
        self.operators[operator as usize].thread
    }
}

/// Collects operators and edges. Allocates: before the start only.
#[derive(Debug)]
pub struct FlowBuilder<M> {
    operators: Vec<OperatorSpec<M>>,
    /// Sender and readers.
    outputs: Vec<(u32, Vec<Reader>)>,
}

impl<M> Default for FlowBuilder<M> {
    fn default() -> Self {
        Self { operators: Vec::new(), outputs: Vec::new() }
    }
}

#[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
impl<M: Clone + Send + 'static> FlowBuilder<M> {
    /// An empty plan.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an operator and returns its number: the order of declaration.
    pub fn operator(&mut self, spec: OperatorSpec<M>) -> u32 {
        self.operators.push(spec);
        self.operators.len() as u32 - 1
    }

    /// Adds an output of an operator with its readers inside the process, and returns its number.
    pub fn output(&mut self, operator: u32, readers: Vec<Reader>) -> u32 {
        self.outputs.push((operator, readers));
        self.outputs.len() as u32 - 1
    }

    /// Freezes the plan for at most `threads` threads, the calling one included, and never more than 32. Nothing runs yet:
    /// [`Flow::start_threads`] does that.
    ///
    /// # Errors
    /// [`FlowError`] when an edge leads nowhere.
    pub fn build(self, threads: usize) -> Result<Flow<M>, FlowError> {
        let graph = self.graph(threads.clamp(1, MOST_THREADS))?;
        let slots = self.operators.into_iter().zip(&graph.operators).map(|(spec, plan)| {
            let limits: Vec<u32> = graph.edges[plan.edges()].iter().map(|edge| edge.limit).collect();
            Some(Slot::new(Some(spec.operator), &limits, plan.room as usize, Arc::default()))
        });
        let slots = slots.collect();
        Ok(Flow::new(graph, slots))
    }

    fn graph(&self, threads: usize) -> Result<Graph, FlowError> {
        let mut operators = Vec::new();
        let mut edges = Vec::new();
        for (number, spec) in (0u32..).zip(&self.operators) {
            operators.push(OperatorPlan {
                first_edge: edges.len() as u32,
                edges: spec.ports.len() as u32,
                budget_ns: spec.budget_ns,
                thread: 0,
                room: 0,
                counts: false,
                holds: false,
            });
            edges.extend((0u32..).zip(&spec.ports).map(|(local, port)| Edge {
                operator: number,
                local,
                thread: 0,
                is_forward: false,
                input: port.input,
                limit: port.limit.max(1),
                keeps_all: port.keeps_all,
                sender: None,
            }));
        }
        let (outputs, readers) = self.outputs(&operators, &mut edges)?;
        let mut graph = Graph {
            operators: operators.into(),
            edges: edges.into(),
            outputs,
            owners: self.outputs.iter().map(|(sender, _)| *sender).collect(),
            readers,
            threads: 1,
            routes: Routes::default(),
        };
        make_room(&mut graph);
        share_out(&mut graph, threads);
        graph.routes = Routes::new(&graph);
        Ok(graph)
    }

    #[expect(clippy::type_complexity, reason = "two arrays that belong together")]
    fn outputs(
        &self,
        operators: &[OperatorPlan],
        edges: &mut [Edge],
    ) -> Result<(Box<[Range<usize>]>, Box<[usize]>), FlowError> {
        let (mut ranges, mut all) = (Vec::new(), Vec::new());
        for (output, (sender, readers)) in (0u32..).zip(&self.outputs) {
            if *sender as usize >= operators.len() {
                return Err(FlowError::UnknownOperator { output, operator: *sender });
            }
            let begin = all.len();
            for &Reader { operator, port } in readers {
                let plan = operators.get(operator as usize).filter(|plan| port < plan.edges);
                let plan = plan.ok_or(FlowError::UnknownReader { output, operator, port })?;
                let edge = (plan.first_edge + port) as usize;
                edges[edge].is_forward = *sender < operator;
                if edges[edge].sender.replace(*sender).is_some() {
                    return Err(FlowError::FedTwice { operator, port });
                }
                all.push(edge);
            }
            ranges.push(begin..all.len());
        }
        Ok((ranges.into(), all.into()))
    }
}

/// Reserves what each operator can send, and notes what has to be counted.
#[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
fn make_room(graph: &mut Graph) {
    let mut room: Box<[usize]> = graph.operators.iter().map(|_| 0).collect();
    for edge in &graph.edges {
        if let Some(sender) = edge.sender {
            room[sender as usize] += edge.limit as usize;
            graph.operators[sender as usize].holds |= edge.keeps_all && edge.is_forward;
        }
        graph.operators[edge.operator as usize].counts |= edge.is_counted();
    }
    for (operator, room) in graph.operators.iter_mut().zip(room) {
        operator.room = (room.min(1 << 16) + SPARE_SENDS) as u32;
    }
}

/// Gives the operators of each level to the threads in turn, the calling thread first. A level is a longest path over forward
/// edges: its operators do not depend on each other.
#[expect(clippy::disallowed_methods, reason = "runs before the flow starts")]
fn share_out(graph: &mut Graph, threads: usize) {
    let mut levels: Box<[u32]> = graph.operators.iter().map(|_| 0).collect();
    // Edges are in the order of their readers, and forward ones come from earlier operators: one pass is enough.
    for edge in graph.edges.iter().filter(|edge| edge.is_forward) {
        let before = edge.sender.map_or(0, |sender| levels[sender as usize] + 1);
        let level = &mut levels[edge.operator as usize];
        *level = before.max(*level);
    }
    let last = levels.iter().copied().max().unwrap_or(0);
    for level in 0..=last {
        let of_level = graph.operators.iter_mut().zip(&levels).filter(|(_, own)| **own == level);
        for ((operator, _), thread) in of_level.zip((0..threads as u32).cycle()) {
            operator.thread = thread;
            graph.threads = graph.threads.max(thread + 1);
        }
    }
    for edge in &mut graph.edges {
        edge.thread = graph.operators[edge.operator as usize].thread;
    }
}
