//! The process that hosts operators: a node whose messages go to functions of shared libraries.
//!
//! ```text
//!   node inputs ──► Intake ──► dora_rt::operators::Flow ──► Outside ──► node outputs
//!                                 │  queues inside: references to the same buffers
//!                                 └► Hosted, HostedRt: the C symbols of a library
//! ```
//!
//! 1. Libraries are loaded and operators made before the node joins the dataflow, so a broken one holds nothing up.
//! 2. Events come in one at a time, and what follows from one is finished before the next is taken; only a loop between
//!    operators that never ends is interrupted by what comes in.
//! 3. An operator that fails, or ends by a signal, ends this process, with a line that names it.
//!
//! Python operators run in a process of the Python package, see `dora.start_runtime`.

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod config;
mod crash;
mod error;
mod hosted;
mod hosted_rt;
mod intake;
mod intake_rt;
mod json;
mod library;
mod memory;
mod message;
mod run;

pub use error::RuntimeError;
pub use run::run_from_env;
