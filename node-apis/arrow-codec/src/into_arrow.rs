//! Rust values as payloads.

use std::sync::Arc;

use arrow_array::types::{
    Date64Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, BooleanArray, Date64Array, NullArray, PrimitiveArray, StringArray, Time64NanosecondArray,
    TimestampNanosecondArray,
};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use half::f16;

use crate::DoraArray;
use crate::array::internal::wrap;

/// What can be sent.
///
/// A single value becomes an array of length 1, a `Vec` one of its length, `()` an empty array without a type.
///
/// ```
/// use dora_arrow_codec::IntoArrow;
///
/// assert_eq!(vec![1.0f32, 2.0].into_arrow().len(), 2);
/// assert_eq!("hello".into_arrow().type_name(), "Utf8");
/// ```
pub trait IntoArrow {
    /// The value as a payload. A `Vec` of numbers is moved, not copied.
    fn into_arrow(self) -> DoraArray;
}

fn from_array(array: impl Array + 'static) -> DoraArray {
    wrap(Arc::new(array))
}

macro_rules! numbers {
    ($($t:ty => $arrow:ty),* $(,)?) => {
        $(impl IntoArrow for $t {
            fn into_arrow(self) -> DoraArray {
                from_array(PrimitiveArray::<$arrow>::from(vec![self]))
            }
        }

        impl IntoArrow for Vec<$t> {
            fn into_arrow(self) -> DoraArray {
                from_array(PrimitiveArray::<$arrow>::from(self))
            }
        })*
    };
}

numbers! {
    u8 => UInt8Type, u16 => UInt16Type, u32 => UInt32Type, u64 => UInt64Type,
    i8 => Int8Type, i16 => Int16Type, i32 => Int32Type, i64 => Int64Type,
    f16 => Float16Type, f32 => Float32Type, f64 => Float64Type,
}

impl IntoArrow for bool {
    fn into_arrow(self) -> DoraArray {
        from_array(BooleanArray::from(vec![self]))
    }
}

impl IntoArrow for Vec<bool> {
    fn into_arrow(self) -> DoraArray {
        from_array(BooleanArray::from(self))
    }
}

impl IntoArrow for &str {
    fn into_arrow(self) -> DoraArray {
        from_array(StringArray::from(vec![self]))
    }
}

impl IntoArrow for String {
    fn into_arrow(self) -> DoraArray {
        self.as_str().into_arrow()
    }
}

impl IntoArrow for Vec<String> {
    fn into_arrow(self) -> DoraArray {
        from_array(StringArray::from(self))
    }
}

impl IntoArrow for () {
    fn into_arrow(self) -> DoraArray {
        from_array(NullArray::new(0))
    }
}

/// Milliseconds since 1970, as `Date64`.
impl IntoArrow for NaiveDate {
    fn into_arrow(self) -> DoraArray {
        from_array(Date64Array::from(vec![Date64Type::from_naive_date(self)]))
    }
}

/// Nanoseconds since midnight, as `Time64`. A leap second counts on past the minute.
impl IntoArrow for NaiveTime {
    fn into_arrow(self) -> DoraArray {
        let seconds = i64::from(self.num_seconds_from_midnight());
        from_array(Time64NanosecondArray::from(vec![seconds * 1_000_000_000 + i64::from(self.nanosecond())]))
    }
}

/// Nanoseconds since 1970, as `Timestamp` without a zone. Times that 64 bits cannot hold (before 1677, after 2262)
/// become the first or the last that they can.
impl IntoArrow for NaiveDateTime {
    fn into_arrow(self) -> DoraArray {
        let time = self.and_utc();
        let limit = if time.timestamp() < 0 { i64::MIN } else { i64::MAX };
        from_array(TimestampNanosecondArray::from(vec![time.timestamp_nanos_opt().unwrap_or(limit)]))
    }
}

impl IntoArrow for DoraArray {
    fn into_arrow(self) -> DoraArray {
        self
    }
}

#[cfg(feature = "arrow-v59")]
mod arrow_arrays {
    use arrow_array::*;

    use super::{DoraArray, IntoArrow, from_array, wrap};

    impl IntoArrow for ArrayRef {
        fn into_arrow(self) -> DoraArray {
            wrap(self)
        }
    }

    impl<T: ArrowPrimitiveType> IntoArrow for PrimitiveArray<T> {
        fn into_arrow(self) -> DoraArray {
            from_array(self)
        }
    }

    impl<T: types::ArrowDictionaryKeyType> IntoArrow for DictionaryArray<T> {
        fn into_arrow(self) -> DoraArray {
            from_array(self)
        }
    }

    impl<T: types::RunEndIndexType> IntoArrow for RunArray<T> {
        fn into_arrow(self) -> DoraArray {
            from_array(self)
        }
    }

    macro_rules! arrays {
        ($($t:ty),* $(,)?) => {
            $(impl IntoArrow for $t {
                fn into_arrow(self) -> DoraArray {
                    from_array(self)
                }
            })*
        };
    }

    arrays! {
        NullArray, BooleanArray, FixedSizeBinaryArray,
        StringArray, LargeStringArray, StringViewArray,
        BinaryArray, LargeBinaryArray, BinaryViewArray,
        ListArray, LargeListArray, FixedSizeListArray, ListViewArray, LargeListViewArray,
        StructArray, MapArray, UnionArray,
    }
}
