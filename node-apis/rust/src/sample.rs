//! A message that was taken out of its edge, with what is known about its journey.

use lockfree_ipc::Sample;

/// A message in the sender's memory; the slot goes back on drop.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Which input.
    pub(crate) input: u32,
    /// The message.
    pub(crate) sample: Sample,
    /// From send to take, nanoseconds.
    pub(crate) latency_ns: u64,
}
