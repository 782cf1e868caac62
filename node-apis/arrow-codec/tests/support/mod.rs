//! Arrays of every type, and the way of an array through a slot.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::*;
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{IntervalDayTime, IntervalMonthDayNano, OffsetBuffer, ScalarBuffer, i256};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, Fields, UnionFields};
use dora_arrow_codec::{CodecError, PayloadOwner, TypeRef, decode, plan};
use half::f16;

/// Memory that starts at a multiple of 64, plus `shift`.
pub(crate) struct Slot {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Slot {
    pub(crate) fn new(len: usize, shift: usize) -> Self {
        // Not zero: what a slot held before must not matter.
        let memory = vec![0xAA; len + 64 + shift];
        let start = memory.as_ptr().align_offset(64) + shift;
        Self { memory, start, len }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.len]
    }
}

impl PayloadOwner for Slot {
    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..][..self.len]
    }
}

/// A message as it lies in shared memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) type_id: u32,
    pub(crate) record: Vec<u8>,
    pub(crate) layout: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn of(array: &ArrayData) -> Result<Self, CodecError> {
        let plan = plan(array)?;
        let mut slot = Slot::new(plan.payload_len(), 0);
        plan.write(slot.bytes_mut());
        let (type_id, record) = match plan.type_ref()? {
            TypeRef::WellKnown(id) => (id, Vec::new()),
            TypeRef::Record(record) => (64, record),
        };
        Ok(Self { type_id, record, layout: plan.layout().to_vec(), payload: slot.bytes().to_vec() })
    }

    pub(crate) fn decode(&self, shift: usize) -> Result<ArrayData, CodecError> {
        let mut slot = Slot::new(self.payload.len(), shift);
        slot.bytes_mut().copy_from_slice(&self.payload);
        decode(self.type_id, Some(&self.record), &self.layout, Arc::new(slot))
    }
}

fn list_of<B: ArrayBuilder>(values: B, fill: impl Fn(&mut B, usize)) -> ListBuilder<B> {
    let mut builder = ListBuilder::new(values);
    for i in 0..20 {
        (0..i % 4).for_each(|k| fill(builder.values(), i * 10 + k));
        builder.append(i % 5 != 2);
    }
    builder
}

fn primitives() -> Vec<ArrayRef> {
    fn both<P: ArrowPrimitiveType>(value: impl Fn(usize) -> P::Native) -> [ArrayRef; 2] {
        let full: PrimitiveArray<P> = (0..20).map(|i| Some(value(i))).collect();
        let holes: PrimitiveArray<P> = (0..20).map(|i| (i % 3 != 1).then(|| value(i))).collect();
        [Arc::new(full), Arc::new(holes)]
    }
    [
        both::<Int8Type>(|i| i as i8 - 10),
        both::<Int16Type>(|i| i as i16 - 10),
        both::<Int32Type>(|i| i as i32 - 10),
        both::<Int64Type>(|i| i as i64 - 10),
        both::<UInt8Type>(|i| i as u8),
        both::<UInt16Type>(|i| i as u16),
        both::<UInt32Type>(|i| i as u32),
        both::<UInt64Type>(|i| i as u64),
        both::<Float16Type>(|i| f16::from_f64(i as f64 / 4.0)),
        both::<Float32Type>(|i| i as f32 / 4.0),
        both::<Float64Type>(|i| i as f64 / 4.0),
        both::<Date32Type>(|i| i as i32),
        both::<Date64Type>(|i| i as i64 * 86_400_000),
        both::<Time32SecondType>(|i| i as i32),
        both::<Time32MillisecondType>(|i| i as i32),
        both::<Time64MicrosecondType>(|i| i as i64),
        both::<Time64NanosecondType>(|i| i as i64),
        both::<TimestampSecondType>(|i| i as i64),
        both::<TimestampMillisecondType>(|i| i as i64),
        both::<TimestampMicrosecondType>(|i| i as i64),
        both::<TimestampNanosecondType>(|i| i as i64),
        both::<DurationSecondType>(|i| i as i64),
        both::<DurationMillisecondType>(|i| i as i64),
        both::<DurationMicrosecondType>(|i| i as i64),
        both::<DurationNanosecondType>(|i| i as i64),
        both::<IntervalYearMonthType>(|i| i as i32),
        both::<IntervalDayTimeType>(|i| IntervalDayTime::new(i as i32, 7)),
        both::<IntervalMonthDayNanoType>(|i| IntervalMonthDayNano::new(i as i32, 7, 8)),
        both::<Decimal32Type>(|i| i as i32),
        both::<Decimal64Type>(|i| i as i64),
        both::<Decimal128Type>(|i| i as i128),
        both::<Decimal256Type>(|i| i256::from_i128(i as i128)),
    ]
    .concat()
}

