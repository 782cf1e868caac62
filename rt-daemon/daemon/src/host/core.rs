//! The one owner of what the daemon has: dataflows, results, the connection. Takes events, decides, tells.
//!
//! 1. A dataflow is in `flows` from its acceptance until its thread has said that it ended, whatever the connection does.
//! 2. What is said on a connection begins with the status report; a dataflow that starts or ends while the report is being
//!    collected is told of after it.
//! 3. Nothing here waits: what takes time is done by a task or a thread, and its outcome comes back as an event.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use dora_protocol::{
    DataflowId, NodeId,
    control::{DORA_VERSION, DaemonId, DataflowResult, NodeOutcome, Request},
    daemon_link::{DAEMON_HEARTBEAT, DaemonCommand, DaemonEvent, DaemonReply, FinishedDataflow, Register},
    log::LogLevel,
};
use rt_tuning::{memory, sched};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

use super::{
    counters::Counters,
    flow::{Flow, FlowEvent},
    link::{self, Failure, LinkEvent, Outgoing},
    log_queue::LogQueue,
    looks::{self, Look, Snapshots},
    options::{EndRequest, HostError, HostOptions},
    usage::{Cost, Meter},
};
use crate::{
    control::Control, cores, listener::Listener, options::RtMode, report::RunReport, spawn::Spawner,
};

/// Period of the metrics.
const LOOK: Duration = Duration::from_secs(2);
/// Results kept for a coordinator that may not have heard of them.
const FINISHED: usize = 256;
/// And their descriptors, in bytes: all of them have to fit into a frame.
const FINISHED_BYTES: usize = 16 << 20;
/// For the last words to a coordinator.
const FAREWELL: Duration = Duration::from_secs(2);
/// So many failed attempts to connect between two sentences about it.
const TOLD_EVERY: u32 = 30;

/// What tasks of the host tell it.
pub(super) enum Done {
    /// Everything was looked at.
    Looked(Look),
    /// The state of all dataflows was collected for the status report.
    Collected(Outgoing, Snapshots),
    /// A change of a dataflow was carried out, or not.
    Applied(Box<super::commands::Applied>),
}

/// A daemon.
pub(super) struct Host {
    pub(super) options: HostOptions,
    pub(super) id: DaemonId,
    /// Where dynamic nodes come in, whatever the connection does.
    pub(super) listener: Listener,
    /// All cores of this process.
    pub(super) cores: Vec<usize>,
    pub(super) flows: BTreeMap<DataflowId, Flow>,
    pub(super) finished: VecDeque<FinishedDataflow>,
    /// Number of the connection that there is.
    up: Option<u64>,
    /// Commands that came on it before the status report was said.
    early: Vec<Request<DaemonCommand>>,
    /// Where to say things; only once the status report was said.
    pub(super) link: Option<Outgoing>,
    pub(super) logs: LogQueue,
    pub(super) done: mpsc::UnboundedSender<Done>,
    pub(super) flow_events: mpsc::UnboundedSender<(DataflowId, FlowEvent)>,
    /// Set when the daemon is to end, with the command to be answered before.
    pub(super) ending: Option<Option<(Outgoing, Uuid)>>,
    pub(super) stats: Counters,
    /// What nodes cost at the last look.
    pub(super) costs: BTreeMap<u32, Cost>,
    /// `None` while a look is under way.
    meter: Option<Meter>,
    /// Nodes that were told of as being gone for good.
    gone: BTreeSet<(DataflowId, NodeId)>,
    was_up: bool,
}

