//! Errors of the hot path: a few bytes, no text, no allocation. The text comes when somebody asks for it.

use dora_protocol::wire_type;
use lockfree_ipc::MAX_HELD;

use super::RtNode;

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

impl RtNode {
    /// The sentence for an error: names node, input or output, and types. Allocates.
    pub fn describe(&self, error: RtError) -> String {
        let setup = self.inbox.link().setup();
        let input = |i: u32| setup.inputs.get(i as usize).map_or("?", |w| w.id.as_str());
        let output = |o: u32| setup.outputs.get(o as usize).map_or("?", |w| w.id.as_str());
        let what = match error {
            RtError::NothingToRead { input: i } => format!(
                "input `{}` has nothing to read: the event given out last was not its message, or it was read before",
                input(i)
            ),
            RtError::WrongType { input: i, expected, found } => format!(
                "input `{}` is read as {}, but its message is {}",
                input(i),
                wire_type::name(expected),
                wire_type::name(found)
            ),
            RtError::NotFlat { input: i } => {
                format!(
                    "input `{}` got an array with nulls or nesting; read it with the familiar API",
                    input(i)
                )
            }
            RtError::TooManyHeld { input: i } => {
                format!("{MAX_HELD} views of input `{}` are held; drop older ones", input(i))
            }
            RtError::TooLarge { output: o } => format!(
                "the message is larger than output `{}` was opened for; raise the number of elements in `output(…)` \
                 or `max_message_bytes` in `output_layout`",
                output(o)
            ),
            RtError::NoSlot { output: o } => {
                format!(
                    "the readers of output `{}` hold every slot; let them drop what they have read",
                    output(o)
                )
            }
            RtError::Closed { output: o } => format!("output `{}` was closed", output(o)),
            RtError::WouldBlock { output: o } => format!("a reader of output `{}` is full", output(o)),
        };
        format!("node `{}`: {what}", self.id())
    }
}
