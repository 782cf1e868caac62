//! What a client may ask.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::{ControlReply, DORA_VERSION, Event, MAX_PARAM_KEY, MAX_PARAM_VALUE};
use crate::{DataId, DataflowId, NodeId, OperatorId, log::LogLevel, rt::RtRequest};

/// What may be asked of the coordinator. Names and fields are those of the control protocol; what is ours says so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ControlRequest {
    /// First on a connection. Reply [`ControlReply::HelloOk`].
    Hello {
        /// [`DORA_VERSION`] of the client.
        dora_version: String,
    },
    /// Start a dataflow. Reply [`ControlReply::DataflowStartTriggered`] when a daemon has accepted it.
    Start(Box<StartRequest>),
    /// Wait until every node is ready. Reply [`ControlReply::DataflowSpawned`], or why it did not come to that.
    WaitForSpawn {
        /// Which.
        dataflow_id: DataflowId,
    },
    /// Ours: wait until the dataflow has ended, however. Reply [`ControlReply::DataflowStopped`].
    WaitForFinish {
        /// Which.
        dataflow_id: DataflowId,
    },
    /// How is it? Reply [`ControlReply::DataflowChecked`].
    Check {
        /// Which.
        dataflow_uuid: DataflowId,
    },
    /// Reload an operator, or all of a runtime node. Reply [`ControlReply::DataflowReloaded`].
    Reload {
        /// Which.
        dataflow_id: DataflowId,
        /// Which node.
        node_id: NodeId,
        /// Which operator; `None` = all.
        #[serde(default)]
        operator_id: Option<OperatorId>,
    },
    /// Stop. Reply [`ControlReply::DataflowStopped`] when every node has ended.
    Stop {
        /// Which.
        dataflow_uuid: DataflowId,
        /// From the Stop event to SIGTERM; `None` = 10 s.
        #[serde(default)]
        grace_duration: Option<Duration>,
        /// SIGKILL at once.
        #[serde(default)]
        force: bool,
    },
    /// As `Stop`, by name.
    StopByName {
        /// Which, among those that run.
        name: String,
        /// As in `Stop`.
        #[serde(default)]
        grace_duration: Option<Duration>,
        /// As in `Stop`.
        #[serde(default)]
        force: bool,
    },
    /// Stop, and start again under the same name. Reply [`ControlReply::DataflowRestarted`] when the new one was accepted.
    Restart {
        /// Which; may have ended.
        dataflow_uuid: DataflowId,
        /// As in `Stop`.
        #[serde(default)]
        grace_duration: Option<Duration>,
        /// As in `Stop`.
        #[serde(default)]
        force: bool,
        /// Ours: without the changes made while it ran.
        #[serde(default)]
        original: bool,
    },
    /// As `Restart`, by name.
    RestartByName {
        /// Which: one that runs, or else the latest of that name.
        name: String,
        /// As in `Stop`.
        #[serde(default)]
        grace_duration: Option<Duration>,
        /// As in `Stop`.
        #[serde(default)]
        force: bool,
        /// As in `Restart`.
        #[serde(default)]
        original: bool,
    },
    /// Log lines that were written until now. Reply [`ControlReply::Logs`].
    Logs {
        /// Which; one of `uuid` and `name`.
        #[serde(default)]
        uuid: Option<DataflowId>,
        /// Which, by name.
        #[serde(default)]
        name: Option<String>,
        /// Whose; `None` = of all nodes, node by node.
        #[serde(default)]
        node: Option<NodeId>,
        /// Only the last so many lines of each node.
        #[serde(default)]
        tail: Option<u64>,
    },
    /// Every dataflow. Reply [`ControlReply::DataflowList`].
    List,
    /// One dataflow. Reply [`ControlReply::DataflowInfo`].
    Info {
        /// Which.
        dataflow_uuid: DataflowId,
    },
    /// Forget dataflows that have ended. Reply [`ControlReply::CleanResult`].
    Clean,
    /// End daemons and coordinator; what still runs is killed. Reply [`ControlReply::DestroyOk`].
    Destroy,
    /// Is a daemon connected? Reply [`ControlReply::DaemonConnected`].
    DaemonConnected,
    /// Which daemons are connected? Reply [`ControlReply::ConnectedDaemons`].
    ConnectedMachines,
    /// Send [`Event::Log`]s from now on; the first subscriber gets up to 10 000 earlier ones. Reply [`ControlReply::LogSubscribed`].
    LogSubscribe {
        /// Whose.
        dataflow_id: DataflowId,
        /// Least severe level.
        level: LogLevel,
    },
    /// Addresses. Reply [`ControlReply::CliAndDefaultDaemonIps`].
    CliAndDefaultDaemonOnSameMachine,
    /// Every node of every running dataflow. Reply [`ControlReply::NodeInfoList`].
    GetNodeInfo,
    /// Parameters of a node. Reply [`ControlReply::ParamList`].
    GetParams {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Whose.
        node_id: NodeId,
    },
    /// One parameter. Reply [`ControlReply::ParamValue`], or an error that says `param not found`.
    GetParam {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Whose.
        node_id: NodeId,
        /// Its name.
        key: String,
    },
    /// Set a parameter and tell the node. Reply [`ControlReply::ParamSet`].
    SetParam {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Whose.
        node_id: NodeId,
        /// Its name, at most [`MAX_PARAM_KEY`] bytes.
        key: String,
        /// Its value, at most [`MAX_PARAM_VALUE`] bytes as JSON.
        value: serde_json::Value,
    },
    /// Delete a parameter and tell the node. Reply [`ControlReply::ParamDeleted`].
    DeleteParam {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Whose.
        node_id: NodeId,
        /// Its name.
        key: String,
    },
    /// Stop a node and start it again, whatever its restart policy. Reply [`ControlReply::NodeRestarted`].
    RestartNode {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Which.
        node_id: NodeId,
        /// From the Stop event to SIGTERM.
        #[serde(default)]
        grace_duration: Option<Duration>,
    },
    /// Stop a node for good; its entry stays. Reply [`ControlReply::NodeStopped`].
    StopNode {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Which.
        node_id: NodeId,
        /// From the Stop event to SIGTERM.
        #[serde(default)]
        grace_duration: Option<Duration>,
    },
    /// Reply [`ControlReply::NodeAdded`].
    AddNode {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// One entry of `nodes:` as YAML (or JSON) text.
        node: String,
        /// What messages shall call that text; a file name.
        #[serde(default)]
        file: Option<String>,
    },
    /// Stop a node and take it and its edges out. Reply [`ControlReply::NodeRemoved`].
    RemoveNode {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Which.
        node_id: NodeId,
        /// From the Stop event to SIGTERM.
        #[serde(default)]
        grace_duration: Option<Duration>,
    },
    /// Put another program in the place of a node. Reply [`ControlReply::NodeReplaced`].
    ReplaceNode {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// Which; the id in `node` must be the same.
        node_id: NodeId,
        /// One entry of `nodes:` as YAML (or JSON) text.
        node: String,
        /// What messages shall call that text; a file name.
        #[serde(default)]
        file: Option<String>,
        /// From the Stop event to SIGTERM, for the old one.
        #[serde(default)]
        grace_duration: Option<Duration>,
    },
    /// Connect an output to an input. Reply [`ControlReply::MappingAdded`].
    AddMapping {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// From where to where.
        #[serde(flatten)]
        mapping: Mapping,
    },
    /// Take an edge out. Reply [`ControlReply::MappingRemoved`].
    RemoveMapping {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// From where to where.
        #[serde(flatten)]
        mapping: Mapping,
    },
    /// Ours: several changes, all of them or none. Reply [`ControlReply::PatchApplied`].
    ApplyPatch {
        /// Which dataflow.
        dataflow_id: DataflowId,
        /// The patch file as YAML (or JSON) text: `remove`, `replace`, `add`, `disconnect`, `connect`, each a list; carried out in this
        /// order. Nodes are ids (`remove`) or entries of `nodes:`, edges are `{ from: a/out, to: b/in }` or `a/out -> b/in`.
        patch: String,
        /// What messages shall call that text; a file name.
        #[serde(default)]
        file: Option<String>,
        /// From the Stop event to SIGTERM, for nodes that go.
        #[serde(default)]
        grace_duration: Option<Duration>,
    },
}

