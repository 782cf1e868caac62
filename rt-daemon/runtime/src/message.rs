//! What goes through the queues of a runtime: references to values, never values.
#![expect(unsafe_code, reason = "messages cross the C boundary as counted pointers")]

use std::{ptr, sync::Arc};

use arrow_data::{ArrayData, ffi::FFI_ArrowArray};
use arrow_schema::{DataType, ffi::FFI_ArrowSchema};
use dora_operator_api::abi::{self, Bytes, DoraResult, MessageFunctions};
use dora_protocol::{
    metadata::{self, MetadataParameters},
    wire_type,
};

use crate::{intake_rt::Holder, json, memory::Flat};

/// What an operator is given.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// An array.
    Message(Arc<Message>),
    /// Flat values of a real-time operator.
    Flat(Flat),
    /// A message of another node, in its memory.
    View(Arc<Holder>),
    /// A timer tick.
    Tick { count: u64, missed: u64 },
    /// Nothing more comes at this input.
    Closed(u32),
    /// A message at this input could not be read.
    Unreadable(u32, Arc<str>),
    /// The operator shall end.
    Stop,
}

/// An array with its parameters. Crosses the boundary as [`abi::Message`], its first field.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Message {
    head: abi::Message,
    pub(crate) values: Values,
    pub(crate) parameters: MetadataParameters,
}

/// The values of a message.
#[derive(Debug)]
pub(crate) enum Values {
    Array(ArrayData),
    Flat(Flat),
}

// SAFETY: the pointer in `head` is to functions that live as long as the program and may be called on any thread; all else is Send.
unsafe impl Send for Message {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Message {}

static FUNCTIONS: MessageFunctions = MessageFunctions { retain, release, export, parameters };

impl Message {
    pub(crate) fn new(values: Values, parameters: MetadataParameters) -> Arc<Self> {
        Arc::new(Self { head: abi::Message { functions: &raw const FUNCTIONS }, values, parameters })
    }

    /// As an Arrow array; no copy.
    pub(crate) fn array(&self) -> Result<ArrayData, String> {
        match &self.values {
            Values::Array(array) => Ok(array.clone()),
            Values::Flat(flat) => dora_arrow_codec::decode(flat.type_id, None, &[], Arc::new(flat.clone()))
                .map_err(|error| error.to_string()),
        }
    }

    /// Type and bytes, when the values are a flat row of numbers.
    pub(crate) fn flat(&self) -> Option<(u32, &[u8])> {
        match &self.values {
            Values::Flat(flat) => Some((flat.type_id, flat.bytes())),
            Values::Array(array) => flat_values(array),
        }
    }

