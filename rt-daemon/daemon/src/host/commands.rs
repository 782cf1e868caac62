//! What the coordinator may ask, and what is done about it.
//!
//! A command for a dataflow becomes an entry in the queue of its supervisor. What has an answer is waited for by a task, so
//! that no command waits for another one's dataflow.

use std::{collections::BTreeSet, time::Duration};

use dora_protocol::{
    DataflowId,
    control::Request,
    daemon_link::{
        DaemonCommand, DaemonEvent, DaemonReply, DataflowRecord, ParamChange, Parameters, RunningDataflow,
    },
    dataflow::Dataflow,
    log::LogLevel,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    core::{Done, Host},
    flow::{Flow, Launch, Voice, log_folder},
    link::Outgoing,
    log_files,
    looks::{self, Snapshots},
    options::EndRequest,
};
use crate::{
    control::{Control, Reply},
    cores,
    options::{RtMode, RunOptions},
};

type Outcome = Result<DaemonReply, String>;

/// What the supervisor of a dataflow has answered, and how the dataflow is since.
pub(super) struct Answered {
    snapshots: Snapshots,
    answer_to: (Outgoing, Uuid),
    outcome: Outcome,
    changed: Option<Changed>,
}

/// The dataflow that a change makes.
struct Changed {
    flow: DataflowId,
    record: DataflowRecord,
    nodes: Vec<dora_protocol::NodeId>,
    claimed: BTreeSet<usize>,
}

impl Host {
    /// Carries out a command; its answer goes where it came from.
    pub(super) fn command(&mut self, link: Outgoing, request: Request<DaemonCommand>) {
        let Request { id, params: command, .. } = request;
        // Without an outcome somebody answers later, or nobody has to.
        if let Some(outcome) = self.carry_out(&link, id, command) {
            link.answer(id, outcome);
        }
    }

    fn carry_out(&mut self, link: &Outgoing, id: Uuid, command: DaemonCommand) -> Option<Outcome> {
        match command {
            DaemonCommand::Heartbeat => None,
            DaemonCommand::PeerDaemonDisconnected { daemon_id } => {
                self.options.say(LogLevel::Info, format!("the daemon {daemon_id} is gone"));
                None
            }
            DaemonCommand::Spawn { dataflow_id, dataflow, record, parameters, parameter_sequence } => {
                Some(self.spawn(dataflow_id, *dataflow, *record, parameters, parameter_sequence))
            }
            DaemonCommand::StopDataflow { dataflow_id, grace_duration, force } => {
                let control = if force { Control::Kill } else { Control::Stop { grace: grace_duration } };
                Some(self.flow(dataflow_id).and_then(|flow| {
                    flow.stopping = true;
                    give(flow, control)
                }))
            }
            DaemonCommand::ReloadDataflow { dataflow_id, node_id, operator_id } => {
                let done = |()| DaemonReply::Done;
                let control = |reply| Control::Reload { node: node_id, operator: operator_id, reply };
                self.ask(link, id, dataflow_id, control, done)
            }
            DaemonCommand::RestartNode { dataflow_id, node_id, grace_duration } => {
                let done = |()| DaemonReply::Done;
                let control = |reply| Control::RestartNode { node: node_id, grace: grace_duration, reply };
                self.ask(link, id, dataflow_id, control, done)
            }
            DaemonCommand::StopNode { dataflow_id, node_id, grace_duration } => {
                let stopped = |clean_stop| DaemonReply::NodeStopped { clean_stop };
                let control = |reply| Control::StopNode { node: node_id, grace: grace_duration, reply };
                self.ask(link, id, dataflow_id, control, stopped)
            }
            DaemonCommand::Apply { dataflow_id, dataflow, record, replace, grace_duration } => {
                let change = Change { dataflow: *dataflow, record: *record, replace, grace: grace_duration };
                self.apply(link, id, dataflow_id, change)
            }
            DaemonCommand::StateCatchUp { dataflow_id, entries } => Some(self.catch_up(dataflow_id, entries)),
            DaemonCommand::Logs { dataflow_id, working_dir, nodes, tail, max_bytes } => {
                let (link, folder) = (link.clone(), log_folder(&working_dir, dataflow_id));
                tokio::task::spawn_blocking(move || {
                    let outcome = log_files::read(&folder, &nodes, tail, max_bytes);
                    link.answer(
                        id,
                        outcome.map(|(text, left_out_bytes)| DaemonReply::Logs { text, left_out_bytes }),
                    );
                });
                None
            }
            DaemonCommand::Forget { dataflow_id } => {
                self.finished.retain(|ended| ended.dataflow_id != dataflow_id);
                Some(Ok(DaemonReply::Done))
            }
            DaemonCommand::Destroy => {
                self.end(EndRequest::Kill, Some((link.clone(), id)));
                None
            }
        }
    }

