//! From the C symbols of a library to the operator in it. Used by the macros.
//!
//! A panic never crosses the boundary: it becomes an error with its text.
#![expect(unsafe_code, reason = "the C boundary")]

use std::{
    any::Any,
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr, slice, str,
};

use arrow_array::make_array;
use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::ffi::FFI_ArrowSchema;
use dora_arrow_codec::{DoraArray, internal};
use dora_protocol::metadata::{self, MetadataParameters};

use crate::{
    DoraOperator, DoraOutputSender, DoraStatus, Event,
    abi::{
        Bytes, DoraResult, InitResult, Input, Message, OnEventResult, RawEvent, RtEvent, RtOutbox, RtSetup,
        SendOutput, VERSION,
    },
    event::set_current,
    rt::{self, RtOperator},
};

/// A message that is kept alive.
#[derive(Debug)]
pub(crate) struct Received(*mut Message);

impl Received {
    /// # Safety
    /// `message` is live, or null.
    unsafe fn retain(message: *mut Message) -> Option<Self> {
        if message.is_null() {
            return None;
        }
        // SAFETY: live, so its functions are; they may be called on any thread.
        unsafe { ((*(*message).functions).retain)(message) };
        Some(Self(message))
    }

    pub(crate) fn as_ptr(&self) -> *mut Message {
        self.0
    }

    pub(crate) fn parameters(&self) -> MetadataParameters {
        // SAFETY: retained, so it is live; what comes back is of `malloc`.
        let encoded = unsafe { ((*(*self.0).functions).parameters)(self.0, 0).take() };
        metadata::decode(&encoded).unwrap_or_default()
    }

    fn array(&self) -> Result<DoraArray, String> {
        let (mut array, mut schema) = (FFI_ArrowArray::empty(), FFI_ArrowSchema::empty());
        // SAFETY: retained, so it is live; the runtime fills both structures, which own what is in them.
        let data = unsafe {
            ((*(*self.0).functions).export)(self.0, &raw mut array, &raw mut schema).take()?;
            arrow_array::ffi::from_ffi(array, &schema).map_err(|error| error.to_string())?
        };
        Ok(internal::wrap(make_array(data)))
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // SAFETY: retained once, given back once.
        unsafe { ((*(*self.0).functions).release)(self.0) };
    }
}

fn panicked(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("the operator panicked: {}", text.unwrap_or("without a text"))
}

fn guarded<R>(run: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result,
        Err(payload) => {
            let text = panicked(&*payload);
            // Dropping the payload may panic again.
            std::mem::forget(payload);
            Err(text)
        }
    }
}

fn boxed<T>(made: Result<T, String>) -> InitResult {
    match made {
        Ok(operator) => {
            InitResult { result: DoraResult::OK, operator_context: Box::into_raw(Box::new(operator)).cast() }
        }
        Err(text) => InitResult { result: DoraResult::error(&text), operator_context: ptr::null_mut() },
    }
}

/// `dora_init_operator`
pub fn init<T: DoraOperator>() -> InitResult {
    boxed(guarded(|| Ok(T::default())))
}

/// `dora_drop_operator`
///
/// # Safety
/// `context` came from [`init`] or [`rt_init`] of the same type, and is not used again.
pub unsafe fn drop<T>(context: *mut c_void) -> DoraResult {
    if context.is_null() {
        return DoraResult::error("there is no operator to drop");
    }
    // SAFETY: as the caller says.
    let operator = unsafe { Box::from_raw(context.cast::<T>()) };
    match guarded(|| {
        std::mem::drop(operator);
        Ok(())
    }) {
        Ok(()) => DoraResult::OK,
        Err(text) => DoraResult::error(&text),
    }
}

/// A text that belongs to the caller.
///
/// # Safety
/// `ptr` is null or `len` bytes long, for as long as the result is used.
unsafe fn text<'a>(ptr: *const u8, len: usize) -> &'a str {
    if ptr.is_null() {
        return "";
    }
    // SAFETY: as the caller says.
    str::from_utf8(unsafe { slice::from_raw_parts(ptr, len) }).unwrap_or("?")
}

