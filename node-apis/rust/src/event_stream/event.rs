//! What can happen to a node.

use dora_arrow_codec::DoraArray;
use dora_protocol::{DataId, NodeId, OperatorId};

use crate::metadata::Metadata;

/// Something that happened. More kinds may come.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message or a timer tick arrived.
    Input {
        /// At which input.
        id: DataId,
        /// What it says about itself.
        metadata: Metadata,
        /// Its payload, in place in the sender's memory until the last clone is dropped. Of a timer tick: the
        /// number of the tick, one `u64`.
        data: DoraArray,
    },
    /// Nothing more comes at this input, unless it is connected again; everything that was queued has been delivered.
    InputClosed {
        /// Which.
        id: DataId,
    },
    /// An input that was closed by its timeout has a message again, or one that was closed is connected again.
    InputRecovered {
        /// Which.
        id: DataId,
    },
    /// A node that sends to this one was started again.
    NodeRestarted {
        /// Which.
        id: NodeId,
    },
    /// The node shall end. What is already queued still comes, then the stream ends.
    Stop(StopCause),
    /// An operator shall be loaded again.
    Reload {
        /// Which; `None` means all.
        operator_id: Option<OperatorId>,
    },
    /// A runtime parameter has a new value.
    ParamUpdate {
        /// Its name.
        key: String,
        /// Its value.
        value: serde_json::Value,
    },
    /// A runtime parameter was deleted.
    ParamDeleted {
        /// Its name.
        key: String,
    },
    /// A node that sends to this one failed for good. [`Event::InputClosed`] follows for each input.
    NodeFailed {
        /// Inputs that it fed.
        affected_input_ids: Vec<DataId>,
        /// How.
        error: String,
        /// Who.
        source_node_id: NodeId,
    },
    /// A message could not be read, or the time of [`recv_timeout`](crate::EventStream::recv_timeout) is over.
    Error(String),
}

/// Why a node shall end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopCause {
    /// Somebody stopped the dataflow.
    Manual,
    /// All inputs are closed.
    AllInputsClosed,
}
