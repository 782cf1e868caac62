//! Events: what kind they are, and what is in them.
//!
//! Everything that is read from an event is borrowed from it. Several threads may read one event at the same time; a text that
//! has to be made first is made once.
#![expect(unsafe_code, reason = "entry points for C")]

use std::{
    ffi::{c_char, c_int, c_ulonglong, c_void},
    sync::OnceLock,
};

use arrow_array::{
    Array, ArrayRef, PrimitiveArray, UInt8Array,
    types::{
        ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_schema::DataType;
use dora_arrow_codec::internal;
use dora_node_api::{DoraArray, Event, Metadata, StopCause, dora_core::config::DataId};
use dora_protocol::wire_type;

use crate::{
    context::Context,
    status::{Failure, Outcome, Status, number, status},
    table::{Kind, Table},
    text,
};

/// What an event handle stands for.
pub(crate) struct Kept {
    event: Event,
    context: &'static Context,
    /// Name of the type of an input, or the value of a parameter as JSON.
    made: OnceLock<String>,
}

static EVENTS: Table<Kept> = Table::new(Kind::Event);

/// `enum DoraEventType` of `node_api.h`. The first five are those of the reference.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as the events")]
pub enum DoraEventType {
    Stop,
    Input,
    InputClosed,
    Error,
    Unknown,
    /// Only in C++: the end of the stream.
    AllInputsClosed,
    /// Only in C++: nothing is there.
    Empty,
    /// Only in C++: the time is over.
    Timeout,
    NodeFailed,
    Reload,
    InputRecovered,
    NodeRestarted,
    ParamUpdate,
    ParamDeleted,
}

/// A handle for an event.
#[inline]
pub(crate) fn keep(event: Event, context: &'static Context) -> Outcome<*mut c_void> {
    EVENTS.insert(Kept { event, context, made: OnceLock::new() })
}

/// The parts of an input.
pub(crate) struct Input<'a> {
    pub(crate) id: &'a DataId,
    pub(crate) metadata: &'a Metadata,
    pub(crate) data: &'a DoraArray,
}

impl<'a> Input<'a> {
    pub(crate) fn array(&self) -> &'a ArrayRef {
        internal::array_ref(self.data)
    }
}

impl Kept {
    #[inline]
    fn input(&self) -> Outcome<Input<'_>> {
        match &self.event {
            Event::Input { id, metadata, data } => Ok(Input { id, metadata, data }),
            _ => Err(Failure::new(Status::WrongType, "the event is no input")),
        }
    }

    /// Who or what the event is about.
    fn about(&self) -> Outcome<&str> {
        Ok(match &self.event {
            Event::Input { id, .. } | Event::InputClosed { id } | Event::InputRecovered { id } => id.as_str(),
            Event::NodeRestarted { id } | Event::NodeFailed { source_node_id: id, .. } => id.as_str(),
            Event::ParamUpdate { key, .. } | Event::ParamDeleted { key } => key,
            Event::Reload { operator_id: Some(id) } => id.as_str(),
            _ => return Err(Failure::new(Status::NotFound, "events of this kind name nothing")),
        })
    }

    fn error(&self) -> Outcome<&str> {
        match &self.event {
            Event::Error(text) | Event::NodeFailed { error: text, .. } => Ok(text),
            _ => Err(Failure::new(Status::WrongType, "the event is no error")),
        }
    }

    fn type_name(&self) -> Outcome<&str> {
        let input = self.input()?;
        Ok(self.made.get_or_init(|| input.data.type_name()))
    }

    fn text(&self) -> Outcome<&str> {
        let Input { id, data, .. } = self.input()?;
        <&str>::try_from(data)
            .map_err(|error| Failure::new(Status::WrongType, format!("input `{id}`: {error}")))
    }

    fn value_json(&self) -> Outcome<&str> {
        match &self.event {
            Event::ParamUpdate { value, .. } => Ok(self.made.get_or_init(|| value.to_string())),
            _ => Err(Failure::new(Status::WrongType, "the event is no new value of a parameter")),
        }
    }
}

/// The input of an event handle.
pub(crate) fn input<'a>(handle: *const c_void) -> Outcome<Input<'a>> {
    EVENTS.get(handle)?.input()
}