/// `dora_on_event`
///
/// # Safety
/// The pointers are live, `context` came from [`init`] of the same type, and no other thread uses it now.
pub unsafe fn on_event<T: DoraOperator>(
    event: *mut RawEvent,
    send_output: *const SendOutput,
    context: *mut c_void,
) -> OnEventResult {
    if event.is_null() || send_output.is_null() || context.is_null() {
        let what = "dora_on_event was called with a null pointer";
        return OnEventResult { result: DoraResult::error(what), status: DoraStatus::Stop as u8 };
    }
    // SAFETY: not null, and as the caller says.
    let (raw, operator, send) = unsafe { (&*event, &mut *context.cast::<T>(), &*send_output) };
    // SAFETY: as the caller says.
    match guarded(|| unsafe { dispatch(raw, send, operator) }) {
        Ok(status) => OnEventResult { result: DoraResult::OK, status: status as u8 },
        Err(text) => OnEventResult { result: DoraResult::error(&text), status: DoraStatus::Stop as u8 },
    }
}

/// # Safety
/// Everything that `raw` points to is live.
unsafe fn dispatch<T: DoraOperator>(
    raw: &RawEvent,
    send: &SendOutput,
    operator: &mut T,
) -> Result<DoraStatus, String> {
    let mut sender = DoraOutputSender::new(send);
    let mut status = DoraStatus::Continue;
    let mut tell = |event: &Event<'_>| {
        let said = operator.on_event(event, &mut sender)?;
        if said as u8 > status as u8 {
            status = said;
        }
        Ok::<(), String>(())
    };
    // SAFETY: null or live, as the caller says.
    if let Some(input) = unsafe { raw.input.as_ref() } {
        // SAFETY: the parts of a live input are live.
        unsafe { with_input(input, &mut tell)? };
    }
    let named = |bytes: &Bytes| (!bytes.ptr.is_null()).then_some(*bytes);
    if let Some(error) = named(&raw.error) {
        // SAFETY: the texts of a live event are live.
        let (id, error) =
            unsafe { (text(raw.error_input.ptr, raw.error_input.len), text(error.ptr, error.len)) };
        tell(&Event::InputParseError { id, error: error.to_owned() })?;
    }
    if let Some(id) = named(&raw.input_closed) {
        // SAFETY: as above.
        tell(&Event::InputClosed { id: unsafe { text(id.ptr, id.len) } })?;
    }
    if raw.stop {
        tell(&Event::Stop)?;
    }
    Ok(status)
}

/// # Safety
/// Everything that `input` points to is live.
unsafe fn with_input(
    input: &Input,
    tell: &mut impl FnMut(&Event<'_>) -> Result<(), String>,
) -> Result<(), String> {
    if input.version < VERSION {
        return Err("the runtime is older than the API that this operator was built with".into());
    }
    // SAFETY: as the caller says.
    let (id, received) = unsafe { (text(input.id.cast(), input.id_len), Received::retain(input.message)) };
    let Some(received) = received else { return Err(format!("input `{id}` has no message")) };
    let event = match received.array() {
        Ok(data) => Event::Input { id, data },
        Err(error) => Event::InputParseError { id, error },
    };
    let before = set_current(Some(received));
    let told = guarded(|| tell(&event));
    std::mem::drop(set_current(before));
    told
}

/// `dora_rt_init_operator`
///
/// # Safety
/// `setup` is live, or null.
pub unsafe fn rt_init<T: RtOperator>(setup: *mut RtSetup) -> InitResult {
    // SAFETY: as the caller says.
    let Some(raw) = (unsafe { setup.as_mut() }) else {
        return boxed::<T>(Err("dora_rt_init_operator was called with a null pointer".into()));
    };
    boxed(guarded(|| T::start(&mut rt::Setup::new(raw))))
}

/// `dora_rt_on_event`
///
/// # Safety
/// The pointers are live, `context` came from [`rt_init`] of the same type, and no other thread uses it now.
pub unsafe fn rt_on_event<T: RtOperator>(
    event: *const RtEvent,
    outbox: *const RtOutbox,
    context: *mut c_void,
) -> u8 {
    // SAFETY: null, or live as the caller says.
    let (event, outbox, operator) =
        unsafe { (event.as_ref(), outbox.as_ref(), context.cast::<T>().as_mut()) };
    let (Some(event), Some(outbox), Some(operator)) = (event, outbox, operator) else { return rt::FAILED };
    let run = || operator.on_event(&rt::Event::new(event), &mut rt::Outbox::new(outbox));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(status) => status as u8,
        Err(payload) => {
            std::mem::forget(payload);
            rt::FAILED
        }
    }
}
