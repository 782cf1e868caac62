//! One reader of one output: the segment with the ring, the return set and the bell of a waiting sender.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use crate::{
    ArenaSpec, OpenError, ReturnSet,
    arena::Classes,
    futex::{Futex, Woken},
    layout::{Kind, edge as at},
    ring::{self, RingMem, full_fence},
    segment::{self, Access, Mapping, Shared},
    sync::{AtomicU32, AtomicU64, Ordering},
};

/// What happens when more messages are queued than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The oldest ones make room.
    DropOldest,
    /// The sender waits.
    Backpressure,
}

/// What an edge must hold.
#[derive(Clone, Copy, Debug)]
pub struct EdgeSpec {
    /// Messages queued before the policy acts.
    pub limit: u32,
    /// What happens then.
    pub policy: Policy,
    /// The arena whose slots travel here.
    pub arena: ArenaSpec,
}

/// Largest accepted limit: a million messages, 64 MB of headers.
pub const MAX_LIMIT: u32 = 1 << 20;

impl EdgeSpec {
    /// Entries that such an edge stores: the slots it can keep busy while its reader holds none.
    pub fn storage(limit: u32, policy: Policy) -> u32 {
        let limit = u64::from(limit.clamp(1, MAX_LIMIT));
        let slack = if policy == Policy::DropOldest { ring::slack(limit) } else { 0 };
        (limit + slack).next_power_of_two() as u32
    }
}

/// Creates an edge segment.
///
/// # Errors
/// What `memfd_create` or `mmap` say.
pub fn create(spec: &EdgeSpec) -> io::Result<OwnedFd> {
    let capacity = EdgeSpec::storage(spec.limit, spec.policy);
    let words = Classes::new(spec.arena.outstanding).words() as u64;
    segment::create("dora-edge", Kind::Edge, at::size(capacity.into(), words), |map| {
        map.u32(at::CAPACITY)?.store(capacity, Ordering::Relaxed);
        map.u32(at::LIMIT)?.store(spec.limit.clamp(1, MAX_LIMIT), Ordering::Relaxed);
        map.u32(at::POLICY)?.store(u32::from(spec.policy == Policy::Backpressure), Ordering::Relaxed);
        map.u32(at::RETURN_WORDS)?.store(words as u32, Ordering::Relaxed);
        Ok(())
    })
}

/// A mapped edge, from either side.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) ring: RingMem,
    pub(crate) limit: u64,
    pub(crate) slack: u64,
    pub(crate) policy: Policy,
    pub(crate) returns: ReturnSet,
    pub(crate) return_words: u32,
    pub(crate) space: SpaceBell,
    /// The reader reads no more.
    pub(crate) done: Shared<AtomicU64>,
    pub(crate) left: Left,
    pub(crate) counters: Counters,
}

/// Counters of an edge; each has one writer.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    pub(crate) overwritten: Shared<AtomicU64>,
    pub(crate) requeued: Shared<AtomicU64>,
    pub(crate) flushed: Shared<AtomicU64>,
    pub(crate) refused: Shared<AtomicU64>,
    pub(crate) taken: Shared<AtomicU64>,
    pub(crate) skipped: Shared<AtomicU64>,
}

