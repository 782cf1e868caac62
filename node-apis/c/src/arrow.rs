//! Arrays of any type, over the Arrow C data interface: pointers change hands, values are copied once, on sending.
//!
//! Incoming arrays are borrowed for the call: a copy of the outermost struct, whose release does nothing, is what Arrow
//! imports. So the array is still the caller's when the send fails, and is released when it was sent.
#![expect(unsafe_code, reason = "the Arrow C data interface is made of pointers")]

use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
};

use arrow_array::{Array, ffi::FFI_ArrowSchema, ffi::from_ffi};
use arrow_data::{ArrayData, ffi::FFI_ArrowArray};

use crate::{
    context::context,
    event,
    metadata::with_parameters,
    status::{Failure, Outcome, status},
    text::{self, Name},
};

type Release<T> = Option<unsafe extern "C" fn(*mut T)>;

/// `struct ArrowArray`, as the Arrow C data interface lays it down.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *mut *const c_void,
    children: *mut *mut RawArray,
    dictionary: *mut RawArray,
    release: Release<RawArray>,
    private_data: *mut c_void,
}

/// `struct ArrowSchema`, likewise.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawSchema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    n_children: i64,
    children: *mut *mut RawSchema,
    dictionary: *mut RawSchema,
    release: Release<RawSchema>,
    private_data: *mut c_void,
}

// The layout is the same by the standard; the size shows a slip.
const _: () = assert!(size_of::<RawArray>() == size_of::<FFI_ArrowArray>());
const _: () = assert!(size_of::<RawSchema>() == size_of::<FFI_ArrowSchema>());

/// A copy that owns nothing.
unsafe extern "C" fn release_nothing(array: *mut RawArray) {
    // SAFETY: Arrow calls this with the struct that holds this function, which is alive.
    unsafe { (*array).release = None };
}

/// Numbers that a producer must not write, whatever is behind the pointers.
fn check(array: &RawArray) -> Outcome<()> {
    let wrong = |what: &str| Err(Failure::argument(format!("`array` has {what}")));
    if array.length < 0 || array.offset < 0 || array.length.checked_add(array.offset).is_none() {
        return wrong("a length or an offset below 0 or beyond all numbers");
    }
    if array.n_buffers < 0 || array.n_children < 0 || array.null_count < -1 {
        return wrong("a negative count");
    }
    if array.n_buffers > 0 && array.buffers.is_null() {
        return wrong("buffers, but no list of them");
    }
    if array.n_children > 0 && array.children.is_null() {
        return wrong("children, but no list of them");
    }
    Ok(())
}

/// The array behind two structs, which stay with their owner.
///
/// # Safety
/// `array` and `schema` are null or structs of the Arrow C data interface, filled as it lays down; they outlive the result.
unsafe fn borrowed(array: *const RawArray, schema: *const RawSchema) -> Outcome<ArrayData> {
    if array.is_null() || schema.is_null() || !array.is_aligned() || !schema.is_aligned() {
        return Err(Failure::argument("`array` or `schema` is null or not aligned"));
    }
    // SAFETY: not null, aligned; the caller answers for the rest.
    let (mut copy, released) = unsafe { (*array, (*schema).release.is_none() || (*schema).format.is_null()) };
    if copy.release.is_none() || released {
        return Err(Failure::argument("`array` or `schema` was released before: it holds nothing"));
    }
    check(&copy)?;
    copy.release = Some(release_nothing);
    copy.private_data = ptr::null_mut();
    // SAFETY: both types are the struct of the standard. What the copy points to belongs to the original, which outlives
    // the result; releasing the copy releases nothing.
    let (copy, schema) = unsafe {
        (ptr::read((&raw const copy).cast::<FFI_ArrowArray>()), &*schema.cast::<FFI_ArrowSchema>())
    };
    // SAFETY: the caller says that the structs are filled as the standard demands.
    unsafe { from_ffi(copy, schema) }.map_err(Failure::argument)
}

/// # Safety
/// As [`borrowed`].
unsafe fn send(
    ctx: *mut c_void,
    id: Name<'_>,
    (array, schema): (*const RawArray, *const RawSchema),
    metadata: *const c_void,
) -> Outcome<()> {
    let context = context(ctx)?;
    // SAFETY: passed on.
    let data = unsafe { borrowed(array, schema) };
    with_parameters(metadata, |params| {
        let mut half = context.sending()?;
        let (node, output) = half.output(id)?;
        let data = data.map_err(|failure| {
            Failure::new(failure.status, format!("output `{output}`: {}", failure.text))
        })?;
        node.send_array_data(output, params, &data).map_err(Failure::of)
    })
}

