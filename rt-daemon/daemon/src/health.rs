//! Nodes that hang: which limits they have, and what it means to exceed one.
//!
//! A node's status page says "waiting since" or "in a handler since". A node that waits is well, however long; one
//! that has been in one handler for longer than its limit is not. Two limits exist: `health_check_timeout`, past
//! which the node is killed, and a multiple of the tightest deadline of its inputs, past which the user is warned.
//! A node without a limit is never looked at.
//!
//! Looking, and when to look, is the affair of the real-time thread (`pool`).

use std::time::Duration;

use dora_protocol::{dataflow::Dataflow, log::LogLevel};
use dora_rt::WatchKind;

use crate::{exit::Cause, node_state::Phase, pool::Excess, supervisor::Supervisor};

/// Deadlines that pass while a node is in one handler until the user is warned.
const STALL_DEADLINES: u32 = 10;
/// No warning before this, however tight the deadline.
const STALL_MIN: Duration = Duration::from_millis(100);

/// One limit of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) node: usize,
    pub(crate) kind: WatchKind,
    pub(crate) limit: Duration,
}

/// All limits of a dataflow.
pub(crate) fn limits(dataflow: &Dataflow) -> Vec<Limit> {
    let mut limits = Vec::new();
    for (node, description) in dataflow.nodes.iter().enumerate() {
        if !description.kind.is_started_node() {
            continue;
        }
        let mut add = |kind, limit: Option<Duration>| {
            let limit = limit.map(|limit| limit.max(Duration::from_millis(1)));
            limits.extend(limit.map(|limit| Limit { node, kind, limit }));
        };
        add(WatchKind::HandlerLimit, description.health_check_timeout);
        let tightest = description.inputs.iter().filter_map(|i| i.deadline).min();
        add(WatchKind::Stall, tightest.map(|d| d.saturating_mul(STALL_DEADLINES).max(STALL_MIN)));
    }
    limits
}

impl Supervisor {
    /// Takes what the real-time thread noticed.
    pub(crate) fn take_excesses(&mut self) {
        let excesses = self.pool.as_ref().map(|pool| pool.excesses()).unwrap_or_default();
        for excess in excesses {
            self.overdue(&excess);
        }
    }

    fn overdue(&mut self, excess: &Excess) {
        let Excess { limit: Limit { node, kind, limit }, silent, since_ns } = *excess;
        let state = &self.nodes[node];
        // Its end and this report may have crossed, and another process may have come since.
        if state.living.is_none() || state.phase != Phase::Running || since_ns < state.started_ns {
            return;
        }
        match kind {
            WatchKind::HandlerLimit => {
                self.faults.health_check_kills += 1;
                self.blame(node, Cause::Health { silent, limit });
                let text = format!("gave no sign of life for {silent:?}");
                self.kill_for(node, Cause::Health { silent, limit }, text);
            }
            WatchKind::Stall => {
                let id = self.dataflow.nodes[node].id.clone();
                let text = format!(
                    "node `{id}` has been in one handler for {silent:?}, far past the deadlines of its inputs"
                );
                self.display.system(LogLevel::Warn, Some(&id), text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dataflow, input, node};

    #[test]
    fn limits_come_from_the_descriptor_and_a_tight_deadline_does_not_make_a_nervous_watch() {
        let mut a = node("a", "x");
        a.health_check_timeout = Some(Duration::from_secs(2));
        let mut b = node("b", "x");
        b.inputs = vec![input("i", dora_protocol::dataflow::Source::Timer { period_ns: 1 })];
        b.inputs[0].deadline = Some(Duration::from_micros(500));
        let mut c = node("c", "x");
        c.inputs = b.inputs.clone();
        c.inputs[0].deadline = Some(Duration::from_millis(30));
        let found = limits(&dataflow(vec![a, b, c, node("d", "x")]));
        let found: Vec<_> = found.iter().map(|l| (l.node, l.kind, l.limit.as_millis())).collect();
        let (kill, warn) = (WatchKind::HandlerLimit, WatchKind::Stall);
        assert_eq!(found, [(0, kill, 2000), (1, warn, 100), (2, warn, 300)]);
    }
}
