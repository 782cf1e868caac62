//! What follows the end of a process for its node: another one, somebody else in its place, or nothing.
//!
//! ```text
//!   exit ──► everything said and printed was read ──► restart policy, or what the user asked for
//!              │ again: readers learn that the old edges end, senders take back what the process held
//!              │        ── delay ──► new arenas and edges ──► readers learn of them ──► new process
//!              └ for good: `propagate`
//! ```
//!
//! 1. Between two processes nobody is told that an input closed; what waits in the rings waits for the next one.
//! 2. The read position of a ring is taken when the process that read it is gone and the next one is not started.

use std::{collections::BTreeSet, os::fd::AsFd, time::Duration};

use dora_protocol::{dataflow::Source, node_link::ToNode, policy::RestartPolicy};
use lockfree_ipc::edge;
use tokio::time::Instant;

use crate::{
    compile::EdgeId,
    error::DaemonError,
    exit::{Cause, Exit, History, failure},
    log_lifecycle::Lifecycle,
    node_state::{After, Due, Phase, Role, should_connect},
    restart::{self, Decision, Ending},
    supervisor::Supervisor,
};

impl Supervisor {
    /// The process is gone and its output was read.
    pub(crate) fn ended(&mut self, node: usize) {
        let description = &self.dataflow.nodes[node];
        let state = &mut self.nodes[node];
        if state.is_ended() || state.role == Role::Vacant {
            return;
        }
        if let Some(id) = state.id.take() {
            self.processes.remove(&id);
        }
        state.link = None;
        if let Some((exit, _)) = state.exit {
            let history = History {
                exit,
                cause: state.cause.clone(),
                // Its first words may have crossed with the signal.
                connected: state.connected && !state.unheard,
                should_connect: should_connect(description),
            };
            state.error = failure(&history);
        }
        if let Role::Understudy(of) = state.role {
            return self.understudy_lost(node, of);
        }
        match state.after {
            After::Replace(understudy) => {
                self.nodes[understudy].former_error = self.nodes[node].error.clone();
                self.part(node);
            }
            After::Again if !self.stopping => self.goes_again(node, Duration::ZERO),
            After::Policy => match self.by_policy(node) {
                Decision::Again { delay } => {
                    self.note_lifecycle(node, &Lifecycle::Comeback { delay });
                    self.goes_again(node, delay);
                }
                Decision::GiveUp { restarts } => {
                    let text = format!("; not started again after {restarts} restarts (max_restarts)");
                    let state = &mut self.nodes[node];
                    let error = state.error.take().unwrap_or_else(|| "ended too often".into());
                    state.error = Some(error + &text);
                    self.ended_for_good(node);
                }
                Decision::Stay => self.ended_for_good(node),
            },
            After::Again | After::Stay | After::Leave => self.ended_for_good(node),
        }
    }

    fn by_policy(&mut self, node: usize) -> Decision {
        let now = self.called_at.elapsed();
        let timers_count = !self.dataflow.exit_when_nodes_finish;
        let policy = self.dataflow.nodes[node].restart;
        let state = &mut self.nodes[node];
        // Without an exit there was no process, and there would be none the next time.
        let Some((exit, _)) = state.exit else { return Decision::Stay };
        let hopeless =
            matches!(state.cause, Some(Cause::Refused(_) | Cause::NotStarted | Cause::Deadline(_)));
        let ending = Ending {
            exit,
            forbidden: self.stopping || state.stopping.is_some() || hopeless,
            inputs_over: state.lost_all_inputs(&self.wiring.nodes[node].inputs, timers_count),
        };
        restart::decide(&policy, ending, &mut state.past, now)
    }

    /// Could it come back when it ends now? Then its outputs stay open until that is known.
    pub(crate) fn may_come_back(&self, node: usize) -> bool {
        let state = &self.nodes[node];
        match state.after {
            After::Again | After::Replace(_) => !self.stopping,
            After::Policy => {
                let policy = self.dataflow.nodes[node].restart.policy;
                policy != RestartPolicy::Never && !self.stopping && state.stopping.is_none()
            }
            After::Stay | After::Leave => false,
        }
    }

    /// A node that was never started, or could not be started again, counts as gone.
    pub(crate) fn never_started(&mut self, node: usize, error: Option<String>) {
        let state = &mut self.nodes[node];
        state.error = error;
        match state.role {
            Role::Understudy(of) => self.understudy_lost(node, of),
            _ => self.ended_for_good(node),
        }
    }

