//! One dataflow.

use std::{collections::VecDeque, time::Duration};

use dora_protocol::{
    DataflowId, NodeId,
    control::{DaemonId, DataflowResult, DataflowStatus, NodeState, NodeStatus},
    daemon_link::{DataflowRecord, Parameters},
    log::LogLevel,
    rt::RtTable,
};

use super::{ClientId, Now, Waiter, changes::Change, logs::LogBuffer};
use crate::store::{StoredFlow, StoredParameters};

/// How long a daemon may take to report a dataflow that the store knows.
pub(super) const RECLAIM_WITHIN: Duration = Duration::from_secs(60);

/// Something that shall happen when nothing else has by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Every node must be ready.
    Spawn(Duration),
    /// A daemon must have reported it.
    Reclaim(Duration),
}

impl Due {
    pub(super) fn at(self) -> Duration {
        match self {
            Due::Spawn(at) | Due::Reclaim(at) => at,
        }
    }
}

/// What shall follow when it has ended.
#[derive(Clone, Debug)]
pub(super) struct PlannedRestart {
    pub(super) waiter: Waiter,
    pub(super) original: bool,
}

/// Somebody who waits for the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaiting {
    pub(super) waiter: Waiter,
    /// Told by then that it takes too long.
    pub(super) deadline: Option<Duration>,
}

/// One dataflow.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) id: DataflowId,
    pub(super) record: DataflowRecord,
    /// Of the live descriptor, in its order.
    pub(super) node_ids: Vec<NodeId>,
    pub(super) status: DataflowStatus,
    pub(super) spawned: bool,
    pub(super) daemon: Option<DaemonId>,
    pub(super) result: Option<DataflowResult>,
    /// Of its latest start. Not stored: who started it has asked by then.
    pub(super) rt_table: Option<RtTable>,
    pub(super) updated_ms: u64,
    /// The store has it, so it must not vanish from here alone.
    pub(super) stored: bool,
    /// As its daemon said last.
    pub(super) nodes: Vec<NodeState>,
    pub(super) parameters: StoredParameters,
    pub(super) spawn_waiters: Vec<Waiter>,
    pub(super) finish_waiters: Vec<Awaiting>,
    pub(super) restart: Option<PlannedRestart>,
    /// Why the coordinator itself stops it.
    pub(super) stop_reason: Option<String>,
    /// One is under way.
    pub(super) changing: bool,
    /// Wait their turn.
    pub(super) changes: VecDeque<(Waiter, Change)>,
    pub(super) logs: LogBuffer,
    pub(super) subscribers: Vec<(ClientId, LogLevel)>,
    pub(super) due: Option<Due>,
    /// When it was last started again because its daemon had lost it.
    pub(super) last_recovery: Option<Duration>,
}

impl Flow {
    pub(super) fn new(id: DataflowId, record: DataflowRecord, node_ids: Vec<NodeId>, now: Now) -> Self {
        Self {
            id,
            record,
            node_ids,
            status: DataflowStatus::Pending,
            spawned: false,
            daemon: None,
            result: None,
            rt_table: None,
            updated_ms: now.wall_ms,
            stored: false,
            nodes: Vec::new(),
            parameters: StoredParameters::default(),
            spawn_waiters: Vec::new(),
            finish_waiters: Vec::new(),
            restart: None,
            stop_reason: None,
            changing: false,
            changes: VecDeque::new(),
            logs: LogBuffer::default(),
            subscribers: Vec::new(),
            due: None,
            last_recovery: None,
        }
    }

    /// From the store: whether it still runs is for its daemon to say.
    pub(super) fn recovered(
        id: DataflowId,
        stored: StoredFlow,
        parameters: StoredParameters,
        now: Now,
    ) -> Self {
        let ended = stored.status.has_ended();
        Self {
            status: if ended { stored.status } else { DataflowStatus::Recovering },
            spawned: stored.spawned,
            daemon: stored.daemon,
            result: stored.result,
            updated_ms: stored.updated_ms,
            stored: true,
            parameters,
            due: (!ended).then(|| Due::Reclaim(now.mono + RECLAIM_WITHIN)),
            ..Self::new(id, stored.record, stored.nodes, now)
        }
    }

    pub(super) fn to_store(&self) -> StoredFlow {
        StoredFlow {
            record: self.record.clone(),
            nodes: self.node_ids.clone(),
            status: self.status,
            spawned: self.spawned,
            daemon: self.daemon.clone(),
            result: self.result.clone(),
            updated_ms: self.updated_ms,
        }
    }

    /// For messages.
    pub(super) fn shown(&self) -> String {
        match &self.record.name {
            Some(name) => format!("dataflow `{name}` ({})", self.id),
            None => format!("dataflow {}", self.id),
        }
    }

    /// Its daemon lost word of it, so its end was presumed: a daemon that knows better is believed.
    pub(super) fn end_was_presumed(&self) -> bool {
        self.result.as_ref().is_some_and(|result| result.nodes.is_empty())
    }

    /// The nodes with what is known of them.
    pub(super) fn node_states(&self) -> Vec<NodeState> {
        let known = |id: &NodeId| self.nodes.iter().find(|state| state.node_id == *id).cloned();
        let unknown = |id: &NodeId| NodeState {
            node_id: id.clone(),
            status: NodeStatus::Starting,
            pid: None,
            restart_count: 0,
            broken_inputs: Vec::new(),
            pending_messages: 0,
            error: None,
            metrics: None,
            network: None,
        };
        self.node_ids.iter().map(|id| known(id).unwrap_or_else(|| unknown(id))).collect()
    }

    pub(super) fn has_node(&self, id: &NodeId) -> Result<(), String> {
        if self.node_ids.contains(id) {
            return Ok(());
        }
        let known: Vec<&str> = self.node_ids.iter().map(NodeId::as_str).collect();
        Err(format!("{} has no node `{id}`; it has {}", self.shown(), known.join(", ")))
    }

    /// Parameters as a daemon is told them at the start.
    pub(super) fn all_parameters(&self) -> (Parameters, u64) {
        (self.parameters.values.clone(), self.parameters.sequence)
    }
}
