//! What a daemon and the coordinator say to each other on `/api/daemon`.
//!
//! The frames are those of [`control`](crate::control). A daemon's requests are [`DaemonEvent`]s, the coordinator's are [`DaemonCommand`]s.
//! Every command is answered, except [`DaemonCommand::Heartbeat`] and [`DaemonCommand::PeerDaemonDisconnected`]. Of the events only
//! [`DaemonEvent::Register`] and [`DaemonEvent::StatusReport`] are.
//!
//! ```text
//! daemon                        coordinator
//!  Register       ───────────►
//!                 ◄───────────  Registered, or an error and the end
//!  StatusReport   ───────────►               what runs, and what ended meanwhile
//!                 ◄───────────  Accepted; StateCatchUp where parameters differ
//!  Heartbeat 5 s  ───────────►
//!                 ◄───────────  Heartbeat 3 s
//!  Log, NodeMetrics, SpawnResult, AllNodesFinished …
//!                 ◄──────────►  commands and their answers
//! ```

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    DataflowId, NodeId, OperatorId,
    control::{DaemonId, DataflowResult, FtStats, NodeState, Prepared, Request, Response},
    dataflow::Dataflow,
    log::LogMessage,
    rt::{RtRequest, RtTable},
};

/// Period of the coordinator's heartbeat.
pub const COORDINATOR_HEARTBEAT: Duration = Duration::from_secs(3);
/// Period of a daemon's heartbeat.
pub const DAEMON_HEARTBEAT: Duration = Duration::from_secs(5);
/// A daemon that was silent for this long is taken for dead.
pub const DAEMON_DEAD_AFTER: Duration = Duration::from_secs(30);
/// A daemon gives the connection up when the coordinator was silent for this long.
pub const COORDINATOR_SILENT_AFTER: Duration = Duration::from_secs(20);

/// Parameters: by node, by key.
pub type Parameters = BTreeMap<NodeId, BTreeMap<String, serde_json::Value>>;

/// Every frame that a daemon sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FromDaemon {
    /// Something happened.
    Event(Request<DaemonFrame>),
    /// Answer to a command.
    Response(Response<DaemonReply>),
}

/// Every frame that a daemon gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ToDaemonLink {
    /// Do something.
    Command(Request<DaemonCommand>),
    /// Answer to an event.
    Response(Response<EventReply>),
}

/// An event and who says so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DaemonFrame {
    /// As answered to `Register`; `None` in `Register` itself. Another one than that closes the connection.
    #[serde(default)]
    pub daemon_id: Option<DaemonId>,
    /// What happened.
    pub event: DaemonEvent,
}

/// From a daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum DaemonEvent {
    /// First frame, once per connection. Answered by [`EventReply::Registered`] or an error.
    Register(Register),
    /// What this daemon has. Second frame. Answered by [`EventReply::Accepted`].
    StatusReport {
        /// In any order.
        running_dataflows: Vec<RunningDataflow>,
        /// The latest that ended (256 at most), so that none is missed; the coordinator knows which are new.
        finished_dataflows: Vec<FinishedDataflow>,
    },
    /// I am here.
    Heartbeat {
        /// Counters.
        ft_stats: FtStats,
    },
    /// Every node is ready and messages flow, or it came to nothing. After an error no `AllNodesFinished` follows.
    SpawnResult {
        /// Which.
        dataflow_id: DataflowId,
        /// Why not.
        result: Result<(), String>,
        /// What was read back of its real-time set-up, where there is one and it came so far.
        #[serde(default)]
        rt_table: Option<RtTable>,
    },
    /// Every node has ended.
    AllNodesFinished {
        /// Which.
        dataflow_id: DataflowId,
        /// How.
        result: DataflowResult,
    },
    /// Lines that nodes printed, in their order.
    Log {
        /// Of which dataflow.
        dataflow_id: DataflowId,
        /// The lines.
        messages: Vec<LogMessage>,
        /// Lines before these that the daemon had to drop, because the connection was slow.
        #[serde(default)]
        dropped: u64,
    },
    /// How the nodes of a dataflow are, all of them.
    NodeMetrics {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// In the order of the file.
        nodes: Vec<NodeState>,
    },
    /// A node has ended and will not be started again.
    NodeStopped {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Which.
        node_id: NodeId,
        /// It was not killed.
        clean_stop: bool,
    },
    /// The daemon ends in good order.
    Exit,
}

/// Who a daemon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// [`DORA_VERSION`](crate::control::DORA_VERSION) of the daemon.
    pub dora_version: String,
    /// Made when the process started: a daemon that connects again has the same one.
    pub instance: uuid::Uuid,
    /// `--machine-id`, at most 256 bytes. The daemon without one is the default.
    #[serde(default)]
    pub machine_id: Option<String>,
    /// `--labels`
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A dataflow that runs here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunningDataflow {
    /// Which.
    pub dataflow_id: DataflowId,
    /// As it came with `Spawn`, or the last `Apply`.
    pub record: DataflowRecord,
    /// Every node has been ready.
    pub spawned: bool,
    /// It is being stopped.
    pub stopping: bool,
    /// Its nodes, with their restart counts.
    pub running_nodes: Vec<NodeState>,
    /// As they are now.
    pub parameters: Parameters,
    /// The last that was carried out.
    pub parameter_sequence: u64,
}

/// A dataflow that has ended here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FinishedDataflow {
    /// Which.
    pub dataflow_id: DataflowId,
    /// As in [`RunningDataflow`].
    pub record: DataflowRecord,
    /// How it ended.
    pub result: DataflowResult,
}

