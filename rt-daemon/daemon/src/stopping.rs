//! Carrying out the way down that `stop` plans, and everything else that falls due.

use std::time::Duration;

use dora_protocol::{log::LogLevel, node_link::ToNode};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::{
    exit::Cause,
    node_state::{After, Due, Phase},
    stop::{self, Step},
    supervisor::Supervisor,
};

impl Supervisor {
    /// Starts the way down for every node.
    pub(crate) fn stop_all(&mut self, why: &str) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        self.display.system(LogLevel::Info, None, format!("stopping all nodes: {why}"));
        self.refuse_requests("the dataflow is being stopped");
        for node in 0..self.nodes.len() {
            if self.nodes[node].after != After::Leave {
                self.nodes[node].after = After::Stay;
            }
            self.stop_node(node);
        }
    }

    /// From the Stop event to SIGTERM.
    pub(crate) fn grace_of(&self, node: usize) -> Duration {
        self.nodes[node].grace.unwrap_or(self.options.grace)
    }

    /// Starts the way down for one node.
    pub(crate) fn stop_node(&mut self, node: usize) {
        let state = &self.nodes[node];
        if state.phase == Phase::Away {
            self.ended_for_good(node);
        } else if !state.is_ended() && state.stopping.is_none() {
            self.stop_step(node, stop::first(state.connected));
        }
    }

    fn stop_step(&mut self, node: usize, step: Step) {
        let grace = self.grace_of(node);
        let id = self.dataflow.nodes[node].id.clone();
        let (connected, phase) = (self.nodes[node].connected, self.nodes[node].phase);
        if stop::is_forced(step, connected) {
            let waited =
                if step == Step::Kill && connected { grace + grace / 2 } else { step_wait(step, grace) };
            self.blame(node, Cause::Grace(waited));
        } else {
            let started = !connected || phase >= Phase::Running;
            self.nodes[node].cause.get_or_insert(if started { Cause::Stopped } else { Cause::NotStarted });
        }
        self.nodes[node].unheard |= step == Step::Term && !connected;
        match step {
            Step::Event if phase < Phase::Running => {
                let reason = "the dataflow was stopped before it started".to_owned();
                if let Some(link) = &self.nodes[node].link {
                    link.send(ToNode::Refused { reason }.into());
                }
            }
            Step::Event => self.tell(node, ToNode::Stop),
            Step::Term => {
                self.show_out(node);
                let level = if stop::is_forced(step, connected) { LogLevel::Warn } else { LogLevel::Debug };
                self.display.system(
                    level,
                    Some(&id),
                    format!("node `{id}` is still running: sending SIGTERM"),
                );
                self.nodes[node].signal(Signal::TERM);
            }
            Step::Kill => {
                self.display.system(
                    LogLevel::Warn,
                    Some(&id),
                    format!("node `{id}` ignores SIGTERM: sending SIGKILL"),
                );
                self.nodes[node].signal(Signal::KILL);
            }
        }
        let state = &mut self.nodes[node];
        state.stopping = Some(step);
        state.clear_due(|due| matches!(due, Due::Stop(_)));
        if let Some((following, after)) = stop::next(step, grace) {
            state.set_due(Instant::now() + after, Due::Stop(following));
        }
    }

    /// Replaces the mild reasons, never a graver one that came first.
    pub(crate) fn blame(&mut self, node: usize, cause: Cause) {
        let state = &mut self.nodes[node];
        if matches!(state.cause, None | Some(Cause::Stopped | Cause::NotStarted)) {
            state.cause = Some(cause);
        }
    }

    /// SIGKILL for every node, at once.
    pub(crate) fn kill_all(&mut self) {
        self.stopping = true;
        self.display.system(LogLevel::Warn, None, "killing all nodes, as requested");
        self.refuse_requests("the dataflow is being stopped");
        for node in 0..self.nodes.len() {
            let state = &mut self.nodes[node];
            state.after = if state.after == After::Leave { After::Leave } else { After::Stay };
            if state.phase == Phase::Away {
                self.ended_for_good(node);
                continue;
            }
            if state.guest.is_some() {
                self.show_out(node);
                continue;
            }
            // One that has ended already did so by itself, even if its last words are still on their way.
            if state.living.is_none() {
                continue;
            }
            if yields_to_the_user(state.cause.as_ref(), state.stopping) {
                state.cause = Some(Cause::UserKill);
            }
            state.stopping = Some(Step::Kill);
            state.clear_due(|_| true);
            state.signal(Signal::KILL);
        }
    }

    /// Does what has fallen due.
    pub(crate) fn carry_out_dues(&mut self, now: Instant) {
        if self.stop_at.is_some_and(|at| at <= now) {
            self.stop_at = None;
            self.stop_all("the time given with --stop-after is over");
        }
        for node in 0..self.nodes.len() {
            let mut due = Vec::new();
            self.nodes[node].dues.retain(|(at, what)| {
                if *at <= now {
                    due.push(*what);
                }
                *at > now
            });
            for what in due {
                self.carry_out(node, what);
            }
        }
    }

    fn carry_out(&mut self, node: usize, due: Due) {
        let id = self.dataflow.nodes[node].id.clone();
        match due {
            Due::Stop(step) => self.stop_step(node, step),
            Due::Startup(limit) => {
                self.faults.startup_kills += 1;
                self.kill_for(node, Cause::Startup(limit), format!("did not connect in {limit:?}"))
            }
            Due::LinkLost => {
                self.kill_for(node, Cause::LinkLost, "closed its connection and goes on running".into());
            }
            Due::DoneLingers => self.done_lingers(node),
            Due::Restart => self.to_start.push_back(node),
            Due::CloseOutputs => self.closings_stand(node),
            Due::Straggler => {
                let text = format!("node `{id}` lingers after its last input closed: stopping it");
                self.display.system(LogLevel::Warn, Some(&id), text);
                self.stop_node(node);
            }
        }
    }

    /// A node that closed outputs goes on: it did not just come to its end.
    pub(crate) fn closings_stand(&mut self, node: usize) {
        if self.nodes[node].phase != Phase::Done {
            for output in std::mem::take(&mut self.nodes[node].closing) {
                self.close_output(node, output);
            }
            self.look_for_stragglers();
        }
    }

    pub(crate) fn kill_for(&mut self, node: usize, cause: Cause, what: String) {
        let id = self.dataflow.nodes[node].id.clone();
        self.display.system(LogLevel::Error, Some(&id), format!("node `{id}` {what}: sending SIGKILL"));
        self.nodes[node].cause.get_or_insert(cause);
        self.nodes[node].signal(Signal::KILL);
    }
}

