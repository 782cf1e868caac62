//! Whether a node is overdue, and when to look again: a decision without side effects.
//!
//! A node that waits is alive, however long it waits. One that is in a handler for longer than its limit is not.
//!
//! The next look is at the first moment at which the limit can be over: `since + limit` in a handler, and a whole
//! limit from now for a node that waits, because a handler that begins later cannot be overdue before. So every
//! excess is seen when it happens, as exactly as the thread wakes up, for one look per limit.

use lockfree_ipc::Activity;

/// Why a node is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    /// Its `health_check_timeout`: past it the node counts as hung.
    HandlerLimit,
    /// Far past the deadlines of its inputs: worth a warning.
    Stall,
}

/// What a look showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Begin of the handler that exceeds the limit, in CLOCK_MONOTONIC nanoseconds, told once per handler.
    pub fired: Option<u64>,
    /// When to look again, in CLOCK_MONOTONIC nanoseconds; `None` when there is nothing to watch any more.
    pub next_ns: Option<u64>,
}

/// Looks at a node. It counts as in a handler from `started_ns` until it first waits. `told` is the begin of the
/// handler that was told of before.
///
/// # Real time
/// A few comparisons.
pub fn look(activity: Activity, started_ns: u64, limit_ns: u64, told: Option<u64>, now_ns: u64) -> Look {
    // A limit of 0 would be due again at once, for ever.
    let limit_ns = limit_ns.max(1);
    let whole = now_ns.saturating_add(limit_ns);
    let since = match activity {
        Activity::Done => return Look { fired: None, next_ns: None },
        Activity::Waiting { .. } => return Look { fired: None, next_ns: Some(whole) },
        Activity::Starting => started_ns,
        Activity::Handling { since_ns } => since_ns.max(started_ns),
    };
    let due = since.saturating_add(limit_ns);
    if now_ns < due {
        // The node wrote this time. One in the future must not put off the next look for ever.
        return Look { fired: None, next_ns: Some(due.min(whole)) };
    }
    let fired = (told != Some(since)).then_some(since);
    Look { fired, next_ns: Some(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000;
    const LIMIT: u64 = 100;

    fn at(activity: Activity, told: Option<u64>, now_ns: u64) -> (Option<u64>, Option<u64>) {
        let look = look(activity, START, LIMIT, told, now_ns);
        (look.fired, look.next_ns)
    }

    #[test]
    fn a_node_fires_when_its_handler_exceeds_the_limit_and_not_before() {
        use Activity::{Done, Handling, Starting, Waiting};
        let handling = Handling { since_ns: 2_000 };
        let table = [
            ("waits for long", Waiting { since_ns: 0 }, None, 9_000, (None, Some(9_100))),
            ("within its limit", handling, None, 2_040, (None, Some(2_100))),
            ("one before", handling, None, 2_099, (None, Some(2_100))),
            ("exactly at the limit", handling, None, 2_100, (Some(2_000), Some(2_200))),
            ("told already", handling, Some(2_000), 2_200, (None, Some(2_300))),
            ("a new handler after a told one", handling, Some(1_500), 2_100, (Some(2_000), Some(2_200))),
            ("has not waited yet, in time", Starting, None, 1_099, (None, Some(1_100))),
            ("has not waited yet, late", Starting, None, 1_100, (Some(START), Some(1_200))),
            ("handler from before the start", Handling { since_ns: 5 }, None, 1_050, (None, Some(1_100))),
            ("time in the future", Handling { since_ns: u64::MAX >> 2 }, None, 2_000, (None, Some(2_100))),
            ("done", Done, None, 9_000, (None, None)),
        ];
        for (name, activity, told, now_ns, expected) in table {
            assert_eq!(at(activity, told, now_ns), expected, "{name}");
        }
    }

    #[test]
    fn a_handler_that_begins_between_two_looks_is_seen_exactly_at_its_limit() {
        for begin in [1, 50, 99] {
            let (_, next) = at(Activity::Waiting { since_ns: 0 }, None, 5_000);
            let handling = Activity::Handling { since_ns: 5_000 + begin };
            let (fired, again) = at(handling, None, next.unwrap());
            assert_eq!((fired, again), (None, Some(5_000 + begin + LIMIT)));
            assert_eq!(at(handling, None, again.unwrap()).0, Some(5_000 + begin));
        }
    }

    #[test]
    fn a_limit_of_zero_does_not_spin() {
        let look = look(Activity::Waiting { since_ns: 0 }, 0, 0, None, 7);
        assert_eq!(look.next_ns, Some(8));
    }
}
