//! Payloads as Rust values.
//!
//! 1. A conversion never changes a value: another type, another length or a null is an error that names both sides.
//!    [`into_vec`] is the one that converts between numeric types, and it refuses what does not fit.
//! 2. `&str` and `&[T]` borrow from the array, so they read the sender's memory in place.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use eyre::Report;
use half::f16;
use num_traits::ToPrimitive;

use crate::array::internal::array_ref;
use crate::{ConvertError, DoraArray};

macro_rules! numbers {
    ($($t:ty => $arrow:ty, $name:literal, $list:literal;)*) => {
        $(impl TryFrom<&DoraArray> for $t {
            type Error = Report;

            fn try_from(array: &DoraArray) -> Result<Self, Report> {
                one(array, $name)?;
                Ok(primitive::<$arrow>(array, $name)?.value(0))
            }
        }

        impl<'a> TryFrom<&'a DoraArray> for &'a [$t] {
            type Error = Report;

            fn try_from(array: &'a DoraArray) -> Result<Self, Report> {
                let values = primitive::<$arrow>(array, $list)?;
                no_nulls(array, $list)?;
                Ok(values.values())
            }
        }

        impl<'a> TryFrom<&'a DoraArray> for Vec<$t> {
            type Error = Report;

            fn try_from(array: &'a DoraArray) -> Result<Self, Report> {
                <&[$t]>::try_from(array).map(<[$t]>::to_vec)
            }
        })*
    };
}

numbers! {
    u8 => UInt8Type, "UInt8", "a list of UInt8";
    u16 => UInt16Type, "UInt16", "a list of UInt16";
    u32 => UInt32Type, "UInt32", "a list of UInt32";
    u64 => UInt64Type, "UInt64", "a list of UInt64";
    i8 => Int8Type, "Int8", "a list of Int8";
    i16 => Int16Type, "Int16", "a list of Int16";
    i32 => Int32Type, "Int32", "a list of Int32";
    i64 => Int64Type, "Int64", "a list of Int64";
    f16 => Float16Type, "Float16", "a list of Float16";
    f32 => Float32Type, "Float32", "a list of Float32";
    f64 => Float64Type, "Float64", "a list of Float64";
}

impl TryFrom<&DoraArray> for bool {
    type Error = Report;

    fn try_from(array: &DoraArray) -> Result<Self, Report> {
        let values = array_ref(array).as_boolean_opt().ok_or_else(|| wrong_type(array, "Boolean"))?;
        one(array, "Boolean")?;
        Ok(values.value(0))
    }
}

impl<'a> TryFrom<&'a DoraArray> for &'a str {
    type Error = Report;

    fn try_from(array: &'a DoraArray) -> Result<Self, Report> {
        let inner = array_ref(array);
        let text = match inner.data_type() {
            DataType::Utf8 => one(array, "Utf8").map(|()| inner.as_string::<i32>().value(0)),
            DataType::LargeUtf8 => one(array, "Utf8").map(|()| inner.as_string::<i64>().value(0)),
            DataType::Utf8View => one(array, "Utf8").map(|()| inner.as_string_view().value(0)),
            _ => Err(wrong_type(array, "Utf8")),
        };
        Ok(text?)
    }
}

impl TryFrom<&DoraArray> for String {
    type Error = Report;

    fn try_from(array: &DoraArray) -> Result<Self, Report> {
        <&str>::try_from(array).map(str::to_owned)
    }
}

impl TryFrom<&DoraArray> for NaiveDate {
    type Error = Report;

    fn try_from(array: &DoraArray) -> Result<Self, Report> {
        const NAME: &str = "a date";
        let seconds = match array_ref(array).data_type() {
            DataType::Date32 => i64::from(single::<Date32Type>(array, NAME)?) * 86_400,
            DataType::Date64 => single::<Date64Type>(array, NAME)?.div_euclid(1000),
            _ => return Err(wrong_type(array, NAME).into()),
        };
        let time = DateTime::from_timestamp(seconds, 0);
        Ok(time.ok_or_else(|| out_of_range(array, NAME, seconds, 0))?.date_naive())
    }
}

impl TryFrom<&DoraArray> for NaiveTime {
    type Error = Report;

    fn try_from(array: &DoraArray) -> Result<Self, Report> {
        const NAME: &str = "a time of day";
        let (value, unit) = match array_ref(array).data_type() {
            DataType::Time32(TimeUnit::Second) => (i64::from(single::<Time32SecondType>(array, NAME)?), 1),
            DataType::Time32(TimeUnit::Millisecond) => {
                (i64::from(single::<Time32MillisecondType>(array, NAME)?), 1_000)
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                (single::<Time64MicrosecondType>(array, NAME)?, 1_000_000)
            }
            DataType::Time64(TimeUnit::Nanosecond) => {
                (single::<Time64NanosecondType>(array, NAME)?, 1_000_000_000)
            }
            _ => return Err(wrong_type(array, NAME).into()),
        };
        let (seconds, nanos) = seconds_and_nanos(value, unit);
        let time =
            u32::try_from(seconds).ok().and_then(|s| NaiveTime::from_num_seconds_from_midnight_opt(s, nanos));
        Ok(time.ok_or_else(|| out_of_range(array, NAME, value, 0))?)
    }
}