/// Runs a daemon until it is asked to end: by `end`, or by the coordinator.
///
/// Meant for a current-thread tokio runtime with I/O and time enabled. The coordinator may come, go and come back; that
/// changes nothing for the dataflows.
///
/// # Errors
/// [`HostError`] when it could not begin its work. No dataflow has been started then.
pub async fn serve(options: HostOptions, end: mpsc::UnboundedReceiver<EndRequest>) -> Result<(), HostError> {
    let cores = sched::allowed_current();
    // Before anything is bound to cores: its thread passes its cores on to the nodes.
    Spawner::get().map_err(|source| HostError::Machinery { what: "the spawning thread", source })?;
    set_up_real_time(&options)?;
    let listener = Listener::bind(&options.listen)
        .map_err(|source| HostError::Listen { path: options.listen.clone(), source })?;
    let register = Register {
        dora_version: DORA_VERSION.to_owned(),
        instance: Uuid::new_v4(),
        machine_id: options.machine_id.clone(),
        labels: options.labels.clone(),
    };
    let logs = LogQueue::default();
    let (link_events, from_link) = mpsc::unbounded_channel();
    let (flow_events, from_flows) = mpsc::unbounded_channel();
    let (done, from_tasks) = mpsc::unbounded_channel();
    let id = DaemonId { machine_id: options.machine_id.clone(), uuid: register.instance };
    let link = tokio::spawn(link::keep_up(options.clone(), register, logs.clone(), link_events));
    let host = Host {
        options,
        id,
        listener,
        cores,
        flows: BTreeMap::new(),
        finished: VecDeque::new(),
        up: None,
        early: Vec::new(),
        link: None,
        logs,
        done,
        flow_events,
        ending: None,
        stats: Counters::default(),
        costs: BTreeMap::new(),
        meter: Some(Meter::default()),
        gone: BTreeSet::new(),
        was_up: false,
    };
    let outcome = host.run(end, from_link, from_flows, from_tasks).await;
    link.abort();
    outcome
}

/// Memory of this process is locked once; cores are left to dataflows as they come.
fn set_up_real_time(options: &HostOptions) -> Result<(), HostError> {
    if options.rt == RtMode::Off {
        return Ok(());
    }
    let Err(error) = memory::lock_all() else { return Ok(()) };
    let fix = error.fix.as_ref().map(|fix| format!(" (fix: {fix})")).unwrap_or_default();
    let text = format!("{}: {}{fix}", error.what, error.reason);
    if options.rt == RtMode::Strict {
        return Err(HostError::RealTime(text));
    }
    options.say(LogLevel::Warn, text);
    Ok(())
}

impl Host {
    async fn run(
        mut self,
        mut end: mpsc::UnboundedReceiver<EndRequest>,
        mut from_link: mpsc::UnboundedReceiver<LinkEvent>,
        mut from_flows: mpsc::UnboundedReceiver<(DataflowId, FlowEvent)>,
        mut from_tasks: mpsc::UnboundedReceiver<Done>,
    ) -> Result<(), HostError> {
        let mut heartbeat = interval(DAEMON_HEARTBEAT);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut end_open = true;
        while self.ending.is_none() || !self.flows.is_empty() {
            tokio::select! {
                biased;
                request = end.recv(), if end_open => match request {
                    Some(request) => self.end(request, None),
                    None => end_open = false,
                },
                Some((flow, event)) = from_flows.recv() => self.flow_event(flow, event),
                Some(done) = from_tasks.recv() => self.task_done(done),
                Some(event) = from_link.recv() => self.link_event(event)?,
                _ = heartbeat.tick() => self.beat(),
                _ = looks.tick(), if self.link.is_some() && !self.flows.is_empty() => self.look(),
            }
        }
        self.farewell(from_link).await;
        Ok(())
    }

    /// Says something, if anybody listens.
    pub(super) fn event(&self, event: DaemonEvent) {
        if let Some(link) = &self.link {
            link.event(event);
        }
    }

    /// A sign of life, with the counters; they are told here, too, when they have changed.
    fn beat(&mut self) {
        if let Some(line) = self.stats.news() {
            self.options.say(LogLevel::Info, line);
        }
        self.event(DaemonEvent::Heartbeat { ft_stats: self.stats.total() });
    }

