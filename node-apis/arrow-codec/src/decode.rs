//! Arrow arrays over the bytes of a payload, in place.
//!
//! The twin of `place`: both walk the type in the same order (see `layout`).
//!
//! 1. A buffer is exactly as long as the type and the length of its array say, or it is not made.
//! 2. No array is handed to anybody before its values were checked: offsets ascend, text is UTF-8, keys, views and
//!    type ids point at something. Values of fixed width are any bits, so they are not looked at.
//! 3. Nothing is reserved in proportion to a number that was read, other than a count of bytes in the record.
#![expect(unsafe_code, reason = "arrays are put together first and checked before anybody sees them")]

use std::sync::Arc;

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, UnionMode};
use dora_protocol::wire_type;

use crate::layout::{NULLS, Walk};
use crate::owner::buffer_over;
use crate::types::{fixed_width, type_of_values};
use crate::used::{Count, counts};
use crate::{CodecError, MAX_DEPTH, PayloadOwner, decode_type};

/// The array that a message holds.
///
/// `record` describes the type when `type_id` is not a well-known one; [`crate::TypeCache`] reads it only once.
/// `layout` is what the sender's [`crate::Plan::layout`] said. Nothing is copied: the array keeps `payload` alive.
///
/// # Errors
/// When anything does not fit together. The payload is given back at once then.
///
/// # Cost
/// Numbers: two small allocations, whatever the length. Others: a few per array inside, and one look at
/// offsets, text, keys and null bitmaps.
pub fn decode(
    type_id: u32,
    record: Option<&[u8]>,
    layout: &[u8],
    payload: Arc<dyn PayloadOwner>,
) -> Result<ArrayData, CodecError> {
    match type_id {
        wire_type::NULL => Ok(ArrayData::new_null(&DataType::Null, 0)),
        wire_type::UTF8_ONE => one_string(buffer_over(payload)),
        id if id < wire_type::FIRST_DYNAMIC => numbers(id, buffer_over(payload)),
        _ => {
            let record = record.ok_or(CodecError::UnknownType { type_id })?;
            decode_as(&decode_type(record)?, layout, payload)
        }
    }
}

/// As [`decode`], with a type that is known already. The type must come from [`decode_type`] or from an array.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_as(
    data_type: &DataType,
    layout: &[u8],
    payload: Arc<dyn PayloadOwner>,
) -> Result<ArrayData, CodecError> {
    let mut walk = Walk::new(layout, buffer_over(payload))?;
    let array = array(&mut walk, data_type, 0)?;
    walk.record.end()?;
    Ok(array)
}

fn numbers(type_id: u32, values: Buffer) -> Result<ArrayData, CodecError> {
    let data_type = type_of_values(type_id).ok_or(CodecError::UnknownType { type_id })?;
    let width = fixed_width(&data_type).unwrap_or(1);
    if !values.len().is_multiple_of(width) {
        return Err(CodecError::PayloadLength { name: wire_type::name(type_id), len: values.len() });
    }
    let parts = Parts { len: values.len() / width, buffers: vec![values], ..Parts::default() };
    parts.assemble(&data_type)
}

fn one_string(text: Buffer) -> Result<ArrayData, CodecError> {
    let Ok(end) = i32::try_from(text.len()) else {
        return Err(CodecError::PayloadLength { name: "Utf8", len: text.len() });
    };
    let offsets = Buffer::from(vec![0, end]);
    Parts { len: 1, buffers: vec![offsets, text], ..Parts::default() }.assemble(&DataType::Utf8)
}

/// An array before it is one.
#[derive(Default)]
struct Parts {
    len: usize,
    nulls: Option<NullBuffer>,
    buffers: Vec<Buffer>,
    children: Vec<ArrayData>,
}

impl Parts {
    /// Makes the array and checks its values. Its children are checked already.
    fn assemble(self, data_type: &DataType) -> Result<ArrayData, CodecError> {
        let builder = ArrayData::builder(data_type.clone())
            .len(self.len)
            .nulls(self.nulls)
            .buffers(self.buffers)
            .child_data(self.children);
        // SAFETY: `buffers` and `children` are as many and as long as the type needs, because `array`, `numbers` and
        // `one_string` made them for this type and length. What the values must fulfil is checked in the next line,
        // by functions that rely on lengths only; the array does not leave this function if they refuse.
        let data = unsafe { builder.build_unchecked() };
        data.validate_values().map_err(CodecError::Values)?;
        check_nulls(&data)?;
        Ok(data)
    }
}

