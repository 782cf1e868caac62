//! Lines that wait for the collector: bounded, the oldest go first, and every line that goes is counted.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Lines taken at once.
const BATCH: usize = 256;

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) lines: usize,
    pub(crate) bytes: usize,
}

/// Shared by the thread that fills it and the one that empties it; neither waits while it holds the lock.
#[derive(Debug)]
pub(crate) struct Buffer {
    limits: Limits,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    lines: VecDeque<String>,
    bytes: usize,
    dropped: u64,
    /// Dropped since the last batch, so before the next line.
    gap: u64,
    closed: Option<Instant>,
}

/// What comes next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// So many lines are missing before the first.
    pub(crate) gap: u64,
    pub(crate) lines: Vec<String>,
}

impl Buffer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, inner: Mutex::default(), changed: Condvar::new() }
    }

    /// Adds a line. When it finds no room the oldest lines go; a line that is longer than all the room goes itself.
    pub(crate) fn push(&self, line: String) {
        let mut inner = self.lock();
        inner.bytes += line.len();
        inner.lines.push_back(line);
        while inner.lines.len() > self.limits.lines || inner.bytes > self.limits.bytes {
            let Some(oldest) = inner.lines.pop_front() else { break };
            inner.bytes -= oldest.len();
            inner.dropped += 1;
            inner.gap += 1;
        }
        self.changed.notify_all();
    }

    /// Lines were lost before they came here.
    pub(crate) fn note_dropped(&self, count: u64) {
        let mut inner = self.lock();
        inner.dropped += count;
        inner.gap += count;
    }

    /// Lines that were lost so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Nothing more will be pushed.
    pub(crate) fn close(&self) {
        self.lock().closed.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    /// Since when it has been closed.
    pub(crate) fn closed_for(&self) -> Option<Duration> {
        self.lock().closed.map(|at| at.elapsed())
    }

    /// Waits for lines. `None` when it is closed and empty.
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut inner = self.lock();
        while inner.lines.is_empty() && inner.gap == 0 {
            if inner.closed.is_some() {
                return None;
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let count = inner.lines.len().min(BATCH);
        let lines: Vec<_> = inner.lines.drain(..count).collect();
        inner.bytes -= lines.iter().map(String::len).sum::<usize>();
        Some(Batch { gap: std::mem::take(&mut inner.gap), lines })
    }

    /// Waits that long, or until it is closed.
    pub(crate) fn pause(&self, length: Duration) {
        let until = Instant::now() + length;
        let mut inner = self.lock();
        while inner.closed.is_none() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(inner);
        // Closed: what is left of the time is for the collector to come back.
        std::thread::sleep(until.saturating_duration_since(Instant::now()).min(Duration::from_millis(100)));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked with the lock has left whole lines in it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(gap: u64, lines: &[&str]) -> Option<Batch> {
        Some(Batch { gap, lines: lines.iter().map(ToString::to_string).collect() })
    }

    fn filled(limits: Limits, lines: &[&str]) -> Buffer {
        let buffer = Buffer::new(limits);
        lines.iter().for_each(|line| buffer.push((*line).to_owned()));
        buffer
    }

    #[test]
    fn of_too_many_lines_the_newest_stay_and_the_others_are_counted() {
        let buffer = filled(Limits { lines: 2, bytes: 100 }, &["a", "b", "c", "d"]);
        assert_eq!((buffer.dropped(), buffer.take()), (2, batch(2, &["c", "d"])));
        buffer.push("e".to_owned());
        assert_eq!(buffer.take(), batch(0, &["e"]));
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let buffer = filled(Limits { lines: 10, bytes: 4 }, &["aa", "bb", "cc", "too long", "d"]);
        assert_eq!((buffer.dropped(), buffer.take()), (4, batch(4, &["d"])));
    }

    #[test]
    fn a_closed_buffer_gives_out_what_it_has_and_then_ends() {
        let buffer = filled(Limits { lines: 10, bytes: 100 }, &["a"]);
        assert_eq!(buffer.closed_for(), None);
        buffer.close();
        assert_eq!((buffer.take(), buffer.take()), (batch(0, &["a"]), None));
        assert!(buffer.closed_for().is_some());
        buffer.note_dropped(3);
        assert_eq!((buffer.take(), buffer.take()), (batch(3, &[]), None));
    }

    #[test]
    fn who_waits_for_a_line_gets_it() {
        let buffer = Buffer::new(Limits { lines: 10, bytes: 100 });
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| buffer.take());
            std::thread::sleep(Duration::from_millis(10));
            buffer.push("a".to_owned());
            assert_eq!(waiting.join().unwrap(), batch(0, &["a"]));
        });
    }
}
