//! Rust values become payloads and come back; what is no such value is an error that names both sides.

use arrow_array::{
    Date32Array, Float64Array, Int32Array, LargeStringArray, StringViewArray, Time32SecondArray,
    TimestampMillisecondArray,
};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use dora_arrow_codec::{ConvertError, DoraArray, IntoArrow, internal, into_vec};
use half::f16;
use proptest::prelude::*;

fn wrap(array: impl arrow_array::Array + 'static) -> DoraArray {
    internal::wrap(std::sync::Arc::new(array))
}

fn cause(error: eyre::Report) -> ConvertError {
    error.downcast().expect("conversions fail with a ConvertError")
}

macro_rules! numbers_come_back {
    ($($name:ident: $t:ty, $one:expr;)*) => {
        $(#[test]
        fn $name() {
            let one: $t = $one;
            assert_eq!(<$t>::try_from(&one.into_arrow()).unwrap(), one);
            let many = vec![one, one, one];
            let array = many.clone().into_arrow();
            assert_eq!(<&[$t]>::try_from(&array).unwrap(), many);
            assert_eq!(Vec::<$t>::try_from(&array).unwrap(), many);
            let none = Vec::<$t>::new().into_arrow();
            assert!(Vec::<$t>::try_from(&none).unwrap().is_empty());
            assert!(matches!(cause(<$t>::try_from(&array).unwrap_err()), ConvertError::NotOne { len: 3, .. }));
            assert!(matches!(cause(<$t>::try_from(&none).unwrap_err()), ConvertError::NotOne { len: 0, .. }));
        })*
    };
}

numbers_come_back! {
    u8_comes_back: u8, 250;
    u16_comes_back: u16, 65_000;
    u32_comes_back: u32, 4_000_000_000;
    u64_comes_back: u64, u64::MAX;
    i8_comes_back: i8, -128;
    i16_comes_back: i16, -32_000;
    i32_comes_back: i32, i32::MIN;
    i64_comes_back: i64, i64::MIN;
    f16_comes_back: f16, f16::from_f32(0.5);
    f32_comes_back: f32, 1.5;
    f64_comes_back: f64, -0.1;
}

#[test]
fn bool_comes_back() {
    assert!(bool::try_from(&true.into_arrow()).unwrap());
    assert!(bool::try_from(&vec![true, false].into_arrow()).is_err());
    assert_eq!(vec![true, false].into_arrow().type_name(), "Boolean");
}

#[test]
fn text_comes_back_from_every_kind_of_string_array() {
    assert_eq!(<&str>::try_from(&"grüße".into_arrow()).unwrap(), "grüße");
    assert_eq!(String::try_from(&"owned".to_owned().into_arrow()).unwrap(), "owned");
    assert_eq!(<&str>::try_from(&wrap(LargeStringArray::from(vec!["large"]))).unwrap(), "large");
    assert_eq!(<&str>::try_from(&wrap(StringViewArray::from(vec!["view"]))).unwrap(), "view");
    let two = vec!["a".to_owned(), "b".to_owned()].into_arrow();
    assert_eq!(
        String::try_from(&two).unwrap_err().to_string(),
        "expected one Utf8 value, but the Utf8 array has 2"
    );
}

#[test]
fn nothing_is_an_empty_null_array() {
    let array = ().into_arrow();
    assert!(array.is_empty());
    assert_eq!(array.type_name(), "Null");
}

#[test]
fn another_type_is_named() {
    let error = f32::try_from(&1.0f64.into_arrow()).unwrap_err();
    assert_eq!(error.to_string(), "expected Float32, but the array holds Float64");
    let error = <&[u8]>::try_from(&"text".into_arrow()).unwrap_err();
    assert_eq!(error.to_string(), "expected a list of UInt8, but the array holds Utf8");
    assert!(bool::try_from(&1u8.into_arrow()).is_err());
    assert!(NaiveDate::try_from(&1u8.into_arrow()).is_err());
    assert!(NaiveTime::try_from(&1u8.into_arrow()).is_err());
    assert!(NaiveDateTime::try_from(&1u8.into_arrow()).is_err());
}

#[test]
fn a_null_is_never_a_value() {
    let one_null = wrap(Int32Array::from(vec![None]));
    let some_null = wrap(Int32Array::from(vec![Some(1), None]));
    assert_eq!(some_null.null_count(), 1);
    assert!(matches!(cause(i32::try_from(&one_null).unwrap_err()), ConvertError::Nulls { nulls: 1, .. }));
    assert!(<&[i32]>::try_from(&some_null).is_err());
    assert!(Vec::<i32>::try_from(&some_null).is_err());
    assert!(into_vec::<i64>(&some_null).is_err());
}

