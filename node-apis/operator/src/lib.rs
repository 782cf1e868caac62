//! Write dora operators in Rust: functions that share a process, and exchange buffers without a copy.
//!
//! An operator is a `cdylib`. Its type implements [`DoraOperator`] and is registered once:
//!
//! ```
//! use dora_operator_api::{DoraOperator, DoraOutputSender, DoraStatus, Event, IntoArrow, register_operator};
//!
//! #[register_operator]
//! #[derive(Default)]
//! struct Doubler;
//!
//! impl DoraOperator for Doubler {
//!     fn on_event(&mut self, event: &Event, sender: &mut DoraOutputSender) -> Result<DoraStatus, String> {
//!         if let Event::Input { id: "number", data } = event {
//!             let number = f64::try_from(data).map_err(|error| error.to_string())?;
//!             sender.send("doubled", 2.0 * number)?;
//!         }
//!         Ok(DoraStatus::Continue)
//!     }
//! }
//! ```
//!
//! In the descriptor:
//!
//! ```yaml
//! - id: runtime
//!   operators:
//!     - id: doubler
//!       shared-library: target/release/doubler
//!       inputs: { number: sensor/value }
//!       outputs: [doubled]
//! ```
//!
//! What an operator sends to another one of the same runtime is handed over as it is: the same buffer, no copy, no system
//! call. [`rt`] has a variant that allocates nothing.
//!
//! Features: `arrow-v59` shows the Arrow types behind [`DoraArray`] and exports that crate as `arrow_v59`.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

pub mod abi;
mod event;
#[doc(hidden)]
pub mod glue;
pub mod rt;
mod sender;

#[cfg(feature = "arrow-v59")]
pub use dora_arrow_codec::arrow_v59;
pub use dora_arrow_codec::{DoraArray, IntoArrow, into_vec};
/// Exports the operator of this library; on its type. Once per library. [`function_like`] has the other form.
pub use dora_operator_macros::register_operator_attribute as register_operator;
pub use dora_protocol::metadata::{self, MetadataParameters, Parameter};
pub use event::Event;
pub use sender::DoraOutputSender;

/// `register_operator!(Type);` for code that is written so. It has a module of its own, because an attribute and a
/// function-like macro of one name cannot be imported from the same place.
pub mod function_like {
    pub use dora_operator_macros::register_operator;
}

/// What an operator wants after an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum DoraStatus {
    /// The next event.
    #[default]
    Continue = 0,
    /// This operator is done: its outputs close, and it gets no more events.
    Stop = 1,
    /// The whole dataflow shall stop.
    StopAll = 2,
}

/// An operator. Made before the dataflow starts, and used by one thread at a time.
pub trait DoraOperator: Default {
    /// Reacts to an event, and returns soon: what else runs in this runtime waits for it.
    ///
    /// # Errors
    /// A text fails the operator, and with it the node of the runtime; the log shows it with the operator's name.
    fn on_event(
        &mut self,
        event: &Event<'_>,
        output_sender: &mut DoraOutputSender<'_>,
    ) -> Result<DoraStatus, String>;
}
