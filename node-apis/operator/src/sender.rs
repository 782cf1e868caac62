//! What an operator sends with.
#![expect(unsafe_code, reason = "the C boundary")]

use std::{marker::PhantomData, ptr};

use arrow_array::Array;
use dora_arrow_codec::{IntoArrow, internal};
use dora_protocol::metadata::{self, MetadataParameters};

use crate::{
    abi::{NOT_FLAT, Output, SendOutput, VERSION},
    event::with_current,
};

/// Sends outputs of the operator. Valid during one call of [`on_event`](crate::DoraOperator::on_event).
#[derive(Debug)]
pub struct DoraOutputSender<'a> {
    raw: &'a SendOutput,
    /// The calling thread only.
    of: PhantomData<*const ()>,
}

impl<'a> DoraOutputSender<'a> {
    pub(crate) fn new(raw: &'a SendOutput) -> Self {
        Self { raw, of: PhantomData }
    }

    /// Sends an array or a value. To an output that is not declared nothing is sent; a warning says so once.
    ///
    /// # Errors
    /// A text: a reader with `queue_policy: backpressure` in this runtime is full, or the array cannot be exported. Nobody got it then.
    ///
    /// # Cost
    /// No copy for readers in the same runtime, one for all others together.
    pub fn send(&mut self, id: impl AsRef<str>, data: impl IntoArrow) -> Result<(), String> {
        self.send_with_metadata(id, MetadataParameters::new(), data)
    }

    /// As [`send`](Self::send), with parameters.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_with_metadata(
        &mut self,
        id: impl AsRef<str>,
        parameters: MetadataParameters,
        data: impl IntoArrow,
    ) -> Result<(), String> {
        self.hand_over(id.as_ref(), &parameters, data, false)
    }

    /// As [`send`](Self::send); the parameters of the message that is being handled go along.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn forward(&mut self, id: impl AsRef<str>, data: impl IntoArrow) -> Result<(), String> {
        self.hand_over(id.as_ref(), &MetadataParameters::new(), data, true)
    }

    fn hand_over(
        &mut self,
        id: &str,
        parameters: &MetadataParameters,
        data: impl IntoArrow,
        forward: bool,
    ) -> Result<(), String> {
        let Some(call) = self.raw.call else {
            return Err("the runtime gave no function to send with".into());
        };
        let array = internal::into_array_ref(data.into_arrow()).to_data();
        let (mut array, mut schema) =
            arrow_array::ffi::to_ffi(&array).map_err(|error| format!("output `{id}`: {error}"))?;
        let mut encoded = vec![0; if parameters.is_empty() { 0 } else { metadata::encoded_len(parameters) }];
        if !encoded.is_empty() {
            metadata::encode_into(parameters, &mut encoded)
                .map_err(|error| format!("output `{id}`: {error}"))?;
        }
        let message = |forward: bool| {
            with_current(|message| {
                message.filter(|_| forward).map_or(ptr::null_mut(), |message| message.as_ptr())
            })
        };
        let mut output = Output {
            version: VERSION,
            type_id: NOT_FLAT,
            id: id.as_ptr().cast(),
            id_len: id.len(),
            data: ptr::null(),
            len: 0,
            array: &raw mut array,
            schema: &raw mut schema,
            parameters: if encoded.is_empty() { ptr::null() } else { encoded.as_ptr() },
            parameters_len: encoded.len(),
            parameters_format: 0,
            forward: message(forward),
        };
        // SAFETY: the runtime gave function and environment for the time of this call, on this thread (`of`); everything that
        // `output` points to lives until the call returns. The runtime moves array and schema out; what it leaves is dropped here.
        unsafe { call(self.raw.env_ptr, &raw mut output).take() }
    }
}