#[test]
fn dates_and_times_come_back() {
    let date = NaiveDate::from_ymd_opt(1969, 7, 20).unwrap();
    assert_eq!(NaiveDate::try_from(&date.into_arrow()).unwrap(), date);
    assert_eq!(NaiveDate::try_from(&wrap(Date32Array::from(vec![-165]))).unwrap(), date);

    let time = NaiveTime::from_hms_nano_opt(23, 59, 58, 123_456_789).unwrap();
    assert_eq!(NaiveTime::try_from(&time.into_arrow()).unwrap(), time);
    let noon = wrap(Time32SecondArray::from(vec![43_200]));
    assert_eq!(NaiveTime::try_from(&noon).unwrap(), NaiveTime::from_hms_opt(12, 0, 0).unwrap());

    let both = date.and_time(time);
    assert_eq!(NaiveDateTime::try_from(&both.into_arrow()).unwrap(), both);
    let early = wrap(TimestampMillisecondArray::from(vec![-1]));
    let expected = NaiveDate::from_ymd_opt(1969, 12, 31).unwrap().and_hms_milli_opt(23, 59, 59, 999).unwrap();
    assert_eq!(NaiveDateTime::try_from(&early).unwrap(), expected);
}

#[test]
fn times_that_cannot_be_are_errors() {
    let late = wrap(Time32SecondArray::from(vec![86_400]));
    assert!(matches!(cause(NaiveTime::try_from(&late).unwrap_err()), ConvertError::OutOfRange { .. }));
    assert!(NaiveTime::try_from(&wrap(Time32SecondArray::from(vec![-1]))).is_err());
    assert!(NaiveDateTime::try_from(&wrap(TimestampMillisecondArray::from(vec![i64::MAX]))).is_err());
}

#[test]
fn times_out_of_reach_become_the_nearest_that_is_not() {
    let far = NaiveDate::from_ymd_opt(3000, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap();
    let back = NaiveDateTime::try_from(&far.into_arrow()).unwrap();
    assert_eq!(back.and_utc().timestamp_nanos_opt(), Some(i64::MAX));
}

#[test]
fn into_vec_converts_what_fits_and_names_what_does_not() {
    assert_eq!(into_vec::<f32>(&vec![1u8, 2].into_arrow()).unwrap(), [1.0, 2.0]);
    assert_eq!(into_vec::<u8>(&vec![1i64, 255].into_arrow()).unwrap(), [1, 255]);
    assert_eq!(into_vec::<i64>(&vec![f16::from_f32(2.0)].into_arrow()).unwrap(), [2]);
    assert_eq!(
        into_vec::<u8>(&vec![1i64, 256].into_arrow()).unwrap_err().to_string(),
        "value 256 at index 1 of the Int64 array does not fit in u8"
    );
    assert!(into_vec::<i64>(&wrap(Float64Array::from(vec![f64::NAN]))).is_err());
    assert!(into_vec::<u64>(&"1".into_arrow()).is_err());
}

#[test]
fn a_vector_is_moved_and_a_slice_borrows() {
    let values = vec![1.0f64; 100];
    let at = values.as_ptr();
    let array = values.into_arrow();
    assert_eq!(<&[f64]>::try_from(&array).unwrap().as_ptr(), at);
    assert_eq!(<&[f64]>::try_from(&array.clone()).unwrap().as_ptr(), at);
}

proptest! {
    #[test]
    fn no_time_of_any_kind_panics(value in any::<i64>()) {
        for array in [
            wrap(arrow_array::Date64Array::from(vec![value])),
            wrap(Date32Array::from(vec![value as i32])),
            wrap(arrow_array::Time64NanosecondArray::from(vec![value])),
            wrap(TimestampMillisecondArray::from(vec![value])),
            wrap(arrow_array::TimestampNanosecondArray::from(vec![value])),
        ] {
            let converted = [
                NaiveDate::try_from(&array).is_ok(),
                NaiveTime::try_from(&array).is_ok(),
                NaiveDateTime::try_from(&array).is_ok(),
            ];
            prop_assert!(converted.iter().filter(|ok| **ok).count() <= 1);
        }
    }
}

/// The ways in which nodes write conversions.
#[test]
fn idioms_of_nodes_compile() -> eyre::Result<()> {
    use eyre::{ContextCompat, WrapErr};

    let array = "up".into_arrow();
    let received: &str = (&array).try_into().wrap_err("expected a string")?;
    let text: String = TryFrom::try_from(&array).context("expected string message")?;
    let number: eyre::Result<f32> = f32::try_from(&array);
    assert_eq!((received, text.as_str()), ("up", "up"));
    assert!(number.is_err());
    let first = into_vec::<f32>(&vec![4u8].into_arrow())?.first().copied().wrap_err("empty")?;
    assert_eq!(first, 4.0);
    Ok(())
}

#[cfg(feature = "arrow-v59")]
#[test]
fn arrow_arrays_go_in_and_out_under_the_feature() {
    use dora_arrow_codec::arrow_v59::array::{Array, ArrayRef, Int64Array, UnionArray};

    let array = Int64Array::from(vec![1, 2]);
    let wrapped = DoraArray::from_array(array.clone());
    assert_eq!(wrapped.as_array().len(), 2);
    let inner: ArrayRef = array.clone().into_arrow().into();
    assert_eq!(&inner, &wrapped.into_inner());
    assert_eq!(DoraArray::from(inner).type_name(), "Int64");
    fn is_payload<T: IntoArrow>() {}
    is_payload::<UnionArray>();
    is_payload::<ArrayRef>();
}
