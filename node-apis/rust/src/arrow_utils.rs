//! Arrays as Arrow IPC streams, for files and for programs that are no nodes.
//!
//! Between nodes nothing is encoded like this: an array travels as it is. A stream holds one batch with one
//! column. Where a stream from elsewhere has several columns they become a struct array. Feature `arrow-files`.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow_buffer::Buffer;
use arrow_ipc::{reader::StreamDecoder, writer::StreamWriter};
use arrow_schema::{Field, Schema};
use dora_arrow_codec::{DoraArray, internal};
use eyre::{Context, bail};

/// Name of the column that an array becomes.
const COLUMN: &str = "data";

/// The bytes of an Arrow IPC stream. Cloning it copies nothing.
#[derive(Clone, Debug)]
pub struct IpcPayload(Buffer);

impl IpcPayload {
    /// Takes the bytes over.
    pub fn from_vec(data: Vec<u8>) -> Self {
        Self(Buffer::from_vec(data))
    }

    /// Copies the bytes.
    pub fn from_slice(data: &[u8]) -> Self {
        Self(Buffer::from(data))
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// No bytes at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// Writes an array as an Arrow IPC stream.
///
/// # Errors
/// When Arrow IPC has no form for the type.
pub fn encode_arrow_ipc(array: &DoraArray) -> eyre::Result<Vec<u8>> {
    let array = internal::array_ref(array).clone();
    let field = Field::new(COLUMN, array.data_type().clone(), true);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![array])?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

/// Reads the first batch of an Arrow IPC stream. Copies the values.
///
/// # Errors
/// When the bytes are no such stream, or it has no batch.
pub fn decode_arrow_ipc(ipc_buf: &[u8]) -> eyre::Result<DoraArray> {
    // Not `StreamReader`: that one allocates as much as damaged bytes ask for.
    decode_arrow_ipc_zero_copy(IpcPayload::from_slice(ipc_buf))
}

/// Reads the first batch of an Arrow IPC stream. The array lies in `payload` where its buffers are aligned there,
/// and keeps it alive.
///
/// # Errors
/// As [`decode_arrow_ipc`].
pub fn decode_arrow_ipc_zero_copy(payload: IpcPayload) -> eyre::Result<DoraArray> {
    let mut decoder = StreamDecoder::new();
    let mut bytes = payload.0;
    while !bytes.is_empty() {
        if let Some(batch) = decoder.decode(&mut bytes).context("not an Arrow IPC stream")? {
            return array_of(&batch);
        }
    }
    bail!("the Arrow IPC stream has no batch")
}

fn array_of(batch: &RecordBatch) -> eyre::Result<DoraArray> {
    let array: ArrayRef = match batch.columns() {
        [] => bail!("the batch of the Arrow IPC stream has no column"),
        [column] => column.clone(),
        _ => Arc::new(StructArray::from(batch.clone())),
    };
    Ok(internal::wrap(array))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IntoArrow;
    use arrow_array::{Float64Array, StringArray};

    #[test]
    fn arrays_survive_the_way_through_a_stream_in_both_readings() {
        for array in
            [vec![1.5, 2.5].into_arrow(), "text".into_arrow(), ().into_arrow(), Vec::<u8>::new().into_arrow()]
        {
            let stream = encode_arrow_ipc(&array).unwrap();
            for read in [
                decode_arrow_ipc(&stream).unwrap(),
                decode_arrow_ipc_zero_copy(IpcPayload::from_slice(&stream)).unwrap(),
            ] {
                assert_eq!(internal::to_data(&read), internal::to_data(&array));
            }
        }
    }

    #[test]
    fn columns_of_a_foreign_stream_become_fields() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("a", Arc::new(Float64Array::from(vec![1.0]))),
            ("b", Arc::new(StringArray::from(vec!["x"]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        let array = decode_arrow_ipc(&writer.into_inner().unwrap()).unwrap();
        assert_eq!(
            (array.len(), array.type_name().starts_with("Struct")),
            (1, true),
            "{}",
            array.type_name()
        );
    }

    #[test]
    fn bytes_that_are_no_stream_are_an_error() {
        let stream = encode_arrow_ipc(&vec![1u8; 100].into_arrow()).unwrap();
        // The batch is there before the mark at the end of the stream.
        let end = 8;
        for cut in 0..stream.len() - end {
            assert!(decode_arrow_ipc(&stream[..cut]).is_err(), "{cut} of {} bytes", stream.len());
        }
        assert!(decode_arrow_ipc(&stream[..stream.len() - end]).is_ok());
        assert!(decode_arrow_ipc(&[]).is_err() && decode_arrow_ipc(b"garbage and more garbage").is_err());
        assert!(decode_arrow_ipc_zero_copy(IpcPayload::from_vec(vec![0xff; 64])).is_err());
    }
}
