//! Sending: at most one copy of a payload, none when it is written in place.

use std::time::Duration;

use arrow_data::ArrayData;
use arrow_schema::DataType;
use dora_arrow_codec::{IntoArrow, internal, plan};
use dora_protocol::{DataId, metadata::MetadataParameters, wire_type};

use super::{ArrowTypeInfo, DataSample, DoraNode, EncodedSample, SampleAllocator, log};
use crate::{NodeError, NodeResult, type_check::of_values};

impl DoraNode {
    /// Number of an output that may be sent to. An undeclared one is `None`, with one warning ever.
    fn open_output(&mut self, id: &DataId) -> NodeResult<Option<u32>> {
        let Some(output) = self.outputs.index(id) else {
            self.warn_undeclared(id);
            return Ok(None);
        };
        if self.outputs.is_closed(output) {
            let node = self.id();
            return Err(NodeError::Output(format!(
                "node `{node}` has closed its output `{id}` and cannot send to it"
            )));
        }
        Ok(Some(output))
    }

    /// Compares what is sent with what the output declares, when that is asked for.
    #[inline]
    fn check_type(
        &mut self,
        output: u32,
        parameters: &MetadataParameters,
        found: impl FnOnce() -> DataType,
    ) -> NodeResult<()> {
        match &mut self.types {
            None => Ok(()),
            Some(types) => types.check(output, parameters, &found()),
        }
    }

    fn warn_undeclared(&mut self, id: &DataId) {
        if !self.warned.insert(id.clone()) {
            return;
        }
        let known: Vec<&str> = self.config.outputs.iter().map(DataId::as_str).collect();
        let node = self.id().as_str();
        let what = format!(
            "output `{id}` is not declared, what is sent to it is ignored; add it to `outputs` of node `{node}` \
             (now: {})",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        );
        log::warn(node, &what);
    }

    /// Is this output declared? Prints a warning the first time it is not.
    pub fn validate_output(&mut self, output_id: &DataId) -> bool {
        let declared = self.outputs.index(output_id).is_some();
        if !declared {
            self.warn_undeclared(output_id);
        }
        declared
    }

    /// Sends an array or a value. To an undeclared output nothing is sent; a warning says so once.
    ///
    /// # Errors
    /// [`NodeError::Output`] when the output is closed or the message is larger than it allows;
    /// [`NodeError::Data`] when the array is inconsistent. Nothing was sent then.
    ///
    /// # Cost
    /// One copy of the values into the output's memory. Per reader one entry in its queue, and a system call
    /// if it sleeps. Waits only when a reader with `queue_policy: backpressure` is full.
    pub fn send_output(
        &mut self,
        output_id: DataId,
        parameters: MetadataParameters,
        data: impl IntoArrow,
    ) -> NodeResult<()> {
        self.send_array_data(&output_id, &parameters, &internal::to_data(&data.into_arrow()))
    }

    /// As [`send_output`](Self::send_output), for the bindings of other languages: nothing is given away.
    ///
    /// # Errors
    /// As [`send_output`](Self::send_output).
    #[doc(hidden)]
    pub fn send_array_data(
        &mut self,
        output_id: &DataId,
        parameters: &MetadataParameters,
        array: &ArrayData,
    ) -> NodeResult<()> {
        let Some(output) = self.open_output(output_id)? else { return Ok(()) };
        self.check_type(output, parameters, || array.data_type().clone())?;
        let plan = plan(array).map_err(|error| NodeError::Data(format!("output `{output_id}`: {error}")))?;
        self.outputs.send(output, parameters, &plan)
    }

    /// Sends `values`, which are numbers of the well-known type `type_id`. For the bindings of other languages.
    ///
    /// # Errors
    /// As [`send_output`](Self::send_output).
    #[doc(hidden)]
    pub fn send_values(
        &mut self,
        output_id: &DataId,
        parameters: &MetadataParameters,
        type_id: u32,
        values: &[u8],
    ) -> NodeResult<()> {
        let Some(output) = self.open_output(output_id)? else { return Ok(()) };
        self.check_type(output, parameters, || of_values(type_id))?;
        self.outputs.send_copy(output, parameters, type_id, values)
    }

    /// Somebody reads this output now. For programs that hand messages on by other ways as well, and would copy in vain. False for
    /// an output that is not declared.
    pub fn has_readers(&mut self, output_id: &DataId) -> bool {
        self.outputs.index(output_id).is_some_and(|output| self.outputs.has_readers(output))
    }

    /// Waits until a send on this output would not wait for a `backpressure` reader, at most this long. False when there is still
    /// no room, and when a signal handler has run meanwhile. An output that is not declared always has room.
    pub fn wait_for_room(&mut self, output_id: &DataId, limit: Duration) -> bool {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let until_ns = lockfree_ipc::clock::monotonic_ns().saturating_add(limit);
        self.outputs.index(output_id).is_none_or(|output| self.outputs.wait_for_room(output, until_ns))
    }

    /// Sends bytes, which arrive as an array of `u8`.
    ///
    /// # Errors
    /// As [`send_output`](Self::send_output); [`NodeError::Output`] when `data` is not `data_len` bytes long.
    pub fn send_output_bytes(
        &mut self,
        output_id: DataId,
        parameters: MetadataParameters,
        data_len: usize,
        data: &[u8],
    ) -> NodeResult<()> {
        if data.len() != data_len {
            let given = data.len();
            let what = format!("output `{output_id}`: {given} bytes were given but {data_len} announced");
            return Err(NodeError::Output(what));
        }
        self.send_values(&output_id, &parameters, wire_type::UINT8, data)
    }

