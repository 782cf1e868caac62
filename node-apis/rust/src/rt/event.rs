//! What a real-time node is told.

use dora_protocol::{NodeId, OperatorId};

use super::InputId;

/// The next thing for the node to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message: [`RtNode::read`](super::RtNode::read) shows it. Compare with the handle: `Event::Input(i) if i == state`.
    Input(InputId),
    /// A timer is due. Compare with the handle: `Event::Tick(t) if t == tick`.
    Tick(Tick),
    /// Nothing more comes on this input.
    InputClosed(InputId),
    /// No message for `input_timeout`. If the sender ends meanwhile, no further event tells so.
    InputTimedOut(InputId),
    /// The message given out before ended a timeout, or the input was closed and is connected again.
    InputRecovered(InputId),
    /// Something rare, with text: see [`RtNode::notice`](super::RtNode::notice).
    Notice,
    /// End soon. Later calls give out what is queued, then [`Event::Closed`].
    Stop(StopCause),
    /// Nothing ever comes again.
    Closed,
}

/// Why a node is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopCause {
    /// The user or the daemon stopped it.
    Manual,
    /// Nothing more comes on any input.
    AllInputsClosed,
}

/// One tick of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Which timer.
    pub input: InputId,
    /// Number of the tick: it is due `count` periods after the start of the dataflow.
    pub count: u64,
    /// When it was due, CLOCK_MONOTONIC nanoseconds.
    pub nominal_ns: u64,
    /// Ticks before it that passed while the node was busy.
    pub missed: u64,
    /// From due to taken, nanoseconds.
    pub lateness_ns: u64,
}

/// Something rare that carries text.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// The node behind these inputs failed for good.
    NodeFailed {
        /// Who.
        node: NodeId,
        /// How.
        error: String,
        /// Which inputs it fed.
        inputs: Vec<InputId>,
    },
    /// A node behind some input was restarted.
    NodeRestarted {
        /// Who.
        node: NodeId,
    },
    /// A runtime parameter changed.
    ParamUpdate {
        /// Name.
        key: String,
        /// New value.
        value: serde_json::Value,
    },
    /// A runtime parameter was deleted.
    ParamDeleted {
        /// Name.
        key: String,
    },
    /// Reload an operator, or all.
    Reload {
        /// Which.
        operator_id: Option<OperatorId>,
    },
}