/// The event is done with. All that was borrowed from it is gone.
#[unsafe(no_mangle)]
pub extern "C" fn free_dora_event(event: *mut c_void) {
    status(|| EVENTS.free(event));
}

/// What kind of event it is; `Unknown` for none.
#[unsafe(no_mangle)]
pub extern "C" fn read_dora_event_type(event: *mut c_void) -> DoraEventType {
    number(DoraEventType::Unknown, || {
        Ok(match &EVENTS.get(event)?.event {
            Event::Stop(_) => DoraEventType::Stop,
            Event::Input { .. } => DoraEventType::Input,
            Event::InputClosed { .. } => DoraEventType::InputClosed,
            Event::InputRecovered { .. } => DoraEventType::InputRecovered,
            Event::NodeRestarted { .. } => DoraEventType::NodeRestarted,
            Event::NodeFailed { .. } => DoraEventType::NodeFailed,
            Event::ParamUpdate { .. } => DoraEventType::ParamUpdate,
            Event::ParamDeleted { .. } => DoraEventType::ParamDeleted,
            Event::Reload { .. } => DoraEventType::Reload,
            Event::Error(_) => DoraEventType::Error,
            _ => DoraEventType::Unknown,
        })
    })
}

/// Name of the input; null and 0 when the event is none.
///
/// # Safety
/// `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read_dora_input_id(event: *mut c_void, out: *mut *mut c_char, len: *mut usize) {
    // SAFETY: passed on.
    unsafe { text::put_nothing(out, len) };
    status(|| {
        let id = input(event)?.id.as_str();
        // SAFETY: passed on. The names are not for writing; the reference has no `const` there.
        unsafe { text::put_text(out.cast(), len, id) }
    });
}

/// The bytes of a `UInt8` array; empty for a tick.
fn bytes(kept: &Kept) -> Outcome<&[u8]> {
    let input = kept.input()?;
    let array = input.array();
    match array.as_any().downcast_ref::<UInt8Array>().filter(|bytes| bytes.null_count() == 0) {
        Some(bytes) => Ok(bytes.values()),
        None if array.is_empty() && *array.data_type() == DataType::Null => Ok(&[]),
        None if kept.context.is_timer(input.id) => Ok(&[]),
        None => {
            let found = kept.type_name()?;
            Err(Failure::new(Status::WrongType, format!("input `{}` holds {found}, no bytes", input.id)))
        }
    }
}

/// The bytes of a `UInt8` array; null and 0 for everything else.
///
/// # Safety
/// `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read_dora_input_data(event: *mut c_void, out: *mut *mut c_char, len: *mut usize) {
    // SAFETY: passed on.
    unsafe { text::put_nothing(out, len) };
    status(|| {
        let kept = EVENTS.get(event)?;
        let bytes = bytes(kept).inspect_err(|failure| {
            if let Ok(input) = kept.input() {
                kept.context.report_type(input.id, &failure.text);
            }
        })?;
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: passed on. The bytes are not for writing; the reference has no `const` there.
        unsafe { text::put_items(out.cast::<*const u8>(), len, bytes, "`len`") }
    });
}

/// As [`read_dora_input_data`], with an outcome.
///
/// # Safety
/// `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_input_bytes(event: *mut c_void, out: *mut *const u8, len: *mut usize) -> c_int {
    status(|| {
        let bytes = bytes(EVENTS.get(event)?)?;
        // SAFETY: passed on.
        unsafe { text::put_items(out, len, bytes, "`len`") }
    })
}

/// When the input was sent, on the hybrid logical clock; 0 when the event is no input.
#[unsafe(no_mangle)]
pub extern "C" fn read_dora_input_timestamp(event: *mut c_void) -> c_ulonglong {
    number(0, || Ok(input(event)?.metadata.timestamp().get_time().as_u64()))
}

/// Ticks of a timer that passed while the node was busy; -1 when the event is no input.
#[unsafe(no_mangle)]
pub extern "C" fn dora_missed_ticks(event: *mut c_void) -> i64 {
    number(-1, || Ok(i64::try_from(input(event)?.metadata.missed_ticks()).unwrap_or(i64::MAX)))
}

/// Where the values of an array of numbers lie.
struct Numbers {
    type_id: u32,
    start: *const c_void,
    len: usize,
}

