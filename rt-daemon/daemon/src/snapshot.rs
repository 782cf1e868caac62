//! How a running dataflow is: what `Control::Snapshot` answers.

use dora_protocol::{
    control::FtStats,
    dataflow::{Node, NodeKind},
    policy::QueuePolicy,
};

use crate::{
    control::{NodeSnapshot, NodeStatus, Snapshot},
    node_state::{NodeState, Phase, should_connect},
    supervisor::Supervisor,
};

impl Supervisor {
    /// All nodes, as they are now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let nodes = self.live.nodes.iter().filter_map(|node| self.find(&node.id).ok());
        Snapshot {
            dataflow: self.live.clone(),
            started: self.epoch_ns.is_some(),
            stopping: self.stopping,
            nodes: nodes.map(|node| self.node_snapshot(node)).collect(),
            faults: self.faults(),
        }
    }

    fn node_snapshot(&self, node: usize) -> NodeSnapshot {
        let (description, state) = (&self.dataflow.nodes[node], &self.nodes[node]);
        let wiring = &self.wiring.nodes[node];
        let (mut broken_inputs, mut taken) = (Vec::new(), 0);
        for (position, input) in description.inputs.iter().enumerate() {
            let counts = wiring.view.input(position as u32);
            taken += counts.received;
            let is_open = state.inputs_closed.get(position) == Some(&false);
            if is_open && counts.timeouts > counts.recoveries {
                broken_inputs.push(input.id.to_string());
            }
        }
        let edges = self.wiring.edges_to(node);
        let waiting = edges.iter().map(|id| self.wiring.edges[id].view.ledger().queued).sum();
        NodeSnapshot {
            node: description.id.clone(),
            status: status(state, description, !broken_inputs.is_empty()),
            pid: state.pid.filter(|_| state.living.is_some() || state.guest.is_some()),
            restart_count: state.restarts,
            broken_inputs,
            pending_messages: waiting,
            taken,
            sent: (0..description.outputs.len()).map(|o| wiring.view.output(o as u32).sent).sum(),
            error: state.error.clone(),
        }
    }

    /// What went wrong so far, and was made good.
    fn faults(&self) -> FtStats {
        let mut faults = self.faults;
        let (mut timeouts, mut recoveries) = self.former.timeouts;
        for node in self.members() {
            faults.restarts += u64::from(self.nodes[node].restarts);
            let wiring = &self.wiring.nodes[node];
            for input in 0..wiring.inputs.len() as u32 {
                let counts = wiring.view.input(input);
                timeouts += counts.timeouts;
                recoveries += counts.recoveries;
            }
        }
        (faults.input_timeouts, faults.circuit_breaker_recoveries) = (timeouts, recoveries);
        for edge in self.wiring.edges.values() {
            let overwritten = edge.view.ledger().overwritten;
            faults.dropped_messages += overwritten;
            faults.lost_backpressure_messages +=
                if edge.policy == QueuePolicy::Backpressure { overwritten } else { 0 };
        }
        for edge in self.former.edges() {
            faults.dropped_messages += edge.overwritten;
            faults.lost_backpressure_messages +=
                if edge.policy == "backpressure" { edge.overwritten + edge.lost() } else { 0 };
        }
        faults
    }
}

fn status(state: &NodeState, description: &Node, broken_inputs: bool) -> NodeStatus {
    let dynamic = description.kind == NodeKind::Dynamic;
    match state.phase {
        Phase::Away if dynamic => NodeStatus::Detached,
        Phase::Away => NodeStatus::Restarting,
        // A shell node has nothing to say.
        Phase::Silent if !dynamic && !should_connect(description) => NodeStatus::Running,
        Phase::Silent | Phase::Connected | Phase::Ready if state.restarts > 0 && !dynamic => {
            NodeStatus::Restarting
        }
        Phase::Silent | Phase::Connected | Phase::Ready => NodeStatus::Starting,
        Phase::Running | Phase::Done if broken_inputs => NodeStatus::Degraded,
        Phase::Running | Phase::Done => NodeStatus::Running,
        Phase::Ended if state.error.is_some() => NodeStatus::Failed,
        Phase::Ended => NodeStatus::Stopped,
    }
}
