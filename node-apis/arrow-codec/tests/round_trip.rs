//! Every array comes out of a slot as it went in, whole or sliced, and a slice takes only what it uses.

mod support;

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float64Array, Int32Array, LargeStringArray, ListArray, StringArray, make_array,
};
use arrow_array::{NullArray, StringViewArray, UInt8Array, new_empty_array};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field};
use dora_arrow_codec::{
    CodecError, MAX_DEPTH, Numbered, PayloadOwner, TypeCache, TypeNumbers, decode, decode_type, encode_type,
    plan,
};
use dora_protocol::wire_type;
use proptest::prelude::*;
use support::{Message, Slot, zoo};

fn there_and_back(data: &ArrayData) -> ArrayRef {
    let message = Message::of(data).unwrap_or_else(|error| panic!("{}: {error}", data.data_type()));
    let back = message.decode(0).unwrap_or_else(|error| panic!("{}: {error}", data.data_type()));
    back.validate_full().unwrap();
    assert_eq!(back.data_type(), data.data_type());
    make_array(back)
}

#[test]
fn every_type_comes_back_equal() {
    for array in zoo() {
        assert_eq!(&there_and_back(&array.to_data()), &array, "{}", array.data_type());
    }
}

#[test]
fn every_slice_of_every_type_comes_back_equal() {
    for array in zoo() {
        for start in 0..=array.len() {
            for len in 0..=array.len() - start {
                let slice = array.slice(start, len);
                assert_eq!(&there_and_back(&slice.to_data()), &slice, "{} {start}+{len}", array.data_type());
            }
        }
    }
}

#[test]
fn data_with_an_offset_comes_back_as_the_slice_it_is() {
    for array in zoo() {
        let data = array.to_data().slice(3, 14).slice(2, 9);
        assert_eq!(&there_and_back(&data), &array.slice(5, 9), "{}", array.data_type());
    }
}

#[test]
fn a_struct_whose_children_were_not_cut_comes_back_as_the_slice_it_is() {
    let array = zoo().into_iter().find(|array| matches!(array.data_type(), DataType::Struct(_))).unwrap();
    let data = array.to_data();
    let nulls = data.nulls().map(|nulls| nulls.slice(5, 9));
    let shifted = data.into_builder().offset(5).len(9).nulls(nulls).build().unwrap();
    assert_eq!(&there_and_back(&shifted), &array.slice(5, 9));
}

#[test]
fn empty_arrays_of_every_type_come_back_empty() {
    for array in zoo() {
        let empty = new_empty_array(array.data_type());
        assert_eq!(&there_and_back(&empty.to_data()), &empty, "{}", array.data_type());
    }
}

#[test]
fn a_misaligned_payload_is_read_all_the_same() {
    for array in zoo() {
        let back = Message::of(&array.to_data()).unwrap().decode(1).unwrap();
        assert_eq!(&make_array(back), &array);
    }
}

proptest! {
    #[test]
    fn random_lists_of_text_come_back_equal(
        rows in proptest::collection::vec(
            proptest::option::of(proptest::collection::vec(proptest::option::of(any::<String>()), 0..4)), 0..12),
        start in any::<prop::sample::Index>(),
        len in any::<prop::sample::Index>(),
    ) {
        let mut builder = arrow_array::builder::ListBuilder::new(arrow_array::builder::StringViewBuilder::new());
        rows.into_iter().for_each(|row| builder.append_option(row));
        let array: ListArray = builder.finish();
        let start = start.index(array.len() + 1);
        let slice = array.slice(start, len.index(array.len() - start + 1));
        let back = there_and_back(&slice.to_data());
        prop_assert_eq!(back.as_ref(), &slice as &dyn Array);
    }
}

#[test]
fn numbers_without_nulls_are_just_their_values() {
    let array = Float64Array::from(vec![1.0, 2.0, 3.0, 4.0]).slice(1, 2);
    let message = Message::of(&array.to_data()).unwrap();
    assert_eq!(message.type_id, wire_type::FLOAT64);
    assert_eq!(message.payload, [2.0f64.to_le_bytes(), 3.0f64.to_le_bytes()].concat());
    assert!(message.layout.is_empty());
}

#[test]
fn numbers_with_nulls_are_not_the_short_form() {
    let array = Int32Array::from(vec![Some(1), None]);
    assert!(Message::of(&array.to_data()).unwrap().type_id >= wire_type::FIRST_DYNAMIC);
    // The slice has no null left.
    assert_eq!(Message::of(&array.slice(0, 1).to_data()).unwrap().type_id, wire_type::INT32);
}

#[test]
fn one_string_is_just_its_bytes() {
    let array = StringArray::from(vec!["left", "größe", "right"]).slice(1, 1);
    let message = Message::of(&array.to_data()).unwrap();
    assert_eq!((message.type_id, message.payload.as_slice()), (wire_type::UTF8_ONE, "größe".as_bytes()));
    assert!(message.layout.is_empty());
}

#[test]
fn nothing_is_nothing() {
    let message = Message::of(&NullArray::new(0).to_data()).unwrap();
    assert_eq!((message.type_id, message.payload.len(), message.layout.len()), (wire_type::NULL, 0, 0));
}

#[test]
fn numbers_are_read_in_place() {
    let mut slot = Slot::new(32, 0);
    slot.bytes_mut().fill(0);
    let slot = Arc::new(slot);
    let array = decode(wire_type::FLOAT64, None, &[], slot.clone()).unwrap();
    assert_eq!(array.buffers()[0].as_ptr(), slot.bytes().as_ptr());
}

