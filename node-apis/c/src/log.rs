//! Log lines, with a target and fields or without.
#![expect(unsafe_code, reason = "entry points for C")]

use std::{
    collections::BTreeMap,
    ffi::{c_char, c_int, c_void},
};

use dora_node_api::{LogOrigin, log_from};

use crate::{
    context::context,
    status::{Outcome, status, zero_or_minus_one},
    text,
};

/// `struct DoraLogField` of `node_api.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DoraLogField {
    /// Name.
    pub key: *const c_char,
    /// Its length in bytes.
    pub key_len: usize,
    /// Text.
    pub value: *const c_char,
    /// Its length in bytes.
    pub value_len: usize,
}

/// # Safety
/// `fields` points to `count` fields whose pointers and lengths are right.
unsafe fn read(fields: *const DoraLogField, count: usize) -> Outcome<BTreeMap<String, String>> {
    // SAFETY: passed on.
    let fields = unsafe { text::items(fields, count, "`fields`")? };
    let each = fields.iter().map(|field| {
        // SAFETY: passed on.
        let (key, value) = unsafe {
            let key = text::text(field.key, field.key_len, "the name of a field")?;
            (key, text::text(field.value, field.value_len, "the value of a field")?)
        };
        Ok((key.to_owned(), value.to_owned()))
    });
    each.collect()
}

/// Writes a log line.
///
/// # Safety
/// `level` and `message` point to as many bytes as their lengths say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_log(
    ctx: *mut c_void,
    level: *const c_char,
    level_len: usize,
    message: *const c_char,
    message_len: usize,
) -> c_int {
    zero_or_minus_one(|| {
        let context = context(ctx)?;
        // SAFETY: passed on.
        let (level, message) = unsafe {
            (text::given(level, level_len, "`level`")?, text::text(message, message_len, "`msg`")?)
        };
        context.log(level, message, None);
        Ok(())
    })
}

/// As [`dora_log`], with a target and fields.
///
/// # Safety
/// Every pointer points to as much as its length says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_log_with_fields(
    ctx: *mut c_void,
    level: *const c_char,
    level_len: usize,
    message: *const c_char,
    message_len: usize,
    target: *const c_char,
    target_len: usize,
    fields: *const DoraLogField,
    count: usize,
) -> c_int {
    status(|| {
        let context = context(ctx)?;
        // SAFETY: passed on.
        let (level, message, target, fields) = unsafe {
            (
                text::given(level, level_len, "`level`")?,
                text::text(message, message_len, "`msg`")?,
                text::text(target, target_len, "`target`")?,
                read(fields, count)?,
            )
        };
        let target = (!target.is_empty()).then_some(target);
        let fields = (!fields.is_empty()).then_some(&fields);
        log_from(context.node_id(), level, message, target, LogOrigin::default(), fields);
        Ok(())
    })
}