impl TryFrom<&DoraArray> for NaiveDateTime {
    type Error = Report;

    fn try_from(array: &DoraArray) -> Result<Self, Report> {
        const NAME: &str = "a date and time";
        let DataType::Timestamp(unit, _) = array_ref(array).data_type() else {
            return Err(wrong_type(array, NAME).into());
        };
        let (value, unit) = match unit {
            TimeUnit::Second => (single::<TimestampSecondType>(array, NAME)?, 1),
            TimeUnit::Millisecond => (single::<TimestampMillisecondType>(array, NAME)?, 1_000),
            TimeUnit::Microsecond => (single::<TimestampMicrosecondType>(array, NAME)?, 1_000_000),
            TimeUnit::Nanosecond => (single::<TimestampNanosecondType>(array, NAME)?, 1_000_000_000),
        };
        let (seconds, nanos) = seconds_and_nanos(value, unit);
        let time = DateTime::from_timestamp(seconds, nanos);
        Ok(time.ok_or_else(|| out_of_range(array, NAME, value, 0))?.naive_utc())
    }
}

/// All values, converted to another numeric type.
///
/// ```
/// use dora_arrow_codec::{IntoArrow, into_vec};
///
/// let array = vec![1u8, 2].into_arrow();
/// assert_eq!(into_vec::<f64>(&array).unwrap(), [1.0, 2.0]);
/// ```
///
/// # Errors
/// [`ConvertError`] inside: the array is not numeric, has nulls, or holds a value that `T` cannot.
pub fn into_vec<T>(data: &DoraArray) -> eyre::Result<Vec<T>>
where
    T: Copy + num_traits::NumCast + 'static,
{
    Ok(match array_ref(data).data_type() {
        DataType::UInt8 => cast::<UInt8Type, T>(data)?,
        DataType::UInt16 => cast::<UInt16Type, T>(data)?,
        DataType::UInt32 => cast::<UInt32Type, T>(data)?,
        DataType::UInt64 => cast::<UInt64Type, T>(data)?,
        DataType::Int8 => cast::<Int8Type, T>(data)?,
        DataType::Int16 => cast::<Int16Type, T>(data)?,
        DataType::Int32 => cast::<Int32Type, T>(data)?,
        DataType::Int64 => cast::<Int64Type, T>(data)?,
        DataType::Float16 => cast::<Float16Type, T>(data)?,
        DataType::Float32 => cast::<Float32Type, T>(data)?,
        DataType::Float64 => cast::<Float64Type, T>(data)?,
        _ => return Err(wrong_type(data, "a list of numbers").into()),
    })
}

fn cast<P, T>(array: &DoraArray) -> Result<Vec<T>, ConvertError>
where
    P: ArrowPrimitiveType<Native: ToPrimitive>,
    T: num_traits::NumCast,
{
    let expected = std::any::type_name::<T>();
    let values = primitive::<P>(array, expected)?.values();
    no_nulls(array, expected)?;
    let fit = |(index, value): (usize, &P::Native)| {
        T::from(*value).ok_or_else(|| out_of_range(array, expected, format!("{value:?}"), index))
    };
    values.iter().enumerate().map(fit).collect()
}

fn primitive<'a, P: ArrowPrimitiveType>(
    array: &'a DoraArray,
    expected: &'static str,
) -> Result<&'a PrimitiveArray<P>, ConvertError> {
    array_ref(array).as_primitive_opt::<P>().ok_or_else(|| wrong_type(array, expected))
}

fn single<P: ArrowPrimitiveType>(
    array: &DoraArray,
    expected: &'static str,
) -> Result<P::Native, ConvertError> {
    let values = primitive::<P>(array, expected)?;
    one(array, expected)?;
    Ok(values.value(0))
}

fn one(array: &DoraArray, expected: &'static str) -> Result<(), ConvertError> {
    match array.len() {
        1 => no_nulls(array, expected),
        len => Err(ConvertError::NotOne { expected, found: array.type_name(), len }),
    }
}

fn no_nulls(array: &DoraArray, expected: &'static str) -> Result<(), ConvertError> {
    match array.null_count() {
        0 => Ok(()),
        nulls => Err(ConvertError::Nulls { expected, found: array.type_name(), nulls, len: array.len() }),
    }
}

fn wrong_type(array: &DoraArray, expected: &'static str) -> ConvertError {
    ConvertError::WrongType { expected, found: array.type_name() }
}

fn out_of_range(
    array: &DoraArray,
    expected: &'static str,
    value: impl ToString,
    index: usize,
) -> ConvertError {
    ConvertError::OutOfRange { expected, found: array.type_name(), value: value.to_string(), index }
}

/// Splits a value of `unit` parts of a second; the part below a second is never negative.
fn seconds_and_nanos(value: i64, unit: i64) -> (i64, u32) {
    let below = value.rem_euclid(unit) * (1_000_000_000 / unit);
    (value.div_euclid(unit), below as u32)
}