fn array(walk: &mut Walk<'_>, data_type: &DataType, depth: usize) -> Result<ArrayData, CodecError> {
    if depth >= MAX_DEPTH {
        return Err(CodecError::TooDeep { max: MAX_DEPTH });
    }
    let len = walk.array_len()?;
    let nulls = match walk.record.byte("flags")? {
        0 => None,
        NULLS => Some(nulls(walk, data_type, len)?),
        _ => return Err(walk.record.malformed("flags")),
    };
    let mut parts = Parts { len, nulls, ..Parts::default() };
    fill(walk, data_type, depth, &mut parts)?;
    parts.assemble(data_type)
}

fn nulls(walk: &mut Walk<'_>, data_type: &DataType, len: usize) -> Result<NullBuffer, CodecError> {
    if matches!(data_type, DataType::Null | DataType::Union(_, _) | DataType::RunEndEncoded(_, _)) {
        return Err(inconsistent(data_type, "this type has no null bitmap"));
    }
    let bits = walk.take(len.div_ceil(8))?;
    Ok(NullBuffer::new(BooleanBuffer::new(bits, 0, len)))
}

/// Takes the buffers and children of one array from the walk.
fn fill(
    walk: &mut Walk<'_>,
    data_type: &DataType,
    depth: usize,
    parts: &mut Parts,
) -> Result<(), CodecError> {
    let len = parts.len;
    match data_type {
        DataType::Null => {}
        DataType::Boolean => parts.buffers.push(walk.take(len.div_ceil(8))?),
        DataType::Utf8 | DataType::Binary => bytes::<i32>(walk, data_type, parts)?,
        DataType::LargeUtf8 | DataType::LargeBinary => bytes::<i64>(walk, data_type, parts)?,
        DataType::Utf8View | DataType::BinaryView => views(walk, parts)?,
        DataType::List(field) | DataType::Map(field, _) => {
            parts.buffers.push(offsets::<i32>(walk, data_type, len)?);
            parts.children.push(array(walk, field.data_type(), depth + 1)?);
        }
        DataType::LargeList(field) => {
            parts.buffers.push(offsets::<i64>(walk, data_type, len)?);
            parts.children.push(array(walk, field.data_type(), depth + 1)?);
        }
        DataType::ListView(field) => list_views::<i32>(walk, field, depth, parts)?,
        DataType::LargeListView(field) => list_views::<i64>(walk, field, depth, parts)?,
        DataType::FixedSizeList(field, size) => {
            let values = array(walk, field.data_type(), depth + 1)?;
            let needed = usize::try_from(*size).ok().and_then(|size| len.checked_mul(size));
            if needed != Some(values.len()) {
                return Err(inconsistent(data_type, "its values do not fill its lists"));
            }
            parts.children.push(values);
        }
        DataType::Struct(fields) => {
            for field in fields {
                parts.children.push(child_of_len(walk, data_type, field, depth, len)?);
            }
        }
        DataType::Union(fields, mode) => {
            parts.buffers.push(walk.take(len)?);
            if *mode == UnionMode::Dense {
                parts.buffers.push(walk.take_each(len, 4)?);
            }
            for (_, field) in fields.iter() {
                parts.children.push(match mode {
                    UnionMode::Sparse => child_of_len(walk, data_type, field, depth, len)?,
                    UnionMode::Dense => array(walk, field.data_type(), depth + 1)?,
                });
            }
        }
        DataType::Dictionary(keys, values) => {
            parts.buffers.push(walk.take_each(len, fixed_width(keys).unwrap_or(1))?);
            parts.children.push(array(walk, values, depth + 1)?);
        }
        DataType::RunEndEncoded(ends, values) => runs(walk, data_type, ends, values, depth, parts)?,
        fixed => {
            let width = fixed_width(fixed)
                .ok_or_else(|| inconsistent(fixed, "its type is unknown to this version"))?;
            parts.buffers.push(walk.take_each(len, width)?);
        }
    }
    Ok(())
}

fn offsets<T: Count>(walk: &mut Walk<'_>, data_type: &DataType, len: usize) -> Result<Buffer, CodecError> {
    if len == 0 {
        return walk.take(0);
    }
    let offsets = walk.take_each(len + 1, T::WIDTH)?;
    // Arrow's check of values passes over an impossible first offset: it looks at pairs.
    if counts::<T>(&offsets).next() != Some(0) {
        return Err(inconsistent(data_type, "its offsets do not start at 0"));
    }
    Ok(offsets)
}

