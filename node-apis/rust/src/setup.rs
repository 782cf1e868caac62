//! Applies what a node asks of the scheduler (`rt:`) to the thread that initialises it, and says how each step went.
//!
//! Runs once, before the node is started, on the thread that will run its loop. Nothing here fails: the daemon reads
//! the steps and decides whether the node may start without what was refused.

use dora_protocol::rt::{RtSettings, SchedPolicy, SetupStep};
use rt_tuning::{TuningError, clock, memory, sched};

/// Stack that a real-time loop can count on without a page fault, bytes.
const STACK: usize = 256 << 10;

/// Heap that is there for nodes whose handlers allocate all the same, bytes.
const HEAP: usize = 1 << 20;

/// Carries out `settings`; one entry per step, in the order they were made.
pub(crate) fn apply(settings: &RtSettings) -> Vec<SetupStep> {
    let mut steps = Vec::new();
    if settings.lock_memory {
        steps.push(step("memory lock", memory::lock_all()));
        memory::tune_malloc();
        memory::prefault_stack(STACK);
        memory::prefault_heap(HEAP);
    }
    steps.push(step("transparent huge pages off", memory::disable_thp()));
    steps.push(step("timer slack 1 ns", clock::set_timer_slack(1)));
    if let Some((name, policy, priority)) = wish(settings) {
        steps.push(step(&name, sched::set_current(policy, priority)));
    }
    steps
}

/// The scheduling call to make; `None` leaves the thread as it is.
fn wish(settings: &RtSettings) -> Option<(String, sched::Policy, u8)> {
    let priority = settings.priority.unwrap_or(1);
    match settings.policy {
        SchedPolicy::Other => None,
        SchedPolicy::Fifo => Some((format!("scheduling fifo {priority}"), sched::Policy::Fifo, priority)),
        SchedPolicy::Rr => Some((format!("scheduling rr {priority}"), sched::Policy::Rr, priority)),
        SchedPolicy::Deadline => {
            let period_ns = settings.period_ns.or(settings.deadline_ns).unwrap_or(0);
            let deadline_ns = settings.deadline_ns.unwrap_or(period_ns);
            let runtime_ns = settings.runtime_ns.unwrap_or(0);
            let name = format!("scheduling deadline {runtime_ns}/{deadline_ns}/{period_ns} ns");
            Some((name, sched::Policy::Deadline { runtime_ns, deadline_ns, period_ns }, 0))
        }
    }
}

fn step(what: &str, result: Result<(), TuningError>) -> SetupStep {
    let (failed, fix) = match result {
        Ok(()) => (None, None),
        Err(error) => (Some(error.reason), error.fix),
    };
    SetupStep { what: what.to_owned(), failed, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_becomes_one_named_step_and_other_becomes_none() {
        let fifo = RtSettings { policy: SchedPolicy::Fifo, priority: Some(80), ..Default::default() };
        assert_eq!(wish(&fifo).unwrap().0, "scheduling fifo 80");
        let deadline = RtSettings {
            policy: SchedPolicy::Deadline,
            runtime_ns: Some(1),
            deadline_ns: Some(2),
            ..Default::default()
        };
        assert_eq!(wish(&deadline).unwrap().0, "scheduling deadline 1/2/2 ns");
        assert!(wish(&RtSettings::default()).is_none());
    }

    #[test]
    fn a_refused_step_carries_the_reason_and_the_fix() {
        let error = TuningError { what: "x".into(), reason: "no".into(), fix: Some("do".into()) };
        let step = step("memory lock", Err(error));
        assert_eq!((step.failed.as_deref(), step.fix.as_deref()), (Some("no"), Some("do")));
    }
}
