//! From a resolved dataflow to shared memory: one segment per edge, output and node. Names stop here; below there are
//! indices and descriptors.
//!
//! ```text
//!   node A  ──arena (write)──┐              ┌── arena (read-only), edge ──  node B
//!   output 0                 ├── edge 0 ────┤                               input 0
//!           ──edge, B's bell─┘              └── its own doorbell, eventfd, status page
//! ```
//!
//! 1. Doorbell, eventfd, status page and the edges that lead to a node belong to its place in the dataflow; arenas and the
//!    edges that lead from it to its process (`docs/decisions/0008-live-wiring.md`). A new process gets new ones.
//! 2. An edge's number within its output counts that process's readers, its number within its input all edges that
//!    ever led there. Neither is reused.
//! 3. What the daemon keeps of an edge or a status page it has mapped read-only.
//!
//! Lines that a node prints and that are wired as data (`dora/logs`, `send_stdout_as`, `send_logs_as`) are sent by
//! the daemon, through a [`Feed`] per reader; a slow reader loses its own lines only.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use dora_protocol::{
    DataflowId, NodeId,
    dataflow::{Dataflow, Input, Node, NodeKind, Source},
    log::LogLevel,
    policy::QueuePolicy,
};
use lockfree_ipc::{ArenaFds, ArenaSpec, EdgeView, StatusView, arena, doorbell, status};

use crate::{
    chains::{Bound, ChainPlan},
    connect::share,
    error::DaemonError,
    feeds::Feed,
};

/// Slots of an output beyond what its edges can hold: loans being written.
pub(crate) const LOANS: u32 = 16;
/// And for readers that come later: as much as five inputs with the usual `backpressure` queue can keep, or twelve others. Slots
/// cost nothing until they are used.
const LATER_READERS: u32 = 1024;

/// Names an edge for as long as the dataflow runs.
pub(crate) type EdgeId = u64;

/// All segments of one dataflow.
pub(crate) struct Wiring {
    pub(crate) nodes: Vec<NodeWiring>,
    /// In the order in which they were made.
    pub(crate) edges: BTreeMap<EdgeId, EdgeWiring>,
    /// Edges that the daemon sends on; taken out by the log capture.
    pub(crate) feeds: Vec<Feed>,
    pub(crate) next_edge: EdgeId,
    id: DataflowId,
}

/// What belongs to one node.
pub(crate) struct NodeWiring {
    pub(crate) doorbell: Arc<OwnedFd>,
    pub(crate) eventfd: Arc<OwnedFd>,
    pub(crate) status: Arc<OwnedFd>,
    pub(crate) view: Arc<StatusView>,
    /// Of the present process, or the one to come.
    pub(crate) outputs: Vec<OutputPlan>,
    /// Chains that end here, in the order of their blocks in the status page.
    pub(crate) chains: Vec<ChainPlan>,
    /// Written by the node when it missed a deadline; only where it has one.
    pub(crate) attention: Option<Arc<OwnedFd>>,
    pub(crate) inputs: Vec<InputPlan>,
}

/// What belongs to one input.
#[derive(Clone, Default)]
pub(crate) struct InputPlan {
    /// What feeds it now; none when it was disconnected.
    pub(crate) sources: Vec<Source>,
    /// In the order of their numbers: those of former senders first.
    pub(crate) edges: Vec<EdgeId>,
    pub(crate) next_number: u32,
    /// The rows of the report that its counters belong to: first edge, sender, policy.
    pub(crate) rows: Vec<(EdgeId, String, QueuePolicy)>,
}

/// What belongs to one output.
pub(crate) struct OutputPlan {
    pub(crate) write: Arc<OwnedFd>,
    pub(crate) read: Arc<OwnedFd>,
    pub(crate) spec: ArenaSpec,
    /// Slots that the readers so far can keep, and loans.
    pub(crate) taken: u32,
    /// In the order of their numbers.
    pub(crate) edges: Vec<EdgeId>,
    pub(crate) next_number: u32,
    /// When its messages were sent, if a chain begins here.
    pub(crate) origins: Option<Arc<OwnedFd>>,
}

/// One edge.
pub(crate) struct EdgeWiring {
    /// Node and output that send on it; `None` for the daemon's own edges.
    pub(crate) from: Option<(usize, usize)>,
    /// `node/output`, for the report.
    pub(crate) from_name: String,
    /// Its number within that output.
    pub(crate) number: u32,
    /// Node and input that read it.
    pub(crate) to: (usize, usize),
    /// Its number within that input.
    pub(crate) to_number: u32,
    pub(crate) fd: Arc<OwnedFd>,
    /// The arena its messages are in, read-only.
    pub(crate) arena: Arc<OwnedFd>,
    pub(crate) view: EdgeView,
    pub(crate) policy: QueuePolicy,
    /// Slots that its reader can keep.
    pub(crate) share: u32,
    /// Its sender sends no more: nothing comes after what is in the ring.
    pub(crate) closed: bool,
    /// Its sender was told that nobody reads it any more.
    pub(crate) unread: bool,
    /// Its sender was told that its reader was disconnected and lives.
    pub(crate) left: bool,
    /// One end wrote nonsense.
    pub(crate) broken: Option<String>,
}

