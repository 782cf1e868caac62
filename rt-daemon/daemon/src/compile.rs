//! From a resolved dataflow to shared memory: one segment per edge, output and node, and each node's part of the
//! wiring. Names stop here; below there are indices and descriptors.
//!
//! ```text
//!   node A  ──arena (write)──┐              ┌── arena (read-only), edge ──  node B
//!   output 0                 ├── edge 0 ────┤                               input 0
//!           ──edge, B's bell─┘              └── its own doorbell, eventfd, status page
//! ```
//!
//! 1. An edge's number within its output is its position among that output's readers, and is never reused.
//! 2. What the daemon keeps of an edge or a status page it has mapped read-only.
//!
//! Lines that a node prints and that are wired as data (`dora/logs`, `send_stdout_as`, `send_logs_as`) are sent by
//! the daemon, through a [`Feed`] per reader; a slow reader loses its own lines only.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use dora_protocol::{
    DataflowId, NodeId,
    dataflow::{Chain, Dataflow, Input, Source},
    log::LogLevel,
    policy::QueuePolicy,
};
use lockfree_ipc::{
    ArenaFds, ArenaSpec, Doorbell, EdgeSpec, EdgeView, MAX_HELD, Policy, Publisher, StatusView, arena,
    doorbell, edge, origins, status,
};

use crate::{error::DaemonError, feeds::Feed};

/// Slots of an output beyond what its edges can hold: loans being written.
const LOANS: u32 = 16;

/// All segments of one dataflow.
pub(crate) struct Wiring {
    pub(crate) nodes: Vec<NodeWiring>,
    pub(crate) edges: Vec<EdgeWiring>,
    /// Edges that the daemon sends on; taken out by the log capture.
    pub(crate) feeds: Vec<Feed>,
}

/// What belongs to one node.
pub(crate) struct NodeWiring {
    pub(crate) doorbell: Arc<OwnedFd>,
    pub(crate) eventfd: Arc<OwnedFd>,
    pub(crate) status: Arc<OwnedFd>,
    pub(crate) view: Arc<StatusView>,
    pub(crate) outputs: Vec<OutputPlan>,
    /// Chains that end here, as indices into the dataflow's.
    pub(crate) chains: Vec<usize>,
    /// Written by the node when it missed a deadline; only where it has one.
    pub(crate) attention: Option<Arc<OwnedFd>>,
    /// Index of the edge that feeds an input; `None` for a timer.
    pub(crate) inputs: Vec<Option<usize>>,
}

