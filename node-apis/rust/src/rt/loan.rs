//! A message being written in place.
#![expect(unsafe_code, reason = "looks at a slot's bytes as numbers")]

use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use dora_protocol::wire_type::Primitive;

/// A slot of shared memory to write a message into. Derefs to `[T]`; [`RtNode::publish`](super::RtNode::publish) sends it.
///
/// It starts with whatever an earlier message left there: write all of it. Dropping it sends nothing.
#[derive(Debug)]
pub struct Loan<T> {
    pub(super) inner: lockfree_ipc::Loan,
    pub(super) output: u32,
    of: PhantomData<fn(T)>,
}

impl<T: Primitive> Loan<T> {
    /// `inner` has room for a whole number of `T`.
    pub(super) fn new(inner: lockfree_ipc::Loan, output: u32) -> Self {
        const { assert!(align_of::<T>() <= 8, "loans are 8-byte aligned wherever they are moved") };
        debug_assert!(inner.payload().len().is_multiple_of(size_of::<T>()));
        Self { inner, output, of: PhantomData }
    }

    /// Makes the message shorter. Does nothing when it has no more than `len` elements.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.inner.shrink(len * size_of::<T>(), 0);
        }
    }
}

impl<T: Primitive> Deref for Loan<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        let bytes = self.inner.payload();
        // SAFETY: loans are 8-byte aligned, which no `Primitive` exceeds (`new`); the length is rounded down; any bits are a valid `Primitive`.
        unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
    }
}

impl<T: Primitive> DerefMut for Loan<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        let bytes = self.inner.payload_mut();
        let len = bytes.len() / size_of::<T>();
        // SAFETY: as in `deref`; borrowed mutably, and the slot has no other owner.
        unsafe { core::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), len) }
    }
}
