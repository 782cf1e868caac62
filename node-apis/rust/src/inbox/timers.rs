//! When the timers of a node are due. Takes the time as an argument and decides; sleeps nowhere.
//!
//! 1. Tick `n` of a timer is due at `epoch + n * period`, `n >= 1`: a late tick never moves the next.
//! 2. Ticks that passed while the node was busy become one: the latest, with the number skipped.

/// A tick that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// `n`: counts the periods since the epoch.
    pub(crate) count: u64,
    /// When it was due, CLOCK_MONOTONIC.
    pub(crate) nominal_ns: u64,
    /// Ticks before it that nobody saw.
    pub(crate) missed: u64,
    /// When the first of them all was due: since then the node owed an answer.
    pub(crate) first_ns: u64,
}

/// One periodic timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    epoch_ns: u64,
    period_ns: u64,
    next: u64,
    due_ns: u64,
}

impl Timer {
    /// A timer that starts at `now_ns`: ticks before that are not missed, they are not this node's.
    pub(crate) fn new(epoch_ns: u64, period_ns: u64, now_ns: u64) -> Self {
        let period_ns = period_ns.max(1);
        let next = (now_ns.saturating_sub(epoch_ns) / period_ns).saturating_add(1);
        let mut timer = Self { epoch_ns, period_ns, next, due_ns: 0 };
        timer.due_ns = timer.nominal(next);
        timer
    }

    /// When the next tick is due.
    #[inline]
    pub(crate) fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// Takes the latest tick that is due, if one is.
    #[inline]
    pub(crate) fn take(&mut self, now_ns: u64) -> Option<Due> {
        if now_ns < self.due_ns {
            return None;
        }
        let count = ((now_ns - self.epoch_ns) / self.period_ns).max(self.next);
        let missed = count - self.next;
        let due = Due { count, nominal_ns: self.nominal(count), missed, first_ns: self.due_ns };
        self.next = count.saturating_add(1);
        self.due_ns = self.nominal(self.next);
        Some(due)
    }

    /// Saturates: a period from a broken descriptor is never due rather than due all the time.
    fn nominal(&self, n: u64) -> u64 {
        self.epoch_ns.saturating_add(n.saturating_mul(self.period_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_fall_due_on_the_grid_from_the_epoch_and_the_first_is_one_period_later() {
        let mut timer = Timer::new(1000, 100, 1000);
        assert_eq!(timer.take(1099), None);
        assert_eq!(timer.take(1100), Some(Due { count: 1, nominal_ns: 1100, missed: 0, first_ns: 1100 }));
        assert_eq!(timer.take(1100), None);
    }

    #[test]
    fn a_late_tick_does_not_move_the_next() {
        let mut timer = Timer::new(0, 100, 0);
        assert_eq!(timer.take(199).unwrap().nominal_ns, 100);
        assert_eq!(timer.due_ns(), 200);
    }

    #[test]
    fn ticks_that_pass_while_busy_become_one_with_the_number_missed() {
        let mut timer = Timer::new(0, 100, 0);
        assert_eq!(timer.take(550), Some(Due { count: 5, nominal_ns: 500, missed: 4, first_ns: 100 }));
        assert_eq!(timer.take(600), Some(Due { count: 6, nominal_ns: 600, missed: 0, first_ns: 600 }));
    }

    #[test]
    fn a_node_that_joins_late_has_missed_nothing() {
        let mut timer = Timer::new(0, 100, 10_050);
        assert_eq!(
            timer.take(10_100),
            Some(Due { count: 101, nominal_ns: 10_100, missed: 0, first_ns: 10_100 })
        );
    }

    #[test]
    fn absurd_periods_neither_overflow_nor_divide_by_zero() {
        let mut timer = Timer::new(u64::MAX - 5, u64::MAX, 0);
        assert_eq!(timer.take(u64::MAX - 1), None);
        assert_eq!(Timer::new(0, 0, 5).due_ns(), 6);
    }
}