impl EdgeWiring {
    /// Do messages still enter and leave it?
    pub(crate) fn is_open(&self) -> bool {
        !self.closed && !self.unread && self.broken.is_none()
    }
}

/// Where the lines of a log edge come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Every captured line of this node, as it is.
    Raw(usize),
    /// The structured lines of this node, as JSON.
    Structured(usize),
    /// Lines of all nodes, or one, that pass this level, as JSON; never those of `reader`.
    Subscribed { level: LogLevel, node: Option<NodeId>, reader: usize },
}

/// Makes all segments of a dataflow.
///
/// # Errors
/// When the kernel gives no memory or descriptors. Nothing is left behind: they have no names.
pub(crate) fn compile(dataflow: &Dataflow, id: DataflowId) -> Result<Wiring, DaemonError> {
    let mut wiring =
        Wiring { nodes: Vec::new(), edges: BTreeMap::new(), feeds: Vec::new(), next_edge: 0, id };
    let chains = Bound::at_start(dataflow)?;
    for (index, node) in dataflow.nodes.iter().enumerate() {
        let mut place = wiring.place(dataflow, index, chains.ends(index))?;
        place.inputs = node.inputs.iter().map(InputPlan::of).collect();
        wiring.nodes.push(place);
    }
    for index in 0..dataflow.nodes.len() {
        let origins = chains.begins(index, dataflow.nodes[index].outputs.len());
        wiring.nodes[index].outputs = wiring.outputs(dataflow, index, &origins)?;
    }
    for (reader, node) in dataflow.nodes.iter().enumerate() {
        for (position, input) in node.inputs.iter().enumerate() {
            for source in input.sources() {
                if !is_dynamic(dataflow, source, reader) {
                    wiring.connect(dataflow, source, (reader, position))?;
                }
            }
        }
    }
    Ok(wiring)
}

impl InputPlan {
    /// As the descriptor says, without edges.
    pub(crate) fn of(input: &Input) -> Self {
        Self { sources: input.sources().cloned().collect(), ..Self::default() }
    }

    /// Does it read from edges, and not the clock?
    pub(crate) fn is_timer(&self) -> bool {
        matches!(self.sources[..], [Source::Timer { .. }])
    }
}

/// Is one of the two somebody who may come later, or never?
fn is_dynamic(dataflow: &Dataflow, source: &Source, reader: usize) -> bool {
    let dynamic = |node: usize| dataflow.nodes[node].kind == NodeKind::Dynamic;
    dynamic(reader) || matches!(source, Source::Output { node, .. } if dynamic(*node as usize))
}

/// Names the node on the clock of the dataflow: unique per node and run, never zero.
pub(crate) fn hlc_id(id: DataflowId, node: usize) -> [u8; 16] {
    let mut bytes = *id.as_bytes();
    for (byte, with) in bytes.iter_mut().zip((node as u64 + 1).to_le_bytes()) {
        *byte ^= with;
    }
    bytes[15] |= 1;
    bytes
}

pub(crate) fn failed(what: String) -> impl Fn(io::Error) -> DaemonError {
    move |source| DaemonError::Segment { what: what.clone(), source }
}

impl Wiring {
    /// Of the dataflow.
    pub(crate) fn id(&self) -> DataflowId {
        self.id
    }

    /// Makes what belongs to the place of a node where these chains end, without inputs and outputs.
    ///
    /// # Errors
    /// As [`compile`].
    pub(crate) fn place(
        &self,
        dataflow: &Dataflow,
        index: usize,
        chains: Vec<ChainPlan>,
    ) -> Result<NodeWiring, DaemonError> {
        let node = &dataflow.nodes[index];
        let bell = || failed(format!("the doorbell of node `{}`", node.id));
        let watched = !chains.is_empty() || node.inputs.iter().any(|input| input.deadline.is_some());
        let attention = watched.then(doorbell::create_eventfd).transpose().map_err(bell())?;
        let (status, view) = status_page(node, chains.len())?;
        Ok(NodeWiring {
            doorbell: Arc::new(doorbell::create().map_err(bell())?),
            eventfd: Arc::new(doorbell::create_eventfd().map_err(bell())?),
            status,
            view,
            outputs: Vec::new(),
            chains,
            attention: attention.map(Arc::new),
            inputs: Vec::new(),
        })
    }

    /// Makes the arenas of a new process of a node, without readers. `origins`: by output, as in [`OutputPlan`].
    ///
    /// # Errors
    /// As [`compile`].
    pub(crate) fn outputs(
        &self,
        dataflow: &Dataflow,
        index: usize,
        origins: &[Option<Arc<OwnedFd>>],
    ) -> Result<Vec<OutputPlan>, DaemonError> {
        let shares = |output| {
            let readers = self.readers((index, output));
            readers.map(|(node, input)| share(&dataflow.nodes[node].inputs[input])).sum()
        };
        let shares: Vec<u32> = (0..dataflow.nodes[index].outputs.len()).map(shares).collect();
        self.outputs_for(dataflow, index, &shares, origins)
    }

