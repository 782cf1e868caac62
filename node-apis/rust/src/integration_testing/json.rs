//! Arrow arrays as JSON, and back.
//!
//! | Arrow | JSON |
//! |---|---|
//! | numbers, also dates, times, timestamps and durations | a number, in the unit of the type |
//! | floats that JSON has no number for | `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | text | a string |
//! | binary | a string of hexadecimal digits |
//! | lists, structs | a list, an object |
//!
//! What a value that comes back was is said by the type beside it. Without one it is guessed: whole numbers are
//! `Int64`, others `Float64`. Dictionaries, unions, maps, decimals and views are refused by name.

use std::{path::Path, sync::Arc};

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, FixedSizeListArray, GenericBinaryArray,
    GenericListArray, GenericStringArray, NullArray, OffsetSizeTrait, PrimitiveArray, StructArray,
    cast::AsArray, make_array, types::*,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The array of these values: a list of them, or a single one. The type is guessed when it is not given.
pub(crate) fn to_array(data: &Value, data_type: Option<&Value>) -> Result<ArrayRef, String> {
    let values: Vec<&Value> = match data {
        Value::Array(values) => values.iter().collect(),
        single => vec![single],
    };
    let data_type = match data_type {
        Some(given) => DataType::deserialize(given)
            .map_err(|error| format!("`{given}` is not an Arrow type: {error}"))?,
        None => guess(&values)?,
    };
    build(&data_type, &values)
}

/// The values of an array, as a list.
pub(crate) fn from_array(array: &ArrayRef) -> Result<Value, String> {
    values(array).map(Value::Array)
}

/// An Arrow type as JSON.
pub(crate) fn from_type(data_type: &DataType) -> Result<Value, String> {
    serde_json::to_value(data_type).map_err(|error| error.to_string())
}

/// A column of an Arrow IPC file.
#[cfg(feature = "arrow-files")]
pub(crate) fn column(path: &Path, batch: usize, column: Option<&str>) -> Result<ArrayRef, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut reader =
        arrow_ipc::reader::FileReader::try_new_buffered(file, None).map_err(|error| error.to_string())?;
    let batches = reader.num_batches();
    if batch >= batches {
        return Err(format!("it has {batches} batches, so there is no `batch_index` {batch}"));
    }
    reader.set_index(batch).map_err(|error| error.to_string())?;
    let read = reader.next().ok_or("the batch is missing")?.map_err(|error| error.to_string())?;
    let schema = read.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let known = names.join(", ");
    match (column, &names[..]) {
        (Some(name), _) => read
            .column_by_name(name)
            .cloned()
            .ok_or_else(|| format!("there is no column `{name}`, only {known}")),
        (None, [_]) => Ok(read.column(0).clone()),
        (None, _) => Err(format!("say which `column` is meant: {known}")),
    }
}

/// A column of an Arrow IPC file.
#[cfg(not(feature = "arrow-files"))]
pub(crate) fn column(_: &Path, _: usize, _: Option<&str>) -> Result<ArrayRef, String> {
    Err("reading Arrow files needs the feature `arrow-files` of `dora-node-api`".into())
}

fn guess(values: &[&Value]) -> Result<DataType, String> {
    let mut known = DataType::Null;
    for value in values {
        let this = match value {
            Value::Null => DataType::Null,
            Value::Bool(_) => DataType::Boolean,
            Value::Number(number) if number.is_i64() => DataType::Int64,
            Value::Number(number) if number.is_u64() => DataType::UInt64,
            Value::Number(_) => DataType::Float64,
            Value::String(_) => DataType::Utf8,
            Value::Array(_) | Value::Object(_) => return guess_nested(values),
        };
        known = match (known, this) {
            (DataType::Null, other) | (other, DataType::Null) => other,
            (a, b) if a == b => a,
            (DataType::Float64, DataType::Int64 | DataType::UInt64)
            | (DataType::Int64 | DataType::UInt64, DataType::Float64) => DataType::Float64,
            (a, b) => {
                return Err(format!(
                    "the values are of different kinds ({a:?} and {b:?}); say the `data_type`"
                ));
            }
        };
    }
    Ok(known)
}

