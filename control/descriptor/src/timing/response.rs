//! Worst-case response times on one core under preemptive fixed priorities. Numbers only; all times in nanoseconds.
//!
//! Response-time analysis after Joseph and Pandya (1986), with release jitter, blocking and more than one open event of a
//! stream after Audsley, Burns, Richardson, Tindell and Wellings (1993). In the longest time that the core can be busy at this
//! priority, counted from its begin, event `q` of the stream in question is finished at the least `w` with
//!
//! ```text
//!   finish   w = B + (q + 1) C + Σ n ⌈(w + J) / T⌉ C        over all others of at least this priority
//!   start    w = B +       q C + Σ n (⌊(w + J) / T⌋ + 1) C   taken when nothing of that is left
//! ```
//!
//! and it came at `max(0, q T - J)` at the earliest. The bound is the worst over all `q` of that busy time.
//!
//! Who has the same priority counts like a higher one. Under SCHED_FIFO a thread keeps the core until it has nothing left to
//! do, so an equal one with a queue may go before with everything, also with what came later.

/// Fixed points that need more steps, or busy times with more events, count as "no bound": nobody waits for them.
const MAX_STEPS: u32 = 100_000;
/// Nor for a busy time of 13 days.
const HORIZON: u64 = 1 << 50;

/// Events that come periodically, each up to `jitter` later than its nominal time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// CPU time of one event.
    pub cost: u64,
    /// Between nominal times, > 0.
    pub period: u64,
    /// Events per period, at most that many at once; > 0.
    pub count: u64,
    /// Latest arrival after the nominal time.
    pub jitter: u64,
}

/// The longest that an event of a stream takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// From its arrival until the node takes it.
    pub start: u64,
    /// From its arrival until it is handled.
    pub finish: u64,
    /// From its nominal time until it is handled.
    pub from_nominal: u64,
}

impl Stream {
    /// Share of the core.
    pub fn utilisation(&self) -> f64 {
        self.cost as f64 * self.count as f64 / self.period as f64
    }

    fn work(&self, events: u64) -> u64 {
        events.saturating_mul(self.count).saturating_mul(self.cost)
    }

    /// Work that arrives in `[0, window)`.
    fn before(&self, window: u64) -> u64 {
        self.work(window.saturating_add(self.jitter).div_ceil(self.period))
    }

    /// Work that arrives in `[0, window]`.
    fn until(&self, window: u64) -> u64 {
        self.work(window.saturating_add(self.jitter) / self.period + 1)
    }
}

/// Bounds for an event of `own`, beside `others` of at least its priority on its core, when something of less priority may
/// hold the core for `blocking`.
///
/// `None`: there is no bound, or it is not found in reasonable time.
pub fn bounds(own: &Stream, others: &[Stream], blocking: u64) -> Option<Bounds> {
    let mut others = others.to_vec();
    // Events that come together with the one in question may go first.
    if own.count > 1 {
        others.push(Stream { count: own.count - 1, ..*own });
    }
    let own = Stream { count: 1, ..*own };
    let share: f64 = others.iter().map(Stream::utilisation).sum::<f64>() + own.utilisation();
    if share > 1.0 + 1e-9 {
        return None;
    }
    let before = |w: u64| others.iter().fold(0u64, |sum, other| sum.saturating_add(other.before(w)));
    let until = |w: u64| others.iter().fold(0u64, |sum, other| sum.saturating_add(other.until(w)));
    let busy = settle(blocking.saturating_add(own.cost), |w| {
        blocking.saturating_add(own.before(w)).saturating_add(before(w))
    })?;
    let events = busy.saturating_add(own.jitter).div_ceil(own.period).max(1);
    if events > u64::from(MAX_STEPS) {
        return None;
    }
    let (mut worst, mut start, mut finish) = (Bounds::default(), 0, 0);
    for q in 0..events {
        let own_before = blocking.saturating_add(q.saturating_mul(own.cost));
        // Later events start and finish later: go on from where the last one was.
        start = settle(start.max(own_before), |w| own_before.saturating_add(until(w)))?;
        let own_all = own_before.saturating_add(own.cost);
        finish = settle(finish.max(own_all), |w| own_all.saturating_add(before(w)))?;
        let nominal = q.saturating_mul(own.period);
        let arrival = nominal.saturating_sub(own.jitter);
        worst.start = worst.start.max(start.saturating_sub(arrival));
        worst.finish = worst.finish.max(finish.saturating_sub(arrival));
        worst.from_nominal =
            worst.from_nominal.max(finish.saturating_add(own.jitter).saturating_sub(nominal));
    }
    Some(worst)
}