fn bytes<T: Count>(walk: &mut Walk<'_>, data_type: &DataType, parts: &mut Parts) -> Result<(), CodecError> {
    let values = walk.bytes()?;
    parts.buffers.push(offsets::<T>(walk, data_type, parts.len)?);
    parts.buffers.push(walk.take(values)?);
    Ok(())
}

fn views(walk: &mut Walk<'_>, parts: &mut Parts) -> Result<(), CodecError> {
    let count = walk.record.count("number of buffers")?;
    let lens = (0..count).map(|_| walk.bytes()).collect::<Result<Vec<_>, _>>()?;
    parts.buffers.push(walk.take_each(parts.len, 16)?);
    for len in lens {
        parts.buffers.push(walk.take(len)?);
    }
    Ok(())
}

fn list_views<T: Count>(
    walk: &mut Walk<'_>,
    field: &Field,
    depth: usize,
    parts: &mut Parts,
) -> Result<(), CodecError> {
    let (offsets, sizes) = (walk.take_each(parts.len, T::WIDTH)?, walk.take_each(parts.len, T::WIDTH)?);
    let values = array(walk, field.data_type(), depth + 1)?;
    // Arrow checks these together with the lengths of everything below, so not in `validate_values`.
    let available = values.len() as i64;
    let fits = |(offset, size): (i64, i64)| {
        offset >= 0 && size >= 0 && offset.checked_add(size).is_some_and(|end| end <= available)
    };
    if !counts::<T>(&offsets).zip(counts::<T>(&sizes)).all(fits) {
        return Err(inconsistent(field.data_type(), "a list view points outside of it"));
    }
    parts.buffers.extend([offsets, sizes]);
    parts.children.push(values);
    Ok(())
}

fn runs(
    walk: &mut Walk<'_>,
    data_type: &DataType,
    ends: &Field,
    values: &Field,
    depth: usize,
    parts: &mut Parts,
) -> Result<(), CodecError> {
    let runs = walk.array_len()?;
    let buffers = vec![walk.take_each(runs, fixed_width(ends.data_type()).unwrap_or(1))?];
    let run_ends = Parts { len: runs, buffers, ..Parts::default() };
    parts.children.push(run_ends.assemble(ends.data_type())?);
    parts.children.push(child_of_len(walk, data_type, values, depth, runs)?);
    Ok(())
}

fn child_of_len(
    walk: &mut Walk<'_>,
    parent: &DataType,
    field: &Field,
    depth: usize,
    len: usize,
) -> Result<ArrayData, CodecError> {
    let child = array(walk, field.data_type(), depth + 1)?;
    if child.len() == len { Ok(child) } else { Err(inconsistent(parent, "a child has another length")) }
}

/// Where a field says that it has no nulls, there must be none: except under a null of the parent, which takes up
/// a place in its children.
fn check_nulls(data: &ArrayData) -> Result<(), CodecError> {
    let hidden = |child: &ArrayData, mask: Option<&NullBuffer>| match (child.nulls(), mask) {
        (None, _) => true,
        (Some(nulls), Some(mask)) => mask.contains(nulls),
        (Some(_), None) => false,
    };
    let children = data.child_data();
    let valid = match data.data_type() {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::Map(field, _) => field.is_nullable() || children.iter().all(|child| hidden(child, None)),
        DataType::FixedSizeList(field, size) => {
            let visible = |child: &ArrayData| {
                // The child has a bitmap of its own, so making one of that length reserves no more than was sent.
                let mask = data.nulls().filter(|_| child.nulls().is_some());
                let mask = mask.map(|nulls| nulls.expand(usize::try_from(*size).unwrap_or(0)));
                hidden(child, mask.as_ref())
            };
            field.is_nullable() || children.iter().all(visible)
        }
        DataType::Struct(fields) => {
            let mut fields = fields.iter().zip(children);
            fields.all(|(field, child)| field.is_nullable() || hidden(child, data.nulls()))
        }
        _ => true,
    };
    if valid { Ok(()) } else { Err(inconsistent(data.data_type(), "a field that has no nulls has one")) }
}

fn inconsistent(data_type: &DataType, what: &'static str) -> CodecError {
    CodecError::Inconsistent { data_type: format!("{data_type:?}"), what }
}