#[test]
fn the_slot_is_held_until_the_last_child_is_dropped() {
    let lists = zoo().into_iter().find(|array| matches!(array.data_type(), DataType::LargeList(_))).unwrap();
    let message = Message::of(&lists.to_data()).unwrap();
    let mut slot = Slot::new(message.payload.len(), 0);
    slot.bytes_mut().copy_from_slice(&message.payload);
    let slot = Arc::new(slot);
    let watch = Arc::downgrade(&slot);
    let array = decode(message.type_id, Some(&message.record), &message.layout, slot).unwrap();
    let texts = array.child_data()[0].clone();
    drop(array);
    assert!(watch.upgrade().is_some());
    drop(texts);
    assert!(watch.upgrade().is_none());
}

#[test]
fn a_slice_takes_only_the_values_that_it_uses() {
    let texts = LargeStringArray::from_iter_values((0..1000).map(|i| format!("{i:0>1000}")));
    let views = StringViewArray::from_iter_values((0..1000).map(|i| format!("{i:0>1000}")));
    let mut lists = arrow_array::builder::ListBuilder::new(arrow_array::builder::Int64Builder::new());
    (0..1000).for_each(|i| lists.append_value((0..100).map(|k| Some(i * k))));
    let arrays: [ArrayRef; 3] = [Arc::new(texts), Arc::new(views), Arc::new(lists.finish())];
    for array in arrays {
        let payload = plan(&array.slice(500, 3).to_data()).unwrap().payload_len();
        assert!(payload < 4096, "{}: {payload}", array.data_type());
    }
}

#[test]
fn buffers_start_at_multiples_of_64_and_gaps_are_zero() {
    let message = Message::of(&StringArray::from(vec!["a", "b"]).to_data()).unwrap();
    // Three offsets of 4 bytes, a gap, two letters.
    assert_eq!(message.payload.len(), 66);
    assert_eq!(&message.payload[12..64], [0; 52]);
    assert_eq!(&message.payload[64..], b"ab");
}

#[test]
fn equal_types_have_equal_records_and_small_ones() {
    for array in zoo() {
        let record = encode_type(array.data_type()).unwrap();
        assert_eq!(&decode_type(&record).unwrap(), array.data_type());
        assert_eq!(encode_type(&array.data_type().clone()).unwrap(), record);
        assert!(record.len() < 400);
    }
}

fn nested(levels: usize) -> DataType {
    (1..levels).fold(DataType::Int8, |inner, _| DataType::List(Arc::new(Field::new("item", inner, true))))
}

#[test]
fn a_type_that_is_nested_too_deep_is_refused() {
    assert!(encode_type(&nested(MAX_DEPTH)).is_ok());
    assert!(matches!(encode_type(&nested(MAX_DEPTH + 1)), Err(CodecError::TooDeep { .. })));
    let deep = new_empty_array(&nested(MAX_DEPTH + 1)).to_data();
    assert!(matches!(plan(&deep), Err(CodecError::TooDeep { .. })));
}

#[test]
fn impossible_types_are_refused() {
    let field = |data_type, nullable| Arc::new(Field::new("f", data_type, nullable));
    let impossible = [
        DataType::FixedSizeBinary(-1),
        DataType::Time32(arrow_schema::TimeUnit::Nanosecond),
        DataType::Decimal32(10, 0),
        DataType::Dictionary(Box::new(DataType::Utf8), Box::new(DataType::Utf8)),
        DataType::RunEndEncoded(field(DataType::Int8, false), field(DataType::Utf8, true)),
        DataType::Map(field(DataType::Int8, false), false),
    ];
    for data_type in impossible {
        assert!(matches!(encode_type(&data_type), Err(CodecError::InvalidType { .. })), "{data_type}");
    }
}

#[test]
fn a_record_is_asked_for_once() {
    let array = StringArray::from(vec!["a", "b"]);
    let data = array.to_data();
    let plan = plan(&data).unwrap();
    let (mut numbers, mut cache) = (TypeNumbers::new(), TypeCache::new());
    let mut table = Vec::new();
    let mut number = |numbers: &mut TypeNumbers| {
        numbers.number(&plan, |record| {
            table.push(record.to_vec());
            Some(70)
        })
    };
    assert_eq!(number(&mut numbers).unwrap(), Numbered::Id(70));
    assert_eq!(number(&mut numbers).unwrap(), Numbered::Id(70));
    assert_eq!(table.len(), 1);

    let mut asked = 0;
    for _ in 0..2 {
        let record = || {
            asked += 1;
            table.first().map(Vec::as_slice)
        };
        let mut slot = Slot::new(plan.payload_len(), 0);
        plan.write(slot.bytes_mut());
        let back = cache.decode(70, record, plan.layout(), Arc::new(slot)).unwrap();
        assert_eq!(StringArray::from(back), array);
    }
    assert_eq!(asked, 1);
}

#[test]
fn a_full_type_table_sends_the_record_along() {
    let plan = plan(&StringArray::from(vec!["a", "b"]).to_data()).unwrap();
    let Ok(Numbered::Inline(record)) = TypeNumbers::new().number(&plan, |_| None) else {
        panic!("no table, no number");
    };
    assert_eq!(decode_type(&record).unwrap(), DataType::Utf8);
}

#[test]
fn numbers_of_an_array_do_not_ask_for_a_number() {
    let plan = plan(&UInt8Array::from(vec![1]).to_data()).unwrap();
    let number = TypeNumbers::new().number(&plan, |_| panic!("well-known"));
    assert_eq!(number.unwrap(), Numbered::Id(wire_type::UINT8));
}
