//! The two ends of "a type travels once per output": type to number at the sender, number to type at a reader.
//!
//! 1. A [`TypeNumbers`] belongs to one output, a [`TypeCache`] to one input edge; neither outlives it. A number
//!    means something else on another output.
//! 2. Both keep at most [`KEPT`] types. A node that makes up types without end gets slower, not bigger.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_data::ArrayData;
use arrow_schema::DataType;
use dora_protocol::wire_type;

use crate::{CodecError, PayloadOwner, Plan, decode_as, decode_type, encode_type};

/// Types that each end keeps.
const KEPT: usize = 256;

/// How a message names its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// By a number: well-known, or one of the output's type table.
    Id(u32),
    /// By the record itself, because the type table is full.
    Inline(Vec<u8>),
}

/// Numbers that an output has given to its types.
#[derive(Debug, Default)]
pub struct TypeNumbers {
    known: Vec<(DataType, u32)>,
}

impl TypeNumbers {
    /// No types yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of the planned array's type; `intern` puts a new record into the type table and returns its
    /// number, or `None` when the table is full.
    ///
    /// # Errors
    /// [`CodecError::TooDeep`] and [`CodecError::InvalidType`], as [`encode_type`].
    ///
    /// # Real time
    /// After the first message of a type: a comparison of types, no allocation.
    pub fn number(
        &mut self,
        plan: &Plan,
        intern: impl FnOnce(&[u8]) -> Option<u32>,
    ) -> Result<Numbered, CodecError> {
        if let Some(id) = plan.well_known() {
            return Ok(Numbered::Id(id));
        }
        if let Some((_, id)) = self.known.iter().find(|(known, _)| known == plan.data_type()) {
            return Ok(Numbered::Id(*id));
        }
        let record = encode_type(plan.data_type())?;
        let Some(id) = intern(&record) else { return Ok(Numbered::Inline(record)) };
        if self.known.len() < KEPT {
            self.known.push((plan.data_type().clone(), id));
        }
        Ok(Numbered::Id(id))
    }
}

/// Types that an edge has learned.
#[derive(Debug, Default)]
pub struct TypeCache {
    known: BTreeMap<u32, DataType>,
}

impl TypeCache {
    /// No types yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The type behind a number of the output's own; `record` is asked the first time only.
    ///
    /// # Errors
    /// [`CodecError::UnknownType`] when there is no record, and those of [`decode_type`].
    pub fn data_type<'r>(
        &mut self,
        type_id: u32,
        record: impl FnOnce() -> Option<&'r [u8]>,
    ) -> Result<DataType, CodecError> {
        if let Some(known) = self.known.get(&type_id) {
            return Ok(known.clone());
        }
        let data_type = decode_type(record().ok_or(CodecError::UnknownType { type_id })?)?;
        if self.known.len() < KEPT {
            self.known.insert(type_id, data_type.clone());
        }
        Ok(data_type)
    }

    /// As [`crate::decode`], but reads each record once.
    ///
    /// # Errors
    /// Those of [`crate::decode`].
    pub fn decode<'r>(
        &mut self,
        type_id: u32,
        record: impl FnOnce() -> Option<&'r [u8]>,
        layout: &[u8],
        payload: Arc<dyn PayloadOwner>,
    ) -> Result<ArrayData, CodecError> {
        if type_id < wire_type::FIRST_DYNAMIC {
            return crate::decode(type_id, None, layout, payload);
        }
        decode_as(&self.data_type(type_id, record)?, layout, payload)
    }
}
