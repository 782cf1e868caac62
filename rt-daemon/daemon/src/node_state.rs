//! What the supervisor knows of one node. Plain data; the decisions are in `supervisor` and its parts.

use std::time::Duration;

use dora_protocol::{
    dataflow::{Node, NodeKind, Source},
    node_link::ToNode,
    rt::SetupStep,
};
use rustix::process::{Pid, Signal};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    exit::{Cause, Exit},
    node_link::NodeLink,
    spawn::{self, Usage},
    stop::Step,
};

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Started, or about to be; has said nothing.
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
}

/// One node of a run.
pub(crate) struct NodeState {
    pub(crate) phase: Phase,
    pub(crate) living: Option<Living>,
    pub(crate) pid: Option<u32>,
    /// The process that speaks to us: another one than `pid` under a wrapper such as `uv run`.
    pub(crate) speaker: Option<u32>,
    pub(crate) link: Option<NodeLink>,
    /// Frames that have to wait until it was told to go.
    pub(crate) pending: Vec<ToNode>,
    pub(crate) setup: Vec<SetupStep>,
    pub(crate) main_tid: Option<u32>,
    pub(crate) connected: bool,
    /// Its end of the socket is closed without a `Done`.
    pub(crate) deaf: bool,
    /// Everything it said was read.
    pub(crate) said_all: bool,
    /// Everything it printed was read.
    pub(crate) printed_all: bool,
    pub(crate) outputs_closed: Vec<bool>,
    pub(crate) inputs_closed: Vec<bool>,
    pub(crate) dues: Vec<(Instant, Due)>,
    pub(crate) stopping: Option<Step>,
    pub(crate) cause: Option<Cause>,
    /// The failure upstream that it had been told of.
    pub(crate) upstream: Option<String>,
    /// Between the end of the process and the end of its logs.
    pub(crate) exit: Option<(Exit, Usage)>,
    /// Counted before the start barrier.
    pub(crate) before_start: Usage,
    /// Deadline misses that the user was told of.
    pub(crate) misses_told: u64,
    pub(crate) error: Option<String>,
    pub(crate) caused_by: Option<String>,
    pub(crate) tail: Vec<String>,
}

impl NodeState {
    pub(crate) fn new(node: &Node) -> Self {
        Self {
            phase: Phase::Silent,
            living: None,
            pid: None,
            speaker: None,
            link: None,
            pending: Vec::new(),
            setup: Vec::new(),
            main_tid: None,
            connected: false,
            deaf: false,
            said_all: false,
            printed_all: false,
            outputs_closed: vec![false; node.outputs.len()],
            inputs_closed: vec![false; node.inputs.len()],
            dues: Vec::new(),
            stopping: None,
            cause: None,
            upstream: None,
            exit: None,
            before_start: Usage::default(),
            misses_told: 0,
            error: None,
            caused_by: None,
            tail: Vec::new(),
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
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
    pub(crate) fn lost_all_inputs(&self, node: &Node, timers_count: bool) -> bool {
        let mut data = 0;
        for (input, closed) in node.inputs.iter().zip(&self.inputs_closed) {
            match (&input.source, closed) {
                (Source::Timer { .. }, _) if timers_count => return false,
                (Source::Timer { .. }, _) => {}
                (_, true) => data += 1,
                (_, false) => return false,
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
    takes_part && matches!(node.kind, NodeKind::Executable { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{input, node, output};

    #[test]
    fn a_timer_keeps_inputs_open_unless_timers_do_not_count() {
        let mut n = node("a", "x");
        assert!(!NodeState::new(&n).lost_all_inputs(&n, true), "a source has no last input");
        n.inputs = vec![
            input("t", Source::Timer { period_ns: 1 }),
            input("d", Source::Output { node: 0, output: 0 }),
        ];
        let mut state = NodeState::new(&n);
        assert!(!state.lost_all_inputs(&n, false));
        state.inputs_closed[1] = true;
        assert!(!state.lost_all_inputs(&n, true));
        assert!(state.lost_all_inputs(&n, false));
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
