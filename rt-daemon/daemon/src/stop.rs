//! The way down: Stop event, SIGTERM, SIGKILL, and how long to wait between them.
//!
//! Pure: says which step comes next and when; `supervisor` carries it out.

use std::time::Duration;

/// One step of stopping a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Tell it over its socket.
    Event,
    /// SIGTERM to its process group.
    Term,
    /// SIGKILL to its process group.
    Kill,
}

/// The first step. A node that has no connection cannot be told, so the signal comes at once.
pub(crate) fn first(connected: bool) -> Step {
    if connected { Step::Event } else { Step::Term }
}

/// What follows `step` if the node is still there, and after how long.
pub(crate) fn next(step: Step, grace: Duration) -> Option<(Step, Duration)> {
    match step {
        Step::Event => Some((Step::Term, grace)),
        Step::Term => Some((Step::Kill, grace / 2)),
        Step::Kill => None,
    }
}

/// Is a node that needed this step one that did not listen? SIGTERM is the polite way for a node without a
/// connection, and the second warning for all others.
pub(crate) fn is_forced(step: Step, connected: bool) -> bool {
    step > first(connected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connected: bool, grace: Duration) -> Vec<(Step, Duration, bool)> {
        let mut step = first(connected);
        let mut at = Duration::ZERO;
        let mut all = vec![(step, at, is_forced(step, connected))];
        while let Some((following, after)) = next(step, grace) {
            at += after;
            step = following;
            all.push((step, at, is_forced(step, connected)));
        }
        all
    }

    #[test]
    fn a_connected_node_is_told_then_terminated_then_killed() {
        let s = Duration::from_secs;
        assert_eq!(
            plan(true, s(10)),
            [(Step::Event, s(0), false), (Step::Term, s(10), true), (Step::Kill, s(15), true)]
        );
    }

    #[test]
    fn a_node_without_a_connection_gets_sigterm_at_once() {
        let s = Duration::from_secs;
        assert_eq!(plan(false, s(4)), [(Step::Term, s(0), false), (Step::Kill, s(2), true)]);
    }
}