    fn flow(&mut self, id: DataflowId) -> Result<&mut Flow, String> {
        self.flows.get_mut(&id).ok_or_else(|| format!("no running dataflow with ID {id} on this daemon"))
    }

    fn spawn(
        &mut self,
        id: DataflowId,
        dataflow: Dataflow,
        record: DataflowRecord,
        parameters: Parameters,
        sequence: u64,
    ) -> Outcome {
        if self.flows.contains_key(&id) {
            return Err(format!("the dataflow {id} runs here already"));
        }
        if self.ending.is_some() {
            return Err("the daemon is ending".to_owned());
        }
        let rt = record.rt.map_or(self.options.rt, RtMode::from);
        let options = RunOptions {
            id: Some(id),
            params: parameters.clone(),
            rt,
            allow_shell_nodes: self.options.allow_shell_nodes,
            uv: record.uv,
            listener: Some(self.listener.clone()),
            ..RunOptions::default()
        };
        let claimed = claimed(rt, &dataflow);
        let voice = Voice {
            id,
            daemon: self.id.to_string(),
            logs: (!self.options.quiet).then(|| self.logs.clone()),
            events: self.flow_events.clone(),
        };
        let control = Launch { dataflow, options, cores: self.cores.clone(), voice }
            .start()
            .map_err(|error| format!("failed to start a thread for the dataflow: {error}"))?;
        let flow = Flow {
            record,
            parameters,
            sequence,
            rt,
            rt_table: None,
            claimed,
            spawned: false,
            stopping: false,
            control,
        };
        self.flows.insert(id, flow);
        self.keep_off_claimed_cores();
        Ok(DaemonReply::Done)
    }

