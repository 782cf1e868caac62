//! Metadata, read: of an input, or that a program made.
//!
//! The functions here take either handle. What they give out is borrowed from it.
#![expect(unsafe_code, reason = "entry points for C")]

use std::{
    cell::RefCell,
    ffi::{c_char, c_int, c_ulonglong, c_void},
};

use chrono::{DateTime, SecondsFormat, Utc};
use dora_node_api::{MetadataParameters, Parameter};
use serde_json::{Map, Value};

use crate::{
    event,
    status::{Failure, Outcome, Status, handle, number, status},
    table::{Kind, Table},
    text,
};

/// What a metadata handle stands for.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) parameters: MetadataParameters,
    /// Of the input that it was copied from.
    timestamp: u64,
}

static METADATA: Table<Made> = Table::new(Kind::Metadata);

thread_local! {
    /// The last JSON text that this thread asked for.
    static JSON: RefCell<String> = const { RefCell::new(String::new()) };
}

/// # Safety
/// As [`Table::get_mut`].
pub(crate) unsafe fn made<'a>(metadata: *mut c_void) -> Outcome<&'a mut MetadataParameters> {
    // SAFETY: passed on.
    unsafe { METADATA.get_mut(metadata) }.map(|made| &mut made.parameters)
}

/// Parameters of an event or of metadata.
pub(crate) fn parameters<'a>(source: *const c_void) -> Outcome<&'a MetadataParameters> {
    if Kind::Event.is(source) {
        return event::input(source).map(|input| &input.metadata.parameters);
    }
    METADATA.get(source).map(|made| &made.parameters)
}

/// Calls `body` with the parameters; none for null.
pub(crate) fn with_parameters<T>(
    source: *const c_void,
    body: impl FnOnce(&MetadataParameters) -> Outcome<T>,
) -> Outcome<T> {
    if source.is_null() { body(&MetadataParameters::new()) } else { body(parameters(source)?) }
}

/// Metadata without parameters.
#[unsafe(no_mangle)]
pub extern "C" fn dora_new_metadata() -> *mut c_void {
    handle(|| METADATA.insert(Made::default()))
}

/// A copy of the metadata of an input, or of other metadata, to be changed and sent.
#[unsafe(no_mangle)]
pub extern "C" fn dora_copy_metadata(source: *const c_void) -> *mut c_void {
    handle(|| {
        let made = Made { parameters: parameters(source)?.clone(), timestamp: timestamp(source)? };
        METADATA.insert(made)
    })
}

/// Done with.
#[unsafe(no_mangle)]
pub extern "C" fn dora_free_metadata(metadata: *mut c_void) -> c_int {
    status(|| METADATA.free(metadata))
}

fn timestamp(source: *const c_void) -> Outcome<u64> {
    if Kind::Event.is(source) {
        return event::input(source).map(|input| input.metadata.timestamp().get_time().as_u64());
    }
    METADATA.get(source).map(|made| made.timestamp)
}

/// When the input was sent that this is of; 0 when it is of none.
#[unsafe(no_mangle)]
pub extern "C" fn dora_metadata_timestamp(source: *const c_void) -> c_ulonglong {
    number(0, || timestamp(source))
}

/// Number of parameters; -1 for a failure.
#[unsafe(no_mangle)]
pub extern "C" fn dora_metadata_count(source: *const c_void) -> i64 {
    number(-1, || parameters(source).map(|params| params.len() as i64))
}

/// Name of the `index`th parameter, in alphabetical order.
///
/// # Safety
/// `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_metadata_key(
    source: *const c_void,
    index: usize,
    out: *mut *const c_char,
    len: *mut usize,
) -> c_int {
    status(|| {
        let params = parameters(source)?;
        let key = params.keys().nth(index).ok_or_else(|| {
            Failure::new(
                Status::NotFound,
                format!("there are {} parameters, not {index} and one", params.len()),
            )
        })?;
        // SAFETY: passed on.
        unsafe { text::put_text(out, len, key) }
    })
}

fn type_number(parameter: &Parameter) -> c_int {
    match parameter {
        Parameter::Bool(_) => 0,
        Parameter::Integer(_) => 1,
        Parameter::Float(_) => 2,
        Parameter::String(_) => 3,
        Parameter::ListInt(_) => 4,
        Parameter::ListFloat(_) => 5,
        Parameter::ListString(_) => 6,
        Parameter::Timestamp(_) => 7,
    }
}

const NAMES: [&str; 8] = [
    "a bool",
    "an integer",
    "a float",
    "a string",
    "a list of integers",
    "a list of floats",
    "a list of strings",
    "a time",
];

fn name(number: c_int) -> &'static str {
    NAMES.get(number as usize).copied().unwrap_or("something else")
}

/// # Safety
/// `key` points to `key_len` bytes.
unsafe fn parameter<'a>(
    source: *const c_void,
    key: *const c_char,
    key_len: usize,
) -> Outcome<(&'a str, &'a Parameter)> {
    // SAFETY: passed on.
    let key = unsafe { text::given(key, key_len, "`key`")? };
    let found = parameters(source)?.get_key_value(key);
    let found = found.map(|(key, value)| (key.as_str(), value));
    found.ok_or_else(|| Failure::new(Status::NotFound, format!("there is no parameter `{key}`")))
}

/// Type of a parameter, a number of `enum DoraMetadataType`, or a negative one of `enum DoraStatus`.
///
/// # Safety
/// `key` points to `key_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_metadata_type(
    source: *const c_void,
    key: *const c_char,
    key_len: usize,
) -> c_int {
    let mut found = 0;
    let outcome = status(|| {
        // SAFETY: passed on.
        found = type_number(unsafe { parameter(source, key, key_len)? }.1);
        Ok(())
    });
    if outcome == 0 { found } else { outcome }
}

