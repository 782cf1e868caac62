//! The payload of a message as user code sees it.

use arrow_array::{Array, ArrayRef};

/// An Arrow array that does not show its Arrow version.
///
/// A received one is a view of the sender's memory; that memory stays reserved until the last clone is gone. Cloning
/// copies a pointer. Values come out with `TryFrom` and [`crate::into_vec`], and go in with [`crate::IntoArrow`].
///
/// With the feature `arrow-v59` it converts to and from the arrays of that crate.
#[derive(Debug, Clone)]
pub struct DoraArray(ArrayRef);

impl DoraArray {
    /// Number of values, nulls included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of values that are null.
    pub fn null_count(&self) -> usize {
        self.0.null_count()
    }

    /// Arrow name of the type, for messages: `Float64`, `Utf8`.
    pub fn type_name(&self) -> String {
        format!("{:?}", self.0.data_type())
    }
}

/// Arrow types in the signatures: the feature says which.
#[cfg(feature = "arrow-v59")]
impl DoraArray {
    /// The Arrow array inside.
    pub fn as_array(&self) -> &ArrayRef {
        &self.0
    }

    /// The Arrow array inside.
    pub fn into_inner(self) -> ArrayRef {
        self.0
    }

    /// Wraps an Arrow array. Copies nothing.
    pub fn from_array(array: impl Array + 'static) -> Self {
        Self(std::sync::Arc::new(array))
    }
}

#[cfg(feature = "arrow-v59")]
impl From<ArrayRef> for DoraArray {
    fn from(array: ArrayRef) -> Self {
        Self(array)
    }
}

#[cfg(feature = "arrow-v59")]
impl From<DoraArray> for ArrayRef {
    fn from(array: DoraArray) -> Self {
        array.0
    }
}

/// For the crates of dora, which all use the same Arrow. User code takes the feature `arrow-v59` instead.
pub mod internal {
    use arrow_array::{Array, ArrayRef, make_array};
    use arrow_data::ArrayData;

    use super::DoraArray;

    /// Wraps an array.
    pub fn wrap(array: ArrayRef) -> DoraArray {
        DoraArray(array)
    }

    /// Wraps what [`crate::decode`] returned.
    pub fn from_data(data: ArrayData) -> DoraArray {
        DoraArray(make_array(data))
    }

    /// What [`crate::plan`] takes. Copies no values.
    pub fn to_data(array: &DoraArray) -> ArrayData {
        array.0.to_data()
    }

    /// The array inside.
    pub fn array_ref(array: &DoraArray) -> &ArrayRef {
        &array.0
    }

    /// The array inside.
    pub fn into_array_ref(array: DoraArray) -> ArrayRef {
        array.0
    }
}
