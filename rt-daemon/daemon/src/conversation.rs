//! What a node says, and what it is told: frames of the node protocol into facts of the supervisor.
//!
//! 1. A node is told nothing between its wiring and Start, except that it is refused; what happens meanwhile is
//!    told after Start, in order.
//! 2. A node that breaks the protocol is disconnected and ended, because nobody could tell it to stop any more.
//!    Nothing that it says stops the dataflow.

use std::time::Duration;

use dora_protocol::{
    log::LogLevel,
    node_link::{ToDaemon, ToNode, VERSION},
};
use rustix::process::{Pid, Signal};
use tokio::time::Instant;

use crate::{
    exit::Cause,
    node_state::{Due, Phase, should_connect},
    options::RtMode,
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
        let rt = self.options.rt != RtMode::Off;
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

    pub(crate) fn link_closed(&mut self, node: usize) {
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
}