    /// Begins the end: the dataflows first.
    pub(super) fn end(&mut self, request: EndRequest, answer: Option<(Outgoing, Uuid)>) {
        let again = self.ending.is_some();
        if answer.is_some() || !again {
            self.ending = Some(answer);
        }
        if !self.flows.is_empty() {
            let how = if request == EndRequest::Kill { "killing" } else { "stopping" };
            self.options.say(LogLevel::Info, format!("{how} {} dataflows", self.flows.len()));
        }
        for flow in self.flows.values_mut() {
            flow.stopping = true;
            let control = match request {
                EndRequest::Graceful => Control::Stop { grace: None },
                EndRequest::Kill => Control::Kill,
            };
            // One that has just ended says so itself.
            flow.control.send(control).unwrap_or_default();
        }
    }

    /// Tells the coordinator the last results, and that this daemon goes; waits a moment until it was said.
    async fn farewell(&mut self, mut from_link: mpsc::UnboundedReceiver<LinkEvent>) {
        let Some(link) = self.link.take() else { return };
        let words = async {
            // What is taken from there is sent before anything that is said after.
            while !self.logs.is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if let Some((asked_on, id)) = self.ending.take().flatten() {
                asked_on.answer(id, Ok(DaemonReply::Done));
            }
            link.event(DaemonEvent::Exit);
            drop(link);
            while let Some(event) = from_link.recv().await {
                if matches!(event, LinkEvent::Down(_)) {
                    return;
                }
            }
        };
        // The coordinator notices the end of the connection, too.
        drop(tokio::time::timeout(FAREWELL, words).await);
    }

    fn link_event(&mut self, event: LinkEvent) -> Result<(), HostError> {
        match event {
            LinkEvent::Up(outgoing) => {
                (self.was_up, self.up) = (true, Some(outgoing.connection));
                self.early.clear();
                self.options.say(
                    LogLevel::Info,
                    format!("connected to the coordinator at {}", self.options.coordinator),
                );
                self.collect(outgoing);
            }
            LinkEvent::Command { connection, request } => match self.link.clone() {
                Some(link) if link.connection == connection => self.command(link, *request),
                // Faster than our status report: it is carried out after that.
                None if self.up == Some(connection) => self.early.push(*request),
                // Of a connection that is gone.
                _ => {}
            },
            LinkEvent::Unknown { connection, id, error } => {
                self.options.say(LogLevel::Warn, error.clone());
                let link = self.link.iter().find(|link| link.connection == connection);
                if let Some((link, id)) = link.zip(id) {
                    link.answer(id, Err(error));
                }
            }
            LinkEvent::Accepted => {}
            LinkEvent::Down(why) => {
                (self.up, self.link) = (None, None);
                let text = format!(
                    "lost the coordinator: {why}; the dataflows go on, and so do the attempts to reach it"
                );
                self.options.say(LogLevel::Warn, text);
            }
            LinkEvent::Failed { failure, failures, pause } => {
                return self.not_connected(failure, failures, pause);
            }
        }
        Ok(())
    }

    fn not_connected(&self, failure: Failure, failures: u32, pause: Duration) -> Result<(), HostError> {
        let address = self.options.coordinator;
        match failure {
            Failure::Refused(reason) if !self.was_up && self.flows.is_empty() => {
                return Err(HostError::Refused { address, reason });
            }
            Failure::Refused(why) | Failure::Unreachable(why) if failures % TOLD_EVERY == 1 => {
                let text = format!(
                    "no connection to a coordinator at {address}: {why}; next attempt in {pause:.1?}"
                );
                self.options.say(LogLevel::Warn, text);
            }
            Failure::Refused(_) | Failure::Unreachable(_) => {}
        }
        Ok(())
    }

    fn flow_event(&mut self, id: DataflowId, event: FlowEvent) {
        match event {
            FlowEvent::Started => {
                if let Some(flow) = self.flows.get_mut(&id) {
                    flow.spawned = true;
                }
                self.event(DaemonEvent::SpawnResult { dataflow_id: id, result: Ok(()) });
            }
            FlowEvent::Ended(outcome) => self.flow_ended(id, outcome),
        }
    }