/// Does the end of a node count as the user's doing from now on? A graver reason that came first stays, and so does
/// our own SIGKILL; one that was only asked, or sent SIGTERM, might still have ended in time.
fn yields_to_the_user(cause: Option<&Cause>, step: Option<Step>) -> bool {
    match cause {
        None | Some(Cause::Stopped) => true,
        Some(Cause::Grace(_)) => step < Some(Step::Kill),
        Some(_) => false,
    }
}

fn step_wait(step: Step, grace: Duration) -> Duration {
    if step == Step::Kill { grace / 2 } else { grace }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_takes_the_blame_for_what_was_still_under_way() {
        let grace = Cause::Grace(std::time::Duration::from_secs(1));
        let table = [
            (None, None, true),
            (Some(Cause::Stopped), Some(Step::Event), true),
            (Some(Cause::Stopped), Some(Step::Term), true), // of a node that cannot be told otherwise
            (Some(grace.clone()), Some(Step::Term), true),
            (Some(grace), Some(Step::Kill), false),
            (Some(Cause::NotStarted), Some(Step::Event), false),
            (Some(Cause::LinkLost), None, false),
        ];
        for (cause, step, expected) in table {
            assert_eq!(yields_to_the_user(cause.as_ref(), step), expected, "{cause:?} {step:?}");
        }
    }
}