/// What belongs to one output.
pub(crate) struct OutputPlan {
    pub(crate) write: Arc<OwnedFd>,
    pub(crate) read: Arc<OwnedFd>,
    /// Into [`Wiring::edges`], in the order of their numbers.
    pub(crate) edges: Vec<usize>,
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
    pub(crate) fd: Arc<OwnedFd>,
    /// The arena its messages are in, read-only.
    pub(crate) arena: Arc<OwnedFd>,
    pub(crate) view: EdgeView,
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

/// Who sends on an input's edge.
enum Sender {
    Node(usize, usize),
    Daemon(Lines),
}

/// Makes all segments of a dataflow.
///
/// # Errors
/// When the kernel gives no memory or descriptors. Nothing is left behind: they have no names.
pub(crate) fn compile(dataflow: &Dataflow, id: DataflowId) -> Result<Wiring, DaemonError> {
    let mut nodes = Vec::with_capacity(dataflow.nodes.len());
    for index in 0..dataflow.nodes.len() {
        nodes.push(node_wiring(dataflow, index, id)?);
    }
    let mut wiring = Wiring { nodes, edges: Vec::new(), feeds: Vec::new() };
    for (reader, node) in dataflow.nodes.iter().enumerate() {
        for (position, input) in node.inputs.iter().enumerate() {
            let edge = match sender(dataflow, input, reader) {
                None => None,
                Some(sender) => Some(wiring.add_edge(dataflow, sender, (reader, position), id)?),
            };
            wiring.nodes[reader].inputs.push(edge);
        }
    }
    Ok(wiring)
}

fn sender(dataflow: &Dataflow, input: &Input, reader: usize) -> Option<Sender> {
    match &input.source {
        Source::Timer { .. } => None,
        Source::Logs { level, node } => {
            Some(Sender::Daemon(Lines::Subscribed { level: *level, node: node.clone(), reader }))
        }
        Source::Output { node, output } => {
            let (node, output) = (*node as usize, *output as usize);
            let from = &dataflow.nodes[node];
            let name = Some(&from.outputs[output].id);
            Some(if from.log.stdout_as.as_ref() == name {
                Sender::Daemon(Lines::Raw(node))
            } else if from.log.logs_as.as_ref() == name {
                Sender::Daemon(Lines::Structured(node))
            } else {
                Sender::Node(node, output)
            })
        }
    }
}

fn node_wiring(dataflow: &Dataflow, index: usize, id: DataflowId) -> Result<NodeWiring, DaemonError> {
    let node = &dataflow.nodes[index];
    let failed = |what: String| move |source| DaemonError::Segment { what, source };
    let ends_here = |(_, chain): &(usize, &Chain)| chain.to.0 as usize == index;
    let chains: Vec<usize> = dataflow.chains.iter().enumerate().filter(ends_here).map(|(i, _)| i).collect();
    let ports = (node.inputs.len() as u32, node.outputs.len() as u32);
    let status = status::create_with_chains(ports.0, ports.1, chains.len() as u32)
        .map_err(failed(format!("the status page of node `{}`", node.id)))?;
    let view = StatusView::open(status.as_fd()).map_err(|source| DaemonError::Open {
        what: format!("the status page of node `{}`", node.id),
        source,
    })?;
    let bell = || failed(format!("the doorbell of node `{}`", node.id));
    let mut outputs = Vec::with_capacity(node.outputs.len());
    for (position, output) in node.outputs.iter().enumerate() {
        let spec = arena_spec(dataflow, index, position);
        let ArenaFds { write, read } = arena::create(&spec, hlc_id(id, index))
            .map_err(failed(format!("the arena of `{}/{}`", node.id, output.id)))?;
        let begins = |chain: &Chain| chain.from == (index as u32, position as u32);
        let origins = dataflow.chains.iter().any(begins).then(|| origins::create().map(Arc::new));
        outputs.push(OutputPlan {
            write: Arc::new(write),
            read: Arc::new(read),
            edges: Vec::new(),
            origins: origins
                .transpose()
                .map_err(failed(format!("the origins of `{}/{}`", node.id, output.id)))?,
        });
    }
    let watched = !chains.is_empty() || node.inputs.iter().any(|input| input.deadline.is_some());
    let attention = watched.then(doorbell::create_eventfd).transpose().map_err(bell())?;
    Ok(NodeWiring {
        doorbell: Arc::new(doorbell::create().map_err(bell())?),
        eventfd: Arc::new(doorbell::create_eventfd().map_err(bell())?),
        status: Arc::new(status),
        view: Arc::new(view),
        outputs,
        chains,
        attention: attention.map(Arc::new),
        inputs: Vec::with_capacity(node.inputs.len()),
    })
}

fn arena_spec(dataflow: &Dataflow, node: usize, output: usize) -> ArenaSpec {
    let layout = &dataflow.nodes[node].outputs[output];
    ArenaSpec {
        outstanding: outstanding(dataflow, node, output),
        max_message_bytes: layout.max_message_bytes,
        depth: layout.depth,
    }
}

/// Slots that the readers of an output can keep from its sender at most, and some for loans.
fn outstanding(dataflow: &Dataflow, node: usize, output: usize) -> u32 {
    let here = Source::Output { node: node as u32, output: output as u32 };
    dataflow.nodes.iter().flat_map(|n| &n.inputs).filter(|input| input.source == here).fold(
        LOANS,
        |sum, input| {
            let limit = input.policy.ring_limit(input.queue_size);
            sum.saturating_add(EdgeSpec::storage(limit, ring_policy(input.policy)) + MAX_HELD)
        },
    )
}

fn ring_policy(policy: QueuePolicy) -> Policy {
    match policy {
        QueuePolicy::DropOldest => Policy::DropOldest,
        QueuePolicy::Backpressure => Policy::Backpressure,
    }
}

/// Names the node on the clock of the dataflow: unique per node and run, never zero.
fn hlc_id(id: DataflowId, node: usize) -> [u8; 16] {
    let mut bytes = *id.as_bytes();
    for (byte, with) in bytes.iter_mut().zip((node as u64 + 1).to_le_bytes()) {
        *byte ^= with;
    }
    bytes[15] |= 1;
    bytes
}

impl Wiring {
    fn add_edge(
        &mut self,
        dataflow: &Dataflow,
        sender: Sender,
        to: (usize, usize),
        id: DataflowId,
    ) -> Result<usize, DaemonError> {
        let reader = &dataflow.nodes[to.0];
        let input = &reader.inputs[to.1];
        let name = format!("the edge to `{}/{}`", reader.id, input.id);
        let failed = |source: io::Error| DaemonError::Segment { what: name.clone(), source };
        let unopened = |source| DaemonError::Open { what: name.clone(), source };
        let limit = input.policy.ring_limit(input.queue_size);
        // The daemon never waits for a reader.
        let policy = match sender {
            Sender::Node(..) => ring_policy(input.policy),
            Sender::Daemon(_) => Policy::DropOldest,
        };
        let (arena, from, from_name, number, feed) = match sender {
            Sender::Node(node, output) => {
                let plan = &mut self.nodes[node].outputs[output];
                plan.edges.push(self.edges.len());
                let from = &dataflow.nodes[node];
                let name = format!("{}/{}", from.id, from.outputs[output].id);
                let spec = arena_spec(dataflow, node, output);
                (
                    Arena { spec, read: plan.read.clone() },
                    Some((node, output)),
                    name,
                    plan.edges.len() as u32 - 1,
                    None,
                )
            }
            Sender::Daemon(lines) => {
                let outstanding = EdgeSpec::storage(limit, policy).saturating_add(MAX_HELD + LOANS);
                let spec = ArenaSpec { outstanding, ..ArenaSpec::default() };
                let fds = arena::create(&spec, hlc_id(id, dataflow.nodes.len())).map_err(failed)?;
                let name = match &lines {
                    Lines::Raw(n) | Lines::Structured(n) => format!("{} (its log)", dataflow.nodes[*n].id),
                    Lines::Subscribed { .. } => "dora/logs".to_owned(),
                };
                (Arena { spec, read: Arc::new(fds.read) }, None, name, 0, Some((lines, fds.write)))
            }
        };
        let fd = edge::create(&EdgeSpec { limit, policy, arena: arena.spec }).map_err(failed)?;
        let view = EdgeView::open(fd.as_fd()).map_err(unopened)?;
        if let Some((lines, write)) = feed {
            let mut publisher = Publisher::open(write, None, None).map_err(unopened)?;
            let target = &self.nodes[to.0];
            let bell = Doorbell::open(
                target.doorbell.try_clone().map_err(failed)?,
                Some(target.eventfd.try_clone().map_err(failed)?),
            )
            .map_err(unopened)?;
            publisher.add_edge(0, fd.try_clone().map_err(failed)?, bell).map_err(unopened)?;
            self.feeds.push(Feed::new(lines, to.0, publisher));
        }
        let fd = Arc::new(fd);
        self.edges.push(EdgeWiring { from, from_name, number, to, fd, arena: arena.read, view });
        Ok(self.edges.len() - 1)
    }
}

struct Arena {
    spec: ArenaSpec,
    read: Arc<OwnedFd>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{camera_and_two_readers, input};

