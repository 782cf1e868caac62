//! The daemon of the model: it knows what it runs, and what it was told and has not done.

use std::collections::{BTreeMap, VecDeque};

use dora_protocol::{
    DataflowId,
    control::{DORA_VERSION, DaemonId, DataflowResult, NodeOutcome, NodeState, NodeStatus},
    daemon_link::{
        DaemonCommand, DaemonEvent, DaemonReply, DataflowRecord, FinishedDataflow, Parameters, Register,
        RunningDataflow,
    },
    dataflow::Dataflow,
};
use uuid::Uuid;

use super::super::LinkId;

/// A dataflow in the daemon.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    pub(super) record: DataflowRecord,
    pub(super) nodes: Vec<NodeState>,
    pub(super) spawned: bool,
    pub(super) parameters: Parameters,
    pub(super) sequence: u64,
}

/// On its way from the daemon.
#[derive(Debug)]
pub(super) enum Said {
    Answer(Uuid, Result<DaemonReply, String>),
    Event(DaemonEvent),
}

#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) instance: Uuid,
    pub(super) link: Option<LinkId>,
    pub(super) running: BTreeMap<DataflowId, Runs>,
    pub(super) finished: BTreeMap<DataflowId, FinishedDataflow>,
    pub(super) commands: VecDeque<(Uuid, DaemonCommand)>,
    pub(super) says: VecDeque<Said>,
    pub(super) refuses: bool,
    /// Its nodes do not end when they are told to.
    pub(super) stubborn: bool,
}

fn states(dataflow: &Dataflow) -> Vec<NodeState> {
    let state = |node: &dora_protocol::dataflow::Node| NodeState {
        node_id: node.id.clone(),
        status: NodeStatus::Running,
        pid: None,
        restart_count: 0,
        broken_inputs: Vec::new(),
        pending_messages: 0,
        error: None,
        metrics: None,
        network: None,
    };
    dataflow.nodes.iter().map(state).collect()
}

impl Daemon {
    pub(super) fn new() -> Self {
        Self {
            instance: Uuid::from_u128(1),
            link: None,
            running: BTreeMap::new(),
            finished: BTreeMap::new(),
            commands: VecDeque::new(),
            says: VecDeque::new(),
            refuses: false,
            stubborn: false,
        }
    }

    pub(super) fn id(&self) -> DaemonId {
        DaemonId { machine_id: None, uuid: self.instance }
    }

    pub(super) fn register(&self) -> Register {
        Register {
            dora_version: DORA_VERSION.into(),
            instance: self.instance,
            machine_id: None,
            labels: BTreeMap::new(),
        }
    }

    /// What it says of itself on a new connection.
    pub(super) fn report(&self) -> DaemonEvent {
        let running = |(id, runs): (&DataflowId, &Runs)| RunningDataflow {
            dataflow_id: *id,
            record: runs.record.clone(),
            spawned: runs.spawned,
            stopping: false,
            running_nodes: runs.nodes.clone(),
            parameters: runs.parameters.clone(),
            parameter_sequence: runs.sequence,
        };
        DaemonEvent::StatusReport {
            running_dataflows: self.running.iter().map(running).collect(),
            finished_dataflows: self.finished.values().cloned().collect(),
        }
    }

    /// What the daemon had said and not been heard is lost, and so is what it was told and had not done.
    pub(super) fn drop_link(&mut self) {
        self.link = None;
        self.commands.clear();
        self.says.clear();
    }

    pub(super) fn work(&mut self) {
        let unanswered = |c: &DaemonCommand| {
            matches!(c, DaemonCommand::Heartbeat | DaemonCommand::PeerDaemonDisconnected { .. })
        };
        self.commands.retain(|(_, command)| !unanswered(command));
        let Some((id, command)) = self.commands.pop_front() else { return };
        let outcome = if self.refuses { Err("no".to_owned()) } else { self.carry_out(command) };
        // An answer goes before what follows from it.
        let at = self.says.len().saturating_sub(usize::from(
            outcome.is_ok()
                && self
                    .says
                    .back()
                    .is_some_and(|said| matches!(said, Said::Event(DaemonEvent::AllNodesFinished { .. }))),
        ));
        self.says.insert(at, Said::Answer(id, outcome));
    }

    fn carry_out(&mut self, command: DaemonCommand) -> Result<DaemonReply, String> {
        match command {
            DaemonCommand::Spawn { dataflow_id, dataflow, record, parameters, parameter_sequence } => {
                assert!(!self.running.contains_key(&dataflow_id), "started twice");
                let nodes = states(&dataflow);
                let runs =
                    Runs { record: *record, nodes, spawned: false, parameters, sequence: parameter_sequence };
                self.running.insert(dataflow_id, runs);
                Ok(DaemonReply::Done)
            }
            DaemonCommand::StopDataflow { dataflow_id, .. } => {
                if !self.stubborn {
                    self.end(dataflow_id, false);
                }
                Ok(DaemonReply::Done)
            }
            DaemonCommand::Apply { dataflow_id, dataflow, record, .. } => {
                let runs = self.running.get_mut(&dataflow_id).ok_or("not here")?;
                assert_eq!(
                    record.generation,
                    runs.record.generation + 1,
                    "a change was made from an old descriptor"
                );
                runs.nodes = states(&dataflow);
                runs.record = *record;
                let names: Vec<_> = runs.nodes.iter().map(|node| &node.node_id).collect();
                runs.parameters.retain(|node, _| names.contains(&node));
                Ok(DaemonReply::Applied { changes: Vec::new() })
            }
            DaemonCommand::StateCatchUp { dataflow_id, entries } => {
                let runs = self.running.get_mut(&dataflow_id).ok_or("not here")?;
                for entry in entries {
                    if entry.sequence <= runs.sequence {
                        continue;
                    }
                    runs.sequence = entry.sequence;
                    let of_node = runs.parameters.entry(entry.node_id).or_default();
                    match entry.value {
                        Some(value) => drop(of_node.insert(entry.key, value)),
                        None => drop(of_node.remove(&entry.key)),
                    }
                }
                runs.parameters.retain(|_, of_node| !of_node.is_empty());
                Ok(DaemonReply::Done)
            }
            DaemonCommand::Forget { dataflow_id } => {
                self.finished.remove(&dataflow_id);
                Ok(DaemonReply::Done)
            }
            _ => Ok(DaemonReply::Done),
        }
    }

    pub(super) fn end(&mut self, id: DataflowId, failed: bool) {
        let Some(runs) = self.running.remove(&id) else { return };
        let outcome = |node: &NodeState| NodeOutcome {
            node_id: node.node_id.clone(),
            exit: None,
            error: None,
            caused_by: None,
        };
        let nodes = runs.nodes.iter().map(outcome).collect();
        let result = DataflowResult { error: failed.then(|| "a: failed".to_owned()), nodes };
        let finished = FinishedDataflow { dataflow_id: id, record: runs.record, result: result.clone() };
        self.finished.insert(id, finished);
        if self.link.is_some() {
            self.says.push_back(Said::Event(DaemonEvent::AllNodesFinished { dataflow_id: id, result }));
        }
    }

    pub(super) fn ready(&mut self, id: DataflowId) {
        let Some(runs) = self.running.get_mut(&id).filter(|runs| !runs.spawned) else { return };
        runs.spawned = true;
        if self.link.is_some() {
            self.says.push_back(Said::Event(DaemonEvent::SpawnResult {
                dataflow_id: id,
                result: Ok(()),
                rt_table: None,
            }));
        }
    }
}
