//! Metadata, written.
#![expect(unsafe_code, reason = "entry points for C")]

use std::ffi::{c_char, c_int, c_void};

use chrono::DateTime;
use dora_node_api::Parameter;

use crate::{
    metadata::made,
    status::{Failure, Outcome, Status, status},
    text,
};

/// # Safety
/// `key` points to `key_len` bytes; one thread at a time uses `metadata`.
unsafe fn set(
    metadata: *mut c_void,
    key: *const c_char,
    key_len: usize,
    value: impl FnOnce() -> Outcome<Parameter>,
) -> c_int {
    status(|| {
        // SAFETY: passed on.
        let key = unsafe { text::given(key, key_len, "`key`")? };
        if key.starts_with('_') {
            let what =
                format!("parameter `{key}`: names that start with `_` belong to dora and would not arrive");
            return Err(Failure::argument(what));
        }
        // SAFETY: passed on.
        let parameters = unsafe { made(metadata)? };
        let value = value()?;
        match parameters.get_mut(key) {
            Some(place) => *place = value,
            None => drop(parameters.insert(key.to_owned(), value)),
        }
        Ok(())
    })
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $t:ty),*) = $value:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// Every pointer points to as much as its length says; one thread at a time uses `metadata`.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            metadata: *mut c_void,
            key: *const c_char,
            key_len: usize,
            $($arg: $t),*
        ) -> c_int {
            // SAFETY: passed on.
            unsafe { set(metadata, key, key_len, || $value) }
        }
    )*};
}

setters! {
    /// A truth value.
    dora_metadata_set_bool(value: bool) = Ok(Parameter::Bool(value));
    /// A whole number.
    dora_metadata_set_int(value: i64) = Ok(Parameter::Integer(value));
    /// A number.
    dora_metadata_set_float(value: f64) = Ok(Parameter::Float(value));
    /// A point in time, nanoseconds since 1970.
    dora_metadata_set_timestamp(ns: i64) = Ok(Parameter::Timestamp(DateTime::from_timestamp_nanos(ns)));
    /// Text.
    dora_metadata_set_string(value: *const c_char, len: usize) =
        Ok(Parameter::String(text::text(value, len, "`value`")?.to_owned()));
    /// Whole numbers.
    dora_metadata_set_list_int(values: *const i64, count: usize) =
        Ok(Parameter::ListInt(text::items(values, count, "`values`")?.to_vec()));
    /// Numbers.
    dora_metadata_set_list_float(values: *const f64, count: usize) =
        Ok(Parameter::ListFloat(text::items(values, count, "`values`")?.to_vec()));
    /// Texts.
    dora_metadata_set_list_string(values: *const *const c_char, lens: *const usize, count: usize) = {
        let texts = text::texts(values, lens, count, "`values`")?;
        Ok(Parameter::ListString(texts.into_iter().map(str::to_owned).collect()))
    };
}

/// Removes a parameter.
///
/// # Safety
/// `key` points to `key_len` bytes; one thread at a time uses `metadata`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_metadata_remove(
    metadata: *mut c_void,
    key: *const c_char,
    key_len: usize,
) -> c_int {
    status(|| {
        // SAFETY: passed on.
        let (parameters, key) = unsafe { (made(metadata)?, text::given(key, key_len, "`key`")?) };
        let gone = parameters.remove(key);
        gone.map(drop).ok_or_else(|| Failure::new(Status::NotFound, format!("there is no parameter `{key}`")))
    })
}
