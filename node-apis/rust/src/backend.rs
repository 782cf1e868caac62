//! The two worlds a node can live in: a dataflow, and a test without one.
//!
//! [`Outputs`] is behind [`DoraNode`](crate::DoraNode), [`Inputs`] behind [`EventStream`](crate::EventStream).
//! Everything that differs between the two worlds is decided in this file and nowhere else.

use std::task::{Context, Poll};

use dora_arrow_codec::Plan;
use dora_protocol::{DataId, NodeId, metadata::MetadataParameters, node_link::ExtensionCall};

use crate::{
    Event, NodeResult,
    direct::{DirectInputs, DirectOutputs},
    integration_testing::{TestInputs, TestOutputs},
    node::{DataSample, EncodedSample},
};

/// What comes out of a wait.
#[derive(Debug)]
pub(crate) enum Step {
    Event(Event),
    /// The stream has ended; nothing will ever come.
    Closed,
}

/// Where events come from.
#[expect(clippy::large_enum_variant, reason = "one per node, and nearly always the large one")]
#[derive(Debug)]
pub(crate) enum Inputs {
    Direct(DirectInputs),
    Test(TestInputs),
}

impl Inputs {
    /// The next event, if there is one now.
    pub(crate) fn poll(&mut self) -> Option<Step> {
        match self {
            Inputs::Direct(inputs) => inputs.poll(),
            Inputs::Test(inputs) => inputs.poll(),
        }
    }

    /// Waits for the next event; `None` when the deadline (CLOCK_MONOTONIC nanoseconds) passed.
    pub(crate) fn wait(&mut self, deadline_ns: Option<u64>) -> Option<Step> {
        match self {
            Inputs::Direct(inputs) => inputs.wait(deadline_ns),
            Inputs::Test(inputs) => inputs.wait(deadline_ns),
        }
    }

    /// As [`wait`](Self::wait); also `None` when a signal handler has run.
    pub(crate) fn wait_or_signal(&mut self, deadline_ns: u64) -> Option<Step> {
        match self {
            Inputs::Direct(inputs) => inputs.wait_or_signal(deadline_ns),
            Inputs::Test(inputs) => inputs.wait(Some(deadline_ns)),
        }
    }

    pub(crate) fn poll_async(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        match self {
            Inputs::Direct(inputs) => inputs.poll_async(cx),
            Inputs::Test(inputs) => inputs.poll_async(cx),
        }
    }

    /// Nothing to deliver now.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Inputs::Direct(inputs) => inputs.is_empty(),
            Inputs::Test(inputs) => inputs.is_empty(),
        }
    }

    pub(crate) fn take_drop_counts(&mut self) -> Vec<(DataId, u64)> {
        match self {
            Inputs::Direct(inputs) => inputs.take_drop_counts(),
            // A test delivers everything.
            Inputs::Test(_) => Vec::new(),
        }
    }

    /// True when this event means that nothing more comes from the node.
    pub(crate) fn ends(&self, event: &Event, node: &NodeId) -> bool {
        match event {
            Event::NodeFailed { source_node_id, .. } => source_node_id == node,
            Event::InputClosed { id } => match self {
                Inputs::Direct(inputs) => inputs.was_last_open_of(id, node),
                Inputs::Test(_) => false,
            },
            _ => false,
        }
    }
}

/// Where messages go.
#[derive(Debug)]
pub(crate) enum Outputs {
    Direct(DirectOutputs),
    Test(TestOutputs),
}

impl Outputs {
    /// Number of an output; `None` when it is not declared.
    pub(crate) fn index(&mut self, id: &DataId) -> Option<u32> {
        match self {
            Outputs::Direct(outputs) => outputs.index(id),
            Outputs::Test(outputs) => outputs.index(id),
        }
    }

    pub(crate) fn is_closed(&self, output: u32) -> bool {
        match self {
            Outputs::Direct(outputs) => outputs.is_closed(output),
            Outputs::Test(outputs) => outputs.is_closed(output),
        }
    }

