//! How long the parts of an array are: the layout record, and the walk that both ends do over the payload.
//!
//! ```text
//! record   length u32, node
//! node     length varint, flags u8 (1 a null bitmap comes first), extra, nodes of the children
//! extra    Utf8, Binary and large   bytes of values
//!          views                    number of data buffers { bytes }*
//!          run-end encoded          number of runs
//!          all others               nothing: lengths follow from the type
//! ```
//!
//! Where a buffer starts is not written down: it is the next multiple of 64 after the one before, in the order of
//! the record. So buffers cannot overlap, and one number per buffer has to be checked.
//!
//! 1. A buffer without bytes takes no place.
//! 2. Offsets start at 0: the sender takes the part of the values that a slice uses, and shifts them.
//! 3. An empty array with offsets has no offsets buffer.

use arrow_buffer::Buffer;

use crate::wire::{self, Reader};
use crate::{ALIGNMENT, CodecError, MAX_LEN};

pub(crate) const RECORD: &str = "layout";

/// Flag of a node: a null bitmap is the first of its buffers.
pub(crate) const NULLS: u8 = 1;

/// Cuts the layout record at the front of `bytes` from what follows it.
///
/// # Errors
/// When the length that the record starts with is not there or more than there is.
pub fn split_layout(bytes: &[u8]) -> Result<(&[u8], &[u8]), CodecError> {
    wire::split(bytes, RECORD)
}

/// A walk over the payload, buffer by buffer.
pub(crate) struct Walk<'a> {
    pub(crate) record: Reader<'a>,
    payload: Buffer,
    at: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(record: &'a [u8], payload: Buffer) -> Result<Self, CodecError> {
        Ok(Self { record: Reader::new(record, RECORD)?, payload, at: 0 })
    }

    /// The next buffer, `len` bytes of the payload.
    pub(crate) fn take(&mut self, len: usize) -> Result<Buffer, CodecError> {
        if len == 0 {
            return Ok(Buffer::from(arrow_buffer::MutableBuffer::new(0)));
        }
        let available = self.payload.len();
        let start = self.at.next_multiple_of(ALIGNMENT);
        let end = start.checked_add(len).filter(|end| *end <= available);
        let end = end.ok_or(CodecError::PayloadTooShort { needed: start.saturating_add(len), available })?;
        self.at = end;
        Ok(self.payload.slice_with_length(start, len))
    }

    /// The next buffer, `count` things of `width` bytes.
    pub(crate) fn take_each(&mut self, count: usize, width: usize) -> Result<Buffer, CodecError> {
        let len = count.checked_mul(width);
        self.take(
            len.ok_or(CodecError::PayloadTooShort { needed: usize::MAX, available: self.payload.len() })?,
        )
    }

    /// A length of an array.
    pub(crate) fn array_len(&mut self) -> Result<usize, CodecError> {
        let len = self.record.number("length")?;
        let fits = usize::try_from(len).ok().filter(|_| len <= MAX_LEN);
        fits.ok_or(CodecError::TooLong { len, max: MAX_LEN })
    }

    /// A number of bytes; [`Walk::take`] checks it.
    pub(crate) fn bytes(&mut self) -> Result<usize, CodecError> {
        let bytes = self.record.number("number of bytes")?;
        usize::try_from(bytes).map_err(|_| self.record.malformed("number of bytes"))
    }
}
