//! Edges: one segment each, from an output or the daemon to an input. Making one tells nobody of it.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use dora_protocol::{
    dataflow::{Dataflow, Input, Node, Source},
    policy::QueuePolicy,
};
use lockfree_ipc::{ArenaSpec, Doorbell, EdgeSpec, EdgeView, MAX_HELD, Policy, Publisher, arena, edge};

use crate::{
    compile::{EdgeId, EdgeWiring, InputPlan, LOANS, Lines, Wiring, failed, hlc_id},
    error::DaemonError,
    feeds::Feed,
};

/// Who sends on an input's edge.
enum Sender {
    Node(usize, usize),
    Daemon(Lines),
}

/// Who sends what this source means to `reader`; `None` for the clock.
fn sender(dataflow: &Dataflow, source: &Source, reader: usize) -> Option<Sender> {
    match source {
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

/// Does the daemon send on this output, because it carries what the node prints?
pub(crate) fn carries_lines(node: &Node, output: usize) -> bool {
    let name = Some(&node.outputs[output].id);
    node.log.stdout_as.as_ref() == name || node.log.logs_as.as_ref() == name
}

/// Slots that one reader of an output can keep from its sender at most.
pub(crate) fn share(input: &Input) -> u32 {
    let limit = input.policy.ring_limit(input.queue_size);
    EdgeSpec::storage(limit, ring_policy(input.policy)) + MAX_HELD
}

fn ring_policy(policy: QueuePolicy) -> Policy {
    match policy {
        QueuePolicy::DropOldest => Policy::DropOldest,
        QueuePolicy::Backpressure => Policy::Backpressure,
    }
}

struct Arena {
    spec: ArenaSpec,
    read: Arc<OwnedFd>,
}

impl Wiring {
    /// Nodes and inputs that read an output.
    pub(crate) fn readers(&self, from: (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
        let here = Source::Output { node: from.0 as u32, output: from.1 as u32 };
        self.nodes.iter().enumerate().flat_map(move |(node, wiring)| {
            let here = here.clone();
            let reads = move |(_, plan): &(usize, &InputPlan)| plan.sources.contains(&here);
            wiring.inputs.iter().enumerate().filter(reads).map(move |(input, _)| (node, input))
        })
    }

    /// Makes the edge from a source to an input; `None` for the clock. Nobody is told.
    ///
    /// # Errors
    /// As [`compile`].
    pub(crate) fn connect(
        &mut self,
        dataflow: &Dataflow,
        source: &Source,
        to: (usize, usize),
    ) -> Result<Option<EdgeId>, DaemonError> {
        match sender(dataflow, source, to.0) {
            None => Ok(None),
            Some(Sender::Node(node, output)) => self.node_edge(dataflow, (node, output), to).map(Some),
            Some(Sender::Daemon(lines)) => self.daemon_edge(dataflow, lines, to).map(Some),
        }
    }

    /// Makes an edge from the present process of a node, or the one to come.
    pub(crate) fn node_edge(
        &mut self,
        dataflow: &Dataflow,
        (node, output): (usize, usize),
        to: (usize, usize),
    ) -> Result<EdgeId, DaemonError> {
        let input = &dataflow.nodes[to.0].inputs[to.1];
        let from = &dataflow.nodes[node];
        let name = format!("{}/{}", from.id, from.outputs[output].id);
        let plan = &self.nodes[node].outputs[output];
        let arena = Arena { spec: plan.spec, read: plan.read.clone() };
        let number = plan.next_number;
        let id = self.add_edge(dataflow, (Some((node, output)), name, number), to, arena, input.policy)?;
        let plan = &mut self.nodes[node].outputs[output];
        plan.next_number += 1;
        plan.taken = plan.taken.saturating_add(share(input));
        plan.edges.push(id);
        Ok(id)
    }

    /// Makes an edge that the daemon sends lines on; its [`Feed`] is added to `feeds`.
    fn daemon_edge(
        &mut self,
        dataflow: &Dataflow,
        lines: Lines,
        to: (usize, usize),
    ) -> Result<EdgeId, DaemonError> {
        let input = &dataflow.nodes[to.0].inputs[to.1];
        let name = match &lines {
            Lines::Raw(n) | Lines::Structured(n) => format!("{} (its log)", dataflow.nodes[*n].id),
            Lines::Subscribed { .. } => "dora/logs".to_owned(),
        };
        let what = format!("the edge to `{}/{}`", dataflow.nodes[to.0].id, input.id);
        let failed = failed(what.clone());
        let unopened = |source| DaemonError::Open { what: what.clone(), source };
        let limit = input.policy.ring_limit(input.queue_size);
        let outstanding = EdgeSpec::storage(limit, Policy::DropOldest).saturating_add(MAX_HELD + LOANS);
        let spec = ArenaSpec { outstanding, ..ArenaSpec::default() };
        let fds = arena::create(&spec, hlc_id(self.id(), dataflow.nodes.len())).map_err(&failed)?;
        let arena = Arena { spec, read: Arc::new(fds.read) };
        // The daemon never waits for a reader.
        let id = self.add_edge(dataflow, (None, name, 0), to, arena, QueuePolicy::DropOldest)?;
        let mut publisher = Publisher::open(fds.write, None, None).map_err(unopened)?;
        let target = &self.nodes[to.0];
        let word = target.doorbell.try_clone().map_err(&failed)?;
        let eventfd = target.eventfd.try_clone().map_err(&failed)?;
        let bell = Doorbell::open(word, Some(eventfd)).map_err(unopened)?;
        let fd = self.edges[&id].fd.try_clone().map_err(&failed)?;
        publisher.add_edge(0, fd, bell).map_err(unopened)?;
        self.feeds.push(Feed::new(lines, id, publisher));
        Ok(id)
    }

    fn add_edge(
        &mut self,
        dataflow: &Dataflow,
        (from, from_name, number): (Option<(usize, usize)>, String, u32),
        to: (usize, usize),
        arena: Arena,
        policy: QueuePolicy,
    ) -> Result<EdgeId, DaemonError> {
        let reader = &dataflow.nodes[to.0];
        let input = &reader.inputs[to.1];
        let what = format!("the edge to `{}/{}`", reader.id, input.id);
        let limit = input.policy.ring_limit(input.queue_size);
        let spec = EdgeSpec { limit, policy: ring_policy(policy), arena: arena.spec };
        let fd = edge::create(&spec).map_err(failed(what.clone()))?;
        let view = EdgeView::open(fd.as_fd()).map_err(|source| DaemonError::Open { what, source })?;
        let id = self.next_edge;
        self.next_edge += 1;
        let plan = &mut self.nodes[to.0].inputs[to.1];
        let to_number = plan.next_number;
        plan.next_number += 1;
        plan.edges.push(id);
        if plan.rows.iter().all(|(_, from, _)| *from != from_name) {
            plan.rows.push((id, from_name.clone(), policy));
        }
        let edge = EdgeWiring {
            from,
            from_name,
            number,
            to,
            to_number,
            fd: Arc::new(fd),
            arena: arena.read,
            view,
            policy,
            share: share(input),
            closed: false,
            unread: false,
            left: false,
            broken: None,
        };
        self.edges.insert(id, edge);
        Ok(id)
    }

    /// Takes an edge out of everything that lists it.
    pub(crate) fn remove_edge(&mut self, id: EdgeId) -> Option<EdgeWiring> {
        let edge = self.edges.remove(&id)?;
        let plan = self.nodes[edge.to.0].inputs.get_mut(edge.to.1);
        plan.into_iter().for_each(|plan| plan.edges.retain(|e| *e != id));
        if let Some((node, output)) = edge.from
            && let Some(plan) = self.nodes[node].outputs.get_mut(output)
            && plan.edges.contains(&id)
        {
            plan.edges.retain(|e| *e != id);
            plan.taken = plan.taken.saturating_sub(edge.share);
        }
        Some(edge)
    }

    /// Could the present process of the sender serve this reader, too?
    pub(crate) fn has_room_for(&self, from: (usize, usize), input: &Input) -> bool {
        let plan = &self.nodes[from.0].outputs[from.1];
        plan.taken.saturating_add(share(input)) <= plan.spec.outstanding
    }

    /// The number that the next edge gets.
    pub(crate) fn next_edge(&self) -> EdgeId {
        self.next_edge
    }
}
