//! Whether a node that ended is started again, and when: a decision without side effects.
//!
//! The order is that of the contract: policy, reasons against it, window, number, delay. Whoever carries it out asks again
//! when the delay is over.

use std::time::Duration;

use dora_protocol::{dataflow::Restart, policy::RestartPolicy};

use crate::exit::Exit;

/// The delay doubles at most this often.
const MAX_DOUBLINGS: u32 = 16;

/// What counts about an end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) exit: Exit,
    /// The user stopped the node or the dataflow, or a new start could not change anything.
    pub(crate) forbidden: bool,
    /// It has inputs, and all of them had closed.
    pub(crate) inputs_over: bool,
}

/// Earlier restarts, as far as they count. Times are since any fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// Restarts within the present window.
    pub(crate) count: u32,
    /// When the first of them was.
    pub(crate) first: Option<Duration>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing: that was the end of the node.
    Stay,
    /// It has been restarted as often as allowed.
    GiveUp {
        /// So often.
        restarts: u32,
    },
    /// Start it again.
    Again {
        /// After this long.
        delay: Duration,
    },
}

/// Decides, and notes a restart in `past`.
pub(crate) fn decide(policy: &Restart, ending: Ending, past: &mut Past, now: Duration) -> Decision {
    let failed = ending.exit != Exit::Code(0);
    let wanted = match policy.policy {
        RestartPolicy::Never => false,
        RestartPolicy::OnFailure => failed,
        RestartPolicy::Always => failed || !ending.inputs_over,
    };
    if !wanted || ending.forbidden {
        return Decision::Stay;
    }
    if let (Some(window), Some(first)) = (policy.window, past.first)
        && now.saturating_sub(first) >= window
    {
        *past = Past::default();
    }
    if policy.max_restarts > 0 && past.count >= policy.max_restarts {
        return Decision::GiveUp { restarts: past.count };
    }
    past.first.get_or_insert(now);
    past.count += 1;
    Decision::Again { delay: delay(policy, past.count) }
}

/// Before restart number `count` (from 1).
fn delay(policy: &Restart, count: u32) -> Duration {
    let Some(first) = policy.delay else { return Duration::ZERO };
    let doublings = (count - 1).min(MAX_DOUBLINGS);
    let delay = first.saturating_mul(1 << doublings);
    policy.max_delay.map_or(delay, |max| delay.min(max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decision::{Again, GiveUp, Stay};
    use RestartPolicy::{Always, Never, OnFailure};

    const AT_ONCE: Decision = Again { delay: Duration::ZERO };

    fn policy(policy: RestartPolicy) -> Restart {
        Restart { policy, ..Restart::default() }
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn failed() -> Ending {
        Ending { exit: Exit::Code(1), forbidden: false, inputs_over: false }
    }

    #[test]
    fn policy_exit_and_closed_inputs_decide_whether_a_node_comes_back() {
        let (success, failure, killed) = (Exit::Code(0), Exit::Code(3), Exit::Signal(libc::SIGKILL));
        // policy, exit, inputs over, comes back
        let table = [
            (Never, success, false, Stay),
            (Never, failure, false, Stay),
            (Never, killed, false, Stay),
            (OnFailure, success, false, Stay),
            (OnFailure, success, true, Stay),
            (OnFailure, failure, false, AT_ONCE),
            (OnFailure, failure, true, AT_ONCE),
            (OnFailure, killed, false, AT_ONCE),
            (Always, success, false, AT_ONCE),
            (Always, success, true, Stay),
            (Always, failure, true, AT_ONCE),
            (Always, killed, true, AT_ONCE),
            (Always, killed, false, AT_ONCE),
        ];
        for (which, exit, inputs_over, expected) in table {
            let ending = Ending { exit, forbidden: false, inputs_over };
            let found = decide(&policy(which), ending, &mut Past::default(), ms(5));
            assert_eq!(found, expected, "{which:?} {exit:?} {inputs_over}");
            let mut past = Past::default();
            let stopped = decide(&policy(which), Ending { forbidden: true, ..ending }, &mut past, ms(5));
            assert_eq!((stopped, past), (Stay, Past::default()), "stopped by the user: {which:?}");
        }
    }

    #[test]
    fn after_max_restarts_it_is_given_up_and_without_a_limit_never() {
        let two = Restart { max_restarts: 2, ..policy(Always) };
        let mut past = Past::default();
        let found: Vec<_> = (0..4).map(|n| decide(&two, failed(), &mut past, ms(n))).collect();
        assert_eq!(found, [AT_ONCE, AT_ONCE, GiveUp { restarts: 2 }, GiveUp { restarts: 2 }]);
        let mut past = Past::default();
        for n in 0..1000 {
            assert_eq!(decide(&policy(Always), failed(), &mut past, ms(n)), AT_ONCE);
        }
    }

    #[test]
    fn a_window_that_is_over_resets_number_and_delay() {
        let policy =
            Restart { max_restarts: 2, delay: Some(ms(10)), window: Some(ms(1000)), ..policy(OnFailure) };
        // now, decision
        let table = [
            (500, Again { delay: ms(10) }),
            (900, Again { delay: ms(20) }),
            (1499, GiveUp { restarts: 2 }),
            (1500, Again { delay: ms(10) }), // 1 s after the first of the window
            (2499, Again { delay: ms(20) }),
            (2499, GiveUp { restarts: 2 }),
            (2500, Again { delay: ms(10) }),
        ];
        let mut past = Past::default();
        for (now, expected) in table {
            assert_eq!(decide(&policy, failed(), &mut past, ms(now)), expected, "at {now}");
        }
    }

    #[test]
    fn the_delay_doubles_sixteen_times_and_stops_at_its_bound() {
        let delay = |n, max_delay| {
            let policy = Restart { delay: Some(ms(100)), max_delay, ..policy(Always) };
            super::delay(&policy, n)
        };
        let found: Vec<_> = (1..6).map(|n| delay(n, None).as_millis()).collect();
        assert_eq!(found, [100, 200, 400, 800, 1600]);
        assert_eq!(delay(17, None), ms(100 << 16));
        assert_eq!(delay(18, None), ms(100 << 16));
        assert_eq!(delay(u32::MAX, None), ms(100 << 16));
        assert_eq!((delay(2, Some(ms(300))), delay(3, Some(ms(300)))), (ms(200), ms(300)));
        let huge = Restart { delay: Some(Duration::MAX), ..policy(Always) };
        assert_eq!(super::delay(&huge, 9), Duration::MAX);
        assert_eq!(super::delay(&policy(Always), 9), Duration::ZERO);
    }
}
