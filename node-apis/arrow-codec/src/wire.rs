//! Numbers and text inside the two kinds of record: LEB128 varints, length-prefixed UTF-8.
//!
//! A record starts with its own length (`u32`, little endian, the length field included), so that it can be cut
//! from what follows it.

use crate::CodecError;

/// Bytes of the length field.
const HEAD: usize = 4;

/// Builds a record.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self(vec![0; HEAD])
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The finished record. One longer than 4 GiB cannot be: it would describe millions of buffers.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..HEAD].copy_from_slice(&len.to_le_bytes());
        self.0
    }
}

/// Cuts the record at the front of `bytes` from what follows it.
pub(crate) fn split<'a>(bytes: &'a [u8], record: &'static str) -> Result<(&'a [u8], &'a [u8]), CodecError> {
    let malformed = CodecError::Malformed { record, what: "length", at: 0 };
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Err(malformed) };
    let len = u32::from_le_bytes(*head) as usize;
    if len < HEAD || len > bytes.len() {
        return Err(malformed);
    }
    Ok(bytes.split_at(len))
}

/// Reads a record. Every method fails rather than read past the end.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    record: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader of the record at the front of `bytes`; what follows it is ignored.
    pub(crate) fn new(bytes: &'a [u8], record: &'static str) -> Result<Self, CodecError> {
        let (bytes, _) = split(bytes, record)?;
        Ok(Self { bytes, at: HEAD, record })
    }

    pub(crate) fn malformed(&self, what: &'static str) -> CodecError {
        CodecError::Malformed { record: self.record, what, at: self.at }
    }

    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, CodecError> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.malformed(what))?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn number(&mut self, what: &'static str) -> Result<u64, CodecError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            // The tenth byte has room for one bit only.
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.malformed(what))
    }

    /// A number of things that take at least one byte of the record each.
    pub(crate) fn count(&mut self, what: &'static str) -> Result<usize, CodecError> {
        let count = self.number(what)?;
        let room = self.bytes.len() - self.at;
        usize::try_from(count).ok().filter(|count| *count <= room).ok_or_else(|| self.malformed(what))
    }

    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, CodecError> {
        let len = self.count(what)?;
        // In bounds: `count` made sure.
        let text =
            std::str::from_utf8(&self.bytes[self.at..self.at + len]).map_err(|_| self.malformed(what))?;
        self.at += len;
        Ok(text)
    }

    pub(crate) fn end(&self) -> Result<(), CodecError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.malformed("end")) }
    }
}
