//! Text and places that come from C, and text that goes there.
#![expect(unsafe_code, reason = "pointers and lengths of a C program become slices")]

use std::{
    ffi::{c_char, c_void},
    ptr, slice,
};

use dora_node_api::dora_core::config::{DataId, NodeId};

use crate::status::{Failure, Outcome};

/// `len` items from `start`. Null is fine for none.
///
/// # Safety
/// Unless `len` is 0 or `start` is null, `start` points to `len` items that stay as they are for the life of the result.
#[inline]
pub(crate) unsafe fn items<'a, T>(start: *const T, len: usize, what: &str) -> Outcome<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if start.is_null() {
        return Err(Failure::argument(format!("{what} is null, with a length of {len}")));
    }
    if !start.is_aligned() {
        return Err(Failure::argument(format!("{what} is not aligned for its type")));
    }
    if len.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Failure::argument(format!("{what} cannot have a length of {len}")));
    }
    // SAFETY: not null, aligned, no longer than memory can be; the caller answers for the rest.
    Ok(unsafe { slice::from_raw_parts(start, len) })
}

/// Text.
///
/// # Safety
/// As [`items`].
pub(crate) unsafe fn text<'a>(start: *const c_char, len: usize, what: &str) -> Outcome<&'a str> {
    // SAFETY: passed on.
    let bytes = unsafe { items(start.cast::<u8>(), len, what)? };
    std::str::from_utf8(bytes).map_err(|error| Failure::argument(format!("{what} is no UTF-8: {error}")))
}

/// Text that must not be null, even when it is empty.
///
/// # Safety
/// As [`items`].
pub(crate) unsafe fn given<'a>(start: *const c_char, len: usize, what: &str) -> Outcome<&'a str> {
    if start.is_null() {
        return Err(Failure::argument(format!("{what} is null")));
    }
    // SAFETY: passed on.
    unsafe { text(start, len, what) }
}

/// Name of an output as it came: bytes, not null.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a>(pub(crate) &'a [u8]);

impl Name<'_> {
    /// # Safety
    /// As [`items`].
    #[inline]
    pub(crate) unsafe fn read<'a>(start: *const c_char, len: usize) -> Outcome<Name<'a>> {
        if start.is_null() {
            return Err(Failure::argument("`id` is null"));
        }
        // SAFETY: passed on.
        unsafe { items(start.cast::<u8>(), len, "`id`") }.map(Name)
    }

    /// The name, if it can be one.
    pub(crate) fn checked(self) -> Outcome<DataId> {
        let text = std::str::from_utf8(self.0);
        let text = text.map_err(|error| Failure::argument(format!("`id` is no UTF-8: {error}")))?;
        text.parse().map_err(Failure::argument)
    }
}

/// Name of a node.
///
/// # Safety
/// As [`items`].
pub(crate) unsafe fn node_id(start: *const c_char, len: usize, what: &str) -> Outcome<NodeId> {
    // SAFETY: passed on.
    unsafe { given(start, len, what)? }.parse().map_err(Failure::argument)
}

/// Names of inputs or outputs: `count` pointers, and as many lengths.
///
/// # Safety
/// As [`items`], for both lists and for every name.
pub(crate) unsafe fn texts<'a>(
    starts: *const *const c_char,
    lens: *const usize,
    count: usize,
    what: &str,
) -> Outcome<Vec<&'a str>> {
    // SAFETY: passed on.
    let (starts, lens) = unsafe { (items(starts, count, what)?, items(lens, count, "the list of lengths")?) };
    let each = starts.iter().zip(lens);
    // SAFETY: passed on.
    each.map(|(start, len)| unsafe { text(*start, *len, what) }).collect()
}

/// Names of outputs.
///
/// # Safety
/// As [`texts`].
pub(crate) unsafe fn data_ids(
    starts: *const *const c_char,
    lens: *const usize,
    count: usize,
    what: &str,
) -> Outcome<Vec<DataId>> {
    // SAFETY: passed on.
    let names = unsafe { texts(starts, lens, count, what)? };
    names.into_iter().map(|name| name.parse().map_err(Failure::argument)).collect()
}

/// Writes a result where the caller wants it.
///
/// # Safety
/// Unless it is null, `to` is a place for a `T`.
#[inline]
pub(crate) unsafe fn put<T>(to: *mut T, value: T, what: &str) -> Outcome<()> {
    if to.is_null() {
        return Err(Failure::argument(format!("{what} is null: where shall the result go?")));
    }
    if !to.is_aligned() {
        return Err(Failure::argument(format!("{what} is not aligned for its type")));
    }
    // SAFETY: not null, aligned; the caller answers for the rest.
    unsafe { to.write(value) };
    Ok(())
}

/// Writes where items lie and how many they are; `count` is what the caller calls the place for that.
///
/// # Safety
/// As [`put`], for both.
pub(crate) unsafe fn put_items<T>(
    out: *mut *const T,
    len: *mut usize,
    items: &[T],
    count: &str,
) -> Outcome<()> {
    // SAFETY: passed on.
    unsafe {
        put(out, items.as_ptr(), "`out`")?;
        put(len, items.len(), count)
    }
}

/// Writes a place and a length.
///
/// # Safety
/// As [`put`], for both.
pub(crate) unsafe fn put_text(out: *mut *const c_char, len: *mut usize, value: &str) -> Outcome<()> {
    // SAFETY: passed on. `c_char` is a byte.
    unsafe { put_items(out.cast::<*const u8>(), len, value.as_bytes(), "`len`") }
}

/// Writes null and 0 where the places are there.
///
/// # Safety
/// As [`put`], for both.
pub(crate) unsafe fn put_nothing(out: *mut *mut c_char, len: *mut usize) {
    if !out.is_null() && out.is_aligned() {
        // SAFETY: not null, aligned; the caller answers for the rest.
        unsafe { out.write(ptr::null_mut()) };
    }
    if !len.is_null() && len.is_aligned() {
        // SAFETY: as above.
        unsafe { len.write(0) };
    }
}

/// Writes a handle where the caller wants it. Checked before there is one, so that none is lost.
pub(crate) fn can_take(out: *mut *mut c_void) -> Outcome<()> {
    if out.is_null() || !out.is_aligned() {
        return Err(Failure::argument("`out` is null or not aligned: where shall the result go?"));
    }
    Ok(())
}
