//! What a client is answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CleanFailure, DaemonInfo, DataflowEntry, DataflowInfo, DataflowResult, NodeInfo};
#[cfg(doc)]
use super::{ControlRequest, DORA_VERSION};
use crate::{DataflowId, NodeId};

/// Answers to [`ControlRequest`]s.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ControlReply {
    /// The versions fit.
    HelloOk {
        /// [`DORA_VERSION`] of the coordinator.
        dora_version: String,
    },
    /// A daemon is starting it.
    DataflowStartTriggered {
        /// Its id from now on.
        uuid: DataflowId,
        /// Sentences about the descriptor that the user should see.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// Every node is ready.
    DataflowSpawned {
        /// Which.
        uuid: DataflowId,
    },
    /// How it is.
    DataflowChecked(Box<DataflowEntry>),
    /// The nodes were told.
    DataflowReloaded {
        /// Which.
        uuid: DataflowId,
    },
    /// It has ended.
    DataflowStopped {
        /// Which.
        uuid: DataflowId,
        /// How.
        result: DataflowResult,
    },
    /// A new one is being started.
    DataflowRestarted {
        /// The one that was stopped.
        old_uuid: DataflowId,
        /// The one that is being started.
        new_uuid: DataflowId,
        /// Ours: sentences, one for each change made while the old one ran that the new one keeps.
        #[serde(default)]
        kept_changes: Vec<String>,
    },
    /// JSON Lines, node by node.
    Logs {
        /// The lines as they are in the files.
        text: String,
        /// The files are larger than an answer may be: so many bytes at the front are missing.
        left_out_bytes: u64,
    },
    /// In the order of their creation.
    DataflowList(Vec<DataflowEntry>),
    /// One dataflow.
    DataflowInfo(Box<DataflowInfo>),
    /// What was forgotten, and what was not.
    CleanResult {
        /// Gone.
        cleaned: Vec<DataflowEntry>,
        /// Still there.
        failed: Vec<CleanFailure>,
    },
    /// The daemons were told; the connection closes when the coordinator ends.
    DestroyOk,
    /// The coordinator is ending: to requests that waited for something.
    CoordinatorStopped,
    /// Is one?
    DaemonConnected(bool),
    /// In the order of their ids.
    ConnectedDaemons(Vec<DaemonInfo>),
    /// Events will come.
    LogSubscribed {
        /// Which.
        dataflow_id: DataflowId,
    },
    /// As seen from the coordinator.
    CliAndDefaultDaemonIps {
        /// Address of the default daemon.
        default_daemon: Option<std::net::IpAddr>,
        /// Address of the client.
        cli: Option<std::net::IpAddr>,
    },
    /// Dataflow by dataflow, in the order of their files.
    NodeInfoList(Vec<NodeInfo>),
    /// By key.
    ParamList {
        /// Keys and values.
        params: BTreeMap<String, serde_json::Value>,
    },
    /// One parameter.
    ParamValue {
        /// Its name.
        key: String,
        /// Its value.
        value: serde_json::Value,
    },
    /// It is set.
    ParamSet(Delivery),
    /// It is gone.
    ParamDeleted(Delivery),
    /// The new process is ready.
    NodeRestarted {
        /// Which.
        node_id: NodeId,
    },
    /// It is gone and stays down.
    NodeStopped {
        /// Which.
        node_id: NodeId,
        /// It ended by itself, without being killed.
        clean_stop: bool,
    },
    /// It runs.
    NodeAdded(TopologyChange),
    /// It and its edges are gone.
    NodeRemoved(TopologyChange),
    /// The new one has its place.
    NodeReplaced(TopologyChange),
    /// The edge is there.
    MappingAdded(TopologyChange),
    /// The edge is gone.
    MappingRemoved(TopologyChange),
    /// All of it is done.
    PatchApplied(TopologyChange),
}

/// What became of a change of a running dataflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyChange {
    /// What was changed, a sentence each; empty when it was like that already.
    pub changes: Vec<String>,
    /// Types that do not fit and the like.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Has the node heard of the parameter?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Its daemon took it.
    Delivered,
    /// It is stored, and sent when daemon and node are there again.
    Stored,
}
