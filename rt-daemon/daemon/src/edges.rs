//! Edges that end: what is said to whom, and when the daemon lets go of their memory.
//!
//! A sender may use a slot again when nobody reads it. So one whose reader died takes everything back
//! (`ReaderGone`), and one whose reader was disconnected and lives waits for it (`ReaderLeft`).
//!
//! An edge is *folded* when nothing can happen on it any more: its numbers go into the sums of the report, its memory
//! goes when its reader lets go of it.

use dora_protocol::node_link::ToNode;

use crate::{
    compile::EdgeId,
    node_state::{NodeState, ProcessId},
    supervisor::Supervisor,
};

/// An edge that was folded while its sender and its reader lived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    sender: usize,
    process: Option<ProcessId>,
    output: u32,
    edge: u32,
}

impl Supervisor {
    /// Takes a living edge away, its sender first.
    pub(crate) fn disconnect_edge(&mut self, id: EdgeId) {
        let is_current = self.is_current(id);
        let Some(edge) = self.wiring.edges.get_mut(&id) else { return };
        let was_open = edge.is_open();
        edge.closed = true;
        let ((reader, input), number, to_number) = (edge.to, edge.number, edge.to_number);
        let from = edge.from;
        match from {
            None => self.feeds.remove(id),
            Some((sender, output)) if was_open && is_current => {
                let (output, edge) = (output as u32, number);
                if self.nodes[reader].knows_wiring() {
                    self.wiring.edges.get_mut(&id).into_iter().for_each(|edge| edge.left = true);
                    self.tell(sender, ToNode::ReaderLeft { output, edge });
                } else {
                    self.reader_gone(id);
                }
            }
            Some(_) => {}
        }
        if was_open {
            let sender_lives = self.wiring.edges.get(&id).is_some_and(|edge| edge.left);
            self.tell(reader, ToNode::EdgeClosed { input: input as u32, edge: to_number, sender_lives });
        }
        self.fold_if_over(id);
    }

    /// Nobody reads this edge any more: its sender takes back everything.
    pub(crate) fn reader_gone(&mut self, id: EdgeId) {
        let Some(edge) = self.wiring.edges.get_mut(&id) else { return };
        if std::mem::replace(&mut edge.unread, true) {
            return;
        }
        let (from, number) = (edge.from, edge.number);
        match from {
            None => self.feeds.remove(id),
            Some((sender, output)) if self.is_current(id) => {
                self.tell(sender, ToNode::ReaderGone { output: output as u32, edge: number });
            }
            Some(_) => {}
        }
    }

    /// The process that read these is gone.
    pub(crate) fn forget_left_edges(&mut self, reader: usize) {
        for id in self.wiring.edges_to(reader) {
            if self.wiring.edges[&id].left {
                self.reader_gone(id);
                self.fold_if_over(id);
            }
        }
        for left in std::mem::take(&mut self.nodes[reader].left) {
            if self.nodes.get(left.sender).is_some_and(|sender| sender.id == left.process) {
                let (output, edge) = (left.output, left.edge);
                self.tell(left.sender, ToNode::ReaderGone { output, edge });
            }
        }
    }

    /// Folds an edge on which nothing can happen any more: nobody reads it, or nobody sends and it is empty.
    pub(crate) fn fold_if_over(&mut self, id: EdgeId) {
        let Some(edge) = self.wiring.edges.get(&id) else { return };
        let alone = edge.unread || edge.broken.is_some();
        // Its sender is gone, or has heard that nobody reads it any more.
        let silent = edge.from.is_none() || !self.is_current(id) || edge.left && edge.view.sender_left();
        let drained = edge.closed && silent && edge.view.ledger().queued == 0;
        if alone || drained {
            self.fold(id);
        }
    }

    fn fold(&mut self, id: EdgeId) {
        let row = self.edge_counts(id);
        let Some(edge) = self.wiring.remove_edge(id) else { return };
        if edge.left
            && !edge.unread
            && let Some((sender, output)) = edge.from
        {
            let process = self.nodes[sender].id;
            let left = Left { sender, process, output: output as u32, edge: edge.number };
            self.nodes[edge.to.0].left.push(left);
        }
        self.former.edge(id, row);
    }

    /// Folds what can be, of all edges to a node.
    pub(crate) fn fold_drained(&mut self, node: usize) {
        for id in self.wiring.edges_to(node) {
            self.fold_if_over(id);
        }
    }

    /// Gives up the place of a node that was removed: its rows go into the sums, its memory goes.
    pub(crate) fn vacate(&mut self, node: usize) {
        let id = self.dataflow.nodes[node].id.clone();
        self.end_chains(|plan| {
            (plan.key.from.0 == id || plan.key.to.0 == id).then(|| format!("node `{id}` was removed"))
        });
        for id in self.wiring.edges_to(node) {
            self.reader_gone(id);
            self.fold(id);
        }
        for (reader, plan) in self.wiring.nodes.iter_mut().enumerate() {
            if reader != node {
                plan.inputs.iter_mut().for_each(|input| input.sources.retain(|s| !comes_from(s, node)));
            }
        }
        let former: Vec<_> =
            self.wiring.edges.iter().filter(|(_, e)| e.from.is_some_and(|(n, _)| n == node)).collect();
        for id in former.into_iter().map(|(id, _)| *id).collect::<Vec<_>>() {
            self.disown(id);
        }
        self.keep_rows(node);
        self.leave_place(node);
    }

    /// The place of its sender is given up: what is left in the ring is read from an edge that comes from nowhere.
    fn disown(&mut self, id: EdgeId) {
        self.end_edge(id);
        self.fold_if_over(id);
        if let Some(edge) = self.wiring.edges.get_mut(&id) {
            edge.from = None;
        }
    }

    /// Forgets everything about a place but its number.
    pub(crate) fn leave_place(&mut self, node: usize) {
        if let Some(task) = self.nodes[node].listens_for_misses.take() {
            task.abort();
        }
        if let Some(id) = self.nodes[node].id {
            self.processes.remove(&id);
        }
        let vacant = NodeState { role: crate::node_state::Role::Vacant, ..NodeState::default() };
        self.nodes[node] = vacant;
        self.nodes[node].phase = crate::node_state::Phase::Ended;
        let wiring = &mut self.wiring.nodes[node];
        wiring.outputs.clear();
        wiring.inputs.clear();
        wiring.chains.clear();
        wiring.attention = None;
    }
}

/// Is it an output of this node?
pub(crate) fn comes_from(source: &dora_protocol::dataflow::Source, node: usize) -> bool {
    matches!(source, dora_protocol::dataflow::Source::Output { node: n, .. } if *n as usize == node)
}
