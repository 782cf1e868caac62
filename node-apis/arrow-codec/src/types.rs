//! Records that describe an Arrow type: what an output tells its readers once.
//!
//! ```text
//! record   length u32, version u8, type
//! type     tag u8, then what the tag needs: a unit, a size, a precision, a time zone, fields
//! field    name, flags u8 (1 nullable, 2 has metadata, 4 ordered dictionary), type, [count { key value }*]
//! ```
//!
//! Metadata is sorted by key, so that equal types have equal records. A type that no array can have is refused when
//! it is read: Arrow panics on some of them later.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit, UnionFields, UnionMode};

use dora_protocol::wire_type;

use crate::wire::{self, Reader, Writer};
use crate::{CodecError, MAX_DEPTH};

const RECORD: &str = "type";
const VERSION: u8 = 1;

const NULLABLE: u8 = 1;
const METADATA: u8 = 2;
const ORDERED: u8 = 4;

/// Tags of the types that need nothing else. Part of the wire format: only ever append.
const SIMPLE: [DataType; 22] = [
    DataType::Null,
    DataType::Boolean,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::UInt8,
    DataType::UInt16,
    DataType::UInt32,
    DataType::UInt64,
    DataType::Float16,
    DataType::Float32,
    DataType::Float64,
    DataType::Date32,
    DataType::Date64,
    DataType::Binary,
    DataType::LargeBinary,
    DataType::BinaryView,
    DataType::Utf8,
    DataType::LargeUtf8,
    DataType::Utf8View,
    DataType::Interval(IntervalUnit::MonthDayNano),
];

/// The Arrow type behind a well-known number, `None` for numbers that an output hands out itself.
pub fn type_of_values(type_id: u32) -> Option<DataType> {
    Some(match type_id {
        wire_type::NULL => DataType::Null,
        wire_type::UINT8 => DataType::UInt8,
        wire_type::UINT16 => DataType::UInt16,
        wire_type::UINT32 => DataType::UInt32,
        wire_type::UINT64 => DataType::UInt64,
        wire_type::INT8 => DataType::Int8,
        wire_type::INT16 => DataType::Int16,
        wire_type::INT32 => DataType::Int32,
        wire_type::INT64 => DataType::Int64,
        wire_type::FLOAT32 => DataType::Float32,
        wire_type::FLOAT64 => DataType::Float64,
        wire_type::UTF8_ONE => DataType::Utf8,
        _ => return None,
    })
}

const TIMESTAMP: u8 = 64;
const TIMESTAMP_ZONE: u8 = 65;
const TIME32: u8 = 66;
const TIME64: u8 = 67;
const DURATION: u8 = 68;
const INTERVAL: u8 = 69;
const FIXED_BINARY: u8 = 70;
const DECIMAL32: u8 = 71;
const DECIMAL64: u8 = 72;
const DECIMAL128: u8 = 73;
const DECIMAL256: u8 = 74;
const LIST: u8 = 75;
const LARGE_LIST: u8 = 76;
const LIST_VIEW: u8 = 77;
const LARGE_LIST_VIEW: u8 = 78;
const FIXED_LIST: u8 = 79;
const STRUCT: u8 = 80;
const UNION_SPARSE: u8 = 81;
const UNION_DENSE: u8 = 82;
const DICTIONARY: u8 = 83;
const MAP: u8 = 84;
const MAP_SORTED: u8 = 85;
const RUN_END: u8 = 86;

/// The record of a type; [`decode_type`] reads it.
///
/// # Errors
/// [`CodecError::TooDeep`], and [`CodecError::InvalidType`] for a type that no array can have.
pub fn encode_type(data_type: &DataType) -> Result<Vec<u8>, CodecError> {
    let mut writer = Writer::new();
    writer.byte(VERSION);
    put_type(&mut writer, data_type, 0)?;
    Ok(writer.finish())
}

/// The type that a record describes; bytes after the record are ignored.
///
/// # Errors
/// For everything that [`encode_type`] would not have written.
pub fn decode_type(record: &[u8]) -> Result<DataType, CodecError> {
    let mut reader = Reader::new(record, RECORD)?;
    if reader.byte("version")? != VERSION {
        return Err(reader.malformed("version"));
    }
    let data_type = take_type(&mut reader, 0)?;
    reader.end()?;
    Ok(data_type)
}

