//! The plan of a flow: which edge leads where, which operators form a level, which thread runs which of them.
//!
//! Names end above: operators, inputs and outputs are numbers here. All arrays are made once and not resized.

use std::{
    ops::Range,
    sync::{Arc, Mutex, atomic::AtomicU32},
};

use super::{
    crew::Crew,
    pass::Flow,
    slot::{Operator, Slot, Tag},
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
}

#[derive(Debug)]
pub(super) struct OperatorPlan {
    pub(super) first_edge: u32,
    pub(super) edges: u32,
    pub(super) budget_ns: Option<u64>,
    pub(super) level: u32,
    pub(super) thread: u32,
}

/// What does not change once the flow runs.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) operators: Box<[OperatorPlan]>,
    pub(super) edges: Box<[Edge]>,
    /// Per output: its edges in `readers`.
    outputs: Box<[Range<usize>]>,
    readers: Box<[usize]>,
    pub(super) levels: u32,
    pub(super) threads: u32,
}

impl Graph {
    /// Edges of an output; none for a number that the plan does not have.
    pub(super) fn edges_of(&self, output: u32) -> impl Iterator<Item = usize> + Clone + '_ {
        let range = self.outputs.get(output as usize).cloned().unwrap_or_default();
        self.readers[range].iter().copied()
    }

    /// Does this edge lead to a later level of the same tag?
    pub(super) fn is_forward(&self, from: usize, edge: usize) -> bool {
        self.edges[edge].operator as usize > from
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

#[expect(clippy::disallowed_methods, clippy::disallowed_macros, reason = "runs before the flow starts")]
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

    /// Freezes the plan for at most `threads` threads, the calling one included. Nothing runs yet: [`Flow::start_threads`] does that.
    ///
    /// # Errors
    /// [`FlowError`] when an edge leads nowhere.
    pub fn build(self, threads: usize) -> Result<Flow<M>, FlowError> {
        let graph = self.graph(threads.max(1))?;
        let waiting = graph.edges.iter().map(|_| AtomicU32::new(0)).collect();
        let mut slots = Vec::with_capacity(self.operators.len());
        for (number, spec) in self.operators.into_iter().enumerate() {
            let plan = &graph.operators[number];
            let sent: usize = (0..self.outputs.len() as u32)
                .filter(|output| self.outputs[*output as usize].0 as usize == number)
                .flat_map(|output| graph.edges_of(output).map(|edge| graph.edges[edge].limit as usize))
                .sum();
            let edges = plan.first_edge as usize..(plan.first_edge + plan.edges) as usize;
            let limits: Vec<u32> = graph.edges[edges].iter().map(|edge| edge.limit).collect();
            slots.push(Mutex::new(Slot::new(spec.operator, &limits, sent.min(1 << 16) + SPARE_SENDS)));
        }
        let earliest = vec![Tag::NEVER; slots.len()].into();
        Ok(Flow::new(Arc::new(Crew::new(graph, slots.into(), waiting)), earliest))
    }

    fn graph(&self, threads: usize) -> Result<Graph, FlowError> {
        let mut operators = Vec::new();
        let mut edges = Vec::new();
        for (number, spec) in (0u32..).zip(&self.operators) {
            let first_edge = edges.len() as u32;
            operators.push(OperatorPlan {
                first_edge,
                edges: spec.ports.len() as u32,
                budget_ns: spec.budget_ns,
                level: 0,
                thread: 0,
            });
            edges.extend(spec.ports.iter().map(|port| Edge {
                operator: number,
                input: port.input,
                limit: port.limit.max(1),
                keeps_all: port.keeps_all,
            }));
        }
        let (outputs, readers) = self.outputs(&operators, edges.len())?;
        let mut graph = Graph {
            operators: operators.into(),
            edges: edges.into(),
            outputs,
            readers,
            levels: 1,
            threads: 1,
        };
        self.level(&mut graph);
        share_out(&mut graph, threads);
        Ok(graph)
    }

    #[expect(clippy::type_complexity, reason = "two arrays that belong together")]
    fn outputs(
        &self,
        operators: &[OperatorPlan],
        edges: usize,
    ) -> Result<(Box<[Range<usize>]>, Box<[usize]>), FlowError> {
        let (mut ranges, mut all) = (Vec::new(), Vec::new());
        let mut fed = vec![false; edges];
        for (output, (sender, readers)) in (0u32..).zip(&self.outputs) {
            if *sender as usize >= operators.len() {
                return Err(FlowError::UnknownOperator { output, operator: *sender });
            }
            let begin = all.len();
            for &Reader { operator, port } in readers {
                let plan = operators.get(operator as usize).filter(|plan| port < plan.edges);
                let plan = plan.ok_or(FlowError::UnknownReader { output, operator, port })?;
                let edge = (plan.first_edge + port) as usize;
                if std::mem::replace(&mut fed[edge], true) {
                    return Err(FlowError::FedTwice { operator, port });
                }
                all.push(edge);
            }
            ranges.push(begin..all.len());
        }
        Ok((ranges.into(), all.into()))
    }

    /// Longest path over forward edges. Operators are in the order of declaration, so one pass is enough.
    fn level(&self, graph: &mut Graph) {
        for from in 0..graph.operators.len() {
            let level = graph.operators[from].level;
            let own = (0u32..).zip(&self.outputs).filter(|(_, (sender, _))| *sender as usize == from);
            let forward: Vec<usize> = own
                .flat_map(|(output, _)| graph.edges_of(output).collect::<Vec<_>>())
                .filter(|edge| graph.is_forward(from, *edge))
                .collect();
            for edge in forward {
                let to = &mut graph.operators[graph.edges[edge].operator as usize];
                to.level = to.level.max(level + 1);
                graph.levels = graph.levels.max(to.level + 1);
            }
        }
    }
}

/// Gives the operators of each level to the threads in turn, the calling thread first.
fn share_out(graph: &mut Graph, threads: usize) {
    for level in 0..graph.levels {
        let of_level = graph.operators.iter_mut().filter(|operator| operator.level == level);
        for (operator, thread) in of_level.zip((0..threads as u32).cycle()) {
            operator.thread = thread;
            graph.threads = graph.threads.max(thread + 1);
        }
    }
}