/// The least fixed point of a function that grows, from below.
fn settle(first: u64, next: impl Fn(u64) -> u64) -> Option<u64> {
    let mut window = first;
    for _ in 0..MAX_STEPS {
        let longer = next(window);
        if longer <= window {
            return Some(window);
        }
        if longer > HORIZON {
            return None;
        }
        window = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(cost: u64, period: u64) -> Stream {
        Stream { cost, period, count: 1, jitter: 0 }
    }

    #[test]
    fn three_tasks_of_the_text_book_respond_as_computed_by_hand() {
        // Released together, the third runs from 3 to 4, 5 to 6 and 9 to 10.
        let (first, second, third) = (stream(1, 4), stream(2, 6), stream(3, 12));
        assert_eq!(bounds(&first, &[], 0).unwrap().finish, 1);
        assert_eq!(bounds(&second, &[first], 0).unwrap().finish, 3);
        let bound = bounds(&third, &[first, second], 0).unwrap();
        assert_eq!((bound.start, bound.finish), (3, 10));
    }

    #[test]
    fn the_worst_event_need_not_be_the_first() {
        // Lehoczky 1990: 26 of 70 above 62 of 100; the fourth event of the lower one is the slowest.
        let bound = bounds(&stream(62, 100), &[stream(26, 70)], 0).unwrap();
        assert_eq!(bound.finish, 118);
    }

    #[test]
    fn start_waits_for_who_comes_at_that_very_moment() {
        // Nothing is left at 2, but the other one comes again exactly then.
        let bound = bounds(&stream(1, 100), &[stream(2, 2 + 2), stream(2, 100)], 0).unwrap();
        assert_eq!(bound.start, 6);
        assert_eq!(bound.finish, 7);
    }

    #[test]
    fn blocking_and_jitter_lengthen_the_response() {
        let other = Stream { jitter: 3, ..stream(2, 4) };
        assert_eq!(bounds(&stream(1, 100), &[stream(2, 4)], 0).unwrap().finish, 3);
        assert_eq!(bounds(&stream(1, 100), &[other], 0).unwrap().finish, 5);
        assert_eq!(bounds(&stream(1, 100), &[stream(2, 4)], 1).unwrap().finish, 4);
        let late = Stream { jitter: 5, ..stream(1, 100) };
        let bound = bounds(&late, &[], 0).unwrap();
        assert_eq!((bound.finish, bound.from_nominal), (1, 6), "jitter counts from the nominal time only");
    }

    #[test]
    fn events_that_come_together_wait_for_each_other() {
        let pair = Stream { count: 2, ..stream(3, 10) };
        let bound = bounds(&pair, &[], 0).unwrap();
        assert_eq!((bound.start, bound.finish), (3, 6));
        let bunched = Stream { jitter: 10, ..stream(3, 10) };
        assert_eq!(bounds(&bunched, &[], 0).unwrap().finish, 6, "two come at once when the first is late");
    }

    #[test]
    fn a_core_that_is_asked_for_too_much_has_no_bound() {
        assert_eq!(bounds(&stream(6, 10), &[stream(5, 10)], 0), None);
        assert_eq!(bounds(&stream(u64::MAX, 1), &[stream(1, 10)], 0), None);
        assert_eq!(
            bounds(&stream(5, 10), &[stream(5, 10)], 1),
            None,
            "full, and never done with the blocking"
        );
        let bound = bounds(&stream(5, 10), &[stream(5, 10)], 0).unwrap();
        assert_eq!(bound.finish, 10, "full to the brim, but not more");
    }
}
