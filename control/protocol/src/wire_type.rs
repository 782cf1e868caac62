//! Numbers of the types that every process knows without being told.
//!
//! Every message names the type of its payload by a number. Numbers below [`FIRST_DYNAMIC`] mean the same
//! everywhere and describe a payload that is just the values, one after another, from offset 0, without nulls.
//! Higher numbers index the type table in the arena of that output (`docs/shm-layout.md`).

/// No values: an Arrow null array of length 0.
pub const NULL: u32 = 0;
/// `u8`; also what raw bytes are.
pub const UINT8: u32 = 1;
/// `u16`
pub const UINT16: u32 = 2;
/// `u32`
pub const UINT32: u32 = 3;
/// `u64`
pub const UINT64: u32 = 4;
/// `i8`
pub const INT8: u32 = 5;
/// `i16`
pub const INT16: u32 = 6;
/// `i32`
pub const INT32: u32 = 7;
/// `i64`
pub const INT64: u32 = 8;
/// `f32`
pub const FLOAT32: u32 = 9;
/// `f64`
pub const FLOAT64: u32 = 10;
/// One UTF-8 string: the payload is its bytes; readers see a string array of length 1.
pub const UTF8_ONE: u32 = 11;
/// The first number that a type table may hand out.
pub const FIRST_DYNAMIC: u32 = 64;

/// Bytes per value of a fixed-width well-known type, `None` for the others.
pub const fn width(type_id: u32) -> Option<usize> {
    match type_id {
        UINT8 | INT8 => Some(1),
        UINT16 | INT16 => Some(2),
        UINT32 | INT32 | FLOAT32 => Some(4),
        UINT64 | INT64 | FLOAT64 => Some(8),
        _ => None,
    }
}

/// A type whose values can be written and read in place, whatever the bits.
///
/// Sealed: only numbers, because any bit pattern is a valid value of them.
pub trait Primitive: Copy + Send + Sync + 'static + sealed::Sealed {
    /// The well-known number of this type.
    const TYPE_ID: u32;
    /// Its Arrow name, for messages.
    const NAME: &'static str;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! primitive {
    ($($t:ty => $id:ident, $name:literal;)*) => {
        $(impl sealed::Sealed for $t {}
        impl Primitive for $t {
            const TYPE_ID: u32 = $id;
            const NAME: &'static str = $name;
        })*
        /// Arrow name of a well-known type, for messages.
        pub fn name(type_id: u32) -> &'static str {
            match type_id {
                NULL => "Null",
                UTF8_ONE => "Utf8",
                $($id => $name,)*
                _ => "a type of the output's own",
            }
        }
    };
}

primitive! {
    u8 => UINT8, "UInt8"; u16 => UINT16, "UInt16"; u32 => UINT32, "UInt32"; u64 => UINT64, "UInt64";
    i8 => INT8, "Int8"; i16 => INT16, "Int16"; i32 => INT32, "Int32"; i64 => INT64, "Int64";
    f32 => FLOAT32, "Float32"; f64 => FLOAT64, "Float64";
}
