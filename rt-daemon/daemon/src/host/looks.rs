//! How the dataflows are: asked of their supervisors, and of `/proc` what they cost.
//!
//! A supervisor that is just starting its nodes does not answer at once. Whoever does not answer within [`PATIENCE`] is left
//! out of that look.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dora_protocol::{
    DataflowId,
    control::{NodeMetrics, NodeState, NodeStatus as Said},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::usage::{Cost, Meter};
use crate::control::{Control, NodeSnapshot, NodeStatus, Snapshot};

/// For the answers of all supervisors together.
const PATIENCE: Duration = Duration::from_secs(1);

/// All that answered.
pub(super) type Snapshots = BTreeMap<DataflowId, Snapshot>;

/// One look at everything.
pub(super) struct Look {
    pub(super) snapshots: Snapshots,
    /// By process id.
    pub(super) costs: BTreeMap<u32, Cost>,
    /// To be given to the next look.
    pub(super) meter: Meter,
}

/// Asks all supervisors at once.
pub(super) async fn snapshots(flows: Vec<(DataflowId, mpsc::UnboundedSender<Control>)>) -> Snapshots {
    let asked = flows.into_iter().filter_map(|(id, control)| {
        let (reply, answer) = oneshot::channel();
        control.send(Control::Snapshot { reply }).ok()?;
        Some(async move { Some((id, timeout(PATIENCE, answer).await.ok()?.ok()?)) })
    });
    futures::future::join_all(asked.collect::<Vec<_>>()).await.into_iter().flatten().collect()
}

/// Asks all supervisors, and measures what their nodes cost.
pub(super) async fn look(flows: Vec<(DataflowId, mpsc::UnboundedSender<Control>)>, mut meter: Meter) -> Look {
    let snapshots = snapshots(flows).await;
    let leaders: BTreeSet<u32> =
        snapshots.values().flat_map(|snapshot| &snapshot.nodes).filter_map(|node| node.pid).collect();
    // The walk over `/proc` takes longer than a command may wait.
    let measured = tokio::task::spawn_blocking(move || {
        let costs = meter.look(&leaders);
        (costs, meter)
    });
    let (costs, meter) = measured.await.unwrap_or_default();
    Look { snapshots, costs, meter }
}

/// A dataflow's nodes in the words of the protocol.
pub(super) fn node_states(snapshot: &Snapshot, costs: &BTreeMap<u32, Cost>) -> Vec<NodeState> {
    snapshot.nodes.iter().map(|node| node_state(node, costs)).collect()
}

fn node_state(node: &NodeSnapshot, costs: &BTreeMap<u32, Cost>) -> NodeState {
    let megabytes = |bytes: f64| bytes / 1e6;
    let cost = node.pid.and_then(|pid| costs.get(&pid));
    let metrics = cost.map(|cost| NodeMetrics {
        cpu_usage: cost.cpu_percent,
        memory_bytes: cost.memory_bytes,
        disk_read_mb_s: cost.read_per_s.map(megabytes),
        disk_write_mb_s: cost.write_per_s.map(megabytes),
        messages_taken: node.taken,
        messages_sent: node.sent,
    });
    NodeState {
        node_id: node.node.clone(),
        status: status(node.status),
        pid: node.pid,
        restart_count: node.restart_count,
        broken_inputs: node.broken_inputs.clone(),
        pending_messages: node.pending_messages,
        error: node.error.clone(),
        metrics,
        network: None,
    }
}

fn status(status: NodeStatus) -> Said {
    match status {
        NodeStatus::Starting => Said::Starting,
        NodeStatus::Running => Said::Running,
        NodeStatus::Restarting => Said::Restarting,
        NodeStatus::Degraded => Said::Degraded,
        NodeStatus::Failed => Said::Failed,
        NodeStatus::Stopped => Said::Stopped,
        NodeStatus::Detached => Said::Detached,
    }
}
