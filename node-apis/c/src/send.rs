//! Outputs: bytes, numbers, closing.
#![expect(unsafe_code, reason = "entry points for C")]

use std::{
    ffi::{c_char, c_int, c_void},
    time::Duration,
};

use dora_protocol::wire_type;

use crate::{
    context::context,
    metadata::with_parameters,
    receive::limit,
    status::{Failure, Outcome, Status, status, zero_or_minus_one},
    text::{self, Name},
};

/// Looks again for room after this long, should a signal have come.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Bytes per value of a type of `enum DoraNumberType`.
pub(crate) fn width(type_id: u32) -> Outcome<usize> {
    let refused = || Failure::argument(format!("{type_id} is no type of numbers: see enum DoraNumberType"));
    wire_type::width(type_id).ok_or_else(refused)
}

/// # Safety
/// `id` and `values` point to as many bytes as their lengths say.
unsafe fn send(
    ctx: *mut c_void,
    (id, id_len): (*const c_char, usize),
    type_id: u32,
    (values, len): (*const u8, usize),
    metadata: *const c_void,
) -> Outcome<()> {
    let context = context(ctx)?;
    // SAFETY: passed on.
    let (id, values) = unsafe { (Name::read(id, id_len)?, text::items(values, len, "`data`")?) };
    with_parameters(metadata, |params| {
        let mut half = context.sending()?;
        let (node, output) = half.output(id)?;
        node.send_values(output, params, type_id, values).map_err(Failure::of)
    })
}

/// Sends bytes.
///
/// # Safety
/// `id` and `data` point to as many bytes as their lengths say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_send_output(
    ctx: *mut c_void,
    id: *const c_char,
    id_len: usize,
    data: *const c_char,
    data_len: usize,
) -> c_int {
    let (id, bytes) = ((id, id_len), (data.cast(), data_len));
    // SAFETY: passed on.
    zero_or_minus_one(|| unsafe { send(ctx, id, wire_type::UINT8, bytes, std::ptr::null()) })
}

/// Sends bytes with parameters.
///
/// # Safety
/// `id` and `data` point to as many bytes as their lengths say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_send_output_with_metadata(
    ctx: *mut c_void,
    id: *const c_char,
    id_len: usize,
    data: *const c_char,
    data_len: usize,
    metadata: *const c_void,
) -> c_int {
    let (id, bytes) = ((id, id_len), (data.cast(), data_len));
    // SAFETY: passed on.
    status(|| unsafe { send(ctx, id, wire_type::UINT8, bytes, metadata) })
}

/// Sends `count` numbers of a type of `enum DoraNumberType`.
///
/// # Safety
/// `id` points to `id_len` bytes, `values` to `count` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_send_values(
    ctx: *mut c_void,
    id: *const c_char,
    id_len: usize,
    number_type: u32,
    values: *const c_void,
    count: usize,
    metadata: *const c_void,
) -> c_int {
    status(|| {
        let len = width(number_type)?.checked_mul(count);
        let len = len.ok_or_else(|| Failure::argument(format!("{count} values are more than memory has")))?;
        // SAFETY: passed on.
        unsafe { send(ctx, (id, id_len), number_type, (values.cast(), len), metadata) }
    })
}

/// Sends one string.
///
/// # Safety
/// `id` and `string` point to as many bytes as their lengths say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_send_text(
    ctx: *mut c_void,
    id: *const c_char,
    id_len: usize,
    string: *const c_char,
    len: usize,
    metadata: *const c_void,
) -> c_int {
    status(|| {
        // SAFETY: passed on.
        let bytes = unsafe { text::text(string, len, "`text`")? }.as_bytes();
        // SAFETY: passed on; the bytes are a slice.
        unsafe { send(ctx, (id, id_len), wire_type::UTF8_ONE, (bytes.as_ptr(), bytes.len()), metadata) }
    })
}

/// Waits until a send on an output would not wait for a `backpressure` reader.
///
/// # Safety
/// `id` points to `id_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_wait_for_room(
    ctx: *mut c_void,
    id: *const c_char,
    id_len: usize,
    timeout_ns: i64,
) -> c_int {
    status(|| {
        // SAFETY: passed on.
        let id = unsafe { Name::read(id, id_len)? };
        let mut half = context(ctx)?.sending()?;
        let (node, output) = half.output(id)?;
        let limit = limit(timeout_ns).unwrap_or(FOREVER);
        if node.wait_for_room(output, limit) {
            return Ok(());
        }
        Err(Failure::new(
            Status::Timeout,
            format!("output `{output}` has a `backpressure` reader that is full"),
        ))
    })
}

/// Closes outputs.
///
/// # Safety
/// `ids` and `id_lens` point to `count` entries, and every id to as many bytes as its length says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_close_outputs(
    ctx: *mut c_void,
    ids: *const *const c_char,
    id_lens: *const usize,
    count: usize,
) -> c_int {
    status(|| {
        // SAFETY: passed on.
        let ids = unsafe { text::data_ids(ids, id_lens, count, "`ids`")? };
        context(ctx)?.sending()?.node.close_outputs(ids).map_err(Failure::of)
    })
}
