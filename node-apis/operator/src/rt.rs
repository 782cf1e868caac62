//! Real-time operators: handles resolved at the start, borrowed views, messages written in place. Nothing is allocated.
//!
//! ```
//! use dora_operator_api::{DoraStatus, rt::{Event, In, Out, Outbox, RtOperator, Setup, register_rt_operator}};
//!
//! #[register_rt_operator]
//! struct Controller {
//!     angle: In<f64>,
//!     torque: Out<f64>,
//! }
//!
//! impl RtOperator for Controller {
//!     fn start(setup: &mut Setup<'_>) -> Result<Self, String> {
//!         Ok(Self { angle: setup.input("angle")?, torque: setup.output("torque", 1)? })
//!     }
//!
//!     fn on_event(&mut self, event: &Event<'_>, outbox: &mut Outbox<'_>) -> DoraStatus {
//!         if let Some([angle]) = event.read(&self.angle) {
//!             // A full queue is counted by the runtime.
//!             outbox.send(&self.torque, &[-0.5 * angle]).unwrap_or_default();
//!         }
//!         DoraStatus::Continue
//!     }
//! }
//! ```
//!
//! # Real time
//! After [`RtOperator::start`] neither side allocates, locks or makes a system call for a message between operators of one
//! runtime on one thread.
#![expect(unsafe_code, reason = "the C boundary, and bytes looked at as numbers")]

use std::{marker::PhantomData, slice};

pub use dora_operator_macros::register_rt_operator;
use dora_protocol::wire_type::{self, Primitive};

use crate::{
    DoraStatus,
    abi::{self, rt_event, rt_refused},
};

/// What a runtime takes for a failed operator.
pub(crate) const FAILED: u8 = 3;

/// An operator that never allocates.
pub trait RtOperator: Sized {
    /// Looks up its inputs and outputs. May allocate, and take its time.
    ///
    /// # Errors
    /// A text: the operator cannot be started.
    fn start(setup: &mut Setup<'_>) -> Result<Self, String>;

    /// Reacts to an event, and returns soon.
    fn on_event(&mut self, event: &Event<'_>, outbox: &mut Outbox<'_>) -> DoraStatus;
}

/// An input with values of `T`.
#[derive(Debug)]
pub struct In<T> {
    number: u32,
    of: PhantomData<fn() -> T>,
}

/// An output with values of `T`.
#[derive(Debug)]
pub struct Out<T> {
    number: u32,
    most: usize,
    of: PhantomData<fn(T)>,
}

impl<T> In<T> {
    /// Its number, in the order of the descriptor.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl<T> Out<T> {
    /// Most values of one message.
    pub fn capacity(&self) -> usize {
        self.most
    }
}

/// What an operator asks at its start.
#[derive(Debug)]
pub struct Setup<'a>(&'a mut abi::RtSetup);

impl<'a> Setup<'a> {
    pub(crate) fn new(raw: &'a mut abi::RtSetup) -> Self {
        Self(raw)
    }

    /// A handle for an input. A timer is an input of `u64`.
    ///
    /// # Errors
    /// A sentence, when the operator has no such input.
    pub fn input<T: Primitive>(&mut self, name: &str) -> Result<In<T>, String> {
        // SAFETY: the runtime gave function and environment for the time of this call; the name is as long as it says.
        let number = unsafe { (self.0.input)(self.0.env_ptr, name.as_ptr().cast(), name.len(), T::TYPE_ID) };
        self.checked(number).map(|number| In { number, of: PhantomData })
    }

    /// A handle for an output whose messages have at most `most` values. Reserves memory for them.
    ///
    /// # Errors
    /// A sentence, when the operator has no such output, or it does not allow that much.
    pub fn output<T: Primitive>(&mut self, name: &str, most: usize) -> Result<Out<T>, String> {
        let (env, name_at) = (self.0.env_ptr, name.as_ptr().cast());
        // SAFETY: as above.
        let number = unsafe { (self.0.output)(env, name_at, name.len(), T::TYPE_ID, most) };
        self.checked(number).map(|number| Out { number, most, of: PhantomData })
    }

    fn checked(&mut self, number: i64) -> Result<u32, String> {
        u32::try_from(number).map_err(|_| {
            // SAFETY: as above; what comes back is of `malloc`.
            let why = unsafe { (self.0.why)(self.0.env_ptr).take() };
            String::from_utf8_lossy(&why).into_owned()
        })
    }
}

/// Something that happened.
#[derive(Debug)]
pub struct Event<'a>(&'a abi::RtEvent);

impl<'a> Event<'a> {
    pub(crate) fn new(raw: &'a abi::RtEvent) -> Self {
        Self(raw)
    }