fn bytes() -> Vec<ArrayRef> {
    let texts = |i: usize| (i % 4 != 1).then(|| "äbc".repeat(i % 7));
    let texts: Vec<Option<String>> = (0..20).map(texts).collect();
    let blobs = || texts.iter().map(|text| text.as_ref().map(|text| text.as_bytes()));
    let mut fixed = FixedSizeBinaryBuilder::new(3);
    (0..20u8)
        .for_each(|i| if i % 3 == 0 { fixed.append_null() } else { fixed.append_value([i; 3]).unwrap() });
    // Small blocks, so that there are several data buffers.
    let mut views = StringViewBuilder::new().with_fixed_block_size(40);
    texts.iter().for_each(|text| views.append_option(text.as_ref()));
    let mut byte_views = BinaryViewBuilder::new().with_fixed_block_size(40);
    blobs().for_each(|blob| byte_views.append_option(blob));
    vec![
        Arc::new(StringArray::from(texts.clone())),
        Arc::new(LargeStringArray::from(texts.clone())),
        Arc::new(views.finish()),
        Arc::new(blobs().collect::<BinaryArray>()),
        Arc::new(blobs().collect::<LargeBinaryArray>()),
        Arc::new(byte_views.finish()),
        Arc::new(fixed.finish()),
        Arc::new(FixedSizeBinaryArray::new(0, Vec::<u8>::new().into(), Some(vec![true; 20].into()))),
        Arc::new((0..20).map(|i| (i % 3 != 0).then_some(i % 2 == 0)).collect::<BooleanArray>()),
        Arc::new((0..20).map(|i| Some(i % 3 == 0)).collect::<BooleanArray>()),
        Arc::new(NullArray::new(20)),
    ]
}

fn lists() -> Vec<ArrayRef> {
    let mut large = LargeListBuilder::new(StringBuilder::new());
    let mut fixed = FixedSizeListBuilder::new(BooleanBuilder::new(), 3);
    let mut views = ListViewBuilder::new(Float32Builder::new());
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for i in 0..20usize {
        (0..i % 3).for_each(|k| large.values().append_value(format!("{i}-{k}")));
        large.append(i % 4 != 3);
        (0..3).for_each(|k| fixed.values().append_value((i + k) % 2 == 0));
        fixed.append(i % 4 != 1);
        (0..i % 3).for_each(|k| views.values().append_value((i + k) as f32));
        views.append(i % 4 != 3);
        for k in 0..i % 3 {
            maps.keys().append_value(format!("k{k}"));
            maps.values().append_option((k > 0).then_some(i as i32));
        }
        maps.append(i % 6 != 5).unwrap();
    }
    let item = Arc::new(Field::new("x", DataType::Int64, false));
    let numbers = Arc::new(Int64Array::from_iter_values(0..12));
    // Views that go back, overlap, and are empty far away.
    let offsets: ScalarBuffer<i64> = (0..20).map(|i| if i == 3 { 12 } else { (i * 7) % 9 }).collect();
    let sizes: ScalarBuffer<i64> = (0..20).map(|i| if i == 3 { 0 } else { i % 4 }).collect();
    let nested = list_of(ListBuilder::new(Int16Builder::new()), |inner, i| {
        (0..i % 3).for_each(|k| inner.values().append_option((k != 1).then_some(k as i16)));
        inner.append(i % 7 != 0);
    })
    .finish();
    vec![
        Arc::new(
            list_of(UInt8Builder::new(), |values, i| values.append_option((i % 3 != 0).then_some(i as u8)))
                .finish(),
        ),
        Arc::new(nested),
        Arc::new(large.finish()),
        Arc::new(fixed.finish()),
        Arc::new(views.finish()),
        Arc::new(LargeListViewArray::new(item, offsets, sizes, numbers, None)),
        Arc::new(maps.finish()),
    ]
}