/// A parameter of one type, as `pick` sees it.
///
/// # Safety
/// `key` points to `key_len` bytes.
unsafe fn typed<'a, T>(
    source: *const c_void,
    key: *const c_char,
    key_len: usize,
    wanted: c_int,
    pick: impl FnOnce(&'a Parameter) -> Option<T>,
) -> Outcome<T> {
    // SAFETY: passed on.
    let (key, found) = unsafe { parameter(source, key, key_len)? };
    pick(found).ok_or_else(|| {
        let (found, wanted) = (name(type_number(found)), name(wanted));
        Failure::new(Status::WrongType, format!("parameter `{key}` is {found}, not {wanted}"))
    })
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $variant:ident($wanted:literal) -> $t:ty = $pick:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// `key` points to `key_len` bytes; `out` is a place for a result, or null.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            source: *const c_void,
            key: *const c_char,
            key_len: usize,
            out: *mut $t,
        ) -> c_int {
            let pick = |found: &Parameter| match found {
                Parameter::$variant(value) => $pick(value),
                _ => None,
            };
            // SAFETY: passed on.
            status(|| unsafe { text::put(out, typed(source, key, key_len, $wanted, pick)?, "`out`") })
        }
    )*};
}

/// Nanoseconds since 1970, where they fit.
fn nanoseconds(point: &DateTime<Utc>) -> Option<i64> {
    point.timestamp_nanos_opt()
}

getters! {
    /// A truth value.
    dora_metadata_get_bool: Bool(0) -> bool = |value: &bool| Some(*value);
    /// A whole number.
    dora_metadata_get_int: Integer(1) -> i64 = |value: &i64| Some(*value);
    /// A number.
    dora_metadata_get_float: Float(2) -> f64 = |value: &f64| Some(*value);
    /// A point in time, nanoseconds since 1970.
    dora_metadata_get_timestamp: Timestamp(7) -> i64 = nanoseconds;
}

/// Text.
///
/// # Safety
/// `key` points to `key_len` bytes; `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_metadata_get_string(
    source: *const c_void,
    key: *const c_char,
    key_len: usize,
    out: *mut *const c_char,
    len: *mut usize,
) -> c_int {
    status(|| {
        let pick = |found: &'static Parameter| match found {
            Parameter::String(value) => Some(value),
            _ => None,
        };
        // SAFETY: passed on.
        unsafe { text::put_text(out, len, typed(source, key, key_len, 3, pick)?) }
    })
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident: $variant:ident($wanted:literal) -> $t:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// `key` points to `key_len` bytes; `out` and `count` are places for a result, or null.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            source: *const c_void,
            key: *const c_char,
            key_len: usize,
            out: *mut *const $t,
            count: *mut usize,
        ) -> c_int {
            let pick = |found: &'static Parameter| match found {
                Parameter::$variant(list) => Some(list),
                _ => None,
            };
            // SAFETY: passed on.
            status(|| unsafe {
                text::put_items(out, count, typed(source, key, key_len, $wanted, pick)?, "`count`")
            })
        }
    )*};
}

lists! {
    /// Whole numbers.
    dora_metadata_get_list_int: ListInt(4) -> i64;
    /// Numbers.
    dora_metadata_get_list_float: ListFloat(5) -> f64;
}

/// The `index`th of several texts, and how many there are.
///
/// # Safety
/// `key` points to `key_len` bytes; `out`, `len` and `count` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_metadata_get_list_string(
    source: *const c_void,
    key: *const c_char,
    key_len: usize,
    index: usize,
    out: *mut *const c_char,
    len: *mut usize,
    count: *mut usize,
) -> c_int {
    status(|| {
        let pick = |found: &'static Parameter| match found {
            Parameter::ListString(list) => Some(list),
            _ => None,
        };
        // SAFETY: passed on.
        let list = unsafe { typed(source, key, key_len, 6, pick)? };
        if !count.is_null() {
            // SAFETY: passed on.
            unsafe { text::put(count, list.len(), "`count`")? };
        }
        let item = list.get(index).ok_or_else(|| {
            Failure::new(Status::NotFound, format!("the list has {} texts, not {index} and one", list.len()))
        })?;
        // SAFETY: passed on.
        unsafe { text::put_text(out, len, item) }
    })
}

fn json(parameter: &Parameter) -> Value {
    match parameter {
        Parameter::Bool(value) => (*value).into(),
        Parameter::Integer(value) => (*value).into(),
        Parameter::Float(value) => (*value).into(),
        Parameter::String(value) => value.as_str().into(),
        Parameter::ListInt(list) => list.as_slice().into(),
        Parameter::ListFloat(list) => list.as_slice().into(),
        Parameter::ListString(list) => list.as_slice().into(),
        Parameter::Timestamp(point) => point.to_rfc3339_opts(SecondsFormat::AutoSi, true).into(),
    }
}

/// All parameters as a JSON object, or one of them (with a key). Valid until the next call of this on the same thread.
///
/// # Safety
/// `key` points to `key_len` bytes or is null; `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_metadata_json(
    source: *const c_void,
    key: *const c_char,
    key_len: usize,
    out: *mut *const c_char,
    len: *mut usize,
) -> c_int {
    status(|| {
        let value = if key.is_null() {
            let each = parameters(source)?.iter().map(|(key, value)| (key.clone(), json(value)));
            Value::Object(each.collect::<Map<_, _>>())
        } else {
            // SAFETY: passed on.
            json(unsafe { parameter(source, key, key_len)? }.1)
        };
        JSON.with_borrow_mut(|last| {
            *last = value.to_string();
            // SAFETY: passed on.
            unsafe { text::put_text(out, len, last) }
        })
    })
}
