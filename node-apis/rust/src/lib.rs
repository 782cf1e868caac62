//! Write dora nodes in Rust: the familiar API and a real-time one that never allocates.
//!
//! ```no_run
//! use dora_node_api::{DoraNode, Event, IntoArrow, dora_core::config::DataId};
//!
//! fn main() -> eyre::Result<()> {
//!     let output = DataId::from("speed".to_owned());
//!     let (mut node, mut events) = DoraNode::init_from_env()?;
//!     while let Some(event) = events.recv() {
//!         match event {
//!             Event::Input { id, metadata, data } if id.as_str() == "ticks" => {
//!                 let ticks = u64::try_from(&data)?;
//!                 node.send_output(output.clone(), metadata.parameters, (ticks as f64 * 0.1).into_arrow())?;
//!             }
//!             Event::Stop(_) => break,
//!             other => node.log_debug(&format!("{other:?}")),
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Messages go from node to node through shared memory, and no other process is on the way. A sender copies
//! a payload once ([`DoraNode::send_output`]) or not at all ([`DoraNode::send_output_raw`],
//! [`DoraNode::allocate_data_sample_for`]); a receiver gets an array that lies where the sender wrote it.
//!
//! Features: `tracing` (on) adds `init_tracing`. `metrics` (on) exists for manifests that name it; counters are
//! always there. `arrow-v59` shows the Arrow types behind [`DoraArray`] and exports that crate as `arrow_v59`.
//! `arrow-files` lets tests read Arrow IPC files, and adds `arrow_utils`.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

#[cfg(feature = "arrow-files")]
pub mod arrow_utils;
mod backend;
mod control;
pub mod descriptor;
mod direct;
mod error;
pub mod event_stream;
mod hlc;
mod inbox;
pub mod integration_testing;
mod link;
mod message;
pub mod metadata;
mod node;
mod outbox;
pub mod rt;
mod sample;
mod setup;
mod timer;
#[cfg(feature = "tracing")]
mod trace;
mod type_check;

pub use descriptor::{Descriptor, NodeRunConfig};
#[cfg(feature = "arrow-v59")]
pub use dora_arrow_codec::arrow_v59;
pub use dora_arrow_codec::{DoraArray, IntoArrow, into_vec};
pub use dora_protocol::DataflowId;
pub use error::{NodeError, NodeResult, PatternError};
pub use event_stream::{
    Event, Event as DoraEvent, EventStream, StopCause, TryRecvError,
    input_tracker::{InputState, InputTracker},
    merged,
};
pub use futures;
pub use metadata::{
    FIN, FLUSH, GOAL_ID, GOAL_STATUS, GOAL_STATUS_ABORTED, GOAL_STATUS_CANCELED, GOAL_STATUS_SUCCEEDED,
    Metadata, MetadataParameters, OPEN_TELEMETRY_CONTEXT, Parameter, REQUEST_ID, SEGMENT_ID, SEQ, SESSION_ID,
    get_bool_param, get_integer_param, get_string_param,
};
#[doc(hidden)]
pub use node::log_from;
pub use node::{
    ArrowTypeInfo, DataSample, DoraNode, DoraNodeBuilder, EncodedSample, LogOrigin, SampleAllocator,
    StreamSegment, ZERO_COPY_THRESHOLD,
};
pub use serde_json;
#[cfg(feature = "tracing")]
pub use trace::{TracingGuard, init_tracing};
pub use uhlc;
pub use uuid;

/// Names of nodes and data, where node code looks for them.
pub mod dora_core {
    /// Names.
    pub mod config {
        pub use dora_protocol::{DataId, NodeId, OperatorId};
    }
    pub use uhlc;
}

#[cfg(test)]
pub(crate) fn hlc_for_tests() -> uhlc::Timestamp {
    uhlc::HLC::default().new_timestamp()
}