    /// The end of a node: nobody will come after.
    pub(crate) fn ended_for_good(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        state.phase = Phase::Ended;
        state.link = None;
        state.dues.clear();
        if state.error.is_some() {
            state.caused_by = state.process.upstream.clone();
            self.note_lifecycle(node, &Lifecycle::Failed);
        }
        if self.stop_was_requested(node) {
            self.note_lifecycle(node, &Lifecycle::Stopped);
        } else if self.nodes[node].after == After::Leave {
            self.note_lifecycle(node, &Lifecycle::Removed { unheard: false });
        }
        self.propagate_end(node);
        if self.nodes[node].after == After::Leave {
            self.vacate(node);
        }
        self.look_for_stragglers();
    }

    /// The process is gone and another one will come.
    fn goes_again(&mut self, node: usize, delay: Duration) {
        self.part(node);
        if delay.is_zero() {
            self.to_start.push_back(node);
        } else {
            self.nodes[node].set_due(Instant::now() + delay, Due::Restart);
        }
    }

    /// Settles what a process leaves behind when its place stays.
    pub(crate) fn part(&mut self, node: usize) {
        self.disarm(node);
        for id in self.wiring.edges_to(node) {
            self.pass_reader_on(id);
        }
        self.forget_left_edges(node);
        for id in self.wiring.edges_from(node, None) {
            self.end_edge(id);
        }
        self.drop_extensions(node);
        self.nodes[node].part_with_process();
    }

    /// The process that read an edge is gone: its sender takes back what that had.
    pub(crate) fn pass_reader_on(&mut self, id: EdgeId) {
        let Some(edge) = self.wiring.edges.get_mut(&id) else { return };
        if edge.unread || edge.broken.is_some() {
            return;
        }
        let head = match edge::reader_died(edge.fd.as_fd()) {
            Ok(head) => head,
            Err(e) => {
                edge.broken = Some(e.to_string());
                return;
            }
        };
        match edge.from {
            None => self.feeds.reader_restarted(id, head),
            Some((sender, output)) => {
                let (output, edge) = (output as u32, edge.number);
                if self.is_current(id) {
                    self.tell(sender, ToNode::ReaderRestarted { output, edge, head });
                }
            }
        }
    }

    /// Does the present process of its sender know this edge?
    pub(crate) fn is_current(&self, id: EdgeId) -> bool {
        let from = self.wiring.edges.get(&id).and_then(|edge| edge.from);
        from.is_some_and(|(node, output)| {
            self.wiring.nodes[node].outputs.get(output).is_some_and(|plan| plan.edges.contains(&id))
        })
    }

    /// The sender of an edge is gone, and somebody else may send on its input: nothing comes after what is in the ring.
    pub(crate) fn end_edge(&mut self, id: EdgeId) {
        let Some(edge) = self.wiring.edges.get_mut(&id) else { return };
        if !std::mem::replace(&mut edge.closed, true) {
            let ((reader, input), number) = (edge.to, edge.to_number);
            self.tell(reader, ToNode::EdgeClosed { input: input as u32, edge: number, sender_lives: false });
        }
    }

    /// Starts the next process of a node.
    pub(crate) async fn start_again(&mut self, node: usize) {
        if self.nodes[node].phase != Phase::Away || self.nodes[node].role != Role::Member {
            return;
        }
        if self.stopping {
            return self.ended_for_good(node);
        }
        self.nodes[node].restarts += 1;
        self.nodes[node].late = true;
        if self.restart_was_requested(node) {
            self.note_lifecycle(node, &Lifecycle::Requested);
        }
        let started = match self.open_again(node, true) {
            Ok(()) => self.launch(node).await,
            Err(e) => Err(e),
        };
        if let Err(e) = started {
            // What was started of it is ended by dropping it.
            self.nodes[node].process.living = None;
            self.never_started(node, Some(format!("could not be started again: {e}")));
        }
        self.note_launch(node);
    }

