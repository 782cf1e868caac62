//! A dataflow from its start to its end, and again.

use std::time::Duration;

use dora_protocol::{
    DataflowId,
    control::{ControlReply, DataflowResult, DataflowStatus, Event, NodeStatus},
    daemon_link::{DaemonCommand, DataflowRecord},
    rt::RtTable,
};

use super::{
    Effect, Launch, LinkId, State, Waiter,
    answers::{Then, time_to_stop},
    flow::{Awaiting, Due, Flow, PlannedRestart},
};
use crate::{
    descriptor::{self, Resolved},
    placement::{self, Candidate},
    store::StoredParameters,
};

/// Dataflows that have ended and whose lines still wait for a first subscriber.
const UNREAD: usize = 8;

impl State {
    pub(super) fn start(&mut self, waiter: Waiter, launch: Launch) {
        let reply = |uuid, warnings| ControlReply::DataflowStartTriggered { uuid, warnings };
        let warnings = launch.resolved.warnings.clone();
        if let Err(error) = self.launch(launch, StoredParameters::default(), waiter, |id| reply(id, warnings))
        {
            self.reply(waiter, Err(error));
        }
    }

    fn place(&self, resolved: &Resolved) -> Result<LinkId, String> {
        let candidate = |(link, daemon): (&LinkId, &super::Daemon)| (*link, daemon.clone());
        let daemons: Vec<(LinkId, super::Daemon)> = self.daemons.iter().map(candidate).collect();
        let candidates: Vec<_> = daemons
            .iter()
            .map(|(link, daemon)| Candidate {
                key: *link,
                machine: daemon.id.machine_id.as_deref(),
                labels: &daemon.labels,
            })
            .collect();
        placement::choose(&resolved.wishes, &candidates)
    }

    /// Would a change of the descriptor move the dataflow to another daemon than this?
    pub(super) fn stays_on(&self, link: LinkId, resolved: &Resolved) -> Result<(), String> {
        match self.place(resolved)? {
            found if found == link => Ok(()),
            // Several would do, among them the one it runs on.
            _ if resolved.wishes.iter().all(|wish| wish.machine.is_none() && wish.labels.is_empty()) => Ok(()),
            _ => Err("`deploy:` names another machine than the one the dataflow runs on; splitting one dataflow over machines is \
                      not there yet"
                .to_owned()),
        }
    }

    fn launch(
        &mut self,
        launch: Launch,
        parameters: StoredParameters,
        waiter: Waiter,
        reply: impl FnOnce(DataflowId) -> ControlReply,
    ) -> Result<(), String> {
        if self.ending.is_some() {
            return Err("the coordinator is ending".to_owned());
        }
        let Launch { mut record, resolved } = launch;
        if let Some(name) = &record.name
            && let Ok(other) = self.named(name, false)
        {
            return Err(format!(
                "a dataflow called `{name}` is running already ({other}); choose another --name, or stop it with `dora stop {name}`"
            ));
        }
        let link = self.place(&resolved)?;
        let id = DataflowId::now_v7();
        record.created_ms = self.now.wall_ms;
        let mut flow = Flow::new(id, record, resolved.node_ids(), self.now);
        flow.daemon = self.daemons.get(&link).map(|daemon| daemon.id.clone());
        flow.parameters = parameters;
        self.flows.insert(id, flow);
        self.spawn(link, id, resolved, Some((waiter, Box::new(reply(id)))));
        Ok(())
    }

