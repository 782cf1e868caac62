//! The one owner of a running dataflow: takes facts, decides, tells.
//!
//! Everything that happens to a node arrives here, as a [`Fact`] in one queue or from the real-time thread, so no two
//! decisions ever race. The loop sleeps until there is a fact, a request to stop, an overdue node, or something due;
//! an idle dataflow has none of them.
//!
//! ```text
//!   Silent ── Hello ──► Connected ── Ready ──► Ready ── all ready or gone ──► Running ── Done ──► Done
//!      └──────────────────────┴───────────────────┴────────── exit ──────────────┴──────────────────┴──► Ended
//! ```
//!
//! 1. A node is told nothing between its wiring and Start, except that it is refused.
//! 2. A reader is told that an input closed exactly once, and of a failure before it.
//! 3. A node becomes `Ended` only after the last thing it said and printed has been read, so its report is complete.
//! 4. When the loop ends no process of the dataflow is left.

use std::{sync::Arc, time::Duration};

use dora_protocol::{
    DataflowId,
    dataflow::Dataflow,
    log::LogLevel,
    node_link::{ToDaemon, ToNode, VERSION},
};
use lockfree_ipc::clock;
use rustix::process::{Pid, Signal};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use crate::{
    compile::Wiring,
    error::DaemonError,
    exit::{Cause, History, failure},
    extension::Extensions,
    feeds::Feeds,
    logs::Display,
    node_link::Said,
    node_state::{Due, NodeState, Phase, holds_up_the_start, should_connect},
    options::{RunEvent, RunOptions, StopRequest},
    pool::{self, Pool},
    proc_usage,
    report::{RtProblem, RtTable},
    stop::Step,
};

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Fact {
    /// A node said something, or closed its socket.
    Said { node: usize, said: Said },
    /// The process of a node has ended and can be reaped.
    Exited { node: usize },
    /// The last line of a node that has ended was read.
    LogsDone { node: usize, tail: Vec<String> },
}

/// How long a node that said `Done` may take to end before its readers are told without knowing how it ended.
const DONE_LINGERS: Duration = Duration::from_millis(200);

/// A running dataflow.
pub(crate) struct Supervisor {
    pub(crate) id: DataflowId,
    pub(crate) dataflow: Arc<Dataflow>,
    pub(crate) options: RunOptions,
    pub(crate) wiring: Wiring,
    pub(crate) nodes: Vec<NodeState>,
    pub(crate) broken: Vec<Option<String>>,
    pub(crate) display: Arc<Display>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) extensions: Extensions,
    pub(crate) facts: mpsc::Sender<Fact>,
    /// Links, captures and exit watches; ended with the run.
    pub(crate) tasks: JoinSet<()>,
    /// Watches nodes that have a limit; always there under `--rt`.
    pub(crate) pool: Option<Pool>,
    /// CLOCK_MONOTONIC of the call.
    pub(crate) called_ns: u64,
    /// CLOCK_MONOTONIC of Start.
    pub(crate) epoch_ns: Option<u64>,
    pub(crate) stop_at: Option<Instant>,
    pub(crate) stopping: bool,
    /// What the daemon itself did not get.
    pub(crate) own_problems: Vec<RtProblem>,
    pub(crate) rt_table: Option<RtTable>,
    pub(crate) refused: Option<Vec<RtProblem>>,
    pub(crate) warnings: Vec<String>,
}

impl Supervisor {
    /// Runs until every node has ended.
    pub(crate) async fn run(
        &mut self,
        mut facts: mpsc::Receiver<Fact>,
        mut stop: mpsc::UnboundedReceiver<StopRequest>,
    ) -> Result<(), DaemonError> {
        let mut stop_open = true;
        self.absent_nodes();
        self.start_if_ready();
        while !self.nodes.iter().all(NodeState::is_ended) {
            let due = self.next_due();
            tokio::select! {
                biased;
                request = stop.recv(), if stop_open => match request {
                    Some(StopRequest::Graceful) => self.stop_all("asked to stop"),
                    Some(StopRequest::Kill) => self.kill_all(),
                    None => stop_open = false,
                },
                () = pool::has_told(self.pool.as_ref()), if self.pool.is_some() => self.take_excesses(),
                () = sleep_until(due), if due.is_some() => self.carry_out_dues(Instant::now()),
                fact = facts.recv() => match fact {
                    Some(fact) => self.take(fact),
                    None => unreachable!("the supervisor holds a sender of its own queue"),
                },
            }
            self.start_if_ready();
        }
        match self.refused.take() {
            Some(problems) => Err(DaemonError::RealTime(problems)),
            None => Ok(()),
        }
    }

    fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Said { node, .. } if self.nodes[node].is_ended() => {}
            Fact::Said { node, said: Said::Frame(frame) } => self.frame(node, frame),
            Fact::Said { node, said } => {
                self.nodes[node].said_all = true;
                match said {
                    Said::Garbage(what) => self.disconnect(node, what),
                    _ => self.link_closed(node),
                }
                self.end_if_complete(node);
            }
            Fact::Exited { node } => self.exited(node),
            Fact::LogsDone { node, tail } => {
                self.nodes[node].tail = tail;
                self.nodes[node].printed_all = true;
                self.end_if_complete(node);
            }
        }
    }

    fn frame(&mut self, node: usize, frame: ToDaemon) {
        let phase = self.nodes[node].phase;
        match frame {
            ToDaemon::Hello { version, api, pid } if phase == Phase::Silent => {
                self.nodes[node].speaker = self.speaker(node, pid);
                self.hello(node, version, &api);
            }
            ToDaemon::Ready { setup, main_tid } if phase == Phase::Connected => {
                let state = &mut self.nodes[node];
                state.phase = Phase::Ready;
                state.setup = setup;
                state.main_tid = Some(main_tid);
                state.clear_due(|due| matches!(due, Due::Startup(_)));
                if let Some(epoch_ns) = self.epoch_ns {
                    self.start_node(node, epoch_ns);
                }
            }
            ToDaemon::Hello { .. } | ToDaemon::Ready { .. } => {
                self.disconnect(node, format!("sent Hello or Ready out of turn (it was {phase:?})"));
            }
            _ if phase == Phase::Silent => self.disconnect(node, "did not say Hello first".into()),
            ToDaemon::OutputsClosed { outputs } => {
                let known = self.dataflow.nodes[node].outputs.len();
                if outputs.iter().any(|o| *o as usize >= known) {
                    return self.disconnect(node, format!("closed output {outputs:?}, and it has {known}"));
                }
                for output in outputs {
                    self.close_output(node, output as usize);
                }
                self.look_for_stragglers();
            }
            ToDaemon::EdgeBroken { input, output, reason } => self.edge_broken(node, input, output, reason),
            ToDaemon::Done => {
                self.disarm(node);
                let state = &mut self.nodes[node];
                state.phase = Phase::Done;
                state.clear_due(|due| matches!(due, Due::LinkLost | Due::Startup(_)));
                state.set_due(Instant::now() + DONE_LINGERS, Due::DoneLingers);
            }
            ToDaemon::Extension { request, call } => {
                let result = self.extensions.call(node, call);
                self.tell(node, ToNode::ExtensionReply { request, result });
            }
        }
    }

    /// The process that a node says it is, if that is in the session of the process that was started; else that.
    fn speaker(&self, node: usize, claimed: u32) -> Option<u32> {
        let leader = self.nodes[node].pid;
        let claimed = Pid::from_raw(claimed.cast_signed())?;
        let session = rustix::process::getsid(Some(claimed)).ok()?;
        let is_its_own = Some(session.as_raw_nonzero().get().cast_unsigned()) == leader;
        if is_its_own { Some(claimed.as_raw_nonzero().get().cast_unsigned()) } else { leader }
    }

    fn hello(&mut self, node: usize, version: u32, api: &str) {
        let id = self.dataflow.nodes[node].id.clone();
        if version != VERSION {
            let reason = format!(
                "node `{id}` was built with `{api}`, which speaks version {version} of the node protocol; this \
                 dora speaks version {VERSION}: build both from the same release"
            );
            return self.refuse(node, reason.clone(), Cause::Refused(reason));
        }
        self.nodes[node].connected = true;
        if self.stopping || self.refused.is_some() {
            return self.refuse(node, "the dataflow was stopped before it started".into(), Cause::NotStarted);
        }
        self.nodes[node].phase = Phase::Connected;
        let rt = self.options.rt != crate::options::RtMode::Off;
        let (setup, fds) = self.wiring.setup(&self.dataflow, node, self.id, rt);
        if let Some(link) = &self.nodes[node].link
            && !link.send_setup(setup, fds)
        {
            self.disconnect(node, "did not read its wiring".into());
        }
    }

    /// Tells a node that it cannot take part, and ends it if it does not end by itself.
    pub(crate) fn refuse(&mut self, node: usize, reason: String, cause: Cause) {
        let state = &mut self.nodes[node];
        state.cause.get_or_insert(cause);
        if let Some(link) = &state.link {
            link.send(ToNode::Refused { reason });
        }
        state.stopping = Some(Step::Event);
        state.clear_due(|due| matches!(due, Due::Stop(_)));
        state.set_due(Instant::now() + self.options.grace, Due::Stop(Step::Term));
    }

    /// Sends a frame, now or after Start.
    pub(crate) fn tell(&mut self, node: usize, frame: ToNode) {
        let state = &mut self.nodes[node];
        match state.phase {
            Phase::Silent | Phase::Connected | Phase::Ready => state.pending.push(frame),
            Phase::Running | Phase::Done => {
                if let Some(link) = &state.link
                    && !link.send(frame)
                    && state.phase == Phase::Running
                    && !state.deaf
                {
                    self.disconnect(node, "does not read its control socket".into());
                }
            }
            Phase::Ended => {}
        }
    }

    fn link_closed(&mut self, node: usize) {
        let grace = self.options.grace;
        let id = self.dataflow.nodes[node].id.clone();
        let state = &mut self.nodes[node];
        if state.phase == Phase::Done || state.living.is_none() {
            return;
        }
        // Usually the process is just ending; its exit tells the rest.
        state.deaf = true;
        if state.connected {
            state.set_due(Instant::now() + grace, Due::LinkLost);
        } else if should_connect(&self.dataflow.nodes[node]) {
            self.display.system(
                LogLevel::Debug,
                Some(&id),
                "closed its socket without connecting; the start does not wait for it",
            );
        }
    }

    /// Gives up a node that cannot be understood: nobody could tell it to stop any more.
    pub(crate) fn disconnect(&mut self, node: usize, what: String) {
        let id = self.dataflow.nodes[node].id.clone();
        self.display.system(
            LogLevel::Error,
            Some(&id),
            format!("node `{id}` {what}; it is disconnected and ended"),
        );
        let state = &mut self.nodes[node];
        state.cause.get_or_insert(Cause::Garbage(what));
        state.link = None;
        state.deaf = true;
        state.signal(Signal::KILL);
    }

    fn disarm(&mut self, node: usize) {
        if let Some(pool) = &mut self.pool {
            pool.disarm(node);
        }
    }

    fn exited(&mut self, node: usize) {
        self.disarm(node);
        let state = &mut self.nodes[node];
        let Some(mut living) = state.living.take() else { return };
        for finish in living.finish.drain(..) {
            // Whoever is gone already has had its last word.
            finish.send(()).ok();
        }
        state.exit = living.bury();
        state.dues.clear();
        self.end_if_complete(node);
    }

    /// The last words of a process may arrive after its exit.
    fn end_if_complete(&mut self, node: usize) {
        let state = &self.nodes[node];
        if state.living.is_none() && state.said_all && state.printed_all {
            self.ended(node);
        }
    }

    /// The process is gone and its output was read.
    fn ended(&mut self, node: usize) {
        let description = &self.dataflow.nodes[node];
        let state = &mut self.nodes[node];
        if state.is_ended() {
            return;
        }
        state.phase = Phase::Ended;
        state.link = None;
        if let Some((exit, _)) = state.exit {
            let history = History {
                exit,
                cause: state.cause.clone(),
                connected: state.connected,
                should_connect: should_connect(description),
            };
            state.error = failure(&history);
        }
        if let Some(error) = &state.error {
            state.caused_by = state.upstream.clone();
            self.display.system(
                LogLevel::Error,
                Some(&description.id),
                format!("node `{}` {error}", description.id),
            );
        }
        self.propagate_end(node);
        self.look_for_stragglers();
    }

    /// A node that was never started counts as gone from the beginning.
    pub(crate) fn never_started(&mut self, node: usize, error: Option<String>) {
        self.nodes[node].error = error;
        self.ended(node);
    }

    /// Passes the start barrier when every node that takes part is ready or gone.
    fn start_if_ready(&mut self) {
        let waiting = |(state, node): (&NodeState, _)| {
            state.phase < Phase::Ready && state.can_be_heard() && holds_up_the_start(node)
        };
        if self.epoch_ns.is_some()
            || self.stopping
            || self.refused.is_some()
            || self.nodes.iter().all(NodeState::is_ended)
            || self.nodes.iter().zip(&self.dataflow.nodes).any(waiting)
        {
            return;
        }
        if !self.check_real_time() {
            return;
        }
        for state in &mut self.nodes {
            if let Some(pid) = state.speaker.or(state.pid).filter(|_| !state.is_ended()) {
                state.before_start = proc_usage::of(pid);
            }
        }
        let epoch_ns = clock::monotonic_ns();
        self.epoch_ns = Some(epoch_ns);
        for node in 0..self.nodes.len() {
            if self.nodes[node].phase == Phase::Ready {
                self.start_node(node, epoch_ns);
            }
        }
        self.stop_at = self.options.stop_after.map(|after| Instant::now() + after);
        let after_ms = (epoch_ns - self.called_ns) as f64 * 1e-6;
        self.display.send(RunEvent::Started { after_ms });
    }

    fn start_node(&mut self, node: usize, epoch_ns: u64) {
        let state = &mut self.nodes[node];
        state.phase = Phase::Running;
        if let Some(pool) = &mut self.pool {
            pool.arm(node, clock::monotonic_ns());
        }
        let pending = std::mem::take(&mut state.pending);
        self.tell(node, ToNode::Start { epoch_ns });
        for frame in pending {
            self.tell(node, frame);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let of_nodes = self.nodes.iter().flat_map(|n| n.dues.iter().map(|(at, _)| *at));
        of_nodes.chain(self.stop_at.filter(|_| !self.stopping)).min()
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
