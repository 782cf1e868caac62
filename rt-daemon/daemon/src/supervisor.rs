//! The one owner of a running dataflow: takes facts, decides, tells.
//!
//! Everything that happens to a node arrives here, as a [`Fact`] in one queue or from the real-time thread, so no
//! two decisions ever race. The loop sleeps until there is a fact, a request, an overdue node, or something due; an idle
//! dataflow has none of them.
//!
//! ```text
//!            ┌──────────────────────── restart, attach ─────────────────────────┐
//!            ▼                                                                  │
//!   Silent ── Hello ──► Connected ── Ready ──► Ready ── all ready or gone ──► Running ── Done ──► Done
//!      └──────────────────────┴───────────────────┴────────── exit ──────────────┴──────────────────┴──► Away, Ended
//! ```
//!
//! 1. A reader is told that an input closed exactly once, unless it opened again, and of a failure before it.
//! 2. A node becomes `Ended` only after the last thing it said and printed has been read, so its report is
//!    complete.
//! 3. When the loop ends no process of the dataflow is left.
//! 4. `dataflow` only grows, and its indices are places: a node that was removed leaves its place vacant. What the user
//!    sees is `live`.
//!
//! What is said to a node and what it says is in `conversation`, how nodes are ended in `stopping`, what an end
//! means for others in `propagate`, what follows it for the node in `comeback`; requests are in `requests` and `change`.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
};

use dora_protocol::{
    DataflowId,
    control::FtStats,
    dataflow::{Dataflow, NodeKind},
    node_link::ToNode,
};
use lockfree_ipc::clock;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use crate::{
    compile::Wiring,
    control::Control,
    error::DaemonError,
    extension::Extensions,
    feeds::Feeds,
    former::Former,
    guests::{Guest, Places},
    log_thread::LogThread,
    logs::Display,
    node_link::Said,
    node_state::{NodeState, Phase, ProcessId, Role, holds_up_the_start},
    options::{Parameters, RunEvent, RunOptions},
    pool::{self, Pool},
    proc_usage,
    report::{RtProblem, RtTable},
    requests::Operation,
    spawn::Spawner,
};

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Fact {
    /// A process said something, or closed its socket.
    Said { process: ProcessId, said: Said },
    /// A process has ended and can be reaped.
    Exited { process: ProcessId },
    /// A node missed a deadline and calls for attention.
    Missed { node: usize },
    /// The last line of a process that has ended was read.
    LogsDone { process: ProcessId, tail: Vec<String> },
    /// Somebody wants to take the place of a dynamic node.
    Knocked(Guest),
}

