//! The dataflow descriptor: parsed, checked, resolved.
//!
//! ```text
//! text ─ yaml ─► tree ─ form ─► tree of known keys ─ modules ─► flat tree ─ raw ─► as typed ─ check, resolve ─► Dataflow
//!        positions      schema.rs                   other files                             rules, types  indices
//! ```
//!
//! The text may come from anywhere: garbage ends in [`Errors`], never in a panic, and costs time in proportion to
//! its length. Rules do not stop at the first error; [`Errors`] has them all, in the order of the file.
//!
//! Nothing is ignored in silence. A key that is understood but not implemented is in [`Loaded::not_yet`].

// What ends the process ends a robot: each place has to say, as an expectation, why it is impossible.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod annotations;
mod chains;
mod check;
mod emit;
mod env;
mod error;
mod form;
pub mod graph;
mod json_schema;
pub mod limits;
mod load;
mod lockfile;
mod modules;
mod operators;
mod raw;
mod resolve;
mod schema;
mod suggest;
mod timer;
pub mod timing;
mod types;
mod value;
mod values;
mod yaml;

pub use annotations::{Annotations, NodeNotes};
pub use error::{Errors, NotYet, Problem, Warning};
pub use json_schema::json_schema;
pub use load::{Loaded, Options, load, load_with, parse_str};
pub use lockfile::{Lockfile, Pin};
pub use modules::{ModuleSummary, check_module};
pub use suggest::nearest;
pub use value::value;
pub use values::{duration, size};
