//! Commands down: a ring of fixed size and the word that the worker sleeps on.
//!
//! 1. The worker reads the word, then the ring, then sleeps if the word is still the same. A sender writes the ring,
//!    then changes the word, then wakes. So a command that the worker did not see has changed the word, and the
//!    kernel does not put it to sleep.
//! 2. "Stop" is a flag beside the ring: it arrives even when the ring is full.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
};

use crossbeam_queue::ArrayQueue;
use rustix::{
    fs::Timespec,
    thread::futex::{self, Flags},
};

use crate::plan::Plan;

/// What a worker can be told.
#[derive(Debug)]
pub enum Command {
    /// Run this plan instead of the present one, which goes up to be freed. Nothing in it is armed.
    Install(Box<Plan>),
    /// Watch from `started_ns` (CLOCK_MONOTONIC) on.
    Arm {
        /// Number of the watch in the installed plan.
        watch: u32,
        /// When the node was told to go; it counts as in a handler from there until it first waits.
        started_ns: u64,
    },
    /// Watch no more.
    Disarm {
        /// Number of the watch in the installed plan.
        watch: u32,
    },
}
const _: () = assert!(size_of::<Command>() <= 24, "copied through the ring");

/// The ring is full; here is the command back.
#[derive(Debug, thiserror::Error)]
#[error("the mailbox of the real-time thread is full")]
pub struct MailboxFull(pub Command);

/// The word that a worker sleeps on.
#[derive(Debug, Default)]
pub(crate) struct Bell(AtomicU32);

impl Bell {
    /// To be read before looking at the ring.
    pub(crate) fn ticket(&self) -> u32 {
        self.0.load(SeqCst)
    }

    /// Sleeps until the deadline (CLOCK_MONOTONIC) or until rung since `ticket`; may also return for no reason.
    pub(crate) fn sleep(&self, ticket: u32, deadline_ns: Option<u64>) {
        const SECOND: u64 = 1_000_000_000;
        let until =
            deadline_ns.map(|ns| Timespec { tv_sec: (ns / SECOND) as _, tv_nsec: (ns % SECOND) as _ });
        // Timed out, changed meanwhile, interrupted: in each case the caller looks again.
        futex::wait_bitset(&self.0, Flags::PRIVATE, ticket, until.as_ref(), NonZeroU32::MAX).ok();
    }

    pub(crate) fn ring(&self) {
        self.0.fetch_add(1, SeqCst);
        // Cannot fail on a live word; nobody asleep is no error.
        futex::wake(&self.0, Flags::PRIVATE, 1).ok();
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) commands: ArrayQueue<Command>,
    pub(crate) stop: AtomicBool,
    pub(crate) bell: Bell,
}

/// The upper end. Cheap to clone; any thread may send.
#[derive(Clone, Debug)]
pub struct Mailbox {
    pub(crate) shared: Arc<Shared>,
}

impl Mailbox {
    /// Hands a command down and wakes the worker. Commands of one sender arrive in order.
    ///
    /// # Errors
    /// [`MailboxFull`] gives it back: the worker has not come round, or its finished plans were not taken.
    pub fn send(&self, command: Command) -> Result<(), MailboxFull> {
        self.shared.commands.push(command).map_err(MailboxFull)?;
        self.shared.bell.ring();
        Ok(())
    }

    /// The worker ends after its present cycle, without the commands that are still in the ring.
    pub fn stop(&self) {
        self.shared.stop.store(true, SeqCst);
        self.shared.bell.ring();
    }
}
