//! The controller of the humanoid: what `src/main.rs` does with each state, as plain functions of plain numbers.
//!
//! Nothing in here knows about dora, and nothing allocates after the start: [`law`] reads gains and states where they lie,
//! [`watch`] is a counter.

pub mod law;
pub mod options;
pub mod watch;
