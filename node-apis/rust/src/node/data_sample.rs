//! Buffers to write a message into before it is sent: in the output's memory, or on the heap.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use arrow_schema::DataType;
use dora_arrow_codec::{DoraArray, PayloadOwner, TypeRef, internal, plan};
use dora_protocol::wire_type;
use lockfree_ipc::Loan;

use crate::{NodeError, NodeResult};

/// Alignment of heap buffers, in bytes.
const ALIGNMENT: usize = 128;

/// Zeroed heap memory that starts at a multiple of 128 bytes.
pub(crate) struct AlignedBytes {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBytes {
    pub(crate) fn zeroed(len: usize) -> Self {
        // Never grown, so it never moves.
        let memory = vec![0; len + ALIGNMENT - 1];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT - 1);
        Self { memory, start, len }
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

impl PayloadOwner for AlignedBytes {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// A buffer for the payload of one message.
///
/// What is in it at first is unspecified when it lies in the output's memory, and zero on the heap. Dropping it
/// unsent gives it back.
pub struct DataSample(pub(crate) Place);

pub(crate) enum Place {
    Heap(AlignedBytes),
    Loaned {
        output: u32,
        loan: Loan,
        /// Bytes behind the payload that are there for parameters.
        spare: usize,
    },
}

impl DataSample {
    pub(crate) fn heap(len: usize) -> Self {
        Self(Place::Heap(AlignedBytes::zeroed(len)))
    }

    /// True when sending this buffer to the output it was allocated for copies nothing.
    pub fn is_zero_copy(&self) -> bool {
        matches!(self.0, Place::Loaned { .. })
    }
}

impl Deref for DataSample {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Heap(bytes) => bytes,
            Place::Loaned { loan, .. } => loan.payload(),
        }
    }
}

impl DerefMut for DataSample {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Place::Heap(bytes) => bytes,
            Place::Loaned { loan, .. } => loan.payload_mut(),
        }
    }
}

impl From<&[u8]> for DataSample {
    fn from(bytes: &[u8]) -> Self {
        Self(Place::Heap(AlignedBytes::copy_of(bytes)))
    }
}

impl fmt::Debug for DataSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.is_zero_copy() { "output memory" } else { "heap" };
        f.debug_struct("DataSample").field("len", &self.len()).field("place", &place).finish()
    }
}

/// What the bytes of a raw message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrowTypeInfo {
    pub(crate) type_id: u32,
    pub(crate) bytes: usize,
}

impl ArrowTypeInfo {
    /// No values.
    pub fn empty() -> Self {
        Self { type_id: wire_type::NULL, bytes: 0 }
    }

    /// Bytes.
    pub fn byte_array(len: usize) -> Self {
        Self::primitive::<u8>(len)
    }

    /// `len` numbers of this type, in the byte order of the machine.
    pub fn primitive<T: wire_type::Primitive>(len: usize) -> Self {
        Self { type_id: T::TYPE_ID, bytes: len.saturating_mul(size_of::<T>()) }
    }

    /// Length of the payload, in bytes.
    pub fn payload_len(&self) -> usize {
        self.bytes
    }
}

/// A payload that was encoded ahead of sending, perhaps on another thread.
pub struct EncodedSample {
    pub(crate) bytes: AlignedBytes,
    pub(crate) type_ref: TypeRef,
    pub(crate) layout: Vec<u8>,
    pub(crate) data_type: DataType,
    type_name: String,
}

impl EncodedSample {
    /// Name of the Arrow type, for messages.
    pub fn type_name(&self) -> String {
        self.type_name.clone()
    }

    /// The Arrow type.
    #[cfg(feature = "arrow-v59")]
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The payload as it will lie in the output's memory.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for EncodedSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedSample")
            .field("type", &self.type_name)
            .field("len", &self.bytes.len())
            .finish()
    }
}

/// Makes buffers on the heap, on any thread, while the node is busy elsewhere.
///
/// Only the thread that owns the node can write into the memory of an output
/// ([`DoraNode::allocate_data_sample`](crate::DoraNode::allocate_data_sample)); these buffers are copied there once
/// when they are sent.
#[derive(Clone, Debug, Default)]
pub struct SampleAllocator(());

impl SampleAllocator {
    /// An allocator that needs no node.
    pub fn heap() -> Self {
        Self(())
    }

    /// A zeroed buffer, aligned to 128 bytes.
    pub fn allocate(&self, data_len: usize) -> NodeResult<DataSample> {
        Ok(DataSample::heap(data_len))
    }

    /// Encodes an array, ready for
    /// [`DoraNode::send_output_encoded`](crate::DoraNode::send_output_encoded).
    ///
    /// # Errors
    /// [`NodeError::Data`] when the array is inconsistent or nested too deep.
    pub fn encode_arrow(&self, array: &DoraArray) -> NodeResult<EncodedSample> {
        let broken = |error: dora_arrow_codec::CodecError| NodeError::Data(error.to_string());
        let plan = plan(&internal::to_data(array)).map_err(broken)?;
        let mut bytes = AlignedBytes::zeroed(plan.payload_len());
        plan.write(&mut bytes);
        let type_ref = plan.type_ref().map_err(broken)?;
        Ok(EncodedSample {
            bytes,
            type_ref,
            layout: plan.layout().to_vec(),
            data_type: plan.data_type().clone(),
            type_name: array.type_name(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IntoArrow;

    #[test]
    fn heap_buffers_are_zero_and_aligned_whatever_their_length() {
        for len in [0, 1, 127, 128, 4096, 100_001] {
            let mut sample = SampleAllocator::heap().allocate(len).unwrap();
            assert_eq!(sample.len(), len);
            assert_eq!(sample.as_ptr() as usize % ALIGNMENT, 0);
            assert!(sample.iter().all(|byte| *byte == 0));
            sample.fill(7);
            assert!(!sample.is_zero_copy());
        }
    }

    #[test]
    fn an_encoded_array_knows_its_type_and_bytes() {
        let array = vec![1u16, 2].into_arrow();
        let encoded = SampleAllocator::heap().encode_arrow(&array).unwrap();
        assert_eq!(encoded.as_bytes(), [1u16.to_ne_bytes(), 2u16.to_ne_bytes()].concat());
        assert_eq!(encoded.type_ref, TypeRef::WellKnown(wire_type::UINT16));
        assert_eq!(encoded.type_name(), array.type_name());
    }

    #[test]
    fn type_info_counts_bytes() {
        assert_eq!(ArrowTypeInfo::primitive::<f64>(3).payload_len(), 24);
        assert_eq!(ArrowTypeInfo::byte_array(3).payload_len(), 3);
        assert_eq!(ArrowTypeInfo::empty().payload_len(), 0);
    }
}