/// Sends an array. When that worked, array and schema were released.
///
/// # Safety
/// `id` points to `id_len` bytes; `array` and `schema` are null or filled as the Arrow C data interface lays down.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_send_arrow(
    ctx: *mut c_void,
    id: *const c_char,
    id_len: usize,
    array: *mut c_void,
    schema: *mut c_void,
    metadata: *const c_void,
) -> c_int {
    status(|| {
        let (array, schema) = (array.cast::<RawArray>(), schema.cast::<RawSchema>());
        // SAFETY: passed on. Releasing is what a consumer has to do, once; the release functions mark the structs.
        unsafe {
            send(ctx, Name::read(id, id_len)?, (array, schema), metadata)?;
            if let Some(release) = (*array).release {
                release(array);
            }
            if let Some(release) = (*schema).release {
                release(schema);
            }
        }
        Ok(())
    })
}

/// The array of an input, in place. It outlives the event; who took it releases it.
///
/// # Safety
/// `array` and `schema` are null or places for the structs of the Arrow C data interface. What was in them is lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_export_input(
    event: *mut c_void,
    array: *mut c_void,
    schema: *mut c_void,
) -> c_int {
    status(|| {
        let (array, schema) = (array.cast::<FFI_ArrowArray>(), schema.cast::<FFI_ArrowSchema>());
        if array.is_null() || schema.is_null() {
            return Err(Failure::argument("`array` or `schema` is null: where shall the result go?"));
        }
        let input = event::input(event)?;
        let data = input.array().to_data();
        let about = FFI_ArrowSchema::try_from(data.data_type()).map_err(Failure::of)?;
        // SAFETY: not null, alignment is checked; the caller answers for the rest.
        unsafe {
            text::put(schema, about, "`schema`")?;
            text::put(array, FFI_ArrowArray::new(&data), "`array`")
        }
    })
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use arrow_array::{Int32Array, StringArray};

    use super::*;

    /// Exported, with a schema.
    fn exported(array: &dyn Array) -> (FFI_ArrowArray, FFI_ArrowSchema) {
        let data = array.to_data();
        (FFI_ArrowArray::new(&data), FFI_ArrowSchema::try_from(data.data_type()).unwrap())
    }

    fn raw(pair: &mut (FFI_ArrowArray, FFI_ArrowSchema)) -> (*mut RawArray, *mut RawSchema) {
        ((&raw mut pair.0).cast(), (&raw mut pair.1).cast())
    }

    #[test]
    fn array_is_read_and_stays_with_its_owner() {
        let words = StringArray::from(vec![Some("a"), None, Some("ccc")]);
        let mut pair = exported(&words);
        let (array, schema) = raw(&mut pair);
        // SAFETY: filled by `exported`, alive until the end of the test.
        let data = unsafe { borrowed(array, schema) }.unwrap();
        assert_eq!(StringArray::from(data), words);
        assert!(!pair.0.is_released(), "the borrowed copy released the original");
    }

    #[test]
    fn released_and_impossible_structs_are_refused() {
        let refused = |spoil: fn(&mut RawArray)| {
            let mut pair = exported(&Int32Array::from(vec![1, 2]));
            let (array, schema) = raw(&mut pair);
            // SAFETY: as above; the spoilt copy is never released.
            unsafe {
                let mut spoilt = *array;
                spoil(&mut spoilt);
                borrowed(&spoilt, schema).unwrap_err().text
            }
        };
        assert!(refused(|array| array.release = None).contains("released before"));
        assert!(refused(|array| array.length = -1).contains("below 0"));
        assert!(refused(|array| array.offset = i64::MAX).contains("beyond"));
        assert!(refused(|array| array.n_buffers = -2).contains("negative"));
        assert!(refused(|array| array.buffers = ptr::null_mut()).contains("no list"));
        // SAFETY: null is allowed.
        let failure = unsafe { borrowed(ptr::null(), ptr::null()) }.unwrap_err();
        assert!(failure.text.contains("null"), "{}", failure.text);
    }

    #[test]
    fn layout_is_that_of_the_standard() {
        let word = size_of::<usize>();
        assert_eq!((offset_of!(RawArray, buffers), offset_of!(RawArray, release)), (40, 40 + 3 * word));
        assert_eq!(offset_of!(RawSchema, release), offset_of!(RawSchema, n_children) + 8 + 2 * word);
    }
}
