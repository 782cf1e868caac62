//! The receiving side of one edge: headers out of the ring, bytes in the sender's arena.
//!
//! 1. A [`Sample`] exists for every slot that the sender believes to be with this reader, and its drop gives the slot
//!    back, on whatever thread.
//!    After [`Subscriber::abandon`] nobody waits for it, and another process may read the edge: then it gives nothing back.
//! 2. Slot number and lengths come from another process: they are checked against the mapping before a `Sample` exists.
//!
//! The bytes of a sample lie in memory that the sender can write. A sender that uses this crate does not touch a
//! slot before it came back; one that scribbles over sent messages changes what the reader sees, within bounds.
#![expect(unsafe_code, reason = "gives out received bytes in place")]

use std::{
    os::fd::{AsFd, OwnedFd},
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use crate::{
    EdgeError, Header, OpenError, ReturnSet,
    arena::{Arena, meta_offset},
    edge::{Counters, Edge, Left, SpaceBell, add},
    header::{self, INLINE, Line, Words},
    layout::edge::INLINE as INLINE_BYTES,
    ring::Consumer,
    segment::{Access, Mapping, Shared},
    sync::AtomicU64,
};

/// What the samples of an edge share.
#[derive(Debug)]
struct Home {
    returns: ReturnSet,
    held: AtomicU32,
    /// Somebody waits for what is lent.
    wanted: AtomicBool,
    #[expect(dead_code, reason = "keeps the bytes of the samples mapped")]
    map: Arc<Mapping>,
}

/// The receiving side of one edge.
#[derive(Debug)]
pub struct Subscriber {
    ring: Consumer,
    arena: Arena,
    home: Arc<Home>,
    space: SpaceBell,
    done: Shared<AtomicU64>,
    left: Left,
    counters: Counters,
    drops_told: u64,
    closed: bool,
}

impl Subscriber {
    /// Maps edge and arena, and commits the pages that the sender planned.
    ///
    /// # Errors
    /// [`OpenError`] when one of the segments is not what it should be, or they do not belong together.
    pub fn open(edge: OwnedFd, arena: OwnedFd) -> Result<Self, OpenError> {
        let edge = Edge::open(edge.as_fd(), Access::Write)?;
        let arena = Arena::open(&arena, Access::Read)?;
        if edge.return_words as usize != arena.classes.words() {
            return Err(OpenError::Foreign { expected: "an edge", why: "it belongs to another arena" });
        }
        let mut subscriber = Self {
            ring: Consumer::new(edge.ring, edge.limit, edge.slack),
            home: Arc::new(Home {
                returns: edge.returns,
                held: AtomicU32::new(0),
                wanted: AtomicBool::new(true),
                map: arena.map.clone(),
            }),
            arena,
            space: edge.space,
            done: edge.done,
            left: edge.left,
            counters: edge.counters,
            drops_told: 0,
            closed: false,
        };
        subscriber.done.one().store(0, crate::sync::Ordering::Relaxed);
        // What was dropped before is not this process's loss.
        subscriber.drain_drop_count();
        Ok(subscriber)
    }

    /// Is there something to take? One load of a line that stays in this core's cache until the sender writes it.
    #[inline]
    pub fn is_ready(&self) -> bool {
        !self.closed && self.ring.is_ready()
    }

    /// When the message was sent that comes next, if there is one: to choose between edges. A hint: it may be overwritten before
    /// it is taken.
    #[inline]
    pub fn peek_send_ns(&self) -> Option<u64> {
        if self.closed { None } else { self.ring.peek_send_ns() }
    }

    /// Takes the oldest message that counts.
    ///
    /// # Errors
    /// [`EdgeError`] when the sender wrote nonsense; the edge is closed then, and says so ever after.
    ///
    /// # Real time
    /// No allocation, no lock; a system call only when a sender waits for room.
    #[inline]
    pub fn take(&mut self) -> Result<Option<Sample>, EdgeError> {
        let mut sample = Sample::default();
        Ok(self.take_into(&mut sample)?.then_some(sample))
    }

    /// As [`take`](Self::take), written where it is needed instead of moved there. What was in `into` goes back to
    /// its sender; without a message it is empty afterwards.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    #[inline]
    pub fn take_into(&mut self, into: &mut Sample) -> Result<bool, EdgeError> {
        into.clear();
        if self.closed {
            return Err(EdgeError::Closed);
        }
        let taken = self.pop(into);
        if !matches!(taken, Ok(true)) {
            into.clear();
            self.closed = taken.is_err();
        }
        taken
    }

    #[inline]
    fn pop(&mut self, into: &mut Sample) -> Result<bool, EdgeError> {
        let (returns, mut skipped) = (&self.home.returns, 0);
        let popped = self.ring.pop(&mut into.words, &mut into.line, |slot| {
            returns.give_back(slot);
            skipped += 1;
        })?;
        if skipped > 0 {
            add(&self.counters.skipped, skipped);
        }
        if !popped {
            return Ok(false);
        }
        add(&self.counters.taken, 1);
        self.space.moved(self.ring.head());
        let slot = header::slot_of(&into.words);
        if slot != INLINE {
            into.lent = Some(self.lend(slot, &into.words)?);
        } else if end_of(&into.words) > INLINE_BYTES {
            return Err(EdgeError::Corrupt { what: "message length" });
        }
        Ok(true)
    }

    #[inline]
    fn lend(&self, slot: u32, words: &Words) -> Result<Lent, EdgeError> {
        let Some((offset, size)) = self.arena.classes.locate(slot) else {
            return Err(EdgeError::Corrupt { what: "slot number" });
        };
        if end_of(words) > size {
            return Err(EdgeError::Corrupt { what: "message length" });
        }
        let Some(start) = self.arena.map.bytes(offset, size) else {
            return Err(EdgeError::Corrupt { what: "slot number" });
        };
        self.home.held.fetch_add(1, Ordering::Relaxed);
        Ok(Lent { start, home: self.home.clone() })
    }

    /// This process reads the edge no more, although it may go on to look at what it has got: that gives no slot back, because
    /// the sender takes back all of them when it is told, and somebody else may have them then.
    pub fn abandon(self) {
        self.home.wanted.store(false, Ordering::Relaxed);
    }

    /// Slots that are with this process; samples of up to 64 bytes have none.
    #[inline]
    pub fn held(&self) -> u32 {
        self.home.held.load(Ordering::Relaxed)
    }

    /// Messages in the ring.
    pub fn queued(&self) -> u32 {
        if self.closed { 0 } else { self.ring.queued() as u32 }
    }

    /// The type record that a message's `type_id` refers to. Believe nothing it says.
    pub fn type_record(&self, id: u32) -> Option<&[u8]> {
        self.arena.type_record(id)
    }

    /// Identity of the sender's hybrid logical clock.
    pub fn hlc_id(&self) -> [u8; 16] {
        self.arena.hlc_id
    }

    /// Has the sender heard that we leave? Whoever finds the ring empty after this is true has had everything.
    #[inline]
    pub fn sender_left(&self) -> bool {
        self.left.is_said()
    }

    /// Messages dropped since the last call because the queue was full or flushed.
    pub fn drain_drop_count(&mut self) -> u64 {
        let c = &self.counters;
        let all = [&c.overwritten, &c.skipped, &c.flushed]
            .iter()
            .fold(0u64, |n, c| n.wrapping_add(c.one().load(crate::sync::Ordering::Relaxed)));
        // The sender writes two of them: a step back is no drop.
        let new = all.saturating_sub(self.drops_told);
        self.drops_told = all;
        new
    }
}

impl Drop for Subscriber {
    /// A sender that was told that we left takes back what waits in the ring.
    fn drop(&mut self) {
        // Release, pairs with the Acquire in `Out::recall`: we have moved the read position for the last time.
        self.done.one().store(1, crate::sync::Ordering::Release);
    }
}

/// Bytes that a message needs in its place.
#[inline]
fn end_of(words: &Words) -> u64 {
    let (payload_len, meta_len) = header::lens_of(words);
    meta_offset(payload_len.into()) + u64::from(meta_len)
}

/// A received message: in place, or for up to 64 bytes in the sample itself. Dropping it gives the slot back. The default
/// is an empty message that nobody sent.
///
/// Its lengths fit its place: that of `lent`, otherwise `line`.
#[derive(Debug, Default)]
pub struct Sample {
    words: Words,
    line: Line,
    lent: Option<Lent>,
}

/// A slot that is with this process.
#[derive(Debug)]
struct Lent {
    start: NonNull<u8>,
    home: Arc<Home>,
}

// SAFETY: the slot stays readable and is not reused until this sample is dropped; giving back is one atomic OR.
unsafe impl Send for Sample {}
// SAFETY: shared references only read.
unsafe impl Sync for Sample {}

impl Sample {
    /// What it is. Decodes what the caller looks at and nothing else.
    #[inline]
    pub fn header(&self) -> Header {
        Header::from_words(&self.words).0
    }

    /// Gives the slot back; the message is empty then.
    #[inline]
    pub fn clear(&mut self) {
        header::clear_lens(&mut self.words);
        self.give_back();
    }

    /// True when it lies in a slot of its sender, which has that one slot less meanwhile.
    #[inline]
    pub fn is_lent(&self) -> bool {
        self.lent.is_some()
    }

    #[inline]
    fn give_back(&mut self) {
        if let Some(lent) = self.lent.take() {
            // Relaxed: a sender that takes back everything waits for the daemon's word, which comes long after.
            if lent.home.wanted.load(Ordering::Relaxed) {
                lent.home.returns.give_back(header::slot_of(&self.words));
            }
            lent.home.held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[inline]
    fn start(&self) -> *const u8 {
        match &self.lent {
            None => self.line.as_ptr().cast(),
            Some(lent) => lent.start.as_ptr(),
        }
    }

    /// Its bytes. 64-byte aligned from 65 bytes on, 8-byte aligned below.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let (payload_len, _) = header::lens_of(&self.words);
        // SAFETY: `Subscriber` checked the length against the line, or the slot and the mapping that `home` keeps.
        unsafe { core::slice::from_raw_parts(self.start(), payload_len as usize) }
    }

    /// Its metadata; 8-byte aligned.
    #[inline]
    pub fn meta(&self) -> &[u8] {
        let (payload_len, meta_len) = header::lens_of(&self.words);
        let offset = meta_offset(payload_len.into()) as usize;
        // SAFETY: as in `payload`: offset and length were checked together.
        unsafe { core::slice::from_raw_parts(self.start().add(offset), meta_len as usize) }
    }
}

impl Drop for Sample {
    #[inline]
    fn drop(&mut self) {
        self.give_back();
    }
}

const _: () = assert!(size_of::<Words>() == 56, "with the stamp, one line");
