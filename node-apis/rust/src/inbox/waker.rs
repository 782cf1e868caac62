//! Sleeps on the doorbell for a node whose own thread belongs to an executor.
//!
//! 1. At most one thread sleeps on a doorbell: the node's own thread calls `disarm`, which waits until this one is
//!    awake, before it touches the bell.
//! 2. Armed only between `Doorbell::prepare` and the ring: no message slips in between.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task,
    thread::JoinHandle,
};

use lockfree_ipc::Doorbell;

#[derive(Default)]
struct State {
    /// Deadline, while the thread shall sleep or does.
    armed: Option<Option<u64>>,
    /// Whom to wake then; `None` when the task came by itself.
    task: Option<task::Waker>,
    quit: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, bell: &Doorbell) {
        let mut state = self.lock();
        loop {
            if state.quit {
                return;
            }
            let Some(deadline_ns) = state.armed else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            bell.park(deadline_ns);
            state = self.lock();
            state.armed = None;
            let woken = state.task.take();
            self.changed.notify_all();
            drop(state);
            if let Some(task) = woken {
                task.wake();
            }
            state = self.lock();
        }
    }
}

/// The thread, and how to talk to it.
pub(super) struct Waker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Waker {
    /// Starts the thread. Without one (out of threads) wake-ups come at once: the executor polls.
    pub(super) fn start(bell: Doorbell) -> Self {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let builder = std::thread::Builder::new().name("dora-waker".into()).stack_size(128 << 10);
        Self { thread: builder.spawn(move || own.run(&bell)).ok(), shared }
    }

    /// Sleeps on the prepared doorbell until it rings or `deadline_ns`, then wakes the task.
    pub(super) fn arm(&self, waker: task::Waker, deadline_ns: Option<u64>) {
        if self.thread.is_none() {
            waker.wake();
            return;
        }
        let mut state = self.shared.lock();
        (state.armed, state.task) = (Some(deadline_ns), Some(waker));
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Returns when the thread does not sleep on the doorbell; an armed task is not woken.
    pub(super) fn disarm(&self, bell: &Doorbell) {
        let mut state = self.shared.lock();
        state.task = None;
        while state.armed.is_some() && self.thread.is_some() {
            drop(state);
            bell.wake();
            state = self.shared.lock();
            if state.armed.is_some() {
                state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Ends the thread.
    pub(super) fn finish(mut self, bell: &Doorbell) {
        self.shared.lock().quit = true;
        self.shared.changed.notify_all();
        bell.wake();
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic but wake tasks, and their panics are theirs.
            thread.join().ok();
        }
    }
}
