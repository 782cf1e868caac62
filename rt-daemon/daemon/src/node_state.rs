//! What the supervisor knows of one node. Plain data; the decisions are in `supervisor` and its parts.

use std::{sync::Arc, time::Duration};

use dora_protocol::{
    dataflow::{Node, NodeKind},
    rt::SetupStep,
};
use rustix::process::{Pid, Signal};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    compile::InputPlan,
    edges::Left,
    exit::{Cause, Exit},
    launch::Launch,
    node_link::{NodeLink, Outgoing},
    restart::Past,
    spawn::{self, Usage},
    stop::Step,
};

/// Names a process, or an attachment of a dynamic node, for as long as the dataflow runs: what an earlier one of a node
/// said late is not taken for the present one's.
pub(crate) type ProcessId = u64;

/// How far a node has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// There is no process now, but there will or may be one: it is to be restarted, or waits to be attached.
    Away,
    /// Started, or about to be; has said nothing.
    #[default]
    Silent,
    /// Has said `Hello` and was told its wiring.
    Connected,
    /// Mapped, locked, scheduled.
    Ready,
    /// Was told to go.
    Running,
    /// Has said `Done`.
    Done,
    /// Its process is gone, or there never was one.
    Ended,
}

/// A living process. Dropping it ends the process and its group.
pub(crate) struct Living {
    pub(crate) pid: Pid,
    /// Resolved when the process has ended, so that its log capture and its link end, too.
    pub(crate) finish: Vec<oneshot::Sender<()>>,
}

impl Living {
    /// Ends the group and takes the leader's exit status.
    pub(crate) fn bury(self) -> Option<(Exit, Usage)> {
        let pid = self.pid;
        std::mem::forget(self);
        spawn::kill_group(pid, Signal::KILL);
        let end = spawn::reap(pid);
        spawn::reap_group(pid);
        end
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        spawn::kill_group(self.pid, Signal::KILL);
        spawn::reap(self.pid);
        spawn::reap_group(self.pid);
    }
}

/// Waiting for something with an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// It has to have connected.
    Startup(Duration),
    /// It was stopped; this step comes next.
    Stop(Step),
    /// It closed its socket and should be gone.
    LinkLost,
    /// It said `Done` and should be gone; its outputs close now even if it is not.
    DoneLingers,
    /// Its last input closed and everybody else has ended.
    Straggler,
    /// It is started again.
    Restart,
    /// It closed outputs, and has not ended since: it meant that, and does not just come to its end.
    CloseOutputs,
}

/// What happens when the process of a node is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum After {
    /// Its restart policy decides.
    #[default]
    Policy,
    /// It is started again: the user wants it.
    Again,
    /// Nothing.
    Stay,
    /// Its place is given up.
    Leave,
    /// The process at this index takes its place.
    Replace(usize),
}

/// What an index of a node stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// A node of the dataflow.
    #[default]
    Member,
    /// A process that is to take the place of the node at this index.
    Understudy(usize),
    /// Nothing; may be used again.
    Vacant,
}

/// One node of a run.
#[derive(Default)]
pub(crate) struct NodeState {
    pub(crate) role: Role,
    /// What to start; kept for restarts.
    pub(crate) launch: Option<Arc<Launch>>,
    pub(crate) process: Process,
    pub(crate) outputs_closed: Vec<bool>,
    pub(crate) inputs_closed: Vec<bool>,
    /// Edges that it was disconnected from, and whose slots it may still hold.
    pub(crate) left: Vec<Left>,
    pub(crate) dues: Vec<(Instant, Due)>,
    pub(crate) after: After,
    /// Instead of the run's.
    pub(crate) grace: Option<Duration>,
    /// How often it was restarted, by its policy or the user.
    pub(crate) restarts: u32,
    /// What its policy counts.
    pub(crate) past: Past,
    /// Started when the others were already running: nobody waits for it.
    pub(crate) late: bool,
    /// The process of a dynamic node went without a word: who comes next goes on for it.
    pub(crate) lost: bool,
    /// Of all processes that have ended.
    pub(crate) usage: Usage,
    /// Deadline misses that the user was told of.
    pub(crate) misses_told: u64,
    pub(crate) listens_for_misses: Option<tokio::task::AbortHandle>,
    pub(crate) error: Option<String>,
    /// How the process failed whose place this one takes.
    pub(crate) former_error: Option<String>,
    pub(crate) caused_by: Option<String>,
    pub(crate) tail: Vec<String>,
}

