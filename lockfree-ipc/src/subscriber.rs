//! The receiving side of one edge: headers out of the ring, bytes in the sender's arena.
//!
//! 1. A [`Sample`] exists for every slot that the sender believes to be with this reader, and its drop gives the slot
//!    back, on whatever thread.
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
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    EdgeError, Header, OpenError, ReturnSet,
    arena::{Arena, meta_offset},
    edge::{Counters, Edge, SpaceBell, add},
    header::{self, INLINE, Line},
    layout::edge::INLINE as INLINE_BYTES,
    ring::Consumer,
    segment::{Access, Mapping},
};

/// What the samples of an edge share.
#[derive(Debug)]
struct Home {
    returns: ReturnSet,
    held: AtomicU32,
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
        Ok(Self {
            ring: Consumer::new(edge.ring, edge.limit, edge.slack),
            home: Arc::new(Home { returns: edge.returns, held: AtomicU32::new(0), map: arena.map.clone() }),
            arena,
            space: edge.space,
            counters: edge.counters,
            drops_told: 0,
            closed: false,
        })
    }

    /// Is there something to take? One load of a line that stays in this core's cache until the sender writes it.
    #[inline]
    pub fn is_ready(&self) -> bool {
        !self.closed && self.ring.is_ready()
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
        if self.closed {
            return Err(EdgeError::Closed);
        }
        let taken = self.pop();
        self.closed = taken.is_err();
        taken
    }

    #[inline]
    fn pop(&mut self) -> Result<Option<Sample>, EdgeError> {
        let (returns, mut skipped) = (&self.home.returns, 0);
        let popped = self.ring.pop(|slot| {
            returns.give_back(slot);
            skipped += 1;
        })?;
        if skipped > 0 {
            add(&self.counters.skipped, skipped);
        }
        let Some((words, line)) = popped else { return Ok(None) };
        add(&self.counters.taken, 1);
        self.space.moved(self.ring.head());
        let (header, slot) = Header::from_words(&words);
        if slot == INLINE {
            return if meta_offset(header.payload_len.into()) + u64::from(header.meta_len) > INLINE_BYTES {
                Err(EdgeError::Corrupt { what: "message length" })
            } else {
                Ok(Some(Sample { header, body: Body::Inline(line) }))
            };
        }
        self.sample(header, slot).map(Some)
    }

    fn sample(&self, header: Header, slot: u32) -> Result<Sample, EdgeError> {
        let Some((offset, size)) = self.arena.classes.locate(slot) else {
            return Err(EdgeError::Corrupt { what: "slot number" });
        };
        if meta_offset(header.payload_len.into()) + u64::from(header.meta_len) > size {
            return Err(EdgeError::Corrupt { what: "message length" });
        }
        let Some(start) = self.arena.map.bytes(offset, size) else {
            return Err(EdgeError::Corrupt { what: "slot number" });
        };
        self.home.held.fetch_add(1, Ordering::Relaxed);
        Ok(Sample { header, body: Body::Slot { slot, start, home: self.home.clone() } })
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

/// A received message: in place, or for up to 64 bytes in the sample itself. Dropping it gives the slot back.
#[derive(Debug)]
pub struct Sample {
    header: Header,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Inline(Line),
    Slot { slot: u32, start: NonNull<u8>, home: Arc<Home> },
}

// SAFETY: the slot stays readable and is not reused until this sample is dropped; giving back is one atomic OR.
unsafe impl Send for Sample {}
// SAFETY: shared references only read.
unsafe impl Sync for Sample {}

impl Sample {
    /// What it is.
    #[inline]
    pub fn header(&self) -> &Header {
        &self.header
    }

    #[inline]
    fn start(&self) -> *const u8 {
        match &self.body {
            Body::Inline(line) => line.as_ptr().cast(),
            Body::Slot { start, .. } => start.as_ptr(),
        }
    }

    /// Its bytes. 64-byte aligned from 65 bytes on, 8-byte aligned below.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        // SAFETY: `Subscriber` checked the length against the line, or the slot and the mapping that `home` keeps.
        unsafe { core::slice::from_raw_parts(self.start(), self.header.payload_len as usize) }
    }

    /// Its metadata; 8-byte aligned.
    #[inline]
    pub fn meta(&self) -> &[u8] {
        let offset = meta_offset(self.header.payload_len.into()) as usize;
        // SAFETY: as in `payload`: offset and length were checked together.
        unsafe { core::slice::from_raw_parts(self.start().add(offset), self.header.meta_len as usize) }
    }
}

impl Drop for Sample {
    #[inline]
    fn drop(&mut self) {
        if let Body::Slot { slot, home, .. } = &self.body {
            home.returns.give_back(*slot);
            home.held.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

const _: () = assert!(size_of::<header::Words>() == 56, "with the stamp, one line");