    /// Lets `data` write `data_len` bytes in the output's memory and sends them as an array of `u8`. What is in
    /// the buffer before is unspecified.
    ///
    /// # Errors
    /// As [`send_output`](Self::send_output). `data` is not called then, nor for an undeclared output.
    ///
    /// # Cost
    /// No copy.
    pub fn send_output_raw<F>(
        &mut self,
        output_id: DataId,
        parameters: MetadataParameters,
        data_len: usize,
        data: F,
    ) -> NodeResult<()>
    where
        F: FnOnce(&mut [u8]),
    {
        self.send_typed_output(output_id, ArrowTypeInfo::byte_array(data_len), parameters, data_len, data)
    }

    /// As [`send_output_raw`](Self::send_output_raw), for numbers of another type.
    ///
    /// # Errors
    /// As [`send_output`](Self::send_output); [`NodeError::Output`] when `data_len` is not what the type needs.
    pub fn send_typed_output<F>(
        &mut self,
        output_id: DataId,
        type_info: ArrowTypeInfo,
        parameters: MetadataParameters,
        data_len: usize,
        data: F,
    ) -> NodeResult<()>
    where
        F: FnOnce(&mut [u8]),
    {
        if type_info.payload_len() != data_len {
            let needed = type_info.payload_len();
            let name = wire_type::name(type_info.type_id);
            let what = format!("output `{output_id}`: the {name} values need {needed} bytes, not {data_len}");
            return Err(NodeError::Output(what));
        }
        let Some(output) = self.open_output(&output_id)? else { return Ok(()) };
        self.check_type(output, &parameters, || of_values(type_info.type_id))?;
        self.outputs.send_with(output, &parameters, (type_info.type_id, data_len), data)
    }

    /// Sends a buffer as an array of `u8`, or an empty array for `None`.
    ///
    /// # Errors
    /// As [`send_output`](Self::send_output).
    ///
    /// # Cost
    /// No copy when the buffer was allocated for this output, otherwise one.
    pub fn send_output_sample(
        &mut self,
        output_id: DataId,
        parameters: MetadataParameters,
        sample: Option<DataSample>,
    ) -> NodeResult<()> {
        let Some(output) = self.open_output(&output_id)? else { return Ok(()) };
        let type_id = if sample.is_some() { wire_type::UINT8 } else { wire_type::NULL };
        self.check_type(output, &parameters, || of_values(type_id))?;
        match sample {
            Some(sample) => self.outputs.send_sample(output, &parameters, wire_type::UINT8, sample),
            None => self.outputs.send_with(output, &parameters, (wire_type::NULL, 0), |_| {}),
        }
    }

    /// As [`send_output_sample`](Self::send_output_sample), for values of the well-known type `type_id`. For the bindings of
    /// other languages.
    ///
    /// # Errors
    /// As [`send_output`](Self::send_output).
    #[doc(hidden)]
    pub fn send_sample_values(
        &mut self,
        output_id: &DataId,
        parameters: &MetadataParameters,
        type_id: u32,
        sample: DataSample,
    ) -> NodeResult<()> {
        let Some(output) = self.open_output(output_id)? else { return Ok(()) };
        self.check_type(output, parameters, || of_values(type_id))?;
        self.outputs.send_sample(output, parameters, type_id, sample)
    }

    /// Sends an array that [`SampleAllocator::encode_arrow`] encoded, perhaps on another thread.
    ///
    /// # Errors
    /// As [`send_output`](Self::send_output).
    ///
    /// # Cost
    /// One copy.
    pub fn send_output_encoded(
        &mut self,
        output_id: DataId,
        parameters: MetadataParameters,
        encoded: EncodedSample,
    ) -> NodeResult<()> {
        let Some(output) = self.open_output(&output_id)? else { return Ok(()) };
        self.check_type(output, &parameters, || encoded.data_type.clone())?;
        self.outputs.send_encoded(output, &parameters, encoded)
    }

    /// A buffer of `data_len` bytes: in the memory of the node's only open output, or on the heap (to be copied when
    /// it is sent) when it has several. See [`allocate_data_sample_for`](Self::allocate_data_sample_for).
    ///
    /// # Errors
    /// [`NodeError::Output`] when the output does not allow that much.
    pub fn allocate_data_sample(&mut self, data_len: usize) -> NodeResult<DataSample> {
        self.outputs.allocate(None, data_len)
    }

    /// A buffer of `data_len` bytes in the memory of this output. Sending it there copies nothing.
    ///
    /// # Errors
    /// [`NodeError::Output`] when the output is undeclared or closed, or does not allow that much.
    pub fn allocate_data_sample_for(
        &mut self,
        output_id: &DataId,
        data_len: usize,
    ) -> NodeResult<DataSample> {
        let Some(output) = self.open_output(output_id)? else {
            let node = self.id();
            return Err(NodeError::Output(format!("node `{node}` has no output `{output_id}`")));
        };
        self.outputs.allocate(Some(output), data_len)
    }

    /// Makes buffers on other threads.
    pub fn sample_allocator(&self) -> SampleAllocator {
        SampleAllocator::heap()
    }

    /// Closes outputs: their readers are told once they have read what is queued.
    ///
    /// # Errors
    /// [`NodeError::Output`] when one of them is not declared. None is closed then.
    pub fn close_outputs(&mut self, outputs_ids: Vec<DataId>) -> NodeResult<()> {
        let mut closing = Vec::with_capacity(outputs_ids.len());
        for id in &outputs_ids {
            let Some(output) = self.outputs.index(id) else {
                let node = self.id();
                return Err(NodeError::Output(format!("node `{node}` has no output `{id}` to close")));
            };
            if !self.outputs.is_closed(output) && !closing.contains(&output) {
                closing.push(output);
            }
        }
        self.outputs.close(&closing);
        Ok(())
    }
}
