//! Circuit breaker of one input (`input_timeout`). Takes the time as an argument and decides.
//!
//! ```text
//! unarmed ──message──► armed ──no message for `timeout`──► tripped
//!                        ▲                                    │
//!                        └──────────────message───────────────┘  (the node gets it, then "recovered")
//! ```

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unarmed,
    Armed { due_ns: u64 },
    Tripped,
}

/// The breaker of one input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breaker {
    timeout_ns: u64,
    state: State,
}

impl Breaker {
    pub(crate) fn new(timeout_ns: u64) -> Self {
        Self { timeout_ns, state: State::Unarmed }
    }

    /// A message was taken. True when that is a recovery.
    #[inline]
    pub(crate) fn message(&mut self, now_ns: u64) -> bool {
        let recovered = self.state == State::Tripped;
        self.state = State::Armed { due_ns: now_ns.saturating_add(self.timeout_ns) };
        recovered
    }

    /// Nothing is queued now. True when the breaker trips, once.
    #[inline]
    pub(crate) fn trips(&mut self, now_ns: u64) -> bool {
        let trips = matches!(self.state, State::Armed { due_ns } if now_ns >= due_ns);
        if trips {
            self.state = State::Tripped;
        }
        trips
    }

    /// When it would trip without a message; `None` while unarmed or tripped.
    #[inline]
    pub(crate) fn due_ns(&self) -> Option<u64> {
        match self.state {
            State::Armed { due_ns } => Some(due_ns),
            State::Unarmed | State::Tripped => None,
        }
    }

    pub(crate) fn is_tripped(&self) -> bool {
        self.state == State::Tripped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_times_out_before_the_first_message() {
        let mut breaker = Breaker::new(100);
        assert!(!breaker.trips(u64::MAX));
        assert_eq!(breaker.due_ns(), None);
    }

    #[test]
    fn each_message_resets_the_deadline() {
        let mut breaker = Breaker::new(100);
        assert!(!breaker.message(0));
        assert!(!breaker.message(90));
        assert!(!breaker.trips(189));
        assert!(breaker.trips(190));
    }

    #[test]
    fn a_tripped_breaker_trips_once_and_recovers_with_the_next_message() {
        let mut breaker = Breaker::new(100);
        breaker.message(0);
        assert!(breaker.trips(100));
        assert!(!breaker.trips(1000));
        assert!(breaker.message(2000));
        assert!(!breaker.message(2001));
        assert_eq!(breaker.due_ns(), Some(2101));
    }
}