/// Adds to a counter that only the caller writes: no locked instruction.
#[inline]
pub(crate) fn add(counter: &Shared<AtomicU64>, n: u64) {
    let word = counter.one();
    word.store(word.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

impl Edge {
    pub(crate) fn open(fd: BorrowedFd<'_>, access: Access) -> Result<Self, OpenError> {
        const WRONG: OpenError = OpenError::Foreign {
            expected: "an edge",
            why: "the numbers in its header contradict each other",
        };
        let map = Mapping::open(fd, Kind::Edge, access)?;
        let number = |at| Ok::<u32, OpenError>(map.u32(at)?.load(Ordering::Relaxed));
        let (capacity, limit) = (number(at::CAPACITY)?, number(at::LIMIT)?);
        let policy = match number(at::POLICY)? {
            0 => Policy::DropOldest,
            1 => Policy::Backpressure,
            _ => return Err(WRONG),
        };
        let words = number(at::RETURN_WORDS)?;
        if limit == 0
            || limit > MAX_LIMIT
            || capacity != EdgeSpec::storage(limit, policy)
            || map.len() as u64 != at::size(capacity.into(), words.into())
        {
            return Err(WRONG);
        }
        map.populate(0, map.len() as u64);
        let word = |at| Shared::<AtomicU64>::map(&map, at, 1);
        Ok(Self {
            ring: RingMem {
                head: word(at::HEAD)?,
                tail: word(at::TAIL)?,
                entries: Shared::map(&map, at::entries(words.into()), capacity.into())?,
            },
            limit: limit.into(),
            slack: if policy == Policy::DropOldest { ring::slack(limit.into()) } else { 0 },
            policy,
            returns: ReturnSet::new(Shared::map(&map, at::RETURNS, words.into())?),
            return_words: words,
            space: SpaceBell {
                wanted: word(at::SPACE_WANTED)?,
                bell: Shared::<AtomicU32>::map(&map, at::SPACE_BELL, 1)?,
                futex: Arc::new(Futex::new()),
            },
            done: word(at::DONE)?,
            left: Left(word(at::LEFT)?),
            counters: Counters {
                overwritten: word(at::OVERWRITTEN)?,
                requeued: word(at::REQUEUED)?,
                flushed: word(at::FLUSHED)?,
                refused: word(at::REFUSED)?,
                taken: word(at::TAKEN)?,
                skipped: word(at::SKIPPED)?,
            },
        })
    }
}

/// The word by which a sender says that it has heard that its reader leaves, and sends no more.
#[derive(Clone, Debug)]
pub(crate) struct Left(Shared<AtomicU64>);

impl Left {
    #[cfg(all(test, loom))]
    pub(crate) fn on_heap() -> Self {
        Self(Shared::heap(vec![AtomicU64::new(0)]))
    }

    /// Sender: after its last message.
    pub(crate) fn say(&self) {
        // Release, pairs with the Acquire in `is_said`: whoever sees it sees all that was sent.
        self.0.one().store(1, Ordering::Release);
    }

    /// Reader: who finds the ring empty after this is true has had everything.
    #[inline]
    pub(crate) fn is_said(&self) -> bool {
        // Acquire, pairs with the Release in `say`.
        self.0.one().load(Ordering::Acquire) != 0
    }
}

/// Where a sender waits for room on one `backpressure` edge.
///
/// The sender writes the position that the reader must reach, so that it wakes once for half a ring and not for
/// every message.
#[derive(Clone, Debug)]
pub(crate) struct SpaceBell {
    pub(crate) wanted: Shared<AtomicU64>,
    pub(crate) bell: Shared<AtomicU32>,
    pub(crate) futex: Arc<Futex>,
}

impl SpaceBell {
    #[cfg(all(test, loom))]
    pub(crate) fn on_heap() -> Self {
        Self {
            wanted: Shared::heap(vec![AtomicU64::new(0)]),
            bell: Shared::heap(vec![AtomicU32::new(0)]),
            futex: Arc::new(Futex::new()),
        }
    }

    /// Sender: asks to be woken when the read position reaches `position` (> 0). Look at it once more after this.
    /// Returns the ticket for [`sleep`](Self::sleep).
    pub(crate) fn ask(&self, position: u64) -> u32 {
        let ticket = self.bell.one().load(Ordering::Acquire);
        self.wanted.one().store(position, Ordering::Relaxed);
        // (G1) pairs with (G2) in `moved`: we wrote what we want and now read the position; the reader moved the
        // position and then reads what we want.
        full_fence();
        ticket
    }

    /// Sender: sleeps until rung since `ask`, until the deadline, or until a signal handler has run.
    pub(crate) fn sleep(&self, ticket: u32, deadline_ns: Option<u64>) -> Woken {
        self.futex.wait(self.bell.one(), ticket, deadline_ns)
    }

    /// Sender: needs no more waking.
    pub(crate) fn done(&self) {
        self.wanted.one().store(0, Ordering::Relaxed);
    }

    /// Reader: the position is now `position`. One load unless a sender waits.
    #[inline]
    pub(crate) fn moved(&self, position: u64) {
        // (G2) The compare-exchange in `Consumer::pop` and this load are both SeqCst, so they keep their order
        // against (G1); on x86 and ARMv8 that costs nothing beyond the exchange. The model checker only knows
        // fences.
        #[cfg(loom)]
        full_fence();
        let wanted = self.wanted.one().load(Ordering::SeqCst);
        if wanted != 0 && position >= wanted {
            self.ring();
        }
    }

    /// Wakes the sender, whatever it waits for.
    #[cold]
    pub(crate) fn ring(&self) {
        self.bell.one().fetch_add(1, Ordering::AcqRel);
        self.futex.wake(self.bell.one());
    }
}

/// An onlooker's view of an edge.
#[derive(Debug)]
pub struct EdgeView {
    edge: Edge,
}

/// Where the messages of an edge went: `sent = taken + overwritten + flushed + queued`, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Entered the edge.
    pub sent: u64,
    /// Left the ring with the reader, whether or not its process lived on to count them.
    pub taken: u64,
    /// Dropped because more than the limit were queued.
    pub overwritten: u64,
    /// Dropped by a flush, or taken back from a reader that was disconnected.
    pub flushed: u64,
    /// In the ring.
    pub queued: u64,
}

impl EdgeView {
    /// Maps an edge to look at its counters.
    ///
    /// # Errors
    /// [`OpenError`] when the segment is none.
    pub fn open(fd: BorrowedFd<'_>) -> Result<Self, OpenError> {
        Ok(Self { edge: Edge::open(fd.as_fd(), Access::Read)? })
    }

    /// The ledger now. Its sum is always right; how it is split, when neither side is in the middle of a call. What a process
    /// left uncounted because it was killed counts as taken.
    pub fn ledger(&self) -> Ledger {
        let get = |c: &Shared<AtomicU64>| c.one().load(Ordering::Acquire);
        let c = &self.edge.counters;
        // Each of them is raised after the read position, and that after the write position.
        let (overwritten, skipped) = (get(&c.overwritten), get(&c.skipped));
        let (flushed, requeued) = (get(&c.flushed), get(&c.requeued));
        let head = self.head();
        let tail = self.edge.ring.written(get(&self.edge.ring.tail)).max(head);
        let overwritten = overwritten.wrapping_add(skipped);
        let passed_by_sender = overwritten.wrapping_add(flushed).wrapping_add(requeued);
        Ledger {
            sent: tail.saturating_sub(requeued),
            taken: head.saturating_sub(passed_by_sender),
            overwritten,
            flushed,
            queued: tail - head,
        }
    }

    /// Messages that the reader has counted as taken: as in the ledger, unless a process was killed just before it could count.
    pub fn counted(&self) -> u64 {
        self.edge.counters.taken.one().load(Ordering::Acquire)
    }

    /// Slots that the reader gave back without having them.
    pub fn refused(&self) -> u64 {
        self.edge.counters.refused.one().load(Ordering::Acquire)
    }

    /// Has the sender heard that its reader leaves? Nothing comes after what is in the ring then.
    pub fn sender_left(&self) -> bool {
        self.edge.left.is_said()
    }

    /// Next position to read.
    pub fn head(&self) -> u64 {
        self.edge.ring.head.one().load(Ordering::Acquire)
    }
}

/// The process that read this edge is gone, and the next one is not started yet: forgets what the old one gave back or scribbled
/// there, and returns the position at which the next one goes on. Then tell the sender:
/// [`Publisher::reader_restarted`](crate::Publisher::reader_restarted). It may send meanwhile.
///
/// # Errors
/// [`OpenError`] when the segment is no edge.
pub fn reader_died(fd: BorrowedFd<'_>) -> Result<u64, OpenError> {
    let edge = Edge::open(fd, Access::Write)?;
    // Nothing is lost: whatever it gave back came before the position, and the sender takes all of that back.
    (0..edge.return_words as usize).for_each(|word| {
        edge.returns.collect(word);
    });
    Ok(edge.ring.head.one().load(Ordering::Acquire))
}
