//! What can go wrong on the way between arrays and bytes, and between arrays and Rust values.

use arrow_schema::ArrowError;

/// Why an array could not be placed in a slot, or bytes are no array.
///
/// An error while receiving means that the sender is broken: nothing of that message can be believed.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The type is nested deeper than [`crate::MAX_DEPTH`].
    #[error("the type is nested deeper than {max} levels")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// The array, or one inside it, is longer than [`crate::MAX_LEN`].
    #[error("the array has {len} elements, more than the {max} that fit in a message")]
    TooLong {
        /// Its length.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// A record does not say what it should.
    #[error("the {record} record has an invalid {what} at byte {at}")]
    Malformed {
        /// `type` or `layout`.
        record: &'static str,
        /// What was expected there.
        what: &'static str,
        /// Where it was expected.
        at: usize,
    },
    /// A buffer would reach past the end of the payload.
    #[error("the layout needs {needed} bytes, but the payload has {available}")]
    PayloadTooShort {
        /// End of the buffer.
        needed: usize,
        /// Length of the payload.
        available: usize,
    },
    /// The payload of a well-known type does not hold a whole number of values.
    #[error("a payload of {len} bytes cannot be {name} values")]
    PayloadLength {
        /// Name of the type.
        name: &'static str,
        /// Length of the payload.
        len: usize,
    },
    /// The type number is neither well-known nor in the type table.
    #[error("nobody said what type number {type_id} is")]
    UnknownType {
        /// The number.
        type_id: u32,
    },
    /// The type itself is impossible, for example a dictionary with strings for keys.
    #[error("{data_type} is no valid type: {what}")]
    InvalidType {
        /// The type.
        data_type: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The parts of an array do not fit together.
    #[error("the {data_type} array is inconsistent: {what}")]
    Inconsistent {
        /// Its type.
        data_type: String,
        /// What does not fit.
        what: &'static str,
    },
    /// The values break a rule of Arrow: offsets that go back, text that is not UTF-8, keys without a value.
    #[error("the values are invalid: {0}")]
    Values(#[source] ArrowError),
}

/// Why an array is not the Rust value that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Another type.
    #[error("expected {expected}, but the array holds {found}")]
    WrongType {
        /// What was asked for.
        expected: &'static str,
        /// Type of the array.
        found: String,
    },
    /// One value was asked for, the array has more or none.
    #[error("expected one {expected} value, but the {found} array has {len}")]
    NotOne {
        /// What was asked for.
        expected: &'static str,
        /// Type of the array.
        found: String,
        /// Its length.
        len: usize,
    },
    /// Some values are null, and the Rust type has no way to say so.
    #[error("expected {expected} without nulls, but {nulls} of {len} values of the {found} array are null")]
    Nulls {
        /// What was asked for.
        expected: &'static str,
        /// Type of the array.
        found: String,
        /// How many values are null.
        nulls: usize,
        /// Length of the array.
        len: usize,
    },
    /// The value exists in the array's type, but not in the one that was asked for.
    #[error("value {value} at index {index} of the {found} array does not fit in {expected}")]
    OutOfRange {
        /// What was asked for.
        expected: &'static str,
        /// Type of the array.
        found: String,
        /// The value.
        value: String,
        /// Where it is.
        index: usize,
    },
}
