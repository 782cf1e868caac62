//! What a node sleeps on, and how its senders wake it.
//!
//! One word per receiving node: 0 awake, 1 parked on this futex, 2 wants its eventfd written. Senders ring after
//! every push; that is one fence and one load as long as the node is awake, and one system call when it sleeps.
//!
//! 1. Sleeper: write "asleep", full fence, look at every ring once more, sleep. Sender: write the ring, full fence,
//!    look at the word. At least one of the two sees the other (Dekker), so no message waits beside a sleeper.
//! 2. The word is only a hint to make the call. Garbage in it costs a call too many, or one too few until the
//!    next ring that finds its edge full (`Publisher` then rings in any case).

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::event::{EventfdFlags, eventfd};

use crate::{
    OpenError,
    futex::{Futex, Woken},
    layout::{Kind, doorbell as at},
    ring::full_fence,
    segment::{self, Access, Mapping, Shared},
    sync::{AtomicU32, Ordering},
};

const AWAKE: u32 = 0;
const PARKED: u32 = 1;
const WANTS_EVENTFD: u32 = 2;

/// Creates a doorbell segment.
///
/// # Errors
/// What `memfd_create` or `mmap` say.
pub fn create() -> io::Result<OwnedFd> {
    segment::create("dora-doorbell", Kind::Doorbell, at::SIZE, |_| Ok(()))
}

/// Creates the eventfd that goes with a doorbell.
///
/// # Errors
/// What `eventfd` says: out of descriptors.
pub fn create_eventfd() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// A doorbell, from either side. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Doorbell {
    word: Shared<AtomicU32>,
    futex: Arc<Futex>,
    eventfd: Option<Arc<OwnedFd>>,
}

impl Doorbell {
    /// Maps a doorbell that the daemon made.
    ///
    /// # Errors
    /// [`OpenError`] when the segment is none.
    pub fn open(word: OwnedFd, eventfd: Option<OwnedFd>) -> Result<Self, OpenError> {
        let map = Mapping::open(word.as_fd(), Kind::Doorbell, Access::Write)?;
        map.populate(0, at::SIZE);
        Ok(Self {
            word: Shared::map(&map, at::WORD, 1)?,
            futex: Arc::new(Futex::new()),
            eventfd: eventfd.map(Arc::new),
        })
    }

    /// A doorbell of this process only.
    #[cfg(all(test, loom))]
    pub(crate) fn on_heap() -> Self {
        Self { word: Shared::heap(vec![AtomicU32::new(AWAKE)]), futex: Arc::new(Futex::new()), eventfd: None }
    }

    /// After a push: wakes the owner if it sleeps.
    ///
    /// # Real time
    /// A full fence and a load; one system call when the owner sleeps.
    #[inline]
    pub fn ring(&self) {
        // (F1) pairs with (F2) in `prepare`. We wrote a ring entry and now read the word; the owner writes the word
        // and then reads the ring entry. Nothing weaker orders a store before a later load of another variable.
        full_fence();
        if self.word.one().load(Ordering::Relaxed) != AWAKE {
            // AcqRel: of several senders, one makes the call.
            match self.word.one().swap(AWAKE, Ordering::AcqRel) {
                AWAKE => {}
                WANTS_EVENTFD => self.write_eventfd(),
                _ => self.futex.wake(self.word.one()),
            }
        }
    }

    /// Wakes the owner whatever its word says. One or two system calls.
    #[cold]
    pub fn wake(&self) {
        self.word.one().store(AWAKE, Ordering::Release);
        self.futex.wake(self.word.one());
        self.write_eventfd();
    }

    fn write_eventfd(&self) {
        if let Some(fd) = &self.eventfd {
            // Fails only when the counter is full: then the owner is awake already.
            rustix::io::write(fd, &1u64.to_ne_bytes()).ok();
        }
    }

    /// Owner: "I am about to sleep". Look at every ring once more after this, then [`park`](Self::park) or
    /// [`cancel`](Self::cancel).
    #[inline]
    pub fn prepare(&self) {
        self.say(PARKED);
        // (F2) pairs with (F1) in `ring`.
        full_fence();
    }

    /// An exchange rather than a store: it takes its place behind the exchange of a sender that is just waking us,
    /// so that no other sender can still read that one's "awake" after our fence. On the way to sleep it costs
    /// nothing that counts.
    #[inline]
    fn say(&self, word: u32) {
        self.word.one().swap(word, Ordering::AcqRel);
    }

    /// Owner: sleeps until rung, until `deadline_ns` (CLOCK_MONOTONIC, absolute), or until a signal handler has run. Look at
    /// the rings in any case.
    #[inline]
    pub fn park(&self, deadline_ns: Option<u64>) -> Woken {
        // The kernel compares again: a ring since `prepare` made the word 0 and we do not sleep.
        let woken = self.futex.wait(self.word.one(), PARKED, deadline_ns);
        self.word.one().store(AWAKE, Ordering::Relaxed);
        woken
    }

    /// Owner: stays awake after all.
    #[inline]
    pub fn cancel(&self) {
        self.word.one().store(AWAKE, Ordering::Relaxed);
    }

    /// Owner: "I am about to sleep on my eventfd" (in a poll loop of its own). Look at every ring once more after
    /// this; read the eventfd when it becomes readable.
    pub fn prepare_eventfd(&self) {
        self.say(WANTS_EVENTFD);
        // Pairs with (F1), as in `prepare`.
        full_fence();
    }

    /// The eventfd, when there is one.
    pub fn eventfd(&self) -> Option<BorrowedFd<'_>> {
        self.eventfd.as_ref().map(|fd| fd.as_fd())
    }
}
