//! The thread on which what nodes print is read, cut, written and passed on: one per dataflow.
//!
//! A node may print faster than its lines can be dealt with. Then this thread is busy without pause, and the supervisor's is not:
//! it starts, watches and stops nodes as ever. It has less of a claim to a core than the others, so the flooder waits for its pipe
//! rather than anybody for the flooder.

use std::{
    io,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    time::Instant,
};

/// How much less of a claim (`nice`).
const NICE: i32 = 10;

/// A node whose lines have taken so much time has to wait before further ones are read, unless it was silent in between.
const BURST: Duration = Duration::from_millis(4);

/// Gives the lines of one node half of a core at most, and so slows down a node that prints more: its pipe is full.
pub(crate) struct Pace {
    since: Instant,
    worked: Duration,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, worked: Duration::ZERO }
    }

    /// A turn has taken `turn` until `now`: when may the next one begin? `None` = at once.
    pub(crate) fn after(&mut self, turn: Duration, now: Instant) -> Option<Instant> {
        self.worked += turn;
        let free = self.since + 2 * self.worked;
        if free <= now {
            // It has been silent for long enough.
            *self = Self::new(now);
            return None;
        }
        if self.worked < BURST {
            return None;
        }
        *self = Self::new(free);
        Some(free)
    }
}

/// The thread; ended when dropped, with every task on it.
pub(crate) struct LogThread {
    handle: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LogThread {
    /// Starts it on the cores of the calling thread.
    ///
    /// # Errors
    /// What the kernel says about a new thread or its `epoll`.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("dora-logs".to_owned()).spawn(move || {
            // Of this thread alone. Asking for less is never refused, and without it everything works, too.
            rustix::process::setpriority_process(None, NICE).unwrap_or_default();
            // Resolved by the drop of the sender.
            drop(runtime.block_on(ended));
        })?;
        Ok(Self { handle, end: Some(end), thread: Some(thread) })
    }

    /// Where to start tasks.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            // Its tasks let go after a few kilobytes each. A panic of one has been told by the thread itself.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_prints_without_pause_gets_half_of_the_time_and_who_is_silent_now_and_then_all_it_wants() {
        let ms = Duration::from_millis;
        let begin = Instant::now();
        let (mut pace, mut now, mut worked) = (Pace::new(begin), begin, Duration::ZERO);
        while now < begin + ms(1000) {
            now += ms(1);
            worked += ms(1);
            now = pace.after(ms(1), now).unwrap_or(now);
        }
        assert!(worked >= ms(490) && worked <= ms(510), "{worked:?}");

        let mut pace = Pace::new(begin);
        let turns = (1..100).map(|n| begin + ms(3 * n)).filter_map(|now| pace.after(ms(1), now));
        assert_eq!(turns.count(), 0, "a third of the time is less than half of it");
        assert_eq!(pace.after(ms(300), begin + ms(600)), Some(begin + ms(897)));
    }
}
