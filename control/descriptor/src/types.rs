//! Types of inputs and outputs: what there is, what may flow into what, and whether the dataflow keeps to it.
//!
//! | file | what |
//! |---|---|
//! | `types/urn.rs` | `std/media/v1/Image[encoding=rgb8]`, taken apart |
//! | `types/shape.rs` | what a type is in Arrow, field by field |
//! | `types/library.rs` | all types: the standard ones and the user's own, from files of one format |
//! | `types/files.rs`, `types/bind.rs` | those files, and what the names in them stand for |
//! | `types/flow.rs` | widening, `type_rules`, parameters |
//! | `types/check.rs` | the rules, edge by edge |
//! | `types/metadata.rs` | metadata keys that types and patterns ask for |
//!
//! A type problem is a warning, or an error under `strict_types`. A file with types that is wrong is always an error.

mod bind;
mod check;
mod files;
mod flow;
mod library;
mod metadata;
mod shape;
mod urn;

pub(crate) use check::check;
