//! The one owner of a running dataflow: takes facts, decides, tells.
//!
//! Everything that happens to a node arrives here, as a [`Fact`] in one queue or from the real-time thread, so no
//! two decisions ever race. The loop sleeps until there is a fact, a request to stop, an overdue node, or
//! something due; an idle dataflow has none of them.
//!
//! ```text
//!   Silent ── Hello ──► Connected ── Ready ──► Ready ── all ready or gone ──► Running ── Done ──► Done
//!      └──────────────────────┴───────────────────┴────────── exit ──────────────┴──────────────────┴──► Ended
//! ```
//!
//! 1. A reader is told that an input closed exactly once, and of a failure before it.
//! 2. A node becomes `Ended` only after the last thing it said and printed has been read, so its report is
//!    complete.
//! 3. When the loop ends no process of the dataflow is left.
//!
//! What is said to a node and what it says is in `conversation`, how nodes are ended in `stopping`, what an end
//! means for others in `propagate`.

use std::sync::Arc;

use dora_protocol::{DataflowId, dataflow::Dataflow, log::LogLevel, node_link::ToNode};
use lockfree_ipc::clock;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use crate::{
    compile::Wiring,
    error::DaemonError,
    exit::{History, failure},
    extension::Extensions,
    feeds::Feeds,
    logs::Display,
    node_link::Said,
    node_state::{NodeState, Phase, holds_up_the_start, should_connect},
    options::{RunEvent, RunOptions, StopRequest},
    pool::{self, Pool},
    proc_usage,
    report::{RtProblem, RtTable},
};

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Fact {
    /// A node said something, or closed its socket.
    Said { node: usize, said: Said },
    /// The process of a node has ended and can be reaped.
    Exited { node: usize },
    /// A node missed a deadline and calls for attention.
    Missed { node: usize },
    /// The last line of a node that has ended was read.
    LogsDone { node: usize, tail: Vec<String> },
}

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
            Fact::Missed { node } => self.take_misses(node),
            Fact::LogsDone { node, tail } => {
                self.nodes[node].tail = tail;
                self.nodes[node].printed_all = true;
                self.end_if_complete(node);
            }
        }
    }

    pub(crate) fn disarm(&mut self, node: usize) {
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

    pub(crate) fn start_node(&mut self, node: usize, epoch_ns: u64) {
        self.tell_observer(node);
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