/// What the coordinator wants to know again of a dataflow. Daemons keep it as it is and give it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataflowRecord {
    /// Its name.
    pub name: Option<String>,
    /// What the user called the file.
    pub file: String,
    /// Folder that relative paths mean.
    pub working_dir: PathBuf,
    /// The descriptor that it was started with, as YAML text.
    pub original: String,
    /// The descriptor now: the same text, or, once something was changed, JSON as text, because the order of keys counts.
    pub live: String,
    /// Differences between the two, a sentence each.
    #[serde(default)]
    pub changes: Vec<String>,
    /// `--env` values.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Sources that were fetched before the start.
    #[serde(default)]
    pub prepared: BTreeMap<NodeId, Prepared>,
    /// Run Python nodes through `uv`.
    #[serde(default)]
    pub uv: bool,
    /// Topic inspection was asked for on the command line.
    #[serde(default)]
    pub debug: bool,
    /// Real-time set-up; `None` = as the daemon does it.
    #[serde(default)]
    pub rt: Option<RtRequest>,
    /// Instead of what the descriptor says.
    #[serde(default)]
    pub exit_when_nodes_finish: Option<bool>,
    /// Grows with each change.
    pub generation: u64,
    /// Milliseconds since 1970.
    pub created_ms: u64,
}

/// Answers to events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventReply {
    /// To `Register`.
    Registered {
        /// Goes into every later frame.
        daemon_id: DaemonId,
        /// Version of the coordinator.
        dora_version: String,
    },
    /// To `StatusReport`.
    Accepted,
}

/// From the coordinator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum DaemonCommand {
    /// Start a dataflow. Answered by [`DaemonReply::Done`] at once; `SpawnResult` follows. The id of one that runs here is an error.
    Spawn {
        /// Its id.
        dataflow_id: DataflowId,
        /// What to run.
        dataflow: Box<Dataflow>,
        /// To be kept.
        record: Box<DataflowRecord>,
        /// What the nodes are to be told when they start.
        parameters: Parameters,
        /// Of the last of them.
        parameter_sequence: u64,
    },
    /// Stop a dataflow. Answered by [`DaemonReply::Done`] at once; `AllNodesFinished` follows.
    StopDataflow {
        /// Which.
        dataflow_id: DataflowId,
        /// From the Stop event to SIGTERM; `None` = the daemon's own.
        grace_duration: Option<Duration>,
        /// SIGKILL at once.
        force: bool,
    },
    /// Reload an operator, or all of a node. Answered by [`DaemonReply::Done`].
    ReloadDataflow {
        /// Which.
        dataflow_id: DataflowId,
        /// Which node.
        node_id: NodeId,
        /// Which operator; `None` = all.
        operator_id: Option<OperatorId>,
    },
    /// Read log files, also of a dataflow that has ended. Answered by [`DaemonReply::Logs`].
    Logs {
        /// Which.
        dataflow_id: DataflowId,
        /// Its folder: the daemon may have forgotten a dataflow that has ended.
        working_dir: PathBuf,
        /// Which nodes' files; the daemon leaves out what is not there.
        nodes: Vec<NodeId>,
        /// Only the last so many lines of each node.
        tail: Option<u64>,
        /// At most so many bytes in all; what is too much is left out at the front of each node's lines.
        max_bytes: u64,
    },
    /// Stop a node and start it again. Answered by [`DaemonReply::Done`] when the new process is ready.
    RestartNode {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Which.
        node_id: NodeId,
        /// From the Stop event to SIGTERM.
        grace_duration: Option<Duration>,
    },
    /// Stop a node for good. Answered by [`DaemonReply::NodeStopped`].
    StopNode {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Which.
        node_id: NodeId,
        /// From the Stop event to SIGTERM.
        grace_duration: Option<Duration>,
    },
    /// Make the running dataflow this one, all of it or nothing. Answered by [`DaemonReply::Applied`]; the record is kept only then.
    Apply {
        /// Which.
        dataflow_id: DataflowId,
        /// The whole new dataflow.
        dataflow: Box<Dataflow>,
        /// Instead of the one before.
        record: Box<DataflowRecord>,
        /// Nodes that are to be replaced by a new process although they may look alike.
        replace: Vec<NodeId>,
        /// For nodes that go.
        grace_duration: Option<Duration>,
    },
    /// Parameters changed, in this order. Answered by [`DaemonReply::Done`] when they are kept; a node that is not ready is told later.
    /// An entry whose sequence number was carried out already is skipped.
    StateCatchUp {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// In the order of their numbers.
        entries: Vec<ParamChange>,
    },
    /// Another daemon is gone. Not answered.
    PeerDaemonDisconnected {
        /// Which.
        daemon_id: DaemonId,
    },
    /// I am here. Not answered.
    Heartbeat,
    /// Forget a dataflow that has ended. Answered by [`DaemonReply::Done`].
    Forget {
        /// Which.
        dataflow_id: DataflowId,
    },
    /// Kill what runs, and end. Answered by [`DaemonReply::Done`] before the end.
    Destroy,
}

/// One change of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParamChange {
    /// Counts the changes of one dataflow, from 1.
    pub sequence: u64,
    /// Whose.
    pub node_id: NodeId,
    /// Its name.
    pub key: String,
    /// Its value; `None` = deleted. JSON's `null` is a value.
    #[serde(default, deserialize_with = "null_is_a_value", skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

fn null_is_a_value<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(from).map(Some)
}

/// Answers to commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DaemonReply {
    /// As asked, or on its way.
    Done,
    /// To `StopNode`.
    NodeStopped {
        /// It was not killed.
        clean_stop: bool,
    },
    /// To `Apply`.
    Applied {
        /// What was changed, a sentence each.
        changes: Vec<String>,
    },
    /// To `Logs`.
    Logs {
        /// JSON Lines, node by node.
        text: String,
        /// What did not fit.
        left_out_bytes: u64,
    },
}
