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
    control::{DORA_VERSION, DaemonId, Request},
    daemon_link::{DAEMON_HEARTBEAT, DaemonCommand, DaemonEvent, FinishedDataflow, Register},
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
    link::{self, LinkEvent, Outgoing},
    log_queue::LogQueue,
    looks::{Look, Snapshots},
    options::{EndRequest, HostError, HostOptions},
    usage::{Cost, Meter},
};
use crate::{control::Control, listener::Listener, options::RtMode, spawn::Spawner};

/// Period of the metrics.
const LOOK: Duration = Duration::from_secs(2);

/// What tasks of the host tell it.
pub(super) enum Done {
    /// Everything was looked at.
    Looked(Look),
    /// The state of all dataflows was collected for the status report.
    Collected(Outgoing, Snapshots),
    /// These dataflows were asked how they are.
    Seen(Snapshots),
    /// A request to a dataflow was carried out, or not.
    Answered(Box<super::commands::Answered>),
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
    pub(super) up: Option<u64>,
    /// Commands that came on it before the status report was said.
    pub(super) early: Vec<Request<DaemonCommand>>,
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
    pub(super) meter: Option<Meter>,
    /// Nodes that were told of as being gone for good.
    pub(super) gone: BTreeSet<(DataflowId, NodeId)>,
    pub(super) was_up: bool,
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
            Done::Seen(snapshots) => self.tell_states(&snapshots),
            Done::Answered(answered) => self.answered(*answered),
        }
    }

    pub(super) fn controls(&self) -> Vec<(DataflowId, mpsc::UnboundedSender<Control>)> {
        self.flows.iter().map(|(id, flow)| (*id, flow.control.clone())).collect()
    }
}