fn guess_nested(values: &[&Value]) -> Result<DataType, String> {
    let mixed = || "some values are lists or objects and others are not; say the `data_type`".to_owned();
    let present = values.iter().filter(|value| !value.is_null());
    if present.clone().all(|value| value.is_array()) {
        let items: Vec<&Value> = present.filter_map(|value| value.as_array()).flatten().collect();
        return Ok(DataType::new_list(guess(&items)?, true));
    }
    let objects: Option<Vec<&Map<String, Value>>> = present.map(|value| value.as_object()).collect();
    let objects = objects.ok_or_else(mixed)?;
    let mut names: Vec<&String> = objects.iter().flat_map(|object| object.keys()).collect();
    names.sort();
    names.dedup();
    let field = |name: &String| {
        let column: Vec<&Value> =
            objects.iter().map(|object| object.get(name).unwrap_or(&Value::Null)).collect();
        Ok(Field::new(name, guess(&column)?, true))
    };
    Ok(DataType::Struct(names.into_iter().map(field).collect::<Result<Fields, String>>()?))
}

fn wrong(value: &Value, data_type: &DataType) -> String {
    format!("`{value}` is no {data_type:?}")
}

/// Applies `read` to each value that is not null.
fn each<T>(
    data_type: &DataType,
    values: &[&Value],
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<Option<T>>, String> {
    let one = |value: &&Value| match value {
        Value::Null => Ok(None),
        value => read(value).map(Some).ok_or_else(|| wrong(value, data_type)),
    };
    values.iter().map(one).collect()
}

fn signed<T: ArrowPrimitiveType>(data_type: &DataType, values: &[&Value]) -> Result<ArrayRef, String>
where
    T::Native: TryFrom<i64>,
{
    let numbers = each(data_type, values, |value| value.as_i64().and_then(|number| number.try_into().ok()))?;
    relabel(Arc::new(PrimitiveArray::<T>::from_iter(numbers)), data_type)
}

fn unsigned<T: ArrowPrimitiveType>(data_type: &DataType, values: &[&Value]) -> Result<ArrayRef, String>
where
    T::Native: TryFrom<u64>,
{
    let numbers = each(data_type, values, |value| value.as_u64().and_then(|number| number.try_into().ok()))?;
    Ok(Arc::new(PrimitiveArray::<T>::from_iter(numbers)))
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::String(name) => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        number => number.as_f64(),
    }
}

/// The same bits as another type of the same width.
fn relabel(array: ArrayRef, data_type: &DataType) -> Result<ArrayRef, String> {
    if array.data_type() == data_type {
        return Ok(array);
    }
    let relabelled = array.to_data().into_builder().data_type(data_type.clone()).build();
    relabelled.map(make_array).map_err(|error| error.to_string())
}