/// Cuts the type record at the front of `bytes` from what follows it.
///
/// # Errors
/// When the length that the record starts with is not there or more than there is.
pub fn split_type(bytes: &[u8]) -> Result<(&[u8], &[u8]), CodecError> {
    wire::split(bytes, RECORD)
}

fn put_type(writer: &mut Writer, data_type: &DataType, depth: usize) -> Result<(), CodecError> {
    if depth >= MAX_DEPTH {
        return Err(CodecError::TooDeep { max: MAX_DEPTH });
    }
    check(data_type)?;
    if let Some(tag) = SIMPLE.iter().position(|simple| simple == data_type) {
        writer.byte(tag as u8);
        return Ok(());
    }
    let depth = depth + 1;
    match data_type {
        DataType::Timestamp(unit, None) => put_small(writer, TIMESTAMP, time_unit_number(*unit)),
        DataType::Timestamp(unit, Some(zone)) => {
            put_small(writer, TIMESTAMP_ZONE, time_unit_number(*unit));
            writer.text(zone);
        }
        DataType::Time32(unit) => put_small(writer, TIME32, time_unit_number(*unit)),
        DataType::Time64(unit) => put_small(writer, TIME64, time_unit_number(*unit)),
        DataType::Duration(unit) => put_small(writer, DURATION, time_unit_number(*unit)),
        DataType::Interval(unit) => put_small(writer, INTERVAL, u8::from(*unit == IntervalUnit::DayTime)),
        DataType::FixedSizeBinary(size) => put_size(writer, FIXED_BINARY, *size),
        DataType::Decimal32(precision, scale) => put_decimal(writer, DECIMAL32, *precision, *scale),
        DataType::Decimal64(precision, scale) => put_decimal(writer, DECIMAL64, *precision, *scale),
        DataType::Decimal128(precision, scale) => put_decimal(writer, DECIMAL128, *precision, *scale),
        DataType::Decimal256(precision, scale) => put_decimal(writer, DECIMAL256, *precision, *scale),
        DataType::List(field) => put_list(writer, LIST, field, depth)?,
        DataType::LargeList(field) => put_list(writer, LARGE_LIST, field, depth)?,
        DataType::ListView(field) => put_list(writer, LIST_VIEW, field, depth)?,
        DataType::LargeListView(field) => put_list(writer, LARGE_LIST_VIEW, field, depth)?,
        DataType::FixedSizeList(field, size) => {
            put_size(writer, FIXED_LIST, *size);
            put_field(writer, field, depth)?;
        }
        DataType::Struct(fields) => {
            writer.byte(STRUCT);
            writer.number(fields.len() as u64);
            fields.iter().try_for_each(|field| put_field(writer, field, depth))?;
        }
        DataType::Union(fields, mode) => {
            writer.byte(if *mode == UnionMode::Dense { UNION_DENSE } else { UNION_SPARSE });
            writer.number(fields.len() as u64);
            for (id, field) in fields.iter() {
                writer.byte(id as u8);
                put_field(writer, field, depth)?;
            }
        }
        DataType::Dictionary(keys, values) => {
            writer.byte(DICTIONARY);
            put_type(writer, keys, depth)?;
            put_type(writer, values, depth)?;
        }
        DataType::Map(entries, sorted) => {
            put_list(writer, if *sorted { MAP_SORTED } else { MAP }, entries, depth)?
        }
        DataType::RunEndEncoded(run_ends, values) => {
            put_list(writer, RUN_END, run_ends, depth)?;
            put_field(writer, values, depth)?;
        }
        // The rest is in `SIMPLE`.
        _ => return Err(invalid(data_type, "it is unknown to this version")),
    }
    Ok(())
}

fn put_small(writer: &mut Writer, tag: u8, small: u8) {
    writer.byte(tag);
    writer.byte(small);
}

fn put_size(writer: &mut Writer, tag: u8, size: i32) {
    writer.byte(tag);
    // `check` refused the negative ones.
    writer.number(u64::from(size.unsigned_abs()));
}

fn put_decimal(writer: &mut Writer, tag: u8, precision: u8, scale: i8) {
    put_small(writer, tag, precision);
    writer.byte(scale as u8);
}