fn combined() -> Vec<ArrayRef> {
    let [numbers, texts, lists] = [&primitives()[1], &bytes()[0], &lists()[0]].map(Arc::clone);
    let units = HashMap::from([("unit".to_owned(), "m".to_owned()), ("frame".to_owned(), "map".to_owned())]);
    let fields = Fields::from(vec![
        Field::new("number", numbers.data_type().clone(), true).with_metadata(units),
        Field::new("text", texts.data_type().clone(), true),
        Field::new("list", lists.data_type().clone(), true),
    ]);
    let nulls = (0..20).map(|i| i % 6 != 4).collect::<Vec<_>>();
    let record =
        StructArray::new(fields, vec![numbers.clone(), texts.clone(), lists.clone()], Some(nulls.into()));
    let outer = Fields::from(vec![Field::new("inner", record.data_type().clone(), true)]);
    let outer = StructArray::new(outer, vec![Arc::new(record.clone())], None);
    let offsets = OffsetBuffer::from_lengths((0..20).map(|i| i % 2));
    let item = Arc::new(Field::new("item", record.data_type().clone(), true));
    let of_records = ListArray::new(item, offsets, Arc::new(record.clone()), None);

    let words: StringDictionaryType =
        (0..20).map(|i| (i % 4 != 0).then_some(["a", "bc", "def"][i % 3])).collect();
    let ids = || (0..20).map(|i| [0i8, 5, 7][i % 3]);
    let union = UnionFields::try_new(
        [0i8, 5, 7],
        [
            Field::new("n", numbers.data_type().clone(), true),
            Field::new("t", texts.data_type().clone(), true),
            Field::new("l", lists.data_type().clone(), true),
        ],
    )
    .unwrap();
    let children = vec![numbers, texts.clone(), lists];
    let sparse = UnionArray::try_new(union.clone(), ids().collect(), None, children.clone()).unwrap();
    let dense = (0..20).map(|i| 19 - i).collect::<ScalarBuffer<i32>>();
    let dense = UnionArray::try_new(union, ids().collect(), Some(dense), children).unwrap();

    let run_ends = Int32Array::from(vec![3, 4, 9, 15, 20]);
    let runs = RunArray::<Int32Type>::try_new(&run_ends, &texts.slice(2, 5)).unwrap();
    let short =
        RunArray::<Int16Type>::try_new(&Int16Array::from(vec![20]), &Int8Array::from(vec![1])).unwrap();
    let zoned = TimestampMicrosecondArray::from_iter_values(0..20).with_timezone("Europe/Berlin");
    vec![
        Arc::new(record),
        Arc::new(outer),
        Arc::new(of_records),
        Arc::new(StructArray::new_empty_fields(20, None)),
        Arc::new(words),
        Arc::new(sparse),
        Arc::new(dense),
        Arc::new(runs),
        Arc::new(short),
        Arc::new(zoned),
    ]
}

type StringDictionaryType = DictionaryArray<UInt16Type>;

/// One array of 20 elements of every type, and some combinations.
pub(crate) fn zoo() -> Vec<ArrayRef> {
    [primitives(), bytes(), lists(), combined()].concat()
}
