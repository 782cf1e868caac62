//! One array of every type that Arrow has, with nulls where the type allows them.

use std::{collections::HashMap, sync::Arc};

use dora_node_api::arrow_v59::{
    array::{
        Array, ArrayRef, BinaryViewArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray,
        FixedSizeListArray, GenericBinaryArray, GenericListArray, GenericListViewArray, GenericStringArray,
        MapArray, NullArray, OffsetSizeTrait, PrimitiveArray, RunArray, StringArray, StringViewArray,
        StructArray, UnionArray,
    },
    buffer::{NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::*,
};

/// Elements of every array.
pub const LEN: usize = 8;

/// A type and an array of it.
#[derive(Clone, Debug)]
pub struct Family {
    /// What the test calls it.
    pub name: &'static str,
    /// [`LEN`] elements.
    pub array: ArrayRef,
    /// Has pyarrow this type?
    pub in_python: bool,
}

fn numbers<T: ArrowPrimitiveType>(number: impl Fn(usize) -> T::Native) -> PrimitiveArray<T> {
    (0..LEN).map(|i| (i % 3 != 1).then(|| number(i))).collect()
}

macro_rules! integers {
    ($($name:literal $t:ty),*) => {
        [$(($name, Arc::new(numbers::<$t>(|i| {
            <$t as ArrowPrimitiveType>::Native::MAX - i as <$t as ArrowPrimitiveType>::Native
        })) as ArrayRef)),*]
    };
}

fn plain() -> Vec<(&'static str, ArrayRef)> {
    type F16 = <Float16Type as ArrowPrimitiveType>::Native;
    let mut families: Vec<(&'static str, ArrayRef)> = integers!(
        "int8" Int8Type, "int16" Int16Type, "int32" Int32Type, "int64" Int64Type,
        "uint8" UInt8Type, "uint16" UInt16Type, "uint32" UInt32Type, "uint64" UInt64Type,
        "date32" Date32Type, "date64" Date64Type, "duration[s]" DurationSecondType, "duration[ns]" DurationNanosecondType,
        "timestamp[s]" TimestampSecondType, "timestamp[ms]" TimestampMillisecondType, "timestamp[us]" TimestampMicrosecondType
    )
    .into();
    let zoned = numbers::<TimestampNanosecondType>(|i| i as i64).with_timezone("Europe/Berlin");
    let decimal = numbers::<Decimal128Type>(|i| i as i128 - 5).with_precision_and_scale(38, 4);
    let small = numbers::<Decimal32Type>(|i| i as i32 - 5).with_precision_and_scale(9, -2);
    families.extend([
        ("null", Arc::new(NullArray::new(LEN)) as ArrayRef),
        ("bool", Arc::new((0..LEN).map(|i| (i != 4).then_some(i % 2 == 0)).collect::<BooleanArray>())),
        ("float16", Arc::new(numbers::<Float16Type>(|i| F16::from_f32(i as f32 / 2.0)))),
        ("float32", Arc::new(numbers::<Float32Type>(|i| i as f32 * -0.1))),
        ("float64", Arc::new(numbers::<Float64Type>(|i| f64::MAX / (i + 1) as f64))),
        ("time32[s]", Arc::new(numbers::<Time32SecondType>(|i| i as i32))),
        ("time64[ns]", Arc::new(numbers::<Time64NanosecondType>(|i| i as i64))),
        ("timestamp[ns, zone]", Arc::new(zoned)),
        ("decimal128", Arc::new(decimal.expect("38 digits fit"))),
        ("decimal32", Arc::new(small.expect("9 digits fit"))),
        ("decimal256", Arc::new(numbers::<Decimal256Type>(|i| (i as i128 - 5).into_i256()))),
        (
            "interval[month, day, ns]",
            Arc::new(numbers::<IntervalMonthDayNanoType>(|i| {
                IntervalMonthDayNanoType::make_value(i as i32, -1, 7)
            })),
        ),
    ]);
    families
}

/// What the two widest integers lack.
trait IntoI256 {
    fn into_i256(self) -> i256;
}

impl IntoI256 for i128 {
    fn into_i256(self) -> i256 {
        i256::from_i128(self)
    }
}

fn texts() -> Vec<Option<String>> {
    // Short ones, long ones (which views keep elsewhere), and none.
    (0..LEN).map(|i| (i != 2).then(|| "grüß ".repeat(i) + &i.to_string())).collect()
}

fn bytes<O: OffsetSizeTrait>() -> GenericBinaryArray<O> {
    texts().iter().map(|text| text.as_ref().map(|text| text.as_bytes())).collect()
}

fn text() -> Vec<(&'static str, ArrayRef)> {
    let fixed = texts().into_iter().map(|text| text.map(|text| [text.len() as u8; 5]));
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed, 5).expect("five bytes each");
    vec![
        ("utf8", Arc::new(texts().into_iter().collect::<GenericStringArray<i32>>())),
        ("large_utf8", Arc::new(texts().into_iter().collect::<GenericStringArray<i64>>())),
        ("utf8_view", Arc::new(texts().into_iter().collect::<StringViewArray>())),
        ("binary", Arc::new(bytes::<i32>())),
        ("large_binary", Arc::new(bytes::<i64>())),
        (
            "binary_view",
            Arc::new(texts().iter().map(|t| t.as_ref().map(|t| t.as_bytes())).collect::<BinaryViewArray>()),
        ),
        ("fixed_size_binary", Arc::new(fixed)),
    ]
}

