//! The type table of an arena: records that messages refer to by number.
//!
//! Append-only. The sender writes a record, then raises the count; whoever sees the count sees the record.
#![expect(unsafe_code, reason = "writes records into shared memory")]

use std::sync::Arc;

use crate::{OpenError, layout::arena as at, segment::Mapping, sync::Ordering};

/// The first number that a table hands out; smaller ones are well known.
pub(crate) const FIRST_DYNAMIC: u32 = 64;
/// Longest record, in bytes.
pub(crate) const MAX_RECORD: usize = 4096;

/// The sender's end.
#[derive(Debug)]
pub(crate) struct TypeTable {
    map: Arc<Mapping>,
    /// Our copy: the number of a record is its position.
    known: Vec<Box<[u8]>>,
    used: u64,
}

impl TypeTable {
    pub(crate) fn new(map: Arc<Mapping>) -> Self {
        Self { map, known: Vec::new(), used: at::TYPE_DATA }
    }

    /// Number of a record, written to the table if it is new. `None` when it is too long or the table is full.
    pub(crate) fn intern(&mut self, record: &[u8]) -> Option<u32> {
        if let Some(i) = self.known.iter().position(|k| **k == *record) {
            return Some(FIRST_DYNAMIC + i as u32);
        }
        let (index, len) = (self.known.len() as u64, record.len() as u64);
        if record.len() > MAX_RECORD || index >= at::TYPE_MAX || self.used + len > at::TYPE_END {
            return None;
        }
        self.append(index, record).ok()?;
        self.used += len;
        self.known.push(record.into());
        Some(FIRST_DYNAMIC + index as u32)
    }

    fn append(&self, index: u64, record: &[u8]) -> Result<(), OpenError> {
        let len = record.len() as u64;
        let Some(to) = self.map.bytes(self.used, len) else {
            return Err(OpenError::Foreign { expected: "an arena", why: "the type table is cut off" });
        };
        // SAFETY: inside the mapping, and no reader looks there before the count below tells it to.
        unsafe { core::ptr::copy_nonoverlapping(record.as_ptr(), to.as_ptr(), record.len()) };
        self.map.u64(at::TYPE_DIR + index * 8)?.store(self.used | len << 32, Ordering::Relaxed);
        // Release, pairs with the Acquire in `Arena::type_record`.
        self.map.u32(at::TYPE_COUNT)?.store(index as u32 + 1, Ordering::Release);
        Ok(())
    }
}
