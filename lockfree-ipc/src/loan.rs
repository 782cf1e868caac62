//! A message while its sender writes it.
//!
//! Up to 64 bytes are written in the loan and ride in the ring entry; more are written in a slot of the arena, in place.
//! Every field has its own word, so that a loan is built where it is needed and moved without stalls.
#![expect(unsafe_code, reason = "gives out slots as bytes")]

use std::{ptr::NonNull, sync::Arc};

use crate::{
    ReturnSet,
    arena::meta_offset,
    header::{INLINE, Line},
    layout::edge::INLINE as INLINE_BYTES,
    segment::Mapping,
};

/// Slots that were loaned and dropped unsent, on their way back to the publisher. Any thread.
#[derive(Debug)]
pub(crate) struct LoanHome {
    pub(crate) unsent: ReturnSet,
    pub(crate) map: Arc<Mapping>,
}

/// A message being written. Nobody else sees it until it is sent; dropped unsent, its slot goes back.
///
/// Fresh slots contain what an earlier message left there; the lengths fit `slot`, or `line` where there is none.
#[derive(Debug)]
pub struct Loan {
    line: Line,
    payload_len: u32,
    meta_len: u32,
    slot: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    home: Arc<LoanHome>,
    start: NonNull<u8>,
    size: u64,
    number: u64,
}

// SAFETY: a `Loan` is the only owner of its slot (`Publisher` took it off the free list); it may move.
unsafe impl Send for Loan {}
// SAFETY: shared references only read.
unsafe impl Sync for Loan {}

impl Loan {
    /// A message that fits into a ring entry.
    #[inline]
    pub(crate) fn inline(payload_len: usize, meta_len: usize) -> Self {
        debug_assert!(meta_offset(payload_len as u64) + meta_len as u64 <= INLINE_BYTES);
        Self { line: Line::default(), payload_len: payload_len as u32, meta_len: meta_len as u32, slot: None }
    }

    /// `None` when the slot is not inside the mapping or too small.
    pub(crate) fn new(
        home: Arc<LoanHome>,
        slot: u32,
        (offset, size): (u64, u64),
        payload_len: usize,
        meta_len: usize,
    ) -> Option<Self> {
        let start = home.map.bytes(offset, size)?;
        (meta_offset(payload_len as u64) + meta_len as u64 <= size).then_some(Self {
            line: Line::default(),
            // A slot is at most 1 GiB.
            payload_len: payload_len as u32,
            meta_len: meta_len as u32,
            slot: Some(Slot { home, start, size, number: slot.into() }),
        })
    }

    #[inline]
    fn start(&self) -> *const u8 {
        match &self.slot {
            None => self.line.as_ptr().cast(),
            Some(slot) => slot.start.as_ptr(),
        }
    }

    #[inline]
    fn start_mut(&mut self) -> *mut u8 {
        match &self.slot {
            None => self.line.as_mut_ptr().cast(),
            Some(slot) => slot.start.as_ptr(),
        }
    }

    /// The payload as written so far.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        // SAFETY: `inline`, `new` and `shrink` keep `payload_len` within the place; only this loan writes to it.
        unsafe { core::slice::from_raw_parts(self.start(), self.payload_len as usize) }
    }

    /// The payload, to be written in place. 64-byte aligned from 65 bytes on, 8-byte aligned below.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `payload`, and we are borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.start_mut(), self.payload_len as usize) }
    }

    /// The metadata, to be written in place. 8-byte aligned, behind the payload.
    #[inline]
    pub fn meta_mut(&mut self) -> &mut [u8] {
        let offset = meta_offset(self.payload_len.into()) as usize;
        let len = self.meta_len as usize;
        // SAFETY: `inline`, `new` and `shrink` keep `offset + meta_len` within the place; disjoint from the payload.
        unsafe { core::slice::from_raw_parts_mut(self.start_mut().add(offset), len) }
    }

    /// Makes the message shorter, or moves room between payload and metadata. False, and nothing changes, when the
    /// place is too small. What stood in the metadata is lost.
    pub fn shrink(&mut self, payload_len: usize, meta_len: usize) -> bool {
        let size = self.slot.as_ref().map_or(INLINE_BYTES, |slot| slot.size);
        let fits = (payload_len as u64) <= size && meta_offset(payload_len as u64) + meta_len as u64 <= size;
        if fits {
            (self.payload_len, self.meta_len) = (payload_len as u32, meta_len as u32);
        }
        fits
    }

    /// Lengths of payload and metadata, bytes.
    #[inline]
    pub(crate) fn lens(&self) -> (u32, u32) {
        (self.payload_len, self.meta_len)
    }

    /// The small message; what it holds means nothing when there is a slot.
    #[inline]
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// Hands the slot over to the caller: the loan is an empty message afterwards. [`INLINE`] when it has none.
    #[inline]
    pub(crate) fn hand_over(&mut self) -> u32 {
        (self.payload_len, self.meta_len) = (0, 0);
        self.slot.take().map_or(INLINE, |slot| slot.number as u32)
    }
}

impl Drop for Loan {
    #[inline]
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            slot.home.unsent.give_back(slot.number as u32);
        }
    }
}