    /// Makes the memory of a new process and connects it, its readers first.
    ///
    /// # Errors
    /// When there is no memory. Nobody was told anything then.
    pub(crate) fn open_again(&mut self, node: usize, restarted: bool) -> Result<(), DaemonError> {
        let flow = self.dataflow.clone();
        for id in self.wiring.edges_from(node, None) {
            self.fold_if_over(id);
        }
        self.renew_page(node)?;
        let origins = self.wiring.origins(node);
        self.wiring.nodes[node].outputs = self.wiring.outputs(&flow, node, &origins)?;
        let mut added = Vec::new();
        for output in 0..flow.nodes[node].outputs.len() {
            if crate::connect::carries_lines(&flow.nodes[node], output) {
                continue;
            }
            let readers: Vec<_> = self.wiring.readers((node, output)).collect();
            for to in readers {
                if self.takes_part(to.0) {
                    added.push(self.wiring.node_edge(&flow, (node, output), to)?);
                }
            }
        }
        let missing = self.connect_inputs(node)?;
        self.wipe_activity(node);
        self.nodes[node].outputs_closed.fill(false);
        for id in &added {
            self.tell_reader(*id);
        }
        if restarted {
            let readers: BTreeSet<_> = added.iter().map(|id| self.wiring.edges[id].to.0).collect();
            for reader in readers.into_iter().filter(|reader| *reader != node) {
                self.tell(reader, ToNode::NodeRestarted { node: flow.nodes[node].id.clone() });
            }
        }
        for id in missing {
            self.tell_sender(id);
        }
        for (input, closed) in self.inputs_over(node).into_iter().enumerate() {
            self.nodes[node].inputs_closed[input] = closed;
        }
        Ok(())
    }

    /// Makes the edges to a node that are not there, from senders that are.
    ///
    /// # Errors
    /// As [`open_again`](Self::open_again).
    fn connect_inputs(&mut self, node: usize) -> Result<Vec<EdgeId>, DaemonError> {
        let flow = self.dataflow.clone();
        let mut made = Vec::new();
        for input in 0..self.wiring.nodes[node].inputs.len() {
            for id in self.wiring.nodes[node].inputs[input].edges.clone() {
                self.fold_if_over(id);
            }
            for source in self.wiring.nodes[node].inputs[input].sources.clone() {
                if !self.is_connected(&source, (node, input)) && self.can_send(&source, node) {
                    made.extend(self.wiring.connect(&flow, &source, (node, input))?);
                }
            }
        }
        self.feeds.add(std::mem::take(&mut self.wiring.feeds));
        Ok(made)
    }

    /// Is there an open edge from this source to this input?
    pub(crate) fn is_connected(&self, source: &Source, to: (usize, usize)) -> bool {
        let mut edges = self.wiring.nodes[to.0].inputs[to.1].edges.iter().map(|id| &self.wiring.edges[id]);
        match source {
            Source::Timer { .. } => true,
            Source::Logs { .. } => edges.any(|edge| edge.from.is_none() && edge.is_open()),
            Source::Output { node, output } => {
                let (node, output) = (*node as usize, *output as usize);
                let lines = crate::connect::carries_lines(&self.dataflow.nodes[node], output);
                let from = (!lines).then_some((node, output));
                edges.any(|edge| edge.from == from && edge.is_open())
            }
        }
    }

    /// Is there memory that an edge from this source can begin in? That of a node without a process comes with the next one.
    pub(crate) fn can_send(&self, source: &Source, reader: usize) -> bool {
        match source {
            Source::Output { node, output } => {
                let (node, output) = (*node as usize, *output as usize);
                let there = node == reader || !matches!(self.nodes[node].phase, Phase::Away | Phase::Ended);
                there && !self.nodes[node].outputs_closed[output]
            }
            _ => true,
        }
    }

    /// Does this node have a process, or will it have one without somebody's doing?
    pub(crate) fn takes_part(&self, node: usize) -> bool {
        let state = &self.nodes[node];
        let dynamic = self.dataflow.nodes[node].kind == dora_protocol::dataflow::NodeKind::Dynamic;
        state.role == Role::Member && !state.is_ended() && !(dynamic && state.phase == Phase::Away)
    }

    /// Tells the reader of a new edge.
    pub(crate) fn tell_reader(&mut self, id: EdgeId) {
        let (reader, input) = self.wiring.edges[&id].to;
        self.nodes[reader].inputs_closed[input] = false;
        if self.nodes[reader].knows_wiring() {
            let (frame, fds) = self.wiring.edge_added(&self.dataflow, id);
            self.tell_with(reader, frame, fds);
        }
    }

    /// Tells the sender of a new edge.
    pub(crate) fn tell_sender(&mut self, id: EdgeId) {
        let Some((sender, _)) = self.wiring.edges[&id].from else { return };
        if self.nodes[sender].knows_wiring()
            && let Some((frame, fds)) = self.wiring.reader_added(&self.dataflow, id)
        {
            self.tell_with(sender, frame, fds);
        }
    }

    /// How the process of a node ended, for requests that wait for it.
    pub(crate) fn ended_cleanly(&self, node: usize) -> bool {
        let state = &self.nodes[node];
        let forced = matches!(state.cause, Some(Cause::Grace(_) | Cause::UserKill));
        !forced && !matches!(state.exit, Some((Exit::Signal(libc::SIGKILL), _)))
    }
}