    fn flow_ended(&mut self, id: DataflowId, outcome: Result<Box<RunReport>, String>) {
        let Some(flow) = self.flows.remove(&id) else { return };
        self.stats.end(id, outcome.as_deref().ok());
        self.gone.retain(|(of, _)| *of != id);
        self.keep_off_claimed_cores();
        let result = match &outcome {
            Ok(report) => result_of(report),
            Err(error) => DataflowResult { error: Some(error.clone()), nodes: Vec::new() },
        };
        let ended = FinishedDataflow { dataflow_id: id, record: flow.record, result: result.clone() };
        self.finished.push_back(ended);
        let weight = |ended: &FinishedDataflow| ended.record.original.len() + ended.record.live.len();
        while self.finished.len() > FINISHED
            || self.finished.iter().map(weight).sum::<usize>() > FINISHED_BYTES
        {
            self.finished.pop_front();
        }
        match outcome {
            Err(error) if !flow.spawned => {
                self.event(DaemonEvent::SpawnResult { dataflow_id: id, result: Err(error) });
            }
            // Behind its last line.
            _ => self.logs.finish(id, result),
        }
    }

    fn task_done(&mut self, done: Done) {
        match done {
            Done::Looked(look) => self.looked(look),
            Done::Collected(outgoing, snapshots) if self.up == Some(outgoing.connection) => {
                self.report_status(outgoing.clone(), &snapshots);
                for request in std::mem::take(&mut self.early) {
                    self.command(outgoing.clone(), request);
                }
            }
            // The connection was lost meanwhile.
            Done::Collected(..) => {}
            Done::Applied(applied) => self.applied(*applied),
        }
    }

    pub(super) fn controls(&self) -> Vec<(DataflowId, mpsc::UnboundedSender<Control>)> {
        self.flows.iter().map(|(id, flow)| (*id, flow.control.clone())).collect()
    }

    fn look(&mut self) {
        let Some(meter) = self.meter.take() else { return };
        let (flows, done) = (self.controls(), self.done.clone());
        tokio::spawn(
            async move { done.send(Done::Looked(looks::look(flows, meter).await)).unwrap_or_default() },
        );
    }

    fn looked(&mut self, look: Look) {
        self.meter = Some(look.meter);
        self.costs = look.costs;
        for (id, snapshot) in &look.snapshots {
            if !self.flows.contains_key(id) {
                continue;
            }
            let nodes = looks::node_states(snapshot, &self.costs);
            self.stats.seen(*id, snapshot.faults);
            for node in &nodes {
                use dora_protocol::control::NodeStatus::{Failed, Stopped};
                let key = (*id, node.node_id.clone());
                match node.status {
                    Failed | Stopped if self.gone.insert(key.clone()) => {
                        self.event(DaemonEvent::NodeStopped {
                            dataflow_id: *id,
                            node_id: node.node_id.clone(),
                            clean_stop: node.status == Stopped,
                        });
                    }
                    Failed | Stopped => {}
                    // Started again by hand.
                    _ => drop(self.gone.remove(&key)),
                }
            }
            self.event(DaemonEvent::NodeMetrics { dataflow_id: *id, nodes });
        }
    }

    /// Binds this thread to cores that no real-time node claims.
    pub(super) fn keep_off_claimed_cores(&self) {
        if self.options.rt == RtMode::Off {
            return;
        }
        let claimed = self.flows.values().flat_map(|flow| &flow.claimed).copied().collect();
        // When it fails the thread stays where it was, and real-time nodes preempt it.
        drop(sched::set_affinity_current(&cores::housekeeping(&self.cores, &claimed)));
    }
}

/// A report in the words of the protocol.
fn result_of(report: &RunReport) -> DataflowResult {
    let outcome = |node: &crate::report::NodeReport| {
        Some(NodeOutcome {
            node_id: node.node.parse().ok()?,
            exit: node.pid.map(|_| node.exit.clone()),
            error: node.error.clone(),
            caused_by: node.caused_by.as_ref().and_then(|node| node.parse().ok()),
        })
    };
    DataflowResult { error: report.failure(), nodes: report.nodes.iter().filter_map(outcome).collect() }
}
