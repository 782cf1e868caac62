//! Which two looks at a node are compared: after its warm-up, and as late as it certainly still ran.
//!
//! ```text
//!   first message ── warm-up ──► baseline ─── look ─── look ─── look (end) ── message ── look ── teardown ── gone
//! ```
//!
//! 1. A look is an end only when a later one has seen the node handle more: what it does when it stops, allocations and
//!    all, never falls into the measurement.
//! 2. A node without a message after its warm-up has no measurement, and nothing is claimed about it.

use std::time::{Duration, Instant};

use dora_daemon::observe::Progress;

use super::{
    page::Calls,
    perf::SystemCalls,
    sample::{Maybe, ThreadSample},
};

/// One look.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) progress: Progress,
    pub(super) threads: Vec<ThreadSample>,
}

/// The looks at one node that matter.
#[derive(Debug)]
pub(super) struct Window {
    warm_up: Duration,
    warm_at: Option<Instant>,
    baseline: Option<Look>,
    /// The newest; not yet seen to be one of a running node.
    newest: Option<Look>,
    end: Option<Look>,
}

/// What one thread did within a window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ThreadCounts {
    pub(crate) tid: u32,
    pub(crate) name: String,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
    pub(crate) cpu_ns: Option<u64>,
    pub(crate) calls: Maybe<Calls>,
    pub(crate) system_calls: Maybe<SystemCalls>,
}

/// What one node did within its window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Within the window.
    pub(crate) progress: Progress,
    pub(crate) duration: Duration,
    pub(crate) threads: Vec<ThreadCounts>,
}

impl Window {
    pub(super) fn new(warm_up: Duration) -> Self {
        Self { warm_up, warm_at: None, baseline: None, newest: None, end: None }
    }

    /// Takes a look into account; true when it became the baseline.
    pub(super) fn offer(&mut self, look: Look) -> bool {
        if look.threads.is_empty() || look.progress.messages() == 0 {
            return false;
        }
        let warm_at = *self.warm_at.get_or_insert(look.at + self.warm_up);
        if look.at < warm_at {
            return false;
        }
        if self.baseline.is_none() {
            self.baseline = Some(look);
            return true;
        }
        let before = self.newest.as_ref().or(self.baseline.as_ref());
        if before.is_some_and(|before| look.progress.messages() > before.progress.messages()) {
            self.end = self.newest.replace(look);
        }
        false
    }

    /// Messages between baseline and end so far.
    pub(super) fn messages(&self) -> u64 {
        let ends = self.baseline.as_ref().zip(self.end.as_ref());
        ends.map_or(0, |(baseline, end)| end.progress.messages() - baseline.progress.messages())
    }

    /// The difference; `None` without messages.
    pub(super) fn measured(&self) -> Option<Measured> {
        let (baseline, end) = self.baseline.as_ref().zip(self.end.as_ref())?;
        let old = |tid| baseline.threads.iter().find(|thread| thread.tid == tid);
        Some(Measured {
            progress: Progress {
                taken: end.progress.taken.saturating_sub(baseline.progress.taken),
                sent: end.progress.sent.saturating_sub(baseline.progress.sent),
                misses: end.progress.misses.saturating_sub(baseline.progress.misses),
            },
            duration: end.at.saturating_duration_since(baseline.at),
            threads: end.threads.iter().map(|thread| difference(old(thread.tid), thread)).collect(),
        })
    }
}

/// A thread that was not there at the beginning did all of it within the window.
fn difference(before: Option<&ThreadSample>, now: &ThreadSample) -> ThreadCounts {
    let since = |field: fn(&ThreadSample) -> u64| field(now).saturating_sub(before.map_or(0, field));
    ThreadCounts {
        tid: now.tid,
        name: now.name.clone(),
        minor_faults: since(|thread| thread.minor_faults),
        major_faults: since(|thread| thread.major_faults),
        voluntary: since(|thread| thread.voluntary),
        involuntary: since(|thread| thread.involuntary),
        cpu_ns: now.cpu_ns.map(|ns| ns.saturating_sub(before.and_then(|before| before.cpu_ns).unwrap_or(0))),
        calls: counted(before.map(|before| &before.calls), &now.calls, Calls::since),
        system_calls: counted(
            before.map(|before| &before.system_calls),
            &now.system_calls,
            SystemCalls::since,
        ),
    }
}