fn build(data_type: &DataType, values: &[&Value]) -> Result<ArrayRef, String> {
    use DataType as D;
    Ok(match data_type {
        D::Null => {
            each(data_type, values, |_| None::<()>)?;
            Arc::new(NullArray::new(values.len()))
        }
        D::Boolean => Arc::new(BooleanArray::from(each(data_type, values, Value::as_bool)?)),
        D::Int8 => signed::<Int8Type>(data_type, values)?,
        D::Int16 => signed::<Int16Type>(data_type, values)?,
        D::Int32 | D::Date32 | D::Time32(_) => signed::<Int32Type>(data_type, values)?,
        D::Int64 | D::Date64 | D::Time64(_) | D::Timestamp(..) | D::Duration(_) => {
            signed::<Int64Type>(data_type, values)?
        }
        D::UInt8 => unsigned::<UInt8Type>(data_type, values)?,
        D::UInt16 => unsigned::<UInt16Type>(data_type, values)?,
        D::UInt32 => unsigned::<UInt32Type>(data_type, values)?,
        D::UInt64 => unsigned::<UInt64Type>(data_type, values)?,
        D::Float32 => {
            let numbers = each(data_type, values, |value| float(value).map(|number| number as f32))?;
            Arc::new(PrimitiveArray::<Float32Type>::from(numbers))
        }
        D::Float64 => Arc::new(PrimitiveArray::<Float64Type>::from(each(data_type, values, float)?)),
        D::Utf8 => text::<i32>(data_type, values)?,
        D::LargeUtf8 => text::<i64>(data_type, values)?,
        D::Binary => binary::<i32>(data_type, values)?,
        D::LargeBinary => binary::<i64>(data_type, values)?,
        D::List(field) => list::<i32>(data_type, field, values)?,
        D::LargeList(field) => list::<i64>(data_type, field, values)?,
        D::FixedSizeList(field, size) => fixed_list(data_type, field, *size, values)?,
        D::Struct(fields) => object(data_type, fields, values)?,
        other => return Err(format!("values of type {other:?} cannot be read from JSON")),
    })
}

fn text<O: OffsetSizeTrait>(data_type: &DataType, values: &[&Value]) -> Result<ArrayRef, String> {
    let texts = each(data_type, values, |value| value.as_str().map(str::to_owned))?;
    Ok(Arc::new(GenericStringArray::<O>::from(texts)))
}

fn binary<O: OffsetSizeTrait>(data_type: &DataType, values: &[&Value]) -> Result<ArrayRef, String> {
    let bytes = each(data_type, values, |value| value.as_str().and_then(from_hex))?;
    Ok(Arc::new(GenericBinaryArray::<O>::from_iter(bytes)))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let digit = |digit: &u8| char::from(*digit).to_digit(16).map(|digit| digit as u8);
    let byte = |pair: &[u8]| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?);
    digits.chunks(2).map(byte).collect()
}

fn present(values: &[&Value]) -> Option<NullBuffer> {
    let nulls = NullBuffer::from_iter(values.iter().map(|value| !value.is_null()));
    (nulls.null_count() > 0).then_some(nulls)
}

fn list<O: OffsetSizeTrait>(
    data_type: &DataType,
    field: &FieldRef,
    values: &[&Value],
) -> Result<ArrayRef, String> {
    let lists = each(data_type, values, |value| value.as_array().cloned())?;
    let lengths = lists.iter().map(|list| list.as_ref().map_or(0, Vec::len));
    let offsets = OffsetBuffer::<O>::from_lengths(lengths);
    let items: Vec<&Value> = lists.iter().flatten().flatten().collect();
    let items = build(field.data_type(), &items)?;
    let list = GenericListArray::<O>::try_new(field.clone(), offsets, items, present(values));
    Ok(Arc::new(list.map_err(|error| error.to_string())?))
}

fn fixed_list(
    data_type: &DataType,
    field: &FieldRef,
    size: i32,
    values: &[&Value],
) -> Result<ArrayRef, String> {
    let len = usize::try_from(size).map_err(|_| format!("{data_type:?} has a negative size"))?;
    let lists = each(data_type, values, |value| value.as_array().filter(|list| list.len() == len).cloned())?;
    let lists = lists.into_iter().map(|list| list.unwrap_or_else(|| vec![Value::Null; len]));
    let items: Vec<Value> = lists.flatten().collect();
    let items = build(field.data_type(), &items.iter().collect::<Vec<_>>())?;
    let list = FixedSizeListArray::try_new(field.clone(), size, items, present(values));
    Ok(Arc::new(list.map_err(|error| error.to_string())?))
}