    pub(crate) fn close(&mut self, closing: &[u32]) {
        match self {
            Outputs::Direct(outputs) => outputs.close(closing),
            Outputs::Test(outputs) => outputs.close(closing),
        }
    }

    pub(crate) fn close_all(&mut self) {
        if let Outputs::Direct(outputs) = self {
            outputs.close_all();
        }
    }

    /// Sends an array.
    pub(crate) fn send(&mut self, output: u32, params: &MetadataParameters, plan: &Plan) -> NodeResult<()> {
        match self {
            Outputs::Direct(outputs) => outputs.send(output, params, plan),
            Outputs::Test(outputs) => outputs.send(output, params, plan),
        }
    }

    /// Lets `write` fill a buffer of `len` bytes and sends it as values of a well-known type.
    pub(crate) fn send_with(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        (type_id, len): (u32, usize),
        write: impl FnOnce(&mut [u8]),
    ) -> NodeResult<()> {
        match self {
            Outputs::Direct(outputs) => outputs.send_with(output, params, (type_id, len), write),
            Outputs::Test(outputs) => outputs.send_with(output, params, (type_id, len), write),
        }
    }

    /// Sends a copy of `values`, which are of a well-known type.
    pub(crate) fn send_copy(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        type_id: u32,
        values: &[u8],
    ) -> NodeResult<()> {
        match self {
            Outputs::Direct(outputs) => outputs.send_copy(output, params, type_id, values),
            Outputs::Test(outputs) => {
                outputs.send_with(output, params, (type_id, values.len()), |to| to.copy_from_slice(values))
            }
        }
    }

    /// Somebody reads this output now.
    pub(crate) fn has_readers(&mut self, output: u32) -> bool {
        match self {
            Outputs::Direct(outputs) => outputs.has_readers(output),
            Outputs::Test(_) => true,
        }
    }

    /// Waits until a send would not wait. False when the time has passed or a signal handler has run.
    pub(crate) fn wait_for_room(&mut self, output: u32, until_ns: u64) -> bool {
        match self {
            Outputs::Direct(outputs) => outputs.wait_for_room(output, until_ns),
            Outputs::Test(_) => true,
        }
    }

    /// Sends a buffer as values of a well-known type; without a copy if it is a loan of this output.
    pub(crate) fn send_sample(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        type_id: u32,
        sample: DataSample,
    ) -> NodeResult<()> {
        match self {
            Outputs::Direct(outputs) => outputs.send_sample(output, params, type_id, sample),
            Outputs::Test(outputs) => {
                outputs.send_with(output, params, (type_id, sample.len()), |to| to.copy_from_slice(&sample))
            }
        }
    }

    /// Sends an array that was encoded before.
    pub(crate) fn send_encoded(
        &mut self,
        output: u32,
        params: &MetadataParameters,
        encoded: EncodedSample,
    ) -> NodeResult<()> {
        match self {
            Outputs::Direct(outputs) => outputs.send_encoded(output, params, &encoded),
            Outputs::Test(outputs) => outputs.send_encoded(output, params, encoded),
        }
    }

    /// A buffer for this output, or for its only open one.
    pub(crate) fn allocate(&mut self, output: Option<u32>, len: usize) -> NodeResult<DataSample> {
        match self {
            Outputs::Direct(outputs) => outputs.allocate(output, len),
            Outputs::Test(_) => Ok(DataSample::heap(len)),
        }
    }

    pub(crate) fn timestamp(&self) -> uhlc::Timestamp {
        match self {
            Outputs::Direct(outputs) => outputs.timestamp(),
            Outputs::Test(outputs) => outputs.timestamp(),
        }
    }

    pub(crate) fn extension(&mut self, call: ExtensionCall) -> NodeResult<Option<Vec<u8>>> {
        match self {
            Outputs::Direct(outputs) => outputs.extension(call),
            Outputs::Test(outputs) => outputs.extension(call),
        }
    }
}
