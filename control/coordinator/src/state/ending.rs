//! What is forgotten, and the end of the coordinator itself.

use std::time::Duration;

use dora_protocol::{
    DataflowId,
    control::{CleanFailure, ControlReply, DataflowName, DataflowResult},
    daemon_link::DaemonCommand,
};

use super::{Effect, Ending, State, Waiter, answers::Then};

/// Time for daemons to end.
const DESTROY_WITHIN: Duration = Duration::from_secs(10);

impl State {
    pub(super) fn clean(&mut self, waiter: Waiter) {
        let ended: Vec<DataflowId> =
            self.flows.values().filter(|flow| flow.status.has_ended()).map(|flow| flow.id).collect();
        self.effects.push_back(Effect::Delete(ended, waiter));
    }

    /// They are gone from the store: now from here, and from their daemons.
    pub(super) fn deleted(&mut self, waiter: Waiter, results: Vec<(DataflowId, Result<(), String>)>) {
        let (mut cleaned, mut failed) = (Vec::new(), Vec::new());
        for (id, result) in results {
            // One that came back to life meanwhile stays, and is stored again.
            let Some(flow) = self.flows.get(&id) else { continue };
            if !flow.status.has_ended() {
                self.store(id);
                self.store_parameters(id);
                continue;
            }
            if let Err(error) = result {
                failed.push(CleanFailure {
                    id: DataflowName { uuid: id, name: flow.record.name.clone() },
                    error,
                });
                continue;
            }
            cleaned.push(flow.entry());
            if let Ok(link) = self.link_of(flow) {
                self.command(
                    link,
                    DaemonCommand::Forget { dataflow_id: id },
                    Then::Nothing("forget a dataflow"),
                );
            }
            self.flows.remove(&id);
        }
        self.reply(waiter, Ok(ControlReply::CleanResult { cleaned, failed }));
    }

    pub(super) fn destroy(&mut self, waiter: Waiter) {
        if let Some(ending) = &mut self.ending {
            return ending.waiters.push(waiter);
        }
        let deadline = self.now.mono + DESTROY_WITHIN;
        self.ending = Some(Ending { waiters: vec![waiter], deadline, done: false });
        for link in self.daemons.keys().copied().collect::<Vec<_>>() {
            self.command(link, DaemonCommand::Destroy, Then::Destroyed);
        }
        self.maybe_end();
    }

    /// The coordinator ends and the dataflows go on: whoever waits for one of them is told that nobody will answer any more.
    pub(crate) fn leave(&mut self) {
        let mut waiters = Vec::new();
        for flow in self.flows.values_mut() {
            waiters.append(&mut flow.spawn_waiters);
            waiters.extend(flow.finish_waiters.drain(..).map(|awaiting| awaiting.waiter));
            waiters.extend(flow.restart.take().map(|planned| planned.waiter));
            waiters.extend(flow.changes.drain(..).map(|(waiter, _)| waiter));
        }
        for waiter in waiters {
            self.reply(waiter, Ok(ControlReply::CoordinatorStopped));
        }
        for pending in std::mem::take(&mut self.pending).into_values() {
            let waiter = match pending.then {
                Then::Spawned { starting, .. } => starting.map(|(waiter, _)| waiter),
                Then::Changed(applying) => applying.waiter,
                Then::Reply { waiter, .. } | Then::Logs { waiter, .. } | Then::Parameter { waiter, .. } => {
                    Some(waiter)
                }
                Then::Stopping { .. } | Then::Nothing(_) | Then::Destroyed => None,
            };
            if let Some(waiter) = waiter {
                self.reply(waiter, Ok(ControlReply::CoordinatorStopped));
            }
        }
    }

    /// Ends when every daemon has confirmed its own end, or has had the time for it.
    pub(super) fn maybe_end(&mut self) {
        let now = self.now.mono;
        let waiting = self.pending.values().any(|pending| matches!(pending.then, Then::Destroyed));
        let Some(ending) = self.ending.as_mut().filter(|e| !e.done && (!waiting || e.deadline <= now)) else {
            return;
        };
        ending.done = true;
        let waiters = std::mem::take(&mut ending.waiters);
        let running: Vec<DataflowId> =
            self.flows.values().filter(|flow| flow.result.is_none()).map(|flow| flow.id).collect();
        for id in running {
            let error = Some("ended with its daemon, by `dora down`".to_owned());
            self.finish(id, DataflowResult { error, nodes: Vec::new() }, true);
        }
        for pending in std::mem::take(&mut self.pending).into_values() {
            if !matches!(pending.then, Then::Destroyed) {
                self.answered(pending.then, Err("the coordinator is ending".to_owned()));
            }
        }
        for waiter in waiters {
            self.reply(waiter, Ok(ControlReply::DestroyOk));
        }
        self.effects.push_back(Effect::End);
    }
}