    /// The values, in place, when this is a message at that input.
    #[inline]
    pub fn read<T: Primitive>(&self, input: &In<T>) -> Option<&'a [T]> {
        let raw = self.0;
        if raw.kind != rt_event::INPUT || raw.input != input.number || raw.type_id != T::TYPE_ID {
            return None;
        }
        if raw.len < size_of::<T>() || !raw.data.addr().is_multiple_of(align_of::<T>()) {
            return raw.len.lt(&size_of::<T>()).then_some(&[]);
        }
        // SAFETY: the runtime says that `len` bytes at `data` are values of `T::TYPE_ID`, for the time of this call; aligned, as checked.
        Some(unsafe { slice::from_raw_parts(raw.data.cast(), raw.len / size_of::<T>()) })
    }

    /// True when this is a message at that input, whatever its type.
    pub fn is_at<T>(&self, input: &In<T>) -> bool {
        self.0.kind == rt_event::INPUT && self.0.input == input.number
    }

    /// True when nothing more comes at that input.
    pub fn is_closed<T>(&self, input: &In<T>) -> bool {
        self.0.kind == rt_event::INPUT_CLOSED && self.0.input == input.number
    }

    /// True when a message of another type than the handle's came at that input; it was dropped. Says which type.
    pub fn wrong_type<T>(&self, input: &In<T>) -> Option<&'static str> {
        let wrong = self.0.kind == rt_event::WRONG_TYPE && self.0.input == input.number;
        wrong.then(|| wire_type::name(self.0.type_id))
    }

    /// True when the operator shall end.
    pub fn is_stop(&self) -> bool {
        self.0.kind == rt_event::STOP
    }

    /// Logical time, nanoseconds, and the order within it.
    pub fn tag(&self) -> (u64, u32) {
        (self.0.tag_time_ns, self.0.microstep)
    }

    /// Ticks of this timer that were missed before this one.
    pub fn missed_ticks(&self) -> u64 {
        self.0.missed
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The message is larger than was asked for at the start.
    TooLarge,
    /// All buffers of the output are in use.
    NoBuffer,
    /// A reader that loses nothing is full.
    Full,
    /// The handle is of another operator.
    Unknown,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refused::TooLarge => "the message is larger than the output was set up for",
            Refused::NoBuffer => "all buffers of the output are in use",
            Refused::Full => "a reader that loses nothing is full",
            Refused::Unknown => "the handle is of another operator",
        })
    }
}

impl std::error::Error for Refused {}

/// Where an operator sends. Valid during one call.
#[derive(Debug)]
pub struct Outbox<'a> {
    raw: &'a abi::RtOutbox,
    /// The calling thread only.
    of: PhantomData<*const ()>,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(raw: &'a abi::RtOutbox) -> Self {
        Self { raw, of: PhantomData }
    }

    /// Sends a copy of `values`.
    ///
    /// # Errors
    /// [`Refused`]; nobody got it then.
    #[inline]
    pub fn send<T: Primitive>(&mut self, output: &Out<T>, values: &[T]) -> Result<(), Refused> {
        self.send_with(output, values.len(), |to| to.copy_from_slice(values))
    }

    /// Sends `len` values that `write` puts in place: no copy. What is there before is what an earlier message left.
    ///
    /// # Errors
    /// [`Refused`]; nobody got it then.
    #[inline]
    pub fn send_with<T: Primitive>(
        &mut self,
        output: &Out<T>,
        len: usize,
        write: impl FnOnce(&mut [T]),
    ) -> Result<(), Refused> {
        if len > output.most {
            return Err(Refused::TooLarge);
        }
        let bytes = len * size_of::<T>();
        // SAFETY: the runtime gave function and environment for the time of this call, on this thread (`of`).
        let memory = unsafe { (self.raw.loan)(self.raw.env_ptr, output.number, bytes) };
        if memory.is_null() {
            return Err(Refused::NoBuffer);
        }
        // SAFETY: the runtime gave `bytes` bytes, 64-byte aligned, that nobody else uses until they are published; they hold numbers
        // since the start, and any bits are a valid `Primitive`.
        write(unsafe { slice::from_raw_parts_mut(memory.cast::<T>(), len) });
        // SAFETY: as for `loan`.
        match unsafe { (self.raw.publish)(self.raw.env_ptr, output.number, bytes) } {
            0 => Ok(()),
            rt_refused::TOO_LARGE => Err(Refused::TooLarge),
            rt_refused::NO_BUFFER => Err(Refused::NoBuffer),
            rt_refused::FULL => Err(Refused::Full),
            _ => Err(Refused::Unknown),
        }
    }
}