    fn spawn(
        &mut self,
        link: LinkId,
        id: DataflowId,
        resolved: Resolved,
        starting: Option<(Waiter, Box<ControlReply>)>,
    ) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        flow.due = self.limits.spawn_result.map(|within| Due::Spawn(self.now.mono + within));
        let (parameters, parameter_sequence) = flow.all_parameters();
        let command = DaemonCommand::Spawn {
            dataflow_id: id,
            dataflow: Box::new(resolved.dataflow),
            record: Box::new(flow.record.clone()),
            parameters,
            parameter_sequence,
        };
        self.command(link, command, Then::Spawned { id, starting });
    }

    /// The daemon's word on `Spawn`.
    pub(super) fn spawn_accepted(
        &mut self,
        id: DataflowId,
        starting: Option<(Waiter, Box<ControlReply>)>,
        outcome: Result<(), String>,
    ) {
        let connected = self.flows.get(&id).is_some_and(|flow| self.link_of(flow).is_ok());
        match outcome {
            Ok(()) => {
                self.store(id);
                if let Some((waiter, reply)) = starting {
                    self.reply(waiter, Ok(*reply));
                }
            }
            // Refused: it never was, unless somebody could know of it already.
            Err(error) if connected => {
                let keep = starting.is_none() || self.flows.get(&id).is_some_and(|flow| flow.stored);
                if let Some((waiter, _)) = starting {
                    self.reply(waiter, Err(error.clone()));
                }
                self.finish(id, DataflowResult { error: Some(error), nodes: Vec::new() }, keep);
                if !keep {
                    self.flows.remove(&id);
                }
            }
            Err(error) => {
                self.store(id);
                if let Some((waiter, _)) = starting {
                    self.reply(
                        waiter,
                        Err(format!("{error}; `dora list` shows what became of dataflow {id}")),
                    );
                }
            }
        }
    }

    /// Starts a dataflow again that its daemon has lost.
    pub(super) fn respawn(&mut self, link: LinkId, id: DataflowId) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        flow.last_recovery = Some(self.now.mono);
        flow.status = DataflowStatus::Pending;
        flow.spawned = false;
        flow.rt_table = None;
        flow.nodes.clear();
        flow.daemon = self.daemons.get(&link).map(|daemon| daemon.id.clone());
        tracing::warn!("{} was lost by its daemon and is started again", flow.shown());
        match descriptor::resolve(&flow.record) {
            Ok(resolved) => self.spawn(link, id, resolved, None),
            Err(error) => self.finish(id, DataflowResult { error: Some(error), nodes: Vec::new() }, true),
        }
    }

    pub(super) fn wait_for_spawn(&mut self, waiter: Waiter, id: DataflowId) {
        match self.flows.get_mut(&id) {
            Some(flow) if flow.spawned => self.reply(waiter, Ok(ControlReply::DataflowSpawned { uuid: id })),
            Some(flow) if flow.result.is_none() => flow.spawn_waiters.push(waiter),
            Some(flow) => {
                let error = not_spawned(flow);
                self.reply(waiter, Err(error));
            }
            None => {
                let error = self.running(id).map(drop).unwrap_err_or_default();
                self.reply(waiter, Err(error));
            }
        }
    }

    pub(super) fn wait_for_finish(&mut self, waiter: Waiter, id: DataflowId) {
        match self.flows.get_mut(&id) {
            Some(Flow { result: Some(result), .. }) => {
                let result = result.clone();
                self.reply(waiter, Ok(ControlReply::DataflowStopped { uuid: id, result }));
            }
            Some(flow) => flow.finish_waiters.push(Awaiting { waiter, deadline: None }),
            None => {
                let error = self.known(id).map(drop).unwrap_err_or_default();
                self.reply(waiter, Err(error));
            }
        }
    }

    /// Every node is ready, or it came to nothing.
    pub(super) fn spawn_result(
        &mut self,
        id: DataflowId,
        result: Result<(), String>,
        rt_table: Option<RtTable>,
    ) {
        let Some(flow) = self.flows.get_mut(&id).filter(|flow| !flow.status.has_ended()) else { return };
        // A report of what runs does not tell it again.
        flow.rt_table = rt_table.or(flow.rt_table.take());
        match result {
            Err(error) => self.finish(id, DataflowResult { error: Some(error), nodes: Vec::new() }, true),
            Ok(()) => {
                flow.spawned = true;
                if matches!(flow.status, DataflowStatus::Pending | DataflowStatus::Recovering) {
                    flow.status = DataflowStatus::Running;
                }
                if matches!(flow.due, Some(Due::Spawn(_))) {
                    flow.due = None;
                }
                let waiters = std::mem::take(&mut flow.spawn_waiters);
                for waiter in waiters {
                    self.reply(waiter, Ok(ControlReply::DataflowSpawned { uuid: id }));
                }
                self.store(id);
            }
        }
    }

    pub(super) fn stop(&mut self, waiter: Waiter, id: DataflowId, grace: Option<Duration>, force: bool) {
        if let Some(Flow { result: Some(result), .. }) = self.flows.get(&id) {
            let result = result.clone();
            return self.reply(waiter, Ok(ControlReply::DataflowStopped { uuid: id, result }));
        }
        if let Err(error) = self.order_stop(id, grace, force) {
            return self.reply(waiter, Err(error));
        }
        let deadline = Some(self.now.mono.saturating_add(time_to_stop(grace)));
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.finish_waiters.push(Awaiting { waiter, deadline });
            if let Some(planned) = flow.restart.take() {
                let error = "the dataflow was told to stop while it was being restarted".to_owned();
                self.reply(planned.waiter, Err(error));
            }
        }
    }

    /// Tells the daemon to stop it.
    pub(super) fn order_stop(
        &mut self,
        id: DataflowId,
        grace: Option<Duration>,
        force: bool,
    ) -> Result<(), String> {
        let link = self.link_of(self.running(id)?)?;
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.status = DataflowStatus::Stopping;
            flow.due = None;
        }
        self.store(id);
        let command = DaemonCommand::StopDataflow { dataflow_id: id, grace_duration: grace, force };
        self.command(link, command, Then::Stopping { id });
        Ok(())
    }

    /// The daemon cannot stop it: whoever waits should know.
    pub(super) fn stop_refused(&mut self, id: DataflowId, error: &str) {
        let Some(flow) = self.flows.get_mut(&id).filter(|flow| flow.result.is_none()) else { return };
        let stopping = |awaiting: &mut Awaiting| awaiting.deadline.is_some();
        let mut waiters: Vec<Waiter> =
            flow.finish_waiters.extract_if(.., stopping).map(|awaiting| awaiting.waiter).collect();
        waiters.extend(flow.restart.take().map(|planned| planned.waiter));
        for waiter in waiters {
            self.reply(waiter, Err(error.to_owned()));
        }
    }

    pub(super) fn restart(
        &mut self,
        waiter: Waiter,
        id: DataflowId,
        grace: Option<Duration>,
        force: bool,
        original: bool,
    ) {
        let prepared = self.known(id).and_then(|flow| again(&flow.record, original));
        let launch = match prepared {
            Ok(launch) => launch,
            Err(error) => return self.reply(waiter, Err(error)),
        };
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if flow.restart.is_some() {
            let error = format!("{} is being restarted already", flow.shown());
            return self.reply(waiter, Err(error));
        }
        if flow.result.is_some() {
            return self.launch_again(id, launch, waiter);
        }
        match self.order_stop(id, grace, force) {
            Ok(()) => {
                if let Some(flow) = self.flows.get_mut(&id) {
                    flow.restart = Some(PlannedRestart { waiter, original });
                }
            }
            Err(error) => self.reply(waiter, Err(error)),
        }
    }

    fn launch_again(&mut self, old: DataflowId, launch: Launch, waiter: Waiter) {
        let kept_changes = launch.record.changes.clone();
        let parameters = self.flows.get(&old).map(|flow| flow.parameters.clone()).unwrap_or_default();
        let reply = |new_uuid| ControlReply::DataflowRestarted { old_uuid: old, new_uuid, kept_changes };
        if let Err(error) = self.launch(launch, parameters, waiter, reply) {
            self.reply(waiter, Err(error));
        }
    }

    /// It has ended. Everybody who waits is told; a planned restart follows.
    pub(super) fn finish(&mut self, id: DataflowId, mut result: DataflowResult, keep: bool) {
        let Some(flow) = self.flows.get_mut(&id).filter(|flow| flow.result.is_none()) else { return };
        if let Some(reason) = flow.stop_reason.take() {
            let nodes = result.error.take().map(|error| format!(" ({error})")).unwrap_or_default();
            result.error = Some(reason + &nodes);
        }
        flow.status = if result.error.is_some() { DataflowStatus::Failed } else { DataflowStatus::Finished };
        flow.result = Some(result.clone());
        flow.due = None;
        flow.changing = false;
        for state in &mut flow.nodes {
            state.metrics = None;
            state.pid = None;
            if !matches!(state.status, NodeStatus::Failed) {
                state.status = NodeStatus::Stopped;
            }
        }
        let not_spawned = not_spawned(flow);
        let spawn_waiters = std::mem::take(&mut flow.spawn_waiters);
        let finish_waiters = std::mem::take(&mut flow.finish_waiters);
        let changes = std::mem::take(&mut flow.changes);
        let subscribers = std::mem::take(&mut flow.subscribers);
        let restart = flow.restart.take();
        let record = flow.record.clone();
        for waiter in spawn_waiters {
            self.reply(waiter, Err(not_spawned.clone()));
        }
        for (waiter, _) in changes {
            self.reply(waiter, Err("the dataflow has ended".to_owned()));
        }
        for (client, _) in subscribers {
            let event = Event::Finished { dataflow_id: id, result: result.clone() };
            self.effects.push_back(Effect::Event(client, event));
        }
        for awaiting in finish_waiters {
            let reply = ControlReply::DataflowStopped { uuid: id, result: result.clone() };
            self.reply(awaiting.waiter, Ok(reply));
        }
        if keep {
            self.store(id);
        }
        self.forget_old_lines();
        if let Some(planned) = restart {
            match again(&record, planned.original) {
                Ok(launch) => self.launch_again(id, launch, planned.waiter),
                Err(error) => self.reply(planned.waiter, Err(error)),
            }
        }
    }

    /// Lines of dataflows that have ended are kept for those that ended last; the files have all of them.
    fn forget_old_lines(&mut self) {
        let ended = self.flows.values_mut().rev().filter(|flow| flow.result.is_some());
        ended.skip(UNREAD).for_each(|flow| flow.logs = super::logs::LogBuffer::default());
    }
}

fn not_spawned(flow: &Flow) -> String {
    let error = flow.result.as_ref().and_then(|result| result.error.as_deref());
    match error {
        Some(error) => format!("{} could not be started: {error}", flow.shown()),
        None => format!("{} has ended before every node was ready", flow.shown()),
    }
}

/// A record to start again, with or without its changes.
fn again(record: &DataflowRecord, original: bool) -> Result<Launch, String> {
    let mut record = record.clone();
    if original {
        record.live.clone_from(&record.original);
        record.changes.clear();
        record.generation = 0;
    }
    let resolved = descriptor::resolve(&record)?;
    Ok(Launch { record, resolved })
}

/// The error of a look-up that has just failed.
trait ErrorOf {
    fn unwrap_err_or_default(self) -> String;
}

impl ErrorOf for Result<(), String> {
    fn unwrap_err_or_default(self) -> String {
        self.err().unwrap_or_default()
    }
}
