//! What an operator is told.

use std::cell::RefCell;

use dora_arrow_codec::DoraArray;
use dora_protocol::metadata::MetadataParameters;

use crate::glue::Received;

/// Something that happened. More kinds may come.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message, or a timer tick (whose value is its number).
    Input {
        /// At which input.
        id: &'a str,
        /// Its values, where the sender wrote them. They may be kept.
        data: DoraArray,
    },
    /// A message could not be read.
    InputParseError {
        /// At which input.
        id: &'a str,
        /// Why.
        error: String,
    },
    /// Nothing more comes at this input.
    InputClosed {
        /// Which.
        id: &'a str,
    },
    /// The operator shall end; it is dropped after this.
    Stop,
}

thread_local! {
    /// The message that is being handled on this thread.
    static CURRENT: RefCell<Option<Received>> = const { RefCell::new(None) };
}

/// Sets the message that [`Event::metadata`] is about, and returns the one before.
pub(crate) fn set_current(message: Option<Received>) -> Option<Received> {
    CURRENT.with(|current| current.replace(message))
}

/// Calls `with` with the message that is being handled.
pub(crate) fn with_current<R>(with: impl FnOnce(Option<&Received>) -> R) -> R {
    CURRENT.with(|current| with(current.borrow().as_ref()))
}

impl Event<'_> {
    /// The parameters that the sender gave an [`Event::Input`]; empty for other events. Valid while the event is handled.
    pub fn metadata(&self) -> MetadataParameters {
        match self {
            Event::Input { .. } => {
                with_current(|message| message.map(Received::parameters)).unwrap_or_default()
            }
            _ => MetadataParameters::new(),
        }
    }
}
