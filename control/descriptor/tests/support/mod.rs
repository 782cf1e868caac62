//! What several tests start with: a text that is a descriptor, or is none.

#![allow(dead_code, reason = "each test binary compiles this file for itself and uses what it needs of it")]

use std::path::Path;

use dora_descriptor::{Loaded, parse_str};

/// The dataflow behind a text that must be accepted. Messages call the file `flow.yml`.
#[track_caller]
pub(crate) fn good(text: &str) -> Loaded {
    parse_str("flow.yml", text, Path::new("/nowhere"), &[])
        .unwrap_or_else(|errors| panic!("must be accepted:\n{text}\n{errors}"))
}

/// What is said about a text that must be refused.
#[track_caller]
pub(crate) fn bad(text: &str) -> String {
    match parse_str("flow.yml", text, Path::new("/nowhere"), &[]) {
        Ok(_) => panic!("must be refused:\n{text}"),
        Err(errors) => errors.to_string(),
    }
}
