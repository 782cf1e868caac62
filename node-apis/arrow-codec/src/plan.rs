//! What it takes to send an array: how many bytes, of which type, which buffer goes where.

use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::DataType;
use dora_protocol::wire_type;

use crate::place::{Piece, Placer};
use crate::types::fixed_width;
use crate::used::counts;
use crate::{CodecError, encode_type};

/// How the type of a message is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeRef {
    /// By a number that everybody knows, see [`wire_type`].
    WellKnown(u32),
    /// By a record that has to reach the readers once.
    Record(Vec<u8>),
}

/// What a message says about its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The type.
    pub type_id: TypeRef,
    /// Bytes of the payload.
    pub payload_len: usize,
    /// The layout record; empty for a well-known type.
    pub layout: Vec<u8>,
}

/// An array that is ready to be written into a slot. Holds its buffers, not a copy of them.
#[derive(Clone, Debug)]
pub struct Plan {
    data_type: DataType,
    well_known: Option<u32>,
    payload_len: usize,
    layout: Vec<u8>,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Nothing,
    /// All of the payload.
    One(Buffer),
    /// In ascending order, without overlap.
    Pieces(Vec<Piece>),
}

/// Finds out where the buffers of an array go.
///
/// Buffers start at multiples of 64 bytes. Of a slice only the part that it uses is taken; the values of a dictionary
/// travel whole. Numbers without nulls take the short form: the values and nothing else.
///
/// # Errors
/// When the array is nested too deep, too long, or inconsistent (as it can be when it came from C).
///
/// # Cost
/// Numbers without nulls: no allocation. Others: a layout record, a list of buffers, and for slices of
/// variable-size arrays a new buffer of offsets. Values are looked at for views, list views and dense unions only.
pub fn plan(array: &ArrayData) -> Result<Plan, CodecError> {
    if let Some(plan) = flat(array)? {
        return Ok(plan);
    }
    let mut placer = Placer::new();
    placer.array(array, 0..array.len(), 0)?;
    Ok(Plan {
        data_type: array.data_type().clone(),
        well_known: None,
        payload_len: placer.end,
        layout: placer.record.finish(),
        content: Content::Pieces(placer.pieces),
    })
}

impl Plan {
    /// Bytes of the payload.
    pub fn payload_len(&self) -> usize {
        self.payload_len
    }

    /// The layout record, which readers need beside the payload; empty for a well-known type.
    pub fn layout(&self) -> &[u8] {
        &self.layout
    }

    /// The type of the array.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The number of the type, if it is one that everybody knows.
    pub fn well_known(&self) -> Option<u32> {
        self.well_known
    }

    /// The type, as a number or as a record made now. [`crate::TypeNumbers`] makes each record once.
    ///
    /// # Errors
    /// Those of [`encode_type`].
    pub fn type_ref(&self) -> Result<TypeRef, CodecError> {
        match self.well_known {
            Some(type_id) => Ok(TypeRef::WellKnown(type_id)),
            None => encode_type(&self.data_type).map(TypeRef::Record),
        }
    }

    /// All that readers need beside the payload.
    ///
    /// # Errors
    /// Those of [`encode_type`].
    pub fn encoded(&self) -> Result<Encoded, CodecError> {
        let type_id = self.type_ref()?;
        Ok(Encoded { type_id, payload_len: self.payload_len, layout: self.layout.clone() })
    }

    /// Copies the values to the front of `payload`. Gaps between buffers become zero, so equal arrays make equal
    /// payloads.
    ///
    /// # Panics
    /// When `payload` is shorter than [`Plan::payload_len`].
    ///
    /// # Real time
    /// One copy, no allocation.
    pub fn write(&self, payload: &mut [u8]) {
        let payload = &mut payload[..self.payload_len];
        match &self.content {
            Content::Nothing => {}
            Content::One(bytes) => payload.copy_from_slice(bytes),
            Content::Pieces(pieces) => {
                let mut end = 0;
                for Piece { at, bytes } in pieces {
                    payload[end..*at].fill(0);
                    end = at + bytes.len();
                    payload[*at..end].copy_from_slice(bytes);
                }
            }
        }
    }
}

/// The short forms, see [`wire_type`].
fn flat(array: &ArrayData) -> Result<Option<Plan>, CodecError> {
    if array.null_count() > 0 {
        return Ok(None);
    }
    let Some(well_known) = well_known(array) else { return Ok(None) };
    let bytes = match array.data_type() {
        DataType::Null => None,
        DataType::Utf8 => Some(only_string(array)),
        fixed => {
            let width = fixed_width(fixed).unwrap_or(0);
            let values = array.buffers().first();
            Some(values.and_then(|values| {
                part(values, array.offset().saturating_mul(width), array.len().saturating_mul(width))
            }))
        }
    };
    let content = match bytes {
        None => Content::Nothing,
        Some(Some(bytes)) => Content::One(bytes),
        Some(None) => {
            let data_type = format!("{:?}", array.data_type());
            return Err(CodecError::Inconsistent { data_type, what: "a buffer is too short" });
        }
    };
    let payload_len = if let Content::One(bytes) = &content { bytes.len() } else { 0 };
    let data_type = array.data_type().clone();
    Ok(Some(Plan { data_type, well_known: Some(well_known), payload_len, layout: Vec::new(), content }))
}

fn well_known(array: &ArrayData) -> Option<u32> {
    Some(match array.data_type() {
        DataType::Null if array.is_empty() => wire_type::NULL,
        DataType::Utf8 if array.len() == 1 => wire_type::UTF8_ONE,
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
    })
}

fn only_string(array: &ArrayData) -> Option<Buffer> {
    let offsets = part(array.buffers().first()?, array.offset().saturating_mul(4), 8)?;
    let mut offsets = counts::<i32>(&offsets).map(|offset| usize::try_from(offset).ok());
    let (start, end) = (offsets.next()??, offsets.next()??);
    part(array.buffers().get(1)?, start, end.checked_sub(start)?)
}

fn part(buffer: &Buffer, start: usize, len: usize) -> Option<Buffer> {
    let fits = start.checked_add(len).is_some_and(|end| end <= buffer.len());
    fits.then(|| buffer.slice_with_length(start, len))
}
