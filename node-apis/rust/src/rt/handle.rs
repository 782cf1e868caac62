//! Handles: names that were looked up once, at the start.

use std::marker::PhantomData;

use super::event::Tick;

/// Which input of the node, in the order of the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputId(pub(super) u32);

impl InputId {
    /// Position in the descriptor, from 0.
    pub fn index(self) -> u32 {
        self.0
    }
}

/// An input whose messages are arrays of `T`. Made by [`RtNode::input`](super::RtNode::input).
#[derive(Debug)]
pub struct In<T> {
    pub(super) id: InputId,
    pub(super) of: PhantomData<fn() -> T>,
}

/// A timer input. Made by [`RtNode::timer`](super::RtNode::timer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickIn {
    pub(super) id: InputId,
    pub(super) period_ns: u64,
}

/// An output whose messages are arrays of `T`. Made by [`RtNode::output`](super::RtNode::output).
#[derive(Debug)]
pub struct Out<T> {
    pub(super) index: u32,
    pub(super) most: usize,
    pub(super) of: PhantomData<fn(T)>,
}

impl<T> In<T> {
    /// Which input it is.
    pub fn id(&self) -> InputId {
        self.id
    }
}

impl TickIn {
    /// Which input it is.
    pub fn id(&self) -> InputId {
        self.id
    }

    /// Nanoseconds from tick to tick.
    pub fn period_ns(&self) -> u64 {
        self.period_ns
    }
}

impl<T> Out<T> {
    /// Position in the descriptor, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Most elements of one message.
    pub fn capacity(&self) -> usize {
        self.most
    }
}

// Not derived: a handle is copied whatever `T` is.
impl<T> Clone for In<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for In<T> {}
impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Out<T> {}

impl<T> PartialEq<In<T>> for InputId {
    fn eq(&self, other: &In<T>) -> bool {
        *self == other.id
    }
}

impl PartialEq<TickIn> for InputId {
    fn eq(&self, other: &TickIn) -> bool {
        *self == other.id
    }
}

impl PartialEq<TickIn> for Tick {
    fn eq(&self, other: &TickIn) -> bool {
        self.input == other.id
    }
}