fn put_list(writer: &mut Writer, tag: u8, field: &Field, depth: usize) -> Result<(), CodecError> {
    writer.byte(tag);
    put_field(writer, field, depth)
}

fn put_field(writer: &mut Writer, field: &Field, depth: usize) -> Result<(), CodecError> {
    let has = |truth: bool, flag: u8| if truth { flag } else { 0 };
    let flags = has(field.is_nullable(), NULLABLE)
        | has(!field.metadata().is_empty(), METADATA)
        | has(field.dict_is_ordered() == Some(true), ORDERED);
    writer.text(field.name());
    writer.byte(flags);
    put_type(writer, field.data_type(), depth)?;
    if flags & METADATA != 0 {
        let mut metadata: Vec<_> = field.metadata().iter().collect();
        metadata.sort_unstable();
        writer.number(metadata.len() as u64);
        for (key, value) in metadata {
            writer.text(key);
            writer.text(value);
        }
    }
    Ok(())
}

fn take_type(reader: &mut Reader<'_>, depth: usize) -> Result<DataType, CodecError> {
    if depth >= MAX_DEPTH {
        return Err(CodecError::TooDeep { max: MAX_DEPTH });
    }
    let tag = reader.byte("type")?;
    if let Some(simple) = SIMPLE.get(usize::from(tag)) {
        return Ok(simple.clone());
    }
    let depth = depth + 1;
    let data_type = match tag {
        TIMESTAMP => DataType::Timestamp(take_unit(reader)?, None),
        TIMESTAMP_ZONE => {
            let unit = take_unit(reader)?;
            DataType::Timestamp(unit, Some(Arc::from(reader.text("time zone")?)))
        }
        TIME32 => DataType::Time32(take_unit(reader)?),
        TIME64 => DataType::Time64(take_unit(reader)?),
        DURATION => DataType::Duration(take_unit(reader)?),
        INTERVAL => match reader.byte("interval unit")? {
            0 => DataType::Interval(IntervalUnit::YearMonth),
            1 => DataType::Interval(IntervalUnit::DayTime),
            _ => return Err(reader.malformed("interval unit")),
        },
        FIXED_BINARY => DataType::FixedSizeBinary(take_size(reader)?),
        DECIMAL32 => DataType::Decimal32(reader.byte("precision")?, reader.byte("scale")? as i8),
        DECIMAL64 => DataType::Decimal64(reader.byte("precision")?, reader.byte("scale")? as i8),
        DECIMAL128 => DataType::Decimal128(reader.byte("precision")?, reader.byte("scale")? as i8),
        DECIMAL256 => DataType::Decimal256(reader.byte("precision")?, reader.byte("scale")? as i8),
        LIST => DataType::List(take_field(reader, depth)?),
        LARGE_LIST => DataType::LargeList(take_field(reader, depth)?),
        LIST_VIEW => DataType::ListView(take_field(reader, depth)?),
        LARGE_LIST_VIEW => DataType::LargeListView(take_field(reader, depth)?),
        FIXED_LIST => {
            let size = take_size(reader)?;
            DataType::FixedSizeList(take_field(reader, depth)?, size)
        }
        STRUCT => {
            let count = reader.count("number of fields")?;
            let fields = (0..count).map(|_| take_field(reader, depth));
            DataType::Struct(fields.collect::<Result<Fields, _>>()?)
        }
        UNION_SPARSE => DataType::Union(take_union(reader, depth)?, UnionMode::Sparse),
        UNION_DENSE => DataType::Union(take_union(reader, depth)?, UnionMode::Dense),
        DICTIONARY => {
            let keys = take_type(reader, depth)?;
            DataType::Dictionary(Box::new(keys), Box::new(take_type(reader, depth)?))
        }
        MAP => DataType::Map(take_field(reader, depth)?, false),
        MAP_SORTED => DataType::Map(take_field(reader, depth)?, true),
        RUN_END => {
            let run_ends = take_field(reader, depth)?;
            DataType::RunEndEncoded(run_ends, take_field(reader, depth)?)
        }
        _ => return Err(reader.malformed("type")),
    };
    check(&data_type)?;
    Ok(data_type)
}