/// What belongs to the present process of a node, or its latest.
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) id: Option<ProcessId>,
    pub(crate) phase: Phase,
    pub(crate) living: Option<Living>,
    pub(crate) pid: Option<u32>,
    /// The process that speaks to us: another one than `pid` under a wrapper such as `uv run`.
    pub(crate) speaker: Option<u32>,
    pub(crate) link: Option<NodeLink>,
    /// Ends the connection of a dynamic node, whose process is not ours.
    pub(crate) guest: Option<oneshot::Sender<()>>,
    /// Frames that have to wait until it was told to go.
    pub(crate) pending: Vec<Outgoing>,
    pub(crate) setup: Vec<SetupStep>,
    pub(crate) main_tid: Option<u32>,
    pub(crate) connected: bool,
    /// It was sent SIGTERM because it had not connected: it could not be told otherwise.
    pub(crate) unheard: bool,
    /// Its end of the socket is closed without a `Done`.
    pub(crate) deaf: bool,
    /// Everything it said was read.
    pub(crate) said_all: bool,
    /// Everything it printed was read.
    pub(crate) printed_all: bool,
    /// Outputs that it closed, not told yet.
    pub(crate) closing: Vec<usize>,
    pub(crate) stopping: Option<Step>,
    pub(crate) cause: Option<Cause>,
    /// The failure upstream that it had been told of.
    pub(crate) upstream: Option<String>,
    /// Between the end of the process and the end of its logs.
    pub(crate) exit: Option<(Exit, Usage)>,
    /// Counted before the start barrier.
    pub(crate) before_start: Usage,
    /// CLOCK_MONOTONIC of Start.
    pub(crate) started_ns: u64,
}

impl std::ops::Deref for NodeState {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

impl std::ops::DerefMut for NodeState {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl NodeState {
    pub(crate) fn new(node: &Node) -> Self {
        let phase = if node.kind == NodeKind::Dynamic { Phase::Away } else { Phase::Silent };
        Self {
            process: Process { phase, ..Process::default() },
            outputs_closed: vec![false; node.outputs.len()],
            inputs_closed: vec![false; node.inputs.len()],
            ..Self::default()
        }
    }

    /// Forgets the process that has ended; the next one is to come.
    pub(crate) fn part_with_process(&mut self) {
        let former = std::mem::take(&mut self.process);
        if let Some((_, usage)) = former.exit {
            self.usage.add(&usage.since(&former.before_start));
        }
        self.process.pid = former.pid;
        self.process.phase = Phase::Away;
        self.dues.clear();
        self.after = After::Policy;
        self.grace = None;
        self.error = None;
        self.caused_by = None;
        self.tail.clear();
    }

    /// It will not run again, unless the user wants it.
    pub(crate) fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Is there a process that was told its wiring, and has to be told what changes there?
    pub(crate) fn knows_wiring(&self) -> bool {
        (Phase::Connected..=Phase::Done).contains(&self.phase)
    }

    /// Can it still connect, or is it already?
    pub(crate) fn can_be_heard(&self) -> bool {
        self.connected || !self.deaf
    }

    pub(crate) fn set_due(&mut self, at: Instant, due: Due) {
        self.dues.push((at, due));
    }

    pub(crate) fn clear_due(&mut self, which: impl Fn(Due) -> bool) {
        self.dues.retain(|(_, due)| !which(*due));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(living) = &self.living {
            spawn::kill_group(living.pid, signal);
        }
    }

    /// Has every input that can close done so? A node without inputs never loses its last one.
    pub(crate) fn lost_all_inputs(&self, inputs: &[InputPlan], timers_count: bool) -> bool {
        let mut data = 0;
        for (plan, closed) in inputs.iter().zip(&self.inputs_closed) {
            match (plan.is_timer(), closed) {
                (true, _) if timers_count => return false,
                (true, _) => {}
                (false, true) => data += 1,
                (false, false) => return false,
            }
        }
        data > 0
    }
}

/// Does the start wait for this node? One without inputs, outputs and scheduling wishes can neither lose nor
/// miss an early message.
pub(crate) fn holds_up_the_start(node: &Node) -> bool {
    let takes_part = !node.inputs.is_empty() || !node.outputs.is_empty() || node.rt.is_some();
    takes_part && node.kind != NodeKind::Dynamic
}

/// Is a process of this node that never connects a failure?
pub(crate) fn should_connect(node: &Node) -> bool {
    let takes_part = !node.inputs.is_empty() || !node.outputs.is_empty();
    takes_part && node.kind.is_started_node()
}

#[cfg(test)]
mod tests {
    use dora_protocol::dataflow::Source;

    use super::*;
    use crate::testing::{input, node, output};

    #[test]
    fn a_timer_keeps_inputs_open_unless_timers_do_not_count() {
        let mut n = node("a", "x");
        assert!(!NodeState::new(&n).lost_all_inputs(&[], true), "a source has no last input");
        n.inputs = vec![
            input("t", Source::Timer { period_ns: 1 }),
            input("d", Source::Output { node: 0, output: 0 }),
        ];
        let mut state = NodeState::new(&n);
        let plans: Vec<_> = n.inputs.iter().map(InputPlan::of).collect();
        assert!(!state.lost_all_inputs(&plans, false));
        state.inputs_closed[1] = true;
        assert!(!state.lost_all_inputs(&plans, true));
        assert!(state.lost_all_inputs(&plans, false));
    }

    #[test]
    fn only_nodes_that_take_part_hold_up_the_start() {
        let mut n = node("a", "x");
        assert!(!holds_up_the_start(&n) && !should_connect(&n));
        n.outputs = vec![output("o")];
        assert!(holds_up_the_start(&n) && should_connect(&n));
        n.kind = NodeKind::Shell { command: "x".into() };
        assert!(holds_up_the_start(&n) && !should_connect(&n));
        n.kind = NodeKind::Dynamic;
        assert!(!holds_up_the_start(&n));
    }
}