fn holes() -> NullBuffer {
    (0..LEN).map(|i| i != 3).collect()
}

/// Items of lists: `0, null, 2, …`.
fn items(count: usize) -> (FieldRef, ArrayRef) {
    let values: PrimitiveArray<Int32Type> = (0..count).map(|i| (i % 4 != 1).then_some(i as i32)).collect();
    (Arc::new(Field::new("item", DataType::Int32, true)), Arc::new(values))
}

fn list<O: OffsetSizeTrait>() -> GenericListArray<O> {
    let (field, values) = items((0..LEN).sum());
    GenericListArray::new(field, OffsetBuffer::from_lengths(0..LEN), values, Some(holes()))
}

fn list_view<O: OffsetSizeTrait>() -> GenericListViewArray<O> {
    let (field, values) = items(2 * LEN);
    // They overlap, and go backwards.
    let number = |n: usize| O::from_usize(n).expect("a small number");
    let offsets: ScalarBuffer<O> = (0..LEN).rev().map(number).collect();
    let sizes: ScalarBuffer<O> = (0..LEN).map(|i| number(i % 3)).collect();
    GenericListViewArray::new(field, offsets, sizes, values, Some(holes()))
}

fn structure() -> StructArray {
    let note = HashMap::from([("unit".to_owned(), "m/s".to_owned())]);
    let speed = Field::new("speed", DataType::Float64, true).with_metadata(note);
    let name = Field::new("name", DataType::Utf8, true);
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(numbers::<Float64Type>(|i| i as f64)),
        Arc::new(texts().into_iter().collect::<StringArray>()),
    ];
    StructArray::new(vec![speed, name].into(), arrays, Some(holes()))
}

fn map() -> MapArray {
    let keys: StringArray = (0..2 * LEN).map(|i| Some(format!("key {i}"))).collect();
    let (_, values) = items(2 * LEN);
    let fields = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int32, true)];
    let entries = StructArray::new(fields.into(), vec![Arc::new(keys), values], None);
    let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    MapArray::new(field, OffsetBuffer::from_lengths([2; LEN]), entries, Some(holes()), false)
}

fn union(dense: bool) -> UnionArray {
    let fields = vec![Field::new("number", DataType::Int64, true), Field::new("text", DataType::Utf8, true)];
    let fields = UnionFields::try_new(vec![0, 5], fields).expect("two different numbers");
    let types: ScalarBuffer<i8> = (0..LEN).map(|i| if i % 2 == 0 { 0 } else { 5 }).collect();
    let offsets: ScalarBuffer<i32> = (0..LEN).map(|i| i as i32 / 2).collect();
    let numbers: ArrayRef = Arc::new(numbers::<Int64Type>(|i| i as i64));
    let texts: ArrayRef = Arc::new(texts().into_iter().collect::<StringArray>());
    UnionArray::try_new(fields, types, dense.then_some(offsets), vec![numbers, texts]).expect("a right union")
}

fn nested() -> Vec<(&'static str, ArrayRef)> {
    let (field, values) = items(2 * LEN);
    let words = ["left", "right", "left", "up"].into_iter().cycle().take(LEN);
    let words: DictionaryArray<Int8Type> = words.map(|word| (word != "up").then_some(word)).collect();
    let runs: RunArray<Int32Type> =
        [Some("a"), Some("a"), None, None, None, Some("b"), Some("b"), Some("c")].into_iter().collect();
    let structs: ArrayRef = Arc::new(structure());
    let inner = Arc::new(Field::new("item", structs.data_type().clone(), true));
    let of_structs = GenericListArray::<i32>::new(inner, OffsetBuffer::from_lengths([1; LEN]), structs, None);
    vec![
        ("list", Arc::new(list::<i32>())),
        ("large_list", Arc::new(list::<i64>())),
        ("list_view", Arc::new(list_view::<i32>())),
        ("large_list_view", Arc::new(list_view::<i64>())),
        ("fixed_size_list", Arc::new(FixedSizeListArray::new(field, 2, values, Some(holes())))),
        ("struct", Arc::new(structure())),
        ("map", Arc::new(map())),
        ("sparse_union", Arc::new(union(false))),
        ("dense_union", Arc::new(union(true))),
        ("dictionary", Arc::new(words)),
        ("run_end_encoded", Arc::new(runs)),
        ("list of structs", Arc::new(of_structs)),
    ]
}

/// Every type.
pub fn families() -> Vec<Family> {
    let known = [plain(), text(), nested()].concat();
    let known = known.into_iter().map(|(name, array)| Family { name, array, in_python: true });
    let months = numbers::<IntervalYearMonthType>(|i| i as i32);
    let days = numbers::<IntervalDayTimeType>(|i| IntervalDayTimeType::make_value(i as i32, -3));
    let unknown: [(&str, ArrayRef); 2] =
        [("interval[month]", Arc::new(months)), ("interval[day, ms]", Arc::new(days))];
    let unknown = unknown.into_iter().map(|(name, array)| Family { name, array, in_python: false });
    known.chain(unknown).collect()
}

/// Parts of an array that are sent: all of it, a piece out of its middle, nothing of it.
pub const PARTS: [(usize, usize); 3] = [(0, LEN), (2, 4), (LEN, 0)];

/// Does the argument of this program say that Python is on the way?
pub fn by_way_of_python() -> bool {
    std::env::args().any(|argument| argument == "--python")
}
