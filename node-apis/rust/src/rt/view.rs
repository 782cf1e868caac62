//! A received array, read where the sender wrote it (up to 64 bytes: where they came with the header).
#![expect(unsafe_code, reason = "looks at received bytes as numbers")]

use std::{marker::PhantomData, ops::Deref};

use dora_protocol::{time::Tag, wire_type::Primitive};
use lockfree_ipc::{Header, Sample, flags};

use super::{InputId, RtError};
use crate::sample::Received;

/// A message as a slice of `T`, in the sender's memory. Derefs to `[T]`.
///
/// It borrows nothing of the node, so a node can send while it reads, and may keep the last value it got. Dropping it gives the
/// slot back to the sender; at most [`lockfree_ipc::MAX_HELD`] per input can be alive.
#[derive(Debug)]
pub struct View<T> {
    received: Received,
    of: PhantomData<fn() -> T>,
}

/// Is it an array of `T` without nulls or nesting? One compare of the type, one of the layout.
#[inline]
pub(super) fn check<T: Primitive>(input: u32, sample: &Sample) -> Result<(), RtError> {
    let header = sample.header();
    if header.type_id != T::TYPE_ID {
        return Err(RtError::WrongType { input, expected: T::TYPE_ID, found: header.type_id });
    }
    let payload = sample.payload();
    let plain = header.flags & (flags::LAYOUT | flags::ARROW_IPC | flags::INLINE_TYPE) == 0;
    let whole = payload.len().is_multiple_of(size_of::<T>());
    // A small message lies in the sample, 8-byte aligned wherever that is moved.
    let aligned = !sample.is_lent() || payload.as_ptr().addr().is_multiple_of(align_of::<T>());
    if plain && whole && aligned { Ok(()) } else { Err(RtError::NotFlat { input }) }
}

impl<T: Primitive> View<T> {
    /// `received` has passed [`check`].
    #[inline]
    pub(super) fn new(received: Received) -> Self {
        Self { received, of: PhantomData }
    }

    /// Sequence number, type, lengths, stamps.
    pub fn header(&self) -> Header {
        self.received.sample.header()
    }

    /// Number of the message on its output, from 0.
    pub fn seq(&self) -> u64 {
        self.header().seq
    }

    /// From the send to the take, nanoseconds.
    pub fn latency_ns(&self) -> u64 {
        self.received.latency_ns
    }

    /// Logical time.
    pub fn tag(&self) -> Tag {
        Tag { time_ns: self.header().tag_time, microstep: self.header().microstep }
    }

    /// Which input it came by.
    pub fn input(&self) -> InputId {
        InputId(self.received.input)
    }
}

impl<T: Primitive> Deref for View<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        let bytes = self.received.sample.payload();
        // SAFETY: samples are 8-byte aligned wherever they are moved, which no `Primitive` exceeds; the length is rounded
        // down; any bits are a valid `Primitive` (sealed: numbers only); the slice borrows `self`, which has the bytes.
        unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
    }
}