/// Known only when it was at both ends.
fn counted<T: Clone>(before: Option<&Maybe<T>>, now: &Maybe<T>, since: fn(&T, &T) -> T) -> Maybe<T> {
    match (before, now) {
        (_, Err(reason)) | (Some(Err(reason)), Ok(_)) => Err(reason.clone()),
        (Some(Ok(before)), Ok(now)) => Ok(since(now, before)),
        (None, Ok(now)) => Ok(now.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(start: Instant, ms: u64, messages: u64, allocations: Maybe<u64>) -> Look {
        let thread = ThreadSample {
            tid: 7,
            name: "main".into(),
            minor_faults: allocations.clone().unwrap_or(0),
            major_faults: 0,
            voluntary: 0,
            involuntary: 0,
            cpu_ns: Some(1),
            calls: allocations.map(|allocations| Calls { allocations, ..Calls::default() }),
            system_calls: Err("no right".into()),
        };
        let progress = Progress { taken: messages, ..Progress::default() };
        Look { at: start + Duration::from_millis(ms), progress, threads: vec![thread] }
    }

    fn window(looks: &[(u64, u64, u64)]) -> Window {
        let start = Instant::now();
        let mut window = Window::new(Duration::from_millis(100));
        for (ms, messages, allocations) in looks {
            window.offer(look(start, *ms, *messages, Ok(*allocations)));
        }
        window
    }

    #[test]
    fn what_happens_before_the_warm_up_and_after_the_last_message_is_left_out() {
        // 1000 allocations at the start, 1 in the middle, 1000 while it stops.
        let window = window(&[
            (0, 0, 900),
            (50, 1, 1000),
            (149, 10, 1000),
            (150, 11, 1000),
            (200, 20, 1000),
            (250, 30, 1001),
            (300, 40, 1500),
            (350, 40, 2000),
        ]);
        let measured = window.measured().expect("two looks");
        assert_eq!(measured.progress.taken, 30 - 11);
        assert_eq!(measured.duration, Duration::from_millis(100));
        assert_eq!(measured.threads[0].calls.as_ref().map(|calls| calls.allocations), Ok(1));
    }

    #[test]
    fn a_node_that_handles_nothing_after_its_warm_up_has_no_measurement() {
        for looks in [
            &[(0, 0, 0), (500, 0, 0), (900, 0, 0)][..],
            &[(0, 5, 0), (500, 5, 0), (900, 5, 0)],
            &[(0, 5, 0), (500, 6, 0)],
            &[(0, 5, 0), (500, 6, 0), (900, 7, 0)],
        ] {
            let window = window(looks);
            assert_eq!((window.measured(), window.messages()), (None, 0), "{looks:?}");
        }
    }

    #[test]
    fn a_process_that_has_gone_does_not_end_the_window_with_nothing() {
        let start = Instant::now();
        let mut window = Window::new(Duration::ZERO);
        for (ms, messages) in [(0, 1), (10, 2), (20, 3)] {
            window.offer(look(start, ms, messages, Ok(5)));
        }
        window.offer(Look { threads: Vec::new(), ..look(start, 30, 9, Ok(5)) });
        assert_eq!(window.messages(), 1);
    }

    #[test]
    fn what_was_not_counted_at_both_ends_is_not_known() {
        let start = Instant::now();
        let of = |first: Maybe<u64>, last: Maybe<u64>| {
            let mut window = Window::new(Duration::ZERO);
            window.offer(look(start, 0, 1, first));
            window.offer(look(start, 10, 2, last.clone()));
            window.offer(look(start, 20, 3, last));
            window.measured().expect("messages").threads[0].calls.clone()
        };
        let no = || Err("static".to_owned());
        assert_eq!(of(no(), Ok(5)), Err("static".into()));
        assert_eq!(of(Ok(5), no()), Err("static".into()));
        assert_eq!(of(Ok(5), Ok(7)).map(|calls| calls.allocations), Ok(2));
    }
}
