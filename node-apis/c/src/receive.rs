//! Waiting for events: without a limit, with one, not at all, and in a poll loop of the program's own.
#![expect(unsafe_code, reason = "entry points for C")]

use std::{
    ffi::{c_char, c_int, c_void},
    io,
    os::fd::{AsRawFd, OwnedFd},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use dora_node_api::{Event, TryRecvError, futures::Stream};
use rustix::event::{EventfdFlags, eventfd};

use crate::{
    context::{Context, Receiving, context},
    event,
    status::{Failure, Outcome, Status, handle, number, status},
    text,
};

/// Longer waits have no limit: 100 years.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// An eventfd that is readable when there may be an event.
pub(crate) struct Bell(Arc<Ring>);

struct Ring(OwnedFd);

impl Bell {
    fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Ring(fd))))
    }

    fn fd(&self) -> c_int {
        self.0.0.as_raw_fd()
    }

    fn ring(&self) {
        self.0.wake_by_ref();
    }

    /// Takes back all rings. Nothing to take back is fine.
    fn quiet(&self) {
        rustix::io::read(&self.0.0, &mut [0; 8]).unwrap_or_default();
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Fails only when the counter is full: then it is readable anyway.
        rustix::io::write(&self.0, &1u64.to_ne_bytes()).unwrap_or_default();
    }
}

fn closed() -> Failure {
    Failure::new(Status::Closed, "the event stream has ended")
}

impl Receiving {
    /// The next event that is there.
    fn now(&mut self) -> Result<Event, TryRecvError> {
        let Some(bell) = &self.bell else { return self.events.try_recv() };
        bell.quiet();
        let waker = Waker::from(bell.0.clone());
        let found = Pin::new(&mut self.events).poll_next(&mut TaskContext::from_waker(&waker));
        match found {
            // From here on the bell is rung by the next event.
            Poll::Pending => Err(TryRecvError::Empty),
            Poll::Ready(found) => {
                bell.ring();
                found.ok_or(TryRecvError::Closed)
            }
        }
    }

    /// Waits; `None` as limit is for ever.
    fn within(&mut self, limit: Option<Duration>) -> Result<Event, TryRecvError> {
        let found = match limit {
            None => self.events.recv().ok_or(TryRecvError::Closed),
            Some(limit) => {
                let deadline = Instant::now() + limit.min(FOREVER);
                loop {
                    // Empty before its time when a signal handler has run.
                    let found = self.events.recv_within(deadline.saturating_duration_since(Instant::now()));
                    if !matches!(found, Err(TryRecvError::Empty)) || Instant::now() >= deadline {
                        break found;
                    }
                }
            }
        };
        if let Some(bell) = &self.bell {
            // Who polls has to arm the bell again.
            bell.ring();
        }
        found
    }
}

/// A time of C: a negative one is for ever.
pub(crate) fn limit(timeout_ns: i64) -> Option<Duration> {
    u64::try_from(timeout_ns).ok().map(Duration::from_nanos)
}

/// Waits for the next event. Null at the end of the stream, and for a failure.
#[unsafe(no_mangle)]
pub extern "C" fn dora_next_event(ctx: *mut c_void) -> *mut c_void {
    handle(|| {
        let context = context(ctx)?;
        let found = context.receiving()?.within(None);
        event::keep(found.map_err(|_| closed())?, context)
    })
}

/// # Safety
/// `out` is a place for a handle, or null.
unsafe fn deliver(
    ctx: *mut c_void,
    out: *mut *mut c_void,
    empty: Status,
    take: impl FnOnce(&mut Receiving) -> Result<Event, TryRecvError>,
) -> Outcome<()> {
    text::can_take(out)?;
    let context: &'static Context = context(ctx)?;
    let event = take(&mut *context.receiving()?).map_err(|why| match why {
        TryRecvError::Closed => closed(),
        TryRecvError::Empty => Failure::new(empty, why),
    })?;
    // SAFETY: checked above; the caller answers for the rest.
    unsafe { text::put(out, event::keep(event, context)?, "`out`") }
}

/// Waits for the next event, at most this long.
///
/// # Safety
/// `out` is a place for a handle, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_next_event_timeout(
    ctx: *mut c_void,
    timeout_ns: i64,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: passed on.
    status(|| unsafe { deliver(ctx, out, Status::Timeout, |half| half.within(limit(timeout_ns))) })
}

/// The next event if it is there.
///
/// # Safety
/// `out` is a place for a handle, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_try_next_event(ctx: *mut c_void, out: *mut *mut c_void) -> c_int {
    // SAFETY: passed on.
    status(|| unsafe { deliver(ctx, out, Status::Empty, Receiving::now) })
}

/// 1 when there is no event now, 0 when there is one, -1 for a failure.
#[unsafe(no_mangle)]
pub extern "C" fn dora_events_empty(ctx: *mut c_void) -> c_int {
    number(-1, || Ok(c_int::from(context(ctx)?.receiving()?.events.is_empty())))
}

/// A file descriptor that is readable when there may be an event; -1 for a failure. It belongs to the context.
#[unsafe(no_mangle)]
pub extern "C" fn dora_event_fd(ctx: *mut c_void) -> c_int {
    number(-1, || {
        let mut half = context(ctx)?.receiving()?;
        if half.bell.is_none() {
            let bell = Bell::new()
                .map_err(|error| Failure::of(format!("no file descriptor for the events: {error}")))?;
            // What is there already rings nobody.
            bell.ring();
            half.bell = Some(bell);
        }
        Ok(half.bell.as_ref().map_or(-1, Bell::fd))
    })
}

/// Tells, and forgets, how many messages were lost per input.
///
/// # Safety
/// `each` may be called with `user`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_take_drop_counts(
    ctx: *mut c_void,
    each: Option<unsafe extern "C" fn(*mut c_void, *const c_char, usize, u64)>,
    user: *mut c_void,
) -> c_int {
    status(|| {
        let each = each.ok_or_else(|| Failure::argument("`each` is null"))?;
        let mut counts: Vec<_> = context(ctx)?.receiving()?.events.drain_drop_counts().into_iter().collect();
        counts.sort();
        for (input, count) in counts {
            let input = input.as_str();
            // SAFETY: the caller says that this may be called; the name lives as long as the call.
            unsafe { each(user, input.as_ptr().cast(), input.len(), count) };
        }
        Ok(())
    })
}