fn object(data_type: &DataType, fields: &Fields, values: &[&Value]) -> Result<ArrayRef, String> {
    let objects = each(data_type, values, |value| value.as_object().cloned())?;
    let column = |field: &FieldRef| {
        let member = |object: &Option<Map<String, Value>>| {
            object.as_ref().and_then(|object| object.get(field.name())).cloned().unwrap_or(Value::Null)
        };
        let members: Vec<Value> = objects.iter().map(member).collect();
        build(field.data_type(), &members.iter().collect::<Vec<_>>())
            .map_err(|what| format!("`{}`: {what}", field.name()))
    };
    let columns = fields.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let object = StructArray::try_new_with_length(fields.clone(), columns, present(values), values.len());
    Ok(Arc::new(object.map_err(|error| error.to_string())?))
}

fn numbers<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<Vec<Value>, String>
where
    T::Native: Into<Value>,
{
    let array = relabel(array.clone(), &T::DATA_TYPE)?;
    let numbers = array.as_primitive::<T>();
    Ok(numbers.iter().map(|number| number.map_or(Value::Null, Into::into)).collect())
}

fn from_float(number: Option<f64>) -> Value {
    match number {
        None => Value::Null,
        Some(number) if number.is_nan() => "NaN".into(),
        Some(f64::INFINITY) => "Infinity".into(),
        Some(f64::NEG_INFINITY) => "-Infinity".into(),
        Some(number) => number.into(),
    }
}

fn from_bytes(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
    })
}

fn from_items(items: Option<ArrayRef>) -> Result<Value, String> {
    items.map_or(Ok(Value::Null), |items| from_array(&items))
}

fn values(array: &ArrayRef) -> Result<Vec<Value>, String> {
    use DataType as D;
    Ok(match array.data_type() {
        D::Null => vec![Value::Null; array.len()],
        D::Boolean => array.as_boolean().iter().map(Value::from).collect(),
        D::Int8 => numbers::<Int8Type>(array)?,
        D::Int16 => numbers::<Int16Type>(array)?,
        D::Int32 | D::Date32 | D::Time32(_) => numbers::<Int32Type>(array)?,
        D::Int64 | D::Date64 | D::Time64(_) | D::Timestamp(..) | D::Duration(_) => {
            numbers::<Int64Type>(array)?
        }
        D::UInt8 => numbers::<UInt8Type>(array)?,
        D::UInt16 => numbers::<UInt16Type>(array)?,
        D::UInt32 => numbers::<UInt32Type>(array)?,
        D::UInt64 => numbers::<UInt64Type>(array)?,
        D::Float32 => {
            let numbers = array.as_primitive::<Float32Type>().iter();
            numbers.map(|number| from_float(number.map(f64::from))).collect()
        }
        D::Float64 => array.as_primitive::<Float64Type>().iter().map(from_float).collect(),
        D::Utf8 => array.as_string::<i32>().iter().map(Value::from).collect(),
        D::LargeUtf8 => array.as_string::<i64>().iter().map(Value::from).collect(),
        D::Binary => array.as_binary::<i32>().iter().map(from_bytes).collect(),
        D::LargeBinary => array.as_binary::<i64>().iter().map(from_bytes).collect(),
        D::List(_) => array.as_list::<i32>().iter().map(from_items).collect::<Result<_, _>>()?,
        D::LargeList(_) => array.as_list::<i64>().iter().map(from_items).collect::<Result<_, _>>()?,
        D::FixedSizeList(..) => {
            array.as_fixed_size_list().iter().map(from_items).collect::<Result<_, _>>()?
        }
        D::Struct(fields) => objects(array.as_struct(), fields)?,
        other => return Err(format!("values of type {other:?} cannot be written as JSON")),
    })
}

