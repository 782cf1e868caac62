//! What crosses the boundary between a runtime and the shared library of an operator: the types of `operator_api.h`.
//!
//! 1. Memory that changes hands (errors, texts) is of `malloc`, and freed with `free` by whom it was given to.
//! 2. A received buffer is kept alive by its message; [`MessageFunctions::retain`] and `release` count who uses it.
//! 3. Structures begin with [`VERSION`], or are reached from one that does. Fields are only ever added at the end.
//!
//! The twin of this file is `include/operator_api.h`.
#![expect(unsafe_code, reason = "the C boundary")]

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use arrow_data::ffi::FFI_ArrowArray;
use arrow_schema::ffi::FFI_ArrowSchema;

/// Version of these structures.
pub const VERSION: u32 = 1;
/// `type_id` of values that are no flat row of numbers.
pub const NOT_FLAT: u32 = u32::MAX;

/// Memory of `malloc`, or of a message (see [`Input`]): `Vec_uint8_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// Null when there is nothing.
    pub ptr: *mut u8,
    /// Bytes.
    pub len: usize,
    /// 0 when `ptr` is of `malloc`; otherwise the message that it belongs to.
    pub cap: usize,
}

impl Bytes {
    /// Nothing.
    pub const NONE: Self = Self { ptr: ptr::null_mut(), len: 0, cap: 0 };

    /// A copy of `bytes`; nothing when there is no memory.
    pub fn copy(bytes: &[u8]) -> Self {
        // SAFETY: `malloc` may be called with any size; the new memory is as long as the copy and does not overlap.
        unsafe {
            let memory = libc::malloc(bytes.len().max(1)).cast::<u8>();
            if memory.is_null() {
                return Self::NONE;
            }
            ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len());
            Self { ptr: memory, len: bytes.len(), cap: 0 }
        }
    }

    /// The bytes, taken out and freed.
    ///
    /// # Safety
    /// `ptr` is null, or of `malloc` and `len` bytes long, and nobody uses it after this.
    pub unsafe fn take(self) -> Vec<u8> {
        if self.ptr.is_null() {
            return Vec::new();
        }
        // SAFETY: as the caller says.
        unsafe {
            let copy = std::slice::from_raw_parts(self.ptr, self.len).to_vec();
            libc::free(self.ptr.cast());
            copy
        }
    }
}

/// An error, or none: `DoraResult_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DoraResult {
    /// Null: no error. Otherwise of `malloc`, as is the text in it.
    pub error: *mut Bytes,
}

impl DoraResult {
    /// No error.
    pub const OK: Self = Self { error: ptr::null_mut() };

    /// An error with this text.
    pub fn error(text: &str) -> Self {
        let text = Bytes::copy(text.as_bytes());
        // SAFETY: `malloc` may be called with any size; the new memory is large enough and aligned for any type.
        unsafe {
            let error = libc::malloc(size_of::<Bytes>()).cast::<Bytes>();
            if !error.is_null() {
                error.write(text);
            }
            Self { error }
        }
    }

    /// As a Rust result; frees the text.
    ///
    /// # Safety
    /// The result came from the other side of the boundary and is used once.
    pub unsafe fn take(self) -> Result<(), String> {
        if self.error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, so it is a `Bytes` of `malloc` (rule 1), and nobody uses it after this.
        let text = unsafe {
            let text = self.error.read().take();
            libc::free(self.error.cast());
            text
        };
        Err(String::from_utf8_lossy(&text).into_owned())
    }
}

/// `DoraInitResult_t`
#[repr(C)]
#[derive(Debug)]
pub struct InitResult {
    /// Whether there is an operator.
    pub result: DoraResult,
    /// The operator, as only its own functions understand it.
    pub operator_context: *mut c_void,
}

/// `OnEventResult_t`
#[repr(C)]
#[derive(Debug)]
pub struct OnEventResult {
    /// Whether it failed.
    pub result: DoraResult,
    /// `DoraStatus_t`: 0 continue, 1 stop, 2 stop all.
    pub status: u8,
}

/// What happened: `RawEvent_t`. Several fields may be set.
#[repr(C)]
#[derive(Debug)]
pub struct RawEvent {
    /// A message, or null.
    pub input: *mut Input,
    /// Name of an input on which nothing more comes.
    pub input_closed: Bytes,
    /// The operator shall end.
    pub stop: bool,
    /// A message could not be read: why.
    pub error: Bytes,
    /// And at which input.
    pub error_input: Bytes,
}

/// A message at an input: `Input_t`. Lives as long as the call.
#[repr(C)]
#[derive(Debug)]
pub struct Input {
    /// [`VERSION`]
    pub version: u32,
    /// Number of the type of flat values ([`dora_protocol::wire_type`]), or [`NOT_FLAT`].
    pub type_id: u32,
    /// Name of the input, `id_len` bytes and a NUL.
    pub id: *const c_char,
    /// Bytes of the name.
    pub id_len: usize,
    /// Flat values; null when they are none.
    pub data: *const u8,
    /// Bytes of `data`.
    pub len: usize,
    /// Keeps `data` alive.
    pub message: *mut Message,
    /// The data was handed out.
    pub taken: bool,
}

/// A message: counted by its functions.
#[repr(C)]
#[derive(Debug)]
pub struct Message {
    /// What can be done with it.
    pub functions: *const MessageFunctions,
}

