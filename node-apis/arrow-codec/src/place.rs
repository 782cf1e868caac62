//! Gives each buffer of an array a place in the payload, and writes the layout record alongside.
//!
//! The twin of `decode`: both walk the type in the same order (see `layout`). The walk carries a window, `from` and
//! `len`, into each array instead of slicing it, so that only what the window uses is placed. Arrays that came in
//! over a foreign interface may be inconsistent: every range is checked against its buffer.

use std::ops::Range;

use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::{DataType, UnionMode};

use crate::layout::NULLS;
use crate::types::fixed_width;
use crate::used::{self, Count};
use crate::wire::Writer;
use crate::{ALIGNMENT, CodecError, MAX_DEPTH, MAX_LEN};

/// A buffer and where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) at: usize,
    pub(crate) bytes: Buffer,
}

pub(crate) struct Placer {
    pub(crate) record: Writer,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) end: usize,
}

/// One array of the tree and the part of it that travels. `from` counts from the start of its buffers.
struct Part<'a> {
    data: &'a ArrayData,
    from: usize,
    len: usize,
    depth: usize,
}

impl Placer {
    pub(crate) fn new() -> Self {
        Self { record: Writer::new(), pieces: Vec::new(), end: 0 }
    }

    /// Places `window` of the array, counted in its own elements.
    pub(crate) fn array(
        &mut self,
        data: &ArrayData,
        window: Range<usize>,
        depth: usize,
    ) -> Result<(), CodecError> {
        let len = window.len() as u64;
        if depth >= MAX_DEPTH {
            return Err(CodecError::TooDeep { max: MAX_DEPTH });
        }
        if len > MAX_LEN {
            return Err(CodecError::TooLong { len, max: MAX_LEN });
        }
        let from = data.offset().checked_add(window.start);
        let (Some(from), true) = (from, window.end <= data.len()) else {
            return Err(inconsistent(data, "it is shorter than what contains it"));
        };
        let part = Part { data, from, len: window.len(), depth };
        self.record.number(len);
        self.nulls(&part, &window)?;
        self.buffers(&part, window)
    }

    fn nulls(&mut self, part: &Part<'_>, window: &Range<usize>) -> Result<(), CodecError> {
        let nulls = part.data.nulls().filter(|nulls| nulls.null_count() > 0 && !window.is_empty());
        let Some(nulls) = nulls else {
            self.record.byte(0);
            return Ok(());
        };
        if nulls.len() != part.data.len() {
            return Err(inconsistent(part.data, "its null bitmap has another length"));
        }
        if nulls.inner().slice(window.start, window.len()).count_set_bits() == window.len() {
            self.record.byte(0);
            return Ok(());
        }
        self.record.byte(NULLS);
        self.put(nulls.buffer().bit_slice(nulls.offset() + window.start, window.len()));
        Ok(())
    }

    fn buffers(&mut self, part: &Part<'_>, window: Range<usize>) -> Result<(), CodecError> {
        let Part { data, from, len, depth } = *part;
        let rows = from..from.saturating_add(len);
        match data.data_type() {
            DataType::Null => Ok(()),
            DataType::Boolean => self.bits(part),
            DataType::Utf8 | DataType::Binary => self.bytes::<i32>(part),
            DataType::LargeUtf8 | DataType::LargeBinary => self.bytes::<i64>(part),
            DataType::Utf8View | DataType::BinaryView => self.views(part),
            DataType::List(_) | DataType::Map(_, _) => self.list::<i32>(part),
            DataType::LargeList(_) => self.list::<i64>(part),
            DataType::ListView(_) => self.list_view::<i32>(part),
            DataType::LargeListView(_) => self.list_view::<i64>(part),
            DataType::FixedSizeList(_, size) => {
                let size = usize::try_from(*size).unwrap_or(0);
                let scaled =
                    |row: usize| row.checked_mul(size).ok_or(inconsistent(data, "its size overflows"));
                self.array(child(data, 0)?, scaled(rows.start)?..scaled(rows.end)?, depth + 1)
            }
            DataType::Struct(_) => {
                for field in data.child_data() {
                    // `ArrayData::slice` cuts the children too and still raises the offset.
                    let is_cut = field.len() < data.offset().saturating_add(data.len());
                    let rows = if is_cut { window.clone() } else { rows.clone() };
                    self.array(field, rows, depth + 1)?;
                }
                Ok(())
            }
            DataType::Union(_, UnionMode::Sparse) => {
                self.put(slice(part, 0, from, len, 1)?);
                data.child_data().iter().try_for_each(|field| self.array(field, rows.clone(), depth + 1))
            }
            DataType::Union(fields, UnionMode::Dense) => {
                let type_ids = slice(part, 0, from, len, 1)?;
                let used = used::dense(&type_ids, slice(part, 1, from, len, 4)?);
                let (offsets, used) = used.ok_or_else(|| inconsistent(data, "its offsets are invalid"))?;
                self.put(type_ids);
                self.put(offsets);
                for (index, (id, _)) in fields.iter().enumerate() {
                    self.array(child(data, index)?, used[id as usize & 127].clone(), depth + 1)?;
                }
                Ok(())
            }
            DataType::Dictionary(keys, _) => {
                self.put(slice(part, 0, from, len, fixed_width(keys).unwrap_or(0))?);
                // Finding out which values are used costs more than it saves.
                let values = child(data, 0)?;
                self.array(values, 0..values.len(), depth + 1)
            }
            DataType::RunEndEncoded(ends, _) => match ends.data_type() {
                DataType::Int16 => self.runs::<i16>(part),
                DataType::Int32 => self.runs::<i32>(part),
                _ => self.runs::<i64>(part),
            },
            fixed => {
                let width = fixed_width(fixed);
                let width = width.ok_or_else(|| inconsistent(data, "its type is unknown to this version"))?;
                self.put(slice(part, 0, from, len, width)?);
                Ok(())
            }
        }
    }