    /// Puts a request with an answer into the queue of a dataflow.
    fn ask<T: Send + 'static>(
        &mut self,
        link: &Outgoing,
        id: Uuid,
        flow: DataflowId,
        control: impl FnOnce(Reply<T>) -> Control,
        meaning: impl FnOnce(T) -> DaemonReply + Send + 'static,
    ) -> Option<Outcome> {
        let (reply, answer) = oneshot::channel();
        self.when_answered(flow, control(reply), (link.clone(), id), None, async move {
            waited_for(answer).await.map(meaning)
        })
    }

    fn apply(&mut self, link: &Outgoing, id: Uuid, flow: DataflowId, change: Change) -> Option<Outcome> {
        let (reply, answer) = oneshot::channel();
        let Change { dataflow, record, replace, grace } = change;
        let nodes = dataflow.nodes.iter().map(|node| node.id.clone()).collect();
        let rt = self.flows.get(&flow).map_or(RtMode::Off, |flow| flow.rt);
        let claimed = claimed(rt, &dataflow);
        let changed = Changed { flow, record, nodes, claimed };
        let control = Control::Apply { dataflow: Box::new(dataflow), replace, grace, reply };
        self.when_answered(flow, control, (link.clone(), id), Some(changed), async move {
            waited_for(answer).await.map(|changes| DaemonReply::Applied { changes })
        })
    }

    /// Asks a supervisor, and looks at its dataflow when it has answered: whoever asked finds the nodes as they are now.
    fn when_answered(
        &mut self,
        id: DataflowId,
        control: Control,
        answer_to: (Outgoing, Uuid),
        changed: Option<Changed>,
        answer: impl Future<Output = Outcome> + Send + 'static,
    ) -> Option<Outcome> {
        let flow = match self.flow(id).and_then(|flow| give(flow, control).map(|_| flow.control.clone())) {
            Ok(flow) => flow,
            Err(error) => return Some(Err(error)),
        };
        let done = self.done.clone();
        tokio::spawn(async move {
            let outcome = answer.await;
            let snapshots = looks::snapshots(vec![(id, flow)]).await;
            let answered = Answered { snapshots, answer_to, outcome, changed };
            done.send(Done::Answered(Box::new(answered))).unwrap_or_default();
        });
        None
    }

    /// The record is kept, and the states of the nodes are told, before the coordinator hears of the change.
    pub(super) fn answered(&mut self, answered: Answered) {
        let Answered { snapshots, answer_to: (link, id), outcome, changed } = answered;
        if let (Ok(_), Some(Changed { flow, record, nodes, claimed })) = (&outcome, changed)
            && let Some(flow) = self.flows.get_mut(&flow)
        {
            flow.record = record;
            flow.claimed = claimed;
            flow.parameters.retain(|node, _| nodes.contains(node));
            self.keep_off_claimed_cores();
        }
        self.tell_states(&snapshots);
        link.answer(id, outcome);
    }

    /// Keeps the parameters and tells the nodes. What was carried out before is skipped.
    fn catch_up(&mut self, id: DataflowId, entries: Vec<ParamChange>) -> Outcome {
        let flow = self.flow(id)?;
        for ParamChange { sequence, node_id, key, value } in entries {
            if sequence <= flow.sequence {
                continue;
            }
            flow.sequence = sequence;
            let (reply, _) = oneshot::channel();
            let control = match value {
                Some(value) => {
                    flow.parameters.entry(node_id.clone()).or_default().insert(key.clone(), value.clone());
                    Control::SetParam { node: node_id, key, value, reply }
                }
                None => {
                    if let Some(of_node) = flow.parameters.get_mut(&node_id) {
                        of_node.remove(&key);
                    }
                    Control::DeleteParam { node: node_id, key, reply }
                }
            };
            give(flow, control)?;
        }
        Ok(DaemonReply::Done)
    }

    /// Collects the state of all dataflows for the status report.
    pub(super) fn collect(&self, outgoing: Outgoing) {
        let (flows, done) = (self.controls(), self.done.clone());
        tokio::spawn(async move {
            let snapshots = looks::snapshots(flows).await;
            done.send(Done::Collected(outgoing, snapshots)).unwrap_or_default();
        });
    }

    /// First words on a new connection. From here on events are told.
    pub(super) fn report_status(&mut self, outgoing: Outgoing, snapshots: &Snapshots) {
        let running = self.flows.iter().map(|(id, flow)| {
            let snapshot = snapshots.get(id);
            RunningDataflow {
                dataflow_id: *id,
                record: flow.record.clone(),
                spawned: flow.spawned || snapshot.is_some_and(|snapshot| snapshot.started),
                stopping: flow.stopping,
                running_nodes: snapshot
                    .map(|snapshot| looks::node_states(snapshot, &self.costs))
                    .unwrap_or_default(),
                parameters: flow.parameters.clone(),
                parameter_sequence: flow.sequence,
            }
        });
        outgoing.event(DaemonEvent::StatusReport {
            running_dataflows: running.collect(),
            finished_dataflows: self.finished.iter().cloned().collect(),
        });
        self.link = Some(outgoing);
    }
}

struct Change {
    dataflow: Dataflow,
    record: DataflowRecord,
    replace: Vec<dora_protocol::NodeId>,
    grace: Option<Duration>,
}

/// Cores that this thread has to leave to a dataflow.
fn claimed(rt: RtMode, dataflow: &Dataflow) -> BTreeSet<usize> {
    match rt {
        RtMode::Off => BTreeSet::new(),
        RtMode::Strict | RtMode::BestEffort => cores::claimed(dataflow),
    }
}

/// Puts a request into the queue of a dataflow.
fn give(flow: &mut Flow, control: Control) -> Outcome {
    flow.control.send(control).map(|()| DaemonReply::Done).map_err(|_| ENDED.to_owned())
}

async fn waited_for<T>(answer: oneshot::Receiver<Result<T, String>>) -> Result<T, String> {
    answer.await.unwrap_or_else(|_| Err(ENDED.to_owned()))
}

const ENDED: &str = "the dataflow has just ended";