fn take_unit(reader: &mut Reader<'_>) -> Result<TimeUnit, CodecError> {
    Ok(match reader.byte("time unit")? {
        0 => TimeUnit::Second,
        1 => TimeUnit::Millisecond,
        2 => TimeUnit::Microsecond,
        3 => TimeUnit::Nanosecond,
        _ => return Err(reader.malformed("time unit")),
    })
}

fn time_unit_number(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

fn take_size(reader: &mut Reader<'_>) -> Result<i32, CodecError> {
    i32::try_from(reader.number("size")?).map_err(|_| reader.malformed("size"))
}

fn take_union(reader: &mut Reader<'_>, depth: usize) -> Result<UnionFields, CodecError> {
    let count = reader.count("number of fields")?;
    let (mut ids, mut fields) = (Vec::new(), Vec::new());
    for _ in 0..count {
        ids.push(reader.byte("union type id")? as i8);
        fields.push(take_field(reader, depth)?);
    }
    UnionFields::try_new(ids, fields).map_err(|_| reader.malformed("set of union type ids"))
}

fn take_field(reader: &mut Reader<'_>, depth: usize) -> Result<FieldRef, CodecError> {
    let name = reader.text("field name")?;
    let flags = reader.byte("field flags")?;
    if flags & !(NULLABLE | METADATA | ORDERED) != 0 {
        return Err(reader.malformed("field flags"));
    }
    let data_type = take_type(reader, depth)?;
    let mut field = Field::new(name, data_type, flags & NULLABLE != 0);
    if flags & ORDERED != 0 {
        field = field.with_dict_is_ordered(true);
    }
    if flags & METADATA != 0 {
        let mut metadata = HashMap::new();
        for _ in 0..reader.count("number of metadata entries")? {
            let key = reader.text("metadata key")?.to_owned();
            metadata.insert(key, reader.text("metadata value")?.to_owned());
        }
        field = field.with_metadata(metadata);
    }
    Ok(Arc::new(field))
}

/// Refuses what the type system of Arrow can spell but no array can have. Looks at one level only.
fn check(data_type: &DataType) -> Result<(), CodecError> {
    let wrong = match data_type {
        DataType::Time32(TimeUnit::Microsecond | TimeUnit::Nanosecond) => "its unit needs 64 bits",
        DataType::Time64(TimeUnit::Second | TimeUnit::Millisecond) => "its unit needs 32 bits",
        DataType::FixedSizeBinary(size) | DataType::FixedSizeList(_, size) if *size < 0 => {
            "its size is negative"
        }
        DataType::Decimal32(precision, _) if !(1..=9).contains(precision) => "its precision is out of range",
        DataType::Decimal64(precision, _) if !(1..=18).contains(precision) => "its precision is out of range",
        DataType::Decimal128(precision, _) if !(1..=38).contains(precision) => {
            "its precision is out of range"
        }
        DataType::Decimal256(precision, _) if !(1..=76).contains(precision) => {
            "its precision is out of range"
        }
        DataType::Dictionary(keys, _) if !keys.is_dictionary_key_type() => "its keys are no integers",
        DataType::RunEndEncoded(ends, _) if ends.is_nullable() => "its run ends are nullable",
        DataType::RunEndEncoded(ends, _) if !ends.data_type().is_run_ends_type() => {
            "its run ends are no integers"
        }
        DataType::Map(entries, _) => match entries.data_type() {
            _ if entries.is_nullable() => "its entries are nullable",
            DataType::Struct(fields) if fields.len() == 2 && !fields[0].is_nullable() => return Ok(()),
            _ => "its entries are not a struct of a key that is never null and a value",
        },
        _ => return Ok(()),
    };
    Err(invalid(data_type, wrong))
}

fn invalid(data_type: &DataType, what: &'static str) -> CodecError {
    CodecError::InvalidType { data_type: format!("{data_type:?}"), what }
}

/// Bytes per value of the types whose arrays are one buffer of equally long values.
pub(crate) fn fixed_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Interval(IntervalUnit::YearMonth) => Some(4),
        DataType::Interval(IntervalUnit::DayTime) => Some(8),
        DataType::Interval(IntervalUnit::MonthDayNano) => Some(16),
        DataType::FixedSizeBinary(size) => usize::try_from(*size).ok(),
        other => other.primitive_width(),
    }
}
