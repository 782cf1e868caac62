//! Arrow arrays to and from the bytes of a shared-memory slot, without copying on the way out.
//!
//! Sending: [`plan`] says how many bytes an array needs and where they go, [`Plan::write`] puts them there in one
//! copy. Receiving: [`decode`] builds the array over the bytes in place; what holds the bytes, a [`PayloadOwner`],
//! lives until the last clone of the array is gone. Types travel once per output: [`TypeNumbers`] and [`TypeCache`]
//! are the two ends of that.
//!
//! A message is one of three things:
//!
//! | type number | payload | layout record |
//! |---|---|---|
//! | a fixed-width well-known type | the values, from offset 0, without nulls | none |
//! | `UTF8_ONE` | the bytes of one string | none |
//! | of the output's own | buffers, each at a multiple of 64 bytes | lengths, in the order of the type (see [`plan`]) |
//!
//! Everything that is read comes from another process. A number is checked before it is used; a wrong one is a
//! [`CodecError`], never a panic. One thing cannot be checked: a sender that rewrites a slot after it was read.
//!
//! [`DoraArray`] is what user code sees of all this: an Arrow array that does not show its Arrow version.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod array;
mod decode;
mod error;
mod from_array;
mod into_arrow;
mod layout;
mod owner;
mod place;
mod plan;
mod type_table;
mod types;
mod used;
mod wire;

pub use array::{DoraArray, internal};
pub use decode::{decode, decode_as};
pub use error::{CodecError, ConvertError};
pub use from_array::into_vec;
pub use into_arrow::IntoArrow;
pub use layout::split_layout;
pub use owner::PayloadOwner;
pub use plan::{Encoded, Plan, TypeRef, plan};
pub use type_table::{Numbered, TypeCache, TypeNumbers};
pub use types::{decode_type, encode_type, split_type, type_of_values};

/// The Arrow crate whose types this crate takes and gives.
#[cfg(feature = "arrow-v59")]
pub use arrow as arrow_v59;

/// How deep a type may be nested. Deeper ones are refused on both ends, so a record cannot exhaust the stack.
pub const MAX_DEPTH: usize = 32;

/// The longest array that is taken or given. Keeps products of a length and a width far from overflow.
pub const MAX_LEN: u64 = 1 << 40;

/// Every buffer starts at a multiple of this many bytes.
pub const ALIGNMENT: usize = 64;
