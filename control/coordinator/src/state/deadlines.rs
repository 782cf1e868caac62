//! What happens because time has passed.

use std::time::Duration;

use dora_protocol::{
    DataflowId,
    control::{DaemonId, DataflowResult},
    daemon_link::{COORDINATOR_HEARTBEAT, DAEMON_DEAD_AFTER, DaemonCommand},
};

use super::{
    LinkId, State, Waiter,
    flow::{Awaiting, Due},
};

impl State {
    /// When [`Input::Tick`](super::Input::Tick) is due at the latest; `None` when nothing is waited for.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let heartbeat = (!self.daemons.is_empty()).then_some(self.next_heartbeat);
        let silent = self.daemons.values().map(|daemon| daemon.last_heard + DAEMON_DEAD_AFTER);
        let lost = self.lost.iter().map(|lost| lost.dead_at);
        let pending = self.pending.values().filter_map(|pending| pending.deadline);
        let due = self.flows.values().filter_map(|flow| flow.due.map(Due::at));
        let awaiting = self.flows.values().flat_map(|flow| &flow.finish_waiters).filter_map(|a| a.deadline);
        let ending = self.ending.iter().filter(|ending| !ending.done).map(|ending| ending.deadline);
        heartbeat
            .into_iter()
            .chain(silent)
            .chain(lost)
            .chain(pending)
            .chain(due)
            .chain(awaiting)
            .chain(ending)
            .min()
    }

    pub(super) fn tick(&mut self) {
        let now = self.now.mono;
        self.expire_daemons(now);
        self.expire_pending();
        self.expire_flows(now);
        self.maybe_end();
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + COORDINATOR_HEARTBEAT;
            for link in self.daemons.keys().copied().collect::<Vec<_>>() {
                self.tell(link, DaemonCommand::Heartbeat);
            }
        }
    }

    fn expire_daemons(&mut self, now: Duration) {
        let silent: Vec<(LinkId, DaemonId)> = self
            .daemons
            .iter()
            .filter(|(_, daemon)| daemon.last_heard + DAEMON_DEAD_AFTER <= now)
            .map(|(link, daemon)| (*link, daemon.id.clone()))
            .collect();
        for (link, id) in silent {
            self.close(link, "was silent for too long");
            self.dead(&id, "its daemon was silent for too long");
        }
        let dead: Vec<DaemonId> =
            self.lost.iter().filter(|lost| lost.dead_at <= now).map(|lost| lost.id.clone()).collect();
        for id in dead {
            self.dead(&id, "its daemon is gone and has not come back");
        }
    }

    fn expire_flows(&mut self, now: Duration) {
        let due: Vec<(DataflowId, Due)> = self
            .flows
            .values()
            .filter_map(|flow| Some((flow.id, flow.due.filter(|due| due.at() <= now)?)))
            .collect();
        for (id, due) in due {
            match due {
                Due::Reclaim(_) => {
                    let error =
                        Some("coordinator restarted, and no daemon reported the dataflow since".to_owned());
                    self.finish(id, DataflowResult { error, nodes: Vec::new() }, true);
                }
                Due::Spawn(_) => self.spawn_takes_too_long(id),
            }
        }
        let mut late: Vec<(Waiter, String)> = Vec::new();
        for flow in self.flows.values_mut() {
            let is_late = |awaiting: &mut Awaiting| awaiting.deadline.is_some_and(|at| at <= now);
            let waiters: Vec<Awaiting> = flow.finish_waiters.extract_if(.., is_late).collect();
            let shown = flow.shown();
            late.extend(waiters.into_iter().map(|awaiting| {
                (
                    awaiting.waiter,
                    format!("{shown} has not ended in time; `dora stop --force` kills its nodes"),
                )
            }));
        }
        for (waiter, error) in late {
            self.reply(waiter, Err(error));
        }
    }

    fn spawn_takes_too_long(&mut self, id: DataflowId) {
        let within = self.limits.spawn_result.unwrap_or_default();
        let Some(flow) = self.flows.get_mut(&id) else { return };
        flow.due = None;
        let reason = format!(
            "not every node was ready within {within:?}, so it was stopped (DORA_SPAWN_RESULT_TIMEOUT_SECS sets that time, \
             `off` switches it off)"
        );
        flow.stop_reason = Some(reason);
        if self.order_stop(id, None, false).is_err() {
            // Its daemon is not there. When it is, it reports, and is told then.
            if let Some(flow) = self.flows.get_mut(&id) {
                flow.status = dora_protocol::control::DataflowStatus::Stopping;
            }
            self.store(id);
        }
    }
}