/// What `Start` needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// The descriptor as YAML text, modules expanded.
    pub dataflow: String,
    /// What messages shall call it; the path that the user gave. Its stem is the name of the descriptor.
    pub file: String,
    /// Absolute folder that relative paths mean; `out/` is made in it.
    pub local_working_dir: PathBuf,
    /// What the dataflow is called; unique among those that run. `None` = only its UUID.
    #[serde(default)]
    pub name: Option<String>,
    /// Run Python nodes through `uv`.
    #[serde(default)]
    pub uv: bool,
    /// Switch topic inspection on.
    #[serde(default)]
    pub debug: bool,
    /// Ours: real-time set-up of this dataflow; `None` = as its daemon does it.
    #[serde(default)]
    pub rt: Option<RtRequest>,
    /// Instead of what the descriptor says.
    #[serde(default)]
    pub exit_when_nodes_finish: Option<bool>,
    /// `--env` values.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Sources that were fetched already, by node.
    #[serde(default)]
    pub prepared: BTreeMap<NodeId, Prepared>,
}

/// Where the source of a node was put by whoever fetched it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Absolute folder that it runs in: the clone of its repository.
    #[serde(default)]
    pub working_dir: Option<PathBuf>,
    /// Absolute path of its program, where the descriptor has a URL.
    #[serde(default)]
    pub path: Option<String>,
    /// Absolute paths of operators that the descriptor has URLs of.
    #[serde(default)]
    pub operators: BTreeMap<OperatorId, String>,
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mapping {
    /// Who sends.
    pub source_node: NodeId,
    /// On which output.
    pub source_output: DataId,
    /// Who gets it.
    pub target_node: NodeId,
    /// At which input; it is made when it is not there.
    pub target_input: DataId,
}
