//! Buffers that real-time operators write into: 64-byte aligned, made at the start, shared by counting.
#![expect(unsafe_code, reason = "looks at aligned lines as bytes")]

use std::{slice, sync::Arc};

use dora_arrow_codec::PayloadOwner;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Aligned, initialised memory.
#[derive(Debug)]
pub(crate) struct Memory(Box<[Line]>);

impl Memory {
    pub(crate) fn zeroed(bytes: usize) -> Self {
        // Written, not only reserved, so that the pages are there.
        Self(vec![Line([0; 64]); bytes.div_ceil(64)].into())
    }

    /// A copy of `bytes`, followed by zeros.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        let mut memory = Self::zeroed(bytes.len());
        memory.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        memory
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `Line` is 64 bytes without padding, all initialised; the slice borrows `self`.
        unsafe { slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 64) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; borrowed mutably, and any byte is a valid part of a `Line`.
        unsafe { slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 64) }
    }
}

/// Flat values in shared memory of this process. Cloning counts a reference.
#[derive(Clone, Debug)]
pub(crate) struct Flat {
    pub(crate) type_id: u32,
    pub(crate) len: usize,
    pub(crate) memory: Arc<Memory>,
}

impl Flat {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory.bytes()[..self.len]
    }
}

impl PayloadOwner for Flat {
    fn bytes(&self) -> &[u8] {
        Flat::bytes(self)
    }
}

/// The buffers of one output. One is free when nobody else counts it.
#[derive(Debug)]
pub(crate) struct Pool {
    buffers: Box<[Arc<Memory>]>,
    next: usize,
    /// What was loaned and not published.
    loaned: Option<usize>,
}

impl Pool {
    pub(crate) fn new(buffers: usize, bytes: usize) -> Self {
        let buffers = (0..buffers.max(1)).map(|_| Arc::new(Memory::zeroed(bytes.max(1)))).collect();
        Self { buffers, next: 0, loaned: None }
    }

    /// Memory to write into: that of a loan that was not published, or the next free one.
    ///
    /// # Real time
    /// No allocation; a look at each buffer at most.
    pub(crate) fn loan(&mut self, bytes: usize) -> Option<&mut [u8]> {
        let count = self.buffers.len();
        let order = self.loaned.into_iter().chain((0..count).map(|n| (self.next + n) % count));
        let mut free = order.filter(|at| Arc::strong_count(&self.buffers[*at]) == 1);
        let at = free.next()?;
        drop(free);
        self.loaned = Some(at);
        Arc::get_mut(&mut self.buffers[at])?.bytes_mut().get_mut(..bytes)
    }

    /// The loan as a message.
    pub(crate) fn publish(&mut self, type_id: u32, len: usize) -> Option<Flat> {
        let at = self.loaned.take()?;
        self.next = (at + 1) % self.buffers.len();
        let memory = &self.buffers[at];
        (len <= memory.bytes().len()).then(|| Flat { type_id, len, memory: Arc::clone(memory) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_free_again_when_its_last_reader_lets_go() {
        let mut pool = Pool::new(2, 8);
        let mut send = |byte: u8| {
            pool.loan(1).map(|to| to[0] = byte)?;
            pool.publish(1, 1)
        };
        let (first, second) = (send(1).unwrap(), send(2).unwrap());
        assert!(send(3).is_none(), "both are in use");
        assert_eq!((first.bytes(), second.bytes()), (&[1][..], &[2][..]));
        drop(first);
        assert_eq!(send(4).unwrap().bytes(), [4]);
        assert_eq!(second.bytes(), [2]);
    }

    #[test]
    fn a_loan_that_was_not_published_is_given_again() {
        let mut pool = Pool::new(1, 100);
        assert_eq!(pool.loan(100).unwrap().as_ptr().addr() % 64, 0);
        assert!(pool.loan(100).is_some());
        assert!(pool.loan(200).is_none(), "more than was reserved");
        assert!(pool.publish(1, 100).is_some());
        assert!(pool.publish(1, 100).is_none(), "published twice");
    }
}