    fn bits(&mut self, part: &Part<'_>) -> Result<(), CodecError> {
        let values = buffer(part.data, 0)?;
        if part.from.saturating_add(part.len) > values.len().saturating_mul(8) {
            return Err(inconsistent(part.data, "a buffer is too short"));
        }
        self.put(values.bit_slice(part.from, part.len));
        Ok(())
    }

    fn bytes<T: Count>(&mut self, part: &Part<'_>) -> Result<(), CodecError> {
        let (offsets, used) = offsets::<T>(part)?;
        let values = buffer(part.data, 1)?;
        if used.end > values.len() {
            return Err(inconsistent(part.data, "its offsets are invalid"));
        }
        self.record.number(used.len() as u64);
        self.put(offsets);
        self.put(values.slice_with_length(used.start, used.len()));
        Ok(())
    }

    fn views(&mut self, part: &Part<'_>) -> Result<(), CodecError> {
        let views = slice(part, 0, part.from, part.len, 16)?;
        let used = used::views(views, part.data.buffers().get(1..).unwrap_or(&[]));
        let (views, parts) = used.ok_or_else(|| inconsistent(part.data, "its views are invalid"))?;
        self.record.number(parts.len() as u64);
        parts.iter().for_each(|bytes| self.record.number(bytes.len() as u64));
        self.put(views);
        parts.into_iter().for_each(|bytes| self.put(bytes));
        Ok(())
    }

    fn list<T: Count>(&mut self, part: &Part<'_>) -> Result<(), CodecError> {
        let (offsets, used) = offsets::<T>(part)?;
        self.put(offsets);
        self.array(child(part.data, 0)?, used, part.depth + 1)
    }

    fn list_view<T: Count>(&mut self, part: &Part<'_>) -> Result<(), CodecError> {
        let sizes = slice(part, 1, part.from, part.len, T::WIDTH)?;
        let used = used::list_views::<T>(slice(part, 0, part.from, part.len, T::WIDTH)?, &sizes);
        let (offsets, used) = used.ok_or_else(|| inconsistent(part.data, "its views are invalid"))?;
        self.put(offsets);
        self.put(sizes);
        self.array(child(part.data, 0)?, used, part.depth + 1)
    }

    fn runs<T: Count>(&mut self, part: &Part<'_>) -> Result<(), CodecError> {
        let ends = child(part.data, 0)?;
        let whole = Part { data: ends, from: ends.offset(), len: ends.len(), depth: part.depth + 1 };
        let ends = slice(&whole, 0, whole.from, whole.len, T::WIDTH)?;
        let touched = used::runs::<T>(&ends, part.from..part.from.saturating_add(part.len));
        let (ends, touched) = touched.ok_or_else(|| inconsistent(part.data, "its runs are too short"))?;
        self.record.number(touched.len() as u64);
        self.put(ends);
        self.array(child(part.data, 1)?, touched, part.depth + 1)
    }

    fn put(&mut self, bytes: Buffer) {
        if !bytes.is_empty() {
            let at = self.end.next_multiple_of(ALIGNMENT);
            self.end = at + bytes.len();
            self.pieces.push(Piece { at, bytes });
        }
    }
}

fn offsets<T: Count>(part: &Part<'_>) -> Result<(Buffer, Range<usize>), CodecError> {
    if part.len == 0 {
        return Ok((Buffer::from(Vec::<u8>::new()), 0..0));
    }
    let offsets = slice(part, 0, part.from, part.len + 1, T::WIDTH)?;
    used::offsets::<T>(offsets).ok_or_else(|| inconsistent(part.data, "its offsets are invalid"))
}

/// `len` things of `width` bytes of a buffer, from the one numbered `from`.
fn slice(part: &Part<'_>, index: usize, from: usize, len: usize, width: usize) -> Result<Buffer, CodecError> {
    let buffer = buffer(part.data, index)?;
    let (start, bytes) = (from.checked_mul(width), len.checked_mul(width));
    if let (Some(start), Some(bytes)) = (start, bytes)
        && start.checked_add(bytes).is_some_and(|end| end <= buffer.len())
    {
        return Ok(buffer.slice_with_length(start, bytes));
    }
    Err(inconsistent(part.data, "a buffer is too short"))
}

fn buffer(data: &ArrayData, index: usize) -> Result<&Buffer, CodecError> {
    data.buffers().get(index).ok_or_else(|| inconsistent(data, "a buffer is missing"))
}

fn child(data: &ArrayData, index: usize) -> Result<&ArrayData, CodecError> {
    data.child_data().get(index).ok_or_else(|| inconsistent(data, "a child is missing"))
}

fn inconsistent(data: &ArrayData, what: &'static str) -> CodecError {
    CodecError::Inconsistent { data_type: format!("{:?}", data.data_type()), what }
}
