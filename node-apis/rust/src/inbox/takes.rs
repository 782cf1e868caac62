//! How long an event waited while others were taken before it.
//!
//! What was sent while the node slept or was in its handler is late because of the wake-up or of the handler; that is no queue.
//! From the first event on that the node takes afterwards it is: that one went before. So the wait of an event is the time from
//! the first take after its send to its own take, and 0 when that is the same.

/// Takes that are remembered: an event behind more than that is said to have waited for that many only.
const REMEMBERED: usize = 64;
const _: () = assert!(REMEMBERED.is_power_of_two());

/// When the latest events were taken, CLOCK_MONOTONIC nanoseconds.
#[derive(Debug)]
pub(super) struct Takes {
    /// Number `n` is in place `n % REMEMBERED`; 0 where there was none yet.
    times: [u64; REMEMBERED],
    count: usize,
}

impl Takes {
    pub(super) const fn new() -> Self {
        Self { times: [0; REMEMBERED], count: 0 }
    }

    /// Notes that an event which was there from `ready_ns` on is taken at `now_ns`; how long others went before it.
    ///
    /// # Real time
    /// One compare for an event that was the next, seven more otherwise. `ready_ns` may be nonsense.
    #[inline]
    pub(super) fn take(&mut self, ready_ns: u64, now_ns: u64) -> u64 {
        let ready_ns = ready_ns.max(1);
        let latest = self.times[self.count.wrapping_sub(1) % REMEMBERED];
        let wait = if latest < ready_ns { 0 } else { now_ns.saturating_sub(self.first_since(ready_ns)) };
        self.times[self.count % REMEMBERED] = now_ns;
        self.count = self.count.wrapping_add(1);
        wait
    }

    /// The earliest remembered take that is not before `ready_ns`; there is one.
    fn first_since(&self, ready_ns: u64) -> u64 {
        // From the oldest to the newest they only grow, unset places included.
        let (mut from, mut to) = (0, REMEMBERED - 1);
        while from < to {
            let middle = (from + to) / 2;
            if self.times[self.count.wrapping_add(middle) % REMEMBERED] < ready_ns {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        self.times[self.count.wrapping_add(from) % REMEMBERED]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_waits_from_the_first_take_after_its_send() {
        let mut takes = Takes::new();
        // Sent while the node slept, taken when it woke: no queue, however long the wake-up.
        assert_eq!(takes.take(100, 150), 0);
        // Three are sent while it works on that one. The first is next, the others wait for those before them.
        assert_eq!(takes.take(160, 200), 0);
        assert_eq!(takes.take(170, 230), 30);
        assert_eq!(takes.take(180, 270), 70);
        // Sent in the handler of the last: the handler is not a queue.
        assert_eq!(takes.take(280, 400), 0);
    }

    #[test]
    fn nonsense_gives_a_bounded_wait() {
        let mut takes = Takes::new();
        assert_eq!(takes.take(0, 1000), 0, "nothing was taken before");
        assert_eq!(takes.take(u64::MAX, 2000), 0, "a send in the future");
        assert_eq!(takes.take(0, 3000), 2000, "a send before everything: as long as takes are remembered");
        assert_eq!(takes.take(5000, 500), 0, "a clock that went back");
    }

    #[test]
    fn the_wait_is_that_of_a_list_of_all_takes() {
        // xorshift64, so that a failure comes again.
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let (mut takes, mut all, mut now) = (Takes::new(), Vec::<u64>::new(), 10_000);
        for step in 0..20_000 {
            now += random(50);
            let ready = now - random(if step % 7 == 0 { 5000 } else { 200 });
            let remembered = &all[all.len().saturating_sub(REMEMBERED)..];
            let expected = remembered.iter().find(|take| **take >= ready).map_or(0, |first| now - first);
            assert_eq!(takes.take(ready, now), expected, "step {step}");
            all.push(now);
        }
    }
}
