//! Arrow buffers over memory that somebody else holds.
#![expect(unsafe_code, reason = "ties the life of a buffer to the owner of its memory")]

use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::alloc::Allocation;
use arrow_buffer::{Buffer, MutableBuffer};

use crate::ALIGNMENT;

/// What holds the bytes of a payload: they stay where they are, unchanged, for as long as it lives.
///
/// The supertrait is `Send + Sync + RefUnwindSafe` under another name.
pub trait PayloadOwner: Allocation {
    /// The bytes of the payload.
    fn bytes(&self) -> &[u8];
}

impl PayloadOwner for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// A buffer over all of the owner's bytes. The owner lives until the last part of the buffer is dropped.
///
/// A payload that does not start at a multiple of [`ALIGNMENT`] is copied to memory that does; those in a slot
/// always do.
pub(crate) fn buffer_over(owner: Arc<dyn PayloadOwner>) -> Buffer {
    let bytes = owner.bytes();
    if bytes.is_empty() {
        return Buffer::from(MutableBuffer::new(0));
    }
    if bytes.as_ptr().align_offset(ALIGNMENT) != 0 {
        return aligned_copy(bytes);
    }
    let (start, len) = (NonNull::from(bytes).cast(), bytes.len());
    // SAFETY: `start` and `len` are one slice, borrowed from `*owner` through `&self`. The buffer keeps an Arc of the
    // owner, so nobody can move, drop or mutably borrow it while the buffer exists: the borrow could have been that
    // long. The buffer only reads.
    unsafe { Buffer::from_custom_allocation(start, len, owner) }
}

/// Arrow's own allocations are at least 32-byte aligned on every target, enough for all of its types.
fn aligned_copy(bytes: &[u8]) -> Buffer {
    let mut copy = MutableBuffer::new(bytes.len());
    copy.extend_from_slice(bytes);
    Buffer::from(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts `shift` bytes after a multiple of [`ALIGNMENT`].
    struct Shifted {
        memory: Vec<u8>,
        start: usize,
    }

    fn shifted(shift: usize) -> Arc<Shifted> {
        let memory = vec![7; 512];
        let start = memory.as_ptr().align_offset(ALIGNMENT) + shift;
        Arc::new(Shifted { memory, start })
    }

    impl PayloadOwner for Shifted {
        fn bytes(&self) -> &[u8] {
            &self.memory[self.start..][..256]
        }
    }

    #[test]
    fn an_aligned_payload_is_not_copied() {
        let owner = shifted(0);
        assert_eq!(buffer_over(owner.clone()).as_ptr(), owner.bytes().as_ptr());
    }

    #[test]
    fn a_misaligned_payload_is_copied_to_aligned_memory() {
        let owner = shifted(1);
        let buffer = buffer_over(owner.clone());
        assert_ne!(buffer.as_ptr(), owner.bytes().as_ptr());
        assert_eq!(buffer.as_ptr().align_offset(32), 0);
        assert_eq!(buffer.as_slice(), owner.bytes());
    }

    #[test]
    fn the_owner_lives_as_long_as_a_part_of_the_buffer() {
        let owner = shifted(0);
        let watch = Arc::downgrade(&owner);
        let buffer = buffer_over(owner);
        let part = buffer.slice_with_length(64, 64);
        drop(buffer);
        assert!(watch.upgrade().is_some());
        drop(part);
        assert!(watch.upgrade().is_none());
    }
}
