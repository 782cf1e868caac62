//! Arrays that came in over a foreign interface may not be what they claim: sending one fails, it does not panic.
#![expect(unsafe_code, reason = "only unchecked code can make an array that is wrong")]

mod support;

use arrow_array::{Array, StringArray};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use dora_arrow_codec::{CodecError, plan};
use proptest::prelude::*;
use proptest::sample::Index;
use support::{Message, zoo};

/// The same array with other buffers and another window.
fn forged(data: &ArrayData, buffers: Vec<Buffer>, offset: usize, len: usize) -> ArrayData {
    let nulls = data.nulls().filter(|nulls| nulls.len() == len).cloned();
    let builder = ArrayData::builder(data.data_type().clone()).offset(offset).len(len).nulls(nulls);
    let builder = builder.buffers(buffers).child_data(data.child_data().to_vec());
    // SAFETY: not upheld on purpose. Only `plan` sees the array: it goes through buffers by checked ranges and never
    // builds a typed array of it.
    unsafe { builder.build_unchecked() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn forged_arrays_are_refused_or_sent(
        which in any::<Index>(), cut in any::<Index>(), at in any::<Index>(), byte in any::<u8>(),
        offset in 0..30usize, len in 0..40usize,
    ) {
        let data = which.get(&zoo()).to_data();
        let forge = |buffer: &Buffer| {
            let mut bytes = buffer.to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut.index(bytes.len() + 1) / 4);
            Buffer::from(bytes)
        };
        let buffers = data.buffers().iter().map(forge).collect();
        if let Ok(message) = Message::of(&forged(&data, buffers, offset, len)) {
            // Readers check for themselves.
            if let Ok(back) = message.decode(0) {
                prop_assert!(back.validate_full().is_ok());
            }
        }
    }
}

#[test]
fn a_missing_buffer_is_named() {
    let data = StringArray::from(vec!["a", "b"]).to_data();
    let error = plan(&forged(&data, Vec::new(), 0, 2)).unwrap_err();
    assert_eq!(error.to_string(), "the Utf8 array is inconsistent: a buffer is missing");
}

#[test]
fn a_short_buffer_is_refused_in_the_short_form_too() {
    let data = arrow_array::Float64Array::from(vec![1.0, 2.0]).to_data();
    let error = plan(&forged(&data, data.buffers().to_vec(), 1, 2)).unwrap_err();
    assert!(matches!(error, CodecError::Inconsistent { .. }));
    assert!(plan(&forged(&data, data.buffers().to_vec(), usize::MAX, 1)).is_err());
}