fn objects(array: &StructArray, fields: &Fields) -> Result<Vec<Value>, String> {
    let mut objects = vec![Map::new(); array.len()];
    for (field, column) in fields.iter().zip(array.columns()) {
        for (object, value) in objects.iter_mut().zip(values(column)?) {
            object.insert(field.name().clone(), value);
        }
    }
    let or_null = |(at, object)| if array.is_null(at) { Value::Null } else { Value::Object(object) };
    Ok(objects.into_iter().enumerate().map(or_null).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_every_kind_come_back_with_their_type() {
        let of = |data_type: DataType| from_type(&data_type).unwrap();
        let pair = || Arc::new(Field::new("item", DataType::Int16, true));
        let members =
            Fields::from(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]);
        let cases = [
            (json!([null, null]), json!("Null")),
            (json!([true, null]), json!("Boolean")),
            (json!([-128, 127]), json!("Int8")),
            (json!([u64::MAX, 0]), json!("UInt64")),
            (json!([i64::MIN, null]), json!("Int64")),
            (json!([1.5, "NaN", "-Infinity", null]), json!("Float64")),
            (json!([0.5, "Infinity"]), json!("Float32")),
            (json!(["a", "", null]), json!("Utf8")),
            (json!(["00ff", "", null]), json!("LargeBinary")),
            (json!([12, null]), json!("Date32")),
            (json!([12]), json!({"Timestamp": ["Nanosecond", "UTC"]})),
            (json!([[1, null], [], null]), of(DataType::List(pair()))),
            (json!([[1, 2], null]), of(DataType::FixedSizeList(pair(), 2))),
            (json!([{"a": 1, "b": "x"}, null]), of(DataType::Struct(members))),
        ];
        for (data, data_type) in cases {
            let array =
                to_array(&data, Some(&data_type)).unwrap_or_else(|error| panic!("{data_type}: {error}"));
            let back = from_type(array.data_type()).unwrap();
            assert_eq!(to_array(&data, Some(&back)).unwrap().data_type(), array.data_type());
            assert_eq!(from_array(&array).unwrap(), data, "{data_type}");
        }
    }

    #[test]
    fn types_are_guessed_from_all_values() {
        for (data, expected) in [
            (json!(7), DataType::Int64),
            (json!([1, 2.5, null]), DataType::Float64),
            (json!([u64::MAX]), DataType::UInt64),
            (json!("text"), DataType::Utf8),
            (json!([]), DataType::Null),
            (json!([[1], [2.5]]), DataType::new_list(DataType::Float64, true)),
        ] {
            assert_eq!(*to_array(&data, None).unwrap().data_type(), expected, "{data}");
        }
        let pose = to_array(&json!([{"x": 1}, {"y": "a"}]), None).unwrap();
        assert_eq!(from_array(&pose).unwrap(), json!([{"x": 1, "y": null}, {"x": null, "y": "a"}]));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_value() {
        let member = Fields::from(vec![Field::new("a", DataType::Int8, true)]);
        for (data, data_type, word) in [
            (json!([300]), Some(json!("UInt8")), "300"),
            (json!(["xyz"]), Some(json!("Binary")), "xyz"),
            (json!([1, "a"]), None, "data_type"),
            (json!([1, [2]]), None, "data_type"),
            (json!([1]), Some(json!("Number")), "Number"),
            (json!([{"a": "b"}]), Some(from_type(&DataType::Struct(member.clone())).unwrap()), "`a`"),
        ] {
            let error = to_array(&data, data_type.as_ref()).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[cfg(feature = "arrow-files")]
    #[test]
    fn a_column_of_an_arrow_file_is_found_by_name() {
        let path = std::env::temp_dir().join(format!("column-{}.arrow", uuid::Uuid::new_v4()));
        let a = to_array(&json!([1, 2]), None).unwrap();
        let b = to_array(&json!(["x", "y"]), None).unwrap();
        let batch = arrow_array::RecordBatch::try_from_iter([("a", a), ("b", b)]).unwrap();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = arrow_ipc::writer::FileWriter::try_new(file, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        assert_eq!(from_array(&column(&path, 0, Some("b")).unwrap()).unwrap(), json!(["x", "y"]));
        for (batch, name, word) in [(0, None, "a, b"), (0, Some("c"), "`c`"), (3, Some("a"), "batch_index")] {
            let error = column(&path, batch, name).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
