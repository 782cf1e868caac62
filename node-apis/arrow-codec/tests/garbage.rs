//! Whatever the sender wrote: an error or a valid array, never a panic.

mod support;

use std::sync::{Arc, LazyLock};

use arrow_array::{Array, StringArray, make_array};
use arrow_data::ArrayData;
use dora_arrow_codec::{CodecError, decode, decode_as, decode_type, encode_type};
use dora_protocol::wire_type;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use support::{Message, Slot, zoo};

static MESSAGES: LazyLock<Vec<Message>> =
    LazyLock::new(|| zoo().iter().map(|array| Message::of(&array.to_data()).unwrap()).collect());

/// Uses an array that was accepted in all the ways that trust it.
fn use_it(data: ArrayData) {
    data.validate_full().expect("what was accepted is valid");
    let again = Message::of(&data).expect("what was accepted can be sent on");
    assert!(again.decode(0).is_ok());
    let array = make_array(data);
    assert!(!format!("{array:?}").is_empty());
    assert!(array.logical_null_count() <= array.len());
}

fn mutate(bytes: &mut [u8], changes: &[(Index, u8)]) {
    for (at, byte) in changes {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<(Index, u8)>> {
    // Small numbers and the edges of signs are what lengths and offsets break on.
    let byte = prop_oneof![any::<u8>(), 0..8u8, Just(0x7f), Just(0x80), Just(0xff)];
    vec((any::<Index>(), byte), 0..4)
}

/// `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(5_000), failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_changed_message_is_refused_or_valid(
        which in any::<Index>(), record in changes(), layout in changes(), payload in changes(), shift in 0..2usize,
    ) {
        let mut message = which.get(&MESSAGES).clone();
        mutate(&mut message.record, &record);
        mutate(&mut message.layout, &layout);
        mutate(&mut message.payload, &payload);
        if let Ok(data) = message.decode(shift) {
            use_it(data);
        }
    }

    #[test]
    fn a_layout_read_with_the_wrong_type_is_refused_or_valid(one in any::<Index>(), other in any::<Index>()) {
        let mut message = one.get(&MESSAGES).clone();
        message.record = other.get(&MESSAGES).record.clone();
        if let Ok(data) = message.decode(0) {
            use_it(data);
        }
    }

    #[test]
    fn a_cut_payload_is_refused_or_valid(which in any::<Index>(), len in any::<Index>()) {
        let mut message = which.get(&MESSAGES).clone();
        message.payload.truncate(len.index(message.payload.len() + 1));
        if let Ok(data) = message.decode(0) {
            use_it(data);
        }
    }

    #[test]
    fn random_records_are_refused_or_encode_again(body in vec(any::<u8>(), 0..40), tag in 0..90u8) {
        let mut record = vec![0, 0, 0, 0, 1, tag];
        record.extend(body);
        record[0] = record.len() as u8;
        if let Ok(data_type) = decode_type(&record) {
            let again = encode_type(&data_type).unwrap();
            prop_assert_eq!(decode_type(&again).unwrap(), data_type);
        }
    }

    #[test]
    fn random_bytes_of_every_type_are_refused_or_valid(
        which in any::<Index>(), layout in vec(0..30u8, 0..30), payload in vec(any::<u8>(), 0..300),
    ) {
        let data_type = which.get(&zoo()).data_type().clone();
        let mut record = vec![0; 4];
        record.extend(layout);
        record[0] = record.len() as u8;
        let mut slot = Slot::new(payload.len(), 0);
        slot.bytes_mut().copy_from_slice(&payload);
        if let Ok(data) = decode_as(&data_type, &record, Arc::new(slot)) {
            use_it(data);
        }
    }
}

#[test]
fn an_unknown_number_is_refused() {
    for type_id in [wire_type::UTF8_ONE + 1, wire_type::FIRST_DYNAMIC, u32::MAX] {
        let error = decode(type_id, None, &[], Arc::new(Slot::new(8, 0))).unwrap_err();
        assert!(matches!(error, CodecError::UnknownType { .. }), "{error}");
    }
}

#[test]
fn half_a_number_is_refused() {
    let error = decode(wire_type::FLOAT64, None, &[], Arc::new(Slot::new(12, 0))).unwrap_err();
    assert_eq!(error.to_string(), "a payload of 12 bytes cannot be Float64 values");
}

#[test]
fn text_that_is_no_text_is_refused() {
    let mut slot = Slot::new(2, 0);
    slot.bytes_mut().copy_from_slice(&[b'a', 0xff]);
    let error = decode(wire_type::UTF8_ONE, None, &[], Arc::new(slot)).unwrap_err();
    assert!(matches!(error, CodecError::Values(_)), "{error}");
}

#[test]
fn a_first_offset_out_of_bounds_is_refused_though_the_others_are_fine() {
    let mut message = Message::of(&StringArray::from(vec!["ab", "cd"]).to_data()).unwrap();
    message.payload[..4].copy_from_slice(&255i32.to_le_bytes());
    assert!(matches!(message.decode(0), Err(CodecError::Inconsistent { .. })));
}

#[test]
fn a_length_without_end_reserves_nothing() {
    // A list of nulls of any length costs its sender nothing, so it must cost the reader nothing either.
    let record = encode_type(&arrow_schema::DataType::Null).unwrap();
    let layout = [10, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    let array = decode(64, Some(&record), &layout, Arc::new(Slot::new(0, 0))).unwrap();
    assert_eq!(array.len(), 0xffff_ffff);
    let layout = [14, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
    let error = decode(64, Some(&record), &layout, Arc::new(Slot::new(0, 0))).unwrap_err();
    assert!(matches!(error, CodecError::TooLong { .. }), "{error}");
}