/// A running dataflow.
pub(crate) struct Supervisor {
    pub(crate) id: DataflowId,
    pub(crate) live: Dataflow,
    pub(crate) dataflow: Arc<Dataflow>,
    pub(crate) options: RunOptions,
    pub(crate) params: Parameters,
    pub(crate) wiring: Wiring,
    pub(crate) nodes: Vec<NodeState>,
    pub(crate) former: Former,
    /// Restarts of nodes that were removed, and all kills.
    pub(crate) faults: FtStats,
    pub(crate) display: Arc<Display>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) extensions: Extensions,
    pub(crate) facts: mpsc::Sender<Fact>,
    /// Links, captures and exit watches; ended with the run.
    pub(crate) tasks: JoinSet<()>,
    /// Where the captures run.
    pub(crate) log_thread: LogThread,
    /// Whose process that is.
    pub(crate) processes: BTreeMap<ProcessId, usize>,
    pub(crate) last_process: ProcessId,
    pub(crate) spawner: Spawner,
    /// Of the log files.
    pub(crate) folder: PathBuf,
    /// Cores of this process before it moved away from those of nodes.
    pub(crate) existing: Vec<usize>,
    /// Watches nodes that have a limit; always there under `--rt`.
    pub(crate) pool: Option<Pool>,
    /// Where dynamic nodes come in.
    pub(crate) guests: Option<Places>,
    /// Nodes whose next process is started in this turn of the loop.
    pub(crate) to_start: VecDeque<usize>,
    /// The request that is being carried out.
    pub(crate) operation: Option<Operation>,
    /// Requests behind it.
    pub(crate) waiting: VecDeque<Control>,
    /// CLOCK_MONOTONIC of the call.
    pub(crate) called_ns: u64,
    pub(crate) called_at: Instant,
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
        mut control: mpsc::UnboundedReceiver<Control>,
    ) -> Result<(), DaemonError> {
        let mut control_open = true;
        loop {
            self.catch_up().await;
            if self.is_over() {
                break;
            }
            let due = self.next_due();
            tokio::select! {
                biased;
                request = control.recv(), if control_open => match request {
                    Some(request) => self.request(request),
                    None => control_open = false,
                },
                () = pool::has_told(self.pool.as_ref()), if self.pool.is_some() => self.take_excesses(),
                () = sleep_until(due), if due.is_some() => self.carry_out_dues(Instant::now()),
                // Never closed: the supervisor holds a sender of its own queue.
                Some(fact) = facts.recv() => self.take(fact),
                else => break,
            }
        }
        self.refuse_requests("the dataflow has ended");
        match self.refused.take() {
            Some(problems) => Err(DaemonError::RealTime(problems)),
            None => Ok(()),
        }
    }

    /// Does everything that the latest news has made possible.
    async fn catch_up(&mut self) {
        loop {
            while let Some(node) = self.to_start.pop_front() {
                self.start_again(node).await;
            }
            let busy = self.go_on_with_requests().await;
            if !busy && self.to_start.is_empty() {
                break;
            }
        }
        self.start_if_ready();
        if self.only_guests_are_left() {
            self.stop_all("all nodes that dora has started have ended");
        }
        if let Some(pool) = &mut self.pool {
            pool.flush();
        }
    }

    /// Has every node ended? One that somebody else starts may come back as long as the dataflow runs.
    fn is_over(&self) -> bool {
        self.operation.is_none() && self.nodes.iter().all(|n| n.role == Role::Vacant || n.is_ended())
    }

    fn only_guests_are_left(&self) -> bool {
        let members = || self.members().map(|node| (&self.nodes[node], &self.dataflow.nodes[node].kind));
        let (mut own, mut left) = (false, false);
        for (state, kind) in members() {
            match *kind == NodeKind::Dynamic {
                true => left |= !state.is_ended(),
                false if state.is_ended() => own = true,
                false => return false,
            }
        }
        own && left && !self.stopping && self.operation.is_none()
    }

    /// All nodes of the dataflow as it is now.
    pub(crate) fn members(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].role == Role::Member)
    }

    fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Said { process, said } => {
                let Some(node) = self.processes.get(&process).copied() else { return };
                self.said(node, said);
            }
            Fact::Exited { process } => {
                if let Some(node) = self.processes.get(&process).copied() {
                    self.exited(node);
                }
            }
            Fact::Missed { node } => self.take_misses(node),
            Fact::LogsDone { process, tail } => {
                let Some(node) = self.processes.get(&process).copied() else { return };
                self.nodes[node].tail = tail;
                self.nodes[node].printed_all = true;
                self.end_if_complete(node);
            }
            Fact::Knocked(guest) => self.knocked(guest),
        }
    }

    fn said(&mut self, node: usize, said: Said) {
        match said {
            _ if self.nodes[node].is_ended() => return,
            Said::Frame(frame) => return self.frame(node, frame),
            Said::Garbage(what) => {
                self.nodes[node].said_all = true;
                self.disconnect(node, what);
            }
            Said::Closed => {
                self.nodes[node].said_all = true;
                self.link_closed(node);
            }
        }
        self.end_if_complete(node);
    }

    pub(crate) fn disarm(&mut self, node: usize) {
        if let Some(pool) = &mut self.pool {
            pool.disarm(node);
        }
    }

    fn exited(&mut self, node: usize) {
        // The next process may have another page.
        if self.may_come_back(node) {
            self.take_misses(node);
        }
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
        if state.guest.is_some() && state.said_all {
            self.detached(node);
        } else if state.living.is_none() && state.said_all && state.printed_all {
            self.ended(node);
        }
    }

    /// Passes the start barrier when every node that takes part is ready or gone.
    fn start_if_ready(&mut self) {
        let waits = |node: usize| {
            let state = &self.nodes[node];
            let is_coming = state.phase < Phase::Ready && state.can_be_heard() && !state.late;
            is_coming && holds_up_the_start(&self.dataflow.nodes[node])
        };
        if self.epoch_ns.is_some()
            || self.stopping
            || self.refused.is_some()
            || self.members().all(|node| self.nodes[node].is_ended())
            || self.members().any(waits)
        {
            return;
        }
        if !self.check_real_time() {
            return;
        }
        for state in &mut self.nodes {
            if let Some(pid) = state.speaker.or(state.pid).filter(|_| state.living.is_some()) {
                state.before_start = proc_usage::of(pid);
            }
        }
        let epoch_ns = clock::monotonic_ns();
        self.epoch_ns = Some(epoch_ns);
        let ready: Vec<_> = self.members().filter(|node| self.nodes[*node].phase == Phase::Ready).collect();
        for node in ready {
            self.start_node(node, epoch_ns);
        }
        self.stop_at = self.options.stop_after.map(|after| Instant::now() + after);
        let after_ms = (epoch_ns - self.called_ns) as f64 * 1e-6;
        self.display.send(RunEvent::Started { after_ms });
    }

    /// Tells a node to go: the epoch, what happened since it was told its wiring, and its parameters.
    pub(crate) fn start_node(&mut self, node: usize, epoch_ns: u64) {
        self.tell_observer(node);
        let now_ns = clock::monotonic_ns();
        let state = &mut self.nodes[node];
        state.phase = Phase::Running;
        state.started_ns = now_ns;
        if let Some(pool) = &mut self.pool {
            pool.arm(node, now_ns);
        }
        let pending = std::mem::take(&mut state.pending);
        self.tell(node, ToNode::Start { epoch_ns });
        let params = self.params.get(&self.dataflow.nodes[node].id).cloned().unwrap_or_default();
        for (key, value) in params {
            self.tell(node, ToNode::ParamUpdate { key, value });
        }
        for outgoing in pending {
            self.send(node, outgoing);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let of_nodes = self.nodes.iter().flat_map(|n| n.dues.iter().map(|(at, _)| *at));
        let of_pool = self.pool.as_ref().and_then(Pool::flush_at);
        of_nodes.chain(self.stop_at.filter(|_| !self.stopping)).chain(of_pool).min()
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
