//! The dataflow descriptor: parsed, checked, resolved.
//!
//! ```text
//! text ─ yaml ─► tree ─ form ─► tree of known keys ─ raw ─► as typed ─ check, resolve ─► protocol::Dataflow
//!        positions      schema.rs                                       rules     names to indices
//! ```
//!
//! The text may come from anywhere: garbage ends in [`Errors`], never in a panic, and costs time in proportion to
//! its length. Rules do not stop at the first error; [`Errors`] has them all, in the order of the file.
//!
//! Nothing is ignored in silence. A key that is understood but not implemented is in [`Loaded::not_yet`].

mod chains;
mod check;
mod env;
mod error;
mod form;
mod json_schema;
mod load;
mod raw;
mod resolve;
mod schema;
mod suggest;
mod timer;
mod values;
mod yaml;

pub use error::{Errors, NotYet, Problem, Warning};
pub use json_schema::json_schema;
pub use load::{Loaded, load, parse_str};
pub use suggest::nearest;
pub use values::{duration, size};