    /// The pointer that crosses the boundary; lives as long as the Arc.
    pub(crate) fn as_raw(this: &Arc<Self>) -> *mut abi::Message {
        Arc::as_ptr(this).cast_mut().cast()
    }
}

/// Type and bytes of a row of numbers without nulls.
fn flat_values(array: &ArrayData) -> Option<(u32, &[u8])> {
    let type_id = match array.data_type() {
        DataType::UInt8 => wire_type::UINT8,
        DataType::UInt16 => wire_type::UINT16,
        DataType::UInt32 => wire_type::UINT32,
        DataType::UInt64 => wire_type::UINT64,
        DataType::Int8 => wire_type::INT8,
        DataType::Int16 => wire_type::INT16,
        DataType::Int32 => wire_type::INT32,
        DataType::Int64 => wire_type::INT64,
        DataType::Float32 => wire_type::FLOAT32,
        DataType::Float64 => wire_type::FLOAT64,
        _ => return None,
    };
    if array.null_count() > 0 {
        return None;
    }
    let width = wire_type::width(type_id)?;
    let begin = array.offset().checked_mul(width)?;
    let end = begin.checked_add(array.len().checked_mul(width)?)?;
    Some((type_id, array.buffers().first()?.as_slice().get(begin..end)?))
}

/// # Safety
/// `message` came from [`Message::as_raw`] of a live Arc.
unsafe extern "C" fn retain(message: *mut abi::Message) {
    // SAFETY: as the caller says; `head` is the first field, so the pointers are the same.
    unsafe { Arc::increment_strong_count(message.cast::<Message>()) };
}

/// # Safety
/// As [`retain`], once for each of its calls.
unsafe extern "C" fn release(message: *mut abi::Message) {
    // SAFETY: as the caller says.
    unsafe { Arc::decrement_strong_count(message.cast::<Message>()) };
}

/// # Safety
/// As [`retain`]; the structures are writable.
unsafe extern "C" fn export(
    message: *mut abi::Message,
    array: *mut FFI_ArrowArray,
    schema: *mut FFI_ArrowSchema,
) -> DoraResult {
    if message.is_null() || array.is_null() || schema.is_null() {
        return DoraResult::error("the message was asked for an array with a null pointer");
    }
    // SAFETY: not null, and as the caller says.
    let message = unsafe { &*message.cast::<Message>() };
    let exported =
        message.array().and_then(|data| arrow_array::ffi::to_ffi(&data).map_err(|error| error.to_string()));
    match exported {
        Ok((made_array, made_schema)) => {
            // SAFETY: writable, as the caller says; what was there before is not ours to drop.
            unsafe {
                ptr::write(array, made_array);
                ptr::write(schema, made_schema);
            }
            DoraResult::OK
        }
        Err(text) => DoraResult::error(&text),
    }
}

/// # Safety
/// As [`retain`].
unsafe extern "C" fn parameters(message: *mut abi::Message, format: u32) -> Bytes {
    // SAFETY: null, or as the caller says.
    let Some(message) = (unsafe { message.cast::<Message>().as_ref() }) else { return Bytes::NONE };
    encode_parameters(&message.parameters, format).map_or(Bytes::NONE, |bytes| Bytes::copy(&bytes))
}

fn encode_parameters(parameters: &MetadataParameters, format: u32) -> Option<Vec<u8>> {
    match format {
        0 if parameters.is_empty() => Some(Vec::new()),
        0 => {
            let mut bytes = vec![0; metadata::encoded_len(parameters)];
            metadata::encode_into(parameters, &mut bytes).ok()?;
            Some(bytes)
        }
        1 => serde_json::to_vec(&json::object(parameters)).ok(),
        _ => None,
    }
}

/// What an operator gave as parameters.
pub(crate) fn decode_parameters(bytes: &[u8], format: u32) -> Result<MetadataParameters, String> {
    let decoded = match format {
        0 => metadata::decode(bytes).map_err(|error| error.to_string()),
        1 => json::parameters(bytes),
        other => Err(format!("format {other} is not known")),
    };
    let mut parameters = decoded.map_err(|error| format!("the metadata cannot be read: {error}"))?;
    metadata::strip_reserved(&mut parameters);
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array, Float64Array};

    use super::*;
    use crate::memory::Memory;

    #[test]
    fn a_slice_is_flat_from_its_own_beginning_and_an_array_with_nulls_is_not() {
        let array = Float64Array::from(vec![1.0, 2.0, 3.0]).slice(1, 2).to_data();
        let message = Message::new(Values::Array(array), MetadataParameters::new());
        let (type_id, bytes) = message.flat().unwrap();
        assert_eq!(
            (type_id, bytes),
            (wire_type::FLOAT64, [2.0f64, 3.0].map(f64::to_ne_bytes).concat().as_slice())
        );
        let nulls = Float64Array::from(vec![Some(1.0), None]).to_data();
        assert!(Message::new(Values::Array(nulls), MetadataParameters::new()).flat().is_none());
    }

    #[test]
    fn flat_values_become_an_array_over_the_same_memory() {
        let memory = Arc::new(Memory::copy_of(&7u64.to_ne_bytes()));
        let at = memory.bytes().as_ptr();
        let flat = Flat { type_id: wire_type::UINT64, len: 8, memory };
        let array = Message::new(Values::Flat(flat), MetadataParameters::new()).array().unwrap();
        assert_eq!(array.buffers()[0].as_ptr(), at, "copied");
        assert_eq!(array.buffers()[0].typed_data::<u64>(), [7]);
    }

    #[test]
    fn parameters_cross_the_boundary_in_both_formats() {
        let parameters: MetadataParameters = [("k".to_owned(), metadata::Parameter::Integer(3))].into();
        for format in [0, 1] {
            let bytes = encode_parameters(&parameters, format).unwrap();
            assert_eq!(decode_parameters(&bytes, format).unwrap(), parameters, "{format}");
            assert!(decode_parameters(&bytes[..bytes.len() - 1], format).is_err());
        }
        assert!(encode_parameters(&parameters, 2).is_none());
    }
}
