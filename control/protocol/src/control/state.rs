//! Dataflows, daemons and nodes as the coordinator tells of them.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{DataflowId, NodeId, rt::RtTable};

/// One row of `dora list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataflowEntry {
    /// UUID and name.
    pub id: DataflowName,
    /// What it is doing.
    pub status: DataflowStatus,
    /// Every node has been ready.
    pub spawned: bool,
    /// Why it failed.
    pub error: Option<String>,
    /// Nodes in its live descriptor.
    pub nodes: u32,
    /// Percent of one core, all nodes; `None` when unknown.
    pub cpu_usage: Option<f64>,
    /// Resident, all nodes; `None` when unknown.
    pub memory_bytes: Option<u64>,
    /// Where it runs.
    pub daemon: Option<DaemonId>,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// Last change of status or topology, milliseconds since 1970.
    pub updated_ms: u64,
}

/// A dataflow as people and programs name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DataflowName {
    /// Always there.
    pub uuid: DataflowId,
    /// Where one was given.
    pub name: Option<String>,
}

/// What a dataflow is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DataflowStatus {
    /// Its nodes are being started.
    Pending,
    /// Messages flow.
    Running,
    /// It is being stopped.
    Stopping,
    /// The coordinator was restarted and has not heard of it again yet.
    Recovering,
    /// It has ended, and no node failed.
    Finished,
    /// It has ended, and a node failed; or it never came to run.
    Failed,
}

impl DataflowStatus {
    /// Is it over?
    pub fn has_ended(self) -> bool {
        matches!(self, DataflowStatus::Finished | DataflowStatus::Failed)
    }
}

impl fmt::Display for DataflowStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One dataflow, in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataflowInfo {
    /// The row of `dora list`.
    pub entry: DataflowEntry,
    /// The live descriptor as JSON.
    pub descriptor: serde_json::Value,
    /// The same as text, inputs in their order; may be given to `Start`.
    pub descriptor_text: String,
    /// What the user called the file.
    pub file: String,
    /// Folder that relative paths mean.
    pub working_dir: PathBuf,
    /// What was changed since it was started, a sentence each.
    pub changes: Vec<String>,
    /// When it has ended.
    pub result: Option<DataflowResult>,
    /// Ours: what its real-time set-up came to when it was started, also when that is why it was refused. A coordinator that was
    /// restarted since does not know it any more.
    #[serde(default)]
    pub rt_table: Option<RtTable>,
}

/// How a dataflow ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataflowResult {
    /// Why it failed: `node: error; node: error`. `None` when it succeeded.
    pub error: Option<String>,
    /// In the order of the file; empty when it never came to run.
    #[serde(default)]
    pub nodes: Vec<NodeOutcome>,
}

/// How a node ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOutcome {
    /// Which.
    pub node_id: NodeId,
    /// Exit code or signal in words; `None` when it never ran.
    pub exit: Option<String>,
    /// Why it counts as failed.
    pub error: Option<String>,
    /// It failed because of this one.
    #[serde(default)]
    pub caused_by: Option<NodeId>,
}

/// What could not be forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanFailure {
    /// Which.
    pub id: DataflowName,
    /// Why.
    pub error: String,
}

/// Names a daemon process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DaemonId {
    /// `--machine-id`.
    pub machine_id: Option<String>,
    /// Of this process; another one has another.
    pub uuid: Uuid,
}

impl fmt::Display for DaemonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.machine_id {
            Some(machine) => write!(f, "{machine}-{}", self.uuid),
            None => write!(f, "{}", self.uuid),
        }
    }
}

/// A connected daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonInfo {
    /// Which.
    pub daemon_id: DaemonId,
    /// As given to it.
    pub labels: BTreeMap<String, String>,
    /// Milliseconds since it was last heard.
    pub last_heartbeat_ago_ms: u64,
    /// Its counters.
    pub ft_stats: Option<FtStats>,
}

/// What a daemon had to do against faults since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FtStats {
    /// Restarts of nodes.
    pub restarts: u64,
    /// Nodes killed because they were silent.
    pub health_check_kills: u64,
    /// Nodes killed because they did not connect.
    pub startup_kills: u64,
    /// Inputs that timed out.
    pub input_timeouts: u64,
    /// Inputs that came back.
    pub circuit_breaker_recoveries: u64,
    /// Messages dropped by queue policy.
    pub dropped_messages: u64,
    /// Messages of `backpressure` edges that were lost.
    pub lost_backpressure_messages: u64,
}

/// A node of a running dataflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its dataflow.
    pub dataflow_id: DataflowId,
    /// The dataflow's name.
    pub dataflow_name: Option<String>,
    /// Where it runs.
    pub daemon_id: Option<DaemonId>,
    /// How it is.
    #[serde(flatten)]
    pub state: NodeState,
}

/// A node at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    /// Which.
    pub node_id: NodeId,
    /// What it is doing.
    pub status: NodeStatus,
    /// Its process.
    pub pid: Option<u32>,
    /// How often it was restarted.
    pub restart_count: u32,
    /// Inputs whose `input_timeout` has passed.
    pub broken_inputs: Vec<String>,
    /// Messages that wait in its queues.
    pub pending_messages: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// `None` when its process has not been looked at yet, or is gone.
    pub metrics: Option<NodeMetrics>,
    /// `None` when it speaks to this machine only.
    pub network: Option<NetworkMetrics>,
}

/// The words of `dora top` and `dora node list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeStatus {
    /// Started, not ready yet.
    Starting,
    /// Runs.
    Running,
    /// Its process is gone, the next one is on its way.
    Restarting,
    /// Runs, but an input has timed out.
    Degraded,
    /// Ended with an error.
    Failed,
    /// Ended in good order, or was stopped.
    Stopped,
    /// A dynamic node that nobody has attached yet, or again.
    Detached,
}

/// What the processes of a node use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeMetrics {
    /// Percent of one core since the last look; may exceed 100.
    pub cpu_usage: f64,
    /// Resident.
    pub memory_bytes: u64,
    /// 10^6 bytes per second.
    pub disk_read_mb_s: Option<f64>,
    /// 10^6 bytes per second.
    pub disk_write_mb_s: Option<f64>,
    /// Messages and ticks taken since its start.
    pub messages_taken: u64,
    /// Messages sent since its start.
    pub messages_sent: u64,
}

/// Traffic with other machines since the node's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkMetrics {
    /// To other machines.
    pub bytes_sent: u64,
    /// From other machines.
    pub bytes_received: u64,
    /// To other machines.
    pub messages_sent: u64,
    /// From other machines.
    pub messages_received: u64,
    /// Messages that could not be sent.
    pub publish_failures: u64,
}