    /// Where the outputs of a node note what they send: its next process goes on there, because those who look have it mapped.
    pub(crate) fn origins(&self, index: usize) -> Vec<Option<Arc<OwnedFd>>> {
        self.nodes[index].outputs.iter().map(|plan| plan.origins.clone()).collect()
    }

    /// As [`outputs`](Self::outputs), for readers that can keep so many slots of each of them.
    pub(crate) fn outputs_for(
        &self,
        dataflow: &Dataflow,
        index: usize,
        shares: &[u32],
        origins: &[Option<Arc<OwnedFd>>],
    ) -> Result<Vec<OutputPlan>, DaemonError> {
        let node = &dataflow.nodes[index];
        let mut outputs = Vec::with_capacity(node.outputs.len());
        for (position, output) in node.outputs.iter().enumerate() {
            let spec = ArenaSpec {
                outstanding: shares[position].saturating_add(LOANS + LATER_READERS),
                max_message_bytes: output.max_message_bytes,
                depth: output.depth,
            };
            let ArenaFds { write, read } = arena::create(&spec, hlc_id(self.id, index))
                .map_err(failed(format!("the arena of `{}/{}`", node.id, output.id)))?;
            let (write, read) = (Arc::new(write), Arc::new(read));
            outputs.push(OutputPlan {
                write,
                read,
                spec,
                taken: LOANS,
                edges: Vec::new(),
                next_number: 0,
                origins: origins.get(position).cloned().flatten(),
            });
        }
        Ok(outputs)
    }
}

/// A status page for a node with so many chains.
pub(crate) fn status_page(
    node: &Node,
    chains: usize,
) -> Result<(Arc<OwnedFd>, Arc<StatusView>), DaemonError> {
    let what = format!("the status page of node `{}`", node.id);
    let (inputs, outputs) = (node.inputs.len() as u32, node.outputs.len() as u32);
    let status = status::create_with_chains(inputs, outputs, chains as u32).map_err(failed(what.clone()))?;
    let view = StatusView::open(status.as_fd()).map_err(|source| DaemonError::Open { what, source })?;
    Ok((Arc::new(status), Arc::new(view)))
}

#[cfg(test)]
mod tests {
    use lockfree_ipc::{EdgeSpec, MAX_HELD, Policy};

    use super::*;
    use crate::testing::{camera_and_two_readers, input};

    #[test]
    fn an_arena_has_room_for_all_its_readers_at_their_limit_and_for_some_more() {
        let flow = camera_and_two_readers();
        let wiring = compile(&flow, DataflowId::new_v4()).unwrap();
        let rings = EdgeSpec::storage(10, Policy::DropOldest) + EdgeSpec::storage(100, Policy::Backpressure);
        let spare = LOANS + LATER_READERS;
        let outstanding = |output: usize| wiring.nodes[0].outputs[output].spec.outstanding;
        assert_eq!(outstanding(0), rings + 2 * MAX_HELD + spare);
        assert_eq!(outstanding(1), spare);
        let mut late = input("late", Source::Output { node: 0, output: 0 });
        assert!(wiring.has_room_for((0, 0), &late));
        (late.queue_size, late.policy) = (100, QueuePolicy::Backpressure);
        assert!(!wiring.has_room_for((0, 0), &late));
    }

    #[test]
    fn printed_lines_that_are_wired_as_data_come_from_the_daemon() {
        let mut flow = camera_and_two_readers();
        flow.nodes[0].log.stdout_as = Some("image".into());
        flow.nodes[1].inputs.push(input("logs", Source::Logs { level: LogLevel::Info, node: None }));
        let id = DataflowId::new_v4();
        let wiring = compile(&flow, id).unwrap();
        assert_eq!(wiring.feeds.len(), 3);
        assert!(wiring.edges.values().all(|e| e.from.is_none()));
        let (setup, _) = wiring.setup(&flow, 0, false, 0);
        assert!(setup.outputs[0].edges.is_empty(), "the node's own sends reach nobody");
        let ids: std::collections::BTreeSet<_> = (0..4).map(|n| hlc_id(id, n)).collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn a_fan_in_has_an_edge_per_source_and_numbers_them() {
        let mut flow = camera_and_two_readers();
        flow.nodes[2].inputs[0].more_sources = vec![Source::Output { node: 0, output: 1 }];
        let wiring = compile(&flow, DataflowId::new_v4()).unwrap();
        let edges = &wiring.nodes[2].inputs[0].edges;
        let numbers: Vec<_> =
            edges.iter().map(|e| (wiring.edges[e].from, wiring.edges[e].to_number)).collect();
        assert_eq!(numbers, [(Some((0, 0)), 0), (Some((0, 1)), 1)]);
    }
}
