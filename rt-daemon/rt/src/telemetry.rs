//! Events, finished plans and counters, on their way up.
//!
//! 1. The worker never waits. A full event ring loses the newest event and counts it.
//! 2. A plan is never lost and never freed below: [`Outlet::has_room`] is asked before one has to go up.
//! 3. The eventfd is written once until somebody looks: `told` is cleared before the rings are read, so an event that
//!    comes after is told anew.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
};

use crossbeam_queue::ArrayQueue;
use rustix::event::{EventfdFlags, eventfd};

use crate::{mailbox, plan::Plan, watch::WatchKind};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node is overdue.
    WatchFired {
        /// Id of the plan.
        plan: u64,
        /// Number of the watch in it.
        watch: u32,
        /// Its kind.
        kind: WatchKind,
        /// When the handler began, in CLOCK_MONOTONIC nanoseconds.
        since_ns: u64,
        /// When it was seen, in CLOCK_MONOTONIC nanoseconds.
        now_ns: u64,
    },
}

/// Counts of one worker. Each has one writer, the worker.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) cycles: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) fired: AtomicU64,
    pub(crate) lost: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountersSnapshot {
    /// Times that the worker was awake.
    pub cycles: u64,
    /// Commands taken.
    pub commands: u64,
    /// Of these, such that named a watch that the plan does not have.
    pub refused: u64,
    /// Watches that fired.
    pub fired: u64,
    /// Events lost because their ring was full.
    pub lost: u64,
}

impl Counters {
    /// Reads all of them; the worker may be at work, so they need not fit together.
    pub fn snapshot(&self) -> CountersSnapshot {
        CountersSnapshot {
            cycles: self.cycles.load(Relaxed),
            commands: self.commands.load(Relaxed),
            refused: self.refused.load(Relaxed),
            fired: self.fired.load(Relaxed),
            lost: self.lost.load(Relaxed),
        }
    }
}

/// Adds one to a counter that only the caller writes.
pub(crate) fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

#[derive(Debug)]
struct Rings {
    events: ArrayQueue<Event>,
    plans: ArrayQueue<Box<Plan>>,
    told: AtomicBool,
    fd: OwnedFd,
    counters: Counters,
}

/// The lower end.
#[derive(Debug)]
pub(crate) struct Outlet(Arc<Rings>);

/// The upper end. [`AsFd`] is an eventfd that becomes readable when there is something to take.
#[derive(Debug)]
pub struct Events {
    rings: Arc<Rings>,
    below: Arc<mailbox::Shared>,
}

/// Makes both ends.
#[expect(clippy::disallowed_methods, reason = "runs before the worker")]
pub(crate) fn channel(below: Arc<mailbox::Shared>, events: usize) -> io::Result<(Outlet, Events)> {
    let rings = Arc::new(Rings {
        events: ArrayQueue::new(events.max(1)),
        plans: ArrayQueue::new(4),
        told: AtomicBool::new(false),
        fd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        counters: Counters::default(),
    });
    Ok((Outlet(Arc::clone(&rings)), Events { rings, below }))
}

impl Outlet {
    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Can a plan go up?
    pub(crate) fn has_room(&self) -> bool {
        !self.0.plans.is_full()
    }

    /// Gives the plan back when there is no room.
    pub(crate) fn retire(&self, plan: Box<Plan>) -> Result<(), Box<Plan>> {
        self.0.plans.push(plan)?;
        self.tell();
        Ok(())
    }

    pub(crate) fn event(&self, event: Event) {
        if self.0.events.push(event).is_err() {
            bump(&self.0.counters.lost);
        }
        self.tell();
    }

    fn tell(&self) {
        if !self.0.told.swap(true, SeqCst) {
            // Fails only when 2^64 - 2 tellings were not looked at; then it is readable anyway.
            rustix::io::write(&self.0.fd, &1u64.to_ne_bytes()).ok();
        }
    }
}

impl Events {
    /// Makes the eventfd unreadable until something new comes. Call it first, then take until both are empty.
    pub fn acknowledge(&self) {
        // WOULDBLOCK: nothing was told.
        rustix::io::read(&self.rings.fd, &mut [0u8; 8]).ok();
        self.rings.told.store(false, SeqCst);
    }

    /// The oldest event.
    pub fn next(&self) -> Option<Event> {
        self.rings.events.pop()
    }

    /// A plan that the worker is done with, to be freed by the caller.
    pub fn retired(&self) -> Option<Box<Plan>> {
        let plan = self.rings.plans.pop()?;
        // The worker may have left commands in the mailbox for want of room.
        self.below.bell.ring();
        Some(plan)
    }

    /// The counts of the worker.
    pub fn counters(&self) -> CountersSnapshot {
        self.rings.counters.snapshot()
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.rings.fd.as_fd()
    }
}
