//! What a node says, and what it is told: frames of the node protocol into facts of the supervisor.
//!
//! 1. A node is told nothing between its wiring and Start, except that it is refused; what happens meanwhile is
//!    told after Start, in order.
//! 2. A node that breaks the protocol is disconnected and ended, because nobody could tell it to stop any more.
//!    Nothing that it says stops the dataflow, except that an operator asks for it.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use dora_protocol::{
    log::LogLevel,
    node_link::{ExtensionCall, ToDaemon, ToNode, VERSION},
    operator::STOP_ALL,
};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::{
    exit::Cause,
    node_link::Outgoing,
    node_state::{Due, Phase, Role, should_connect},
    options::RtMode,
    proc_usage,
    stop::Step,
    supervisor::Supervisor,
};

/// How long a node that said `Done` may take to end before its readers are told without knowing how it ended.
const DONE_LINGERS: Duration = Duration::from_millis(200);

impl Supervisor {
    pub(crate) fn frame(&mut self, node: usize, frame: ToDaemon) {
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
                self.check_late_comer(node);
                // An understudy goes when it has its place.
                if let Some(epoch_ns) = self.epoch_ns
                    && self.nodes[node].role == Role::Member
                {
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
                self.nodes[node].closing.extend(outputs.into_iter().map(|output| output as usize));
                // All of them may be its end, and how that comes about is not known yet: its readers shall hear of a
                // failure before they hear that the input closed.
                if self.may_come_back(node) || self.closes_all(node) {
                    self.nodes[node].set_due(Instant::now() + DONE_LINGERS, Due::CloseOutputs);
                } else {
                    self.closings_stand(node);
                }
            }
            ToDaemon::Attach { .. } => self.disconnect(node, "attached twice".to_owned()),
            ToDaemon::EdgeBroken { input, output, reason } => self.edge_broken(node, input, output, reason),
            ToDaemon::Done => {
                self.disarm(node);
                let state = &mut self.nodes[node];
                state.phase = Phase::Done;
                state.clear_due(|due| matches!(due, Due::LinkLost | Due::Startup(_)));
                state.set_due(Instant::now() + DONE_LINGERS, Due::DoneLingers);
            }
            ToDaemon::Extension { request, call } => {
                let result = match &call {
                    ExtensionCall::Request { ns, payload } if ns == STOP_ALL => {
                        let (id, operator) =
                            (self.dataflow.nodes[node].id.clone(), String::from_utf8_lossy(payload));
                        self.stop_all(&format!("operator `{operator}` of node `{id}` asked for it"));
                        Ok(None)
                    }
                    _ => self.extensions.call(node, call),
                };
                self.tell(node, ToNode::ExtensionReply { request, result });
            }
        }
    }

    /// Has the node closed every output that it has?
    fn closes_all(&self, node: usize) -> bool {
        let state = &self.nodes[node];
        (0..state.outputs_closed.len()).all(|o| state.outputs_closed[o] || state.closing.contains(&o))
    }

    /// The process that a node says it is, if that is in the session of the process that was started; else that.
    fn speaker(&self, node: usize, claimed: u32) -> Option<u32> {
        let leader = self.nodes[node].pid;
        let is_its_own = leader.is_some() && proc_usage::session(claimed) == leader;
        if is_its_own { Some(claimed) } else { leader }
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
        if self.stopping || self.refused.is_some() || self.nodes[node].stopping.is_some() {
            return self.refuse(node, "it was stopped before it could start".into(), Cause::NotStarted);
        }
        self.nodes[node].phase = Phase::Connected;
        let rt = self.options.rt != RtMode::Off;
        self.fold_drained(node);
        let (setup, fds) = self.wiring.setup(&self.dataflow, node, rt, self.nodes[node].restarts);
        for input in 0..self.nodes[node].inputs_closed.len() {
            if self.nodes[node].inputs_closed[input] {
                self.tell(node, ToNode::InputClosed { input: input as u32 });
            }
        }
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
            link.send(ToNode::Refused { reason }.into());
        }
        state.stopping = Some(Step::Event);
        state.clear_due(|due| matches!(due, Due::Stop(_)));
        let grace = state.grace.unwrap_or(self.options.grace);
        state.set_due(Instant::now() + grace, Due::Stop(Step::Term));
    }

    /// Tells a node something, now or after Start. What its wiring will say anyway is left out until it knows that.
    pub(crate) fn tell(&mut self, node: usize, frame: ToNode) {
        self.send(node, frame.into());
    }

    /// As [`tell`](Self::tell), with descriptors.
    pub(crate) fn tell_with(&mut self, node: usize, frame: ToNode, fds: Vec<Arc<OwnedFd>>) {
        self.send(node, Outgoing { frame, fds });
    }

    pub(crate) fn send(&mut self, node: usize, outgoing: Outgoing) {
        let state = &mut self.nodes[node];
        match state.phase {
            Phase::Away | Phase::Ended => {}
            Phase::Silent if is_wiring(&outgoing.frame) => {}
            Phase::Silent | Phase::Connected | Phase::Ready => state.pending.push(outgoing),
            Phase::Running | Phase::Done => {
                if let Some(link) = &state.link
                    && !link.send(outgoing)
                    && state.phase == Phase::Running
                    && !state.deaf
                {
                    self.disconnect(node, "does not read its control socket".into());
                }
            }
        }
    }

    pub(crate) fn link_closed(&mut self, node: usize) {
        let grace = self.grace_of(node);
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
        // While it waits for its wiring it can still be told.
        if state.phase <= Phase::Connected
            && let Some(link) = &state.link
        {
            link.send(ToNode::Refused { reason: format!("it {what}") }.into());
        }
        state.cause.get_or_insert(Cause::Garbage(what));
        state.link = None;
        state.deaf = true;
        state.signal(Signal::KILL);
        self.show_out(node);
    }
}

/// Is it about what the node learns from its wiring, or right after it?
fn is_wiring(frame: &ToNode) -> bool {
    matches!(
        frame,
        ToNode::InputClosed { .. }
            | ToNode::EdgeAdded { .. }
            | ToNode::EdgeClosed { .. }
            | ToNode::InputAdded { .. }
            | ToNode::ReaderAdded { .. }
            | ToNode::ReaderRestarted { .. }
            | ToNode::ReaderLeft { .. }
            | ToNode::ReaderGone { .. }
            | ToNode::ParamUpdate { .. }
            | ToNode::ParamDeleted { .. }
    )
}