fn numbers(array: &ArrayRef) -> Option<Numbers> {
    fn of<T: ArrowPrimitiveType>(array: &ArrayRef, type_id: u32) -> Option<Numbers> {
        let array = array.as_any().downcast_ref::<PrimitiveArray<T>>()?;
        let start = array.values().as_ptr().cast();
        (array.null_count() == 0).then_some(Numbers { type_id, start, len: array.len() })
    }
    match array.data_type() {
        DataType::UInt8 => of::<UInt8Type>(array, wire_type::UINT8),
        DataType::UInt16 => of::<UInt16Type>(array, wire_type::UINT16),
        DataType::UInt32 => of::<UInt32Type>(array, wire_type::UINT32),
        DataType::UInt64 => of::<UInt64Type>(array, wire_type::UINT64),
        DataType::Int8 => of::<Int8Type>(array, wire_type::INT8),
        DataType::Int16 => of::<Int16Type>(array, wire_type::INT16),
        DataType::Int32 => of::<Int32Type>(array, wire_type::INT32),
        DataType::Int64 => of::<Int64Type>(array, wire_type::INT64),
        DataType::Float32 => of::<Float32Type>(array, wire_type::FLOAT32),
        DataType::Float64 => of::<Float64Type>(array, wire_type::FLOAT64),
        _ => None,
    }
}

/// The values of an array of numbers without nulls, in place.
///
/// # Safety
/// `number_type`, `out` and `count` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_input_values(
    event: *mut c_void,
    number_type: *mut u32,
    out: *mut *const c_void,
    count: *mut usize,
) -> c_int {
    status(|| {
        let input = input(event)?;
        let found = numbers(input.array()).ok_or_else(|| {
            let (id, found, nulls) = (input.id, input.data.type_name(), input.data.null_count());
            let what =
                format!("input `{id}` holds {found} with {nulls} nulls, which is no array of plain numbers");
            Failure::new(Status::WrongType, what)
        })?;
        // SAFETY: passed on.
        unsafe {
            text::put(number_type, found.type_id, "`type`")?;
            text::put(out, found.start, "`out`")?;
            text::put(count, found.len, "`count`")
        }
    })
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $read:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        /// `out` and `len` are places for a result, or null.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            event: *mut c_void,
            out: *mut *const c_char,
            len: *mut usize,
        ) -> c_int {
            // SAFETY: passed on.
            status(|| unsafe { text::put_text(out, len, $read(EVENTS.get(event)?)?) })
        }
    )*};
}

texts! {
    /// Name of the Arrow type of an input.
    dora_input_type = Kept::type_name;
    /// The text of an array of one string.
    dora_input_text = Kept::text;
    /// Who or what the event is about.
    dora_event_id = Kept::about;
    /// What went wrong.
    dora_event_error = Kept::error;
    /// The new value of a parameter, as JSON.
    dora_event_value_json = Kept::value_json;
}

/// 0 when somebody stopped the dataflow, 1 when all inputs are closed, -1 when the event is no stop.
#[unsafe(no_mangle)]
pub extern "C" fn dora_stop_cause(event: *mut c_void) -> c_int {
    number(-1, || match &EVENTS.get(event)?.event {
        Event::Stop(cause) => Ok(c_int::from(*cause == StopCause::AllInputsClosed)),
        _ => Err(Failure::new(Status::WrongType, "the event is no stop")),
    })
}

/// The `index`th input that a failed node fed.
///
/// # Safety
/// `out` and `len` are places for a result, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dora_affected_input(
    event: *mut c_void,
    index: usize,
    out: *mut *const c_char,
    len: *mut usize,
) -> c_int {
    status(|| {
        let Event::NodeFailed { affected_input_ids, .. } = &EVENTS.get(event)?.event else {
            return Err(Failure::new(Status::WrongType, "the event is no failure of a node"));
        };
        let count = affected_input_ids.len();
        let id = affected_input_ids.get(index).ok_or_else(|| {
            Failure::new(Status::NotFound, format!("{count} inputs are affected, not {index} and one"))
        })?;
        // SAFETY: passed on.
        unsafe { text::put_text(out, len, id.as_str()) }
    })
}
