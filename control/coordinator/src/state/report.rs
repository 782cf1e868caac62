//! A daemon tells what it has: what the coordinator forgot is taken over, what it did not hear is made up for.
//!
//! | daemon reports        | coordinator has         | then                                                       |
//! |-----------------------|-------------------------|------------------------------------------------------------|
//! | running               | nothing, or recovering  | reclaimed: name, descriptor, nodes, parameters             |
//! | running               | its end, presumed       | runs again                                                 |
//! | running               | stopping                | told to stop once more                                     |
//! | ended                 | running                 | ended, as reported                                         |
//! | ended                 | nothing                 | listed                                                     |
//! | nothing, same process | running                 | failed                                                     |
//! | nothing, new process  | running                 | started again, at most once in 30 s                        |
//! | nothing, new process  | recovering, stopping    | failed: its nodes ended with the old process               |

use std::time::Duration;

use dora_protocol::{
    DataflowId,
    control::{DaemonId, DataflowResult, DataflowStatus},
    daemon_link::{DaemonCommand, FinishedDataflow, RunningDataflow},
};

use super::{
    LinkId, State,
    answers::Then,
    flow::{Due, Flow},
};
use crate::store::StoredParameters;

/// A dataflow is started again because its daemon lost it at most once in this time.
const RECOVERY_PAUSE: Duration = Duration::from_secs(30);

impl State {
    pub(super) fn status_report(
        &mut self,
        link: LinkId,
        daemon: &DaemonId,
        running: Vec<RunningDataflow>,
        finished: Vec<FinishedDataflow>,
    ) {
        let mut reported: Vec<DataflowId> = running.iter().map(|dataflow| dataflow.dataflow_id).collect();
        for dataflow in running {
            self.runs_there(link, daemon, dataflow);
        }
        for dataflow in finished {
            reported.push(dataflow.dataflow_id);
            self.ended_there(daemon, dataflow);
        }
        let missing: Vec<DataflowId> = self
            .flows
            .values()
            .filter(|flow| flow.result.is_none() && !reported.contains(&flow.id))
            .filter(|flow| flow.daemon.as_ref().is_some_and(|of| of.machine_id == daemon.machine_id))
            .map(|flow| flow.id)
            .collect();
        for id in missing {
            self.missing_there(link, daemon, id);
        }
    }

    fn runs_there(&mut self, link: LinkId, daemon: &DaemonId, reported: RunningDataflow) {
        let id = reported.dataflow_id;
        let elsewhere = self.flows.get(&id).is_some_and(|flow| {
            flow.daemon.as_ref().is_some_and(|of| of.uuid != daemon.uuid) && self.link_of(flow).is_ok()
        });
        if elsewhere {
            tracing::warn!("dataflow {id} runs on two daemons; {daemon} is told to stop its copy");
            let command = DaemonCommand::StopDataflow { dataflow_id: id, grace_duration: None, force: true };
            return self.command(link, command, Then::Nothing("stop a second copy of a dataflow"));
        }
        let node_ids = reported.running_nodes.iter().map(|node| node.node_id.clone()).collect();
        let now = self.now;
        let flow =
            self.flows.entry(id).or_insert_with(|| Flow::new(id, reported.record.clone(), Vec::new(), now));
        let told_to_stop = flow.status == DataflowStatus::Stopping && !reported.stopping;
        let may_be_stopping = flow.status == DataflowStatus::Stopping || reported.stopping;
        flow.record = reported.record;
        flow.node_ids = node_ids;
        flow.nodes = reported.running_nodes;
        flow.daemon = Some(daemon.clone());
        flow.result = None;
        flow.status = match (may_be_stopping, reported.spawned) {
            (true, _) => DataflowStatus::Stopping,
            (false, true) => DataflowStatus::Running,
            (false, false) => DataflowStatus::Pending,
        };
        if reported.spawned || may_be_stopping {
            flow.due = None;
        } else if !matches!(flow.due, Some(Due::Spawn(_))) {
            flow.due = self.limits.spawn_result.map(|within| Due::Spawn(now.mono + within));
        }
        if reported.spawned && !may_be_stopping {
            self.spawn_result(id, Ok(()), None);
        }
        let theirs = StoredParameters { sequence: reported.parameter_sequence, values: reported.parameters };
        self.catch_up(link, id, theirs);
        self.store(id);
        if told_to_stop && let Err(error) = self.order_stop(id, None, false) {
            tracing::warn!("{error}");
        }
    }

    fn ended_there(&mut self, daemon: &DaemonId, reported: FinishedDataflow) {
        let FinishedDataflow { dataflow_id: id, record, result } = reported;
        let now = self.now;
        match self.flows.get_mut(&id) {
            None => {
                let node_ids = result.nodes.iter().map(|node| node.node_id.clone()).collect();
                let mut flow = Flow::new(id, record, node_ids, now);
                flow.daemon = Some(daemon.clone());
                self.flows.insert(id, flow);
                self.finish(id, result, true);
            }
            Some(flow) if flow.result.is_none() => {
                flow.record = record;
                flow.daemon = Some(daemon.clone());
                self.finish(id, result, true);
            }
            Some(flow) if flow.end_was_presumed() && !result.nodes.is_empty() => {
                flow.status =
                    if result.error.is_some() { DataflowStatus::Failed } else { DataflowStatus::Finished };
                flow.result = Some(result);
                self.store(id);
            }
            Some(_) => {}
        }
    }

    fn missing_there(&mut self, link: LinkId, daemon: &DaemonId, id: DataflowId) {
        let Some(flow) = self.flows.get(&id) else { return };
        let same_process = flow.daemon.as_ref().is_some_and(|of| of.uuid == daemon.uuid);
        // Its `Spawn` is on its way on this very connection.
        if self
            .pending
            .values()
            .any(|p| p.link == link && matches!(&p.then, Then::Spawned { id: of, .. } if *of == id))
        {
            return;
        }
        let paused = flow.last_recovery.is_some_and(|at| self.now.mono - at < RECOVERY_PAUSE);
        let error = match (same_process, flow.status) {
            (true, _) => "its daemon does not have it any more",
            (false, DataflowStatus::Recovering) => {
                "coordinator restarted, and the daemon as well: its nodes ended with the old daemon"
            }
            (false, DataflowStatus::Stopping) => {
                "its daemon was restarted while the dataflow was being stopped"
            }
            (false, _) if paused => {
                "its daemon was restarted, twice within 30 s; it is not started a third time"
            }
            (false, _) => return self.respawn(link, id),
        };
        self.finish(id, DataflowResult { error: Some(error.to_owned()), nodes: Vec::new() }, true);
    }
}