/// What can be done with a message, on any thread.
#[repr(C)]
#[derive(Debug)]
pub struct MessageFunctions {
    /// One more user.
    pub retain: unsafe extern "C" fn(*mut Message),
    /// One user less; the last one frees it.
    pub release: unsafe extern "C" fn(*mut Message),
    /// The values by the Arrow C Data Interface; no copy.
    pub export: unsafe extern "C" fn(*mut Message, *mut FFI_ArrowArray, *mut FFI_ArrowSchema) -> DoraResult,
    /// The parameters: 0 as in `docs/shm-layout.md`, 1 as JSON. Of `malloc`.
    pub parameters: unsafe extern "C" fn(*mut Message, u32) -> Bytes,
}

/// What an operator sends: `Output_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Output {
    /// [`VERSION`]
    pub version: u32,
    /// Type of `data`; [`NOT_FLAT`] when the values are in `array` and `schema`.
    pub type_id: u32,
    /// Name of the output.
    pub id: *const c_char,
    /// Bytes of the name.
    pub id_len: usize,
    /// Flat values, which are copied; may be null when `len` is 0.
    pub data: *const u8,
    /// Bytes of `data`.
    pub len: usize,
    /// Taken over, also when the send fails.
    pub array: *mut FFI_ArrowArray,
    /// Taken over, also when the send fails.
    pub schema: *mut FFI_ArrowSchema,
    /// Parameters, encoded as `parameters_format` says; null = none.
    pub parameters: *const u8,
    /// Bytes of `parameters`.
    pub parameters_len: usize,
    /// 0 as in `docs/shm-layout.md`, 1 JSON.
    pub parameters_format: u32,
    /// A message whose parameters go along, those above winning; null = none.
    pub forward: *mut Message,
}

/// Sends: `SendOutput_t`. Valid during the call only.
#[repr(C)]
#[derive(Debug)]
pub struct SendOutput {
    /// First argument of the functions.
    pub env_ptr: *mut c_void,
    /// Sends.
    pub call: Option<unsafe extern "C" fn(*mut c_void, *mut Output) -> DoraResult>,
    /// Reserved.
    pub release: Option<unsafe extern "C" fn(*mut c_void)>,
    /// Reserved.
    pub retain: Option<unsafe extern "C" fn(*mut c_void)>,
}

/// What a real-time operator asks at its start: `DoraRtSetup_t`.
#[repr(C)]
#[derive(Debug)]
pub struct RtSetup {
    /// [`VERSION`]
    pub version: u32,
    /// First argument of the functions.
    pub env_ptr: *mut c_void,
    /// Number of an input; negative when there is none. Name, its length, type of its values.
    pub input: unsafe extern "C" fn(*mut c_void, *const c_char, usize, u32) -> i64,
    /// Number of an output; negative when there is none. Name, its length, type of its values, most values per message.
    pub output: unsafe extern "C" fn(*mut c_void, *const c_char, usize, u32, usize) -> i64,
    /// Why the last call gave a negative number.
    pub why: unsafe extern "C" fn(*mut c_void) -> Bytes,
}

/// What a real-time operator is told: `DoraRtEvent_t`.
#[repr(C)]
#[derive(Debug)]
pub struct RtEvent {
    /// [`VERSION`]
    pub version: u32,
    /// [`rt_event`]
    pub kind: u32,
    /// Number of the input.
    pub input: u32,
    /// Type of the values.
    pub type_id: u32,
    /// Values in place, 8-byte aligned at least.
    pub data: *const u8,
    /// Bytes of `data`.
    pub len: usize,
    /// Logical time, nanoseconds.
    pub tag_time_ns: u64,
    /// Ticks that were missed before this one; 0 for everything but ticks.
    pub missed: u64,
    /// Order within one logical time.
    pub microstep: u32,
}

/// Kinds of [`RtEvent`].
pub mod rt_event {
    /// A message, or a tick (whose value is its number, one `u64`).
    pub const INPUT: u32 = 0;
    /// Nothing more comes on this input.
    pub const INPUT_CLOSED: u32 = 1;
    /// The operator shall end.
    pub const STOP: u32 = 2;
    /// A message of another type than the operator asked for; it was dropped.
    pub const WRONG_TYPE: u32 = 3;
}

/// Where a real-time operator sends: `DoraRtOutbox_t`. Valid during the call only.
#[repr(C)]
#[derive(Debug)]
pub struct RtOutbox {
    /// [`VERSION`]
    pub version: u32,
    /// First argument of the functions.
    pub env_ptr: *mut c_void,
    /// Memory for a message of so many bytes on this output; null when there is none. 64-byte aligned.
    pub loan: unsafe extern "C" fn(*mut c_void, u32, usize) -> *mut u8,
    /// Sends the loan of this output, the first so many bytes of it. 0, or what is wrong: [`rt_refused`].
    pub publish: unsafe extern "C" fn(*mut c_void, u32, usize) -> u32,
}

/// Why a real-time operator cannot send.
pub mod rt_refused {
    /// There is no such output, or nothing was loaned.
    pub const UNKNOWN: u32 = 1;
    /// The message is larger than was asked for at the start.
    pub const TOO_LARGE: u32 = 2;
    /// All buffers of the output are in use.
    pub const NO_BUFFER: u32 = 3;
    /// A reader that loses nothing is full.
    pub const FULL: u32 = 4;
}
