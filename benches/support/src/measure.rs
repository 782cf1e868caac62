//! The timed loops, one for each kind of work: whoever takes part in a comparison is timed by these and by nothing else.
//!
//! A contestant gives what it does for message `i`; the loops read the clock (about 25 ns each time) and record. Nothing is
//! allocated between the first message and the last.

use eyre::Result;
use rt_tuning::clock::{monotonic_ns, sleep_until};

use crate::{Hist, Job, Metrics};

/// Most messages before the first one that counts.
const WARM_UP: u64 = 100;
/// Time that both sides get before the first paced message, nanoseconds.
const RUN_UP_NS: u64 = 50_000_000;

impl Job {
    /// Half of what each round trip takes; one sample is the mean of a batch.
    ///
    /// # Errors
    /// What a round trip says.
    #[inline]
    pub fn time_round_trips(&self, mut round_trip: impl FnMut(u64) -> Result<()>) -> Result<Hist> {
        let (batch, warm_up) = (self.batch, self.warm_up(WARM_UP));
        let mut hist = Hist::keeping(self.count / batch);
        for first in (0..self.round_trips()).step_by(batch as usize) {
            let start = monotonic_ns();
            for i in first..first + batch {
                round_trip(i)?;
            }
            if first >= warm_up {
                hist.record((monotonic_ns() - start) as f64 / (2 * batch) as f64);
            }
        }
        Ok(hist)
    }

    /// Round trips of a run: whole batches.
    pub fn round_trips(&self) -> u64 {
        self.count / self.batch * self.batch
    }

    /// Calls `send` with the number of a message at each period of an absolute schedule.
    ///
    /// # Errors
    /// What a send says.
    #[inline]
    pub fn pace(&self, mut send: impl FnMut(u64) -> Result<()>) -> Result<Metrics> {
        let start = monotonic_ns() + RUN_UP_NS;
        for i in 0..self.count {
            sleep_until(start + i * self.period_ns);
            send(i)?;
        }
        Ok(Metrics::new())
    }

    /// From the time that each message carries to the moment that `take` has it; `take` returns the time in the message.
    ///
    /// # Errors
    /// What a take says.
    #[inline]
    pub fn time_paced(&self, mut take: impl FnMut(u64) -> Result<u64>) -> Result<Hist> {
        let (mut hist, warm_up) = (Hist::keeping(self.count), self.warm_up(WARM_UP));
        for i in 0..self.count {
            let stamp = take(i)?;
            let now = monotonic_ns();
            if i >= warm_up {
                hist.record(now.saturating_sub(stamp) as f64);
            }
        }
        Ok(hist)
    }

    /// `msg/s` from the first message to the last; a sample is the time per message over a batch, nanoseconds.
    ///
    /// # Errors
    /// What a take says.
    #[inline]
    pub fn time_stream(&self, mut take: impl FnMut(u64) -> Result<()>) -> Result<Metrics> {
        let mut hist = Hist::keeping(self.count / self.batch + 1);
        take(0)?;
        let start = monotonic_ns();
        let mut since = start;
        for i in 1..self.count {
            take(i)?;
            if i % self.batch == 0 {
                let now = monotonic_ns();
                hist.record((now - since) as f64 / self.batch as f64);
                since = now;
            }
        }
        let rate = (self.count - 1) as f64 * 1e9 / (monotonic_ns() - start) as f64;
        hist.finish()?;
        Ok(Metrics::from([("msg/s".to_owned(), rate)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Wait, Work, place::Class};

    fn job(count: u64, batch: u64) -> Job {
        Job {
            work: Work::Paced,
            wait: Wait::Park,
            class: Class::Other,
            size: 64,
            count,
            period_ns: 1000,
            batch,
        }
    }

    #[test]
    fn only_whole_batches_are_made_and_warm_up_is_left_out() {
        let mut made = Vec::new();
        let hist = job(25, 10)
            .time_round_trips(|i| {
                made.push(i);
                Ok(())
            })
            .unwrap();
        assert_eq!(made, (0..20).collect::<Vec<_>>());
        // Two of 25 are warm-up: the batch that begins with them does not count.
        assert_eq!(hist.metrics()["count"], 1.0);
    }

    #[test]
    fn a_paced_message_is_as_late_as_its_stamp_is_old() {
        let hist = job(10, 1).time_paced(|_| Ok(monotonic_ns() - 1_000_000)).unwrap();
        assert_eq!(hist.metrics()["count"], 9.0);
        assert!(hist.metrics()["min"] >= 999_000.0, "{:?}", hist.metrics());
    }

    #[test]
    fn a_sender_keeps_to_its_schedule_and_never_runs_ahead() {
        let (start, mut sent) = (monotonic_ns(), Vec::new());
        job(3, 1)
            .pace(|i| {
                sent.push((i, monotonic_ns()));
                Ok(())
            })
            .unwrap();
        for (i, at) in sent {
            assert!(at >= start + RUN_UP_NS + i * 1000, "message {i} left early");
        }
    }

    #[test]
    fn a_stream_takes_every_message_once() {
        let mut taken = 0;
        let metrics = job(100, 10).time_stream(|i| {
            assert_eq!(i, taken);
            taken += 1;
            Ok(())
        });
        assert!(metrics.unwrap()["msg/s"] > 0.0);
        assert_eq!(taken, 100);
    }
}
