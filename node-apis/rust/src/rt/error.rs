//! Errors of the hot path: a few bytes, no text, no allocation.

/// Why a call of the real-time API failed. [`RtNode::describe`](super::RtNode::describe) names inputs, outputs and types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtError {
    /// The event given out last was not a message of this input, or was read before.
    #[error("there is no unread message of input {input}")]
    NothingToRead {
        /// Number of the input.
        input: u32,
    },
    /// The message is of another type than the handle.
    #[error("input {input} got type {found} instead of {expected}")]
    WrongType {
        /// Number of the input.
        input: u32,
        /// Type number of the handle.
        expected: u32,
        /// Type number of the message.
        found: u32,
    },
    /// The payload is not just values: it has nulls or nested buffers, or is not a whole number of them.
    #[error("input {input} got a payload that is not a plain array")]
    NotFlat {
        /// Number of the input.
        input: u32,
    },
    /// More views of this input are alive than its sender has slots for.
    #[error("too many views of input {input} are held")]
    TooManyHeld {
        /// Number of the input.
        input: u32,
    },
    /// More elements than the output was opened for.
    #[error("message too large for output {output}")]
    TooLarge {
        /// Number of the output.
        output: u32,
    },
    /// The readers hold every slot.
    #[error("the readers of output {output} hold every slot")]
    NoSlot {
        /// Number of the output.
        output: u32,
    },
    /// The output was closed by this node.
    #[error("output {output} is closed")]
    Closed {
        /// Number of the output.
        output: u32,
    },
    /// A `backpressure` reader is full now. Nothing was sent.
    #[error("a reader of output {output} is full")]
    WouldBlock {
        /// Number of the output.
        output: u32,
    },
}

const _: () = assert!(size_of::<RtError>() <= 16, "returned on the hot path");