    #[test]
    fn an_arena_has_room_for_all_its_readers_at_their_limit() {
        let flow = camera_and_two_readers();
        let rings = EdgeSpec::storage(10, Policy::DropOldest) + EdgeSpec::storage(100, Policy::Backpressure);
        assert_eq!(outstanding(&flow, 0, 0), rings + 2 * MAX_HELD + LOANS);
        assert_eq!(outstanding(&flow, 0, 1), LOANS);
    }

    #[test]
    fn printed_lines_that_are_wired_as_data_come_from_the_daemon() {
        let mut flow = camera_and_two_readers();
        flow.nodes[0].log.stdout_as = Some("image".into());
        flow.nodes[1].inputs.push(input("logs", Source::Logs { level: LogLevel::Info, node: None }));
        let id = DataflowId::new_v4();
        let wiring = compile(&flow, id).unwrap();
        assert_eq!(wiring.feeds.len(), 3);
        assert!(wiring.edges.iter().all(|e| e.from.is_none()));
        let (setup, _) = wiring.setup(&flow, 0, id, false);
        assert!(setup.outputs[0].edges.is_empty(), "the node's own sends reach nobody");
        let ids: std::collections::BTreeSet<_> = (0..4).map(|n| hlc_id(id, n)).collect();
        assert_eq!(ids.len(), 4);
    }
}
