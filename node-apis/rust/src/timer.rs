//! Wakes tasks at a point in time, for async waits with a deadline in whatever executor.
//!
//! One sleeping thread per process, started with the first such wait and never before: a node that does not use
//! async deadlines has no such thread.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Instant,
};

/// Time, and a number that tells alarms of the same time apart.
type Key = (Instant, u64);

struct State {
    alarms: BTreeMap<Key, Waker>,
    next: u64,
    running: bool,
}

static STATE: Mutex<State> = Mutex::new(State { alarms: BTreeMap::new(), next: 0, running: false });
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An alarm that is set; dropping it takes it back.
#[derive(Debug)]
pub(crate) struct Alarm(Option<Key>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(key) = self.0 {
            lock().alarms.remove(&key);
        }
    }
}

/// Wakes the task at that time, or soon after.
///
/// When no thread can be started the task is woken at once, so that it polls rather than hangs.
pub(crate) fn wake_at(at: Instant, waker: &Waker) -> Alarm {
    let mut state = lock();
    if !state.running {
        let started = std::thread::Builder::new().name("dora-timer".into()).spawn(run);
        if started.is_err() {
            drop(state);
            waker.wake_by_ref();
            return Alarm(None);
        }
        state.running = true;
    }
    let key = (at, state.next);
    state.next += 1;
    state.alarms.insert(key, waker.clone());
    CHANGED.notify_one();
    Alarm(Some(key))
}

fn run() {
    let mut state = lock();
    loop {
        let now = Instant::now();
        while let Some(first) = state.alarms.first_entry().filter(|first| first.key().0 <= now) {
            let waker = first.remove();
            // A waker may call back into `wake_at`.
            drop(state);
            waker.wake();
            state = lock();
        }
        let pause = state.alarms.first_key_value().map(|((at, _), _)| at.saturating_duration_since(now));
        state = match pause {
            Some(pause) => CHANGED.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0,
            None => CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, task::Poll, time::Duration};

    async fn sleep_until(at: Instant) {
        let mut alarm = None;
        poll_fn(|cx| {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            alarm = Some(wake_at(at, cx.waker()));
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn tasks_are_woken_not_before_their_time_and_in_any_order() {
        let start = Instant::now();
        let (late, early) = (start + Duration::from_millis(20), start + Duration::from_millis(5));
        futures::executor::block_on(futures::future::join(
            async {
                sleep_until(late).await;
                assert!(Instant::now() >= late);
            },
            async {
                sleep_until(early).await;
                assert!(Instant::now() >= early);
            },
        ));
    }

    #[test]
    fn an_alarm_that_is_dropped_is_taken_back() {
        let far = Instant::now() + Duration::from_secs(3600);
        let alarm = wake_at(far, Waker::noop());
        let key = alarm.0.expect("the thread starts");
        assert!(lock().alarms.contains_key(&key));
        drop(alarm);
        assert!(!lock().alarms.contains_key(&key));
    }
}
